"""Diffusions: coefficients against their equations, degenerate noise, pickling, errors."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relaxlib._lanes.factors import factor
from relaxlib.diffusions import Diffusion, langevin, ornstein_uhlenbeck, two_scale, underdamped
from relaxlib.landscapes import (
    double_well,
    double_well_2d,
    lipschitz_double_well,
    mueller_brown,
    quadratic,
)

POINTS = np.random.default_rng(0).normal(size=(130, 2))


def tilted(x, out):
    out[0, 0] = 1.0 + x[0] ** 2
    out[0, 1] = out[1, 0] = x[0]
    out[1, 1] = 1.0


def lopsided(x, out):
    out[0, 0] = out[1, 1] = 1.0
    out[0, 1], out[1, 0] = 0.1, 0.0


def unfilled(x, out):
    out[0, 0] = out[1, 1] = 1.0


def shrinking(x, t, out):
    out[0] = -x[0] * t
    out[1] = -x[1] * t


def test_langevin_drifts_down_the_gradient():
    diffusion = langevin(double_well_2d(), temperature=0.3)
    np.testing.assert_allclose(diffusion.drift_at(POINTS), -double_well_2d().grad(POINTS), 1e-13)
    np.testing.assert_allclose(diffusion.diffusivity_at(POINTS[0]), 0.3 * np.eye(2), rtol=1e-15)
    assert diffusion.landscape.name == double_well_2d().name


def test_many_parameters_are_read_from_memory():
    diffusion = langevin(mueller_brown(), temperature=1.0)
    assert len(diffusion.params) > 8
    np.testing.assert_allclose(
        diffusion.drift_at(POINTS), -mueller_brown().grad(POINTS), rtol=1e-14
    )


def test_temperature_zero_has_no_noise():
    diffusion = langevin(double_well(), temperature=0.0)
    assert np.all(diffusion.diffusivity_at([[0.0], [1.0]]) == 0.0)


def test_rank_counts_the_noisy_directions():
    diffusion = langevin(quadratic(np.eye(2)), temperature=0.5, noise_cov=[[1, 1], [1, 1]])
    assert diffusion.rank == 1
    np.testing.assert_allclose(diffusion.diffusivity_at([0.0, 0.0]), np.full((2, 2), 0.5))


def test_state_dependent_covariance_is_factored():
    diffusion = langevin(quadratic(np.eye(2)), temperature=0.5, noise_cov=tilted)
    expected = np.empty((len(POINTS), 2, 2))
    for x, out in zip(POINTS, expected, strict=True):
        tilted(x, out)
    np.testing.assert_allclose(diffusion.diffusivity_at(POINTS), expected / 2, rtol=1e-13)


def test_state_dependent_variance_on_the_line():
    diffusion = langevin(double_well(), temperature=0.1, noise_cov=lambda x: (1.0 - x * x) ** 2)
    np.testing.assert_allclose(diffusion.diffusivity_at([[0.5], [1.0]]).ravel(), [0.05625, 0.0])


def test_ornstein_uhlenbeck_is_linear():
    matrix = [[1.0, 2.0], [-3.0, 0.5]]
    diffusion = ornstein_uhlenbeck(matrix, [[1.0, 0.0], [0.0, 0.0]], temperature=2.0)
    np.testing.assert_allclose(diffusion.drift_at(POINTS), -POINTS @ np.transpose(matrix))
    np.testing.assert_allclose(diffusion.diffusivity_at([0.0, 0.0]), [[2.0, 0.0], [0.0, 0.0]])


def test_two_scale_drift_is_that_of_the_coupled_system():
    diffusion = two_scale(lipschitz_double_well(), gamma=0.5, temperature=0.3, epsilon=0.01)
    x, y = POINTS[:, :1], POINTS[:, 1:]
    fast = -(lipschitz_double_well().grad(y) - (x - y) / 0.5) / 0.01
    np.testing.assert_allclose(diffusion.drift_at(POINTS), np.hstack([-(x - y) / 0.5, fast]))
    np.testing.assert_allclose(diffusion.diffusivity_at(POINTS[0]), [[0, 0], [0, 30.0]])


def test_underdamped_keeps_hamiltons_equations():
    diffusion = underdamped(double_well(), temperature=0.3, friction=2.0)
    x, p = POINTS[:, :1], POINTS[:, 1:]
    expected = np.hstack([p, -double_well().grad(x) - 2 * p])
    np.testing.assert_allclose(diffusion.drift_at(POINTS), expected)
    np.testing.assert_allclose(diffusion.diffusivity_at(POINTS[0]), [[0, 0], [0, 0.6]])


def test_constant_noise_may_be_a_column():
    diffusion = Diffusion.from_functions(shrinking, [1.0, 2.0], dim=2)
    assert diffusion.rank == 1
    np.testing.assert_allclose(diffusion.noise, [[1.0], [2.0]])


def test_own_functions_see_the_time():
    diffusion = Diffusion.from_functions(shrinking, np.eye(2), dim=2)
    np.testing.assert_allclose(diffusion.drift_at(POINTS, t=3.0), -3 * POINTS)


@pytest.mark.parametrize(
    "diffusion",
    [
        langevin(double_well(), temperature=0.1, noise_cov=lambda x: 1.0 + x * x),
        two_scale(lipschitz_double_well(), gamma=0.5, temperature=0.3, epsilon=0.01),
        ornstein_uhlenbeck([[1.0]], [[2.0]], temperature=1.0),
    ],
    ids=repr,
)
def test_diffusions_pickle(diffusion):
    copy = pickle.loads(pickle.dumps(diffusion))
    x = np.full((3, diffusion.dim), 0.7)
    np.testing.assert_array_equal(copy.drift_at(x), diffusion.drift_at(x))
    np.testing.assert_array_equal(copy.noise_at(x), diffusion.noise_at(x))


@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 1000))
@settings(deadline=None, max_examples=50, derandomize=True)
def test_factor_recovers_rank_and_matrix(dim, rank, seed):
    root = np.random.default_rng(seed).normal(size=(dim, min(rank, dim)))
    matrix = root @ root.T
    result = factor(matrix)
    assert result.shape[1] <= root.shape[1]
    np.testing.assert_allclose(result @ result.T, matrix, atol=1e-11 * np.abs(matrix).max())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: langevin(double_well(), temperature=-1.0), "temperature = -1: need 0 <= temp"),
        (lambda: langevin(double_well(), temperature=1.0, noise_cov=[[-1.0]]), "noise_cov >= 0"),
        (lambda: langevin(double_well_2d(), temperature=1.0, noise_cov=[[1.0]]), r"\(2, 2\)"),
        (
            lambda: langevin(double_well_2d(), temperature=1.0, noise_cov=[[1, 1], [0, 1]]),
            "noise_cov symmetric",
        ),
        (
            lambda: langevin(double_well(), temperature=1.0, noise_cov=lambda x: x),
            r"least eigenvalue of noise_cov\(\[.*\]\) = -.*: need noise_cov\(.*\) >= 0",
        ),
        (
            lambda: langevin(double_well_2d(), temperature=1.0, noise_cov=lopsided),
            r"\|noise_cov\(\[.*\]\) - .* = .*: need noise_cov\(.*\) symmetric",
        ),
        (
            lambda: langevin(double_well_2d(), temperature=1.0, noise_cov=unfilled),
            r"noise_cov\(\[.*\]\)\[0, 1\] = nan: need finite entries",
        ),
        (
            lambda: langevin(double_well(), temperature=1.0, noise_cov="one"),
            "noise_cov = 'one': need an array of real numbers",
        ),
        (lambda: langevin(None, temperature=1.0), "landscape = None: need type Landscape; see"),
        (
            lambda: two_scale("well", gamma=0.5, temperature=1.0, epsilon=1.0),
            "landscape = 'well': need type Landscape",
        ),
        (
            lambda: underdamped("well", temperature=1.0, friction=1.0),
            "landscape = 'well': need type Landscape",
        ),
        (
            lambda: ornstein_uhlenbeck("a", 1.0, temperature=1.0),
            "drift_matrix = 'a': need an array of real numbers",
        ),
        (
            lambda: ornstein_uhlenbeck(1.0, [[1j]], temperature=1.0),
            r"noise_cov = \[\[1j\]\]: need an array of real numbers",
        ),
        (
            lambda: Diffusion.from_functions(shrinking, np.ones((3, 2)), dim=2),
            r"noise.shape = \(3, 2\): need noise.shape = \(2, 2\); pass a \(d, r\) matrix",
        ),
        (
            lambda: Diffusion.from_functions(shrinking, np.eye(2), dim=2, rank=1),
            r"noise.shape = \(2, 2\): need noise.shape = \(2, 1\)",
        ),
        (
            lambda: Diffusion.from_functions(shrinking, "loud", dim=2),
            "noise = 'loud': need an array of real numbers",
        ),
        (lambda: ornstein_uhlenbeck([[1.0, 2.0]], [[1.0]], temperature=1.0), "square matrix"),
        (lambda: ornstein_uhlenbeck([[np.nan]], [[1.0]], temperature=1.0), "finite entries"),
        (
            lambda: two_scale(double_well(), gamma=0.5, temperature=1.0, epsilon=0.0),
            "epsilon = 0: need 0 < epsilon",
        ),
        (lambda: underdamped(double_well(), temperature=1.0, friction=-1.0), "friction = -1"),
        (lambda: Diffusion.from_functions(lambda x: x, [[1.0]], dim=1), r"arguments \(x, t\)"),
        (
            lambda: Diffusion.from_functions(lambda x, t: "up", lambda x, t: 1.0, dim=1),
            "Python that numba compiles",
        ),
        (
            lambda: Diffusion.from_functions(lambda x, t: -x, lambda x, t: 1.0, dim=1, rank=2),
            "rank 1 on the line",
        ),
        (
            lambda: Diffusion(drift=shrinking, noise=[[1.0]], dim=2, rank=1, temperature=1.0),
            r"noise.shape = \(2, 1\)",
        ),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
