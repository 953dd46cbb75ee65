"""Equilibrium and spectrum of small chains: balance found and missed, masses, eigenvalues."""

from fractions import Fraction

import numpy as np
import pytest
from scipy.linalg import eigvals, eigvalsh
from scipy.sparse import csr_array

from relaxlib.diffusions import langevin
from relaxlib.fokker_planck import eigenvalues, poincare_constant, spectral_gap, stationary
from relaxlib.grid import Grid
from relaxlib.landscapes import Landscape
from relaxlib.operators import KolmogorovOperator, kolmogorov


def chain(rates):
    """The operator of these jumps, on nodes whose cells are alike."""
    matrix = np.array(rates, float)
    np.fill_diagonal(matrix, 0.0)
    np.fill_diagonal(matrix, -matrix.sum(axis=1))
    grid = Grid.box(0.0, 1.0, len(matrix))
    return KolmogorovOperator(csr_array(matrix), grid, None, "periodic")


def masses(operator):
    return stationary(operator) * operator.volumes


def random_reversible(count, seed=0):
    rng = np.random.default_rng(seed)
    conductances = rng.random((count, count))
    weights = rng.random(count)
    return chain((conductances + conductances.T) / weights[:, None]), weights


def second_of_the_reversible_part(operator):
    """Minus the second eigenvalue of the mean of a chain and its reversal, densely."""
    matrix, root = operator.matrix.toarray(), np.sqrt(masses(operator))
    similar = root[:, None] * matrix / root
    return -eigvalsh((similar + similar.T) / 2)[-2]


TURNING = chain([[0, 2, 1], [1, 0, 2], [2, 1, 0.5]])


def test_detailed_balance_is_found():
    operator, weights = random_reversible(12)
    np.testing.assert_allclose(masses(operator), weights / weights.sum(), rtol=1e-12)
    assert eigenvalues(operator, 3).dtype == np.float64


def test_a_current_is_no_balance():
    turning = np.roll(np.eye(5), 1, axis=1) + 0.5 * np.roll(np.eye(5), -1, axis=1)
    assert eigenvalues(chain(turning), 3).dtype == np.complex128
    one_way = chain(np.diag(np.ones(4), 1) + np.diag([1.0, 1.0, 1.0, 0.0], -1))
    assert eigenvalues(one_way, 3).dtype == np.complex128


def test_null_masses_solve_the_chain():
    operator = chain(np.random.default_rng(1).random((9, 9)))
    found = masses(operator)
    assert found.sum() == pytest.approx(1.0, abs=1e-14)
    np.testing.assert_allclose(operator.matrix.T @ found, 0.0, atol=1e-13)


def test_transient_nodes_carry_no_mass():
    leaking = chain([[0, 1, 0], [0, 0, 2], [0, 1, 0]])
    np.testing.assert_allclose(masses(leaking), [0, 1 / 3, 2 / 3], atol=1e-15)


def test_an_absorbing_node_has_all_the_mass():
    np.testing.assert_array_equal(masses(chain([[0, 1, 0], [0, 0, 2], [0, 0, 0]])), [0, 0, 1])


def test_masses_of_many_orders_of_magnitude():
    up, down = np.full(39, 1e-10), np.full(39, 1e10)  # node 0 holds 1e20 times node 1, and so on
    rates = np.diag(up, 1) + np.diag(down, -1)
    rates[0, 39] = 1e-300  # no detailed balance
    np.testing.assert_allclose(masses(chain(rates))[:3], [1.0, 1e-20, 1e-40], rtol=1e-10)
    mirrored = masses(chain(rates[::-1, ::-1]))
    np.testing.assert_allclose(mirrored[::-1][:3], [1.0, 1e-20, 1e-40], rtol=1e-10)


def two_wells(x):
    return (x[0] ** 2 - 1) ** 2 + x[1] ** 2 / 2


def two_wells_grad(x, out):
    out[0], out[1] = 4 * x[0] * (x[0] ** 2 - 1), x[1]


def wider_away_from_the_ridge(x, out):
    out[0, 0], out[1, 1] = 1.0, 1.0 + x[0] ** 2 / 2
    out[0, 1] = out[1, 0] = 0.0


@pytest.mark.parametrize("temperature", [0.03, 0.02, 0.005])
def test_wells_that_are_alike_share_the_mass_at_any_gap(temperature):
    landscape = Landscape.from_functions(two_wells, two_wells_grad, dim=2, box=((-2, -2), (2, 2)))
    noise = {"temperature": temperature, "noise_cov": wider_away_from_the_ridge}
    operator = kolmogorov(langevin(landscape, **noise), Grid.box((-2, -2), (2, 2), (81, 81)))
    found = masses(operator)
    np.testing.assert_allclose(found, found[::-1], rtol=0, atol=1e-13 * found.max())
    assert found[:40].sum() == pytest.approx(0.5, abs=1e-13)


