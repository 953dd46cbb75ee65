r"""Two time scales: the averaged flow, correctors, the error of averaging, and an integrator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numba import njit
from numpy.typing import ArrayLike
from scipy.integrate import solve_ivp
from scipy.sparse import csc_array
from scipy.sparse.linalg import splu

from relaxlib import _checks
from relaxlib._lanes.blocks import FASTMATH
from relaxlib._lanes.streams import seed_of
from relaxlib.diffusions import Diffusion, two_scale
from relaxlib.fokker_planck import stationary
from relaxlib.gaussian import covariance_at, mean_at
from relaxlib.landscapes import Landscape
from relaxlib.landscapes import _formulas as formulas
from relaxlib.operators import KolmogorovOperator
from relaxlib.paths import Ensemble, simulate
from relaxlib.smoothing import local_entropy_grad

_FLAW = 1e-6  # residual of a cell problem, relative to its source


@dataclass(frozen=True, eq=False)
class Cell:
    r"""The corrector of a source h, of mean zero and of shape ``grid.shape``, with two numbers.

    They are the average :math:`\bar h` and :math:`D = \int(h - \bar h)\,\chi\,d\rho_\infty`, the
    fluctuation: a time average of h over a long time t has variance 2D/t.
    """

    corrector: np.ndarray
    average: float
    fluctuation: float


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

    def drift(t: float, x: np.ndarray) -> np.ndarray:
        return effective_drift(landscape, x, gamma=gamma, temperature=temperature)

    span = (0.0, _checks.positive("times[-1]", times[-1]))
    run = solve_ivp(drift, span, start, "DOP853", t_eval=times, rtol=1e-11, atol=1e-13)
    if not run.success:
        raise ArithmeticError(f"averaged flow stops at t = {run.t[-1]:.3g}: {run.message}")
    return run.y.T


def cell_problem(operator: KolmogorovOperator, source: ArrayLike) -> Cell:
    r"""Solve :math:`-A\chi = h - \bar h` for the corrector of a source h.

    There is a solution only for :math:`\bar h = \int h\,d\rho_\infty`. SL, cell problem (C).

    Parameters
    ----------
    operator : KolmogorovOperator
        The generator of the fast variable at a frozen slow one; detailed balance is not needed.
    source : array_like of shape ``grid.shape``
        Values of h.

    Raises
    ------
    ValueError
        If the operator is absorbing, or its stationary law not unique.
    ArithmeticError
        If the residual of the solve is not small.

    Examples
    --------
    >>> from relaxlib.grid import Grid
    >>> from relaxlib.operators import langevin_operator
    >>> grid = Grid.box(-6, 6, 1201)
    >>> y = grid.nodes[:, 0]
    >>> cell = cell_problem(langevin_operator(grid, y**2 / 2, temperature=1.0), y)
    >>> bool(np.allclose(cell.corrector[300:900], y[300:900], atol=2e-4))  # -A y = y
    True
    >>> round(cell.fluctuation, 3)
    1.0
    """
    density = stationary(operator)
    values = _checks.values_on(operator.grid, source, "source")
    masses = (density * operator.volumes).ravel()
    average = float(masses @ values.ravel())
    excess = values.ravel() - average
    pinned = int(np.argmax(masses))
    others = np.delete(np.arange(len(masses)), pinned)
    corrector = np.zeros(len(masses))
    inner = csc_array(operator.matrix[others][:, others])
    corrector[others] = splu(inner).solve(-excess[others])
    corrector -= masses @ corrector
    residual = np.abs(operator.matrix @ corrector + excess).max()
    scale = np.abs(excess).max()
    if not residual <= _FLAW * scale:
        raise ArithmeticError(
            f"cell problem: residual {residual:.1e} of a source of size {scale:.1e}; the fast "
            "variable hardly mixes, raise the temperature or coarsen the grid"
        )
    fluctuation = float(masses @ (excess * corrector))
    return Cell(corrector.reshape(operator.grid.shape), average, fluctuation)


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
    >>> start = {"x0": 1.0, "y0": -1.0, "t": 1.0}
    >>> found = averaging_error(quadratic(), [0.02, 0.01], gamma=0.5, temperature=0.5, **start)
    >>> found.errors.round(9).tolist()
    [0.004871706, 0.002445008]
    """
    _checks.kind("landscape", landscape, Landscape)
    epsilons = _checks.array("epsilons", epsilons).ravel()
    x0, y0 = (_checks.point(name, z, landscape.dim) for name, z in (("x0", x0), ("y0", y0)))
    t, micro_dt = _checks.positive("t", t), _checks.positive("micro_dt", micro_dt)
    paths, seed = _checks.count("paths", paths, least=2), int(seed_of(rng))
    facts = {"gamma": gamma, "temperature": temperature}
    systems = [two_scale(landscape, epsilon=epsilon, **facts) for epsilon in epsilons]
    limit = effective_flow(landscape, x0, [0.0, t], **facts)[-1]
    n, start = landscape.dim, np.concatenate([x0, y0])
    means, errors, stderrs = np.empty((len(epsilons), n)), *np.zeros((2, len(epsilons)))
    for k, (epsilon, system) in enumerate(zip(epsilons, systems, strict=True)):
        if landscape.formula is formulas.QUADRATIC:
            mean, cov = _moments(landscape, system, start, t)
            means[k] = mean[:n]
            errors[k] = ((mean[:n] - limit) ** 2).sum() + np.trace(cov[:n, :n])
        else:
            steps = int(np.ceil(t / (micro_dt * epsilon) - 1e-9))
            how = {"dt": t / steps, "steps": steps, "scheme": "leimkuhler-matthews"}
            x = simulate(system, start, paths=paths, rng=seed, **how).paths[-1, :, :n]
            squares = ((x - limit) ** 2).sum(axis=1)
            means[k], errors[k] = x.mean(axis=0), squares.mean()
            stderrs[k] = squares.std(ddof=1) / np.sqrt(paths)
    return AveragingError(epsilons, limit, means, errors, stderrs)


