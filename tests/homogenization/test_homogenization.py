"""Averaging: the effective flow, cell problems, the exact error of the quadratic pair, and HMM."""

import numpy as np
import pytest

from relaxlib.diffusions import Diffusion, ornstein_uhlenbeck
from relaxlib.fokker_planck import stationary
from relaxlib.grid import Grid
from relaxlib.homogenization import (
    averaging_error,
    cell_problem,
    effective_drift,
    effective_flow,
    hmm,
)
from relaxlib.landscapes import Landscape, lipschitz_double_well, quadratic
from relaxlib.operators import kolmogorov, langevin_operator
from relaxlib.smoothing import local_entropy

FACTS = {"gamma": 0.5, "temperature": 0.5}
START = {"x0": 1.0, "y0": -1.0, "t": 1.0}
RUNNING = lipschitz_double_well()
LIMIT = np.exp(-2 / 3)
CONSTANT = (1 - np.exp(-4 / 3)) / 3  # T (1 - e^{-2ct}) / (a (1 + a gamma)), a = 1, c = 2/3


def test_effective_drift_descends_the_local_entropy():
    x, facts = np.array([[-0.8], [0.3], [1.5]]), {"gamma": 0.5, "temperature": 1 / 3}
    ahead, behind = (local_entropy(RUNNING, x + h, **facts) for h in (1e-5, -1e-5))
    drift = effective_drift(RUNNING, x, **facts)
    np.testing.assert_allclose(drift[:, 0], (behind - ahead) / 2e-5, atol=1e-8)


def test_effective_flow_of_a_quadratic_in_the_plane():
    hess = np.array([[2.0, 0.5], [0.5, 1.0]])
    center = np.array([1.0, -1.0])
    start, times = np.array([0.0, 2.0]), [0.0, 0.5, 2.0]
    flow = effective_flow(quadratic(hess, center=center), start, times, **FACTS)
    rates, axes = np.linalg.eigh(hess @ np.linalg.inv(np.eye(2) + 0.5 * hess))
    for t, x in zip(times, flow, strict=True):
        exact = center + axes @ (np.exp(-rates * t) * (axes.T @ (start - center)))
        np.testing.assert_allclose(x, exact, atol=1e-9)


def test_cell_problem_of_a_square_under_an_ornstein_uhlenbeck_process():
    kappa, grid = 1.5, Grid.box(-8, 8, 3201)
    y = grid.nodes[:, 0]
    cell = cell_problem(kolmogorov(ornstein_uhlenbeck(kappa, 1.0, temperature=1.0), grid), y**2)
    exact = 1 / (2 * kappa**2) - y**2 / (2 * kappa)
    middle = np.abs(y) < 4
    assert cell.average == pytest.approx(1 / kappa, rel=1e-4)
    np.testing.assert_allclose(-cell.corrector[middle], exact[middle], atol=2e-3)
    assert cell.fluctuation == pytest.approx(1 / kappa**3, rel=1e-3)  # Var(y^2) / (2 kappa)


def test_cell_problem_without_detailed_balance():
    swirl = ornstein_uhlenbeck([[1.0, -2.0], [2.0, 1.0]], np.eye(2), temperature=0.5)
    grid = Grid.box((-4, -4), (4, 4), (81, 81))
    operator = kolmogorov(swirl, grid)
    source = grid.nodes[:, 0].reshape(grid.shape)
    cell = cell_problem(operator, source)
    masses = stationary(operator) * operator.volumes
    flaw = operator.matrix @ cell.corrector.ravel() + source.ravel() - cell.average
    assert np.abs(flaw).max() < 1e-9
    assert abs((masses * cell.corrector).sum()) < 1e-12
    # chi = (C^T)^{-1} e_1 . y, so D = T e_1 . C^{-1} e_1 = 0.5 / (1 + 4)
    assert cell.fluctuation == pytest.approx(0.1, rel=0.02)


