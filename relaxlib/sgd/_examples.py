"""The finite sums of the book: linear least squares, logistic regression, quadratics."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import ArrayLike

from relaxlib import _checks, landscapes
from relaxlib.sgd._finite_sums import Example, FiniteSum, Quadratic, sum_over_rows


def least_squares(inputs: ArrayLike, targets: ArrayLike) -> FiniteSum:
    r"""Linear least squares, :math:`L_i(x) = \tfrac12(a_i\cdot x - y_i)^2`.

    Parameters
    ----------
    inputs : (N, d) array_like
        The a_i.
    targets : (N,) array_like
        The y_i.

    Returns
    -------
    FiniteSum

    Raises
    ------
    ValueError
        If the shapes do not match or an entry is not finite.

    Examples
    --------
    >>> least_squares([[1.0], [2.0]], [0.0, 1.0]).grad([1.0]).tolist()
    [1.5]
    """
    a, y = _data("inputs", inputs, "targets", targets)
    quadratic = Quadratic(a[:, :, None] * a[:, None, :], y[:, None] * a)
    example = Example(_square_loss, _square_gradient, np.column_stack([a, y]))
    return sum_over_rows(example, a.shape[1], quadratic)


def logistic(inputs: ArrayLike, labels: ArrayLike) -> FiniteSum:
    r"""Logistic regression, :math:`L_i(x) = \log(1 + e^{-y_i\,a_i\cdot x})` with labels -1 and 1.

    Parameters
    ----------
    inputs : (N, d) array_like
        The a_i.
    labels : (N,) array_like
        The y_i, -1 or 1.

    Returns
    -------
    FiniteSum

    Raises
    ------
    ValueError
        If a label is neither -1 nor 1, the shapes do not match, or an entry is not finite.

    Examples
    --------
    >>> round(logistic([[1.0], [2.0]], [1, -1]).loss([0.0]), 4)
    0.6931
    """
    a, y = _data("inputs", inputs, "labels", labels)
    wrong = ~np.isin(y, (-1.0, 1.0))
    if wrong.any():
        _checks.reject("labels", y[wrong][0], "labels -1 or 1", "map the classes to -1 and 1")
    example = Example(_logistic_loss, _logistic_gradient, np.column_stack([a, y]))
    return sum_over_rows(example, a.shape[1])


def quadratics(matrices: ArrayLike, centers: ArrayLike) -> FiniteSum:
    r"""Quadratic examples, :math:`L_i(x) = \tfrac12(x - c_i)^\top A_i(x - c_i)`.

    Parameters
    ----------
    matrices : (N, d, d) or (N,) array_like
        The symmetric A_i, for d = 1 as numbers.
    centers : (N, d) or (N,) array_like
        The c_i.

    Returns
    -------
    FiniteSum

    Raises
    ------
    ValueError
        If the shapes do not match, an entry is not finite, or a matrix is not symmetric.

    Examples
    --------
    >>> quadratics([0.5, 2.0], [1.0, -0.5]).grad([1.5]).tolist()
    [2.125]
    """
    c = _checks.array("centers", centers)
    c = _checks.rows("centers", c[:, None] if c.ndim == 1 else c)
    a = _checks.array("matrices", matrices)
    a = a[:, None, None] if a.ndim == 1 else a
    _checks.shape("matrices", a, (*c.shape, c.shape[-1]), "give one (d, d) matrix per center")
    for matrix in a:
        _checks.symmetric("matrices[i]", matrix)
    quadratic = Quadratic(a, np.einsum("nij,nj->ni", a, c))
    loss, gradient, _ = landscapes.quadratic().formula
    example = Example(loss, gradient, np.column_stack([a.reshape(len(a), -1), c]))
    return sum_over_rows(example, c.shape[1], quadratic)


def _data(
    name: str, inputs: ArrayLike, other: str, targets: ArrayLike
) -> tuple[np.ndarray, np.ndarray]:
    """Finite rows (N, m) and one finite number for each."""
    a, y = _checks.rows(name, inputs), _checks.array(other, targets)
    _checks.shape(other, y, a.shape[:1], f"one entry per row of {name}")
    _checks.finite(other, y)
    return a, y


@njit
def _residual(x, row):
    total = -row[len(x)]
    for k in range(len(x)):
        total += row[k] * x[k]
    return total


def _square_loss(x, row):
    return _residual(x, row) ** 2 / 2


def _square_gradient(x, row, out):
    residual = _residual(x, row)
    for k in range(len(x)):
        out[k] = residual * row[k]


@njit
def _margin(x, row):
    total = 0.0
    for k in range(len(x)):
        total += row[k] * x[k]
    return row[len(x)] * total


def _logistic_loss(x, row):
    margin = _margin(x, row)
    return max(-margin, 0.0) + np.log1p(np.exp(-abs(margin)))


def _logistic_gradient(x, row, out):
    slope = -row[len(x)] / (1.0 + np.exp(_margin(x, row)))
    for k in range(len(x)):
        out[k] = slope * row[k]
