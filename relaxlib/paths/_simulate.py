"""Simulated paths of a diffusion, and the times at which they leave a region."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial

import numpy as np
from numpy.typing import ArrayLike

from relaxlib import _checks
from relaxlib._lanes.runs import saved_times
from relaxlib._lanes.streams import LANES, seed_of
from relaxlib.diffusions import Diffusion
from relaxlib.paths._leave import leave
from relaxlib.paths._march import march
from relaxlib.paths._results import Ensemble, ExitSample
from relaxlib.regions import Ball, Box

_GROUP = 256 * LANES  # paths that an executor's worker takes at once


def simulate(
    diffusion: Diffusion,
    x0: ArrayLike,
    *,
    dt: float,
    steps: int,
    rng: int | np.random.Generator,
    paths: int | None = None,
    save_every: int | None = None,
    scheme: str = "euler",
    executor: Executor | None = None,
) -> Ensemble:
    r"""Simulate :math:`X_{k+1} = X_k + b(X_k, t_k)\,dt + S(X_k, t_k)\sqrt{dt}\,\xi_k`.

    Parameters
    ----------
    diffusion : Diffusion
    x0 : (d,) or (n, d) array_like
        One start for all paths, or one each; in one dimension a bare float will do.
    dt : float
        Step, in units of time.
    steps : int
        Number of steps.
    rng : int or numpy.random.Generator
        A seed, or a generator that is advanced by one draw. The same seed, dt and rank give the
        same Brownian paths.
    paths : int, optional
        Number of paths from a single start; one when left out.
    save_every : int, optional
        Save the start and then every so many steps; only the final state when left out.
    scheme : {"euler", "leimkuhler-matthews"}
        The second replaces :math:`\xi_k` by :math:`(\xi_k + \xi_{k+1})/2`; for additive noise its
        stationary law is then exact to :math:`O(dt^2)`.
    executor : concurrent.futures.Executor, optional
        Where to run the paths in groups; the threads of this process when left out.

    Returns
    -------
    Ensemble
        The same bits for any number of threads and any executor; path i does not depend on how
        many paths run.

    Raises
    ------
    ValueError
        If an argument is out of range, or dt beyond the stability bound of Euler's step at x0
        (of many starts, at a thousand).
    ArithmeticError
        If a path leaves the finite numbers; the message names path, step, position and bound.

    Examples
    --------
    >>> from relaxlib.diffusions import ornstein_uhlenbeck
    >>> ou = ornstein_uhlenbeck(1.0, 1.0, temperature=0.5)
    >>> ensemble = simulate(ou, 0.0, dt=0.01, steps=500, rng=0, paths=10_000)
    >>> ensemble.paths.shape, bool(abs(ensemble.paths.var() - 0.5) < 0.03)
    ((1, 10000, 1), True)
    """
    points, dt = starts_and_step(diffusion, x0, dt, paths, executor)
    steps = _checks.count("steps", steps)
    every = _checks.divisor("save_every", save_every, "steps", steps)
    _checks.choice("scheme", scheme, ("euler", "leimkuhler-matthews"))
    averaged = scheme == "leimkuhler-matthews"
    if averaged and callable(diffusion.noise):
        need = "constant noise for averaged increments"
        _checks.reject("scheme", repr(scheme), need, 'use scheme="euler"')
    work = partial(march, diffusion, dt, steps, every, averaged, seed_of(rng))
    groups = in_groups(executor, work, points, diffusion.step_bound)
    return Ensemble(saved_times(dt, steps, every), np.concatenate(groups, axis=1))


def first_exits(
    diffusion: Diffusion,
    x0: ArrayLike,
    region: Ball | Box,
    *,
    dt: float,
    max_steps: int,
    rng: int | np.random.Generator,
    paths: int | None = None,
    executor: Executor | None = None,
) -> ExitSample:
    r"""Simulate until each path leaves a region, with errors of order dt.

    Between two inside positions at distances d, d' from a face with unit normal n, the path has
    crossed the face with probability :math:`e^{-2dd'/(n^\top SS^\top n\,dt)}`, that of a Brownian
    bridge; without this test exits come late by :math:`O(\sqrt{dt})`. A crossing is dated to the
    middle of its step.

    Parameters
    ----------
    diffusion : Diffusion
        Its coefficients are taken at t = 0.
    x0 : (d,) or (n, d) array_like
        One start for all paths, or one each, inside the region.
    region : Ball or Box
        A box may have infinite sides.
    dt, max_steps, rng, paths, executor
        As in `simulate`; paths still inside after ``max_steps`` are censored.

    Returns
    -------
    ExitSample
        Path i does not depend on threads, executor, or how many paths run.

    Raises
    ------
    ValueError
        If an argument is out of range, a start lies outside the region, or dt is so large that
        at x0 the noise of one step moves a path by a quarter of the region's width.
    ArithmeticError
        If a path leaves the finite numbers.

    Examples
    --------
    >>> from relaxlib.diffusions import ornstein_uhlenbeck
    >>> motion = ornstein_uhlenbeck(0.0, 1.0, temperature=0.5)
    >>> sample = first_exits(
    ...     motion, 0.0, Box(-1.0, 1.0), dt=1e-3, max_steps=100_000, rng=1, paths=10_000
    ... )
    >>> bool(abs(sample.mean().mean - 1.0) < 0.03)
    True
    """
    points, dt = starts_and_step(diffusion, x0, dt, paths, executor)
    _checks.kind("region", region, Ball, Box)
    _checks.fits("region.dim", region.dim, "the diffusion's dim", diffusion.dim)
    outside = ~region.contains(points)
    if outside.any():
        place = points[outside][0].tolist()
        _checks.reject("x0", place, "a start inside the region", "move it")
    _check_noise(diffusion, _some(points), region, dt)
    max_steps = _checks.count("max_steps", max_steps)
    work = partial(leave, diffusion, region, dt, max_steps, seed_of(rng))
    groups = in_groups(executor, work, points, diffusion.step_bound)
    return ExitSample(*(np.concatenate(parts) for parts in zip(*groups, strict=True)))


def starts_and_step(
    diffusion: Diffusion, x0: ArrayLike, dt: float, paths: int | None, executor: Executor | None
) -> tuple[np.ndarray, float]:
    """Starting points (n, d) of all paths, and a step that is stable there, both checked."""
    _checks.kind("diffusion", diffusion, Diffusion)
    if executor is not None:
        _checks.kind("executor", executor, Executor)
    points, dt = _checks.starts("x0", x0, diffusion.dim, paths), _checks.positive("dt", dt)
    some = _some(points)
    _checks.stable_step(dt, diffusion.step_bound(some), some)
    return points, dt


def _check_noise(diffusion: Diffusion, points: np.ndarray, region: Ball | Box, dt: float) -> None:
    """Reject a step whose noise is not small beside the region, as seen at some points."""
    noise = 2 * np.diagonal(diffusion.diffusivity_at(points), axis1=1, axis2=2)
    if isinstance(region, Ball):
        noise, width = noise.sum(axis=1), 2 * region.radius
    else:
        width = region.upper - region.lower
    with np.errstate(divide="ignore"):
        bound = np.min((width / 4) ** 2 / noise)
    if dt > bound:
        need = f"dt <= {bound:.3g}, for the noise of one step to be small beside the region"
        _checks.reject("dt", f"{dt:g}", need, "take a smaller dt")


def _some(points: np.ndarray) -> np.ndarray:
    """The one start of all paths, or about a thousand of their starts (n, d)."""
    return points[:1] if points.strides[0] == 0 else points[:: 1 + len(points) // 1024]


def in_groups(
    executor: Executor | None, work: Callable, points: np.ndarray, step_bound: Callable
) -> list:
    """Results of work(points, number of the first) on groups of whole blocks, in order."""
    size = len(points) if executor is None else _GROUP
    cuts = range(0, len(points), size)
    parts = [points[cut : cut + size] for cut in cuts]
    groups = list((executor.map if executor else map)(work, parts, cuts))
    for _, failure in groups:
        if failure is not None:
            failure.stop_euler(step_bound)
    return [result for result, _ in groups]
