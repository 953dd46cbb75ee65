r"""Losses that are means over examples, :math:`L = \frac1N\sum_i L_i`, and the noise of batches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numba import cfunc, float64, njit, void
from numpy.typing import ArrayLike

from relaxlib import _checks

EXAMPLE_GRADIENT = void(float64[::1], float64[::1], float64[::1])


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
    example : Example, optional
        Formulas that numba compiles; with them `sgd.sgd_paths` runs compiled.
    quadratic : Quadratic, optional
        Matrices and vectors when every L_i is quadratic.
    """

    losses: Callable[[np.ndarray], np.ndarray]
    gradients: Callable[[np.ndarray], np.ndarray]
    size: int
    dim: int
    example: Example | None = field(default=None)
    quadratic: Quadratic | None = field(default=None)

    def loss(self, x: ArrayLike) -> float:
        """L at x (d,)."""
        return float(np.mean(self.losses(point(self, x))))

    def grad(self, x: ArrayLike) -> np.ndarray:
        """Gradient of L at x (d,), as (d,)."""
        return self.gradients(point(self, x)).mean(axis=0)

    @cached_property
    def compiled_gradient(self) -> Callable:
        """The gradient of one example as a cfunc of signature `EXAMPLE_GRADIENT`."""
        return cfunc(EXAMPLE_GRADIENT, error_model="numpy")(self.example.gradient)

    def __repr__(self) -> str:
        return f"<FiniteSum: size={self.size}, dim={self.dim}>"


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
    return from_example(_square_loss, _square_gradient, np.column_stack([a, y]), quadratic)


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
    return from_example(_logistic_loss, _logistic_gradient, np.column_stack([a, y]))


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
    rows = np.column_stack([c, a.reshape(len(a), -1)])
    return from_example(_quadratic_loss, _quadratic_gradient, rows, quadratic, dim=c.shape[1])


def from_example(
    loss: Callable,
    gradient: Callable,
    rows: ArrayLike,
    quadratic: Quadratic | None = None,
    *,
    dim: int | None = None,
) -> FiniteSum:
    """Finite sum of one example's formulas over the rows of data.

    Parameters
    ----------
    loss, gradient : function
        loss(x, row) -> float and gradient(x, row, out), in Python that numba compiles.
    rows : (N, m) array_like
        The data of each example.
    quadratic : Quadratic, optional
    dim : int, optional
        d; one less than m when left out.

    Returns
    -------
    FiniteSum

    Raises
    ------
    ValueError
        If the rows are not a finite array (N, m).
    """
    data = _checks.rows("rows", rows)
    dim = _checks.count("dim", data.shape[1] - 1 if dim is None else dim)
    all_losses, all_gradients = _over_rows(loss, gradient)

    def losses(x: np.ndarray) -> np.ndarray:
        out = np.empty(len(data))
        all_losses(_checks.point("x", x, dim), data, out)
        return out

    def gradients(x: np.ndarray) -> np.ndarray:
        out = np.empty((len(data), dim))
        all_gradients(_checks.point("x", x, dim), data, out)
        return out

    return FiniteSum(
        losses=losses,
        gradients=gradients,
        size=len(data),
        dim=dim,
        example=Example(loss, gradient, data),
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
    >>> noise = noise_covariance(least_squares([[1.0], [2.0]], [0.0, 1.0]), [1.0])
    >>> noise.shape, round(float(noise[0, 0]), 12)
    ((1, 1), 0.25)
    """
    centered = centered_gradients(finite_sum, x)
    return centered.T @ centered


def noise_rank(finite_sum: FiniteSum, x: ArrayLike) -> int:
    """Rank of Q at x, at most min(d, N - 1): singular values above 1e-12 of the gradients' size."""
    x = point(finite_sum, x)
    gradients = finite_sum.gradients(x)
    scale = np.linalg.norm(gradients) / np.sqrt(len(gradients))
    sizes = np.linalg.svd(centered_gradients(finite_sum, x), compute_uv=False)
    return int(np.count_nonzero(sizes > 1e-12 * scale))


def centered_gradients(finite_sum: FiniteSum, x: ArrayLike) -> np.ndarray:
    r"""The matrix B (N, d) of rows :math:`N^{-1/2}(\nabla L_i - \nabla L)`, so that Q = B^T B."""
    x = point(finite_sum, x)
    gradients = finite_sum.gradients(x)
    return (gradients - gradients.mean(axis=0)) / np.sqrt(len(gradients))


def point(finite_sum: FiniteSum, x: ArrayLike) -> np.ndarray:
    """One checked point (d,)."""
    _checks.kind("finite_sum", finite_sum, FiniteSum)
    return _checks.point("x", x, finite_sum.dim)


def check_formulas(finite_sum: FiniteSum) -> None:
    """Reject a sum that compiled loops cannot take."""
    _checks.kind("finite_sum", finite_sum, FiniteSum)
    if finite_sum.example is None:
        need = "the formulas of one example"
        _checks.reject("finite_sum", finite_sum, need, "build it with from_example")


def _data(name: str, inputs: ArrayLike, other: str, targets: ArrayLike) -> tuple:
    a, y = _checks.rows(name, inputs), _checks.array(other, targets)
    _checks.shape(other, y, a.shape[:1], f"one entry per row of {name}")
    _checks.finite(other, y)
    return a, y


def _over_rows(loss: Callable, gradient: Callable) -> tuple[Callable, Callable]:
    loss, gradient = (njit(error_model="numpy")(f) for f in (loss, gradient))

    @njit(error_model="numpy")
    def all_losses(x, rows, out):
        for i in range(len(rows)):
            out[i] = loss(x, rows[i])

    @njit(error_model="numpy")
    def all_gradients(x, rows, out):
        for i in range(len(rows)):
            gradient(x, rows[i], out[i])

    return all_losses, all_gradients


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


def _quadratic_loss(x, row):
    d, total = len(x), 0.0
    for i in range(d):
        for j in range(d):
            total += (x[i] - row[i]) * row[d + i * d + j] * (x[j] - row[j])
    return total / 2


def _quadratic_gradient(x, row, out):
    d = len(x)
    for i in range(d):
        out[i] = 0.0
        for j in range(d):
            out[i] += row[d + i * d + j] * (x[j] - row[j])
