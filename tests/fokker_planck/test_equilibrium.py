"""Chains: detailed balance found and missed, null vectors, spectra."""

import numpy as np
import pytest
from scipy.linalg import eigvals
from scipy.sparse import csr_array

from relaxlib.fokker_planck._equilibrium import (
    log_weights,
    null_masses,
    reversible_part,
    slowest_rate,
    spectrum,
)


def chain(rates):
    matrix = np.array(rates, float)
    np.fill_diagonal(matrix, 0.0)
    np.fill_diagonal(matrix, -matrix.sum(axis=1))
    return csr_array(matrix)


def random_reversible(count, seed=0):
    rng = np.random.default_rng(seed)
    conductances = rng.random((count, count))
    weights = rng.random(count)
    return chain((conductances + conductances.T) / weights[:, None]), weights


def test_detailed_balance_is_found():
    matrix, weights = random_reversible(12)
    np.testing.assert_allclose(np.exp(log_weights(matrix)), weights / weights.max(), rtol=1e-12)


def test_a_current_is_no_balance():
    assert log_weights(chain([[0, 2, 1], [1, 0, 2], [2, 1, 0]])) is None
    assert log_weights(chain([[0, 1], [0, 0]])) is None


def test_null_masses_solve_the_chain():
    matrix = chain(np.random.default_rng(1).random((9, 9)))
    masses = null_masses(matrix)
    assert masses.sum() == pytest.approx(1.0, abs=1e-14)
    np.testing.assert_allclose(matrix.T @ masses, 0.0, atol=1e-13)


def test_transient_nodes_carry_no_mass():
    matrix = chain([[0, 1, 0], [0, 0, 2], [0, 1, 0]])
    np.testing.assert_allclose(null_masses(matrix), [0, 1 / 3, 2 / 3], atol=1e-15)


def test_an_absorbing_node_has_all_the_mass():
    np.testing.assert_array_equal(null_masses(chain([[0, 1, 0], [0, 0, 2], [0, 0, 0]])), [0, 0, 1])


def test_masses_of_many_orders_of_magnitude():
    up, down = np.full(39, 1e-10), np.full(39, 1e10)  # node 0 holds 1e20 times node 1, and so on
    rates = np.diag(up, 1) + np.diag(down, -1)
    rates[0, 39] = 1e-300  # no detailed balance
    masses = null_masses(chain(rates))
    np.testing.assert_allclose(masses[:3], [1.0, 1e-20, 1e-40], rtol=1e-10)
    masses = null_masses(chain(rates[::-1, ::-1]))
    np.testing.assert_allclose(masses[::-1][:3], [1.0, 1e-20, 1e-40], rtol=1e-10)


def test_jumps_too_rare_to_count_are_refused():
    rates = np.array([[0, 1, 1e-30], [1, 0, 0], [0, 0, 0.0]])
    rates = np.block([[rates, np.zeros((3, 3))], [np.zeros((3, 3)), rates]])
    rates[2, 3], rates[5, 0] = 1.0, 1e-200
    with pytest.raises(ArithmeticError, match=r"stationary density: .*raise the temperature, or"):
        null_masses(chain(rates))


def test_a_chain_that_does_not_move_has_no_rates():
    np.testing.assert_array_equal(spectrum(chain(np.zeros((4, 4))), 2), 0.0)


def test_two_closed_classes_are_refused():
    with pytest.raises(ValueError, match="closed classes of nodes = 2: need one"):
        null_masses(chain([[0, 0, 0], [1, 0, 1], [0, 0, 0]]))


@pytest.mark.parametrize(
    "matrix", [random_reversible(15)[0], chain(np.random.default_rng(2).random((15, 15)))]
)
def test_spectrum_agrees_with_the_dense_one(matrix):
    values = spectrum(matrix, 4)
    exact = eigvals(matrix.toarray())
    exact = exact[np.lexsort((exact.imag, -exact.real))][:4]
    np.testing.assert_allclose(values, exact, atol=1e-11)


def test_spectrum_of_a_line_is_real_and_exact():
    matrix = chain(np.diag(np.ones(30), 1) + np.diag(np.ones(30), -1))
    exact = -4 * np.sin(np.pi * np.arange(5) / 62) ** 2
    np.testing.assert_allclose(spectrum(matrix, 5), exact, atol=1e-14)


def test_tiny_gaps_keep_four_digits():
    rate = 1e-7
    rates = np.diag(np.full(39, 1e3), 1) + np.diag(np.full(39, 1e3), -1)
    rates[19, 20] = rates[20, 19] = rate
    assert -spectrum(chain(rates), 2)[1] == pytest.approx(rate / 10, rel=1e-4)


def test_the_reversible_part_is_in_balance_with_the_same_masses():
    turning = chain([[0, 2, 1], [1, 0, 2], [2, 1, 0.5]])
    part = reversible_part(turning)
    masses = null_masses(turning)
    assert log_weights(part) is not None
    np.testing.assert_allclose(null_masses(part), masses, rtol=1e-12)
    flows = masses[:, None] * turning.toarray()
    np.testing.assert_allclose(masses[:, None] * part.toarray(), (flows + flows.T) / 2, atol=1e-15)


def test_a_chain_in_balance_is_its_own_reversible_part():
    matrix, _ = random_reversible(7)
    assert reversible_part(matrix) is matrix


def test_the_reversible_part_leaves_out_what_has_no_mass():
    leaking = chain([[0, 1, 0], [2, 0, 0], [1, 1, 0]])
    assert reversible_part(leaking).toarray().tolist() == [[-1.0, 1.0], [2.0, -2.0]]


def test_slowest_rate_of_two_states_and_of_none():
    assert slowest_rate(chain([[0, 1, 0], [2, 0, 1], [0, 1, 0]]), "gap") == pytest.approx(1.0)
    with pytest.raises(ArithmeticError, match=r"gap: 0.0e\+00 <= 0.0e\+00, where rounding may"):
        slowest_rate(csr_array((3, 3)), "gap")
