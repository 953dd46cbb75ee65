"""Learning rates as controls: velocities, effective problem, two-scale values and feedback."""

import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from relaxlib.diffusions import two_scale
from relaxlib.grid import Grid, ValueFunction
from relaxlib.homogenization import effective_flow
from relaxlib.landscapes import Landscape, lipschitz_double_well, quadratic
from relaxlib.learning_rates import (
    controlled_two_scale,
    effective_hamiltonian,
    extended_value,
    optimal_trajectory,
    reachable_set,
    standard_value,
    support_function,
    two_scale_value,
    velocity_set,
)
from relaxlib.paths import estimate, simulate
from relaxlib.smoothing import local_entropy_grad

AT = {"gamma": 0.5, "temperature": 1 / 3}
RUNNING = lipschitz_double_well()
PARABOLA = {"gamma": 0.5, "temperature": 0.5}
BOX = (-2.2, -3.6), (2.2, 3.6)
START = [-0.8, -0.8]


@pytest.fixture(scope="module")
def plane():
    """A tilted double well in the plane whose coordinates interact."""

    def value(y):
        well = y[0] ** 2 / 2 - 0.5 * math.log(math.cosh(2 * y[0])) - 0.1 * y[0]
        return well + y[1] ** 2 / 2 + 0.3 * y[0] * y[1]

    def grad(y, out):
        out[0] = y[0] - math.tanh(2 * y[0]) - 0.1 + 0.3 * y[1]
        out[1] = y[1] + 0.3 * y[0]

    return Landscape.from_functions(value, grad, dim=2, box=((-3, -3), (3, 3)))


@pytest.fixture(scope="module")
def values():
    """Value functions at epsilon = 0.1 on two grids."""
    sizes, facts = ((111, 81), (221, 161)), {"epsilon": 0.1, "horizon": 4.0} | AT
    return [two_scale_value(RUNNING, Grid.box(*BOX, size), **facts) for size in sizes]


def rectify(t, x, y):
    return 1.0 if y[0] > x[0] else 0.0


@pytest.mark.parametrize("x", [-0.8, 0.0, 0.5])
def test_velocity_set_against_adaptive_quadrature(x):
    def density(y):
        return math.exp(-(float(RUNNING.value(y)) + (x - y) ** 2) / AT["temperature"])

    mass = quad(density, x - 6, x + 6, points=[x], epsabs=1e-13)[0]
    ahead = quad(lambda y: 2 * (y - x) * density(y), x, x + 6, epsabs=1e-13)[0] / mass
    behind = quad(lambda y: 2 * (y - x) * density(y), x - 6, x, epsabs=1e-13)[0] / mass
    np.testing.assert_allclose(velocity_set(RUNNING, x, **AT), (behind, ahead), atol=1e-9)
    mixed = velocity_set(RUNNING, x, controls=(0.2, 0.7), **AT)
    expected = 0.7 * behind + 0.2 * ahead, 0.7 * ahead + 0.2 * behind
    np.testing.assert_allclose(mixed, expected, atol=1e-9)


def test_velocity_set_of_a_constant_rate_is_the_entropic_gradient():
    slope = local_entropy_grad(RUNNING, -0.8, **AT).item()
    found = velocity_set(RUNNING, -0.8, controls=(0.4, 0.4), **AT)
    np.testing.assert_allclose(found, [-0.4 * slope] * 2, atol=1e-10)


def test_velocity_set_of_a_parabola_in_closed_form():
    deviation, distance = np.sqrt(1 / 6), 1 / 3
    ratio = distance / deviation
    expected = -(distance * norm.cdf(ratio) + deviation * norm.pdf(ratio)) / 0.5
    assert velocity_set(quadratic(), 1.0, **PARABOLA)[0] == pytest.approx(expected, abs=1e-10)


def test_velocity_set_at_low_temperature():
    low, high = velocity_set(quadratic(), 1.0, gamma=0.5, temperature=1e-8)
    assert low == pytest.approx(-2 / 3, abs=1e-9)
    assert abs(high) < 1e-12


def test_support_function_in_the_plane(plane):
    facts, x = {"gamma": 0.4, "temperature": 1 / 3}, [-0.8, 0.5]
    angles = np.radians([0, 45, 90, 135, 180, 225, 270])
    found = [support_function(plane, x, [np.cos(a), np.sin(a)], **facts) for a in angles]
    expected = [0.2998814, 0.2272737, 0.2273380, 0.2951721, 0.3644955, 0.4003664, 0.4075140]
    np.testing.assert_allclose(found, expected, atol=1e-7)
    doubled = support_function(plane, x, [0.0, 2.0], **facts)
    assert doubled == pytest.approx(2 * found[2], rel=1e-9)
    assert support_function(plane, x, [0.0, 0.0], **facts) == 0.0
    large = support_function(plane, x, [0.0, 1e200], **facts)
    assert large == pytest.approx(1e200 * found[2], rel=1e-9)


