"""The chain that ends at a region's boundary: signs, moments of cut jumps, walls."""

import numpy as np
import pytest

from relaxlib.diffusions import Diffusion, langevin
from relaxlib.exit_times import feynman_kac
from relaxlib.exit_times._cut_cells import killed  # signs and rates are seen on its chain alone
from relaxlib.grid import Grid
from relaxlib.landscapes import double_well, quadratic
from relaxlib.operators import kolmogorov
from relaxlib.regions import Ball, Box

SLANTED = np.array([[1.0, 0.6], [0.6, 1.0]])


def slanted(boundary="reflecting", n=24):
    diffusion = langevin(quadratic(np.diag([1.0, 3.0])), temperature=0.2, noise_cov=SLANTED)
    return kolmogorov(diffusion, Grid.box((-1.1, -1.1), (1.1, 1.1), (n, n)), boundary=boundary)


@pytest.mark.parametrize("boundary", ["reflecting", "absorbing", "periodic"])
def test_rates_are_nonnegative_and_rows_lose_what_leaves(boundary):
    operator = slanted(boundary)
    region = Ball((0.1, 0.0), 0.9)
    chain, inside, leaving = killed(operator, region)
    matrix = chain.matrix
    np.testing.assert_array_equal(inside, region.contains(operator.grid.nodes))
    jumps = matrix - np.diag(matrix.diagonal())
    assert jumps.min() >= 0.0
    np.testing.assert_allclose(matrix.sum(axis=1), -leaving, atol=1e-9)
    assert leaving[inside].max() > 0.0
    assert np.all(leaving[~inside] == 0.0)
    assert abs(matrix[~inside]).sum() == 0.0


def test_cut_jumps_keep_mean_and_variance_of_the_chain():
    operator, region = slanted(), Ball((0.0, 0.0), 0.9)
    grid = operator.grid
    chain, inside, _ = killed(operator, region)
    # a quadratic that vanishes on the circle: the cut chain must see its exact A g at every node
    g = 0.9**2 - (grid.nodes**2).sum(axis=1)
    uncut = operator.matrix @ g
    np.testing.assert_allclose((chain.matrix @ (g * inside))[inside], uncut[inside], atol=1e-8)
    w = feynman_kac(operator, -uncut.reshape(grid.shape), discount=0.0, region=region)
    np.testing.assert_allclose(w.ravel(), g * inside, atol=1e-12)


def test_a_region_beyond_the_grid_keeps_the_operators_boundary():
    operator = kolmogorov(langevin(double_well(), temperature=0.1), Grid.box(-2, 2, 81))
    chain, _, leaving = killed(operator, Box(-5.0, 0.0))
    assert leaving[0] == 0.0
    assert np.count_nonzero(leaving) == 1
    assert abs(chain.matrix[[0]] - operator.matrix[[0]]).max() == 0.0


def test_absorbing_walls_count_as_leaving():
    operator = kolmogorov(
        langevin(double_well(), temperature=0.1), Grid.box(-2, 2, 81), boundary="absorbing"
    )
    _, _, leaving = killed(operator, Box(-5.0, 5.0))
    assert np.flatnonzero(leaving).tolist() == [0, 80]


def test_a_jump_without_opposite_is_a_drift():
    still = Diffusion.from_functions(lambda x, t: 1.0 + 0.0 * x, np.zeros((1, 1)), dim=1)
    operator = kolmogorov(still, Grid.box(0, 1, 11))
    _, _, leaving = killed(operator, Box(-1.0, 0.875))
    assert leaving[8] == pytest.approx(1 / 0.075)


def test_masks_do_not_cut():
    operator = slanted()
    mask = operator.grid.sample(lambda x: np.linalg.norm(x, axis=1)) < 0.8
    chain, inside, _ = killed(operator, mask)
    np.testing.assert_array_equal(inside, mask.ravel())
    np.testing.assert_allclose(
        chain.matrix.diagonal()[inside], operator.matrix.diagonal()[inside], rtol=1e-12
    )


@pytest.mark.parametrize(
    ("region", "message"),
    [
        (Ball(0.0, 1.0), r"region.dim = 1: need the grid's dim = 2; match them"),
        (np.ones((3, 3), bool), r"region.shape = \(3, 3\): need region.shape = \(24, 24\)"),
        (np.ones((24, 24)), r"region = array.*: need a Ball, a Box or a boolean"),
        (Ball((9.0, 9.0), 1.0), r"nodes in region = 0: need at least one; refine the grid"),
    ],
)
def test_bad_regions(region, message):
    with pytest.raises(ValueError, match=message):
        slanted().inside(region)
