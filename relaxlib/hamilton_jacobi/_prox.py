"""The proximal map: a scan for valleys, then Newton's method from each of them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.ndimage import minimum_filter

from relaxlib import _checks
from relaxlib.landscapes import Landscape

_SCAN = {1: 1000, 2: 50, 3: 15}  # nodes of the scan between a point and a face of its cube
_SCANNED = 1 << 21  # nodes scanned at a time
_NEWTON_STEPS = 200


@dataclass(frozen=True, eq=False)
class Prox:
    r"""Minimizers of :math:`f(y) + |x-y|^2/(2\gamma)`, one for each point x.

    Parameters
    ----------
    point : (..., d) float64
        The minimizer y; where it is not unique, one of them.
    value : (...) float64
        The minimum, which is the Hopf–Lax value u(x, gamma).
    unique : (...) bool
        Whether no second minimizer has the same value; there grad u = (x - point)/gamma.
    """

    point: np.ndarray
    value: np.ndarray
    unique: np.ndarray


def prox(landscape: Landscape, x: ArrayLike, *, gamma: float) -> Prox:
    r"""Proximal map of a landscape: the global minimizers, not the nearest local ones.

    .. math::
        \mathrm{prox}(x) = \arg\min_y \Big\{ f(y) + \frac{|x - y|^2}{2\gamma} \Big\}

    A scan of the cube that must hold every minimizer starts a safeguarded Newton iteration in
    each of its valleys, and the lowest end point wins.

    Parameters
    ----------
    landscape : Landscape
        f on R^d, d <= 3.
    x : (..., d) array_like
        Points; in one dimension a bare float will do.
    gamma : float
        Smoothing time, 0 < gamma < 1/(2 growth).

    Returns
    -------
    Prox
        Minimizers, values and whether the minimizer is unique: two that lie apart count as
        equal when their values agree to ten digits.

    Raises
    ------
    ValueError
        If gamma is not in the range above, d > 3, or ``x`` is not finite.
    ArithmeticError
        If Newton's iteration does not come to rest.

    Notes
    -----
    DR (14), (15). With R = ``landscape.reach(x, gamma=gamma, excess=0)`` the nodes are R/1000
    apart for d = 1, R/50 for d = 2, R/15 for d = 3; a valley narrower than that can be missed.

    Examples
    --------
    >>> from relaxlib.landscapes import quadratic
    >>> prox(quadratic(3.0), 2.0, gamma=1.0)
    Prox(point=array([0.5]), value=array(1.5), unique=array(True))
    """
    _checks.kind("landscape", landscape, Landscape)
    if landscape.dim > 3:
        _checks.reject("landscape.dim", landscape.dim, "dim <= 3", "descend from x instead")
    gamma = _checks.positive("gamma", gamma)
    centers, leading = _checks.points("x", x, landscape.dim)
    radii = np.maximum(landscape.reach(centers, gamma=gamma, excess=0.0), 1e-3 * math.sqrt(gamma))
    batch = _SCANNED // (2 * _SCAN[landscape.dim] + 1) ** landscape.dim
    batches = [slice(k, k + batch) for k in range(0, max(1, len(centers)), batch)]
    parts = [_global_minimizers(landscape, centers[b], gamma, radii[b]) for b in batches]
    point, value, unique = map(np.concatenate, zip(*parts, strict=True))
    point = point.reshape(*leading, landscape.dim)
    return Prox(point, value.reshape(leading), unique.reshape(leading))


def _global_minimizers(
    landscape: Landscape, centers: np.ndarray, gamma: float, radii: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scan a cube around each center, descend from its valleys and compare the ends."""
    dim, half = landscape.dim, _SCAN[landscape.dim]
    ticks = np.arange(-half, half + 1) / half
    cube = np.stack(np.meshgrid(*[ticks] * dim, indexing="ij"), axis=-1)
    per_center = (-1, *[1] * dim, 1)
    offsets = radii.reshape(per_center) * cube
    starts = centers.reshape(len(centers), *[1] * dim, dim) + offsets
    heights = landscape.value(starts) + (offsets**2).sum(axis=-1) / (2 * gamma)
    valleys = heights == minimum_filter(heights, (1, *[3] * dim), mode="nearest")
    owners = np.nonzero(valleys)[0]
    ends, bottoms = _descend(landscape, starts[valleys], centers[owners], gamma)

    best = np.lexsort((bottoms, owners))[np.searchsorted(owners, np.arange(len(centers)))]
    point, value = ends[best], bottoms[best]
    scale = np.abs(landscape.value(point)) + ((point - centers) ** 2).sum(axis=1) / (2 * gamma)
    level = bottoms - value[owners] <= 1e-10 * scale[owners]
    apart = np.linalg.norm(ends - point[owners], axis=1) > 1e-4 * radii[owners]
    return point, value, np.bincount(owners, level & apart, len(centers)) == 0


def _descend(
    landscape: Landscape, y: np.ndarray, x: np.ndarray, gamma: float
) -> tuple[np.ndarray, np.ndarray]:
    """Local minimizers of f(y) + |x-y|²/(2 gamma) from ``y``, by Newton steps that go down."""

    def terms(y: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return landscape.value(y), ((y - x) ** 2).sum(axis=1) / (2 * gamma)

    y, restless = y.copy(), np.arange(len(y))
    for _ in range(_NEWTON_STEPS):
        start, anchor = y[restless], x[restless]
        force = landscape.grad(start) + (start - anchor) / gamma
        curvatures, frames = np.linalg.eigh(landscape.hess(start) + np.eye(landscape.dim) / gamma)
        along = np.einsum("nij,ni->nj", frames, force)
        along /= np.maximum(np.abs(curvatures), 1e-8 / gamma)
        step = -np.einsum("nij,nj->ni", frames, along)
        loss, penalty = terms(start, anchor)
        scale = np.abs(loss) + penalty
        for _ in range(60):
            uphill = np.add(*terms(start + step, anchor)) > loss + penalty + 4e-16 * scale
            if not uphill.any():
                break
            step[uphill] /= 2
        y[restless] = start + step
        moved = np.linalg.norm(step, axis=1)
        gain = np.abs((force * step).sum(axis=1))
        size = math.sqrt(gamma) + np.linalg.norm(start, axis=1)
        moving = (gain > 1e-20 * scale) & (moved > 1e-13 * size)
        if not moving.any():
            return y, np.add(*terms(y, x))
        restless = restless[moving]
    residual = np.linalg.norm(force[moving], axis=1).max()
    raise ArithmeticError(
        f"prox: |grad f(y) + (y-x)/gamma| = {residual:g} after {_NEWTON_STEPS} Newton steps"
    )
