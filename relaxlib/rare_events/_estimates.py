"""Exit times beyond the reach of direct simulation, by adaptive multilevel splitting."""

from __future__ import annotations

import os
from concurrent.futures import as_completed
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from relaxlib import _checks
from relaxlib._lanes.progress import progress_bar, threads
from relaxlib._lanes.streams import seed_of
from relaxlib._lanes.walls import faces_of
from relaxlib.diffusions import Diffusion
from relaxlib.paths import Estimate, estimate
from relaxlib.rare_events._checkpoint import digest, read_runs, write_runs
from relaxlib.rare_events._splitting import Course, one_run
from relaxlib.regions import Ball, Box

_LOOPS = 20  # loops of a path around the core before it is split; the second half is timed
_SHELL = 1.5  # size of the shell over that of its core


def exit_probability(
    diffusion: Diffusion,
    starts: ArrayLike,
    region: Ball | Box,
    core: Ball | Box,
    *,
    dt: float,
    replicas: int,
    runs: int,
    rng: int | np.random.Generator,
    checkpoint: str | os.PathLike[str] | None = None,
) -> Estimate:
    r"""Probability that Euler's chain leaves a region before it enters a core.

    The level of a position is minus its distance from the boundary of the region. A run lets
    `replicas` paths reach the core or the boundary; then, with z the lower quartile of their
    highest levels, it replaces all paths that have not been above z by copies of others, cut where
    those first were above z and continued with new noise, until all but a few have left:

    .. math:: \hat p = \frac{\#\text{left}}{N} \prod_i \Bigl(1 - \frac{K_i}{N}\Bigr),

    with K_i the number replaced. Its mean is that of the chain for any N.

    Parameters
    ----------
    diffusion : Diffusion
        Its coefficients are taken at t = 0.
    starts : (d,) or (n, d) array_like
        Positions between core and boundary; each path starts from one drawn at random.
    region : Ball or Box
        Sides of a box that no path will reach are best left infinite: the level then rises toward
        the others only.
    core : Ball or Box
        Bounded, inside the region; every path must reach it or the boundary in reasonable time.
    dt : float
        Step, in units of time. An exit between two steps is found as by `paths.first_exits`.
    replicas : int
        Number N of paths of a run; some :math:`-\log p` are needed for a relative error of one.
    runs : int
        Number of independent runs, at least 2; the distribution of their results is skew, and
        with fewer than about 60 the standard error tends to be too small.
    rng : int or numpy.random.Generator
        A seed, or a generator that is advanced by one draw.
    checkpoint : path, optional
        A JSON file that keeps every finished run. A call that finds it goes on from there, also
        with more runs; the seed must be an int.

    Returns
    -------
    Estimate
        Mean over the runs, the same bits for any number of threads and after any interruption.

    Raises
    ------
    ValueError
        If an argument is out of range, or other arguments have written the checkpoint.
    ArithmeticError
        If a path leaves the finite numbers.

    Notes
    -----
    Cérou & Guyader (2007); unbiased by Bréhier, Gazeau, Goudenège, Lelièvre & Rousset (2016).

    Examples
    --------
    >>> from relaxlib.diffusions import ornstein_uhlenbeck
    >>> motion = ornstein_uhlenbeck(0.0, 1.0, temperature=0.5)
    >>> line, core = Box(-np.inf, 1.0), Box(-1.0, 0.0)
    >>> result = exit_probability(
    ...     motion, 0.1, line, core, dt=1e-4, replicas=100, runs=10, rng=0
    ... )
    >>> bool(abs(result.mean - 0.1) < 0.02)
    True
    """
    _check_regions(diffusion, region, core)
    points, _ = _checks.points("starts", starts, diffusion.dim)
    _checks.count("number of starts", len(points))
    wrong = ~region.contains(points) | core.contains(points)
    if wrong.any():
        need = "starts in the region but not in its core"
        _checks.reject("starts", points[wrong][0].tolist(), need, "move it")
    rows = _rows(diffusion, points, region, core, 0, dt, replicas, runs, rng, checkpoint)
    return estimate(rows[:, 4])


