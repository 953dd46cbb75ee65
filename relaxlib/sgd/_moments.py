r"""Exact moments of SGD on quadratic losses, and of the diffusion that stands for it.

With gradients :math:`\nabla L_i = A_ix - g_i` the first two moments of one step of SGD, and of the
diffusion, are linear in the first two moments before: no sampling is needed to compare them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import expm

from relaxlib import _checks
from relaxlib.sgd._descent import Descent, descent
from relaxlib.sgd._finite_sums import FiniteSum, Quadratic, quadratic_of


class State(NamedTuple):
    """First two moments of a law of mass one; with mass zero, a direction to change them in."""

    mean: np.ndarray  # (d,)
    second: np.ndarray  # (d, d)
    mass: float


def sgd_moments(
    finite_sum: FiniteSum,
    start: ArrayLike,
    *,
    lr: float,
    batch_size: int,
    steps: int,
    noise_variance: float = 0.0,
    replacement: bool = True,
) -> tuple[np.ndarray, np.ndarray]:
    r"""Mean and second moment of SGD after every step, from a fixed start.

    .. math:: x' = x - \eta\nabla L(x) - \eta\zeta + \eta Z, \qquad
              \operatorname{Cov}\zeta = \kappa\,Q(x)/b, \quad \operatorname{Cov}Z = \delta I,

    with :math:`\kappa = 1` with replacement and (N - b)/(N - 1) without.

    Parameters
    ----------
    finite_sum : FiniteSum
        Of quadratic losses: `least_squares` or `quadratics`.
    start : (d,) array_like
    lr : float
        Step :math:`\eta`.
    batch_size, steps : int
    noise_variance : float
        :math:`\delta`.
    replacement : bool
        Whether a batch may hold an example twice.

    Returns
    -------
    means : (steps + 1, d) float64
    seconds : (steps + 1, d, d) float64
        :math:`E\,xx^\top`.

    Raises
    ------
    ValueError
        If the losses are not quadratic or a parameter is out of range.
    ArithmeticError
        If a moment overflows; the message names the step.

    Notes
    -----
    BBI (SGD) and (NSGD).

    Examples
    --------
    >>> from relaxlib.sgd import quadratics
    >>> two = quadratics([1.0, 1.0], [-1.0, 1.0])
    >>> means, seconds = sgd_moments(two, [0.0], lr=0.5, batch_size=1, steps=1)
    >>> float(seconds[1, 0, 0])
    0.25
    """
    quadratic = quadratic_of(finite_sum)
    numbers = descent(finite_sum.size, lr, batch_size, noise_variance, replacement)
    states = [_start(start, finite_sum.dim)]
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(_checks.count("steps", steps, least=0)):
            states.append(_step(quadratic, numbers, states[-1]))
    means, seconds = (np.array([state[k] for state in states]) for k in range(2))
    failed = np.flatnonzero(~np.isfinite(seconds).all(axis=(1, 2)))
    if len(failed):
        raise ArithmeticError(f"moments overflow at step {failed[0]}; take a smaller lr")
    return means, seconds


def diffusion_moments(
    finite_sum: FiniteSum,
    start: ArrayLike,
    *,
    lr: float,
    batch_size: int,
    t: float,
    noise_variance: float = 0.0,
    order: int = 1,
) -> tuple[np.ndarray, np.ndarray]:
    r"""Mean and second moment at time t of the diffusion that stands for SGD.

    .. math:: dX = -\nabla L(X)\,dt + \sqrt{\eta\,(Q(X)/b + \delta I)}\,dW,

    for ``order`` = 2 with the drift :math:`-\nabla(L + \tfrac\eta4|\nabla L|^2)`.

    Parameters
    ----------
    finite_sum, start, lr, batch_size, noise_variance
        As in `sgd_moments`.
    t : float
    order : {1, 2}
        Weak order in :math:`\eta` of the approximation of means.

    Returns
    -------
    mean : (d,) float64
    second : (d, d) float64

    Raises
    ------
    ValueError
        If the losses are not quadratic or a parameter is out of range.
    ArithmeticError
        If a moment overflows.

    Notes
    -----
    BBI Lemma 4.1 and Theorem A.3.

    Examples
    --------
    >>> from relaxlib.sgd import quadratics
    >>> two = quadratics([1.0, 1.0], [-1.0, 1.0])
    >>> mean, second = diffusion_moments(two, [0.0], lr=0.5, batch_size=1, t=50.0)
    >>> round(float(second[0, 0]), 12)
    0.25
    """
    quadratic, dim = quadratic_of(finite_sum), finite_sum.dim
    numbers = descent(finite_sum.size, lr, batch_size, noise_variance)
    order = _checks.count("order", order)
    if order > 2:
        _checks.reject("order", order, "1 or 2", "choose one")
    t = _checks.nonnegative("t", t)
    curvature = quadratic.matrices.mean(axis=0)
    turn = np.eye(dim) if order == 1 else np.eye(dim) + numbers.lr / 2 * curvature

    def rate(state: State) -> State:
        slope, cross, _ = _gradient_moments(quadratic, state)
        pull = turn @ cross
        change = numbers.lr * _noise(quadratic, numbers, state) - pull - pull.T
        return State(-turn @ slope, change, 0.0)

    with np.errstate(over="ignore", invalid="ignore"):
        final = expm(t * _matrix(rate, dim)) @ _flat(_start(start, dim))
    if not np.isfinite(final).all():
        raise ArithmeticError(f"moments overflow at t = {t:g}; take a smaller t or lr")
    return final[:dim], final[dim:-1].reshape(dim, dim)


def stationary_moments(
    finite_sum: FiniteSum,
    *,
    lr: float,
    batch_size: int,
    noise_variance: float = 0.0,
    replacement: bool = True,
) -> tuple[np.ndarray, np.ndarray]:
    r"""Mean and second moment of SGD after infinitely many steps.

    Parameters
    ----------
    finite_sum, lr, batch_size, noise_variance, replacement
        As in `sgd_moments`.

    Returns
    -------
    mean : (d,) float64
    second : (d, d) float64

    Raises
    ------
    ValueError
        If the losses are not quadratic, second moments grow without bound at this ``lr``, or the
        curvature vanishes in some direction, so that they depend on the start for ever.

    Examples
    --------
    >>> from relaxlib.sgd import quadratics
    >>> two = quadratics([1.0, 1.0], [-1.0, 1.0])
    >>> mean, second = stationary_moments(two, lr=0.5, batch_size=1)
    >>> round(float(second[0, 0]), 12)  # eta/(2 - eta)
    0.333333333333
    """
    quadratic, dim = quadratic_of(finite_sum), finite_sum.dim
    numbers = descent(finite_sum.size, lr, batch_size, noise_variance, replacement)
    matrix = _matrix(partial(_step, quadratic, numbers), dim)
    linear, constant = matrix[:-1, :-1], matrix[:-1, -1]
    radius = np.abs(np.linalg.eigvals(linear)).max()
    if radius > 1.0 - 1e-9:
        least = np.linalg.eigvalsh(quadratic.matrices.mean(axis=0))[0]
        if numbers.lr * least < 1e-9:
            bound = f"at least 1e-9/lr = {1e-9 / numbers.lr:g}"
            need = f"{bound}, for the curvature vanishes in some direction"
            _checks.reject("least curvature", f"{least:g}", need, "add a quadratic penalty")
        need = "a spectral radius of the second moments' recursion below 1"
        _checks.reject("lr", f"{numbers.lr:g} (radius {radius:.4g})", need, "take a smaller lr")
    final = np.linalg.solve(np.eye(len(linear)) - linear, constant)
    return final[:dim], final[dim:].reshape(dim, dim)


def _start(point: ArrayLike, dim: int) -> State:
    mean = _checks.point("start", point, dim)
    return State(mean, np.outer(mean, mean), 1.0)


def _flat(state: State) -> np.ndarray:
    return np.concatenate([state.mean, state.second.ravel(), [state.mass]])


def _matrix(change: Callable[[State], State], dim: int) -> np.ndarray:
    """Matrix of a linear map of flat states, whose entries are d + d^2 + 1."""
    units = np.eye(dim + dim * dim + 1)
    states = [State(unit[:dim], unit[dim:-1].reshape(dim, dim), unit[-1]) for unit in units]
    return np.array([_flat(change(state)) for state in states]).T


def _step(quadratic: Quadratic, numbers: Descent, state: State) -> State:
    """Both moments after a step, the second one symmetric to the last bit."""
    mean, second, mass = state
    slope, cross, square = _gradient_moments(quadratic, State(mean, (second + second.T) / 2, mass))
    noise, lr = _noise(quadratic, numbers, state), numbers.lr
    after = second - lr * (cross + cross.T) + lr**2 * (square + noise)
    return State(mean - lr * slope, (after + after.T) / 2, mass)


def _gradient_moments(
    quadratic: Quadratic, state: State
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Moments of the mean gradient A x - g: itself, times x^T, and its outer square."""
    matrix, vector = (array.mean(axis=0) for array in quadratic)
    mean, second, mass = state
    slope = matrix @ mean - vector * mass
    cross = matrix @ second - np.outer(vector, mean)
    mixed = np.outer(matrix @ mean, vector)
    square = matrix @ second @ matrix.T - mixed - mixed.T + np.outer(vector, vector) * mass
    return slope, cross, square


def _noise(quadratic: Quadratic, numbers: Descent, state: State) -> np.ndarray:
    """Expected covariance of a noisy batch's gradient."""
    (matrices, vectors), (mean, second, mass) = quadratic, state
    size, batch = len(matrices), numbers.batch_size
    mixed = np.einsum("nij,j,nk->ik", matrices, mean, vectors) / size
    square = np.einsum("nij,jk,nlk->il", matrices, second, matrices) / size
    square += np.einsum("ni,nj->ij", vectors, vectors) / size * mass - mixed - mixed.T
    covariance = square - _gradient_moments(quadratic, state)[2]
    share = 1.0 if numbers.replacement else (size - batch) / max(size - 1, 1)
    return covariance * share / batch + numbers.noise_variance * np.eye(len(mean)) * mass