@pytest.mark.parametrize("seed", range(3))
def test_masses_are_right_to_rounding_where_rates_differ_by_many_orders(seed):
    rng = np.random.default_rng(seed)
    rates = 10.0 ** rng.uniform(-40, 0, (12, 12)) * (rng.random((12, 12)) < 0.4)
    rates += np.roll(np.diag(10.0 ** rng.uniform(-40, 0, 12)), 1, axis=1)
    operator = chain(rates)
    exact = [[Fraction(float(rate)) for rate in row] for row in operator.matrix.toarray().T]
    for k, row in enumerate(exact):
        row[k] = -sum(exact[j][k] for j in range(12) if j != k)
    for k in range(11):  # Gauss's elimination in fractions; the last mass is one
        for j in range(12):
            if j != k:
                ratio = exact[j][k] / exact[k][k]
                exact[j] = [a - ratio * b for a, b in zip(exact[j], exact[k], strict=True)]
    weights = [-exact[k][11] / exact[k][k] for k in range(11)] + [Fraction(1)]
    shares = [float(weight / sum(weights)) for weight in weights]
    np.testing.assert_allclose(masses(operator), shares, rtol=1e-13)


def test_jumps_too_rare_to_count_are_refused():
    rates = np.array([[0, 1, 1e-30], [1, 0, 0], [0, 0, 0.0]])
    rates = np.block([[rates, np.zeros((3, 3))], [np.zeros((3, 3)), rates]])
    rates[2, 3], rates[5, 0] = 1.0, 1e-200
    with pytest.raises(ArithmeticError, match=r"stationary density: .*raise the temperature, or"):
        stationary(chain(rates))


def test_a_chain_that_does_not_move_has_no_rates():
    still = chain(np.zeros((4, 4)))
    np.testing.assert_array_equal(eigenvalues(still, 2), 0.0)
    with pytest.raises(ArithmeticError, match=r"gap: 0.0e\+00 <= 0.0e\+00, where rounding may"):
        spectral_gap(still)


def test_two_closed_classes_are_refused():
    with pytest.raises(ValueError, match="closed classes of nodes = 2: need one"):
        stationary(chain([[0, 0, 0], [1, 0, 1], [0, 0, 0]]))


@pytest.mark.parametrize(
    "operator", [random_reversible(15)[0], chain(np.random.default_rng(2).random((15, 15)))]
)
def test_spectrum_agrees_with_the_dense_one(operator):
    exact = eigvals(operator.matrix.toarray())
    exact = exact[np.lexsort((exact.imag, -exact.real))][:4]
    np.testing.assert_allclose(eigenvalues(operator, 4), exact, atol=1e-11)


def test_spectrum_of_a_line_is_real_and_exact():
    line = chain(np.diag(np.ones(30), 1) + np.diag(np.ones(30), -1))
    exact = -4 * np.sin(np.pi * np.arange(5) / 62) ** 2
    np.testing.assert_allclose(eigenvalues(line, 5), exact, atol=1e-14)


def test_tiny_gaps_keep_four_digits():
    rate = 1e-7
    rates = np.diag(np.full(39, 1e3), 1) + np.diag(np.full(39, 1e3), -1)
    rates[19, 20] = rates[20, 19] = rate
    assert spectral_gap(chain(rates)) == pytest.approx(rate / 10, rel=1e-4)


@pytest.mark.parametrize("operator", [TURNING, chain(np.random.default_rng(3).random((9, 9)))])
def test_poincare_constant_is_the_gap_of_the_reversible_part(operator):
    exact = second_of_the_reversible_part(operator)
    assert poincare_constant(operator) == pytest.approx(exact, rel=1e-12)


def test_a_chain_in_balance_is_its_own_reversible_part():
    operator, _ = random_reversible(7)
    assert poincare_constant(operator) == spectral_gap(operator)


def test_the_reversible_part_leaves_out_what_has_no_mass():
    leaking = chain([[0, 1, 0], [2, 0, 0], [1, 1, 0]])
    assert poincare_constant(leaking) == pytest.approx(3.0, rel=1e-14)  # of the first two alone


def test_slowest_rate_of_three_states():
    assert spectral_gap(chain([[0, 1, 0], [2, 0, 1], [0, 1, 0]])) == pytest.approx(1.0)
