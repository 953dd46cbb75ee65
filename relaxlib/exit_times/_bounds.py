"""Bounds of mean exit times under noise that may degenerate, their hypotheses checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import qmc

from relaxlib import _checks
from relaxlib.diffusions import Diffusion, ornstein_uhlenbeck
from relaxlib.exit_times._kramers import check_critical
from relaxlib.exit_times._quadrature import interval_exit_time, radial_exit_time
from relaxlib.landscapes import Landscape
from relaxlib.regions import Ball, Box

_SAMPLES = 4096
_ROUNDING = 1e-9


def exit_time_lower_bound(
    diffusion: Diffusion,
    x: ArrayLike,
    region: Ball,
    *,
    noise_ceiling: float,
    convexity: float = 0.0,
    sharp: bool = True,
) -> np.ndarray:
    r"""Lower bound of the mean exit time of :math:`dX = -\nabla f\,dt + \sqrt{2TQ}\,dW`, on a ball.

    If :math:`0 \le Q \le \sigma I` and f is :math:`\lambda`-convex on the ball of radius R around a
    minimum c of f, then

    .. math:: E_x\tau \ge w(|x-c|) \ge \frac{R^2 - |x-c|^2}{2T\sigma d},

    w being the exit time for :math:`f = \lambda|x-c|^2/2`, :math:`Q = \sigma I`.

    Parameters
    ----------
    diffusion : Diffusion
        Langevin dynamics: with a landscape and T > 0.
    x : (..., d) array_like
        Starting points in the ball.
    region : Ball
        Centered at a minimum.
    noise_ceiling : float
        :math:`\sigma > 0`.
    convexity : float
        :math:`\lambda \ge 0`.
    sharp : bool
        Whether to give w, exact to 1e-8 of itself, or the explicit bound.

    Returns
    -------
    (...) float64

    Raises
    ------
    ValueError
        If a hypothesis fails at a point of the ball (among 4096 of the cube around it), its center
        is no critical point, or a start lies outside.

    Notes
    -----
    BBI theorem 1.3 with its hypotheses mended: the ball of the bound is that of the exit, and its
    center is a minimum.

    Examples
    --------
    >>> from relaxlib.diffusions import langevin
    >>> from relaxlib.landscapes import quadratic
    >>> bowl, ball = langevin(quadratic(), temperature=0.1), Ball(0.0, 1.0)
    >>> both = [
    ...     exit_time_lower_bound(bowl, 0.0, ball, noise_ceiling=1.0, convexity=1.0, sharp=sharp)
    ...     for sharp in (False, True)
    ... ]
    >>> f"{both[0]:.2f} < {both[1]:.2f}"  # the second is the exit time itself
    '5.00 < 66.23'
    """
    _checks.kind("region", region, Ball)
    landscape, points, leading, places = _checked(diffusion, x, region, sharp)
    ceiling = _checks.positive("noise_ceiling", noise_ceiling)
    convexity = _checks.nonnegative("convexity", convexity)
    need, fix = "the ball's center must be a minimum of f", "center the ball at a minimum"
    check_critical(landscape, "center", region.center, need, fix)
    temperature, dim = diffusion.temperature, diffusion.dim
    spread = np.linalg.eigvalsh(diffusion.diffusivity_at(places)).max(axis=1) / temperature
    _hold(places, ceiling - spread, "Q <= noise_ceiling * I", "raise noise_ceiling")
    curvature = np.linalg.eigvalsh(landscape.hess(places)).min(axis=1)
    fix = "lower convexity" if convexity > 0.0 else "take a ball on which f is convex"
    _hold(places, curvature - convexity, "hess f >= convexity * I", fix)
    distance = np.linalg.norm(points - region.center, axis=1)
    if sharp:
        profile = ornstein_uhlenbeck(convexity, ceiling, temperature=temperature)
        times = radial_exit_time(profile, distance, radius=region.radius, dim=dim)
    else:
        times = (region.radius**2 - distance**2) / (2 * temperature * ceiling * dim)
    return times.reshape(leading)


def exit_time_upper_bound(
    diffusion: Diffusion,
    x: ArrayLike,
    region: Ball | Box,
    *,
    direction: ArrayLike,
    slope: float,
    noise_floor: float = 1.0,
    sharp: bool = True,
) -> np.ndarray:
    r"""Upper bound of the mean exit time of :math:`dX = -\nabla f\,dt + \sqrt{2TQ}\,dW`.

    If along a unit vector v, :math:`v^\top Qv \ge \beta` and
    :math:`(v\cdot\nabla f)(v\cdot x) \le \Lambda(v\cdot x)^2` on the region, then with
    :math:`R_v = \sup|v\cdot x|`

    .. math:: E_x\tau \le u_\Lambda(v\cdot x)
              \le \frac2\Lambda\bigl(e^{\Lambda R_v^2/2\beta T}
              - e^{\Lambda(v\cdot x)^2/2\beta T}\bigr),

    :math:`u_\Lambda` being the exit time from :math:`(-R_v, R_v)` for :math:`\Lambda y^2/2` and
    noise :math:`\beta`; the second bound allows :math:`T\beta/2` more on the right of the
    condition. In all other directions Q may vanish.

    Parameters
    ----------
    diffusion : Diffusion
        Langevin dynamics: with a landscape and T > 0.
    x : (..., d) array_like
        Starting points in the region.
    region : Ball or Box
        Bounded.
    direction : (d,) array_like
        v, of any length but zero.
    slope : float
        :math:`\Lambda > 0`.
    noise_floor : float
        :math:`\beta > 0`.
    sharp : bool
        Whether to give :math:`u_\Lambda`, exact to 1e-8 of itself, or the explicit bound.

    Returns
    -------
    (...) float64

    Raises
    ------
    ValueError
        If a hypothesis fails at a point of the region (among 4096 of the box around it), or a
        start lies outside.

    Notes
    -----
    BBI theorem 1.4 with its hypotheses mended: the bound subtracts its value at x.

    Examples
    --------
    >>> from relaxlib.diffusions import langevin
    >>> from relaxlib.landscapes import quadratic
    >>> bowl, ball = langevin(quadratic(), temperature=0.1), Ball(0.0, 1.0)
    >>> both = [
    ...     exit_time_upper_bound(bowl, 0.0, ball, direction=[1.0], slope=1.0, sharp=sharp)
    ...     for sharp in (True, False)
    ... ]
    >>> f"{both[0]:.2f} < {both[1]:.2f}"  # the first is the exit time itself
    '66.23 < 294.83'
    """
    landscape, points, leading, places = _checked(diffusion, x, region, sharp)
    v = _checks.point("direction", direction, diffusion.dim)
    length = float(np.linalg.norm(v))
    v = v / _checks.positive("|direction|", length, "pass a vector that is not zero")
    floor, slope = _checks.positive("noise_floor", noise_floor), _checks.positive("slope", slope)
    temperature = diffusion.temperature
    noise = diffusion.diffusivity_at(places) @ v @ v / temperature
    _hold(places, noise - floor, "v.Qv >= noise_floor", "lower noise_floor")
    along = places @ v
    room = slope * along**2 - landscape.grad(places) @ v * along
    if not sharp:
        room += temperature * floor / 2
    _hold(places, room, "(v.grad f)(v.x) <= slope * (v.x)^2", "raise slope, or take sharp=False")
    reach, start = _reach(region, v), points @ v
    if sharp:
        strip = ornstein_uhlenbeck(slope, floor, temperature=temperature)
        times = interval_exit_time(strip, start, lower=-reach, upper=reach)
    else:
        scale = slope / (2 * floor * temperature)
        with np.errstate(over="ignore"):
            times = 2 / slope * (np.exp(scale * reach**2) - np.exp(scale * start**2))
    return times.reshape(leading)


@dataclass(frozen=True, eq=False)
class Bounds:
    """Lower and upper bounds (...) of mean exit times; zero, infinite where nothing was assumed."""

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
    """Both bounds, each where its arguments are given."""
    if noise_ceiling is None and convexity != 0.0:
        _checks.reject("noise_ceiling", None, "a sigma > 0 with convexity", "pass noise_ceiling")
    if direction is None and slope is not None:
        _checks.reject("direction", None, "a vector v with slope", "pass direction")
    leading = _checked(diffusion, x, region, sharp)[2]
    low, high = np.zeros(leading), np.full(leading, np.inf)
    facts: dict[str, Any] = {"diffusion": diffusion, "x": x, "region": region, "sharp": sharp}
    if noise_ceiling is not None:
        low = exit_time_lower_bound(**facts, noise_ceiling=noise_ceiling, convexity=convexity)
    if direction is not None:
        if slope is None:
            _checks.reject("slope", None, "a Lambda > 0 with a direction", "pass slope")
        facts |= {"direction": direction, "slope": slope, "noise_floor": noise_floor}
        high = exit_time_upper_bound(**facts)
    return Bounds(low, high)


def _checked(
    diffusion: Diffusion, x: ArrayLike, region: Ball | Box, sharp: bool
) -> tuple[Landscape, np.ndarray, tuple[int, ...], np.ndarray]:
    """The landscape, the starts (n, d) and their leading shape, and points all over the region."""
    _checks.kind("diffusion", diffusion, Diffusion)
    _checks.kind("region", region, Ball, Box)
    _checks.fits("region.dim", region.dim, "the diffusion's dim", diffusion.dim)
    _checks.flag("sharp", sharp)
    landscape = diffusion.landscape
    if landscape is None or not diffusion.temperature > 0.0:
        need = "Langevin dynamics with a landscape and T > 0"
        _checks.reject("diffusion", repr(diffusion), need, "build it with langevin")
    points, leading = _checks.points("x", x, diffusion.dim)
    outside = ~region.contains(points)
    if outside.any():
        _checks.reject("x", points[outside][0].tolist(), "a point in the region", "start inside")
    return landscape, points, leading, _sample(region)


def _sample(region: Ball | Box) -> np.ndarray:
    """Points that fill the region evenly, (n, d)."""
    unit = qmc.Sobol(region.dim, scramble=False).random(_SAMPLES)
    if isinstance(region, Ball):
        points = region.center + region.radius * (2 * unit - 1)
        return points[region.contains(points)]
    if not np.isfinite([region.lower, region.upper]).all():
        need = "finite corners, to look for where the hypotheses fail"
        _checks.reject("region", [region.lower, region.upper], need, "cut the box")
    return (region.lower + (region.upper - region.lower) * unit)[1:]


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
