r"""Selling's decomposition of a 2 x 2 diffusion matrix into jumps along a lattice.

Every nonnegative D is :math:`\sum_k \lambda_k e_k e_k^\top` with three integer vectors e_k and
:math:`\lambda_k \ge 0`, so that second differences along the e_k give a scheme without negative
weights (Selling 1874; Bonnans, Ottenwaelter & Zidani 2004).
"""

from __future__ import annotations

import numpy as np
from numba import njit

LONGEST = 5  # largest entry of a jump


def decompose(matrices: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    r"""Jumps and weights of nonnegative matrices, each shifted as little as short jumps need.

    .. math:: D + \delta\operatorname{tr}(D)\,I = \sum_{k=1}^3 \lambda_k e_k e_k^\top,
              \qquad \lambda_k \ge 0, \quad |e_k|_\infty \le 5.

    Parameters
    ----------
    matrices : (n, 2, 2) float64
        Symmetric, nonnegative.

    Returns
    -------
    offsets : (n, 3, 2) int64
        The e_k.
    weights : (n, 3) float64
        The weights, some of them zero.
    shifts : (n,) float64
        delta, zero unless D is nearly singular in a direction that no short jump has.

    Examples
    --------
    >>> offsets, weights, shifts = decompose(np.array([[[2.0, 1.0], [1.0, 2.0]]]))
    >>> weights.tolist(), np.abs(offsets[0]).tolist(), shifts.tolist()
    ([[1.0, 1.0, 1.0]], [[0, 1], [1, 0], [1, 1]], [0.0])
    """
    count = len(matrices)
    offsets = np.empty((count, 3, 2), np.int64)
    weights, shifts = np.empty((count, 3)), np.empty(count)
    _decompose_all(matrices, offsets, weights, shifts)
    return offsets, weights, shifts


@njit(cache=True, error_model="numpy")
def _decompose_all(matrices, offsets, weights, shifts):
    for i in range(len(matrices)):
        a, b, c = matrices[i, 0, 0], matrices[i, 0, 1], matrices[i, 1, 1]
        shifts[i] = _smallest_shift(a, b, c, offsets[i], weights[i])


@njit(cache=True, error_model="numpy")
def _smallest_shift(a, b, c, offsets, weights):
    """Decompose [[a, b], [b, c]] with the smallest shift (to 1 %) that keeps the jumps short."""
    if _reduce(a, b, c, offsets, weights):
        return 0.0
    trace = a + c
    low, high = 0.0, 1e-6
    while not _reduce(a + high * trace, b, c + high * trace, offsets, weights):
        low, high = high, 2.0 * high
    while high - low > 0.01 * high:
        middle = 0.5 * (low + high)
        if _reduce(a + middle * trace, b, c + middle * trace, offsets, weights):
            high = middle
        else:
            low = middle
    _reduce(a + high * trace, b, c + high * trace, offsets, weights)
    return high


@njit(cache=True, error_model="numpy")
def _reduce(a, b, c, offsets, weights):
    """Selling's algorithm: turn a superbase until no two of its vectors have D-angle below 90.

    Returns whether all jumps are short; then they and their weights are written.
    """
    base = np.array([[1, 0], [0, 1], [-1, -1]])
    tiny = 1e-15 * (a + c)
    for _ in range(60):
        turned = False
        for k in range(3):
            u, v = base[(k + 1) % 3], base[(k + 2) % 3]
            product = a * u[0] * v[0] + b * (u[0] * v[1] + u[1] * v[0]) + c * u[1] * v[1]
            if product > tiny:
                u[0], u[1] = -u[0], -u[1]
                base[k, 0] = -(u[0] + v[0])
                base[k, 1] = -(u[1] + v[1])
                turned = True
                break
            offsets[k, 0], offsets[k, 1] = -base[k, 1], base[k, 0]
            weights[k] = max(-product, 0.0)
        if not turned:
            for k in range(3):
                if weights[k] > 0.0 and max(abs(offsets[k, 0]), abs(offsets[k, 1])) > LONGEST:
                    return False
            return True
        if np.max(np.abs(base)) > 4 * LONGEST:
            return False
    return False