def mean_exit_time_splitting(
    diffusion: Diffusion,
    x0: ArrayLike,
    region: Ball | Box,
    core: Ball | Box,
    *,
    dt: float,
    replicas: int,
    runs: int,
    rng: int | np.random.Generator,
    checkpoint: str | os.PathLike[str] | None = None,
) -> Estimate:
    r"""Mean time in which Euler's chain, started in a core, leaves a region around it.

    The chain makes loops: out of the shell, which is the core enlarged by half, and back to the
    core. Let :math:`\sigma` be the time at which it has left the shell after 20 loops, D the
    duration of a loop from then on, p the probability that the way back to the core ends beyond
    the boundary, and R the duration of that way if it does. Then

    .. math:: E\tau = E[\tau\wedge\sigma]
        + P(\sigma<\tau)\Bigl(\frac{1-p}{p}\,E[D] + E[R]\Bigr),

    up to the distance of the chain's law after 20 loops from its quasi-stationary law. Loops are
    simulated directly and p is found as by `exit_probability`, both in every run.

    Parameters
    ----------
    diffusion : Diffusion
        Its coefficients are taken at t = 0.
    x0 : (d,) array_like
        Start in the core; in one dimension a bare float will do.
    region, core, dt, replicas, runs, rng, checkpoint
        As in `exit_probability`. The shell, too, must lie inside the region. Loops are cheap if
        the core has about the size of the equilibrium in its well, :math:`\sqrt{T/\lambda}`
        for a curvature :math:`\lambda`.

    Returns
    -------
    Estimate
        With the standard error of the jackknife over the runs. The same bits for any number of
        threads and after any interruption.

    Raises
    ------
    ValueError
        If an argument is out of range, or other arguments have written the checkpoint.
    ArithmeticError
        If a path leaves the finite numbers, or no path left the region after its 20 loops.

    Notes
    -----
    Cérou, Guyader, Lelièvre & Pommier (2011) for the loops; `exit_probability` for p. Where exits
    take a few loops only, `paths.first_exits` is faster.

    Examples
    --------
    >>> from relaxlib.diffusions import langevin
    >>> from relaxlib.landscapes import double_well
    >>> result = mean_exit_time_splitting(
    ...     langevin(double_well(), temperature=0.025), -1.0, Box(-np.inf, 0.7), Box(-1.1, -0.9),
    ...     dt=0.01, replicas=100, runs=8, rng=0,
    ... )
    >>> bool(abs(result.mean / 1.06e5 - 1.0) < 0.4)
    True
    """
    _check_regions(diffusion, region, core)
    if not _inside(_enlarged(core), region):
        need = f"a core that {_SHELL} times as large is inside the region"
        _checks.reject("core", core, need, "take a smaller core")
    points, _ = _checks.points("x0", x0, diffusion.dim)
    if len(points) != 1:
        _checks.reject("x0.shape", np.shape(x0), f"one start ({diffusion.dim},)", "pass one")
    if not core.contains(points).all():
        _checks.reject("x0", points[0].tolist(), "a start in the core", "move one of them")
    rows = _rows(diffusion, points, region, core, _LOOPS, dt, replicas, runs, rng, checkpoint)
    if np.count_nonzero(rows[:, 4]) < 2:
        raise ArithmeticError(
            f"paths left the region after {_LOOPS} loops in fewer than two runs: take more "
            "replicas, or first_exits if exits are not rare"
        )
    without = (rows.sum(axis=0) - rows) / (len(rows) - 1)
    stderr = np.sqrt(len(rows) - 1) * _mean_time(without).std()
    return Estimate(float(_mean_time(rows.mean(axis=0))), float(stderr), len(rows))


def _mean_time(row: np.ndarray) -> np.ndarray:
    """The mean exit time from means over runs (..., 6), as `one_run` gives them."""
    steps, late_time, late_loops, survived, left, last_time = np.moveaxis(row, -1, 0)
    returns = (survived - left) / left
    return steps + survived * (returns * late_time / late_loops + last_time / left)


