"""The catalogue of loss landscapes, and `Landscape` for your own."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from relaxlib import _checks
from relaxlib.landscapes._formulas import (
    CROSSED_VALLEYS,
    DOUBLE_WELL,
    DOUBLE_WELL_2D,
    EXPONENTIAL_RAMP,
    GAUSSIAN_WELLS,
    LIPSCHITZ_DOUBLE_WELL,
    MUELLER_BROWN,
    QUADRATIC,
    RADIAL_POWER,
    RUGGED,
    Formula,
)
from relaxlib.landscapes._landscape import Landscape, sort_by_value


def quadratic(hess: ArrayLike = 1.0, *, center: ArrayLike | None = None) -> Landscape:
    r"""Quadratic :math:`f(x) = (x-c)^\top H (x-c)/2`, also indefinite.

    Parameters
    ----------
    hess : float or (d, d) array_like
        Symmetric matrix H.
    center : (d,) array_like, optional
        c, the origin when left out.

    Raises
    ------
    ValueError
        If ``hess`` is not a finite symmetric matrix.

    Examples
    --------
    >>> quadratic([[2.0, 0.0], [0.0, -1.0]])
    <Landscape quadratic: dim=2, 0 minima, 1 saddles, lipschitz=2, convexity=-1>
    """
    matrix = np.atleast_2d(_checks.array("hess", hess))
    dim = len(matrix)
    _checks.symmetric("hess", matrix)
    origin = np.zeros(dim) if center is None else _checks.point("center", center, dim)
    eigenvalues = np.linalg.eigvalsh(matrix)
    negative, positive = (eigenvalues < 0).sum(), (eigenvalues > 0).sum()
    return Landscape(
        name="quadratic",
        formula=QUADRATIC,
        params=np.concatenate([matrix.ravel(), origin]),
        box=(origin - 3.0, origin + 3.0),
        minima=[origin] if positive == dim else [],
        saddles=[origin] if negative == 1 and positive == dim - 1 else [],
        lipschitz=np.abs(eigenvalues).max(),
        convexity=eigenvalues[0],
        growth=max(0.0, -eigenvalues[0] / 2),
        floor=0.0,
        center=origin,
    )


def double_well() -> Landscape:
    r"""Double well :math:`f(x) = (x^2-1)^2/4` on the line.

    Examples
    --------
    >>> double_well().minima.tolist()
    [[-1.0], [1.0]]
    """
    return Landscape(
        name="double_well",
        formula=DOUBLE_WELL,
        box=([-2.0], [2.0]),
        minima=[[-1.0], [1.0]],
        saddles=[[0.0]],
        convexity=-1.0,
        floor=0.0,
    )


def lipschitz_double_well() -> Landscape:
    r"""The book's running example, :math:`x^2/2 - \frac12\log\cosh 2x - x/10` on the line.

    Its second derivative :math:`1 - 2\,\mathrm{sech}^2(2x)` stays in [-1, 1].

    Examples
    --------
    >>> f = lipschitz_double_well()
    >>> f.minima.round(5).tolist(), f.value(f.minima).round(6).tolist()
    ([[1.07302], [-0.8303]], [-0.264854, -0.073734])
    """
    return _polished(
        LIPSCHITZ_DOUBLE_WELL,
        name="lipschitz_double_well",
        box=([-3.0], [3.0]),
        minima=[[1.1], [-0.8]],
        saddles=[[-0.1]],
        lipschitz=1.0,
        convexity=-1.0,
    )


def rugged() -> Landscape:
    r"""A rugged valley, :math:`f(x) = 0.15\,x^2 + \frac12\cos(4x+1)` on the line.

    Examples
    --------
    >>> rugged()
    <Landscape rugged: dim=1, 9 minima, 8 saddles, lipschitz=8.3, convexity=-7.7>
    """
    return _polished(
        RUGGED,
        name="rugged",
        box=([-7.0], [7.0]),
        minima=[[-5.5], [-4.0], [-2.5], [-1.0], [0.5], [2.0], [3.5], [5.0], [6.48]],
        saddles=[[-5.2], [-3.5], [-1.9], [-0.3], [1.4], [3.0], [4.7], [6.35]],
        lipschitz=8.3,
        convexity=-7.7,
    )


def wide_and_narrow() -> Landscape:
    r"""A wide well and a deeper, ten times narrower one on the line.

    .. math:: f(y) = \frac{y^2}{20} - e^{-(y+1.5)^2/(2\cdot 0.6^2)}
              - 1.15\,e^{-(y-1.5)^2/(2\cdot 0.06^2)}

    Examples
    --------
    >>> f = wide_and_narrow()
    >>> f.minima.round(3).tolist(), f.value(f.minima).round(3).tolist()
    ([[1.5], [-1.448]], [-1.038, -0.891])
    """
    return _polished(
        GAUSSIAN_WELLS,
        name="wide_and_narrow",
        params=[0.05, 1.0, -1.5, 0.6, 1.15, 1.5, 0.06],
        box=([-4.0], [4.0]),
        minima=[[-1.4], [1.5]],
        saddles=[[1.3]],
        lipschitz=319.5441960009064,  # at the bottom of the narrow well
        convexity=-142.45592069613153,  # on its left slope
    )


def mueller_brown() -> Landscape:
    r"""Mueller-Brown potential: three minima, two saddles and a curved valley in the plane.

    :math:`f(x, y) = \sum_{k=1}^4 A_k e^{a_k X_k^2 + b_k X_k Y_k + c_k Y_k^2}` with
    :math:`X_k = x - u_k, Y_k = y - v_k`, in the units of K. Mueller and L. D. Brown, Theoretica
    Chimica Acta 53 (1979), 75-93.

    Examples
    --------
    >>> f = mueller_brown()
    >>> f.value(f.minima).round(2).tolist(), f.value(f.saddles).round(2).tolist()
    ([-146.7, -108.17, -80.77], [-72.25, -40.66])
    """
    return _polished(
        MUELLER_BROWN,
        name="mueller_brown",
        params=[
            *(-200.0, -1.0, 0.0, -10.0, 1.0, 0.0),
            *(-100.0, -1.0, 0.0, -10.0, 0.0, 0.5),
            *(-170.0, -6.5, 11.0, -6.5, -0.5, 1.5),
            *(15.0, 0.7, 0.6, 0.7, -1.0, 1.0),
        ],
        box=([-1.5, -0.5], [1.2, 2.0]),
        minima=[[-0.56, 1.44], [0.62, 0.03], [-0.05, 0.47]],
        saddles=[[-0.82, 0.62], [0.21, 0.29]],
        convexity=-2048.8192726439947,  # between the deepest minimum and its saddle
    )


def double_well_2d() -> Landscape:
    r"""Double well in the plane, :math:`f(x, y) = (x^2-1)^2 + y^2`.

    Examples
    --------
    >>> double_well_2d().saddles.tolist()
    [[0.0, 0.0]]
    """
    return Landscape(
        name="double_well_2d",
        formula=DOUBLE_WELL_2D,
        box=([-2.0, -1.5], [2.0, 1.5]),
        minima=[[-1.0, 0.0], [1.0, 0.0]],
        saddles=[[0.0, 0.0]],
        convexity=-4.0,
        floor=0.0,
    )


def radial_power(exponent: float = 4.0, dim: int = 2) -> Landscape:
    r"""Radial power :math:`f(x) = |x|^p/p`, convex, degenerate at its minimum (BBI Example 1).

    Parameters
    ----------
    exponent : float
        p >= 1. Below 2 the Hessian is infinite at the origin.
    dim : int
        Dimension d.

    Raises
    ------
    ValueError
        If ``exponent`` < 1.

    Examples
    --------
    >>> radial_power(4.0).grad([1.0, 1.0]).tolist()
    [2.0, 2.0]
    """
    exponent, dim = _checks.positive("exponent", exponent), _checks.count("dim", dim)
    if exponent < 1.0:
        _checks.reject("exponent", f"{exponent:g}", "exponent >= 1", "take a convex power")
    return Landscape(
        name="radial_power",
        formula=RADIAL_POWER,
        params=[exponent],
        box=(np.full(dim, -2.0), np.full(dim, 2.0)),
        minima=[np.zeros(dim)],
        lipschitz=1.0 if exponent == 2.0 else np.inf,
        convexity=1.0 if exponent == 2.0 else 0.0,
        floor=0.0,
    )


def exponential_ramp() -> Landscape:
    r"""The ramp :math:`f(x, y) = e^x + y^2/2`: convex, without a minimum (BBI Example 2).

    Its infimum, 0, is not attained.

    Examples
    --------
    >>> exponential_ramp().grad([0.0, 3.0]).tolist()
    [1.0, 3.0]
    """
    return Landscape(
        name="exponential_ramp",
        formula=EXPONENTIAL_RAMP,
        box=([-2.0, -2.0], [2.0, 2.0]),
        convexity=0.0,
        floor=0.0,
    )


def crossed_valleys() -> Landscape:
    r"""Crossed valleys :math:`f(x, y) = x^2 y^2/2`, zero on both axes (BBI Example 3).

    No minimum is isolated, so none is listed.

    Examples
    --------
    >>> crossed_valleys().value([[5.0, 0.0], [1.0, 2.0]]).tolist()
    [0.0, 2.0]
    """
    return Landscape(
        name="crossed_valleys", formula=CROSSED_VALLEYS, box=([-2.0, -2.0], [2.0, 2.0]), floor=0.0
    )


def _polished(
    formula: Formula, minima: ArrayLike, saddles: ArrayLike, params: ArrayLike = (), **facts: Any
) -> Landscape:
    """Landscape with a global minimum, its critical points from rough starts."""
    numbers = np.asarray(params, np.float64)
    wells, passes = (_critical_points(formula, numbers, starts) for starts in (minima, saddles))
    facts |= {"minima": wells, "saddles": passes, "floor": formula.value(wells[0], numbers)}
    return Landscape(formula=formula, params=numbers, **facts)


def _critical_points(formula: Formula, params: np.ndarray, starts: ArrayLike) -> np.ndarray:
    """Critical points near the starts by Newton's method, lowest first."""
    points = np.array(starts, np.float64)
    grad, hess = np.empty(points.shape[1]), np.empty(2 * points.shape[1:])
    for x in points:
        for _ in range(20):
            formula.grad(x, params, grad)
            formula.hess(x, params, hess)
            x -= np.linalg.solve(hess, grad)
    return sort_by_value(formula, params, points)
