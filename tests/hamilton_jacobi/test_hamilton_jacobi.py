"""Hopf–Lax, the monotone scheme and the proximal map against brute force and closed forms."""

import os
import subprocess
import sys

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq

from relaxlib import landscapes
from relaxlib.grid import Grid
from relaxlib.hamilton_jacobi import hopf_lax, prox, solve_hj

QUICK = settings(deadline=None, max_examples=40, derandomize=True)
TIMES = st.sampled_from([1e-300, 1e-6, 1e-3, 0.02, 0.3, 5.0, 1e6, 1e300])


def brute_force(grid, values, t):
    squares = ((grid.nodes[:, None] - grid.nodes[None]) ** 2).sum(axis=-1)
    with np.errstate(over="ignore"):
        return (values.ravel() + squares / (2 * t)).min(axis=1).reshape(grid.shape)


def kinked():
    """f = (|y| - 1)²/2: two wells and a concave kink."""
    return landscapes.Landscape.from_functions(
        lambda y: (abs(y) - 1) ** 2 / 2,
        lambda y: y - np.sign(y),
        lambda y: 1.0,
        dim=1,
        box=(-2, 2),
        floor=0.0,
    )


def wavy():
    """f = cos(2y) + 0.1 y², the landscape of the ledger."""
    return landscapes.Landscape.from_functions(
        lambda y: np.cos(2 * y) + 0.1 * y * y,
        lambda y: -2 * np.sin(2 * y) + 0.2 * y,
        lambda y: -4 * np.cos(2 * y) + 0.2,
        dim=1,
        box=(-3, 3),
        floor=-1.0,
    )


# Hopf-Lax


@QUICK
@given(
    shape=st.sampled_from([(2,), (37,), (150,), (2, 3), (11, 20), (17, 9), (4, 5, 6), (2, 9, 3)]),
    seed=st.integers(0, 99),
    t=TIMES,
    smooth=st.booleans(),
)
def test_dr_lemma_2_hopf_lax_is_the_minimum_over_the_nodes(shape, seed, t, smooth):
    rng = np.random.default_rng(seed)
    grid = Grid.box(rng.uniform(-2, -1, len(shape)), rng.uniform(0, 3, len(shape)), shape)
    values = rng.normal(size=shape)
    if smooth:
        values = np.cos(3 * grid.nodes).sum(axis=1).reshape(shape)
    expected = brute_force(grid, values, t)
    np.testing.assert_allclose(hopf_lax(grid, values, t=t), expected, rtol=0, atol=4e-15)


@pytest.mark.parametrize("squares", [0.1, 0.5, 2.0, 20.0])
def test_hopf_lax_where_takeovers_are_as_dense_as_the_nodes(squares):
    grid = Grid.box(0, 1, 1000)
    t = squares * grid.spacings[0] ** 2
    for seed in range(15):
        values = np.random.default_rng(seed).normal(size=1000)
        expected = brute_force(grid, values, t)
        np.testing.assert_allclose(hopf_lax(grid, values, t=t), expected, rtol=0, atol=1e-12)


def test_hopf_lax_loses_no_digits_on_a_long_line():
    grid = Grid.box(0, 1, 300_001)
    x = grid.axes[0]
    values = np.cos(40 * x) + 0.01 * np.random.default_rng(0).normal(size=len(x))
    t = 1e-3
    u = hopf_lax(grid, values, t=t)
    for i in (0, 1234, 150_000, 299_999):  # x itself is rounded: eps |x| |x - y| / t = 7e-15
        assert abs(u[i] - (values + (x[i] - x) ** 2 / (2 * t)).min()) < 7e-15


def test_hopf_lax_ties_and_constants():
    grid = Grid.box(-1, 1, 9)
    assert hopf_lax(grid, np.full(9, 2.5), t=0.7).tolist() == [2.5] * 9
    values = np.where(np.arange(9) % 4 == 0, 0.0, 1e9)
    assert hopf_lax(grid, values, t=0.5).tolist() == [0, 1 / 16, 1 / 4, 1 / 16] * 2 + [0]


