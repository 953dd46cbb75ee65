"""The cheapest path against a drift, and its price: the geometric minimum action method."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.fft import dst
from scipy.optimize import minimize

from relaxlib import _checks
from relaxlib.diffusions import Diffusion

__all__ = ["ActionPath", "minimum_action"]

_WIDTH = 1e-6  # of the differences that give the slope of the action, relative to the path
_GAIN = 1e-7  # a restart that lowers the action by less, relatively, is the last
_RESTARTS = 30
_BEND = 0.5  # of the starts beside the straight line, in units of its length
_LOWER = 1e-5  # a path from such a start must be lower by more, relatively, to be another one
_EVENNESS = 1.0  # price of unequal steps along the path, in units of the first path's action


@dataclass(frozen=True, eq=False)
class ActionPath:
    """A path of least action.

    Parameters
    ----------
    action : float
        Twice the height it climbs where the drift is a gradient and Q = I.
    points : (images, d) float64
        From start to end, nearly equally far apart.
    """

    action: float
    points: np.ndarray


def minimum_action(
    diffusion: Diffusion,
    start: ArrayLike,
    end: ArrayLike,
    *,
    images: int = 101,
    initial: ArrayLike | None = None,
) -> ActionPath:
    r"""Find the path that the process :math:`dX = b\,dt + \sqrt{2TQ}\,dW` takes against its drift.

    Over all paths from start to end and all their durations,

    .. math:: \bar I = \min\frac12\int|\dot\varphi - b(\varphi)|_{Q^{-1}}^2\,dt
              = \min\int|\varphi'|_{Q^{-1}}|b|_{Q^{-1}} - \langle\varphi', b\rangle_{Q^{-1}}\,ds,

    so that :math:`T\log E\tau\to\bar I/2` for the cheapest way out. The second form, free of
    time, is discretized by the midpoint rule and minimized by L-BFGS, from the straight line and
    from arcs to both sides of it in every normal direction, for a straight line that symmetry
    holds fast may be a saddle of the action. The lowest minimum found is returned: a lower one,
    around an obstacle, may need an ``initial`` path, or legs.

    Parameters
    ----------
    diffusion : Diffusion
        With noise in all directions; taken at t = 0.
    start, end : (d,) array_like
        Two different points.
    images : int
        Points on the path, at least 5; the error of the action is O(images^-2).
    initial : (m, d) array_like, optional
        A path from start to end, to search from instead: the minimum near it is returned.

    Returns
    -------
    ActionPath

    Raises
    ------
    ValueError
        If the points coincide, ``initial`` does not join them or Q degenerates on the first path.
    ArithmeticError
        If the minimization does not converge.

    Notes
    -----
    BBI appendix C; Heymann & Vanden-Eijnden (2008).

    Examples
    --------
    >>> from relaxlib.diffusions import langevin
    >>> from relaxlib.landscapes import double_well_2d
    >>> path = minimum_action(langevin(double_well_2d(), temperature=0.1), [-1, 0], [0, 0])
    >>> f"{path.action:.3f}"  # 2 (f(0, 0) - f(-1, 0))
    '2.000'
    """
    _checks.kind("diffusion", diffusion, Diffusion)
    images = _checks.count("images", images, 5)
    first = _checks.point("start", start, diffusion.dim)
    last = _checks.point("end", end, diffusion.dim)
    length = float(np.linalg.norm(last - first))
    _checks.positive("|end - start|", length, "pass two different points")
    straight = first + np.linspace(0.0, 1.0, 9)[:, None] * (last - first)
    points = straight if initial is None else _joining(initial, first, last)
    _check_noise(diffusion, _resampled(points, 16 * images))
    price = _EVENNESS * max(_costs(diffusion, points).sum(), 1e-12)

    def lowest(points: np.ndarray, sizes: list[int]) -> ActionPath:
        for size in sizes:
            points = _relaxed(diffusion, _resampled(points, size), price, _WIDTH * length)
        return ActionPath(float(_costs(diffusion, points).sum()), points)

    coarse, *finer = _sizes(images)
    rough = lowest(points, [coarse])
    best = lowest(rough.points, finer)
    if initial is not None:
        return best
    for arc in _arcs(straight):
        with suppress(ArithmeticError, ValueError), np.errstate(all="ignore"):
            other = lowest(arc, [coarse])  # where the drift may be undefined
            if other.action < (1.0 - _LOWER) * rough.action:
                rough, other = other, lowest(other.points, finer)
                best = min(best, other, key=lambda path: path.action)
    return best


def _joining(initial: ArrayLike, first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """A path (m, d) between two points."""
    points = _checks.rows("initial", initial)
    _checks.shape("initial", points, (max(len(points), 2), len(first)), "pass points (m, d)")
    gap = np.abs(points[[0, -1]] - [first, last]).max()
    if gap > 1e-9 * np.abs(points).max():
        need = "a path that begins at start and ends at end"
        _checks.reject("initial ends", points[[0, -1]].tolist(), need, "add the two points")
    return np.vstack([first, points[1:-1], last])


def _arcs(line: np.ndarray) -> list[np.ndarray]:
    """Bows of a straight path (n, d) to both sides, in every direction normal to it."""
    along = line[-1] - line[0]
    axes = np.linalg.svd(along[None])[2][1:]
    bow = _BEND * np.linalg.norm(along) * np.sin(np.pi * np.linspace(0.0, 1.0, len(line)))
    return [line + sign * bow[:, None] * axis for axis in axes for sign in (1.0, -1.0)]


def _check_noise(diffusion: Diffusion, path: np.ndarray) -> None:
    """Reject noise that degenerates on a path (n, d)."""
    noise = np.linalg.eigvalsh(diffusion.diffusivity_at(path))
    least = noise[:, 0]
    if not least.min() > max(1e-12 * noise.max(), 1e-6 * least.max()):
        place = path[int(np.argmin(least))].tolist()
        need = "Q > 0, so that any path has a finite action"
        _checks.reject(f"least eigenvalue of T Q at {place}", least.min(), need, "add noise")


def _sizes(images: int) -> list[int]:
    """Numbers of points of ever finer paths, the last one ``images``."""
    sizes = [images]
    while sizes[0] > 16:
        sizes.insert(0, sizes[0] // 2 + 1)
    return sizes


def _resampled(points: np.ndarray, size: int) -> np.ndarray:
    """As many points as asked for, equally far apart along the polygon."""
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    places = np.linspace(0.0, along[-1], size)
    return np.stack([np.interp(places, along, axis) for axis in points.T], axis=1)


def _relaxed(diffusion: Diffusion, points: np.ndarray, price: float, width: float) -> np.ndarray:
    """The path of least action near a path, with a price on uneven steps.

    The unknowns are sine coefficients divided by their frequency: L-BFGS then sees a problem
    that does not get harder with the number of points.
    """
    size, length = len(points), np.linalg.norm(np.diff(points, axis=0), axis=1).sum()
    price = price * size**3 / length**2
    smoothing = (1.0 / np.arange(1, size - 1))[:, None]

    def path(unknowns: np.ndarray) -> np.ndarray:
        moved = points.copy()
        moved[1:-1] += dst(unknowns.reshape(-1, diffusion.dim) * smoothing, 1, axis=0)
        return moved

    def objective(unknowns: np.ndarray) -> tuple[float, np.ndarray]:
        moved = path(unknowns)
        uneven, force = _unevenness(moved)
        slope = _slope(diffusion, moved, width) + price * force
        gradient = smoothing * dst(slope[1:-1], 1, axis=0)
        return _costs(diffusion, moved).sum() + price * uneven, gradient.ravel()

    unknowns, best = np.zeros(points[1:-1].size), np.inf
    options = {"maxiter": 2000, "ftol": 1e-9, "gtol": 0.0, "maxcor": 30}
    for _ in range(_RESTARTS):
        found = minimize(objective, unknowns, jac=True, method="L-BFGS-B", options=options)
        unknowns, gain, best = found.x, best - found.fun, found.fun
        if gain <= _GAIN * abs(best):
            return path(unknowns)
    raise ArithmeticError(
        f"minimum action: still falling by {gain:.1e} from {best:g} after {_RESTARTS} restarts; "
        "ask for the path in legs"
    )


def _costs(diffusion: Diffusion, points: np.ndarray) -> np.ndarray:
    """Action of every segment of paths (..., n, d), by the midpoint rule, (..., n - 1)."""
    middles, steps = (points[..., 1:, :] + points[..., :-1, :]) / 2, np.diff(points, axis=-2)
    drift = diffusion.drift_at(middles)
    noise = diffusion.diffusivity_at(middles) / diffusion.temperature
    weighted = np.linalg.solve(noise, np.stack([steps, drift], axis=-1))
    lengths = np.sqrt((steps * weighted[..., 0]).sum(axis=-1))
    speeds = np.sqrt((drift * weighted[..., 1]).sum(axis=-1))
    return lengths * speeds - (steps * weighted[..., 1]).sum(axis=-1)


def _slope(diffusion: Diffusion, points: np.ndarray, width: float) -> np.ndarray:
    """Derivative of the action by the points, (n, d); every second point moves at a time."""
    size, dim = points.shape
    shifts = np.zeros((2, dim, size, dim))
    shifts[0, :, ::2] = shifts[1, :, 1::2] = width * np.eye(dim)[:, None]
    change = _costs(diffusion, np.stack([points + shifts, points - shifts]))
    change = (change[0] - change[1]) / (2 * width)
    around = np.pad(change, ((0, 0), (0, 0), (1, 0))) + np.pad(change, ((0, 0), (0, 0), (0, 1)))
    return np.ascontiguousarray(np.where(np.arange(size) % 2, around[1], around[0]).T)


def _unevenness(points: np.ndarray) -> tuple[float, np.ndarray]:
    """Sum of squared differences of neighboring steps' lengths, and its derivative (n, d)."""
    steps = np.diff(points, axis=0)
    lengths = np.linalg.norm(steps, axis=1)
    jumps = np.diff(lengths)
    by_length = -2 * np.diff(jumps, prepend=0.0, append=0.0)
    pull = (by_length / np.maximum(lengths, 1e-300))[:, None] * steps
    return float(jumps @ jumps), -np.diff(pull, axis=0, prepend=0.0, append=0.0)