def test_fluctuation_is_the_variance_of_a_time_average():
    grid = Grid.box(-6, 6, 1201)
    y = grid.nodes[:, 0]
    cell = cell_problem(langevin_operator(grid, 1.5 * y**2, temperature=0.5), y)
    # Ornstein-Uhlenbeck with rate 3: variance 1/6, correlation time 1/3
    assert cell.fluctuation == pytest.approx(1 / 18, rel=1e-3)


def test_a_fast_variable_that_hardly_mixes_is_refused():
    grid = Grid.box(-2, 2, 201)
    y = grid.nodes[:, 0]
    cold = langevin_operator(grid, (y**2 - 1) ** 2 / 4, temperature=0.004)
    with pytest.raises(ArithmeticError, match=r"residual .* the fast variable hardly mixes"):
        cell_problem(cold, y)


def test_corollary_1_1_the_error_of_the_quadratic_pair_is_exact():
    epsilons = [0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001]
    found = averaging_error(quadratic(), epsilons, **FACTS, **START)
    known = [
        4.693839e-2,
        2.379803e-2,
        1.205679e-2,
        4.871706e-3,
        2.445008e-3,
        1.224889e-3,
        4.905402e-4,
        2.453686e-4,
    ]
    np.testing.assert_allclose(found.errors, known, rtol=1e-6)
    assert found.errors[-1] / epsilons[-1] == pytest.approx(CONSTANT, rel=1e-3)
    assert not found.stderrs.any()


def test_the_constant_does_not_depend_on_the_start():
    for y0 in (-1.0, 0.0, 2.0):
        found = averaging_error(quadratic(), 1e-4, **FACTS, x0=1.0, y0=y0, t=1.0)
        assert found.errors[0] / 1e-4 == pytest.approx(CONSTANT, rel=2e-4)
        shift = LIMIT * (2.25 * y0 - 1.5 + 1.0) / 1.5**3
        assert (found.means - found.limit)[0, 0] / 1e-4 == pytest.approx(shift, rel=3e-4)


def test_the_simulated_error_agrees_with_the_exact_one():
    disguised = Landscape.from_functions(lambda x: x * x / 2, lambda x: x, dim=1, box=(-3, 3))
    exact = averaging_error(quadratic(), [0.1, 0.02], **FACTS, **START)
    found = averaging_error(disguised, [0.1, 0.02], **FACTS, **START, paths=20_000, rng=1)
    assert np.all(np.abs(found.errors - exact.errors) < 4 * found.stderrs + 0.02 * exact.errors)
    assert np.all(found.stderrs > 0)


def test_the_error_off_center_and_in_the_plane():
    hess, center = np.diag([1.0, 2.0]), np.array([3.0, -1.0])
    start = {"x0": center + 1.0, "y0": center - 1.0, "t": 1.0}
    both = averaging_error(quadratic(hess, center=center), 0.05, **FACTS, **start)
    each = [averaging_error(quadratic(a), 0.05, **FACTS, **START).errors[0] for a in (1.0, 2.0)]
    assert both.errors[0] == pytest.approx(sum(each), rel=1e-9)


@pytest.mark.parametrize(("dt", "micro_steps"), [(0.05, 40), (0.02, 16)])
def test_hmm_is_the_pair_with_a_larger_epsilon(dt, micro_steps):
    how = {"dt": dt, "steps": round(1 / dt), "micro_steps": micro_steps}
    run = hmm(quadratic(), 1.0, y0=-1.0, **FACTS, **how, paths=20_000, rng=3)
    x = run.paths[-1, :, 0]
    epsilon = dt / (0.05 * micro_steps)
    exact = averaging_error(quadratic(), epsilon, **FACTS, **START)
    assert x.var() == pytest.approx(
        exact.errors[0] - (exact.means - exact.limit)[0, 0] ** 2, rel=0.05
    )
    assert abs(x.mean() - exact.means[0, 0]) < 0.3 * dt
    assert run.times.tolist() == [1.0]


