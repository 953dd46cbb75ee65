"""Hamilton–Jacobi smoothing: the Hopf–Lax formula, a monotone scheme, the proximal map."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import ArrayLike
from scipy.ndimage import minimum_filter
from tqdm import tqdm

from relaxlib import _checks
from relaxlib.grid import Grid, ValueFunction
from relaxlib.hamilton_jacobi._envelopes import FASTMATH, lower_envelope
from relaxlib.landscapes import Landscape

STEEPEST = 1e300  # a steeper parabola changes nothing: every node is its own minimizer
SLICE = 1 << 26  # node updates between two looks at the keyboard, under half a second
SCAN = {1: 1000, 2: 50, 3: 15}  # nodes of the scan between a point and a face of its cube
SCANNED = 1 << 21  # nodes scanned at a time
NEWTON_STEPS = 200


def hopf_lax(grid: Grid, values: ArrayLike, *, t: float) -> np.ndarray:
    r"""Viscosity solution of the inviscid equation by the Hopf–Lax formula, exact on the grid.

    .. math:: u(x_i, t) = \min_j \Big\{ f(x_j) + \frac{|x_i - x_j|^2}{2t} \Big\}

    The minimum runs over the nodes (f is infinite outside the box). It separates into the
    axes, and along an axis it is the lower envelope of parabolas, found in linear time.

    Parameters
    ----------
    grid : Grid
        Nodes in any dimension d.
    values : array_like of shape ``grid.shape``
        The initial values f.
    t : float
        Time, t >= 0; at t = 0 the result is a copy of ``values``.

    Returns
    -------
    float64 array of shape ``grid.shape``
        The same bits for any number of threads.

    Raises
    ------
    ValueError
        If t < 0, or ``values`` has the wrong shape or an entry that is not finite.

    Notes
    -----
    DR Lemma 2, (HL).

    Examples
    --------
    >>> grid = Grid.box(-2, 2, 5)
    >>> hopf_lax(grid, [9.0, 9.0, 0.0, 9.0, 9.0], t=0.5).tolist()
    [4.0, 1.0, 0.0, 1.0, 4.0]
    """
    _checks.kind("grid", grid, Grid)
    values = _checks.values_on(grid, values)
    t = _checks.nonnegative("t", t)
    curvatures = [min(h * h / 2 / t, STEEPEST) if t else STEEPEST for h in grid.spacings.tolist()]
    return lower_envelope(values, curvatures)


def solve_hj(
    grid: Grid, values: ArrayLike, *, t: float | ArrayLike, viscosity: float = 0.0
) -> ValueFunction:
    r"""Solve :math:`u_t = -\frac12|\nabla u|^2 + \nu\Delta u` by an explicit monotone scheme.

    .. math::
        u_i^{n+1} = u_i^n - \frac{\Delta t}{2} \sum_k \Big( \frac{u_i - \min(u_i, u_{i-e_k},
        u_{i+e_k})}{h_k} \Big)^2 + \nu \Delta t \sum_k \frac{u_{i-e_k} - 2u_i + u_{i+e_k}}{h_k^2}

    This is Godunov's upwind Hamiltonian: along each axis only the steeper descent counts. The
    step is the largest one that keeps the scheme monotone, so solutions never cross, no new
    extrema appear, and the scheme converges to the viscosity solution, with first order.

    Parameters
    ----------
    grid : Grid
        Nodes in d = 1, 2 or 3 dimensions.
    values : array_like of shape ``grid.shape``
        The initial values f.
    t : float or (k,) array_like
        A time, or strictly increasing times, t >= 0.
    viscosity : float
        :math:`\nu \ge 0`; T/2 gives local entropy at temperature T and gamma = t.

    Returns
    -------
    ValueFunction
        Values at the times ``t``. The end nodes act as mirrors: what differs from the solution
        on the whole space enters from there, to a distance of about
        :math:`t \max|\nabla f| + \sqrt{2 \nu t}`.

    Raises
    ------
    ValueError
        If d > 3, t < 0, the times do not increase, viscosity < 0, or ``values`` has the wrong
        shape or an entry that is not finite.

    Notes
    -----
    DR (viscous-HJ) and (HJ). The number of steps grows like :math:`\max|\nabla f| / h`, and like
    :math:`\nu / h^2` with viscosity.

    Examples
    --------
    >>> import numpy as np
    >>> grid = Grid.box(-2, 2, 401)
    >>> solution = solve_hj(grid, grid.axes[0] ** 2 / 2, t=[0.5, 1.0])
    >>> np.round(solution.interpolate(0.6), 2).tolist()  # x**2 / (2 * (1 + t)) = 0.09
    0.09
    """
    _checks.kind("grid", grid, Grid)
    if grid.dim > 3:
        _checks.reject("grid.dim", grid.dim, "grid.dim <= 3", "use local_entropy or prox")
    u = _checks.values_on(grid, values)
    viscosity = _checks.nonnegative("viscosity", viscosity)
    times = _checks.increasing_times("t", t)
    padding = (1,) * (3 - grid.dim)
    u = u.reshape(padding + grid.shape).copy()
    inverse = np.concatenate([np.zeros(len(padding)), 1 / grid.spacings])
    history = np.empty((len(times), *u.shape))
    for k, duration in enumerate(np.diff(times, prepend=0.0)):
        u = _march(u, inverse, viscosity, duration)
        history[k] = u
    return ValueFunction(grid, times, history.reshape(-1, *grid.shape))


def _march(u: np.ndarray, inverse: np.ndarray, viscosity: float, duration: float) -> np.ndarray:
    """Advance ``u`` by ``duration`` in equal monotone steps, SLICE node updates at a time."""
    slopes = [np.abs(np.diff(u, axis=axis)).max(initial=0.0) for axis in range(3)] * inverse
    steps = math.ceil(duration * float(inverse @ slopes + 2 * viscosity * inverse @ inverse))
    scratch = np.empty_like(u)
    per_slice = max(1, SLICE // u.size)
    with tqdm(total=steps, disable=None, delay=5) as bar:
        for done in range(0, steps, per_slice):
            count = min(per_slice, steps - done)
            u, scratch = _advance(u, scratch, inverse, viscosity, duration / steps, count)
            bar.update(count)
    return u


@njit(cache=True, nogil=True, fastmath=FASTMATH)
def _advance(u, scratch, inverse, viscosity, dt, steps):
    """Take ``steps`` steps of the scheme; return the solution and the buffer left over."""
    n, m, last = u.shape[0], u.shape[1], u.shape[2] - 1
    for _ in range(steps):
        for i in range(n):
            left, right = _mirror(i - 1, n), _mirror(i + 1, n)
            for j in range(m):
                back, front = u[i, _mirror(j - 1, m)], u[i, _mirror(j + 1, m)]
                here, below, above, out = u[i, j], u[left, j], u[right, j], scratch[i, j]
                for k in range(last + 1):
                    rate = _rate(here[k], below[k], above[k], inverse[0], viscosity)
                    rate += _rate(here[k], back[k], front[k], inverse[1], viscosity)
                    out[k] = here[k] + dt * rate
                for k in range(1, last):
                    out[k] += dt * _rate(here[k], here[k - 1], here[k + 1], inverse[2], viscosity)
                for k, inner in ((0, 1), (last, last - 1)):
                    out[k] += dt * _rate(here[k], here[inner], here[inner], inverse[2], viscosity)
        u, scratch = scratch, u
    return u, scratch


@njit(cache=True, nogil=True, fastmath=FASTMATH)
def _mirror(index, length):
    """Index of the node seen at ``index`` when the end nodes are mirrors."""
    if index < 0:
        return min(1, length - 1)
    if index == length:
        return max(length - 2, 0)
    return index


@njit(cache=True, nogil=True, fastmath=FASTMATH)
def _rate(here, before, after, inverse, viscosity):
    """Contribution of one axis to u_t."""
    descent = (here - min(here, before, after)) * inverse
    curvature = (before - here + (after - here)) * inverse * inverse
    return viscosity * curvature - 0.5 * descent * descent


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
    reach = landscape.reach(centers, gamma=gamma, excess=0.0)
    radii = np.maximum(reach, 1e-3 * math.sqrt(gamma))
    batch = SCANNED // (2 * SCAN[landscape.dim] + 1) ** landscape.dim
    parts = [
        _global_minimizers(landscape, centers[k : k + batch], gamma, radii[k : k + batch])
        for k in range(0, max(1, len(centers)), batch)
    ]
    point, value, unique = map(np.concatenate, zip(*parts, strict=True))
    point = point.reshape(*leading, landscape.dim)
    return Prox(point, value.reshape(leading), unique.reshape(leading))


def _global_minimizers(
    landscape: Landscape, centers: np.ndarray, gamma: float, radii: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scan a cube around each center, descend from its valleys and compare the ends."""
    dim, half = landscape.dim, SCAN[landscape.dim]
    ticks = np.arange(-half, half + 1) / half
    cube = np.stack(np.meshgrid(*[ticks] * dim, indexing="ij"), axis=-1)
    per_center = (-1, *[1] * dim, 1)
    offsets = radii.reshape(per_center) * cube
    starts = centers.reshape(len(centers), *[1] * dim, dim) + offsets
    heights = landscape.value(starts) + (offsets**2).sum(axis=-1) / (2 * gamma)
    valleys = heights == minimum_filter(heights, (1, *[3] * dim), mode="nearest")
    owners = np.nonzero(valleys)[0]
    ends, bottoms = _descend(landscape, starts[valleys], centers[owners], gamma)

    best = np.lexsort((bottoms, owners))
    best = best[np.searchsorted(owners, np.arange(len(centers)))]
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
    for _ in range(NEWTON_STEPS):
        start, anchor = y[restless], x[restless]
        force = landscape.grad(start) + (start - anchor) / gamma
        curvatures, frames = np.linalg.eigh(landscape.hess(start) + np.eye(landscape.dim) / gamma)
        along = np.einsum("nij,ni->nj", frames, force)
        along /= np.maximum(np.abs(curvatures), 1e-8 / gamma)
        step = -np.einsum("nij,nj->ni", frames, along)
        loss, penalty = terms(start, anchor)
        scale = np.abs(loss) + penalty
        for _ in range(60):
            uphill = sum(terms(start + step, anchor)) > loss + penalty + 4e-16 * scale
            if not uphill.any():
                break
            step[uphill] /= 2
        y[restless] = start + step
        moved = np.linalg.norm(step, axis=1)
        gain = np.abs((force * step).sum(axis=1))
        size = math.sqrt(gamma) + np.linalg.norm(start, axis=1)
        moving = (gain > 1e-20 * scale) & (moved > 1e-13 * size)
        if not moving.any():
            return y, sum(terms(y, x))
        restless = restless[moving]
    residual = np.linalg.norm(force[moving], axis=1).max()
    raise ArithmeticError(
        f"prox: |grad f(y) + (y-x)/gamma| = {residual:g} after {NEWTON_STEPS} Newton steps"
    )
