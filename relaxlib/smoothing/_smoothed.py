"""Smoothed losses: local entropy with its gradient and Gibbs moments, and heat smoothing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from relaxlib import _checks
from relaxlib.grid import Grid
from relaxlib.landscapes import Landscape
from relaxlib.smoothing import _quadrature as quadrature
from relaxlib.smoothing._log_convolution import log_convolve
from relaxlib.smoothing._quadrature import CUTOFF, TOLERANCE


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
    _checks.kind("landscape", landscape, Landscape)
    points, leading = _checks.points("x", x, landscape.dim)
    integrals = _gibbs_integrals(landscape, points, gamma, temperature)
    normalization = landscape.dim / 2 * np.log(2 * np.pi * gamma * temperature)
    values = integrals.lowest - temperature * (integrals.log_mass - normalization)
    return values.reshape(leading)


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
    _checks.kind("landscape", landscape, Landscape)
    points, leading = _checks.points("x", x, landscape.dim)
    integrals = _gibbs_integrals(landscape, points, gamma, temperature)
    return ((points - integrals.mean) / gamma).reshape(*leading, landscape.dim)


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
    _checks.kind("landscape", landscape, Landscape)
    points, leading = _checks.points("x", x, landscape.dim)
    integrals = _gibbs_integrals(landscape, points, gamma, temperature)
    dim = landscape.dim
    return Moments(integrals.mean.reshape(*leading, dim), integrals.cov.reshape(*leading, dim, dim))


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
    _checks.kind("landscape", landscape, Landscape)
    points, leading = _checks.points("x", x, landscape.dim)
    variance = _checks.nonnegative("variance", variance)
    _few_coordinates(landscape)
    averages = np.empty(len(points))
    residuals = quadrature.gaussian_averages(
        points, np.sqrt(variance), landscape.params, landscape.compiled.value, averages
    )
    _converged(points, residuals)
    return averages.reshape(leading)


def local_entropy_on_grid(
    grid: Grid, values: ArrayLike, *, gamma: float, temperature: float
) -> np.ndarray:
    r"""Local entropy of values on a grid, in logarithms: nothing underflows.

    .. math:: f_\gamma(x_i) = -T \log \sum_j \omega_j\,(2\pi\gamma T)^{-d/2}
              e^{-(f_j + |x_i-x_j|^2/(2\gamma))/T}

    with the trapezoidal weights :math:`\omega_j`. Outside of the grid's box f counts as infinite:
    as an approximation of the integral over R^d this is good a few :math:`\sqrt{\gamma T}` away
    from the edges. It is the positive-temperature companion of Hopf-Lax on a grid.

    Parameters
    ----------
    grid : Grid
        With spacings at most :math:`\sqrt{\gamma T}`, so that the trapezoidal rule keeps the
        Gaussian's mass to 5e-9, and to 1e-15 from 1.3 spacings on.
    values : array_like of shape ``grid.shape``
        f at the nodes.
    gamma, temperature : float
        As in `local_entropy`.

    Returns
    -------
    float64 array of shape ``grid.shape``
        The sum to about 1e-12 T, also where f/T ranges over thousands.

    Raises
    ------
    ValueError
        If ``values`` are not finite or not on this grid, ``gamma`` or ``temperature`` is not
        positive, or the Gaussian is narrower than a spacing.

    Notes
    -----
    DR (11); the Gaussian factorizes, so that each axis is convolved in turn.

    Examples
    --------
    >>> grid = Grid.box(-1, 1, 201)
    >>> cliff = np.where(grid.nodes[:, 0] < 0, 3000.0, 0.0)
    >>> local_entropy_on_grid(grid, cliff, gamma=0.01, temperature=1.0)[[50, 150]].round(3).tolist()
    [14.817, 0.0]
    """
    _checks.kind("grid", grid, Grid)
    gamma = _checks.positive("gamma", gamma)
    temperature = _checks.positive("temperature", temperature)
    exponents = _checks.values_on(grid.shape, values) / temperature
    widths = np.sqrt(gamma * temperature) / grid.spacings
    if widths.min() < 1.0 - 1e-12:
        need = f"a standard deviation of at least the spacing {grid.spacings.max():g}"
        fix = f"refine the grid {int(np.ceil(1 / widths.min()))} times, or raise gamma"
        _checks.reject("sqrt(gamma*temperature)", f"{np.sqrt(gamma * temperature):g}", need, fix)
    for axis, width in enumerate(widths):
        exponents = log_convolve(exponents, axis, width)
    return np.multiply(exponents, temperature, order="C")


@dataclass(frozen=True, eq=False)
class _Integrals(Moments):
    """Gibbs integrals: the mass is exp(log_mass - lowest/T)."""

    lowest: np.ndarray
    log_mass: np.ndarray


def _gibbs_integrals(
    landscape: Landscape, points: np.ndarray, gamma: float, temperature: float
) -> _Integrals:
    _few_coordinates(landscape)
    gamma = _checks.positive("gamma", gamma)
    temperature = _checks.positive("temperature", temperature)
    reaches = landscape.reach(points, gamma=gamma, excess=CUTOFF * temperature)
    infinite = ~np.isfinite(reaches)
    if infinite.any():
        place, height = points[infinite][0], landscape.value(points[infinite][0])
        _checks.reject(f"f({place.tolist()})", height, "a finite loss", "move the point")
    (count, dim), arguments = points.shape, (landscape.params, gamma, temperature)
    integrals = _Integrals(
        mean=np.empty((count, dim)),
        cov=np.empty((count, dim, dim)),
        lowest=np.empty(count),
        log_mass=np.empty(count),
    )
    residuals = quadrature.gibbs_integrals(
        points,
        reaches,
        *arguments,
        landscape.compiled.value,
        integrals.lowest,
        integrals.log_mass,
        integrals.mean,
        integrals.cov,
    )
    _converged(points, residuals)
    return integrals


def _few_coordinates(landscape: Landscape) -> None:
    if landscape.dim > 3:
        fix = "average along paths instead: quadrature costs (points per axis)^d"
        _checks.reject("landscape.dim", landscape.dim, "dim <= 3", fix)


def _converged(points: np.ndarray, residuals: np.ndarray) -> None:
    failed = ~(residuals <= 1.0)
    if failed.any():
        place, residual = points[failed][0].tolist(), residuals[failed][0] * TOLERANCE
        raise ArithmeticError(
            f"quadrature at x = {place}: residual {residual:.1e} > {TOLERANCE:g}; the loss is NaN "
            "or falls below its floor - growth |y - center|^2, or is too rough or narrow there: "
            "mend it, or raise gamma, temperature or variance"
        )
