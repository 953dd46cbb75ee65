"""Wasserstein distances on grids and the weighted oscillation, against closed forms and pairs."""

import numpy as np
import pytest
from scipy.stats import wasserstein_distance

from relaxlib.fokker_planck import gibbs, wasserstein, wasserstein2_to_line, weighted_oscillation
from relaxlib.gaussian import wasserstein2_gaussian
from relaxlib.grid import Grid

LINE = Grid.box(-6, 6, 2401)
PLANE = Grid.box((-6, -4), (6, 4), (241, 161))


def normal(mean, deviation, grid=LINE):
    return gibbs(grid, (grid.axes[0] - mean) ** 2 / 2, temperature=deviation**2)


def cloud(mean, cov):
    away = PLANE.nodes - mean
    return gibbs(
        PLANE,
        np.einsum("ni,ij,nj->n", away, np.linalg.inv(cov), away).reshape(PLANE.shape) / 2,
        temperature=1.0,
    )


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("shift", [0.0, 0.00123, 0.7])
def test_wasserstein_of_a_shift_is_the_shift(order, shift):
    assert wasserstein(LINE, normal(0, 0.5), normal(shift, 0.5), order=order) == pytest.approx(
        shift, abs=1e-6
    )


def test_wasserstein_of_gaussians():
    a, b = normal(0.3, 0.5), normal(-0.4, 0.8)
    assert wasserstein(LINE, a, b, order=2) == pytest.approx(np.hypot(0.7, 0.3), rel=1e-4)
    scaled = 0.3 * np.sqrt(2 / np.pi)  # |s - t| E|Z|
    assert wasserstein(LINE, normal(0, 0.5), normal(0, 0.8)) == pytest.approx(scaled, rel=1e-4)


def test_wasserstein_agrees_with_scipy_and_with_a_point_mass():
    a, b = normal(0.3, 0.5), normal(-0.4, 0.8)
    masses = [density * LINE.volumes for density in (a, b)]
    expected = wasserstein_distance(LINE.axes[0], LINE.axes[0], *masses)
    assert wasserstein(LINE, a, b) == pytest.approx(expected, rel=1e-4)
    point = np.where(LINE.axes[0] == 0.0, 1 / LINE.volumes, 0.0)
    as_wide = 0.5 - np.sqrt(3 / np.pi) * 0.005 / np.sqrt(12)  # as the cell, correlation sqrt(3/pi)
    assert wasserstein(LINE, a, point, order=2) == pytest.approx(np.hypot(0.3, as_wide), rel=1e-5)
    assert wasserstein(LINE, point, a, order=2) == wasserstein(LINE, a, point, order=2)


def test_moving_a_little_mass_far_costs_its_square_root():
    share = 1e-4
    there = (1 - share) * normal(-1, 0.1) + share * normal(1, 0.1)
    assert wasserstein(LINE, normal(-1, 0.1), there) == pytest.approx(2 * share, rel=1e-3)
    tail = 2 - 0.1 * 3.96  # from the mean of the upper tail of that mass to 1
    far = wasserstein(LINE, normal(-1, 0.1), there, order=2)
    assert far == pytest.approx(tail * np.sqrt(share), rel=0.01)


def test_distance_to_a_gaussian_on_a_line_is_that_of_gaussians():
    mean, cov = np.array([0.4, -0.5]), np.array([[0.8, 0.3], [0.3, 0.4]])
    flat = normal(-0.2, 0.6, Grid(PLANE.axes[:1]))
    found = wasserstein2_to_line(PLANE, cloud(mean, cov), flat, at=0.3)
    expected = wasserstein2_gaussian(mean, cov, [-0.2, 0.3], np.diag([0.36, 0.0]))
    assert found == pytest.approx(expected, rel=1e-3)
    nearer = wasserstein2_to_line(PLANE, cloud(mean, cov), flat, at=-0.5)
    assert found**2 - nearer**2 == pytest.approx(0.64, rel=1e-6)


def test_distance_of_a_thin_layer_to_its_line_is_half_a_cell():
    flat = normal(0.0, 1.0, Grid(PLANE.axes[:1]))
    layer = np.outer(flat, PLANE.axes[1] == PLANE.axes[1][80]) / PLANE.spacings[1]
    exact = PLANE.spacings[1] / np.sqrt(12)
    assert wasserstein2_to_line(PLANE, layer, flat) == pytest.approx(exact, rel=1e-9)


