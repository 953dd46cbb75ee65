"""Point formulas of drift(x, t, params, out) and noise(x, t, params, out), built from a loss.

They know their dimension as a constant, so that their loops unroll and blocks of paths vectorize.
The same loss gives the same function, which is then compiled once for all temperatures.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numba import njit

from relaxlib._lanes.blocks import FASTMATH


@lru_cache(maxsize=64)
def linear(dim: int) -> Callable:
    def drift(x, t, params, out):
        for i in range(dim):
            total = 0.0
            for j in range(dim):
                total -= params[i * dim + j] * x[j]
            out[i] = total

    return drift


@lru_cache(maxsize=64)
def downhill(grad: Callable, dim: int) -> Callable:
    grad = compiled(grad)

    def drift(x, t, params, out):
        grad(x, params, out)
        for i in range(dim):
            out[i] = -out[i]

    return drift


@lru_cache(maxsize=64)
def two_scale(grad: Callable, n: int) -> Callable:
    grad = compiled(grad)

    def drift(x, t, params, out):
        gamma, epsilon = params[0], params[1]
        grad(x[n:], params[2:], out[n:])
        for i in range(n):
            spring = (x[i] - x[n + i]) / gamma
            out[i] = -spring
            out[n + i] = (spring - out[n + i]) / epsilon

    return drift


@lru_cache(maxsize=64)
def underdamped(grad: Callable, n: int) -> Callable:
    grad = compiled(grad)

    def drift(x, t, params, out):
        friction = params[0]
        grad(x[:n], params[1:], out[n:])
        for i in range(n):
            out[i] = x[n + i]
            out[n + i] = -out[n + i] - friction * x[n + i]

    return drift


def compiled(formula: Callable) -> Callable:
    """A formula for use in others: it allocates nothing, so that blocks of paths vectorize."""
    return njit(error_model="numpy", fastmath=FASTMATH, _nrt=False)(formula)


def factor_of(covariance: Callable, scale: float, dim: int) -> Callable:
    """The noise ``scale`` times a factor of covariance(x, out)."""
    covariance = njit(error_model="numpy")(covariance)

    def on_the_line(x, t, params, out):
        covariance(x, out)
        out[0, 0] = scale * np.sqrt(max(out[0, 0], 0.0))

    def in_space(x, t, params, out):
        matrix = np.empty((dim, dim))
        covariance(x, matrix)
        pivoted_factor(matrix, out)
        for i in range(dim):
            for j in range(dim):
                out[i, j] *= scale

    return on_the_line if dim == 1 else in_space


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