@pytest.mark.parametrize("t", [0, 5e-324])
def test_hopf_lax_at_time_zero_is_a_copy(t):
    for shape in ((50,), (6, 7)):
        grid = Grid.box([0] * len(shape), [1] * len(shape), shape)
        values = np.random.default_rng(3).normal(size=shape)
        u = hopf_lax(grid, values, t=t)
        assert (u == values).all()
        assert not np.shares_memory(u, values)


def test_hopf_lax_leaves_its_input_alone():
    grid = Grid.box((0, 0), (1, 1), (12, 13))
    values = np.random.default_rng(1).normal(size=(12, 13))
    before = values.copy()
    hopf_lax(grid, values, t=0.1)
    assert (values == before).all()


def test_hopf_lax_bits_do_not_depend_on_the_number_of_threads():
    grid = Grid.box((0, 0), (1, 1), (700, 801))
    values = np.random.default_rng(2).normal(size=grid.shape)
    threads = numba.get_num_threads()
    results = []
    for count in (1, threads):
        numba.set_num_threads(count)
        results.append(hopf_lax(grid, values, t=1e-4).tobytes())
    numba.set_num_threads(threads)
    assert results[0] == results[1]


def test_dr_remark_17_deep_minima_survive_and_shallow_ones_rise():
    grid = Grid.box(-7, 7, 1_400_001)
    x = grid.axes[0]
    f = 0.15 * x**2 + 0.5 * np.cos(4 * x + 1)
    minima = [-5.5049, -4.0154, -2.5097, -0.9978, 0.5160, 2.0289, 3.5372, 5.0338]
    nodes = np.round((np.array(minima) + 7) * 1e5).astype(int)
    nodes = [i - 50 + int(np.argmin(f[i - 50 : i + 51])) for i in nodes]
    drops = {t: (f - hopf_lax(grid, f, t=t))[nodes] for t in (0.05, 1.0, 2.0)}
    assert np.abs(drops[0.05]).max() < 1e-8
    ledger = [1.26511, 0.52889, 0, 0, 0, 0, 0.29830, 1.02802]
    np.testing.assert_allclose(drops[1.0], ledger, atol=1e-4)
    ledger = [1.72548, 1.00442, 0.28774, 0, 0, 0.06018, 0.77598, 1.49509]
    np.testing.assert_allclose(drops[2.0], ledger, atol=1e-4)


def test_dr_lemma_18_hopf_lax_curvature_is_at_most_c_over_1_plus_ct():
    grid = Grid.box(-6, 6, 12_001)
    x, h = grid.axes[0], grid.spacings[0]
    f = np.cos(2 * x) + 0.1 * x**2
    for t in (0.05, 0.2, 1.0):
        u = hopf_lax(grid, f, t=t)[3000:9001:50]
        curvature = np.diff(u, 2) / (50 * h) ** 2
        assert curvature.max() <= 4.2 / (1 + 4.2 * t) + 1e-3


# The monotone scheme


def errors_after_the_shock(counts, times):
    """Mean error of the scheme on a period of the cosine at t = 2, shock at t = 1."""
    errors = []
    for n in counts:
        fine = Grid.box(0, 2 * np.pi, 64 * n + 1)
        exact = hopf_lax(fine, np.cos(fine.axes[0]), t=2.0)[::64]
        grid = Grid.box(0, 2 * np.pi, n + 1)
        u = solve_hj(grid, np.cos(grid.axes[0]), t=times(2 * np.pi / n)).values[-1]
        errors.append(np.abs(u - exact)[:-1].mean())
    return np.array(errors)


