"""The Hopf–Lax formula, and a monotone scheme with or without viscosity."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import ArrayLike

from relaxlib import _checks
from relaxlib._lanes.compilation import FASTMATH
from relaxlib._lanes.progress import in_spans
from relaxlib.grid import Grid, ValueFunction
from relaxlib.hamilton_jacobi._envelopes import lower_envelope

_STEEPEST = 1e300  # a steeper parabola changes nothing: every node is its own minimizer


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
    values = _checks.values_on(grid.shape, values)
    t = _checks.nonnegative("t", t)
    curvatures = [min(h * h / 2 / t, _STEEPEST) if t else _STEEPEST for h in grid.spacings.tolist()]
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
    padding = (1,) * (3 - grid.dim)
    u = _checks.values_on(grid.shape, values).reshape(padding + grid.shape).copy()
    viscosity = _checks.nonnegative("viscosity", viscosity)
    times = _checks.increasing_times("t", t)
    inverse = np.concatenate([np.zeros(len(padding)), 1 / grid.spacings])
    history = np.empty((len(times), *u.shape))
    for k, duration in enumerate(np.diff(times, prepend=0.0)):
        u = _march(u, inverse, viscosity, duration)
        history[k] = u
    return ValueFunction(grid, times, history.reshape(-1, *grid.shape))


def _march(u: np.ndarray, inverse: np.ndarray, viscosity: float, duration: float) -> np.ndarray:
    """Advance ``u`` by ``duration`` in equal monotone steps."""
    slopes = [np.abs(np.diff(u, axis=axis)).max(initial=0.0) for axis in range(3)] * inverse
    steps = math.ceil(duration * float(inverse @ slopes + 2 * viscosity * inverse @ inverse))
    scratch = np.empty_like(u)
    for first, last in in_spans(steps, "step"):
        u, scratch = _advance(u, scratch, inverse, viscosity, duration / steps, last - first)
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
    reflected = length - 1 - abs(length - 1 - abs(index))
    return min(max(reflected, 0), length - 1)


@njit(cache=True, nogil=True, fastmath=FASTMATH)
def _rate(here, before, after, inverse, viscosity):
    """Contribution of one axis to u_t."""
    descent = (here - min(here, before, after)) * inverse
    curvature = (before - here + (after - here)) * inverse * inverse
    return viscosity * curvature - 0.5 * descent * descent