def test_support_function_of_a_separable_loss_is_that_of_the_line():
    facts = {"gamma": 0.5, "temperature": 0.5}
    flat = support_function(quadratic(np.eye(2)), [1.0, 0.3], [-1.0, 0.0], **facts)
    assert flat == pytest.approx(-velocity_set(quadratic(), 1.0, **facts)[0], abs=1e-9)


def test_effective_hamiltonian_is_the_support_function_backward():
    for p in (1.0, -2.5):
        v_min, v_max = velocity_set(RUNNING, -0.8, **AT)
        expected = max(-p * v_min, -p * v_max)
        assert effective_hamiltonian(RUNNING, -0.8, p, **AT) == pytest.approx(expected, abs=1e-10)


def test_reachable_set_starts_at_the_point_and_grows():
    tube = reachable_set(RUNNING, -0.8, [0.0, 1e-3, 2.0, 4.0], **AT)
    np.testing.assert_allclose(tube[0], -0.8)
    np.testing.assert_allclose((tube[1] + 0.8) / 1e-3, velocity_set(RUNNING, -0.8, **AT), rtol=1e-2)
    np.testing.assert_allclose(tube[3], [-1.493938658, 0.719088784], atol=1e-8)


def test_values_of_the_running_example():
    for x, standard, extended in ((-0.8, -0.0734030763, -0.213284661), (0.0, -0.208116, -0.264854)):
        how = {"horizon": 4.0} | AT
        assert standard_value(RUNNING, x, **how) == pytest.approx(standard, abs=1e-6)
        assert extended_value(RUNNING, x, **how) == pytest.approx(extended, abs=1e-6)


def test_standard_value_in_the_plane_ends_on_the_flow(plane):
    how = {"gamma": 0.4, "temperature": 1 / 3}
    value = standard_value(plane, [-0.8, 0.5], horizon=4.0, **how)
    end = effective_flow(plane, [-0.8, 0.5], [4.0], **how)[-1]
    assert value == pytest.approx(float(plane.value(end)), abs=1e-8)
    assert value == pytest.approx(-0.106556, abs=1e-6)


def test_values_without_a_choice_are_the_flow():
    how = {"horizon": 1.0, "controls": (1.0, 1.0)} | PARABOLA
    end = np.exp(-2 / 3)
    assert standard_value(quadratic(), 1.0, **how) == pytest.approx(end**2 / 2, abs=1e-9)
    assert extended_value(quadratic(), 1.0, **how) == pytest.approx(end**2 / 2, abs=1e-9)


def test_optimal_trajectory_runs_at_full_speed_to_a_far_minimum():
    path = optimal_trajectory(RUNNING, -0.8, horizon=4.0, steps=4, **AT)
    tube = reachable_set(RUNNING, -0.8, path.times, **AT)
    np.testing.assert_allclose(path.points[:, 0], tube[:, 1], atol=1e-8)
    assert (path.directions == 1.0).all()


def test_optimal_trajectory_stops_at_a_near_minimum():
    path = optimal_trajectory(RUNNING, 0.8, horizon=1.0, **AT)
    assert path.points[-1, 0] == pytest.approx(RUNNING.minima[0, 0], abs=1e-6)


def test_optimal_trajectory_in_the_plane(plane):
    how = {"gamma": 0.4, "temperature": 1 / 3, "horizon": 4.0}
    path = optimal_trajectory(plane, [-0.8, 0.5], **how)
    np.testing.assert_allclose(path.points[-1], [0.737962, -0.127410], atol=1e-4)
    downhill = -plane.grad(path.points[-1])
    np.testing.assert_allclose(
        path.directions[-1], downhill / np.linalg.norm(downhill), atol=1e-4
    )  # transversality
    assert float(plane.value(path.points[-1])) == pytest.approx(-0.238443, abs=1e-6)


def test_extended_value_in_the_plane_from_a_minimum_is_its_value():
    bowl = quadratic(np.diag([1.0, 2.0]))
    how = {"gamma": 0.2, "temperature": 0.5, "horizon": 0.5}
    assert extended_value(bowl, [0.01, 0.0], **how) == pytest.approx(0.0, abs=1e-3)