def test_dr_lemma_2_the_scheme_finds_hopf_lax_after_the_shock():
    courant = errors_after_the_shock(
        (200, 400, 800), lambda h: np.linspace(0, 2, int(np.ceil(2 / (0.4 * h))) + 1)
    )
    np.testing.assert_allclose(courant, [0.00505, 0.00253, 0.00127], atol=5e-6)
    longest = errors_after_the_shock((200, 400, 800), lambda h: 2.0)
    order = np.polyfit(np.log([200, 400, 800]), np.log(longest), 1)[0]
    assert abs(order + 1) < 0.05
    assert (longest < courant).all()


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_dr_example_13_viscous_quadratic_with_first_order(dim):
    c, t, viscosity, errors = 1.0, 0.3, 0.2, []
    counts = (13, 25, 49) if dim == 3 else (33, 65, 129)
    for n in counts:
        grid = Grid.box([-3] * dim, [3] * dim, [n] * dim)
        square = (grid.nodes**2).sum(axis=1).reshape(grid.shape)
        u = solve_hj(grid, c * square / 2, t=t, viscosity=viscosity).values[-1]
        exact = c * square / (2 * (1 + c * t)) + viscosity * dim * np.log(1 + c * t)
        errors.append(np.abs(u - exact)[square <= 0.5].max())
    order = np.polyfit(np.log(np.array(counts) - 1), np.log(errors), 1)[0]
    assert -1.2 < order < -0.75
    assert errors[-1] < 0.35 * 6 / counts[-1]


def test_scheme_with_viscosity_is_local_entropy_of_the_cosine():
    viscosity, t = 0.25, 0.8  # T = 2 viscosity
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    grid = Grid.box(0, 2 * np.pi, 801)
    x = grid.axes[0]
    shifted = np.cos(x[:, None] + np.sqrt(2 * viscosity * t) * nodes)
    mean = np.exp(-shifted / (2 * viscosity)) @ weights / weights.sum()
    u = solve_hj(grid, np.cos(x), t=t, viscosity=viscosity).values[-1]
    assert np.abs(u + 2 * viscosity * np.log(mean)).max() < 2e-3


fields = st.tuples(
    st.sampled_from([(23,), (7, 9), (4, 3, 5)]),
    st.integers(0, 99),
    st.sampled_from([0.0, 0.01, 1.0]),
    st.sampled_from([1e-4, 0.01, 0.3]),
)


def random_field(case):
    shape, seed, viscosity, t = case
    rng = np.random.default_rng(seed)
    grid = Grid.box([0] * len(shape), rng.uniform(0.5, 2, len(shape)), shape)
    return grid, rng.normal(size=shape), rng, {"t": t, "viscosity": viscosity}


@QUICK
@given(fields)
def test_scheme_creates_no_new_extrema(case):
    grid, f, _, options = random_field(case)
    u = solve_hj(grid, f, **options).values[0]
    assert u.min() >= f.min() - 1e-13
    assert u.max() <= f.max() + 1e-13


@QUICK
@given(fields)
def test_scheme_lets_constants_pass(case):
    grid, f, _, options = random_field(case)
    u, lifted = (solve_hj(grid, g, **options).values for g in (f, f + 3.0))
    np.testing.assert_allclose(lifted, u + 3.0, atol=1e-11)


@QUICK
@given(fields)
def test_scheme_keeps_the_bound_on_differences(case):
    grid, f, _, options = random_field(case)
    u = solve_hj(grid, f, **options).values[0]
    for axis in range(grid.dim):
        before = np.abs(np.diff(f, axis=axis)).max()
        assert np.abs(np.diff(u, axis=axis)).max() <= before * (1 + 1e-12)


