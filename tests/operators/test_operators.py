"""The generator on a grid: signs, balance, orders of convergence, boundaries, degenerate noise."""

import numpy as np
import pytest
import scipy.sparse.linalg as sla
from hypothesis import given, settings
from hypothesis import strategies as st

from relaxlib.diffusions import Diffusion, langevin, ornstein_uhlenbeck
from relaxlib.grid import Grid
from relaxlib.landscapes import double_well, double_well_2d, rugged
from relaxlib.operators import bernoulli, kolmogorov, langevin_operator


def null_density(operator):
    """Stationary density by a sparse solve with one equation replaced by the total mass."""
    transposed = operator.matrix.T.tolil()
    transposed[0] = 1.0
    right = np.zeros(operator.matrix.shape[0])
    right[0] = 1.0
    return sla.spsolve(transposed.tocsc(), right) / operator.volumes.ravel()


def slopes(errors, refinement=2):
    return np.log(np.array(errors[:-1]) / errors[1:]) / np.log(refinement)


def assert_markov(operator):
    matrix = operator.matrix
    off_diagonal = matrix.copy()
    off_diagonal.setdiag(0.0)
    assert off_diagonal.data.min() >= 0.0
    largest = np.abs(matrix.diagonal()).max()
    assert np.abs(matrix.sum(axis=1)).max() <= 1e-12 * largest


def rotating(condition):
    def noise(x, t, out):
        angle = x[0] + 2 * x[1]
        c, s = np.cos(angle), np.sin(angle)
        thin = condition**-0.5
        out[0, 0], out[0, 1] = c, -s * thin
        out[1, 0], out[1, 1] = s, c * thin

    return noise


def rotation(x, t, out):
    out[0] = -x[0] + x[1]
    out[1] = -x[0] - x[1]


@pytest.mark.parametrize("condition", [1.0, 10.0, 1e4, np.inf])
@pytest.mark.parametrize("shape", [(21, 34), (30, 30)])
def test_rows_sum_to_zero_and_rates_are_nonnegative(condition, shape):
    diffusion = Diffusion.from_functions(rotation, rotating(condition), dim=2)
    operator = kolmogorov(diffusion, Grid.box((-2, -1), (1, 3), shape))
    assert_markov(operator)
    assert (operator.regularization > 0) == (condition > 1e3)


@given(st.integers(0, 10_000))
@settings(deadline=None, max_examples=40, derandomize=True)
def test_rank_one_noise_of_any_slope_gives_a_markov_chain(seed):
    slope, matrix = np.random.default_rng(seed).normal(size=(2, 2, 2))
    noise = np.outer(slope[0], slope[0])
    operator = kolmogorov(
        ornstein_uhlenbeck(matrix, noise, temperature=0.3), Grid.box((-1, -1), (1, 1), (9, 12))
    )
    assert_markov(operator)
    assert operator.regularization <= 0.013


@pytest.mark.parametrize(
    ("landscape", "shape"), [(double_well(), 301), (rugged(), 400), (double_well_2d(), (40, 51))]
)
def test_gibbs_is_the_exact_null_vector(landscape, shape):
    grid = Grid.box(*landscape.box, shape)
    operator = kolmogorov(langevin(landscape, temperature=0.3), grid)
    values = grid.sample(landscape.value)
    masses = (np.exp(-(values - values.min()) / 0.3) * operator.volumes).ravel()
    flux = operator.matrix.T @ masses
    assert np.abs(flux).max() <= 1e-13 * np.abs(operator.matrix.diagonal() * masses).max()
    balance = operator.matrix.multiply(masses[:, None]).tocsr()
    assert np.abs(balance - balance.T).max() <= 1e-12 * np.abs(balance).max()


def test_values_alone_give_the_same_chain():
    landscape, grid = double_well(), Grid.box(-2, 2, 101)
    one = kolmogorov(langevin(landscape, temperature=0.2), grid)
    other = langevin_operator(grid, grid.sample(landscape.value), temperature=0.2)
    assert np.abs(one.matrix - other.matrix).max() < 1e-9


def test_values_that_range_over_thousands_are_no_trouble():
    grid = Grid.box(-1, 1, 201)
    operator = langevin_operator(grid, 1500 * grid.nodes[:, 0] ** 2, temperature=0.5)
    assert np.isfinite(operator.matrix.data).all()
    assert_markov(operator)