def test_hmm_keeps_the_law_of_the_fast_variable():
    how = {"dt": 0.05, "steps": 60, "micro_steps": 200, "save_every": 30}
    run = hmm(quadratic(), np.zeros((20_000, 1)), **FACTS, **how, rng=2)
    assert run.paths.shape == (3, 20_000, 2)
    assert run.times.tolist() == pytest.approx([0.0, 1.5, 3.0])
    x, y = run.paths[-1].T
    given_x = y - np.polyval(np.polyfit(x, y, 1), x)
    assert given_x.var() == pytest.approx(1 / 6, rel=0.04)


def test_hmm_in_the_plane_moves_the_coordinates_apart():
    start = np.array([1.0, 2.0])
    how = {"dt": 0.02, "steps": 50, "micro_steps": 200, "paths": 500, "rng": 1}
    x = hmm(quadratic(np.diag([1.0, 3.0])), start, **FACTS, **how).paths[-1, :, :2]
    flow = effective_flow(quadratic(np.diag([1.0, 3.0])), start, [1.0], **FACTS)
    np.testing.assert_allclose(x.mean(axis=0), flow[0], atol=0.03)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"dt": 1.0}, r"dt = 1: need dt < 2 gamma = 1, the bound of a macro step"),
        ({"micro_dt": 0.7}, r"dt = 0.7: need dt < 0.667, the stability bound"),
        ({"micro_steps": 0}, "micro_steps = 0: need an integer >= 1"),
        ({"gamma": -1.0}, "gamma = -1: need 0 < gamma < inf"),
        ({"temperature": 0.0}, "temperature = 0: need 0 < temperature < inf"),
        ({"save_every": 3}, "save_every = 3: need a divisor of steps = 20"),
    ],
)
def test_hmm_checks_its_arguments(kwargs, message):
    with pytest.raises(ValueError, match=message):
        hmm(quadratic(), 1.0, **{**FACTS, "dt": 0.05, "steps": 20, "rng": 1, **kwargs})


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"epsilons": [0.1, -0.1]}, "epsilon = -0.1: need 0 < epsilon < inf"),
        ({"t": 0.0}, "t = 0: need 0 < t < inf"),
        ({"paths": 1}, "paths = 1: need an integer >= 2"),
        ({"landscape": "quadratic"}, "landscape = 'quadratic': need type Landscape"),
    ],
)
def test_averaging_error_checks_its_arguments(kwargs, message):
    with pytest.raises(ValueError, match=message):
        averaging_error(**{"landscape": quadratic(), "epsilons": 0.1, **FACTS, **START, **kwargs})


def test_effective_flow_checks_its_times():
    with pytest.raises(ValueError, match=r"times\[-1\] = 0: need 0 < times"):
        effective_flow(quadratic(), 1.0, [0.0], **FACTS)
    with pytest.raises(ValueError, match="strictly increasing times"):
        effective_flow(quadratic(), 1.0, [1.0, 0.5], **FACTS)


def test_an_averaged_flow_that_does_not_stay_finite_is_reported(monkeypatch):
    """No loss that quadrature can integrate has such a flow, so its drift is replaced."""
    drift = "relaxlib.homogenization._averaging.effective_drift"
    monkeypatch.setattr(drift, lambda landscape, x, **facts: x * x)
    with pytest.raises(ArithmeticError, match="averaged flow stops at t = "):
        effective_flow(quadratic(), 1.0, [0.0, 2.0], **FACTS)


def test_cell_problem_refuses_walls_that_absorb_and_two_closed_classes():
    grid = Grid.box(-1, 1, 21)
    y = grid.nodes[:, 0]
    with pytest.raises(ValueError, match="absorbing"):
        cell_problem(langevin_operator(grid, y**2, temperature=1.0, boundary="absorbing"), y)
    apart = Diffusion.from_functions(lambda x, t: x, [[0.0]], dim=1)
    with pytest.raises(ValueError, match="closed classes"):
        cell_problem(kolmogorov(apart, grid), y)
    with pytest.raises(ValueError, match=r"source.shape = \(3,\)"):
        cell_problem(langevin_operator(grid, y**2, temperature=1.0), np.ones(3))