def _rows(
    diffusion: Diffusion,
    points: np.ndarray,
    region: Ball | Box,
    core: Ball | Box,
    loops: int,
    dt: float,
    replicas: int,
    runs: int,
    rng: int | np.random.Generator,
    checkpoint: str | os.PathLike[str] | None,
) -> np.ndarray:
    """Results (runs, 6) of independent runs, of those in the checkpoint and of new ones."""
    dt = _checks.positive("dt", dt)
    _checks.stable_step(dt, diffusion.step_bound(points[:1]), points[:1])
    if not diffusion.noise_at(points[0]).any():
        _checks.reject("noise at the start", 0, "noise that drives paths out", "heat it")
    replicas = _checks.count("replicas", replicas, least=2)
    runs = _checks.count("runs", runs, least=2)
    if checkpoint is not None:
        _checks.kind("checkpoint", checkpoint, str, os.PathLike)
    seed, kill = seed_of(rng), max(1, replicas // 4)
    arguments = {
        "loops before splitting": loops,
        "region": _plain(region),
        "core": _plain(core),
        "start": digest(points),
        "diffusion": _fingerprint(diffusion, core),
        "dt": dt,
        "replicas": replicas,
        "kill": kill,
        "seed": int(seed),
    }
    done = {} if checkpoint is None else read_runs(Path(checkpoint), arguments)
    edge, inner, shell = (faces_of(part) for part in (region, core, _enlarged(core)))
    course = Course(diffusion.equation, edge, inner, shell, points[0], loops, dt, seed)
    stop = Event()
    work = partial(one_run, diffusion, course, region, points, replicas, kill, stop)
    left = [run for run in range(runs) if run not in done]
    with threads() as pool, progress_bar(runs, "run", initial=runs - len(left)) as bar:
        try:
            futures = {pool.submit(work, run): run for run in left}
            for future in as_completed(futures):
                done[futures[future]] = future.result()
                bar.update()
                if checkpoint is not None:
                    write_runs(Path(checkpoint), arguments, done)
        finally:
            stop.set()
            pool.shutdown(cancel_futures=True)
    return np.array([done[run] for run in range(runs)])


def _check_regions(diffusion: Diffusion, region: Ball | Box, core: Ball | Box) -> None:
    _checks.kind("diffusion", diffusion, Diffusion)
    for name, part in (("region", region), ("core", core)):
        _checks.kind(name, part, Ball, Box)
        _checks.fits(f"{name}.dim", part.dim, "the diffusion's dim", diffusion.dim)
    _checks.finite("sides of the core", np.array(_corners(core)))
    if not _inside(core, region):
        _checks.reject("core", core, "a core inside the region", "take a smaller core")


def _corners(part: Ball | Box) -> tuple[np.ndarray, np.ndarray]:
    """Opposite corners of a box, or of the box around a ball."""
    if isinstance(part, Ball):
        return part.center - part.radius, part.center + part.radius
    return part.lower, part.upper


def _inside(part: Ball | Box, region: Ball | Box) -> bool:
    """Whether the closure of a bounded part lies in the region."""
    lower, upper = _corners(part)
    if isinstance(region, Box):
        return bool(np.all(region.lower < lower) and np.all(upper < region.upper))
    if isinstance(part, Ball):
        return bool(region.distance(part.center) < -part.radius)
    farthest = np.where(region.center - lower > upper - region.center, lower, upper)
    return bool(region.contains(farthest))


def _enlarged(core: Ball | Box) -> Ball | Box:
    """The shell: the core, `_SHELL` times as large about its center."""
    if isinstance(core, Ball):
        return Ball(core.center, _SHELL * core.radius)
    center, half = (core.lower + core.upper) / 2, (core.upper - core.lower) / 2
    return Box(center - _SHELL * half, center + _SHELL * half)


def _fingerprint(diffusion: Diffusion, core: Ball | Box) -> str:
    """A name of the diffusion that tells whether drift and noise near the core are the same."""
    lower, upper = _corners(core)
    shares = np.random.default_rng(0).uniform(-1.0, 2.0, (64, len(lower)))
    points = lower + shares * (upper - lower)
    return f"{diffusion!r} {digest(diffusion.drift_at(points), diffusion.noise_at(points))}"


def _plain(part: Ball | Box) -> list[Any]:
    return [type(part).__name__, *(corner.tolist() for corner in _corners(part))]
