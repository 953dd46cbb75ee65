r"""Exact moments of SGD on quadratic losses, and of the diffusion that stands for it.

With gradients :math:`\nabla L_i = A_ix - g_i` the first two moments of one step of SGD, and of the
diffusion, are linear in the first two moments before: no sampling is needed to compare them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import expm

from relaxlib import _checks
from relaxlib.sgd._finite_sums import FiniteSum


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
    lr, *noise_of = _checked(finite_sum, lr, batch_size, noise_variance, replacement)
    steps = _checks.count("steps", steps, least=0)
    mean = _checks.point("start", start, finite_sum.dim)
    means, seconds = [mean], [np.outer(mean, mean)]
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(steps):
            state = means[-1], seconds[-1]
            mean, second = _step(finite_sum, *state, _noise(finite_sum, *state, *noise_of), lr)
            means.append(mean)
            seconds.append(second)
    means, seconds = np.array(means), np.array(seconds)
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
    lr, *noise_of = _checked(finite_sum, lr, batch_size, noise_variance, True)
    order = _checks.count("order", order)
    if order > 2:
        _checks.reject("order", order, "1 or 2", "choose one")
    t = _checks.nonnegative("t", t)
    dim = finite_sum.dim
    curvature = finite_sum.quadratic.matrices.mean(axis=0)
    turn = np.eye(dim) if order == 1 else np.eye(dim) + lr / 2 * curvature

    def rate(mean: np.ndarray, second: np.ndarray, one: float) -> np.ndarray:
        slope, cross, _ = _gradient_moments(finite_sum, mean, second, one)
        noise = _noise(finite_sum, mean, second, *noise_of, one)
        pull = turn @ cross
        return np.concatenate([-turn @ slope, (lr * noise - pull - pull.T).ravel(), [0.0]])

    mean = _checks.point("start", start, dim)
    state = np.concatenate([mean, np.outer(mean, mean).ravel(), [1.0]])
    units = np.eye(len(state))
    columns = [rate(u[:dim], u[dim:-1].reshape(dim, dim), u[-1]) for u in units]
    with np.errstate(over="ignore", invalid="ignore"):
        final = expm(t * np.array(columns).T) @ state
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
    lr, *noise_of = _checked(finite_sum, lr, batch_size, noise_variance, replacement)
    dim = finite_sum.dim

    def step(mean: np.ndarray, second: np.ndarray, one: float) -> np.ndarray:
        noise = _noise(finite_sum, mean, second, *noise_of, one)
        mean, second = _step(finite_sum, mean, second, noise, lr, one)
        return np.concatenate([mean, second.ravel()])

    size = dim + dim * dim
    columns = [step(u[:dim], u[dim:].reshape(dim, dim), 0.0) for u in np.eye(size)]
    linear = np.array(columns).T
    radius = np.abs(np.linalg.eigvals(linear)).max()
    if radius > 1.0 - 1e-9:
        least = np.linalg.eigvalsh(finite_sum.quadratic.matrices.mean(axis=0))[0]
        if lr * least < 1e-9:
            need = f"at least 1e-9/lr = {1e-9 / lr:g}, for the curvature vanishes in some direction"
            _checks.reject("least curvature", f"{least:g}", need, "add a quadratic penalty")
        need = "a spectral radius of the second moments' recursion below 1"
        _checks.reject("lr", f"{lr:g} (radius {radius:.4g})", need, "take a smaller lr")
    constant = step(np.zeros(dim), np.zeros((dim, dim)), 1.0)
    state = np.linalg.solve(np.eye(size) - linear, constant)
    return state[:dim], state[dim:].reshape(dim, dim)


def _checked(
    finite_sum: FiniteSum, lr: float, batch_size: int, noise_variance: float, replacement: bool
) -> tuple[float, int, float, bool]:
    """The last four arguments, converted."""
    _checks.kind("finite_sum", finite_sum, FiniteSum)
    if finite_sum.quadratic is None:
        need = "quadratic losses"
        _checks.reject("finite_sum", finite_sum, need, "use least_squares or quadratics")
    lr = _checks.positive("lr", lr)
    noise_variance = _checks.nonnegative("noise_variance", noise_variance)
    replacement = _checks.flag("replacement", replacement)
    return lr, check_batch(finite_sum, batch_size, replacement), noise_variance, replacement


def check_batch(finite_sum: FiniteSum, batch_size: int, replacement: bool) -> int:
    """The batch size as an int; without replacement at most the number of examples."""
    batch = _checks.count("batch_size", batch_size)
    if not replacement and batch > finite_sum.size:
        need = f"batch_size <= {finite_sum.size} examples without replacement"
        _checks.reject("batch_size", batch, need, "draw with replacement")
    return batch


def _step(
    finite_sum: FiniteSum,
    mean: np.ndarray,
    second: np.ndarray,
    noise: np.ndarray,
    lr: float,
    one: float = 1.0,
) -> tuple[np.ndarray, np.ndarray]:
    """Both moments after a step, the second one symmetric to the last bit."""
    slope, cross, square = _gradient_moments(finite_sum, mean, (second + second.T) / 2, one)
    after = second - lr * (cross + cross.T) + lr**2 * (square + noise)
    return mean - lr * slope, (after + after.T) / 2


def _gradient_moments(
    finite_sum: FiniteSum, mean: np.ndarray, second: np.ndarray, one: float = 1.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Moments of the mean gradient a x - g: itself, times x^T, and its outer square."""
    a, g = (array.mean(axis=0) for array in finite_sum.quadratic)
    slope = a @ mean - g * one
    cross = a @ second - np.outer(g, mean)
    mixed = np.outer(a @ mean, g)
    return slope, cross, a @ second @ a.T - mixed - mixed.T + np.outer(g, g) * one


def _noise(
    finite_sum: FiniteSum,
    mean: np.ndarray,
    second: np.ndarray,
    batch_size: int,
    noise_variance: float,
    replacement: bool,
    one: float = 1.0,
) -> np.ndarray:
    """Expected covariance of a noisy batch's gradient."""
    a, g = finite_sum.quadratic
    mixed = np.einsum("nij,j,nk->ik", a, mean, g) / len(a)
    square = np.einsum("nij,jk,nlk->il", a, second, a) / len(a)
    square += np.einsum("ni,nj->ij", g, g) / len(a) * one - mixed - mixed.T
    covariance = square - _gradient_moments(finite_sum, mean, second, one)[2]
    share = 1.0 if replacement else (len(a) - batch_size) / max(len(a) - 1, 1)
    return covariance * share / batch_size + noise_variance * np.eye(finite_sum.dim) * one
