"""Mean exit times from the operator: orders, degenerate noise, traps, Feynman–Kac problems."""

import numpy as np
import pytest
from scipy.special import hyp1f1

from relaxlib.diffusions import Diffusion, langevin, ornstein_uhlenbeck
from relaxlib.exit_times import feynman_kac, interval_exit_time, mean_exit_time, radial_exit_time
from relaxlib.grid import Grid
from relaxlib.landscapes import double_well, double_well_2d, quadratic
from relaxlib.multigrid import _solve
from relaxlib.operators import kolmogorov, langevin_operator
from relaxlib.paths import first_exits
from relaxlib.regions import Ball, Box

BOWL = quadratic(np.eye(2))


def square(n, half=1.1):
    return Grid.box((-half, -half), (half, half), (n, n))


def orders(errors):
    return np.log2(np.abs(errors[:-1]) / np.abs(errors[1:]))


def test_second_order_on_the_disc():
    exact = radial_exit_time(langevin(quadratic(), temperature=0.2), 0.0, radius=1.0, dim=2)
    errors = []
    for n in (51, 101, 201):
        operator = kolmogorov(langevin(BOWL, temperature=0.2), square(n))
        errors.append(mean_exit_time(operator, Ball((0, 0), 1.0))[n // 2, n // 2] - exact)
    assert np.all(orders(np.array(errors)) > 1.8), errors


@pytest.mark.parametrize(
    ("across", "least", "most"), [(0.0, 1.8, 2.5), (1.0, 0.7, 1.5)], ids=["still", "upwind"]
)
def test_order_without_noise_is_two_unless_a_drift_moves_there(across, least, most):
    """Times from (0, -1/2): a drift across the noise leads to longer chords, by upwind jumps."""
    flow = ornstein_uhlenbeck(np.diag([1.0, across]), np.diag([1.0, 0.0]), temperature=0.5)
    times = []
    for n in (23, 45, 89, 177):
        operator = kolmogorov(flow, square(n))
        times.append(mean_exit_time(operator, Ball((0, 0), 1.0))[n // 2, 6 * (n // 22)])
    if across == 0.0:
        line, half = ornstein_uhlenbeck(1.0, 1.0, temperature=0.5), np.sqrt(0.75)
        errors = np.array(times) - interval_exit_time(line, 0.0, lower=-half, upper=half)
    else:
        errors = np.diff(times)
    assert np.all((orders(errors) > least) & (orders(errors) < most)), errors


def test_first_order_on_a_mask():
    exact = radial_exit_time(langevin(quadratic(), temperature=0.2), 0.0, radius=1.0, dim=2)
    errors = []
    for n in (51, 101, 201):
        operator = kolmogorov(langevin(BOWL, temperature=0.2), square(n))
        mask = operator.grid.sample(lambda x: np.linalg.norm(x, axis=1)) < 1.0
        errors.append(mean_exit_time(operator, mask)[n // 2, n // 2] - exact)
    assert 0.5 < orders(np.array(errors[::2]))[0] / 2 < 1.5, errors


def test_slanted_noise_on_the_disc():
    diffusion = langevin(BOWL, temperature=0.3, noise_cov=[[1.0, 0.8], [0.8, 1.0]])
    values = []
    for n in (51, 101, 201):
        u = mean_exit_time(kolmogorov(diffusion, square(n)), Ball((0, 0), 1.0))
        values.append(u[n // 2, n // 2])
    turned = langevin(BOWL, temperature=0.3, noise_cov=np.diag([1.8, 0.2]))
    reference = mean_exit_time(kolmogorov(turned, square(401)), Ball((0, 0), 1.0))[200, 200]
    assert abs(values[-1] - reference) < 1e-3
    assert abs(values[-1] - reference) < 0.4 * abs(values[-2] - reference) + 2e-4


def test_interval_agrees_with_quadrature():
    diffusion = langevin(double_well(), temperature=0.08)
    grid = Grid.box(-2.5, 2.5, 1001)
    u = mean_exit_time(kolmogorov(diffusion, grid), Box(-np.inf, 0.703))
    exact = interval_exit_time(diffusion, -1.0, lower=-np.inf, upper=0.703)
    assert u[300] == pytest.approx(exact, rel=2e-4)


def test_noise_in_one_direction_leaves_a_trace_on_the_square_and_none_on_the_disc():
    diffusion = langevin(BOWL, temperature=0.5, noise_cov=np.diag([1.0, 0.0]))
    operator = kolmogorov(diffusion, square(201, 1.0))
    exact = interval_exit_time(langevin(quadratic(), temperature=0.5), 0.0, lower=-1, upper=1)
    u = mean_exit_time(operator, Box((-1, -1), (1, 1)))
    assert u[100, -2] == pytest.approx(exact, rel=1e-4)
    assert mean_exit_time(operator, Ball((0, 0), 1.0))[100, -2] < 0.25 * exact


def test_simulated_exits_agree():
    diffusion = langevin(double_well_2d(), temperature=0.4)
    region = Ball((-1.0, 0.0), 0.9)
    grid = Grid.box((-2, -1), (0, 1), (201, 201))
    u = mean_exit_time(kolmogorov(diffusion, grid), region)[100, 100]
    sample = first_exits(
        diffusion, [-1, 0], region, dt=1e-3, max_steps=10**6, rng=4, paths=20_000
    ).mean()
    assert abs(sample.mean - u) < 3.5 * sample.stderr + 2e-3


def test_without_noise_the_time_is_infinite_in_the_basin_of_a_minimum_inside():
    flow = langevin(double_well(), temperature=0.0)
    grid = Grid.box(-2, 3.5, 1101)
    u = mean_exit_time(kolmogorov(flow, grid), Box(-0.5, 3.0))
    x = grid.nodes[:, 0]
    assert np.all(np.isinf(u[(x > 0.01) & (x < 3)]))
    start = -0.2  # the flow x' = x - x^3 reaches -1/2 after log tan of arcsin
    exact = 0.5 * np.log((0.25 / 0.75) / (start**2 / (1 - start**2)))
    assert u[np.argmin(np.abs(x - start))] == pytest.approx(exact, rel=1e-2)


def test_a_start_that_may_fall_into_a_trap_waits_for_ever():
    def noise(x, t):
        return 1.0 if abs(x) < 0.5 else 0.0

    trap = Diffusion.from_functions(lambda x, t: -0.1 * (x - 0.8), noise, dim=1)
    u = mean_exit_time(kolmogorov(trap, Grid.box(-1, 1, 101)), Box(-0.7, 2.0))
    assert np.all(np.isinf(u[40:]))


def test_laplace_transform_of_the_exit_time_of_an_ornstein_uhlenbeck_process():
    n, delta = 4.0, 4.0**-5
    diffusion = ornstein_uhlenbeck(1.0, 1.0, temperature=1.0)
    errors = []
    for intervals in (400, 800, 1600):
        operator = kolmogorov(diffusion, Grid.box(-n, n, intervals + 1))
        source = np.ones(intervals + 1)
        w = feynman_kac(operator, source, discount=delta, region=Box(-n, n))
        place = round((0.5 + n) / (2 * n) * intervals)
        ratio = hyp1f1(delta / 2, 0.5, 0.125) / hyp1f1(delta / 2, 0.5, n**2 / 2)
        errors.append(1 - delta * w[place] - ratio)
    assert np.all(orders(np.array(errors)) > 1.9), errors


def test_feynman_kac_is_linear_and_discount_zero_is_the_exit_time():
    operator = kolmogorov(langevin(BOWL, temperature=0.4), square(41))
    region, grid = Ball((0, 0), 1.0), operator.grid
    one, other = np.ones(grid.shape), grid.sample(lambda x: x[:, 0] ** 2)
    first, second, both = (
        feynman_kac(operator, h, discount=0.3, region=region) for h in (one, other, 2 * one - other)
    )
    np.testing.assert_allclose(both, 2 * first - second, atol=1e-12)
    undiscounted = feynman_kac(operator, one, discount=0.0, region=region)
    np.testing.assert_allclose(undiscounted, mean_exit_time(operator, region), rtol=1e-12)


def test_discount_zero_is_refused_where_the_process_may_stay():
    flow = kolmogorov(langevin(double_well(), temperature=0.0), Grid.box(-2, 2, 41))
    with pytest.raises(ValueError, match="need discount > 0, as the process may stay"):
        feynman_kac(flow, np.ones(41), discount=0.0, region=Box(-1.5, 1.5))


def test_times_beyond_double_precision_are_refused():
    cold = kolmogorov(langevin(double_well(), temperature=0.008), Grid.box(-2, 2, 401))
    with pytest.raises(ArithmeticError, match=r"rounding costs .* of it.*interval_exit_time"):
        mean_exit_time(cold, Box(-np.inf, 0.7))


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"discount": -1.0}, "discount = -1: need 0 <= discount < inf"),
        ({"source": np.ones(3)}, r"source.shape = \(3,\)"),
        ({"source": np.full(41, np.nan)}, r"source\[0\] = nan"),
    ],
)
def test_bad_input(kwargs, message):
    operator = kolmogorov(langevin(double_well(), temperature=0.3), Grid.box(-2, 2, 41))
    arguments = {"source": np.ones(41), "discount": 1.0, "region": Box(-1.0, 1.0)} | kwargs
    with pytest.raises(ValueError, match=message):
        feynman_kac(operator, **arguments)


def test_multigrid_and_the_direct_solver_agree(monkeypatch):
    operator = kolmogorov(langevin(double_well_2d(), temperature=0.2), square(221, 1.8))
    region = Box((-np.inf, -1.5), (0.4, 1.5))
    fast = mean_exit_time(operator, region)
    # no problem is known that only the direct solver solves: here multigrid has to give up
    monkeypatch.setattr(_solve, "_CYCLES", 2)
    slow = mean_exit_time(operator, region)
    np.testing.assert_allclose(slow, fast, rtol=1e-7)
    assert not np.array_equal(slow, fast)


def test_many_nodes_on_the_line_and_long_jumps_are_solved_for_directly():
    line = langevin_operator(Grid.box(-2, 2, 30_001), np.zeros(30_001), temperature=0.5)
    assert mean_exit_time(line, Ball(0.0, 1.25))[15_000] == pytest.approx(1.5625, rel=1e-6)
    thin = langevin(BOWL, temperature=0.3, noise_cov=[[1.0, 0.45], [0.45, 0.25]])
    fine, coarse = (
        mean_exit_time(kolmogorov(thin, square(n)), Ball((0, 0), 1.0))[n // 2, n // 2]
        for n in (201, 101)  # more than 20 000 nodes in the disc, and fewer
    )
    assert fine == pytest.approx(coarse, rel=2e-3)
