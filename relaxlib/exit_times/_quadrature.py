r"""Mean exit times on the line and on balls, by quadrature in logarithms.

The time is a double integral of factors such as :math:`e^{f/T}` and :math:`e^{-f/T}` that overflow
at low temperature though the time does not. All integrands are positive and kept as logarithms.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.polynomial import legendre
from numpy.typing import ArrayLike

from relaxlib import _checks
from relaxlib.diffusions import Diffusion

Field = Callable[[np.ndarray], np.ndarray]
Pair = tuple[float, float]

_POINTS = 16
_NODES, _WEIGHTS = legendre.leggauss(_POINTS)
_CHANGE = 2.0  # largest change of the logarithm across a panel
_PANELS = 256, 200_000  # panels of equal width to begin with, and at most
_DISAGREEMENT = 1e-11  # of S across a panel, by one panel and by its halves
_DEPTH = 80.0  # the tail of a well is cut where it is e^{-80} of its bottom
_HALVINGS = 45  # panels shrink toward the center of a ball down to 2^-45 of its radius


def interval_exit_time(
    diffusion: Diffusion, x: ArrayLike, *, lower: float, upper: float
) -> np.ndarray:
    r"""Mean exit time of a diffusion on the line from an interval, to about 1e-8 of itself.

    With the scale :math:`s' = e^{S}`, :math:`S' = -b/(TQ)`, and the speed
    :math:`m = e^{-S}/(TQ)`,

    .. math:: u(x) = (1-p)\int_a^x (s(y)-s(a))\,m(y)\,dy + p\int_x^b (s(b)-s(y))\,m(y)\,dy

    with :math:`p = (s(x)-s(a))/(s(b)-s(a))`, and
    :math:`u = \int_x^b s'(z)\int_{-\infty}^z m(y)\,dy\,dz` for :math:`a = -\infty`, which is
    never reached.

    Parameters
    ----------
    diffusion : Diffusion
        In one dimension, with noise everywhere; taken at t = 0.
    x : (...) array_like
        Starting points in [lower, upper].
    lower, upper : float
        Ends a < b; one of them may be infinite if the drift leads away from it.

    Returns
    -------
    (...) float64

    Raises
    ------
    ValueError
        If a point lies outside, both ends are infinite, TQ vanishes, or nothing confines the
        process on the side of an infinite end.
    ArithmeticError
        If the time overflows, or more than 200 000 panels would be needed.

    Notes
    -----
    DR section 2.4; BBI (5) for d = 1.

    Examples
    --------
    >>> from relaxlib.diffusions import langevin
    >>> from relaxlib.landscapes import double_well
    >>> cold = langevin(double_well(), temperature=0.0125)
    >>> f"{interval_exit_time(cold, -1.0, lower=-np.inf, upper=1.0):.5e}"
    '2.19864e+09'
    """
    _check_line("diffusion", diffusion, "use mean_exit_time on an operator")
    lower, upper = _checks.number("lower", lower), _checks.number("upper", upper)
    if not lower < upper or (np.isinf(lower) and np.isinf(upper)):
        ends = f"({lower:g}, {upper:g})"
        _checks.reject("(lower, upper)", ends, "lower < upper, one of them finite", "mend them")
    starts = _within("x", x, lower, upper, "start inside the interval")
    side = -1.0 if np.isinf(upper) else 1.0  # mirror the line if its right end is infinite

    def slope(y: np.ndarray) -> np.ndarray:
        return -side * diffusion.drift_at(side * y[..., None])[..., 0] / spread(y)

    def spread(y: np.ndarray) -> np.ndarray:
        values = diffusion.diffusivity_at(side * y[..., None])[..., 0, 0]
        if not np.all(values > 0.0):
            place = side * y[~(values > 0.0)].flat[0]
            _checks.reject(f"T Q({place:g})", values.min(), "T Q > 0", "use feynman_kac")
        return values

    first, last = (lower, upper) if side > 0.0 else (-upper, -lower)
    starts = side * starts
    if np.isinf(first):
        edge = min(starts.min(initial=np.inf), last)
        if diffusion.landscape:
            edge = min(edge, (side * np.concatenate(diffusion.landscape.box)).min())
        first = _tail(slope, edge, last - edge)
        return _one_sided(slope, spread, starts, (first, last), (-np.inf, 0.0))
    return _two_sided(slope, spread, starts, (first, last))


def radial_exit_time(
    profile: Diffusion, distance: ArrayLike, *, radius: float, dim: int
) -> np.ndarray:
    r"""Mean exit time from a ball in d dimensions of a process that is radially symmetric.

    For :math:`-T\,Q\,\Delta u - b(r)\,\partial_r u = 1` with scalar Q(r),

    .. math:: u(r) = \int_r^R \frac{e^{S(s)}}{s^{d-1}}
                     \int_0^s \frac{v^{d-1}e^{-S(v)}}{TQ(v)}\,dv\,ds, \qquad S' = -\frac b{TQ}.

    Parameters
    ----------
    profile : Diffusion
        On the line: its drift at r > 0 is the radial drift b, its noise that of any direction.
    distance : (...) array_like
        Distances r from the center, 0 <= r <= R.
    radius : float
        R.
    dim : int
        d.

    Returns
    -------
    (...) float64
        Exact to 1e-8 of itself.

    Raises
    ------
    ValueError
        If the profile is not one-dimensional or a distance lies outside [0, R].
    ArithmeticError
        As in `interval_exit_time`.

    Notes
    -----
    BBI theorem 1.3 compares with it; for d = 1 it is the interval (-R, R) with even b.

    Examples
    --------
    >>> from relaxlib.diffusions import ornstein_uhlenbeck
    >>> profile = ornstein_uhlenbeck(1.0, 1.0, temperature=0.05)
    >>> f"{radial_exit_time(profile, 0.0, radius=1.0, dim=2):.3f}"
    '1244.675'
    """
    _check_line("profile", profile, "pass the radial drift as a 1-d diffusion")
    radius, dim = _checks.positive("radius", radius), _checks.count("dim", dim)
    starts = _within("distance", distance, 0.0, radius, "start inside the ball")

    def spread(r: np.ndarray) -> np.ndarray:
        return profile.diffusivity_at(r[..., None])[..., 0, 0]

    def slope(r: np.ndarray) -> np.ndarray:
        return -profile.drift_at(r[..., None])[..., 0] / spread(r) - (dim - 1) / r

    core = radius * 0.5**_HALVINGS
    height = -(dim - 1) * np.log(core)
    mass = dim * np.log(core) - np.log(dim * spread(np.array([core])))[0]
    return _one_sided(slope, spread, np.maximum(starts, core), (core, radius), (mass, height))


def _check_line(name: str, diffusion: Diffusion, fix: str) -> None:
    """Reject what is no diffusion on the line."""
    _checks.kind(name, diffusion, Diffusion)
    if diffusion.dim != 1:
        _checks.reject(f"{name}.dim", diffusion.dim, "1", fix)


def _within(name: str, x: ArrayLike, lower: float, upper: float, fix: str) -> np.ndarray:
    """Numbers (...) between two ends."""
    found = _checks.array(name, x)
    _checks.finite(name, found)
    outside = (found < lower) | (found > upper)
    if outside.any():
        _checks.reject(name, found[outside].flat[0], f"{lower:g} <= {name} <= {upper:g}", fix)
    return found


def _tail(slope: Field, edge: float, width: float) -> float:
    """A point left of ``edge`` from which S falls by `_DEPTH` on the way to its lowest value."""
    rise = 0.0
    for _ in range(10_000):
        if rise >= _DEPTH:
            return edge
        steepness = np.abs(slope(edge - width * np.array([0.0, 0.5, 1.0]))).max()
        width = min(2.0 * width, _CHANGE / max(steepness, 1e-300), 1e150)
        panel = edge - width / 2 * (1.0 + _NODES)
        rise = max(rise - width / 2 * float(_WEIGHTS @ slope(panel)), 0.0)
        edge -= width
    need = "a drift that confines the process on that side"
    _checks.reject("infinite end", f"S rises by {rise:g} only", need, "give a finite end")


def _one_sided(
    slope: Field, spread: Field, starts: np.ndarray, ends: Pair, beyond: Pair
) -> np.ndarray:
    """u when the first end is no exit; ``beyond``: log of the speed measure left of it, S there."""
    mass, height = beyond
    edges, half, scale, speed = _panels(slope, spread, starts, ends, height)
    inner, _ = _from_left(half, speed, mass)
    _, outer = _from_right(half, scale + inner)
    return _exponential(outer[np.searchsorted(edges, starts)])


def _two_sided(slope: Field, spread: Field, starts: np.ndarray, ends: Pair) -> np.ndarray:
    """u when both ends are exits."""
    edges, half, scale, speed = _panels(slope, spread, starts, ends, 0.0)
    to_left, left = _from_left(half, scale, -np.inf)
    to_right, right = _from_right(half, scale)
    _, below = _from_left(half, to_left + speed, -np.inf)
    _, above = _from_right(half, to_right + speed)
    place = np.searchsorted(edges, starts)
    return _exponential(np.logaddexp(right - left[-1] + below, left - left[-1] + above)[place])


def _exponential(logs: np.ndarray) -> np.ndarray:
    """Times from their logarithms."""
    if np.max(logs, initial=-np.inf) > 700.0:
        largest = f"e^{logs.max():.0f}"
        raise ArithmeticError(f"mean exit time {largest} overflows; raise the temperature")
    return np.exp(logs)


def _panels(
    slope: Field, spread: Field, starts: np.ndarray, ends: Pair, height: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Edges (m + 1,) and half widths (m,) of panels; S and log m at their Gauss nodes (m, 16).

    The starts are edges, panels near the first end shrink in halves, and S, ``height`` there,
    changes little on each.
    """
    first, last = ends
    halves = first + (last - first) * 0.5 ** np.arange(_HALVINGS)
    even = np.linspace(first, last, _PANELS[0] + 1)
    edges = np.unique(np.concatenate([halves, even, starts.ravel()]))
    while True:
        half, nodes = _nodes(edges)
        slopes = slope(nodes)
        change = 2 * half * np.abs(slopes).max(axis=1)
        pieces = np.ceil(np.clip(change / _CHANGE, 1.0, 64.0)).astype(int)
        if np.all(pieces == 1):
            halved = np.append(np.column_stack([edges[:-1], edges[:-1] + half]).ravel(), last)
            finer, inner = _nodes(halved)
            twice = (finer * (slope(inner) @ _WEIGHTS)).reshape(-1, 2).sum(axis=1)
            pieces += np.abs(half * (slopes @ _WEIGHTS) - twice) > _DISAGREEMENT
        if np.all(pieces == 1):
            break
        if pieces.sum() > _PANELS[1]:
            raise ArithmeticError(
                f"quadrature from {first:g} to {last:g}: more than {_PANELS[1]} panels; start "
                "nearer the wells, or raise the temperature"
            )
        parts = np.arange(pieces.sum()) - np.repeat(np.cumsum(pieces) - pieces, pieces)
        inside = np.repeat(edges[:-1], pieces) + parts * np.repeat(2 * half / pieces, pieces)
        edges = np.concatenate([inside, edges[-1:]])
    start = height + np.concatenate([[0.0], np.cumsum(half * (slopes @ _WEIGHTS))])
    scale = start[:-1, None] + half[:, None] * (slopes @ _INTEGRALS.T)
    return edges, half, scale, -scale - np.log(spread(nodes))