def test_two_scale_value_between_its_neighbors(values):
    coarse, fine = (float(value.interpolate(START)) for value in values)
    assert abs(fine - coarse) < 1e-3
    assert fine == pytest.approx(-0.1602, abs=3e-4)  # 881 x 321 nodes, half the step
    assert values[1].times[[0, -1]].tolist() == [0.0, 4.0]
    loss = RUNNING.value(values[1].grid.axes[0][:, None])
    np.testing.assert_array_equal(values[1].values[0], np.repeat(loss[:, None], 161, axis=1))


def test_two_scale_value_tends_to_the_extended_value_at_first_order():
    grid, limit = Grid.box(*BOX, (221, 161)), extended_value(RUNNING, -0.8, horizon=4.0, **AT)
    gaps = []
    for epsilon in (0.05, 0.025, 0.0125):
        value = two_scale_value(RUNNING, grid, epsilon=epsilon, horizon=4.0, **AT)
        gaps.append(float(value.interpolate(START)) - limit)
    np.testing.assert_allclose(gaps, [0.0328, 0.0180, 0.0093], atol=1e-3)
    assert 1.7 < gaps[0] / gaps[1] < gaps[1] / gaps[2] < 2.1


def test_two_scale_value_without_a_choice_is_the_mean_over_paths():
    grid, epsilon = Grid.box(*BOX, (221, 161)), 0.1
    how = {"epsilon": epsilon, "horizon": 2.0, "controls": (1.0, 1.0)} | AT
    value = float(two_scale_value(RUNNING, grid, **how).interpolate([0.2, -0.5]))
    pair = two_scale(RUNNING, epsilon=epsilon, **AT)
    clock = {"dt": 0.005, "steps": 400, "scheme": "leimkuhler-matthews"}
    ends = simulate(pair, [0.2, -0.5], rng=1, paths=20_000, **clock).paths[0]
    seen = estimate(RUNNING.value(ends[:, :1]))
    assert abs(seen.mean - value) < 4 * seen.stderr + 1e-3


def test_the_feedback_of_the_value_attains_it_and_the_rectifier_does_not(values):
    clock = {"dt": 0.005, "steps": 800, "scheme": "leimkuhler-matthews", "paths": 20_000}
    found = []
    for control in (values[1], rectify):
        pair = controlled_two_scale(RUNNING, control, epsilon=0.1, **AT)
        found.append(estimate(RUNNING.value(simulate(pair, START, rng=2, **clock).paths[0, :, :1])))
    value = float(values[1].interpolate(START))
    assert abs(found[0].mean - value) < 4 * found[0].stderr + 1e-3
    assert found[1].mean > value + 2e-3


def test_controls_bound_the_feedback(values):
    pair = controlled_two_scale(RUNNING, values[1], epsilon=0.1, controls=(0.25, 0.5), **AT)
    drift = pair.drift_at([[-0.3, 0.2], [-0.3, -0.8]])[:, 0]
    np.testing.assert_allclose(drift, [0.5 * 1.0, -0.25 * 1.0])


def test_controlled_two_scale_in_the_plane(plane):
    def toward(t, x, y):
        return 1.0 if (y[1] - x[1]) > 0.0 else 0.5

    pair = controlled_two_scale(plane, toward, gamma=0.4, temperature=0.5, epsilon=0.1)
    free = two_scale(plane, gamma=0.4, temperature=0.5, epsilon=0.1)
    state = np.array([[0.1, 0.2, -0.3, 0.4], [0.1, 0.2, -0.3, 0.0]])
    expected = free.drift_at(state) * np.array([[1.0, 1, 1, 1], [0.5, 0.5, 1, 1]])
    np.testing.assert_allclose(pair.drift_at(state), expected)
    np.testing.assert_allclose(pair.noise, free.noise)


def table(times):
    return ValueFunction(Grid.box(*BOX, (3, 3)), np.array(times), np.zeros((len(times), 3, 3)))


