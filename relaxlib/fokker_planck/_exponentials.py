r"""The exponential of a sparse generator times a vector, by the best rational approximation.

On the negative real axis :math:`e^z` is :math:`\sum_k c_k/(z - z_k)` with 14 complex poles up to an
error of :math:`10^{-13}` (Cody, Meinardus & Varga 1969; poles by the method of Carathéodory and
Fejér as in Trefethen, Weideman & Schmelzer 2006). Any time costs seven sparse solves.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
from scipy.linalg import hankel, solve_banded
from scipy.sparse import csc_array, csr_array, eye_array
from scipy.sparse.linalg import splu

_POLES = 14
_AGREEMENT = 1e-9  # of two step sizes, where the spectrum is not real


def propagate(matrix: csr_array, vector: np.ndarray, t: float, *, reversible: bool) -> np.ndarray:
    """exp(t matrix) @ vector for the generator of a Markov chain, or its transpose.

    Parameters
    ----------
    matrix : (n, n) csr_array
    vector : (n,) float64
    t : float
    reversible : bool
        Whether the chain is in detailed balance, its spectrum real. Else one time is cut into
        equal steps until half as many give the same up to 1e-9.

    Returns
    -------
    (n,) float64

    Raises
    ------
    ArithmeticError
        If 4096 steps still disagree with 2048.
    """
    if t == 0.0:
        return vector.copy()
    result = _steps(matrix, vector, t, 1)
    if reversible:
        return result
    scale = np.abs(vector).sum()
    for steps in (2**k for k in range(1, 13)):
        coarse, result = result, _steps(matrix, vector, t, steps)
        gap = np.abs(result - coarse).sum()
        if gap < _AGREEMENT * scale:
            return result
    raise ArithmeticError(f"exp(t A) changes by {gap:.1e} from 2048 to 4096 steps: t is too long")


def _steps(matrix: csr_array, vector: np.ndarray, t: float, steps: int) -> np.ndarray:
    """The vector after ``steps`` equal steps that share their factorizations."""
    scaled = matrix * (t / steps)
    poles, residues = _approximation()
    solvers = [_solver(scaled, pole) for pole in poles]
    for _ in range(steps):
        change = scaled @ vector  # zero for a null vector, which then stays put exactly
        parts = [
            c / z * solve(change) for z, c, solve in zip(poles, residues, solvers, strict=True)
        ]
        vector = vector + 2.0 * np.sum(parts, axis=0).real
    return vector


def _solver(matrix: csr_array, pole: complex) -> Callable[[np.ndarray], np.ndarray]:
    """The inverse of matrix - pole."""
    rows, columns = matrix.nonzero()
    if np.abs(rows - columns).max(initial=0) <= 1:
        bands = np.zeros((3, matrix.shape[0]), np.complex128)
        bands[0, 1:] = matrix.diagonal(1)
        bands[1] = matrix.diagonal() - pole
        bands[2, :-1] = matrix.diagonal(-1)
        return lambda right: solve_banded((1, 1), bands, right.astype(np.complex128))
    shifted = csc_array(matrix - pole * eye_array(matrix.shape[0], format="csr"))
    factors = splu(shifted, permc_spec="MMD_AT_PLUS_A")
    return lambda right: factors.solve(right.astype(np.complex128))


@cache
def _approximation() -> tuple[np.ndarray, np.ndarray]:
    """Poles above the real axis and their residues, scaled to be exact at zero."""
    terms, points, scale = 75, 1024, 9.0
    circle = np.exp(2j * np.pi * np.arange(points) / points)
    half_line = scale * (circle.real - 1.0) / (circle.real + 1.0 + 1e-16)
    series = np.fft.fft(np.exp(half_line)).real / points
    smooth = np.polyval(series[terms::-1], circle)
    left, singular, right = np.linalg.svd(hankel(series[1 : terms + 1]))
    u, v = left[::-1, _POLES], right[_POLES]
    ratio = np.fft.fft(u, points) / np.fft.fft(v, points)
    best = smooth - singular[_POLES] * circle**terms * ratio
    roots = np.roots(v)
    roots = roots[np.abs(roots) > 1.0]
    numerator = np.fft.fft(best * np.polyval(np.poly(roots), circle)).real / points
    numerator = numerator[_POLES::-1]
    others = [np.poly(np.delete(roots, k)) for k in range(_POLES)]
    residues = [
        np.polyval(numerator, q) / np.polyval(p, q) for q, p in zip(roots, others, strict=True)
    ]
    poles = scale * (roots - 1.0) ** 2 / (roots + 1.0) ** 2
    residues = 4.0 * np.array(residues) * poles / (roots**2 - 1.0)
    upper = poles.imag > 0.0
    poles, residues = poles[upper], residues[upper]
    return poles, residues / (-2.0 * np.sum(residues / poles).real)
