"""The effective control problem: what can be reached, at what loss, along which path."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.integrate import OdeSolution, solve_ivp
from scipy.optimize import brentq, minimize_scalar

from relaxlib import _checks
from relaxlib.landscapes import Landscape
from relaxlib.learning_rates._two_scale import control_interval
from relaxlib.learning_rates._velocities import Velocities, on_the_line

_Field = Callable[[np.ndarray], np.ndarray]
_Path = tuple[np.ndarray, np.ndarray]  # points and directions (k, d)
_PRECISE: dict[str, Any] = {"method": "DOP853", "rtol": 1e-11, "atol": 1e-13}
_SHARP = {"xatol": 1e-12}  # of a polished minimizer
_STEPS = 64  # between the points of a path
_AHEAD = np.array([1.0])  # a unit vector on the line
_ANGLES = 24  # first directions of extremals that are compared


@dataclass(frozen=True, eq=False)
class Trajectory:
    """An optimal path of the effective problem.

    Parameters
    ----------
    times : (k,) float64
    points, directions : (k, d) float64
        Positions, and the unit vectors in which the extended control pulls: it is b where y - x
        has a positive component along them and a elsewhere.
    """

    times: np.ndarray
    points: np.ndarray
    directions: np.ndarray


def reachable_set(
    landscape: Landscape,
    x: ArrayLike,
    times: ArrayLike,
    *,
    gamma: float,
    temperature: float,
    controls: tuple[float, float] = (0.0, 1.0),
) -> np.ndarray:
    r"""Ends of the intervals that extended controls reach on the line, (k, 2).

    .. math:: \dot x_- = v_{\min}(x_-), \qquad \dot x_+ = v_{\max}(x_+), \qquad x_\pm(0) = x

    Parameters
    ----------
    times : (k,) array_like
        Increasing, from zero or later.
    landscape, x, gamma, temperature, controls
        As in `velocity_set`.

    Returns
    -------
    (k, 2) float64
        :math:`x_-` and :math:`x_+` at the times.

    Raises
    ------
    ValueError, ArithmeticError
        As `velocity_set`; and if times do not increase.

    Examples
    --------
    >>> from relaxlib.landscapes import lipschitz_double_well
    >>> f = lipschitz_double_well()
    >>> reachable_set(f, -0.8, [4.0], gamma=0.5, temperature=1 / 3).round(6).tolist()
    [[-1.493939, 0.719089]]
    """
    velocities = Velocities(landscape, gamma, temperature, controls)
    on_the_line(landscape, "follow optimal_trajectory")
    start = _checks.point("x", x, 1)
    return _reached(velocities, start, _checks.increasing_times("times", times))


def standard_value(
    landscape: Landscape,
    x: ArrayLike,
    *,
    gamma: float,
    temperature: float,
    horizon: float,
    controls: tuple[float, float] = (0.0, 1.0),
) -> float:
    r"""Least loss at the horizon that a learning rate of time alone reaches on local entropy.

    .. math:: V(x) = \inf_{a \le u \le b} f(X_T), \qquad \dot X = -u\,\nabla f_\gamma(X)

    A change of clock turns every u into a piece of one curve, the flow of :math:`-\nabla f_\gamma`
    through x between the times aT and bT.

    Parameters
    ----------
    horizon : float
        T of the control problem.
    landscape, x, gamma, temperature, controls
        As in `support_function`.

    Raises
    ------
    ValueError, ArithmeticError
        As `support_function`; and if ``horizon`` is not positive.

    Notes
    -----
    BK (1.14). The best of 2001 places on that curve is polished; a dip between two may be missed.

    Examples
    --------
    >>> from relaxlib.landscapes import lipschitz_double_well
    >>> f = lipschitz_double_well()
    >>> round(standard_value(f, -0.8, gamma=0.5, temperature=1 / 3, horizon=4.0), 6)
    -0.073403
    """
    velocities = Velocities(landscape, gamma, temperature, (1.0, 1.0))  # only -grad f_gamma
    start = _checks.point("x", x, landscape.dim)
    horizon, (low, high) = _checks.positive("horizon", horizon), control_interval(controls)
    any_unit = np.eye(landscape.dim)[0]
    path = _flow(lambda z: velocities.pull(z, any_unit)[0], start, high * horizon, **_PRECISE)
    return _lowest(lambda t: landscape.value(path(t).T), low * horizon, high * horizon)[1]


def extended_value(
    landscape: Landscape,
    x: ArrayLike,
    *,
    gamma: float,
    temperature: float,
    horizon: float,
    controls: tuple[float, float] = (0.0, 1.0),
) -> float:
    r"""Least loss at the horizon that extended controls reach, the limit of the two-scale problem.

    .. math:: \bar V(x) = \min f(\hat X_T), \qquad \frac{d}{ds}\hat X_s \in F(\hat X_s)

    Parameters, shapes and errors are those of `optimal_trajectory`, at whose end it is f.
    BK (1.16).

    Examples
    --------
    >>> from relaxlib.landscapes import lipschitz_double_well
    >>> f = lipschitz_double_well()
    >>> round(extended_value(f, -0.8, gamma=0.5, temperature=1 / 3, horizon=4.0), 6)
    -0.213285
    """
    velocities = Velocities(landscape, gamma, temperature, controls)
    start, horizon = _checks.point("x", x, landscape.dim), _checks.positive("horizon", horizon)
    if landscape.dim == 1:
        ends = _reached(velocities, start, np.array([horizon]))[0]
        return _lowest(lambda z: landscape.value(z[:, None]), *ends)[1]
    points, _ = _in_a_plane(velocities, start, np.linspace(0.0, horizon, _STEPS + 1))
    return float(landscape.value(points[-1]))


def optimal_trajectory(
    landscape: Landscape,
    x: ArrayLike,
    *,
    gamma: float,
    temperature: float,
    horizon: float,
    controls: tuple[float, float] = (0.0, 1.0),
    steps: int = _STEPS,
) -> Trajectory:
    r"""A path of least loss at the horizon for extended controls.

    On the line it runs at full speed toward the best point that can be reached, and slower where
    time remains. In the plane it is the best of Pontryagin's extremals

    .. math:: \dot x = \partial_p\sigma(x, p), \qquad \dot p = -\partial_x\sigma(x, p) .

    Parameters
    ----------
    landscape : Landscape
        f, with one coordinate, or two when a = 0.
    x, gamma, temperature, controls
        As in `support_function`.
    horizon : float
        T of the control problem.
    steps : int
        Steps between the points that are returned.

    Returns
    -------
    Trajectory
        Of ``steps`` + 1 points.

    Raises
    ------
    ValueError, ArithmeticError
        As `support_function`; and if ``horizon`` is not positive.

    Notes
    -----
    BK (1.16). In the plane the first angle is searched among 24, so that a landscape with narrow
    passages wants a second look.

    Examples
    --------
    >>> from relaxlib.landscapes import quadratic
    >>> path = optimal_trajectory(quadratic(), 1.0, gamma=0.5, temperature=0.5, horizon=1.0)
    >>> path.points[-1].round(9).tolist()
    [0.398049374]
    """
    velocities = Velocities(landscape, gamma, temperature, controls)
    start, horizon = _checks.point("x", x, landscape.dim), _checks.positive("horizon", horizon)
    times = np.linspace(0.0, horizon, _checks.count("steps", steps) + 1)
    solve = _on_a_line if landscape.dim == 1 else _in_a_plane
    return Trajectory(times, *solve(velocities, start, times))


def _flow(field: _Field, start: ArrayLike, end: float, **how: Any) -> OdeSolution:
    run = solve_ivp(lambda t, z: field(z), (0.0, end), start, dense_output=True, **how)
    if not run.success:
        raise ArithmeticError(f"effective flow stops at t = {run.t[-1]:g}: {run.message}")
    return run.sol


def _lowest(function: _Field, lower: float, upper: float) -> tuple[float, float]:
    """Minimizer and minimum on an interval: the best of 2001 places, polished."""
    places = np.linspace(lower, upper, 2001)
    values = function(places)
    best = int(np.argmin(values))
    around = places[[max(best - 1, 0), min(best + 1, 2000)]]
    polished = minimize_scalar(lambda t: function(np.array([t]))[0], bounds=around, options=_SHARP)
    if polished.fun < values[best]:
        return float(polished.x), float(polished.fun)
    return float(places[best]), float(values[best])


def _mixture(velocities: Velocities, start: np.ndarray, end: float, share: float) -> OdeSolution:
    """The path on the line whose velocity mixes v_min with this share of v_max."""
    parts = [(part, e) for part, e in ((1.0 - share, -_AHEAD), (share, _AHEAD)) if part]

    def velocity(x: np.ndarray) -> np.ndarray:
        return np.sum([part * velocities.pull(x, e)[0] for part, e in parts], axis=0)

    return _flow(velocity, start, end, **_PRECISE)


def _reached(velocities: Velocities, start: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Ends of the interval that is reached at the times, (k, 2)."""
    paths = [_mixture(velocities, start, times[-1], share) for share in (0.0, 1.0)]
    return np.stack([path(times)[0] for path in paths], axis=1)