def all_pairs(grid, values, power):
    weights = (1 + (grid.nodes**2).sum(axis=1)) ** (power / 2)
    u = values.ravel()
    return (np.abs(u[:, None] - u) / (weights[:, None] + weights)).max()


@pytest.mark.parametrize("power", [0.0, 0.5, 2.0, 4.0])
def test_weighted_oscillation_is_the_largest_over_all_pairs(power):
    rng = np.random.default_rng(0)
    for grid in (Grid.box(-3, 5, 301), Grid.box((-2, -1), (1, 2), (17, 15))):
        for values in (rng.normal(size=grid.shape), grid.nodes.sum(axis=1).reshape(grid.shape)):
            found = weighted_oscillation(grid, values, power=power)
            assert found == pytest.approx(all_pairs(grid, values, power), rel=1e-13)


def test_weighted_oscillation_in_closed_form():
    grid = Grid.box(-4, 4, 8001)
    x = grid.axes[0]
    assert weighted_oscillation(grid, np.full(8001, 3.0), power=1) == 0.0
    assert weighted_oscillation(grid, x, power=0) == 4.0
    assert weighted_oscillation(grid, x, power=1) == pytest.approx(4 / np.sqrt(17), rel=1e-12)
    square = weighted_oscillation(grid, x * x, power=2)  # x^2/(2 + x^2) against y = 0
    assert square == pytest.approx(16 / 18, rel=1e-12)


def test_weighted_oscillation_bounds_integrals_against_measures_of_mass_zero():
    u, mu = np.sin(LINE.axes[0]), normal(1.0, 0.3) - normal(-1.0, 0.3)
    weighted = ((1 + LINE.axes[0] ** 2) * np.abs(mu) * LINE.volumes).sum()
    share = (u * mu * LINE.volumes).sum() / (weighted_oscillation(LINE, u, power=2) * weighted)
    assert 0.5 < share < 1.0


FLAT = np.full(PLANE.shape, 1 / 96)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: wasserstein(PLANE, FLAT, FLAT), "grid.dim = 2: need 1; compare marginals"),
        (lambda: wasserstein(None, FLAT, FLAT), "grid = None: need type Grid"),
        (lambda: wasserstein(LINE, normal(0, 1), normal(0, 1), order=3), "order = 3: need 1 or 2"),
        (
            lambda: wasserstein(LINE, normal(0, 0.5), 2 * normal(0, 0.5)),
            r"mass of other = 2: need mass 1 in the grid's cells; divide by \(other \* grid",
        ),
        (
            lambda: wasserstein2_to_line(LINE, normal(0, 1), normal(0, 1)),
            "grid.dim = 1: need 2; on the line, take wasserstein",
        ),
        (lambda: wasserstein2_to_line("p", FLAT, FLAT), "grid = 'p': need type Grid"),
        (lambda: wasserstein2_to_line(PLANE, -FLAT, FLAT[:, 0]), "min density = -.*: need density"),
        (
            lambda: wasserstein2_to_line(PLANE, 3 * FLAT, FLAT[:, 0] * 8),
            "mass of density = 3: need mass 1 in the grid's cells",
        ),
        (
            lambda: wasserstein2_to_line(PLANE, FLAT, FLAT[:, 0]),
            "mass of other = 0.125: need mass 1 in the grid's cells",
        ),
        (
            lambda: wasserstein2_to_line(PLANE, FLAT, FLAT[:, 0] * 8, at=None),
            "at = None: need a real number",
        ),
        (
            lambda: wasserstein2_to_line(PLANE, FLAT, FLAT[:, 0] * 8, at=np.nan),
            "at = nan: need finite entries",
        ),
        (
            lambda: wasserstein(LINE, normal(0, 1), -normal(0, 1)),
            "min other = -.*: need other >= 0; clip it",
        ),
        (lambda: wasserstein(LINE, normal(0, 1), normal(0, 1), order=[1, 2]), "order = .*: need a"),
        (lambda: weighted_oscillation("g", [1.0], power=1), "grid = 'g': need type Grid"),
        (lambda: weighted_oscillation(PLANE, FLAT, power=-1), "power = -1: need 0 <= power < inf"),
        (lambda: weighted_oscillation(PLANE, FLAT[0], power=1), "values.shape = "),
    ],
)
def test_refusals(call, message):
    with pytest.raises(ValueError, match="^" + message):
        call()