def test_stationary_density_of_state_dependent_noise_on_the_line():
    def noise(x, t):
        return np.sqrt(0.2 * (1.0 + 0.4 * np.tanh(x)))

    diffusion = Diffusion.from_functions(lambda x, t: x - x**3, noise, dim=1)
    grid = Grid.box(-2.5, 2.5, 401)
    x = np.linspace(-2.5, 2.5, 40_001)
    variance = 0.1 * (1 + 0.4 * np.tanh(x))
    slope = -(x - x**3) / variance
    barrier = np.concatenate([[0], np.cumsum((slope[1:] + slope[:-1]) / 2 * np.diff(x))])
    exact = (np.exp(-barrier + barrier.min()) / variance)[::100]
    exact /= (exact * grid.volumes).sum()
    density = null_density(kolmogorov(diffusion, grid))
    np.testing.assert_allclose(density, exact, rtol=2e-5, atol=1e-12)


def consistency_error(drift, condition, n):
    """Errors of A u in the interior for a smooth u, and the regularization."""
    diffusion = Diffusion.from_functions(drift, rotating(condition), dim=2)
    grid = Grid.box((-1, -1), (1, 1), (n, n))
    operator = kolmogorov(diffusion, grid)
    x, y = grid.nodes.T
    u = np.sin(x) * np.cos(2 * y)
    first = np.stack([np.cos(x) * np.cos(2 * y), -2 * np.sin(x) * np.sin(2 * y)], axis=1)
    mixed = -2 * np.cos(x) * np.sin(2 * y)
    second = np.moveaxis(np.array([[-u, mixed], [mixed, -4 * u]]), -1, 0)
    exact = np.einsum("nij,nij->n", diffusion.diffusivity_at(grid.nodes), second)
    exact += (diffusion.drift_at(grid.nodes) * first).sum(axis=1)
    inside = np.abs(grid.nodes).max(axis=1) < 0.7
    return np.abs(operator.matrix @ u - exact)[inside], operator.regularization


@pytest.mark.parametrize("condition", [1.0, 10.0, 100.0])
def test_generator_is_second_order_with_rotating_noise(condition):
    sizes = (41, 81, 161)
    errors = [np.sqrt(np.mean(consistency_error(rotation, condition, n)[0] ** 2)) for n in sizes]
    assert np.all(slopes(errors) > 1.8), errors


@pytest.mark.parametrize("condition", [1e4, np.inf])
def test_error_of_nearly_singular_noise_is_its_regularization(condition):
    def none(x, t, out):
        out[0], out[1] = 0.0, 0.0

    trace, laplacian = 0.5 * (1 + 1 / condition), 5.0
    error, regularization = consistency_error(none, condition, 321)
    assert 0 < regularization <= 0.013
    bound = regularization * trace * laplacian
    assert 0.3 * bound < error.max() < bound


@pytest.mark.parametrize("matrix", [[[1.0, 0.5], [0.2, 2.0]], [[1.0, 3.0], [-3.0, 1.0]]])
@pytest.mark.parametrize("condition", [1.0, 10.0])
def test_stationary_covariance_of_linear_drift_is_second_order(matrix, condition):
    from scipy.linalg import solve_continuous_lyapunov

    c, s = np.cos(0.5), np.sin(0.5)
    turn = np.array([[c, -s], [s, c]])
    noise = turn @ np.diag([1.0, 1.0 / condition]) @ turn.T
    exact = solve_continuous_lyapunov(np.array(matrix), noise)
    diffusion = ornstein_uhlenbeck(matrix, noise, temperature=0.5)
    errors = []
    for n in (31, 61, 121):
        grid = Grid.box((-4, -4), (4, 4), (n, n))
        operator = kolmogorov(diffusion, grid)
        masses = null_density(operator) * operator.volumes.ravel()
        errors.append(np.abs(np.einsum("n,ni,nj->ij", masses, *[grid.nodes] * 2) - exact).max())
    assert np.all(slopes(errors) > 1.7), errors


def test_reflecting_walls_are_second_order():
    errors = []
    for n in (21, 41, 81):
        grid = Grid.box((0, 0), (1, 2), (n, 2 * n))
        flat = ornstein_uhlenbeck(np.zeros((2, 2)), np.eye(2), temperature=0.7)
        x, y = grid.nodes.T
        u = np.cos(np.pi * x) * np.cos(np.pi * y / 2)
        exact = -0.7 * np.pi**2 * (1 + 1 / 4) * u
        errors.append(np.abs(kolmogorov(flat, grid).matrix @ u - exact).max())
    assert np.all(slopes(errors) > 1.9), errors


def test_absorbing_walls_stand_one_spacing_outside():
    grid = Grid.box(-0.99, 0.99, 199)
    motion = ornstein_uhlenbeck(0.0, 1.0, temperature=0.5)
    operator = kolmogorov(motion, grid, boundary="absorbing")
    times = sla.spsolve(operator.matrix.tocsc(), -np.ones(199))
    np.testing.assert_allclose(times, 1 - grid.nodes[:, 0] ** 2, rtol=1e-9)


