"""Multigrid: agreement with a sparse direct solve, cycles that do not grow, refusals."""

import numpy as np
import pytest
import scipy.sparse as sp
import scipy.sparse.linalg as sla

from relaxlib import multigrid
from relaxlib.diffusions import langevin, ornstein_uhlenbeck
from relaxlib.grid import Grid
from relaxlib.landscapes import double_well, double_well_2d
from relaxlib.multigrid import _solve
from relaxlib.operators import kolmogorov, langevin_operator

ROTATION = np.array([[1.0, -3.0], [3.0, 1.0]])
SHAPES = [(65, 65), (58, 71)]


def plane(shape, half=2.0):
    return Grid.box((-half, -half), (half, half), shape)


def linear(grid, drift, noise, temperature=0.5, boundary="reflecting"):
    return kolmogorov(
        ornstein_uhlenbeck(drift, noise, temperature=temperature), grid, boundary=boundary
    )


def interior(grid):
    mask = np.zeros(grid.shape, dtype=bool)
    mask[1:-1, 1:-1] = True
    return mask


def disc(grid, center=(0.0, 0.0), radius=1.7):
    return (np.linalg.norm(grid.nodes - center, axis=1) < radius).reshape(grid.shape)


def direct(operator, source, inside, discount=0.0):
    kept = np.flatnonzero(inside)
    equations = discount * sp.eye_array(inside.size, format="csr") - operator.matrix
    values = np.zeros(inside.size)
    values[kept] = sla.spsolve(equations[kept][:, kept].tocsc(), source.ravel()[kept])
    return values.reshape(inside.shape)


def gap(operator, source, inside, discount=0.0):
    exact = direct(operator, source, inside, discount)
    values = multigrid.solve(operator, source, inside=inside, discount=discount)
    assert not values[~inside].any()
    return np.abs(values - exact).max() / np.abs(exact).max()


def bumps(grid):
    x, y = grid.nodes.T
    return (np.sin(3 * x) + np.cos(2 * y + x)).reshape(grid.shape)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("region", [interior, disc])
@pytest.mark.parametrize(
    "noise",
    [np.eye(2), np.diag([1.0, 0.01]), np.diag([0.01, 1.0]), np.array([[1.0, 0.5], [0.5, 0.8]])],
    ids=["isotropic", "flat", "steep", "slanted"],
)
def test_agrees_with_a_direct_solve_for_any_noise(noise, region, shape):
    grid = plane(shape)
    operator = linear(grid, np.eye(2), noise)
    assert gap(operator, bumps(grid), region(grid)) < 1e-9


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("noise", [np.eye(2), np.diag([1.0, 0.0])], ids=["full", "rank one"])
def test_agrees_without_detailed_balance(noise, shape):
    grid = plane(shape)
    operator = linear(grid, ROTATION, noise, temperature=1.0)
    assert gap(operator, bumps(grid), interior(grid)) < 1e-9
    assert gap(operator, bumps(grid), disc(grid), discount=0.3) < 1e-9


@pytest.mark.parametrize("boundary", ["reflecting", "absorbing"])
def test_discount_alone_holds_down_a_problem_on_all_nodes(boundary):
    grid = plane((47, 64))
    operator = linear(grid, np.eye(2), np.diag([1.0, 0.1]), boundary=boundary)
    assert gap(operator, bumps(grid), np.ones(grid.shape, dtype=bool), discount=0.1) < 1e-9


def test_absorption_at_the_box_needs_no_discount():
    grid = plane((33, 40))
    operator = linear(grid, np.eye(2), np.eye(2), boundary="absorbing")
    assert gap(operator, bumps(grid), np.ones(grid.shape, dtype=bool)) < 1e-9


def test_grid_below_the_coarsest_is_solved_directly():
    grid = plane((7, 9))
    operator = linear(grid, ROTATION, np.eye(2))
    assert gap(operator, bumps(grid), interior(grid)) < 1e-11


@pytest.mark.parametrize("shape", SHAPES)
def test_barrier_of_twenty_temperatures_left_half(shape):
    """Relative errors of the direct solve are about its condition number, 1e8 roundings."""
    grid = plane(shape)
    operator = kolmogorov(langevin(double_well_2d(), temperature=0.05), grid)
    left = (grid.nodes[:, 0] < 0).reshape(grid.shape)
    ones = np.ones(grid.shape)
    assert direct(operator, ones, left).max() > 1e8
    assert gap(operator, ones, left) < 1e-5
    assert gap(operator, ones, left, discount=0.1) < 1e-9


@pytest.mark.parametrize("radius", [0.5, 0.9])
def test_disc_around_a_well(radius):
    grid = plane((65, 66))
    operator = kolmogorov(langevin(double_well_2d(), temperature=0.05), grid)
    well = disc(grid, (-1.0, 0.0), radius)
    assert gap(operator, np.ones(grid.shape), well) < 1e-6