def hmm(
    landscape: Landscape,
    x0: ArrayLike,
    *,
    gamma: float,
    temperature: float,
    dt: float,
    steps: int,
    rng: int | np.random.Generator,
    micro_dt: float = 0.05,
    micro_steps: int = 20,
    y0: ArrayLike | None = None,
    paths: int | None = None,
    save_every: int | None = None,
) -> Ensemble:
    r"""The heterogeneous multiscale method for the two-scale system in the limit epsilon -> 0.

    In a burst of m micro steps of length h, in fast time, y moves while x is frozen, with
    averaged noise; then x moves by one macro step with the mean of y over the burst,

    .. math:: y_{j+1} = y_j - h\Bigl(\nabla f(y_j) - \frac{x-y_j}\gamma\Bigr) + \sqrt{2Th}\,\xi_j,
              \qquad x \leftarrow x - \frac{dt}\gamma\Bigl(x - \frac1m\sum_{j<m}y_j\Bigr),

    and y is carried over to the next burst. The states returned are (x, y), (k, paths, 2n).

    Parameters
    ----------
    landscape, gamma, temperature
        As in `diffusions.two_scale`.
    x0, y0 : (n,) or (paths, n) array_like
        Starts; y0 is x0 when left out.
    dt, steps : float, int
        Macro step, below 2 gamma, and their number.
    micro_dt, micro_steps : float, int
        h and m.
    rng, paths, save_every
        As in `paths.simulate`, ``save_every`` in macro steps.

    Raises
    ------
    ValueError, ArithmeticError
        As `paths.simulate`, whose step is h; and if dt >= 2 gamma.

    Notes
    -----
    The method of E and Engquist (2003). To leading order it is the two-scale system with
    :math:`\epsilon = dt/(mh)`: the mean square error is :math:`C\,dt/(mh)` with the C of
    `averaging_error`, the bias :math:`O(dt + h^2 + dt/(mh))`. Direct simulation to time t takes
    :math:`t/(\epsilon h)` gradients, this takes :math:`mt/dt`, however small epsilon is.

    Examples
    --------
    >>> from relaxlib.landscapes import quadratic
    >>> how = {"dt": 0.05, "steps": 20, "micro_steps": 40, "paths": 1000, "rng": 1}
    >>> x = hmm(quadratic(), 1.0, gamma=0.5, temperature=0.5, **how).paths[-1, :, 0]
    >>> bool(abs(x.mean() - np.exp(-2 / 3)) < 0.03)
    True
    """
    _checks.kind("landscape", landscape, Landscape)
    n = landscape.dim
    x = _checks.starts("x0", x0, n, paths)
    y = x if y0 is None else _checks.starts("y0", y0, n, len(x))
    gamma = _checks.positive("gamma", gamma)
    temperature = _checks.positive("temperature", temperature)
    dt, steps = _checks.positive("dt", dt), _checks.count("steps", steps)
    micro_dt = _checks.positive("micro_dt", micro_dt)
    micro_steps = _checks.count("micro_steps", micro_steps)
    every = _checks.divisor("save_every", save_every, "steps", steps)
    if dt >= 2 * gamma:
        need = f"dt < 2 gamma = {2 * gamma:g}, the bound of a macro step"
        _checks.reject("dt", f"{dt:g}", need, "take a smaller dt")
    noise = np.kron([[0.0], [np.sqrt(2 * temperature)], [0.0]], np.eye(n))
    params = np.concatenate([[gamma, micro_dt, micro_steps, dt], landscape.params])
    equation = {"drift": _bursts(landscape.formula.grad, n), "noise": noise, "params": params}
    bursts = Diffusion(**equation, dim=3 * n, rank=n, temperature=temperature)
    start, every = np.hstack([x, y, np.zeros_like(x)]), every or steps
    clock = {"dt": micro_dt, "steps": steps * micro_steps, "save_every": every * micro_steps}
    run = simulate(bursts, start, rng=rng, scheme="leimkuhler-matthews", **clock)
    first = 0 if save_every else 1
    times = dt * np.arange(0, steps + 1, every)[first:]
    return Ensemble(times, np.ascontiguousarray(run.paths[first:, :, : 2 * n]))


