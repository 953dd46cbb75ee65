r"""Gaussian laws: of linear diffusions in time and for ever, and how far two of them are apart."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import expm, orth, orthogonal_procrustes, solve_continuous_lyapunov

from relaxlib import _checks

__all__ = [
    "chi_square_gaussian",
    "covariance_at",
    "hormander_rank",
    "mean_at",
    "stationary_covariance",
    "wasserstein2_gaussian",
]

_SINGULAR = 1e-12  # eigenvalues below this share of the largest are zero
_ROUNDING = 16 * np.finfo(float).eps  # times d, of eigenvalues relative to the largest
_UNCHARGED = 1e-6  # a shift by more, in deviations, out of what both laws charge, is no rounding
_LARGEST = 700.0  # exponents beyond which floats overflow


def stationary_covariance(
    drift_matrix: ArrayLike, noise_cov: ArrayLike, *, temperature: float
) -> np.ndarray:
    r"""Covariance of the stationary law, the solution of Lyapunov's equation.

    .. math:: CK + KC^\top = 2TQ

    Parameters
    ----------
    drift_matrix : (d, d) array_like
        C, any square matrix whose eigenvalues have positive real parts; a float for d = 1.
    noise_cov : (d, d) array_like
        Q, symmetric and nonnegative; K is singular unless `hormander_rank` is d.
    temperature : float
        T, nonnegative.

    Returns
    -------
    (d, d) float64

    Raises
    ------
    ValueError
        If an eigenvalue of C has no positive real part, Q is no covariance or the shapes differ.

    Notes
    -----
    BBI Theorems 1.6 and 4.11, which print :math:`KC` for :math:`KC^\top`.

    Examples
    --------
    >>> drift = [[0.0, -1.0], [1.0, 0.5]]
    >>> stationary_covariance(drift, [[0, 0], [0, 1]], temperature=1.0).round(12)
    array([[2., 0.],
           [0., 2.]])
    """
    drift, noise = _linear(drift_matrix, noise_cov)
    temperature = _checks.nonnegative("temperature", temperature)
    slowest = float(np.linalg.eigvals(drift).real.min())
    if not slowest > 1e-14 * np.abs(drift).max():
        need = "positive real parts"
        fix = "there is no stationary law; covariance_at has the law in time"
        _checks.reject("least real part of drift_matrix's eigenvalues", f"{slowest:.3g}", need, fix)
    covariance = solve_continuous_lyapunov(drift, 2 * temperature * noise)
    return (covariance + covariance.T) / 2


def covariance_at(
    drift_matrix: ArrayLike,
    noise_cov: ArrayLike,
    t: float,
    *,
    temperature: float,
    start: ArrayLike | None = None,
) -> np.ndarray:
    r"""Covariance at time t, also without noise in some directions, and without a stationary law.

    .. math:: \Sigma(t) = e^{-Ct}\,\Sigma(0)\,e^{-C^\top t}
              + 2T\int_0^t e^{-Cs}\,Q\,e^{-C^\top s}\,ds

    Parameters
    ----------
    drift_matrix : (d, d) array_like
        C, any square matrix; a float for d = 1.
    noise_cov : (d, d) array_like
        Q, symmetric and nonnegative.
    t : float
        Nonnegative.
    temperature : float
        T, nonnegative.
    start : (d, d) array_like, optional
        Covariance at time zero; zero, a start at a point, when left out.

    Returns
    -------
    (d, d) float64

    Raises
    ------
    ValueError
        If the shapes differ, a matrix is no covariance, or :math:`e^{-Ct}` squared overflows.

    Notes
    -----
    The integral over a short time is a block of one matrix exponential (Van Loan, 1978);
    :math:`\Sigma(2t) = \Sigma(t) + e^{-Ct}\Sigma(t)e^{-C^\top t}`, a sum of nonnegative matrices,
    doubles the time without cancellation. BBI Example 8 prints another kernel.

    Examples
    --------
    >>> covariance_at(1.0, 1.0, 0.5, temperature=1.0).round(6), round(1 - float(np.exp(-1)), 6)
    (array([[0.632121]]), 0.632121)
    """
    drift, noise = _linear(drift_matrix, noise_cov)
    dim = len(drift)
    t, temperature = _checks.nonnegative("t", t), _checks.nonnegative("temperature", temperature)
    first = np.zeros((dim, dim)) if start is None else _checks.covariance("start", start, dim)
    _not_too_late(drift, t)
    doublings = max(0, int(np.ceil(np.log2(max(np.abs(drift).sum(axis=1).max() * t, 1.0)))))
    scale = max(float(np.abs(noise).max()), np.finfo(float).tiny)
    block = np.block([[-drift, noise / scale], [np.zeros((dim, dim)), drift.T]])
    flow = expm(block * (t / 2**doublings))
    decay = flow[:dim, :dim]
    spread = flow[:dim, dim:] @ decay.T
    for _ in range(doublings):
        spread = spread + decay @ spread @ decay.T
        decay = decay @ decay
    covariance = decay @ first @ decay.T + 2 * temperature * scale * spread
    return (covariance + covariance.T) / 2


def mean_at(drift_matrix: ArrayLike, t: float, *, start: ArrayLike) -> np.ndarray:
    r"""Mean at time t, :math:`e^{-Ct}m_0`, for any noise.

    Parameters
    ----------
    drift_matrix : (d, d) array_like
        C, any square matrix; a float for d = 1.
    t : float
        Nonnegative.
    start : (d,) array_like
        :math:`m_0`, the mean at time zero.

    Returns
    -------
    (d,) float64

    Raises
    ------
    ValueError
        If the shapes differ, or :math:`e^{-Ct}` squared overflows.

    Examples
    --------
    >>> mean_at([[1, 1], [0, 1]], 1.0, start=[0, 1]).round(6).tolist()
    [-0.367879, 0.367879]
    """
    drift = _checks.square("drift_matrix", drift_matrix)
    t = _checks.nonnegative("t", t)
    first = _checks.point("start", start, len(drift))
    _not_too_late(drift, t)
    return expm(-drift * t) @ first


def hormander_rank(drift_matrix: ArrayLike, noise_cov: ArrayLike) -> int:
    r"""Dimension of the directions that the noise reaches, directly or carried by the drift.

    .. math:: \operatorname{rank}\,[Q, CQ, \dots, C^{d-1}Q]

    It is d, Hörmander's condition, if and only if no eigenvector of :math:`C^\top` lies in the
    kernel of Q; then, and only then, the law has a density for t > 0.

    Parameters
    ----------
    drift_matrix, noise_cov : (d, d) array_like
        C, any square matrix, and Q, symmetric and nonnegative; floats for d = 1.

    Returns
    -------
    int
        By orthogonal bases; a direction counts if it is new to one part in 1e10.

    Raises
    ------
    ValueError
        If Q is no covariance or the shapes differ.

    Notes
    -----
    BBI condition (II), which prints C for :math:`C^\top`; Kalman's rank.

    Examples
    --------
    >>> hormander_rank([[0.0, -1.0], [1.0, 0.5]], [[0, 0], [0, 1]])
    2
    """
    drift, noise = _linear(drift_matrix, noise_cov)
    unit = drift / max(np.linalg.norm(drift, 2), np.finfo(float).tiny)
    reached = orth(noise, rcond=_SINGULAR)
    rank = 0
    while rank < reached.shape[1] < len(drift):
        rank = reached.shape[1]
        reached = orth(np.hstack([reached, unit @ reached]), rcond=1e-10)
    return reached.shape[1]


def wasserstein2_gaussian(
    mean0: ArrayLike, cov0: ArrayLike, mean1: ArrayLike, cov1: ArrayLike
) -> float:
    r"""Wasserstein distance of order two between Gaussians, singular or not.

    .. math:: W_2^2 = |m_0 - m_1|^2 + \min_{U^\top U = I}\bigl\|A_0 - A_1U\bigr\|_F^2,
              \qquad A_iA_i^\top = K_i

    Parameters
    ----------
    mean0, mean1 : (d,) array_like
    cov0, cov1 : (d, d) array_like
        Symmetric and nonnegative; floats for d = 1.

    Returns
    -------
    float
        The distance, not its square.

    Raises
    ------
    ValueError
        If the shapes differ or a matrix is no covariance.

    Notes
    -----
    Gelbrich's formula without its square root of a product: the best U is a Procrustes rotation,
    and close laws lose no digits.

    Examples
    --------
    >>> wasserstein2_gaussian([3, 0], [[1, 0], [0, 0]], [0, 0], [[25, 0], [0, 0]])
    5.0
    """
    shift, first, second = _pair(mean0, cov0, mean1, cov1)
    roots = [_root(first), _root(second)]
    turn, _ = orthogonal_procrustes(roots[1], roots[0])
    return float(np.hypot(np.linalg.norm(shift), np.linalg.norm(roots[0] - roots[1] @ turn)))


def chi_square_gaussian(
    mean0: ArrayLike, cov0: ArrayLike, mean1: ArrayLike, cov1: ArrayLike
) -> float:
    r"""The :math:`\chi^2` divergence :math:`\int(\rho_0/\rho_1 - 1)^2\rho_1` of two Gaussians.

    Infinite unless both live on the same subspace and :math:`K_0 < 2K_1` there; in units where
    :math:`K_0 + K_1` has the diagonal 1, variances below 4e-15 d count as zero.

    Parameters
    ----------
    mean0, mean1 : (d,) array_like
    cov0, cov1 : (d, d) array_like
        Symmetric and nonnegative; floats for d = 1.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If the shapes differ or a matrix is no covariance.
    ArithmeticError
        If rounding may decide (what is below 4e-12 d in these units), or beyond e^700.

    Notes
    -----
    Twice the entropy of BBI Lemma 4.6; the total variation is at most half of its square root.

    Examples
    --------
    >>> round(chi_square_gaussian(1.0, 1.0, 0.0, 1.0), 12), round(float(np.e) - 1, 12)
    (1.718281828459, 1.718281828459)
    """
    shift, first, second = _pair(mean0, cov0, mean1, cov1)
    deviations = np.sqrt(np.diag(first + second))
    kept = deviations > 0.0
    if shift[~kept].any():
        return np.inf
    units = np.outer(deviations[kept], deviations[kept])
    first, second = (cov[kept][:, kept] / units for cov in (first, second))
    shift = shift[kept] / deviations[kept]
    values, vectors = np.linalg.eigh(first + second)
    level = _ROUNDING * len(shift)
    charged = values > level
    _not_by_rounding("a variance", values[charged].min(initial=np.inf), level)
    lost = float(np.linalg.norm(shift @ vectors[:, ~charged]))
    if lost > _UNCHARGED:
        return np.inf
    _not_by_rounding("a difference of means", lost or np.inf, level * (1 + np.linalg.norm(shift)))
    frame = vectors[:, charged] / np.sqrt(values[charged])
    shares, axes = np.linalg.eigh(frame.T @ second @ frame)  # of K_1 in K_0 + K_1
    if shares.min(initial=1.0) < 0.25:  # of 1/3, where K_0 = 2 K_1
        return np.inf
    whiten = frame @ axes / np.sqrt(shares)
    excess, turn = np.linalg.eigh(whiten.T @ (first - second) @ whiten)
    margin = 1.0 - np.abs(excess).max(initial=0.0)
    level /= values[charged].min(initial=1.0)
    if margin <= level:
        return np.inf
    _not_by_rounding("a distance from K_0 = 0 or K_0 = 2 K_1", margin, level)
    total = ((turn.T @ whiten.T @ shift) ** 2 / (1 - excess) - np.log1p(-(excess**2)) / 2).sum()
    if total > _LARGEST:
        raise ArithmeticError(f"chi-square e^{total:.0f} overflows; take laws that are closer")
    return float(np.expm1(total))


def _not_by_rounding(what: str, value: float, level: float) -> None:
    """Refuse a number that is more than rounding, yet is known to less than three digits."""
    if level < value < 1e3 * level:
        raise ArithmeticError(
            f"chi-square: {what} is {value:.1e}, rounding may be {level:.1e}; align the coordinates"
        )


def _root(covariance: np.ndarray) -> np.ndarray:
    """The symmetric square root."""
    values, vectors = np.linalg.eigh(covariance)
    return (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T


def _pair(mean0: ArrayLike, cov0: ArrayLike, mean1: ArrayLike, cov1: ArrayLike) -> tuple:
    """The difference of the means and the two covariances of checked Gaussians."""
    first = _checks.covariance("cov0", cov0)
    second = _checks.covariance("cov1", cov1, len(first))
    means = [_checks.point(f"mean{k}", m, len(first)) for k, m in enumerate((mean0, mean1))]
    return means[0] - means[1], first, second


def _linear(drift_matrix: ArrayLike, noise_cov: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    drift = _checks.square("drift_matrix", drift_matrix)
    return drift, _checks.covariance("noise_cov", noise_cov, len(drift))


def _not_too_late(drift: np.ndarray, t: float) -> None:
    growth = 2.0 * float((-np.linalg.eigvals(drift).real).max())
    if growth * t > _LARGEST:
        need = f"t <= {_LARGEST / growth:.4g}, before floats overflow"
        _checks.reject("t", f"{t:g}", need, "drift_matrix has a growing mode: take a shorter t")