def test_periodic_axis_closes_after_one_more_spacing():
    n = 100
    grid = Grid.box(0, 2 * np.pi * (1 - 1 / n), n)
    turning = Diffusion.from_functions(lambda x, t: 1.0, lambda x, t: 1.0, dim=1)
    operator = kolmogorov(turning, grid, boundary="periodic")
    assert_markov(operator)
    np.testing.assert_allclose(null_density(operator), 1 / (2 * np.pi), rtol=1e-10)
    u = np.sin(grid.nodes[:, 0])
    np.testing.assert_allclose(operator.matrix @ u, -u / 2 + np.cos(grid.nodes[:, 0]), atol=1e-3)


def test_noise_along_one_axis_stays_there():
    diffusion = ornstein_uhlenbeck([[1.0, 0.0], [0.0, 2.0]], [[1, 0], [0, 0]], temperature=0.5)
    grid = Grid.box((-1, -1), (1, 1), (21, 21))
    operator = kolmogorov(diffusion, grid)
    assert operator.regularization == 0.0
    jumps = operator.matrix.tocoo()
    across = grid.nodes[jumps.col] - grid.nodes[jumps.row]
    away = np.abs(grid.nodes[jumps.col, 1]) > np.abs(grid.nodes[jumps.row, 1]) + 1e-12
    assert not away.any()
    assert np.all((across == 0).any(axis=1))


def test_without_noise_no_mass_leaves_its_basin():
    grid = Grid.box(-3, 3, 200)
    operator = kolmogorov(langevin(double_well(), temperature=0.0), grid)
    right = grid.nodes[:, 0] > 0
    assert operator.matrix[np.ix_(right, ~right)].nnz == 0
    assert operator.matrix[np.ix_(~right, right)].nnz == 0
    assert_markov(operator)


def test_bernoulli_function_is_stable():
    z = np.array([-1e3, -1.0, -2e-5, -1e-9, 1e-9, 2e-5, 1.0, 50.0])
    exact = z.astype(np.longdouble) / np.expm1(z.astype(np.longdouble))
    np.testing.assert_allclose(bernoulli(z), exact.astype(float), rtol=1e-14)
    np.testing.assert_allclose(bernoulli(-z) - bernoulli(z), z, atol=1e-15)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: kolmogorov(
                langevin(double_well(), temperature=1.0), Grid.box((0, 0), (1, 1), 5)
            ),
            "shape",
        ),
        (
            lambda: kolmogorov(
                langevin(double_well(), temperature=1.0), Grid.box((0, 0), (1, 1), (5, 5))
            ),
            "grid.dim = 2: need the diffusion's dim = 1",
        ),
        (
            lambda: kolmogorov(
                langevin(double_well(), temperature=1.0), Grid.box(0, 1, 5), boundary="open"
            ),
            "boundary = 'open': need one of",
        ),
        (
            lambda: langevin_operator(Grid.box([0] * 3, [1] * 3, [3] * 3), 0, temperature=1.0),
            "grid.dim = 3: need 1 or 2",
        ),
        (lambda: langevin_operator(Grid.box(0, 1, 3), [0, 0, 0], temperature=0.0), "temperature"),
        (
            lambda: langevin_operator(Grid.box(0, 1, 3), double_well().value, temperature=1.0),
            r"potential = .*: need an array of real .* a function f pass grid.sample\(f\)",
        ),
        (
            lambda: langevin_operator(Grid.box(0, 1, 3), double_well(), temperature=1.0),
            "potential = <Landscape double_well.*: need an array of real numbers",
        ),
        (
            lambda: langevin_operator(Grid.box(0, 1, 3), [0, 1j, 0], temperature=1.0),
            "potential = .*: need an array of real numbers",
        ),
        (
            lambda: langevin_operator("grid", [0, 0, 0], temperature=1.0),
            "grid = 'grid': need type Grid; see relaxlib.grid",
        ),
        (
            lambda: kolmogorov(ornstein_uhlenbeck(1.0, 1.0, temperature=1.0), None),
            "grid = None: need type Grid",
        ),
        (
            lambda: kolmogorov(double_well(), Grid.box(0, 1, 3)),
            "diffusion = <Landscape double_well.*: need type Diffusion; see relaxlib.diffusion",
        ),
        (lambda: langevin_operator(Grid.box(0, 1, 3), [0, 0], temperature=1.0), "potential.shape"),
        (
            lambda: kolmogorov(
                Diffusion.from_functions(lambda x, t: 1 / x, [[1.0]], dim=1), Grid.box(0, 1, 5)
            ),
            "finite entries",
        ),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
