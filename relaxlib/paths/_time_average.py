r"""Means over time along simulated paths, with standard errors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import ArrayLike

from relaxlib import _checks
from relaxlib._lanes.streams import seed_of
from relaxlib.diffusions import Diffusion
from relaxlib.paths._march import march
from relaxlib.paths._simulate import in_groups, starts_and_step


@dataclass(frozen=True, eq=False)
class TimeAverage:
    r"""Time averages of m functions; three arrays (m,), floats for a single function.

    Parameters
    ----------
    mean, stderr : (m,) float64
        The mean over all paths and its standard error.
    fluctuation : (m,) float64
        D, by which one path's average over a long time t has variance 2D/t.
    """

    mean: np.ndarray
    stderr: np.ndarray
    fluctuation: np.ndarray


def time_average(
    diffusion: Diffusion,
    observable: Callable[[np.ndarray], np.ndarray],
    x0: ArrayLike,
    *,
    t: float,
    dt: float,
    rng: int | np.random.Generator,
    burn_in: float = 0.0,
    paths: int | None = None,
    save_every: int = 1,
) -> TimeAverage:
    r"""The mean of a function under the stationary law, from independent paths.

    .. math:: \int h\,d\rho_\infty \approx \frac1t\int_{t_0}^{t_0+t}h(X_s)\,ds

    For a fast variable at a frozen slow one this is the averaged drift of any slow-fast system,
    in dimensions where `homogenization.cell_problem` has no grid.

    Parameters
    ----------
    diffusion : Diffusion
        With additive noise; the paths have averaged noise.
    observable : function
        h, from states (..., d) to values (...) or (..., m).
    x0, dt, rng
        As in `paths.simulate`.
    paths : int, optional
        Their number, at least two, from a single start; one per start when left out.
    t, burn_in : float
        Length of the average, and the time t_0 that comes before it.
    save_every : int
        The average is over every so many steps.

    Returns
    -------
    TimeAverage

    Raises
    ------
    ValueError, ArithmeticError
        As `paths.simulate`; if there are fewer than two paths, or h is no function of that shape.

    Notes
    -----
    DR (19). The bias is O(1/t) without a burn-in, and O(dt^2).

    Examples
    --------
    >>> from relaxlib.diffusions import ornstein_uhlenbeck
    >>> fast = ornstein_uhlenbeck(3.0, 1.0, temperature=0.5)
    >>> found = time_average(
    ...     fast, lambda y: y[..., 0] ** 2, 0.0, t=20.0, burn_in=2.0, dt=0.02, rng=1, paths=500
    ... )
    >>> bool(abs(found.mean - 1 / 6) < 4 * found.stderr)
    True
    """
    starts, dt = starts_and_step(diffusion, x0, dt, paths, None)
    _checks.count("number of paths", len(starts), least=2)
    if callable(diffusion.noise):
        need = "constant noise for averaged increments"
        _checks.reject("diffusion", diffusion, need, "average paths of simulate")
    t = _checks.positive("t", t)
    burn_in = _checks.nonnegative("burn_in", burn_in)
    every = _checks.count("save_every", save_every)
    _checks.function("observable", observable, "states (..., d)")
    shape = np.shape(observable(starts[:1]))
    if shape[:1] != (1,) or len(shape) > 2:
        need = "(1,) or (1, m) from one state (1, d)"
        _checks.reject("shape of observable", shape, need, "write it for states (..., d)")
    burnt, kept = (int(np.ceil(span / (dt * every) - 1e-9)) for span in (burn_in, t))
    kept = max(kept, 1)
    work = partial(march, diffusion, dt, (burnt + kept) * every, every, True, seed_of(rng))
    (positions,) = in_groups(None, work, starts, diffusion.step_bound)
    averages = observable(positions[burnt + 1 :]).mean(axis=0)
    stderr = averages.std(axis=0, ddof=1) / np.sqrt(len(starts))
    length = kept * every * dt
    return TimeAverage(averages.mean(axis=0), stderr, length * len(starts) * stderr**2 / 2)
