r"""Losses that are means over examples, :math:`L = \frac1N\sum_i L_i`, and the noise of batches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import ArrayLike

from relaxlib import _checks


class Example(NamedTuple):
    """Point formulas of one example, loss(x, row) and gradient(x, row, out), and all rows."""

    loss: Callable
    gradient: Callable
    rows: np.ndarray  # (N, m)


class Quadratic(NamedTuple):
    """The examples of a quadratic finite sum: gradients A_i x - g_i."""

    matrices: np.ndarray  # (N, d, d)
    vectors: np.ndarray  # (N, d)


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class FiniteSum:
    r"""A loss :math:`L(x) = \frac1N\sum_{i=1}^N L_i(x)` with the gradients of its examples.

    Parameters
    ----------
    losses, gradients : function
        losses(x) -> (N,) and gradients(x) -> (N, d) at x (d,).
    size, dim : int
        N and d.
    example, quadratic : optional
        What `from_example`, `least_squares`, `logistic` and `quadratics` know besides: formulas
        of one example, with which `sgd_paths` runs compiled, and matrices and vectors when every
        L_i is quadratic.
    """

    losses: Callable[[np.ndarray], np.ndarray]
    gradients: Callable[[np.ndarray], np.ndarray]
    size: int
    dim: int
    example: Example | None = None
    quadratic: Quadratic | None = None

    def loss(self, x: ArrayLike) -> float:
        """L at x (d,)."""
        return float(np.mean(self.losses(_checks.point("x", x, self.dim))))

    def grad(self, x: ArrayLike) -> np.ndarray:
        """Gradient of L at x (d,), as (d,)."""
        return self.gradients(_checks.point("x", x, self.dim)).mean(axis=0)

    def __repr__(self) -> str:
        return f"<FiniteSum: size={self.size}, dim={self.dim}>"


def from_example(
    loss: Callable, gradient: Callable, rows: ArrayLike, *, dim: int | None = None
) -> FiniteSum:
    """Finite sum of one example's formulas over the rows of data.

    Parameters
    ----------
    loss, gradient : function
        loss(x, row) -> float and gradient(x, row, out), in Python that numba compiles.
    rows : (N, m) array_like
        The data of each example.
    dim : int, optional
        d; one less than m when left out.

    Returns
    -------
    FiniteSum

    Raises
    ------
    ValueError
        If the rows are not a finite array (N, m).

    Examples
    --------
    >>> def loss(x: np.ndarray, row: np.ndarray) -> float:
    ...     return float(row[0] * x[0] ** 4 / 4)
    >>> def gradient(x: np.ndarray, row: np.ndarray, out: np.ndarray) -> None:
    ...     out[0] = row[0] * x[0] ** 3
    >>> from_example(loss, gradient, [[1.0], [3.0]], dim=1).grad([2.0]).tolist()
    [16.0]
    """
    data = _checks.rows("rows", rows)
    dim = _checks.count("dim", data.shape[1] - 1 if dim is None else dim)
    return sum_over_rows(Example(loss, gradient, data), dim)


def sum_over_rows(example: Example, dim: int, quadratic: Quadratic | None = None) -> FiniteSum:
    """Finite sum of one example's formulas over its rows."""
    loss, gradient = (njit(error_model="numpy")(formula) for formula in example[:2])

    @njit(error_model="numpy")
    def losses(x, rows):
        out = np.empty(len(rows))
        for i in range(len(rows)):
            out[i] = loss(x, rows[i])
        return out

    @njit(error_model="numpy")
    def gradients(x, rows):
        out = np.empty((len(rows), dim))
        for i in range(len(rows)):
            gradient(x, rows[i], out[i])
        return out

    return FiniteSum(
        losses=lambda x: losses(_checks.point("x", x, dim), example.rows),
        gradients=lambda x: gradients(_checks.point("x", x, dim), example.rows),
        size=len(example.rows),
        dim=dim,
        example=example,
        quadratic=quadratic,
    )


def noise_covariance(finite_sum: FiniteSum, x: ArrayLike) -> np.ndarray:
    r"""Covariance of one example's gradient at x,
    :math:`Q = \frac1N\sum_i\nabla L_i\nabla L_i^\top - \nabla L\nabla L^\top`.

    Parameters
    ----------
    finite_sum : FiniteSum
    x : (d,) array_like

    Returns
    -------
    (d, d) float64
        A batch of b examples drawn with replacement has covariance Q/b, without replacement
        (N - b)/(N - 1) Q/b.

    Notes
    -----
    BBI (2).

    Examples
    --------
    >>> from relaxlib.sgd import least_squares
    >>> noise = noise_covariance(least_squares([[1.0], [2.0]], [0.0, 1.0]), [1.0])
    >>> noise.shape, round(float(noise[0, 0]), 12)
    ((1, 1), 0.25)
    """
    centered = _centered(_gradients(finite_sum, x))
    return centered.T @ centered


def noise_rank(finite_sum: FiniteSum, x: ArrayLike) -> int:
    """Rank of Q at x, at most min(d, N - 1): singular values above 1e-12 of the gradients' size.

    >>> from relaxlib.sgd import least_squares
    >>> noise_rank(least_squares([[1.0, 0.0], [0.0, 1.0]], [1.0, 1.0]), [0.0, 0.0])
    1
    """
    gradients = _gradients(finite_sum, x)
    scale = np.linalg.norm(gradients) / np.sqrt(len(gradients))
    sizes = np.linalg.svd(_centered(gradients), compute_uv=False)
    return int(np.count_nonzero(sizes > 1e-12 * scale))


def _gradients(finite_sum: FiniteSum, x: ArrayLike) -> np.ndarray:
    """The gradients (N, d) of the examples at a point that a user gives."""
    _checks.kind("finite_sum", finite_sum, FiniteSum)
    return finite_sum.gradients(_checks.point("x", x, finite_sum.dim))


def _centered(gradients: np.ndarray) -> np.ndarray:
    r"""The matrix B (N, d) of rows :math:`N^{-1/2}(\nabla L_i - \nabla L)`, so that Q = B^T B."""
    return (gradients - gradients.mean(axis=0)) / np.sqrt(len(gradients))


def formulas_of(finite_sum: FiniteSum) -> Example:
    """The formulas of one example, which compiled loops take; a sum without them is rejected."""
    _checks.kind("finite_sum", finite_sum, FiniteSum)
    if finite_sum.example is None:
        need = "the formulas of one example"
        _checks.reject("finite_sum", finite_sum, need, "build it with from_example")
    return finite_sum.example


def quadratic_of(finite_sum: FiniteSum) -> Quadratic:
    """The matrices and vectors of a sum of quadratic losses; another sum is rejected."""
    _checks.kind("finite_sum", finite_sum, FiniteSum)
    if finite_sum.quadratic is None:
        need = "quadratic losses"
        _checks.reject("finite_sum", finite_sum, need, "use least_squares or quadratics")
    return finite_sum.quadratic
