"""Local entropy of a loss, its gradient and Gibbs moments, and heat smoothing, by quadrature."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from relaxlib import _checks
from relaxlib.landscapes import Landscape
from relaxlib.smoothing._quadrature import CUTOFF, TOLERANCE, gaussian_averages, gibbs_integrals


@dataclass(frozen=True, eq=False)
class Moments:
    """First two moments of a law on R^d, one law for each point asked for.

    Parameters
    ----------
    mean : (..., d) float64
    cov : (..., d, d) float64
    """

    mean: np.ndarray
    cov: np.ndarray


def local_entropy(
    landscape: Landscape, x: ArrayLike, *, gamma: float, temperature: float
) -> np.ndarray:
    r"""Local entropy of f, the viscous Hamilton-Jacobi solution at time gamma.

    .. math:: f_\gamma(x) = -T \log \Big( (2\pi\gamma T)^{-d/2}
              \int e^{-(f(y) + |x-y|^2/(2\gamma))/T}\,dy \Big)

    Parameters
    ----------
    landscape : Landscape
        f, with at most 3 coordinates.
    x : (..., d) array_like
        Points; in one dimension a bare float will do.
    gamma : float
        Smoothing time, below 1/(2 growth).
    temperature : float
        T, in the unit of f.

    Returns
    -------
    (...) float64
        In the unit of f, to about 1e-12 T for analytic f.

    Raises
    ------
    ValueError
        If ``gamma`` or ``temperature`` is not positive, the integral diverges, d > 3, or f(x) is
        infinite.
    ArithmeticError
        If the quadrature does not converge; the message holds the residual.

    Notes
    -----
    DR (11) and Lemma 1; BK (1.2), with the prefactor right.

    Examples
    --------
    >>> from relaxlib.landscapes import quadratic
    >>> u = local_entropy(quadratic(1.0), 0.7, gamma=0.3, temperature=0.25)
    >>> round(float(u), 8)  # x²/(2(1 + gamma)) + T/2 log(1 + gamma)
    0.22125707
    """
    points, leading = _places(landscape, x)
    lowest, log_mass, _, _ = _gibbs_laws(landscape, points, gamma, temperature)
    normalization = landscape.dim / 2 * np.log(2 * np.pi * gamma * temperature)
    return (lowest - temperature * (log_mass - normalization)).reshape(leading)


def local_entropy_grad(
    landscape: Landscape, x: ArrayLike, *, gamma: float, temperature: float
) -> np.ndarray:
    r"""Gradient of local entropy, the pull toward the mean of the Gibbs law around x.

    .. math:: \nabla f_\gamma(x) = \int \frac{x-y}{\gamma}\,\rho(dy; x)

    Parameters
    ----------
    landscape, x, gamma, temperature
        As in `local_entropy`.

    Returns
    -------
    (..., d) float64

    Raises
    ------
    ValueError, ArithmeticError
        As `local_entropy`.

    Notes
    -----
    DR (12), with the sign right; BK (1.4).

    Examples
    --------
    >>> from relaxlib.landscapes import quadratic
    >>> local_entropy_grad(quadratic(1.0), 1.0, gamma=0.25, temperature=2.0).round(12).tolist()
    [0.8]
    """
    points, leading = _places(landscape, x)
    _, _, mean, _ = _gibbs_laws(landscape, points, gamma, temperature)
    return ((points - mean) / gamma).reshape(*leading, landscape.dim)


def gibbs_moments(
    landscape: Landscape, x: ArrayLike, *, gamma: float, temperature: float
) -> Moments:
    r"""Mean and covariance of the Gibbs law around x.

    .. math:: \rho(dy; x) \propto e^{-(f(y) + |x-y|^2/(2\gamma))/T}\,dy, \qquad
              \nabla^2 f_\gamma = \frac{1}{\gamma} I - \frac{1}{\gamma^2 T} \mathrm{Cov}_\rho

    Parameters
    ----------
    landscape, x, gamma, temperature
        As in `local_entropy`.

    Returns
    -------
    Moments

    Raises
    ------
    ValueError, ArithmeticError
        As `local_entropy`.

    Notes
    -----
    DR (13); its Lemma 4 for quadratic f.

    Examples
    --------
    >>> from relaxlib.landscapes import quadratic
    >>> law = gibbs_moments(quadratic(1.0), 1.0, gamma=1.0, temperature=2.0)
    >>> law.mean.round(12).tolist(), law.cov.round(12).tolist()
    ([0.5], [[1.0]])
    """
    points, leading = _places(landscape, x)
    _, _, mean, cov = _gibbs_laws(landscape, points, gamma, temperature)
    dim = landscape.dim
    return Moments(mean.reshape(*leading, dim), cov.reshape(*leading, dim, dim))


def heat_smoothing(landscape: Landscape, x: ArrayLike, *, variance: float) -> np.ndarray:
    r"""Loss averaged over Gaussian noise, the heat equation's answer to local entropy.

    .. math:: v(x) = E\,f(x + \sqrt{s}\,Z), \qquad Z \sim N(0, I)

    With s = gamma T it bounds local entropy from above (Jensen).

    Parameters
    ----------
    landscape : Landscape
        f, with at most 3 coordinates, growing slower than a Gaussian decays.
    x : (..., d) array_like
    variance : float
        s per coordinate, in squared units of x.

    Returns
    -------
    (...) float64

    Raises
    ------
    ValueError
        If ``variance`` is negative, or d > 3.
    ArithmeticError
        If the quadrature does not converge; the message holds the residual.

    Notes
    -----
    DR (HEAT), (23).

    Examples
    --------
    >>> from relaxlib.landscapes import quadratic
    >>> round(float(heat_smoothing(quadratic(2.0), 3.0, variance=0.5)), 12)
    9.5
    """
    points, leading = _places(landscape, x)
    deviation = np.sqrt(_checks.nonnegative("variance", variance))
    loss = landscape.params, landscape.compiled.value
    averages, residuals = gaussian_averages(points, deviation, *loss)
    _check_convergence(points, residuals)
    return averages.reshape(leading)


def _places(landscape: Landscape, x: ArrayLike) -> tuple[np.ndarray, tuple[int, ...]]:
    """Points (n, d) and the leading shape, of a loss with few coordinates."""
    _checks.kind("landscape", landscape, Landscape)
    points, leading = _checks.points("x", x, landscape.dim)
    if landscape.dim > 3:
        fix = "average along paths instead: quadrature costs (points per axis)^d"
        _checks.reject("landscape.dim", landscape.dim, "dim <= 3", fix)
    return points, leading


def _gibbs_laws(
    landscape: Landscape, points: np.ndarray, gamma: float, temperature: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Minima, logarithms of masses, means and covariances, as of `gibbs_integrals`."""
    gamma, temperature = _checks.positives(gamma=gamma, temperature=temperature)
    reaches = landscape.reach(points, gamma=gamma, excess=CUTOFF * temperature)
    for place in points[~np.isfinite(reaches)]:
        height = landscape.value(place)
        _checks.reject(f"f({place.tolist()})", height, "a finite loss", "move the point")
    lowest, log_mass, mean, cov, residuals = gibbs_integrals(
        points, reaches, landscape.params, gamma, temperature, landscape.compiled.value
    )
    _check_convergence(points, residuals)
    return lowest, log_mass, mean, cov


def _check_convergence(points: np.ndarray, residuals: np.ndarray) -> None:
    failed = ~(residuals <= 1.0)
    if failed.any():
        place, residual = points[failed][0].tolist(), residuals[failed][0] * TOLERANCE
        raise ArithmeticError(
            f"quadrature at x = {place}: residual {residual:.1e} > {TOLERANCE:g}; the loss is NaN "
            "or falls below its floor - growth |y - center|^2, or is too rough or narrow there: "
            "mend it, or raise gamma, temperature or variance"
        )