def _on_a_line(velocities: Velocities, start: np.ndarray, times: np.ndarray) -> _Path:
    """Optimal points and directions: the two extreme velocities, mixed so as to hit the target."""
    path = partial(_mixture, velocities, start, times[-1])
    lower, upper = _reached(velocities, start, times[-1:])[0]
    target = _lowest(lambda z: velocities.landscape.value(z[:, None]), lower, upper)[0]
    share = float(target >= upper)
    if lower < target < upper:
        share = brentq(lambda s: path(s)(times[-1])[0] - target, 0.0, 1.0, xtol=1e-10)
    direction = _AHEAD if target > start[0] else -_AHEAD
    return path(share)(times).T, np.broadcast_to(direction, (len(times), 1))


def _in_a_plane(velocities: Velocities, start: np.ndarray, times: np.ndarray) -> _Path:
    """Optimal points and directions: the best extremal over its first angle."""
    _, slowest = velocities.rates
    if slowest > 0.0:
        _checks.reject("controls[0]", slowest, "0 in the plane", "let the learning rate vanish")
    value = velocities.landscape.value

    def unit(angle: float) -> np.ndarray:
        return np.array([np.cos(angle), np.sin(angle)])

    def field(state: np.ndarray) -> np.ndarray:  # of position and angle of p
        e = unit(state[2])
        velocity, slope = velocities.pull(state[:2], e)
        return np.append(velocity, -slope @ np.array([-e[1], e[0]]))

    def extremal(angle: float, tolerance: float) -> OdeSolution:
        return _flow(field, [*start, angle], times[-1], rtol=tolerance, atol=tolerance)

    def loss(angle: float, tolerance: float = 1e-8) -> float:
        return float(value(extremal(angle, tolerance)(times)[:2].T).min())

    angles = np.linspace(0.0, 2.0 * np.pi, _ANGLES, endpoint=False)
    best = angles[np.argmin([loss(angle, 1e-2) for angle in angles])]
    around = best - angles[1], best + angles[1]
    angle = minimize_scalar(loss, bounds=around, options={"xatol": 1e-6}).x
    path = extremal(angle, 1e-8)
    last = times[np.argmin(value(path(times)[:2].T))]
    states = path(times * last / times[-1]).T  # slower where the best point comes early
    return states[:, :2], np.stack([unit(angle) for angle in states[:, 2]])
