"""Local entropy, its moments and heat smoothing, against closed forms and other quadratures."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad

from relaxlib.grid import Grid
from relaxlib.landscapes import (
    Landscape,
    double_well_2d,
    exponential_ramp,
    lipschitz_double_well,
    quadratic,
    wide_and_narrow,
)
from relaxlib.smoothing import (
    gibbs_moments,
    heat_smoothing,
    local_entropy,
    local_entropy_grad,
    local_entropy_on_grid,
)

AT = {"gamma": 0.3, "temperature": 0.5}


@pytest.fixture(scope="module")
def rippled():
    """The instance of DR.Lemma1 and DR.Eq12: y²/2 + cos 3y."""
    return Landscape.from_functions(
        lambda y: y * y / 2 + math.cos(3 * y),
        lambda y: y - 3 * math.sin(3 * y),
        dim=1,
        box=(-3, 3),
    )


def by_quad(landscape, x, gamma, temperature):
    """Local entropy by an adaptive quadrature that knows nothing of ours."""

    def weight(y):
        return math.exp(-(float(landscape.value(y)) + (x - y) ** 2 / (2 * gamma)) / temperature)

    kinks = sorted({x, *landscape.minima[:, 0]})
    mass, _ = quad(weight, -12, 12, points=kinks, epsabs=1e-14, epsrel=1e-12, limit=500)
    return -temperature * math.log(mass / math.sqrt(2 * math.pi * gamma * temperature))


@pytest.mark.parametrize("dim", [1, 2, 3])
@pytest.mark.parametrize("temperature", [0.02, 1.0])
def test_quadratic_loss_in_closed_form_lemma_4(dim, temperature):
    rng = np.random.default_rng(dim)
    root = rng.normal(size=(dim, dim))
    hess, center, x = root @ root.T + 0.3 * np.eye(dim), rng.normal(size=dim), rng.normal(size=dim)
    bowl, gamma = quadratic(hess, center=center), 0.4
    p, sigma = hess @ (x - center), np.linalg.inv(hess + np.eye(dim) / gamma)
    value = (x - center) @ p / 2 - p @ sigma @ p / 2
    value += temperature / 2 * np.linalg.slogdet(np.eye(dim) + gamma * hess)[1]
    at = {"gamma": gamma, "temperature": temperature}
    moments = gibbs_moments(bowl, x, **at)
    assert local_entropy(bowl, x, **at) == pytest.approx(value, abs=1e-12 * max(1, temperature))
    assert moments.mean == pytest.approx(x - sigma @ p, abs=1e-11)
    assert moments.cov == pytest.approx(temperature * sigma, abs=1e-11)
    assert local_entropy_grad(bowl, x, **at) == pytest.approx(sigma @ p / gamma, abs=1e-10)


def test_numbers_of_lemma_1_and_equation_12(rippled):
    assert local_entropy(rippled, 0.7, **AT) == pytest.approx(-0.138232, abs=5e-7)
    assert local_entropy_grad(rippled, 0.7, **AT)[0] == pytest.approx(-0.46709717, abs=5e-9)


def test_running_example_slope_of_bk_1_4():
    slope = local_entropy_grad(lipschitz_double_well(), -0.8, gamma=0.5, temperature=1 / 3)
    assert slope[0] == pytest.approx(-0.0543532906, abs=1e-10)


@pytest.mark.parametrize("x", [-2.5, -1.5, 0.2, 1.5])
@pytest.mark.parametrize("gamma", [1e-3, 0.05, 1.0])
def test_wide_and_narrow_against_adaptive_quadrature(x, gamma):
    reference = by_quad(wide_and_narrow(), x, gamma, 0.25)
    found = local_entropy(wide_and_narrow(), x, gamma=gamma, temperature=0.25)
    assert found == pytest.approx(reference, abs=1e-9)


def test_kinked_loss_converges():
    kinked = Landscape.from_functions(
        lambda y: (abs(y) - 1) ** 2 / 2,
        lambda y: y - math.copysign(1.0, y),
        lambda y: 1.0,
        dim=1,
        box=(-2.03, 2.0),
    )
    reference = by_quad(kinked, 0.3, 0.7, 0.2)
    assert local_entropy(kinked, 0.3, gamma=0.7, temperature=0.2) == pytest.approx(
        reference, abs=1e-8
    )


def test_gradient_and_hessian_are_the_derivatives_of_the_value_in_2d():
    loss, x, step = double_well_2d(), np.array([0.3, -0.2]), 1e-3
    at = {"gamma": 0.5, "temperature": 0.4}
    cov = gibbs_moments(loss, x, **at).cov
    hess = np.eye(2) / 0.5 - cov / (0.5**2 * 0.4)
    for k, e in enumerate(np.eye(2)):
        low, mid, high = local_entropy(loss, [x - step * e, x, x + step * e], **at)
        grad = local_entropy_grad(loss, x, **at)
        assert (high - low) / (2 * step) == pytest.approx(grad[k], abs=1e-5)
        assert (high - 2 * mid + low) / step**2 == pytest.approx(hess[k, k], abs=1e-4)


def test_concave_loss_up_to_the_edge_of_existence_bk_1_3():
    upside_down = quadratic(-2.0)
    value = local_entropy(upside_down, 0.3, gamma=0.45, temperature=0.5)
    assert value == pytest.approx(-0.9 + math.log(0.1) / 4, abs=1e-10)
    with pytest.raises(ValueError, match=r"gamma = 0\.5: need gamma < 1/\(2\*growth\) = 0\.5"):
        local_entropy(upside_down, 0.3, gamma=0.5, temperature=0.5)


def test_a_gamma_beyond_the_convexity_bound_is_fine():
    assert np.isfinite(local_entropy(lipschitz_double_well(), 0.0, gamma=5.0, temperature=1 / 3))


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    x=st.floats(-2.5, 2.5),
    gamma=st.floats(1e-4, 2.0),
    temperature=st.floats(0.05, 3.0),
)
def test_sandwich_of_dr_11_holds_everywhere(x, gamma, temperature):
    loss = lipschitz_double_well()
    value = local_entropy(loss, x, gamma=gamma, temperature=temperature)
    blurred = heat_smoothing(loss, x, variance=gamma * temperature)
    assert loss.floor - 1e-12 <= value <= blurred + 1e-12


def test_heat_smoothing_in_closed_form(rippled):
    variance = 0.15
    exact = (0.7**2 + variance) / 2 + math.exp(-4.5 * variance) * math.cos(2.1)
    assert heat_smoothing(rippled, 0.7, variance=variance) == pytest.approx(exact, abs=1e-12)
    bowl = quadratic(np.diag([1.0, 3.0]))
    assert heat_smoothing(bowl, (0.5, 1.0), variance=0.2) == pytest.approx(1.625 + 0.4, abs=1e-12)


def test_shapes_follow_the_points():
    loss, x = double_well_2d(), np.zeros((4, 3, 2))
    assert local_entropy(loss, x, **AT).shape == (4, 3)
    assert local_entropy_grad(loss, x, **AT).shape == (4, 3, 2)
    assert gibbs_moments(loss, x, **AT).cov.shape == (4, 3, 2, 2)
    assert heat_smoothing(loss, x, variance=0.1).shape == (4, 3)
    assert local_entropy(lipschitz_double_well(), 0.5, **AT).shape == ()


@pytest.mark.parametrize("name", ["gamma", "temperature"])
@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf])
def test_gamma_and_temperature_must_be_positive(name, bad):
    for call in (local_entropy, local_entropy_grad, gibbs_moments):
        with pytest.raises(ValueError, match=f"{name} = .*: need 0 < {name} < inf"):
            call(quadratic(1.0), 0.0, **(AT | {name: bad}))
    with pytest.raises(ValueError, match=f"{name} = .*: need 0 < {name} < inf"):
        local_entropy_on_grid(Grid.box(0, 1, 9), np.zeros(9), **(AT | {name: bad}))


def test_what_is_no_landscape_and_no_grid_is_refused():
    for call in (local_entropy, local_entropy_grad, gibbs_moments):
        with pytest.raises(
            ValueError, match=r"landscape = None: need type Landscape; see relaxlib"
        ):
            call(None, 0.0, **AT)
    with pytest.raises(ValueError, match=r"landscape = 'f': need type Landscape; see relaxlib"):
        heat_smoothing("f", 0.0, variance=1.0)
    with pytest.raises(ValueError, match=r"grid = 9: need type Grid; see relaxlib.grid"):
        local_entropy_on_grid(9, np.zeros(9), **AT)


def test_bad_points_variance_and_dimension_are_refused():
    with pytest.raises(ValueError, match=r"x\.shape = \(3,\): need a trailing axis of length 2"):
        local_entropy(double_well_2d(), np.zeros(3), **AT)
    with pytest.raises(ValueError, match="variance = -1: need"):
        heat_smoothing(quadratic(1.0), 0.0, variance=-1.0)
    with pytest.raises(ValueError, match="3"):
        local_entropy(quadratic(np.eye(4)), np.zeros(4), **AT)


def test_a_loss_below_its_floor_is_reported_not_integrated():
    falling = Landscape.from_functions(
        lambda y: -(y**4), lambda y: -4 * y**3, dim=1, box=(-1, 1), growth=0.0
    )
    with pytest.raises(ArithmeticError, match=r"quadrature at x = \[0\.5\]: residual .* floor"):
        local_entropy(falling, 0.5, gamma=2.0, temperature=0.5)


def test_a_point_where_the_loss_is_infinite_is_refused():
    with pytest.raises(ValueError, match="need a finite loss"):
        local_entropy(exponential_ramp(), (800.0, 0.0), **AT)


# ---- arrays on a grid ----------------------------------------------------------------------


def brute_force(grid, values, gamma, temperature):
    """The trapezoidal sum over all pairs of nodes, in extended precision."""
    nodes = grid.nodes.astype(np.longdouble)
    spring = ((nodes[:, None] - nodes) ** 2).sum(axis=-1) / (2 * gamma)
    exponents = -(values.ravel().astype(np.longdouble) + spring) / temperature
    top = exponents.max(axis=1)
    norm = (2 * np.pi * gamma * temperature) ** (-grid.dim / 2)
    sums = np.exp(exponents - top[:, None]) @ (norm * grid.volumes.ravel())
    return (-temperature * (top + np.log(sums))).astype(float).reshape(grid.shape)


FIELDS = {
    "smooth": lambda x: 1500 * (1 + np.sin(3 * x.sum(axis=1))),
    "cliff": lambda x: np.where(x[:, 0] < 0.1, 3000.0, 0.0),
    "rough": lambda x: 3000 * np.random.default_rng(0).random(len(x)),
}


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("spread", [1.2, 7.0, 60.0])
@pytest.mark.parametrize("shape", [(401,), (41, 23), (11, 9, 7)], ids=["1-d", "2-d", "3-d"])
def test_grid_sum_is_exact_over_a_range_of_3000(field, spread, shape):
    grid = Grid.box([-1.0] * len(shape), [1.0] * len(shape), shape)
    values = grid.sample(FIELDS[field])
    gamma, temperature = (spread * grid.spacings.max()) ** 2 / 0.5, 0.5
    found = local_entropy_on_grid(grid, values, gamma=gamma, temperature=temperature)
    reference = brute_force(grid, values, gamma, temperature)
    assert np.abs(found - reference).max() / temperature < 3000 * 4e-16 * 4


def test_grid_and_quadrature_agree_in_the_interior():
    grid = Grid.box(-8, 8, 1601)
    values = grid.sample(lipschitz_double_well().value)
    inner = np.abs(grid.axes[0]) < 2
    on_grid = local_entropy_on_grid(grid, values, gamma=0.5, temperature=1 / 3)[inner]
    exact = local_entropy(lipschitz_double_well(), grid.nodes[inner], gamma=0.5, temperature=1 / 3)
    assert on_grid == pytest.approx(exact, abs=1e-11)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10**6), constant=st.floats(-50, 50), spread=st.floats(1.0, 20.0))
def test_constants_pass_order_is_kept_and_axes_may_be_swapped(seed, constant, spread):
    rng = np.random.default_rng(seed)
    grid, swapped = Grid.box((0, 0), (1, 2), (17, 33)), Grid.box((0, 0), (2, 1), (33, 17))
    values = 100 * rng.random(grid.shape)
    at = {"gamma": (spread / 16) ** 2, "temperature": 1.0}
    smoothed = local_entropy_on_grid(grid, values, **at)
    raised = local_entropy_on_grid(grid, values + constant, **at)
    assert raised == pytest.approx(smoothed + constant, abs=1e-10)
    assert (local_entropy_on_grid(grid, values + rng.random(grid.shape), **at) > smoothed).all()
    assert local_entropy_on_grid(swapped, values.T, **at) == pytest.approx(smoothed.T, abs=1e-11)


def test_grid_input_is_checked():
    grid, values = Grid.box(-1, 1, 21), np.zeros(21)
    with pytest.raises(ValueError, match=r"values\[3\] = nan: need finite entries"):
        local_entropy_on_grid(grid, np.where(np.arange(21) == 3, np.nan, values), **AT)
    with pytest.raises(ValueError, match=r"values\.shape = \(20,\)"):
        local_entropy_on_grid(grid, values[:20], **AT)
    with pytest.raises(ValueError, match="gamma\\*temperature"):
        local_entropy_on_grid(grid, values, gamma=1e-3, temperature=1.0)
