"""The controlled descent: its value from a linear equation, its feedback, its flow."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numba import njit
from numpy.typing import ArrayLike
from scipy.sparse import csr_array, eye_array
from scipy.stats import poisson

from relaxlib import _checks
from relaxlib.control._isotropy import isotropy
from relaxlib.diffusions import Diffusion
from relaxlib.grid import DensityFlow, Grid, ValueFunction
from relaxlib.operators import KolmogorovOperator, kolmogorov

_SPREAD = 600.0  # largest range of V/2T whose exponential is a float64


def cole_hopf(
    diffusion: Diffusion, grid: Grid, terminal: ArrayLike, *, horizon: float, steps: int
) -> ValueFunction:
    r"""The value of `solve_hjb` with ``push=inf`` and no other cost, from a linear equation.

    .. math:: u(t, x) = -2T\log\mathbb E_x\,e^{-V(X_{\tau-t})/2T}

    for noise :math:`\sqrt{2T}\,dW` and horizon :math:`\tau`. All terms of the exponential of the
    chain are positive, so that the smallest expectations have as many digits as the largest.

    Parameters
    ----------
    diffusion : Diffusion
        With noise :math:`\sqrt{2T}\,dW` in all directions alike.
    grid, terminal, horizon
        As in `solve_hjb`.
    steps : int
        Intervals between the stored times; there is no error of time. The work is the horizon
        times the largest rate of the chain.

    Returns
    -------
    ValueFunction

    Raises
    ------
    ValueError
        If the noise is not isotropic, or the range of V is beyond 1200 T.

    Notes
    -----
    DR (HJB) and Theorem 12.

    Examples
    --------
    >>> from relaxlib.diffusions import ornstein_uhlenbeck
    >>> grid = Grid.box(-6, 6, 241)
    >>> value = cole_hopf(ornstein_uhlenbeck(0.0, 1.0, temperature=0.5), grid, grid.axes[0] ** 2,
    ...                   horizon=1.0, steps=1)
    >>> round(float(value.interpolate(1.0, t=0.0)), 3), round(1 / 3 + float(np.log(3)) / 2, 3)
    (0.883, 0.883)
    """
    _, values, times, _ = _log_transform(diffusion, grid, terminal, horizon, steps)
    return ValueFunction(grid, times, values)


@dataclass(frozen=True, eq=False)
class SteeredFlow:
    r"""The solution of the forward–backward system, and both sides of Theorem 12.

    .. math:: \mathbb E\,V(X_\tau) - \mathbb E\,V(\hat X_\tau)
              = \tfrac12\mathbb E\int|\nabla u(\hat X)|^2 + \tfrac12\mathbb E\int|\nabla u(X)|^2,

    that is, ``ends[1] - ends[0] == efforts.sum()`` up to the errors of grid and quadrature.

    Parameters
    ----------
    value : ValueFunction
        u, solved backward from the terminal cost.
    flow, free : DensityFlow
        The densities of the motion that the feedback grad u steers, and of the motion without
        control, at the same times.

    Notes
    -----
    DR Theorem 12 is the inequality ``ends[0] <= ends[1] - efforts[0]``.
    """

    value: ValueFunction
    flow: DensityFlow
    free: DensityFlow

    @property
    def ends(self) -> np.ndarray:
        """Mean terminal costs (2,) of the steered motion and of the free one."""
        return (self._masses[:, -1] * self.value.values[-1]).reshape(2, -1).sum(axis=1)

    @property
    def powers(self) -> np.ndarray:
        """Half the mean squared feedback (2, k), along the steered and the free motion."""
        squares = (feedback(self.value) ** 2).sum(axis=-1) / 2
        return (self._masses * squares).reshape(2, len(squares), -1).sum(axis=2)

    @property
    def efforts(self) -> np.ndarray:
        """Efforts (2,) spent along the steered motion and spared along the free one."""
        return np.trapezoid(self.powers, self.value.times)

    @property
    def _masses(self) -> np.ndarray:
        return np.array([self.flow.densities, self.free.densities]) * self.value.grid.volumes


def forward_backward(
    diffusion: Diffusion,
    grid: Grid,
    terminal: ArrayLike,
    density: ArrayLike,
    *,
    horizon: float,
    steps: int,
) -> SteeredFlow:
    r"""Solve the system of value function and steered density.

    .. math::
        -u_t &= b\cdot\nabla u - \tfrac12|\nabla u|^2 + T\Delta u, & u(\tau, \cdot) &= V, \\
        \rho_t &= -\nabla\cdot((b - \nabla u)\rho) + T\Delta\rho, & \rho(0, \cdot) &= \rho_0,

    by Doob's transform: with :math:`\psi = e^{-u/2T}` the ratio :math:`\rho/\psi` solves the
    Fokker–Planck equation without control.

    Parameters
    ----------
    diffusion, grid, terminal, horizon, steps
        As in `cole_hopf`.
    density : array_like of shape ``grid.shape``
        The density at time 0, nonnegative and not zero.

    Returns
    -------
    SteeredFlow
        With the density that has no control beside the steered one; mass is kept to rounding.

    Raises
    ------
    ValueError
        As `cole_hopf`; or if the density is negative somewhere or zero.

    Notes
    -----
    DR (26) with the drift, the sign and the diffusion that it needs.

    Examples
    --------
    >>> from relaxlib.diffusions import langevin
    >>> from relaxlib.landscapes import quadratic
    >>> grid = Grid.box(-4, 4, 161)
    >>> x = grid.axes[0]
    >>> start = np.exp(-(x - 1) ** 2 / 0.1)
    >>> plain = langevin(quadratic(), temperature=0.5)
    >>> system = forward_backward(plain, grid, x**2, start, horizon=1.0, steps=10)
    >>> before, after = ((p * x).sum() / p.sum() for p in system.flow.densities[[0, -1]])
    >>> round(float(before), 2), round(float(after), 2)
    (1.0, 0.2)
    """
    _checks.kind("grid", grid, Grid)
    start = _checks.values_on(grid.shape, density, "density")
    if not (start.min() >= 0.0 and start.max() > 0.0):
        extremes = f"{start.min():g} to {start.max():g}"
        _checks.reject("density", extremes, "density >= 0 and not zero", "clip it")
    chain, values, times, psi = _log_transform(diffusion, grid, terminal, horizon, steps)
    masses, forward = (start * grid.volumes).ravel(), chain.matrix.T.tocsr()
    flows = []
    for weight in (psi, np.ones_like(psi)):
        march = np.array(list(_marches(forward, masses / weight[0], times[1], len(times) - 1)))
        march *= weight
        flows.append(DensityFlow(grid, times, march.reshape(values.shape) / grid.volumes))
    return SteeredFlow(ValueFunction(grid, times, values), *flows)


def feedback(value: ValueFunction) -> np.ndarray:
    r"""The best additional drift is minus this: :math:`\alpha = \nabla u`, DR (25).

    Central differences, one-sided of second order at the walls.

    Parameters
    ----------
    value : ValueFunction
        On at least 3 nodes along every axis.

    Returns
    -------
    (k, \*grid.shape, d) float64

    Raises
    ------
    ValueError
        If an axis has two nodes.

    Examples
    --------
    >>> grid = Grid.box(0, 1, 3)
    >>> feedback(ValueFunction(grid, np.zeros(1), grid.axes[0][None] ** 2))[0, :, 0].tolist()
    [0.0, 1.0, 2.0]
    """
    _checks.kind("value", value, ValueFunction)
    shortest = min(value.grid.shape)
    if shortest < 3:
        _checks.reject("nodes of an axis", shortest, "3 or more", "refine the grid")
    axes = enumerate(value.grid.spacings, start=1)
    slopes = [np.gradient(value.values, h, axis=axis, edge_order=2) for axis, h in axes]
    return np.stack(slopes, axis=-1)


def steered(diffusion: Diffusion, value: ValueFunction) -> Diffusion:
    r"""The diffusion under its best feedback, :math:`dX = (b - \nabla u(t, X))\,dt + S\,dW`.

    Parameters
    ----------
    diffusion : Diffusion
    value : ValueFunction
        At evenly spaced times; its feedback is interpolated linearly, and kept constant beyond
        the box and the last time.

    Returns
    -------
    Diffusion
        Of the same rank: with the same seed and dt both see the same Brownian paths.

    Raises
    ------
    ValueError
        If the dimensions differ, or the times are not two or more, evenly spaced.

    Examples
    --------
    >>> from relaxlib.diffusions import ornstein_uhlenbeck
    >>> grid = Grid.box(-1, 1, 5)
    >>> slope = ValueFunction(grid, np.array([0.0, 1.0]), np.tile(3 * grid.axes[0], (2, 1)))
    >>> steered(ornstein_uhlenbeck(1.0, 1.0, temperature=0.5), slope).drift_at(0.5).tolist()
    [-3.5]
    """
    _checks.kind("diffusion", diffusion, Diffusion)
    slopes, grid = feedback(value), value.grid
    _checks.fits("diffusion.dim", diffusion.dim, "the dim of the value's grid", grid.dim)
    step = _checks.even_times("value.times", value.times)
    axes = [value.times[0], *grid.nodes[0], step, *grid.spacings, *slopes.shape[:-1]]
    drift = _corrected(diffusion.drift, grid.dim, len(diffusion.params))
    params = np.concatenate([diffusion.params, axes, slopes.ravel()])
    return replace(diffusion, drift=drift, params=params, landscape=None)


@lru_cache(maxsize=64)
def _corrected(drift: Callable, dim: int, count: int) -> Callable:
    """The drift less a table over (t, x); ``count`` parameters belong to the drift.

    Then come the first nodes of the axes, their steps, their numbers of nodes, and the entries.
    """
    plain, axes = njit(error_model="numpy")(drift), dim + 1

    def correct(x, t, params, out):
        plain(x, t, params[:count], out)
        for corner in range(2**axes):
            weight, place = 1.0, 0
            for k in range(axes):
                nodes = int(params[count + 2 * axes + k])
                position = (t if k == 0 else x[k - 1]) - params[count + k]
                position = min(max(position / params[count + axes + k], 0.0), nodes - 1.0)
                below = min(int(position), nodes - 2)
                share, high = position - below, (corner >> k) & 1
                weight *= share if high else 1.0 - share
                place = place * nodes + below + high
            for i in range(dim):
                out[i] -= weight * params[count + 3 * axes + place * dim + i]

    return correct


def _log_transform(
    diffusion: Diffusion, grid: Grid, terminal: ArrayLike, horizon: float, steps: int
) -> tuple[KolmogorovOperator, np.ndarray, np.ndarray, np.ndarray]:
    """The chain, u (k, *grid.shape), the times (k,), and psi = exp(-u/2T) up to a factor (k, n)."""
    chain = kolmogorov(diffusion, grid)
    horizon, steps = _checks.positive("horizon", horizon), _checks.count("steps", steps)
    temperature, isotropic = isotropy(diffusion.diffusivity_at(grid.nodes))
    if not isotropic:
        need = "noise sqrt(2T) dW, alike in all directions, T > 0"
        _checks.reject("diffusion", repr(diffusion), need, "use solve_hjb")
    cost = _checks.values_on(grid.shape, terminal, "terminal").ravel() / (2 * temperature)
    spread = float(np.ptp(cost))
    if spread > _SPREAD:
        need = f"at most {_SPREAD:g}, that its exponential be a number"
        _checks.reject("range of V/2T", f"{spread:g}", need, "solve_hjb, or a higher temperature")
    times = np.linspace(0.0, horizon, steps + 1)
    march = _marches(chain.matrix, np.exp(cost.min() - cost), horizon / steps, steps)
    psi = np.array(list(march))[::-1]
    values = 2 * temperature * (cost.min() - np.log(psi))
    return chain, values.reshape(-1, *grid.shape), times, psi


def _marches(matrix: csr_array, start: np.ndarray, dt: float, steps: int) -> Iterator[np.ndarray]:
    """The vectors exp(k dt M) start >= 0, k = 0, ..., steps, by uniformization: no differences."""
    fastest = float(-matrix.diagonal().min())
    jump, mean = matrix / fastest + eye_array(len(start), format="csr"), fastest * dt
    level = 37.0 + min(np.ptp(np.log(start[start > 0.0])), _SPREAD)  # digits below the largest
    most = mean + level / 3 + np.sqrt(level**2 / 9 + 2 * mean * level)  # Bernstein's tail
    weights = poisson.pmf(np.arange(int(most) + 2), mean)
    yield start
    for _ in range(steps):
        term, start = start, weights[0] * start
        for weight in weights[1:]:
            term = jump @ term
            start = start + weight * term
        yield start
