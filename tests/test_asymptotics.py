"""Masses of wells, Gaussian mixtures and committors on grids."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from relaxlib.asymptotics import GaussianMixture, committor, gaussian_mixture, well_masses
from relaxlib.diffusions import Diffusion, langevin
from relaxlib.fokker_planck import evolve, gibbs, stationary
from relaxlib.grid import Grid
from relaxlib.landscapes import (
    Landscape,
    crossed_valleys,
    double_well,
    double_well_2d,
    lipschitz_double_well,
    mueller_brown,
    quadratic,
    rugged,
)
from relaxlib.operators import kolmogorov, langevin_operator
from relaxlib.paths import first_exits
from relaxlib.regions import Ball, Box

LINE = Grid.box(-6, 6, 2401)
WELL = lipschitz_double_well()


def bright(x):
    return 1 + 0.4 * np.tanh(x)


def dark(x):
    return x * x


def test_well_masses_on_the_line_do_not_see_the_grid():
    found = []
    for count in (301, 1000, 4001):
        grid = Grid.box(-4, 4, count)
        found.append(well_masses(grid, gibbs(grid, grid.sample(WELL.value), temperature=0.1), WELL))
    np.testing.assert_allclose(found[0], found[2], atol=2e-4)
    np.testing.assert_allclose(found[1], found[2], atol=2e-5)
    cut = WELL.saddles[0, 0]
    x = np.linspace(-4, 4, 400_001)
    weights = np.exp(-WELL.value(x[:, None]) / 0.1)
    assert found[2][0] == pytest.approx(weights[x > cut].sum() / weights.sum(), abs=2e-6)


def test_well_masses_in_time_and_of_many_wells():
    grid = Grid.box(-7, 7, 1401)
    bumpy = rugged()
    operator = kolmogorov(langevin(bumpy, temperature=0.3), grid)
    start = gibbs(grid, (grid.axes[0] - 2) ** 2, temperature=0.5)
    flow = evolve(operator, start, [0.0, 1.0, 1e6])
    masses = well_masses(grid, flow.densities, bumpy)
    assert masses.shape == (3, 9)
    np.testing.assert_allclose(masses.sum(axis=1), 1.0, rtol=1e-12)
    assert masses[2] == pytest.approx(well_masses(grid, stationary(operator), bumpy), abs=1e-8)
    assert np.argmax(masses[2]) == 0  # the deepest


def test_basins_in_the_plane_are_those_of_the_gradient_flow():
    loss = mueller_brown()
    grid = Grid.box((-1.5, -0.5), (1.2, 2.0), (136, 126))
    spots = np.random.default_rng(3).uniform((-1.4, -0.4), (1.1, 1.9), (40, 2))
    agree = 0
    for spot in spots:
        end = solve_ivp(lambda t, x: -loss.grad(x), (0, 0.5), spot, method="LSODA").y[:, -1]
        home = np.argmin(((loss.minima - end) ** 2).sum(axis=1))
        node = np.argmin(((grid.nodes - spot) ** 2).sum(axis=1))
        density = np.zeros(grid.shape)
        density.flat[node] = 1 / grid.volumes.flat[node]
        agree += well_masses(grid, density, loss)[home]
    assert agree >= 37  # some spots are next to a boundary


def test_equal_wells_share_equally_in_the_plane():
    grid = Grid.box((-2, -1.5), (2, 1.5), (161, 121))
    law = gibbs(grid, grid.sample(double_well_2d().value), temperature=0.2)
    left, right = well_masses(grid, law, double_well_2d())
    on_the_ridge = law[80] @ grid.volumes[80]
    assert left + right == pytest.approx(1.0, rel=1e-12)
    assert abs(left - right) == pytest.approx(on_the_ridge, rel=1e-9)


def test_committor_on_the_line_is_the_scale_function():
    grid = Grid.box(-2, 2, 2001)
    noisy = langevin(double_well(), temperature=0.1, noise_cov=bright)
    h = committor(kolmogorov(noisy, grid), Box(-3, -0.9995), Box(0.9995, 3))
    x = grid.axes[0]
    slope = (x**3 - x) / bright(x) / 0.1
    scale = np.exp(np.concatenate([[0], np.cumsum((slope[1:] + slope[:-1]) / 2)]) * 0.002)
    between = np.abs(x) < 1.0001
    steps = np.where(between[1:] & between[:-1], (scale[1:] + scale[:-1]) / 2, 0)
    exact = np.concatenate([[0], np.cumsum(steps)]) / steps.sum()
    np.testing.assert_allclose(h[between], exact[between], atol=1e-4)
    assert np.all(h[x < -1] == 0)
    assert np.all(h[x > 1] == 1)


def test_committors_of_the_two_sets_add_up_to_one():
    operator = kolmogorov(
        langevin(double_well_2d(), temperature=0.2), Grid.box((-2, -1.5), (2, 1.5), (61, 46))
    )
    sets = Ball((-1, 0), 0.3), Ball((1, 0), 0.2)
    both = committor(operator, *sets) + committor(operator, *sets[::-1])
    np.testing.assert_allclose(both, 1.0, rtol=1e-9)


def test_committor_agrees_with_paths_of_a_drift_that_is_no_gradient():
    turning = Diffusion.from_functions(turn, 0.8 * np.eye(2), dim=2, temperature=0.32)
    operator = kolmogorov(turning, Grid.box((-1.02, -1.02), (1.02, 1.02), (103, 103)))
    nodes = operator.grid.nodes
    left, right = (side(nodes).reshape(operator.grid.shape) for side in (low, high))
    h = committor(operator, left, right)[61, 56]
    place = [operator.grid.axes[0][61], operator.grid.axes[1][56]]
    box = Box((-1, -50), (1, 50))
    sample = first_exits(turning, place, box, dt=1e-3, max_steps=10**6, rng=1, paths=8000)
    share = (sample.points[:, 0] > 0).mean()
    assert abs(h - share) < 3.5 * np.sqrt(h * (1 - h) / 8000) + 0.01


def turn(x, t, out):
    out[0] = x[1]
    out[1] = -4 * x[1] - x[0]


def low(nodes):
    return nodes[:, 0] <= -1 + 1e-9


def high(nodes):
    return nodes[:, 0] >= 1 - 1e-9


def test_mixture_of_a_parabola_is_its_stationary_law():
    bowl = quadratic([[2.0, 0.5], [0.5, 1.0]])
    grid = Grid.box((-3, -3), (3, 3), (61, 61))
    noise = np.array([[1.0, 0.3], [0.3, 0.5]])
    mixture = gaussian_mixture(bowl, temperature=0.2, noise_cov=noise, masses=[1.0])
    sylvester = bowl.hess([0.0, 0.0]) @ mixture.covs[0]
    np.testing.assert_allclose(sylvester + sylvester.T, 0.4 * noise, atol=1e-14)
    plain = gaussian_mixture(bowl, temperature=0.2)
    exact = gibbs(grid, grid.sample(bowl.value), temperature=0.2)
    np.testing.assert_allclose(plain.density(grid), exact, atol=1e-8)


@pytest.mark.parametrize("noise_cov", [None, bright, 0.5], ids=["one", "bright", "half"])
def test_masses_on_the_line_are_right_to_first_order(noise_cov):
    grid, errors = Grid.box(-3, 3, 4001), []
    for temperature in (0.02, 0.01, 0.005):
        process = langevin(WELL, temperature=temperature, noise_cov=noise_cov)
        exact = well_masses(grid, stationary(kolmogorov(process, grid)), WELL)
        mixture = gaussian_mixture(WELL, temperature=temperature, noise_cov=noise_cov)
        errors.append(np.log(mixture.masses[1] / exact[1]) / temperature)
    assert max(np.abs(errors)) < 2
    assert np.ptp(errors[1:]) < np.ptp(errors[:2])


def test_masses_with_scaled_noise_are_those_of_another_temperature():
    hot = gaussian_mixture(double_well_2d(), temperature=0.1, noise_cov=0.5 * np.eye(2))
    cold = gaussian_mixture(double_well_2d(), temperature=0.05)
    np.testing.assert_allclose(hot.masses, cold.masses, rtol=1e-12)
    np.testing.assert_allclose(hot.covs, cold.covs, rtol=1e-12)


def test_refusals():
    plane, bowl = Grid.box((-2, -2), (2, 2), (21, 21)), quadratic(np.eye(2))
    with pytest.raises(ValueError, match=r"minima listed = 0: need at least one"):
        gaussian_mixture(crossed_valleys(), temperature=0.1)
    with pytest.raises(ValueError, match=r"noise_cov = .*: need a multiple of the identity.*pass"):
        gaussian_mixture(bowl, temperature=0.1, noise_cov=np.diag([1.0, 2.0]))
    with pytest.raises(ValueError, match=r"masses.shape = \(2,\): need"):
        gaussian_mixture(bowl, temperature=0.1, masses=[0.5, 0.5])
    with pytest.raises(ValueError, match=r"covs.shape = \(1, 1\): need"):
        GaussianMixture([1.0], [[0.0]], [[1.0]])
    with pytest.raises(ValueError, match=r"masses\[0\] = nan: need finite"):
        GaussianMixture([np.nan], [[0.0]], [[[1.0]]])
    with pytest.raises(ValueError, match=r"min masses = -1.0: need masses >= 0"):
        GaussianMixture([-1.0], [[0.0]], [[[1.0]]])
    with pytest.raises(ValueError, match=r"least eigenvalue of covs\[0\] = -1: need"):
        GaussianMixture([1.0], [[0.0]], [[[-1.0]]])
    for loss, noise_cov in ((WELL, 0.0), (double_well(), dark), (bowl, np.zeros((2, 2)))):
        with pytest.raises(ValueError, match=r"least noise_cov = .*: need Q > 0 between the min"):
            gaussian_mixture(loss, temperature=0.1, noise_cov=noise_cov)
    with pytest.raises(ValueError, match=r"noise_cov = .*: need a multiple of the identity.*pass"):
        gaussian_mixture(bowl, temperature=0.1, noise_cov=1e-9 * np.diag([1.0, 2.0]))
    flat = GaussianMixture([1.0], [[0.0, 0.0]], [np.diag([1.0, 0.0])])
    with pytest.raises(ValueError, match=r"least eigenvalue of covs = 0: need positive definite"):
        flat.density(plane)
    with pytest.raises(ValueError, match=r"grid.dim = 1: need the mixture's dim = 2"):
        flat.density(LINE)
    with pytest.raises(ValueError, match=r"grid.dim = 2: need the landscape's dim = 1"):
        well_masses(plane, np.zeros(plane.shape), WELL)
    with pytest.raises(ValueError, match=r"density.shape = \(3,\): need"):
        well_masses(LINE, np.zeros(3), WELL)
    with pytest.raises(ValueError, match=r"density\[5\] = nan: need finite"):
        well_masses(LINE, np.where(np.arange(2401) == 5, np.nan, 0.0), WELL)
    with pytest.raises(ValueError, match=r"minima listed = 0: need at least one"):
        well_masses(plane, np.zeros(plane.shape), crossed_valleys())


def test_refusals_of_committors():
    brownian = langevin_operator(LINE, np.zeros(2401), temperature=0.5)
    with pytest.raises(ValueError, match=r"nodes in both sets = 1: need sets that do not meet"):
        committor(brownian, Box(-7, 0.001), Box(-0.001, 7))
    with pytest.raises(ValueError, match=r"nodes in region = 0: need at least one"):
        committor(brownian, Box(-9, -8), Box(0, 7))


def test_a_minimum_that_is_not_listed_is_noticed():
    loss = double_well_2d()
    half_known = Landscape(
        name="half", formula=loss.formula, box=loss.box, minima=loss.minima[:1], floor=0.0
    )
    grid = Grid.box(*loss.box, (41, 31))
    with pytest.raises(ArithmeticError, match=r"ends at \[1.0, .*\], farther than two spacings"):
        well_masses(grid, np.zeros(grid.shape), half_known)
