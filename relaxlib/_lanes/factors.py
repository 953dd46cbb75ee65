"""Factors B of nonnegative matrices B B^T, also singular ones."""

from __future__ import annotations

import numpy as np
from numba import njit


def factor(matrix: np.ndarray) -> np.ndarray:
    """A factor B (d, r) of the nonnegative matrix (d, d) = B B^T, r its rank to rounding."""
    out = np.empty_like(matrix)
    rank = pivoted_factor(matrix.copy(), out)
    return out[:, :rank].copy()


@njit(cache=True, error_model="numpy")
def pivoted_factor(matrix, out):
    """Write B (d, d) with B B^T = matrix to ``out``, spare columns zero; return the rank.

    Cholesky's outer products with the largest diagonal entry next, so that zero pivots come
    last; ``matrix`` (d, d) is overwritten.
    """
    dim = len(matrix)
    largest = 0.0
    for i in range(dim):
        largest = max(largest, matrix[i, i])
    out[:] = 0.0
    for k in range(dim):
        pivot = 0
        for i in range(1, dim):
            if matrix[i, i] > matrix[pivot, pivot]:
                pivot = i
        if not matrix[pivot, pivot] > 1e-14 * dim * largest:
            return k
        root = np.sqrt(matrix[pivot, pivot])
        for i in range(dim):
            out[i, k] = matrix[i, pivot] / root
        for i in range(dim):
            for j in range(dim):
                matrix[i, j] -= out[i, k] * out[j, k]
        matrix[pivot, :] = 0.0
        matrix[:, pivot] = 0.0
    return dim
