"""Exponentials of generators against dense ones, over all times."""

import numpy as np
import pytest
from scipy.linalg import expm
from scipy.sparse import csr_array

from relaxlib.diffusions import ornstein_uhlenbeck
from relaxlib.fokker_planck import _exponentials, backward, evolve, gibbs
from relaxlib.grid import Grid
from relaxlib.landscapes import double_well, double_well_2d
from relaxlib.operators import KolmogorovOperator, kolmogorov, langevin_operator

TURNING = kolmogorov(
    ornstein_uhlenbeck([[0.3, 3.0], [-3.0, 0.3]], np.eye(2), temperature=0.5),
    Grid.box((-3, -3), (3, 3), (15, 15)),
)


def reversible(landscape, shape):
    grid = Grid.box(*landscape.box, shape)
    return langevin_operator(grid, grid.sample(landscape.value), temperature=0.2)


def random_values(operator):
    return np.random.default_rng(0).random(operator.grid.shape)


@pytest.mark.parametrize("t", [0.0, 1e-6, 1e-3, 0.1, 1.0, 30.0, 1e6])
@pytest.mark.parametrize(
    "operator", [reversible(double_well(), 60), reversible(double_well_2d(), (9, 8))]
)
def test_agrees_with_the_dense_exponential(operator, t):
    values, exact = random_values(operator), expm(t * operator.matrix.toarray())
    found = backward(operator, values, [0.0, t] if t else [0.0]).values[-1]
    np.testing.assert_allclose(found.ravel(), exact @ values.ravel(), atol=2e-12)
    start = gibbs(operator.grid, values, temperature=1.0)
    flow = evolve(operator, start, [0.0, t] if t else [0.0]).densities * operator.volumes
    np.testing.assert_allclose(flow[-1].ravel(), flow[0].ravel() @ exact, atol=2e-12)


def test_complex_spectra_are_reached_by_steps():
    values = random_values(TURNING)
    exact = expm(3 * TURNING.matrix.toarray()) @ values.ravel()
    found = backward(TURNING, values, [0.0, 3.0]).values[1]
    np.testing.assert_allclose(found.ravel(), exact, atol=1e-8)
    # what the steps are for: no door leaves them out
    careless = _exponentials.propagate(TURNING.matrix, values.ravel(), 3.0, reversible=True)
    assert np.abs(careless - exact).max() > 1e-6


def test_constants_stay_put():
    found = backward(reversible(double_well(), 200), np.ones(200), [0.0, 5.0]).values[1]
    np.testing.assert_allclose(found, 1.0, rtol=1e-12)


def test_steps_that_never_agree_are_an_error(monkeypatch):
    # a chain that turns so fast beside its decay would need hundreds of thousands of nodes
    monkeypatch.setattr(_exponentials, "_AGREEMENT", 0.0)
    cycle = csr_array([[-1.0, 1.0, 0.0], [0.0, -1.0, 1.0], [1.0, 0.0, -1.0]])
    operator = KolmogorovOperator(cycle, Grid.box(0.0, 1.0, 3), None, "periodic")
    with pytest.raises(ArithmeticError, match=r"changes by .* from 2048 to 4096 steps"):
        backward(operator, [1.0, 0.0, 0.0], [0.0, 1.0])