@pytest.mark.parametrize("side", [34, 65])
def test_exit_time_over_a_high_barrier_is_that_of_the_line(side):
    """A barrier of 25 temperatures in x alone; on the line the time is a sum of positive terms."""
    grid = plane((side, 30), 1.5)
    temperature, x = 0.01, grid.axes[0]
    potential = np.broadcast_to(((x**2 - 1) ** 2 / 4)[:, None], grid.shape)
    operator = langevin_operator(grid, potential, temperature=temperature)
    inside = np.zeros(grid.shape, dtype=bool)
    inside[x < 0.2] = True
    time = multigrid.solve(operator, np.ones(grid.shape), inside=inside)
    line = langevin_operator(Grid((x,)), potential[:, 0], temperature=temperature).matrix
    count = int((x < 0.2).sum())
    up, down = line.diagonal(1), line.diagonal(-1)
    step = np.zeros(count)  # mean time from a node to the next
    for i in range(count):
        step[i] = (1.0 + (down[i - 1] * step[i - 1] if i else 0.0)) / up[i]
    exact = np.cumsum(step[::-1])[::-1]
    assert exact.max() > 1e10
    np.testing.assert_allclose(time[:count], np.broadcast_to(exact[:, None], (count, 30)), 1e-5)


def counted(monkeypatch, operator, inside):
    """How many cycles a solve takes; no result tells, and a time would depend on the machine."""
    calls, cycle = [], _solve._cycle

    def counting(levels, inverse, right, depth=0):
        calls.append(depth)
        return cycle(levels, inverse, right, depth)

    with monkeypatch.context() as patch:
        patch.setattr(_solve, "_cycle", counting)
        multigrid.solve(operator, np.ones(inside.shape), inside=inside)
    return calls.count(0)


@pytest.mark.parametrize("drift", [np.eye(2), ROTATION], ids=["reversible", "rotating"])
def test_cycles_do_not_grow_with_the_grid(monkeypatch, drift):
    cycles = []
    for side in (40, 81, 160):
        grid = plane((side, side))
        operator = linear(grid, drift, np.diag([1.0, 0.01]), temperature=2.0)
        cycles.append(counted(monkeypatch, operator, disc(grid)))
    assert max(cycles) <= 14, cycles
    assert cycles[-1] <= cycles[0] + 3, cycles


def test_nothing_inside_and_no_source_give_zero():
    grid = plane((40, 40))
    operator = linear(grid, np.eye(2), np.eye(2))
    none = np.zeros(grid.shape, dtype=bool)
    assert not multigrid.solve(operator, bumps(grid), inside=none, discount=1.0).any()
    assert not multigrid.solve(operator, np.zeros(grid.shape), inside=disc(grid)).any()


@pytest.mark.parametrize("temperature", [0.01, 0.002])
def test_cycles_that_do_not_settle_are_an_error(temperature):
    """A barrier of a hundred temperatures or more: rates of escape below rounding."""
    grid = plane((65, 65))
    operator = kolmogorov(langevin(double_well_2d(), temperature=temperature), grid)
    message = r"last correction .* > 1e-10 of the largest value after 200 cycles; raise the temp"
    with pytest.raises(ArithmeticError, match=message):
        multigrid.solve(operator, np.ones(grid.shape), inside=disc(grid))


def test_long_jumps_are_refused():
    grid = plane((33, 33))
    thin = np.array([[1.0, 0.45], [0.45, 0.25]])
    operator = linear(grid, np.eye(2), thin)
    with pytest.raises(ValueError, match=r"longest jump = 2: need jumps to the 8 .*sparse direct"):
        multigrid.solve(operator, np.ones(grid.shape), inside=disc(grid))


def test_the_line_is_refused():
    grid = Grid.box(-2, 2, 33)
    operator = kolmogorov(langevin(double_well(), temperature=0.2), grid)
    with pytest.raises(ValueError, match=r"grid.dim = 1: need 2; use a sparse direct solve"):
        multigrid.solve(operator, np.ones(33), inside=np.ones(33, dtype=bool))


def test_a_singular_problem_is_refused():
    grid = plane((33, 33))
    operator = linear(grid, np.eye(2), np.eye(2))
    with pytest.raises(ValueError, match=r"discount = 0.0: need a positive discount"):
        multigrid.solve(operator, np.ones(grid.shape), inside=np.ones(grid.shape, dtype=bool))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"source": np.ones(3)}, r"source.shape = \(3,\)"),
        ({"inside": np.ones((3, 3), dtype=bool)}, r"inside.shape = \(3, 3\)"),
        ({"discount": -1.0}, r"discount = -1: need 0 <= discount"),
    ],
)
def test_bad_input_is_refused(change, message):
    grid = plane((20, 20))
    arguments = {"source": np.ones(grid.shape), "inside": disc(grid)} | change
    with pytest.raises(ValueError, match=message):
        multigrid.solve(linear(grid, np.eye(2), np.eye(2)), **arguments)