@QUICK
@given(fields)
def test_one_step_of_the_scheme_is_monotone(case):
    grid, f, rng, options = random_field(case)
    bump = np.zeros_like(f)
    bump[tuple(rng.integers(0, f.shape))] = 1e-6
    viscosity, inverse = options["viscosity"], 1 / grid.spacings
    steepest = [
        max(np.abs(np.diff(g, axis=axis)).max() for g in (f, f + bump)) for axis in range(grid.dim)
    ]
    rate = inverse @ (steepest * inverse) + 2 * viscosity * inverse @ inverse
    t = (1 - 1e-12) / rate  # the longest time that both take in one step
    low, high = (solve_hj(grid, g, t=t, viscosity=viscosity).values for g in (f, f + bump))
    assert (high - low).min() >= -1e-14


@pytest.mark.parametrize("side", ["lower", "upper"])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_end_nodes_are_mirrors(axis, side):
    f = np.random.default_rng(4).normal(size=(9, 9, 9))
    flipped = np.flip(f, axis)
    if side == "lower":
        mirrored, kept = np.concatenate([flipped, f.take(range(1, 9), axis)], axis), range(8, 17)
    else:
        mirrored, kept = np.concatenate([f, flipped.take(range(1, 9), axis)], axis), range(9)
    upper = np.ones(3)
    upper[axis] = 2
    u = solve_hj(Grid.box([0] * 3, [1] * 3, f.shape), f, t=0.05, viscosity=0.1).values[0]
    whole = Grid.box([0] * 3, upper, mirrored.shape)
    v = solve_hj(whole, mirrored, t=0.05, viscosity=0.1).values[0]
    np.testing.assert_allclose(v.take(kept, axis), u, atol=1e-12)


def test_times_of_the_result_are_the_times_asked_for():
    grid = Grid.box((0, 0), (1, 2), (9, 11))
    f = grid.sample(lambda x: np.sin(3 * x[:, 0]) * x[:, 1])
    solution = solve_hj(grid, f, t=[0.0, 0.1, 0.4])
    assert solution.times.tolist() == [0.0, 0.1, 0.4]
    assert solution.values.shape == (3, 9, 11)
    assert (solution.values[0] == f).all()
    assert (solution.values[1] == solve_hj(grid, f, t=0.1).values[0]).all()


def test_slices_change_no_bit(monkeypatch):
    grid = Grid.box(0, 1, 101)
    f = np.cos(9 * grid.axes[0])
    whole = solve_hj(grid, f, t=0.3, viscosity=0.05).values
    monkeypatch.setattr("relaxlib._lanes.progress.SECONDS", 1e-6)
    assert (solve_hj(grid, f, t=0.3, viscosity=0.05).values == whole).all()


# The proximal map


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_prox_of_a_quadratic_is_linear(dim):
    rng = np.random.default_rng(dim)
    factor = rng.normal(size=(dim, dim))
    hess = factor @ factor.T - 0.3 * np.eye(dim)
    x, gamma = rng.normal(size=(2, 3, dim)), 0.7
    result = prox(landscapes.quadratic(hess), x, gamma=gamma)
    point = np.linalg.solve(np.eye(dim) + gamma * hess, x[..., None])[..., 0]
    value = ((point @ hess) * point).sum(-1) / 2 + ((x - point) ** 2).sum(-1) / (2 * gamma)
    np.testing.assert_allclose(result.point, point, atol=1e-12)
    np.testing.assert_allclose(result.value, value, atol=1e-13)
    assert result.value.shape == result.unique.shape == (2, 3)
    assert result.unique.all()


def test_dr_14_15_gradient_is_the_prox_displacement():
    landscape, x, t = wavy(), 1.1, 0.4
    result = prox(landscape, x, gamma=t)
    gradient = (x - result.point[0]) / t
    assert result.point.shape == (1,)
    assert abs(gradient + 0.609045) < 1e-6
    assert abs(gradient - landscape.grad(result.point)[0]) < 1e-12
    up, down = prox(landscape, [[x + 1e-3], [x - 1e-3]], gamma=t).value
    assert abs((up - down) / 2e-3 - gradient) < 2e-5


