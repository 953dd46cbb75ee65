"""Simulated paths of a diffusion, and the times at which they leave a region."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import NoReturn

import numpy as np
from numpy.typing import ArrayLike

from relaxlib import _checks
from relaxlib._lanes.steps import Failure, march
from relaxlib._lanes.streams import LANES, seed_of
from relaxlib.diffusions import Diffusion
from relaxlib.paths._leave import leave
from relaxlib.regions import Ball, Box

_GROUP = 256 * LANES  # paths that an executor's worker takes at once


@dataclass(frozen=True, eq=False)
class Estimate:
    """A Monte Carlo mean with its standard error.

    Parameters
    ----------
    mean, stderr : float
    n : int
        Number of independent samples.

    Examples
    --------
    >>> print(Estimate(1.28419, 0.00583, 20000))
    1.284 +/- 0.006 (n=20000)
    """

    mean: float
    stderr: float
    n: int

    def __str__(self) -> str:
        digits = 0
        if 0.0 < self.stderr < np.inf:
            digits = max(0, -int(np.floor(np.log10(self.stderr))))
        return f"{self.mean:.{digits}f} +/- {self.stderr:.{digits}f} (n={self.n})"


def estimate(samples: ArrayLike) -> Estimate:
    """Mean of independent samples (n,) with its standard error.

    >>> estimate([1.0, 2.0, 3.0, 2.0]).mean
    2.0
    """
    values = _checks.array("samples", samples).ravel()
    _checks.count("number of samples", values.size, least=2)
    _checks.finite("samples", values)
    stderr = values.std(ddof=1) / np.sqrt(values.size)
    return Estimate(float(values.mean()), float(stderr), values.size)


@dataclass(frozen=True, eq=False)
class Ensemble:
    """Positions of many paths at the saved times.

    Parameters
    ----------
    times : (k,) float64
    paths : (k, n, d) float64
    """

    times: np.ndarray
    paths: np.ndarray


@dataclass(frozen=True, eq=False)
class ExitSample:
    """When and where paths first left a region.

    Parameters
    ----------
    times : (n,) float64
        Exit times; the time at the last step where ``censored``.
    points : (n, d) float64
        Exit points on the boundary; the last position where ``censored``.
    censored : (n,) bool
        True for a path that was still inside after the last step.
    """

    times: np.ndarray
    points: np.ndarray
    censored: np.ndarray

    def mean(self) -> Estimate:
        """Mean exit time; a ValueError if a path is censored, for then it would be too small."""
        left = int(self.censored.sum())
        if left:
            need = "every path to have left the region"
            _checks.reject("censored paths", left, need, "raise max_steps")
        return estimate(self.times)


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
    points = _starts(diffusion, x0, paths, executor)
    dt, steps = _checks.positive("dt", dt), _checks.count("steps", steps)
    every = _checks.divisor("save_every", save_every, "steps", steps)
    _checks.choice("scheme", scheme, ("euler", "leimkuhler-matthews"))
    averaged = scheme == "leimkuhler-matthews"
    if averaged and callable(diffusion.noise):
        need = "constant noise for averaged increments"
        _checks.reject("scheme", repr(scheme), need, 'use scheme="euler"')
    check_step(diffusion, points, dt)
    arguments = (dt, steps, every, averaged, seed_of(rng))
    groups = _in_groups(executor, march, diffusion, points, arguments)
    times = dt * np.arange(0, steps + 1, every) if every else np.array([dt * steps])
    return Ensemble(times, np.concatenate(groups, axis=1))


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
    points = _starts(diffusion, x0, paths, executor)
    _checks.kind("region", region, Ball, Box)
    _checks.fits("region.dim", region.dim, "the diffusion's dim", diffusion.dim)
    outside = ~region.contains(points)
    if outside.any():
        place = points[outside][0].tolist()
        _checks.reject("x0", place, "a start inside the region", "move it")
    dt, max_steps = _checks.positive("dt", dt), _checks.count("max_steps", max_steps)
    check_step(diffusion, points, dt)
    _check_noise(diffusion, points, region, dt)
    arguments = (region, dt, max_steps, seed_of(rng))
    groups = _in_groups(executor, leave, diffusion, points, arguments)
    return ExitSample(*(np.concatenate(parts) for parts in zip(*groups, strict=True)))


def _starts(
    diffusion: Diffusion, x0: ArrayLike, paths: int | None, executor: Executor | None
) -> np.ndarray:
    """Starting points (n, d) of all paths."""
    _checks.kind("diffusion", diffusion, Diffusion)
    if executor is not None:
        _checks.kind("executor", executor, Executor)
    return _checks.starts("x0", x0, diffusion.dim, paths)


def step_bound(diffusion: Diffusion, x: np.ndarray) -> np.ndarray:
    r"""The stability bounds of Euler's step at x (..., d), as (...).

    With eigenvalues :math:`\lambda` of Db(x), the least of
    :math:`-2\operatorname{Re}\lambda/|\lambda|^2` over those that decay; zero where the drift
    is not finite.
    """
    shifts = 1e-5 * np.maximum(1.0, np.abs(x))[..., None] * np.eye(diffusion.dim)
    ahead = diffusion.drift_at(x[..., None, :] + shifts)
    behind = diffusion.drift_at(x[..., None, :] - shifts)
    with np.errstate(over="ignore", invalid="ignore"):
        slopes = (ahead - behind) / (2 * shifts.sum(axis=-1, keepdims=True))
        finite = np.isfinite(slopes).all(axis=(-2, -1))
        rates = np.linalg.eigvals(np.where(finite[..., None, None], slopes, 0.0))
        decaying = rates.real < -1e-6 * np.abs(rates)
        squares = np.where(decaying, np.abs(rates) ** 2, 1.0)
        bounds = np.where(decaying, -2 * rates.real / squares, np.inf).min(axis=-1)
    return np.where(finite, bounds, 0.0)


def check_step(diffusion: Diffusion, x: np.ndarray, dt: float) -> None:
    """Reject a step that is not stable at the start x (d,), or at a thousand of the starts."""
    some = _some(np.atleast_2d(x))
    bounds = step_bound(diffusion, some)
    bound, place = bounds.min(), f"at the start {some[np.argmin(bounds)].tolist()}"
    if bound == 0.0:
        _checks.reject("drift", "nan or inf", f"a finite drift {place}", "move the start")
    if dt >= bound:
        need = f"dt < {bound:.3g}, the stability bound of Euler's step {place}"
        _checks.reject("dt", f"{dt:g}", need, "take a smaller dt")


def _check_noise(diffusion: Diffusion, points: np.ndarray, region: Ball | Box, dt: float) -> None:
    """Reject a step whose noise is not small beside the region, as seen at the starts."""
    noise = 2 * np.diagonal(diffusion.diffusivity_at(_some(points)), axis1=1, axis2=2)
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


def _in_groups(
    executor: Executor | None, run: Callable, diffusion: Diffusion, points: np.ndarray, rest: tuple
) -> list:
    """Results of ``run`` on groups of whole blocks of paths, in order."""
    if executor is None:
        groups = [run(diffusion, points, 0, *rest)]
    else:
        cuts = range(0, len(points), _GROUP)
        jobs = [
            executor.submit(run, diffusion, points[cut : cut + _GROUP], cut, *rest) for cut in cuts
        ]
        groups = [job.result() for job in jobs]
    for _, failure in groups:
        if failure is not None:
            stop_at(diffusion, failure)
    return [result for result, _ in groups]


def stop_at(diffusion: Diffusion, failure: Failure) -> NoReturn:
    bound = step_bound(diffusion, failure.position)
    place = ", ".join(f"{entry:.4g}" for entry in failure.position)
    limit = f"Euler's step is stable for dt < {bound:.3g}" if bound else "the drift is not finite"
    raise ArithmeticError(
        f"path {failure.path} is not finite after step {failure.step + 1}, from x = [{place}], "
        f"where {limit}; take a smaller dt"
    )
