"""The averaged flow, and how far the two-scale system is from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.integrate import solve_ivp

from relaxlib import _checks
from relaxlib._lanes.streams import seed_of
from relaxlib.diffusions import Diffusion, two_scale
from relaxlib.gaussian import covariance_at, mean_at
from relaxlib.landscapes import Landscape
from relaxlib.paths import simulate
from relaxlib.smoothing import local_entropy_grad


@dataclass(frozen=True, eq=False)
class AveragingError:
    r"""Mean square distances of the slow variable from the averaged flow, for k epsilons.

    Parameters
    ----------
    epsilons : (k,) float64
    limit, means : (d,) and (k, d) float64
        :math:`\hat X_t` and the :math:`E\,X^\epsilon_t`.
    errors, stderrs : (k,) float64
        :math:`E|X^\epsilon_t - \hat X_t|^2` and its standard error, zero where exact.
    """

    epsilons: np.ndarray
    limit: np.ndarray
    means: np.ndarray
    errors: np.ndarray
    stderrs: np.ndarray


def effective_drift(
    landscape: Landscape, x: ArrayLike, *, gamma: float, temperature: float
) -> np.ndarray:
    r"""The averaged drift of the slow variable, DR Theorem 5.

    .. math:: \bar h(x) = -\int\frac{x-y}\gamma\,\rho_\infty(dy; x) = -\nabla f_\gamma(x)

    Arguments as of `smoothing.local_entropy_grad`; any other pair: `cell_problem`, `time_average`.

    Examples
    --------
    >>> from relaxlib.landscapes import quadratic
    >>> effective_drift(quadratic(), 1.0, gamma=0.25, temperature=2.0).round(12).tolist()
    [-0.8]
    """
    return -local_entropy_grad(landscape, x, gamma=gamma, temperature=temperature)


def effective_flow(
    landscape: Landscape, x0: ArrayLike, times: ArrayLike, *, gamma: float, temperature: float
) -> np.ndarray:
    r"""The averaged flow :math:`\dot{\hat X} = -\nabla f_\gamma(\hat X)` from one start.

    It is returned at the increasing ``times`` (k,), as (k, d), to about 1e-10. DR (3).

    Raises
    ------
    ValueError, ArithmeticError
        As `smoothing.local_entropy`; if times do not increase, or the flow does not stay finite.

    Examples
    --------
    >>> from relaxlib.landscapes import quadratic
    >>> flow = effective_flow(quadratic(), 1.0, [0.0, 1.0], gamma=0.5, temperature=0.5)
    >>> flow.round(6).tolist(), round(float(np.exp(-2 / 3)), 6)
    ([[1.0], [0.513417]], 0.513417)
    """
    _checks.kind("landscape", landscape, Landscape)
    start = _checks.point("x0", x0, landscape.dim)
    times = _checks.increasing_times("times", times)
    _checks.positive("times[-1]", times[-1])
    return _flow(landscape, start, times, gamma=gamma, temperature=temperature)


def averaging_error(
    landscape: Landscape,
    epsilons: ArrayLike,
    *,
    gamma: float,
    temperature: float,
    x0: ArrayLike,
    y0: ArrayLike,
    t: float,
    rng: int | np.random.Generator = 0,
    paths: int = 4000,
    micro_dt: float = 0.05,
) -> AveragingError:
    r"""The distance :math:`E|X^\epsilon_t - \hat X_t|^2` of the two-scale system from its limit.

    Exact for quadratic losses, from the first two moments of the pair; otherwise the mean over
    simulated paths with averaged noise, the same random numbers for every epsilon.

    Parameters
    ----------
    landscape, gamma, temperature
        As in `diffusions.two_scale`.
    epsilons : (k,) array_like
        Positive.
    x0, y0, t : (d,) array_like, (d,) array_like, float
        Starts of the slow and of the fast variable, and the time.
    rng, paths, micro_dt : int, int, float
        Seed, number of paths, and step in units of epsilon, where simulated.

    Raises
    ------
    ValueError, ArithmeticError
        As `paths.simulate` and `smoothing.local_entropy`.

    Notes
    -----
    BK Corollary 1.1 (i). For :math:`f = ay^2/2` the error is
    :math:`\epsilon T(1 - e^{-2ct})/(a(1 + a\gamma)) + O(\epsilon^2)` with
    :math:`c = a/(1 + a\gamma)`, wherever the pair starts.

    Examples
    --------
    >>> from relaxlib.landscapes import quadratic
    >>> found = averaging_error(
    ...     quadratic(), [0.02, 0.01], gamma=0.5, temperature=0.5, x0=1.0, y0=-1.0, t=1.0
    ... )
    >>> found.errors.round(9).tolist()
    [0.004871706, 0.002445008]
    """
    _checks.kind("landscape", landscape, Landscape)
    epsilons = _checks.array("epsilons", epsilons).ravel()
    x0, y0 = (_checks.point(name, z, landscape.dim) for name, z in (("x0", x0), ("y0", y0)))
    t, micro_dt = _checks.positives(t=t, micro_dt=micro_dt)
    paths = _checks.count("paths", paths, least=2)
    seed, start, n = int(seed_of(rng)), np.concatenate([x0, y0]), landscape.dim
    at = {"gamma": gamma, "temperature": temperature}
    systems = [two_scale(landscape, epsilon=epsilon, **at) for epsilon in epsilons]
    limit = _flow(landscape, x0, np.array([0.0, t]), **at)[-1]
    means, errors, stderrs = np.empty((len(epsilons), n)), *np.zeros((2, len(epsilons)))
    for k, (epsilon, system) in enumerate(zip(epsilons, systems, strict=True)):
        if landscape.is_quadratic:
            mean, cov = _moments(landscape, system, start, t)
            means[k], errors[k] = mean[:n], ((mean[:n] - limit) ** 2).sum() + np.trace(cov[:n, :n])
        else:
            steps = int(np.ceil(t / (micro_dt * epsilon) - 1e-9))
            how: dict[str, Any] = {"dt": t / steps, "steps": steps, "paths": paths, "rng": seed}
            run = simulate(system, start, scheme="leimkuhler-matthews", **how)
            squares = ((run.paths[-1, :, :n] - limit) ** 2).sum(axis=1)
            means[k], errors[k] = run.paths[-1, :, :n].mean(axis=0), squares.mean()
            stderrs[k] = squares.std(ddof=1) / np.sqrt(paths)
    return AveragingError(epsilons, limit, means, errors, stderrs)


def _flow(landscape: Landscape, start: np.ndarray, times: np.ndarray, **at: float) -> np.ndarray:
    """The averaged flow at times (k,), as (k, d)."""

    def drift(t: float, x: np.ndarray) -> np.ndarray:
        return effective_drift(landscape, x, **at)

    run = solve_ivp(drift, (0.0, times[-1]), start, "DOP853", t_eval=times, rtol=1e-11, atol=1e-13)
    if not run.success:
        raise ArithmeticError(f"averaged flow stops at t = {run.t[-1]:.3g}: {run.message}")
    return run.y.T


def _moments(
    landscape: Landscape, system: Diffusion, start: np.ndarray, t: float
) -> tuple[np.ndarray, np.ndarray]:
    """Mean (2n,) and covariance (2n, 2n) of the pair at time t, for a quadratic loss."""
    center = np.tile(landscape.center, 2)
    matrix = -(system.drift_at(center + np.eye(system.dim)) - system.drift_at(center)).T
    mean = center + mean_at(matrix, t, start=start - center)
    return mean, covariance_at(matrix, system.diffusivity_at(center), t, temperature=1.0)