def _moments(
    landscape: Landscape, system: Diffusion, start: np.ndarray, t: float
) -> tuple[np.ndarray, np.ndarray]:
    """Mean (2n,) and covariance (2n, 2n) of the pair at time t, for a quadratic loss."""
    center = np.tile(landscape.center, 2)
    matrix = -(system.drift_at(center + np.eye(system.dim)) - system.drift_at(center)).T
    mean = center + mean_at(matrix, t, start=start - center)
    return mean, covariance_at(matrix, system.diffusivity_at(center), t, temperature=1.0)


@lru_cache(maxsize=64)
def _bursts(grad: Callable, n: int) -> Callable:
    """Drift of (x, y, sum of y / m): x and the sum move at the last micro step of a burst."""
    grad = njit(error_model="numpy", fastmath=FASTMATH, _nrt=False)(grad)

    def drift(state, t, params, out):
        gamma, micro_dt, burst, dt = params[0], params[1], params[2], params[3]
        grad(state[n : 2 * n], params[4:], out[n : 2 * n])
        bursts = np.floor(t / micro_dt + 1.5) / burst
        last = 1.0 if bursts == np.floor(bursts) else 0.0
        for i in range(n):
            x, y, partial = state[i], state[n + i], state[2 * n + i]
            mean = partial + y / burst
            out[i] = last * dt / gamma * (mean - x) / micro_dt
            out[n + i] = (x - y) / gamma - out[n + i]
            out[2 * n + i] = ((1.0 - last) * mean - partial) / micro_dt

    return drift
