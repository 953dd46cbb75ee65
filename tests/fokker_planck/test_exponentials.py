"""Exponentials of generators against dense ones, over all times."""

import numpy as np
import pytest
from scipy.linalg import expm
from scipy.sparse import csr_array

from relaxlib.diffusions import ornstein_uhlenbeck
from relaxlib.fokker_planck import _exponentials as exponentials
from relaxlib.fokker_planck._exponentials import propagate
from relaxlib.grid import Grid
from relaxlib.landscapes import double_well, double_well_2d
from relaxlib.operators import kolmogorov, langevin_operator


def reversible(landscape, shape):
    grid = Grid.box(*landscape.box, shape)
    return langevin_operator(grid, grid.sample(landscape.value), temperature=0.2).matrix


@pytest.mark.parametrize("t", [0.0, 1e-6, 1e-3, 0.1, 1.0, 30.0, 1e6])
@pytest.mark.parametrize(
    "matrix", [reversible(double_well(), 60), reversible(double_well_2d(), (9, 8))]
)
def test_agrees_with_the_dense_exponential(matrix, t):
    vector = np.random.default_rng(0).random(matrix.shape[0])
    exact = expm(t * matrix.toarray()) @ vector
    np.testing.assert_allclose(propagate(matrix, vector, t, real_spectrum=True), exact, atol=2e-12)


def test_complex_spectra_are_reached_by_steps():
    turning = ornstein_uhlenbeck([[0.3, 3.0], [-3.0, 0.3]], np.eye(2), temperature=0.5)
    matrix = kolmogorov(turning, Grid.box((-3, -3), (3, 3), (15, 15))).matrix
    vector = np.random.default_rng(0).random(225)
    exact = expm(3 * matrix.toarray()) @ vector
    result = propagate(matrix, vector, 3.0, real_spectrum=False)
    np.testing.assert_allclose(result, exact, atol=1e-8)
    careless = propagate(matrix, vector, 3.0, real_spectrum=True)
    assert np.abs(careless - exact).max() > 1e-6


def test_constants_stay_put():
    matrix = reversible(double_well(), 200)
    result = propagate(matrix, np.ones(200), 5.0, real_spectrum=True)
    np.testing.assert_allclose(result, 1.0, rtol=1e-12)


def test_steps_that_never_agree_are_an_error(monkeypatch):
    monkeypatch.setattr(exponentials, "_AGREEMENT", 0.0)
    with pytest.raises(ArithmeticError, match=r"changes by .* from 2048 to 4096 steps"):
        propagate(
            csr_array([[-1.0, 1.0], [1.0, -1.0]]), np.array([1.0, 0.0]), 1.0, real_spectrum=False
        )