def test_dr_14_15_two_minimizers_make_a_concave_kink():
    landscape, t, step = kinked(), 0.7, 1e-4
    left, middle, right = prox(landscape, [[-step], [0.0], [step]], gamma=t).value
    assert prox(landscape, [[-step], [0.0], [step]], gamma=t).unique.tolist() == [True, False, True]
    assert abs((right - middle) / step + 1 / (1 + t)) < 1e-3
    assert abs((middle - left) / step - 1 / (1 + t)) < 1e-3


def test_double_well_has_two_minimizers_between_the_wells_once_gamma_is_large():
    landscape = landscapes.double_well()
    critical = -1 / landscape.hess(0.0)[0, 0]
    assert prox(landscape, 0.0, gamma=0.5 * critical).unique
    assert prox(landscape, 0.0, gamma=critical).unique
    result = prox(landscape, 0.0, gamma=1.5 * critical)
    assert not result.unique
    force = lambda y: landscape.grad(y)[0] + y / (1.5 * critical)  # noqa: E731
    assert abs(abs(result.point[0]) - brentq(force, 0.1, 1.0, xtol=1e-15)) < 1e-13


def test_prox_at_the_global_minimum_stays_there():
    landscape = landscapes.double_well()
    for x in landscape.minima:
        result = prox(landscape, x, gamma=3.0)
        assert abs(result.point[0] - x[0]) < 1e-12
        assert result.unique


def test_prox_of_the_absolute_value_shrinks():
    shrink = landscapes.Landscape.from_functions(
        lambda y: abs(y), lambda y: np.sign(y), lambda y: 0.0, dim=1, box=(0.1, 2), floor=0.0
    )
    points = prox(shrink, [[-2.0], [0.3], [1.7]], gamma=0.5).point[:, 0]
    np.testing.assert_allclose(points, [-1.5, 0.0, 1.2], atol=1e-12)


def test_prox_value_is_hopf_lax_on_the_line():
    landscape = landscapes.rugged()
    grid = Grid.box(-6, 6, 120_001)
    u = hopf_lax(grid, landscape.value(grid.nodes), t=0.6)[30_000:90_000:400]
    exact = prox(landscape, grid.nodes[30_000:90_000:400], gamma=0.6).value
    assert (exact <= u + 1e-12).all()
    assert np.abs(u - exact).max() < 2e-8


def test_prox_value_is_hopf_lax_in_the_plane():
    landscape = landscapes.double_well_2d()
    grid = Grid.box((-3, -3), (3, 3), (601, 601))
    u = hopf_lax(grid, landscape.value(grid.nodes).reshape(601, 601), t=0.4)
    nodes = np.random.default_rng(5).integers(200, 400, (40, 2))
    exact = prox(landscape, np.take(grid.axes[0], nodes), gamma=0.4).value
    assert np.abs(u[tuple(nodes.T)] - exact).max() < 3e-4


def test_prox_of_no_points_is_empty():
    result = prox(landscapes.double_well(), np.empty((0, 1)), gamma=1.0)
    assert result.point.shape == (0, 1)
    assert result.value.shape == result.unique.shape == (0,)


def test_prox_points_are_independent_of_their_company():
    landscape = landscapes.double_well()
    x = np.linspace(-2, 2, 1101)[:, None]  # more than are scanned at a time
    together = prox(landscape, x, gamma=1.7)
    for k in range(0, 1101, 157):
        alone = prox(landscape, x[k], gamma=1.7)
        np.testing.assert_allclose(alone.point, together.point[k], atol=1e-14)
        assert alone.unique == together.unique[k]


# Errors, and the cache

