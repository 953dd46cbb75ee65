"""Bounds of mean exit times under noise that may degenerate, their hypotheses checked."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import qmc

from relaxlib import _checks
from relaxlib.diffusions import Diffusion, ornstein_uhlenbeck
from relaxlib.exit_times._quadrature import interval_exit_time, radial_exit_time
from relaxlib.regions import Ball, Box

_SAMPLES = 4096
_ROUNDING = 1e-9


@dataclass(frozen=True, eq=False)
class Bounds:
    """Lower and upper bounds of mean exit times.

    Parameters
    ----------
    lower, upper : (...) float64
        Zero or infinite where nothing was assumed.
    """

    lower: np.ndarray
    upper: np.ndarray


def exit_time_bounds(
    diffusion: Diffusion,
    x: ArrayLike,
    region: Ball | Box,
    *,
    noise_ceiling: float | None = None,
    convexity: float = 0.0,
    direction: ArrayLike | None = None,
    noise_floor: float = 1.0,
    slope: float | None = None,
    sharp: bool = True,
) -> Bounds:
    r"""Bounds of the mean exit time of :math:`dX = -\nabla f\,dt + \sqrt{2TQ}\,dW` from a region.

    *Lower*, on a ball of radius R around a minimum: if :math:`0 \le Q \le \sigma I` and f is
    :math:`\lambda`-convex there,

    .. math:: E_x\tau \ge w(|x-c|) \ge \frac{R^2 - |x-c|^2}{2T\sigma d},

    w being the exit time for :math:`f = \lambda|x|^2/2`, :math:`Q = \sigma I`. *Upper*: if along a
    unit vector v, :math:`v^\top Qv \ge \beta` and
    :math:`(v\cdot\nabla f)(v\cdot x) \le \Lambda(v\cdot x)^2` on the region, then with
    :math:`R_v = \sup|v\cdot x|`

    .. math:: E_x\tau \le u_\Lambda(v\cdot x)
              \le \frac2\Lambda\bigl(e^{\Lambda R_v^2/2\beta T}
              - e^{\Lambda(v\cdot x)^2/2\beta T}\bigr),

    :math:`u_\Lambda` being the exit time from :math:`(-R_v, R_v)` for :math:`\Lambda y^2/2` and
    noise :math:`\beta`; the second bound allows :math:`T\beta/2` more on the right of the
    condition.

    Parameters
    ----------
    diffusion : Diffusion
        Langevin dynamics: with a landscape and T > 0.
    x : (..., d) array_like
        Starting points in the region.
    region : Ball or Box
        A ball centered at a minimum, for the lower bound.
    noise_ceiling : float, optional
        sigma; without it the lower bound is zero.
    convexity : float
        lambda >= 0.
    direction : (d,) array_like, optional
        v, of any length; without it the upper bound is infinite.
    noise_floor : float
        beta > 0.
    slope : float, optional
        Lambda > 0, needed with a direction.
    sharp : bool
        Whether to give the inner bounds (w and u) or the outer, explicit ones.

    Returns
    -------
    Bounds

    Raises
    ------
    ValueError
        If a hypothesis fails at one of 4096 points of the region, or a point lies outside.

    Notes
    -----
    BBI theorems 1.3 and 1.4 with their hypotheses mended: the ball of the bound is that of the
    exit, its center is a minimum, and the upper bound subtracts its value at x.

    Examples
    --------
    >>> from relaxlib.diffusions import langevin
    >>> from relaxlib.landscapes import quadratic
    >>> bounds = exit_time_bounds(
    ...     langevin(quadratic(), temperature=0.1), 0.0, Ball(0.0, 1.0),
    ...     noise_ceiling=1.0, direction=[1.0], slope=1.0, sharp=False,
    ... )
    >>> f"{bounds.lower:.2f} < 66.23 < {bounds.upper:.2f}"
    '5.00 < 66.23 < 294.83'
    """
    _checks.kind("diffusion", diffusion, Diffusion)
    _checks.kind("region", region, Ball, Box)
    _checks.fits("region.dim", region.dim, "the diffusion's dim", diffusion.dim)
    sharp = _checks.flag("sharp", sharp)
    if diffusion.landscape is None or not diffusion.temperature > 0.0:
        need = "Langevin dynamics with a landscape and T > 0"
        _checks.reject("diffusion", repr(diffusion), need, "build it with langevin")
    if noise_ceiling is None and convexity != 0.0:
        _checks.reject("noise_ceiling", None, "a sigma > 0 with convexity", "pass noise_ceiling")
    if direction is None and slope is not None:
        _checks.reject("direction", None, "a vector v with slope", "pass direction")
    points, leading = _checks.points("x", x, diffusion.dim)
    if not region.contains(points).all():
        place = points[~region.contains(points)][0].tolist()
        _checks.reject("x", place, "a point in the region", "start inside")
    places = _sample(region, diffusion.dim)
    low, high = np.zeros(len(points)), np.full(len(points), np.inf)
    if noise_ceiling is not None:
        low = _lower(diffusion, points, region, places, noise_ceiling, convexity, sharp)
    if direction is not None:
        high = _upper(diffusion, points, region, places, direction, noise_floor, slope, sharp)
    return Bounds(low.reshape(leading), high.reshape(leading))


def _sample(region: Ball | Box, dim: int) -> np.ndarray:
    """Points that fill the region evenly, (n, d)."""
    unit = qmc.Sobol(dim, scramble=False).random(_SAMPLES)
    if isinstance(region, Ball):
        points = region.center + region.radius * (2 * unit - 1)
        return points[region.contains(points)]
    if not np.isfinite([region.lower, region.upper]).all():
        need = "finite corners, to look for where the hypotheses fail"
        _checks.reject("region", [region.lower, region.upper], need, "cut the box")
    return (region.lower + (region.upper - region.lower) * unit)[1:]


def _lower(
    diffusion: Diffusion,
    points: np.ndarray,
    region: Ball | Box,
    places: np.ndarray,
    noise_ceiling: float,
    convexity: float,
    sharp: bool,
) -> np.ndarray:
    ceiling = _checks.positive("noise_ceiling", noise_ceiling)
    convexity = _checks.nonnegative("convexity", convexity)
    if not isinstance(region, Ball):
        _checks.reject(
            "region", type(region).__name__, "a Ball for the lower bound", "inscribe one"
        )
    temperature, dim = diffusion.temperature, diffusion.dim
    landscape = diffusion.landscape
    steepness = np.linalg.norm(landscape.grad(region.center))
    if steepness > 1e-6 * (1.0 + np.abs(landscape.hess(region.center)).max()):
        need = "zero: the ball's center must be a minimum of f"
        _checks.reject("|grad f(center)|", f"{steepness:g}", need, "center the ball at a minimum")
    spread = np.linalg.eigvalsh(diffusion.diffusivity_at(places)).max(axis=1) / temperature
    _hold(places, ceiling - spread, "Q <= noise_ceiling * I", "raise noise_ceiling")
    curvature = np.linalg.eigvalsh(landscape.hess(places)).min(axis=1)
    fix = "lower convexity" if convexity > 0.0 else "take a ball on which f is convex"
    _hold(places, curvature - convexity, "hess f >= convexity * I", fix)
    distance = np.linalg.norm(points - region.center, axis=1)
    if sharp:
        profile = ornstein_uhlenbeck(convexity, ceiling, temperature=temperature)
        return radial_exit_time(profile, distance, radius=region.radius, dim=dim)
    return (region.radius**2 - distance**2) / (2 * temperature * ceiling * dim)


def _upper(
    diffusion: Diffusion,
    points: np.ndarray,
    region: Ball | Box,
    places: np.ndarray,
    direction: ArrayLike,
    noise_floor: float,
    slope: float | None,
    sharp: bool,
) -> np.ndarray:
    v = _checks.point("direction", direction, diffusion.dim)
    length = _checks.positive("|direction|", np.linalg.norm(v), "pass a vector that is not zero")
    v = v / length
    floor = _checks.positive("noise_floor", noise_floor)
    if slope is None:
        _checks.reject("slope", None, "a Lambda > 0 with a direction", "pass slope")
    slope = _checks.positive("slope", slope)
    temperature = diffusion.temperature
    noise = diffusion.diffusivity_at(places) @ v @ v / temperature
    _hold(places, noise - floor, "v.Qv >= noise_floor", "lower noise_floor")
    along = places @ v
    room = slope * along**2 - diffusion.landscape.grad(places) @ v * along
    if not sharp:
        room += temperature * floor / 2
    _hold(places, room, "(v.grad f)(v.x) <= slope * (v.x)^2", "raise slope, or take sharp=False")
    reach, start = _reach(region, v), points @ v
    if sharp:
        strip = ornstein_uhlenbeck(slope, floor, temperature=temperature)
        return interval_exit_time(strip, start, lower=-reach, upper=reach)
    scale = slope / (2 * floor * temperature)
    with np.errstate(over="ignore"):
        return 2 / slope * (np.exp(scale * reach**2) - np.exp(scale * start**2))


def _reach(region: Ball | Box, v: np.ndarray) -> float:
    """Largest absolute v.x in the region."""
    if isinstance(region, Ball):
        return abs(float(region.center @ v)) + region.radius
    ends = np.stack([region.lower * v, region.upper * v])
    return float(max(ends.max(axis=0).sum(), -ends.min(axis=0).sum()))


def _hold(places: np.ndarray, room: np.ndarray, need: str, fix: str) -> None:
    """Reject where ``room`` is negative beyond rounding."""
    worst = int(np.argmin(room))
    if room[worst] < -_ROUNDING * (1.0 + np.abs(room).max()):
        place = places[worst].tolist()
        _checks.reject(f"room in the hypothesis at {place}", f"{room[worst]:g}", need, fix)
