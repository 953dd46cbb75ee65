"""Selling's decomposition: exact, nonnegative, short."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from relaxlib.operators._selling import LONGEST, decompose


def matrices(condition, angle):
    c, s = np.cos(angle), np.sin(angle)
    turn = np.array([[c, -s], [s, c]])
    return (turn @ np.diag([1.0, 1.0 / condition]) @ turn.T)[None]


def rebuilt(offsets, weights):
    return np.einsum("nk,nki,nkj->nij", weights, offsets, offsets)


@given(st.floats(1, 1e12), st.floats(0, np.pi))
@settings(deadline=None, max_examples=300, derandomize=True)
def test_matrix_is_rebuilt_from_short_jumps(condition, angle):
    matrix = matrices(condition, angle)
    offsets, weights, shifts = decompose(matrix)
    used = weights > 0
    assert np.all(weights >= 0)
    assert np.abs(offsets[used]).max() <= LONGEST
    expected = matrix + shifts[0] * np.trace(matrix[0]) * np.eye(2)
    np.testing.assert_allclose(rebuilt(offsets, weights), expected, atol=1e-13)
    assert shifts[0] <= 0.013


def test_moderate_matrices_are_not_shifted():
    for angle in np.linspace(0, np.pi, 50):
        assert decompose(matrices(20.0, angle))[2][0] == 0.0


def test_singular_matrices_along_short_jumps_stay_singular():
    for direction in ([1, 0], [0, 1], [1, 1], [2, -1], [3, 5]):
        matrix = np.outer(direction, direction)[None].astype(float)
        offsets, weights, shifts = decompose(matrix)
        assert shifts[0] == 0.0
        np.testing.assert_allclose(rebuilt(offsets, weights), matrix, atol=1e-13)
        assert np.count_nonzero(weights > 1e-12) == 1


def test_zero_matrix_has_no_jumps():
    assert decompose(np.zeros((1, 2, 2)))[1].max() == 0.0


def test_shift_is_the_smallest_that_shortens():
    matrix = matrices(1e12, 0.3)
    shift = decompose(matrix)[2][0]
    less = matrix + 0.97 * shift * np.eye(2)
    assert decompose(less)[2][0] > 0.0
