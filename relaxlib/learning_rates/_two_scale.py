r"""The two-scale control problem itself: its value function on a grid, and its controlled paths."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

import numpy as np
from numba import float64, njit
from numpy.typing import ArrayLike

from relaxlib import _checks
from relaxlib._lanes.compilation import FASTMATH, Signature, compile_own, compiled
from relaxlib.diffusions import Diffusion, two_scale
from relaxlib.grid import Grid, ValueFunction
from relaxlib.landscapes import Landscape
from relaxlib.operators import bernoulli

_CONTROL = Signature(float64(float64, float64[:], float64[:]), "t, x, y")
_SAVED = 40  # times to go that are kept, besides zero
_FAST_STEP = 0.1  # step in units of epsilon
_COURANT = 0.9
_HALF_ROOT = 1.0 - np.sqrt(0.5)  # of the two-stage implicit method, stable also when stiff


def two_scale_value(
    landscape: Landscape,
    grid: Grid,
    *,
    gamma: float,
    temperature: float,
    epsilon: float,
    horizon: float,
    controls: tuple[float, float] = (0.0, 1.0),
) -> ValueFunction:
    r"""Value function of the learning rate in the two-scale system, in time to go.

    .. math:: V_\tau = \min_{a \le u \le b} u\,\frac{y-x}\gamma V_x + \frac1\epsilon\Bigl(T\,V_{yy}
              - \bigl(f'(y) - \tfrac{x-y}\gamma\bigr)V_y\Bigr), \qquad V(0, x, y) = f(x)

    Parameters
    ----------
    landscape : Landscape
        f, on the line.
    grid : Grid
        Nodes (x, y). In y the process is reflected at the edges, in x it stops there: take a box
        that it hardly leaves.
    gamma, temperature, epsilon : float
        As in `diffusions.two_scale`.
    horizon : float
        Longest time to go.
    controls : (float, float)
        The interval [a, b] of learning rates, a >= 0.

    Returns
    -------
    ValueFunction
        At 41 times to go, from zero to the horizon.

    Raises
    ------
    ValueError
        If a parameter is out of range, or loss and grid are not on the line and in the plane.

    Notes
    -----
    BK (1.15), (2.5). Strang splitting with steps of at most epsilon/10; second-order upwind
    differences in x, whose steps obey the Courant condition line by line; exponentially fitted
    differences in y, with a second-order stiffly stable method. The error is of second order but
    where V has kinks: a grid twice as coarse tells it.

    Examples
    --------
    >>> from relaxlib.landscapes import lipschitz_double_well
    >>> grid = Grid.box((-2.2, -3.6), (2.2, 3.6), (111, 81))
    >>> value = two_scale_value(
    ...     lipschitz_double_well(), grid, gamma=0.5, temperature=1 / 3, epsilon=0.2, horizon=4.0
    ... )
    >>> round(float(value.interpolate([-0.8, -0.8])), 2)
    -0.14
    """
    _checks.kind("landscape", landscape, Landscape)
    _checks.kind("grid", grid, Grid)
    _checks.fits("landscape.dim", landscape.dim, "dimension of x", 1)
    _checks.fits("grid.dim", grid.dim, "dimension of (x, y)", 2)
    gamma, temperature = _checks.positives(gamma=gamma, temperature=temperature)
    epsilon, horizon = _checks.positives(epsilon=epsilon, horizon=horizon)
    (x, y), (x_spacing, y_spacing) = grid.axes, grid.spacings
    slow = x_spacing, gamma, *control_interval(controls)
    between = int(np.ceil(horizon / (_SAVED * _FAST_STEP * min(epsilon, 0.5))))
    dt = horizon / (_SAVED * between)
    phi = landscape.value(y[:, None])[:, None] + (x - y[:, None]) ** 2 / (2.0 * gamma)
    rise = np.diff(phi, axis=0) / temperature
    speed = dt * _HALF_ROOT * temperature / (epsilon * y_spacing * y_spacing)
    up, down = np.zeros_like(phi), np.zeros_like(phi)
    up[:-1], down[1:] = speed * bernoulli(rise), speed * bernoulli(-rise)
    up[0], down[-1] = 2.0 * up[0], 2.0 * down[-1]  # end cells have half the volume
    factors = _factors(up, down)
    current = np.tile(landscape.value(x[:, None]), (len(y), 1))
    values = np.empty((_SAVED + 1, *grid.shape))
    values[0] = current.T
    for saved in range(1, _SAVED + 1):
        _transport(current, x, y, dt / 2.0, *slow)
        for left in reversed(range(between)):
            _diffuse(current, up, *factors)
            _transport(current, x, y, dt if left else dt / 2.0, *slow)
        values[saved] = current.T
    return ValueFunction(grid, np.linspace(0.0, horizon, _SAVED + 1), values)


def controlled_two_scale(
    landscape: Landscape,
    control: Callable | ValueFunction,
    *,
    gamma: float,
    temperature: float,
    epsilon: float,
    controls: tuple[float, float] = (0.0, 1.0),
) -> Diffusion:
    r"""The two-scale system whose slow variable moves at a controlled learning rate.

    .. math:: dX = -u\,\frac{X-Y}\gamma\,dt, \qquad dY = -\frac1\epsilon\Bigl(\nabla f(Y) -
              \frac{X-Y}\gamma\Bigr)dt + \sqrt{\frac{2T}\epsilon}\,dW

    Parameters
    ----------
    landscape : Landscape
        f on R^n.
    control : function or ValueFunction
        u(t, x, y) of x (n,) and y (n,), in Python that numba compiles. Or a value of
        `two_scale_value`, for its own feedback: b where (y - x) V_x < 0, else a.
    gamma, temperature, epsilon : float
        As in `diffusions.two_scale`.
    controls : (float, float)
        a and b of the feedback.

    Returns
    -------
    Diffusion
        Of dimension 2n and rank n, states (x, y).

    Raises
    ------
    ValueError
        If a parameter is out of range, ``control`` is neither, numba cannot compile it, or its
        times are not even from zero.

    Notes
    -----
    BK (1.9) with :math:`\sigma = 0`.

    Examples
    --------
    >>> from relaxlib.landscapes import lipschitz_double_well
    >>> f, right = lipschitz_double_well(), lambda t, x, y: 1.0 if y[0] > x[0] else 0.0
    >>> pair = controlled_two_scale(f, right, gamma=0.5, temperature=1 / 3, epsilon=0.1)
    >>> pair.drift_at([[1.0, 0.0], [0.0, 1.0]])[:, 0].tolist()  # -u (x - y)/gamma
    [-0.0, 2.0]
    """
    free = two_scale(landscape, gamma=gamma, temperature=temperature, epsilon=epsilon)
    n, ends, params = landscape.dim, control_interval(controls), free.params
    if isinstance(control, ValueFunction):
        _checks.fits("control.grid.dim", control.grid.dim, "twice landscape.dim", 2 * n)
        _checks.even_times("control.times", control.times)
        if control.times[0] != 0.0:
            start = f"{control.times[0]:g}"
            _checks.reject("control.times[0]", start, "times to go, from 0", "see two_scale_value")
        drift, params = _by_table(landscape.formula.grad), _table(params, control, ends)
    else:
        _checks.function("control", control, "t, x and y, or a ValueFunction")
        drift = _by_function(free.drift, compile_own("control", control, _CONTROL).py_func, n)
    return replace(free, drift=drift, params=params)


def control_interval(controls: ArrayLike) -> tuple[float, float]:
    """Return the ends of an interval of learning rates, 0 <= a <= b with b > 0, or reject it."""
    found = _checks.array("controls", controls)
    _checks.shape("controls", found, (2,), "pass the ends (a, b) of an interval")
    low, high = found.tolist()
    if not (0.0 <= low <= high < np.inf and high > 0.0):
        fix = "a learning rate is not negative"
        _checks.reject("controls", (low, high), "0 <= a <= b with 0 < b < inf", fix)
    return low, high


@njit(cache=True, error_model="numpy")
def _factors(up, down):
    """Elimination of I - rates along y, for every x: subdiagonal factors and inverse pivots."""
    lower, inverse = np.zeros_like(up), 1.0 / (1.0 + up + down)
    for j in range(1, len(up)):
        lower[j] = down[j] * inverse[j - 1]
        inverse[j] = 1.0 / (1.0 + up[j] + down[j] - lower[j] * up[j - 1])
    return lower, inverse


@njit(cache=True, error_model="numpy", fastmath=FASTMATH)
def _solve(v, up, lower, inverse):
    """Solve (I - rates) w = v along y in place, all x side by side."""
    for j in range(1, len(v)):
        for i in range(v.shape[1]):
            v[j, i] += lower[j, i] * v[j - 1, i]
    v[-1] *= inverse[-1]
    for j in range(len(v) - 2, -1, -1):
        for i in range(v.shape[1]):
            v[j, i] = (v[j, i] + up[j, i] * v[j + 1, i]) * inverse[j, i]


@njit(cache=True, error_model="numpy", fastmath=FASTMATH)
def _diffuse(v, up, lower, inverse):
    """One step of the fast variable, v <- P((1/g - 1) P v - (1/g - 2) v) with P = (I - g dt A)^-1.

    That is the two-stage singly diagonal method, of second order for g = 1 - 1/sqrt 2.
    """
    g = _HALF_ROOT
    first = v.copy()
    _solve(first, up, lower, inverse)
    for j in range(len(v)):
        for i in range(v.shape[1]):
            v[j, i] = (1.0 / g - 1.0) * first[j, i] - (1.0 / g - 2.0) * v[j, i]
    _solve(v, up, lower, inverse)


@njit(cache=True, error_model="numpy")
def _transport(v, x, y, dt, spacing, gamma, low, high):
    """Motion in x at frozen y: Heun's method, each line with its own steps."""
    n = len(x)
    rate, moved, bends = np.empty(n), np.empty(n), np.zeros(n)
    for j in range(len(y)):
        fastest = high * max(abs(y[j] - x[0]), abs(y[j] - x[n - 1])) / gamma
        steps = max(1, int(np.ceil(fastest * dt / (_COURANT * spacing))))
        tau, line = dt / steps, v[j]
        for _ in range(steps):
            _slope_in_time(line, x, y[j], spacing, gamma, low, high, bends, rate)
            for i in range(n):
                moved[i] = line[i] + tau * rate[i]
            _slope_in_time(moved, x, y[j], spacing, gamma, low, high, bends, rate)
            for i in range(n):
                line[i] = 0.5 * (line[i] + moved[i] + tau * rate[i])


@njit(cache=True, error_model="numpy", fastmath=FASTMATH)
def _slope_in_time(line, x, y, spacing, gamma, low, high, bends, rate):
    """min over u of u (y - x)/gamma V_x, V_x by limited second-order differences toward y."""
    n = len(x)
    for i in range(1, n - 1):
        bends[i] = line[i + 1] - 2.0 * line[i] + line[i - 1]
    rate[0] = rate[n - 1] = 0.0
    split = np.searchsorted(x, y)  # nodes before it look ahead, the others back
    for i in range(min(split, n - 1)):
        change = (y - x[i]) / gamma * _rise(line, bends, i, i + 1) / spacing
        rate[i] = min(low * change, high * change)
    for i in range(max(split, 1), n):
        change = (x[i] - y) / gamma * _rise(line, bends, i, i - 1) / spacing
        rate[i] = min(low * change, high * change)


@njit(inline="always")
def _rise(line, bends, i, neighbor):
    """Second-order difference to a neighbor, with the smaller of two bends of one sign, or none."""
    a, b = bends[i], bends[neighbor]
    bend = 0.0 if a * b <= 0.0 else (a if abs(a) < abs(b) else b)
    return line[neighbor] - line[i] - 0.5 * bend


@lru_cache(maxsize=64)
def _by_function(drift: Callable, control: Callable, n: int) -> Callable:
    """The drift of the pair with the learning rate control(t, x, y)."""
    plain, rate = compiled(drift), compiled(control)

    def steer(state, t, params, out):
        plain(state, t, params, out)
        u = rate(t, state[:n], state[n:])
        for i in range(n):
            out[i] *= u

    return steer


@lru_cache(maxsize=64)
def _by_table(grad: Callable) -> Callable:
    """The drift of the pair with the better of two rates, by a table of V_x, see `_table`."""
    grad = compiled(grad)

    def steer(state, t, params, out):
        gamma, epsilon, low, high, horizon, last = params[0:6]
        columns, rows, x0, y0, x_step, y_step, count = params[6:13]
        grad(state[1:], params[13:], out[1:])
        to_go = int(min(max((horizon - t) / horizon * last + 0.5, 0.0), last))
        along_x = min(max((state[0] - x0) / x_step, 0.0), columns - 1.000001)
        along_y = min(max((state[1] - y0) / y_step, 0.0), rows - 1.000001)
        i, j, columns, rows = int(along_x), int(along_y), int(columns), int(rows)
        place = 13 + int(count) + (to_go * columns + i) * rows + j
        s, r = along_x - i, along_y - j
        slope = (1 - s) * ((1 - r) * params[place] + r * params[place + 1])
        slope += s * ((1 - r) * params[place + rows] + r * params[place + rows + 1])
        spring = (state[0] - state[1]) / gamma
        out[0] = -(high if spring * slope > 0.0 else low) * spring
        out[1] = (spring - out[1]) / epsilon

    return steer


def _table(params: np.ndarray, value: ValueFunction, controls: tuple[float, float]) -> np.ndarray:
    """Parameters of `_by_table`: the system's, the axes of the table, the loss's, then V_x."""
    grid, times = value.grid, value.times
    slopes = np.gradient(value.values, grid.spacings[0], axis=1)
    axes = [times[-1], len(times) - 1, *grid.shape, *grid.nodes[0], *grid.spacings]
    head = [*params[:2], *controls, *axes, len(params) - 2]
    return np.concatenate([head, params[2:], slopes.ravel()])