ONE = {"horizon": 1.0} | AT
BAD = [
    (lambda: velocity_set(RUNNING, -0.8, controls=(0.5, 0.2), **AT), "0 <= a <= b"),
    (lambda: velocity_set(RUNNING, -0.8, controls=(-1.0, 1.0), **AT), "0 <= a <= b"),
    (lambda: velocity_set(RUNNING, -0.8, controls=(0.0, 0.0), **AT), "0 <= a <= b"),
    (lambda: velocity_set(RUNNING, -0.8, controls=1.0, **AT), "controls.shape"),
    (lambda: velocity_set(quadratic(np.eye(2)), [0, 0], **AT), "support_function"),
    (lambda: reachable_set(quadratic(np.eye(2)), [0, 0], [1.0], **AT), "optimal_trajectory"),
    (lambda: reachable_set(RUNNING, -0.8, [2.0, 1.0], **AT), "increasing"),
    (lambda: support_function(quadratic(np.eye(3)), np.zeros(3), np.ones(3), **AT), "dim <= 2"),
    (lambda: support_function("f", 0.0, 1.0, **AT), "type Landscape"),
    (lambda: support_function(RUNNING, 0.0, 1.0, gamma=-1, temperature=1), "0 < gamma"),
    (lambda: support_function(RUNNING, 0.0, 1.0, gamma=1, temperature=0), "0 < temperature"),
    (lambda: support_function(quadratic(-1.0), 0.0, 1.0, gamma=1.0, temperature=1.0), "diverges"),
    (lambda: effective_hamiltonian(RUNNING, 0.0, [1.0, 2.0], **AT), "p.shape"),
    (lambda: standard_value(RUNNING, 0.0, horizon=0.0, **AT), "0 < horizon"),
    (lambda: extended_value(RUNNING, 0.0, horizon=-1.0, **AT), "0 < horizon"),
    (lambda: extended_value(None, 0.0, **ONE), "type Landscape"),
    (lambda: optimal_trajectory(RUNNING, 0.0, steps=0, **ONE), "integer >= 1"),
    (
        lambda: optimal_trajectory(quadratic(np.eye(2)), [1, 1], controls=(0.5, 1.0), **ONE),
        "0 in the plane",
    ),
    (lambda: two_scale_value(RUNNING, Grid.box(0, 1, 5), epsilon=0.1, **ONE), "grid.dim"),
    (
        lambda: two_scale_value(quadratic(np.eye(2)), Grid.box(*BOX, (5, 5)), epsilon=0.1, **ONE),
        "landscape.dim",
    ),
    (
        lambda: two_scale_value(RUNNING, Grid.box(*BOX, (5, 5)), epsilon=0.0, **ONE),
        "0 < epsilon",
    ),
    (lambda: controlled_two_scale(RUNNING, 1.0, epsilon=0.1, **AT), "ValueFunction"),
    (
        lambda: controlled_two_scale(RUNNING, rectify, epsilon=0.1, controls=(1, 0), **AT),
        "0 <= a <= b",
    ),
    (
        lambda: controlled_two_scale(RUNNING, lambda t, x: 1.0, epsilon=0.1, **AT),
        r"control = <lambda>: need the arguments \(t, x, y\)",
    ),
    (
        lambda: controlled_two_scale(RUNNING, lambda t, x, y: x, epsilon=0.1, **AT),
        "control = <lambda> .*: need Python that numba compiles",
    ),
    (
        lambda: controlled_two_scale(RUNNING, table([0.0, 1.0, 3.0]), epsilon=0.1, **AT),
        "control.times = 3: need 2 or more even times",
    ),
    (
        lambda: controlled_two_scale(RUNNING, table([1.0, 2.0, 3.0]), epsilon=0.1, **AT),
        r"control.times\[0\] = 1: need times to go, from 0",
    ),
]


@pytest.mark.parametrize(("call", "message"), BAD)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_table_of_the_wrong_dimension_is_refused(values):
    with pytest.raises(ValueError, match=r"control\.grid\.dim = 2"):
        controlled_two_scale(quadratic(np.eye(2)), values[0], epsilon=0.1, **AT)


def test_a_loss_too_rough_for_the_quadrature():
    rough = Landscape.from_functions(
        lambda y: math.cos(500 * y),
        lambda y: -500 * math.sin(500 * y),
        dim=1,
        box=(-3, 3),
        floor=-1.0,
    )
    with pytest.raises(ArithmeticError, match="half-moments at x"):
        velocity_set(rough, 0.1, gamma=0.5, temperature=0.01)


def test_a_flow_that_does_not_stay_finite(monkeypatch):
    """No loss that quadrature can integrate has such a flow, so its velocities are replaced."""
    pull = "relaxlib.learning_rates._velocities.Velocities.pull"
    monkeypatch.setattr(pull, lambda self, x, e: (x**2, np.zeros_like(x)))
    with pytest.raises(ArithmeticError, match="effective flow stops at t = 1"):
        standard_value(RUNNING, 1.0, horizon=2.0, **AT)
    plain = quadratic(np.eye(2))
    with pytest.raises(ArithmeticError, match="effective flow stops at t = "):
        optimal_trajectory(plain, [1.0, 1.0], horizon=2.0, **AT)