LINE, PLANE = Grid.box(0, 1, 3), Grid.box((0, 0), (1, 1), (2, 2))
SPACE4 = Grid.box([0] * 4, [1] * 4, [2] * 4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: hopf_lax("line", [0], t=1), r"grid = 'line': need type Grid; see relaxlib.grid"),
        (lambda: solve_hj(None, [0], t=1), r"grid = None: need type Grid; see relaxlib.grid"),
        (lambda: prox(abs, 0.0, gamma=1), r"landscape = <built.*>: need type Landscape; see rel"),
        (lambda: hopf_lax(LINE, [0, 1, 2], t=-1), r"t = -1: need 0 <= t < inf"),
        (lambda: hopf_lax(LINE, [0, 1, 2], t=np.nan), r"t = nan: need 0 <= t < inf"),
        (lambda: hopf_lax(LINE, [0, np.nan, 2], t=1), r"values\[1\] = nan: need finite entries"),
        (lambda: hopf_lax(PLANE, [0, 1], t=1), r"values.shape = \(2,\): need .* \(2, 2\)"),
        (lambda: solve_hj(LINE, [0, 1, 2], t=-1), r"t = -1: need t >= 0"),
        (lambda: solve_hj(LINE, [0, 1, 2], t=[1, np.nan]), r"t\[1\] = nan: need finite entries"),
        (lambda: solve_hj(LINE, [0, 1, 2], t=[1, 0.5]), r"t = \[1.0, 0.5\]: need strictly incr"),
        (lambda: solve_hj(LINE, [0, 1, 2], t=[1, 1]), r"t = \[1.0, 1.0\]: need strictly incr"),
        (lambda: solve_hj(LINE, [0, 1, 2], t=[]), r"t.shape = \(0,\): need one time or a seq"),
        (lambda: solve_hj(LINE, [0, 1, 2], t=[[1]]), r"t.shape = \(1, 1\): need one time or"),
        (lambda: solve_hj(LINE, [0, 1, 2], t=1, viscosity=-1), r"viscosity = -1: need 0 <= visc"),
        (lambda: solve_hj(LINE, [0, 1, np.inf], t=1), r"values\[2\] = inf: need finite entries"),
        (lambda: solve_hj(LINE, [0, 1], t=1), r"values.shape = \(2,\): need .* \(3,\)"),
        (lambda: solve_hj(SPACE4, np.zeros((2,) * 4), t=1), r"grid.dim = 4: need grid.dim <= 3"),
        (lambda: prox(landscapes.quadratic(), 1.0, gamma=0), r"gamma = 0: need 0 < gamma < inf"),
        (lambda: prox(landscapes.quadratic(-1.0), 1.0, gamma=1), r"gamma = 1: need gamma < 1/\(2"),
        (lambda: prox(landscapes.quadratic(), np.nan, gamma=1), r"x\[0\] = nan: need finite"),
        (lambda: prox(landscapes.quadratic(np.eye(4)), np.ones(4), gamma=1), r"landscape.dim = 4"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match="^" + message):
        call()


def test_prox_that_does_not_come_to_rest_says_so():
    def far_too_stiff(y):
        return 1.0 if y > 1.0 else 1e6

    shy = landscapes.Landscape.from_functions(
        lambda y: y * y / 2, lambda y: y, far_too_stiff, dim=1, box=(1.5, 2), floor=-0.1
    )
    with pytest.raises(ArithmeticError, match=r"^prox: .* = .* after 200 Newton steps$"):
        prox(shy, 0.7, gamma=1.0)


def test_a_second_process_loads_the_kernels_from_the_cache():
    code = (
        "from relaxlib.grid import Grid\n"
        "from relaxlib.hamilton_jacobi import hopf_lax, solve_hj\n"
        "hopf_lax(Grid.box((0, 0), (1, 1), (2, 2)), [[0, 1], [2, 3]], t=1)\n"
        "solve_hj(Grid.box(0, 1, 3), [0, 1, 2], t=1)\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "NUMBA_DEBUG_CACHE": "1"}
    how = {"env": environment, "capture_output": True, "text": True, "check": True}
    _, told = (subprocess.run([sys.executable, "-c", code], **how).stdout for _ in range(2))
    assert "data loaded from" in told
    assert "data saved to" not in told