def _nodes(edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Half widths (m,) and Gauss nodes (m, 16) of panels."""
    half = np.diff(edges) / 2
    return half, (edges[:-1] + half)[:, None] + half[:, None] * _NODES


def _from_left(half: np.ndarray, logs: np.ndarray, start: float) -> tuple[np.ndarray, np.ndarray]:
    """Logarithms of the integral from the left at the nodes (m, 16) and edges (m + 1,)."""
    tops = logs.max(axis=1)
    heights = np.exp(logs - tops[:, None])
    whole = tops + np.log(half * (heights @ _WEIGHTS))
    edges = np.logaddexp.accumulate(np.concatenate([[start], whole]))
    part = tops[:, None] + np.log(half[:, None] * (heights @ _INTEGRALS.T))
    return np.logaddexp(edges[:-1, None], part), edges


def _from_right(half: np.ndarray, logs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Logarithms of the integral from the right, likewise."""
    nodes, edges = _from_left(half[::-1], logs[::-1, ::-1], -np.inf)
    return nodes[::-1, ::-1], edges[::-1]


def _integration_matrix() -> np.ndarray:
    """Row i integrates the interpolating polynomial of values at the nodes from -1 to node i."""
    degrees = np.arange(_POINTS)
    coefficients = (degrees + 0.5)[:, None] * legendre.legvander(_NODES, _POINTS - 1).T * _WEIGHTS
    antiderivatives = legendre.legint(coefficients, lbnd=-1, axis=0)
    return legendre.legvander(_NODES, _POINTS) @ antiderivatives


_INTEGRALS = _integration_matrix()
