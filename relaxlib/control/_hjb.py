"""Stochastic control on a grid: value functions of Hamilton–Jacobi–Bellman equations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import csr_array, eye_array, vstack
from scipy.sparse.linalg import spsolve

from relaxlib import _checks
from relaxlib.diffusions import Diffusion
from relaxlib.grid import Grid, ValueFunction
from relaxlib.operators import KolmogorovOperator, kolmogorov

_IMPROVEMENTS = 60  # policies tried in one step of time
_SETTLED = 1e-11  # relative change of the value at which a policy is the best


def solve_hjb(
    diffusion: Diffusion | Sequence[Diffusion],
    grid: Grid,
    terminal: ArrayLike,
    *,
    horizon: float,
    steps: int,
    push: float = 0.0,
    running_cost: ArrayLike | Callable[[float], ArrayLike] = 0.0,
    discount: float = 0.0,
) -> ValueFunction:
    r"""The value of a control problem, by dynamic programming on the chains of `kolmogorov`.

    The least cost over controls u of a finite set and additional drifts :math:`-\alpha` is

    .. math:: V(t, x) = \min\mathbb E\Bigl[e^{\lambda(t-\tau)}g(X_\tau) + \int_t^\tau
              e^{\lambda(t-s)}\bigl(\ell_u(s, X_s) + \tfrac12|\alpha_s|^2\bigr)ds\Bigr],

    and solves :math:`-V_t + \lambda V = \min_{u,\alpha}\{A_uV - \alpha\cdot\nabla V + \ell_u
    + |\alpha|^2/2\}` with V = g at the horizon :math:`\tau`. Every implicit step of time is solved
    by policy iteration. The scheme is monotone: :math:`\alpha\cdot\nabla V` is central where the
    noise keeps all jumps nonnegative and upwind elsewhere.

    Parameters
    ----------
    diffusion : Diffusion, or sequence of Diffusions
        The motion, or one for each control u of a finite set; coefficients at t = 0.
    grid : Grid
        In one or two dimensions; its box reflects.
    terminal : array_like of shape ``grid.shape``
        g, to be made small.
    horizon : float
        :math:`\tau`, positive.
    steps : int
        Steps of time, of equal length; the error is of first order in it.
    push : float
        Largest :math:`|\alpha_k|` in every coordinate, possibly inf.
    running_cost : array_like or function of t
        :math:`\ell`, broadcast to (number of controls, \*grid.shape); a function returns such.
    discount : float
        :math:`\lambda \ge 0`.

    Returns
    -------
    ValueFunction
        At the ``steps + 1`` times from 0 to the horizon.

    Raises
    ------
    ValueError
        If an argument is out of range or does not fit the grid.
    ArithmeticError
        If policy iteration does not settle in a step.

    Notes
    -----
    DR (24) and (HJB), BK (1.19)–(1.20) and (2.5) with the signs of a cost. Central where monotone:
    Wang & Forsyth (2008).

    Examples
    --------
    >>> from relaxlib.diffusions import ornstein_uhlenbeck
    >>> grid = Grid.box(-6, 6, 241)
    >>> value = solve_hjb(ornstein_uhlenbeck(0.0, 1.0, temperature=0.5), grid, grid.axes[0] ** 2,
    ...                   horizon=1.0, steps=200, push=np.inf)
    >>> round(float(value.interpolate(1.0, t=0.0)), 2), round(1 / 3 + float(np.log(3)) / 2, 2)
    (0.88, 0.88)
    """
    _checks.kind("diffusion", diffusion, Diffusion, Sequence)
    choices = [diffusion] if isinstance(diffusion, Diffusion) else list(diffusion)
    if not choices:
        _checks.reject("diffusion", "[]", "at least one control", "pass a Diffusion for each")
    chains = [kolmogorov(choice, grid) for choice in choices]
    horizon, steps = _checks.positive("horizon", horizon), _checks.count("steps", steps)
    limit = _checks.number("push", push)
    if not limit >= 0.0:
        _checks.reject("push", f"{limit:g}", "push >= 0", "0 for no push, inf for no limit")
    discount = _checks.nonnegative("discount", discount)
    values = [_checks.values_on(grid.shape, terminal, "terminal").ravel()]
    bellman = _Bellman(chains, limit)
    times = np.linspace(0.0, horizon, steps + 1)
    for t in times[-2::-1]:
        rate = running_cost(float(t)) if callable(running_cost) else running_cost
        costs = _costs(rate, (len(choices), *grid.shape))
        values.append(bellman.step(values[-1], horizon / steps, costs, discount))
    return ValueFunction(grid, times, np.reshape(values[::-1], (steps + 1, *grid.shape)))


class _Axis(NamedTuple):
    """An axis of the grid: every node's neighbors, and what central drifts may be."""

    spacing: float
    above: np.ndarray
    below: np.ndarray
    limits: np.ndarray  # (controls, n)


class _Bellman:
    """The nonlinear step of `solve_hjb`: its policies, and the chain that each of them makes."""

    def __init__(self, chains: list[KolmogorovOperator], push: float) -> None:
        grid = chains[0].grid
        index = np.arange(len(grid.nodes)).reshape(grid.shape)
        self.matrices = [chain.matrix for chain in chains]
        self.push, self.here = push, index.ravel()
        self.axes = []
        for axis, spacing in enumerate(grid.spacings if push > 0.0 else []):
            last = grid.shape[axis] - 1
            steps = np.clip(np.add.outer([1, -1], np.arange(last + 1)), 0, last)
            above, below = (index.take(step, axis=axis).ravel() for step in steps)
            rates = [np.minimum(m[self.here, above], m[self.here, below]) for m in self.matrices]
            limits = np.minimum(2 * spacing * np.maximum(rates, 0.0), push)
            self.axes.append(_Axis(spacing, above, below, limits))

    def step(self, after: np.ndarray, dt: float, costs: np.ndarray, discount: float) -> np.ndarray:
        """The values one step earlier, where the best policy is its own improvement."""
        values, scale = after, 1.0 + np.abs(after).max()
        identity = (1.0 + discount * dt) * eye_array(len(after))
        for _ in range(_IMPROVEMENTS):
            chain, cost = self._best(values, costs)
            former, values = values, spsolve((identity - dt * chain).tocsc(), after + dt * cost)
            change = float(np.abs(values - former).max())
            if change <= _SETTLED * scale:
                return values
        raise ArithmeticError(
            f"policy iteration: the value still changes by {change:.1e} after {_IMPROVEMENTS} "
            "policies; take shorter steps, or a finite push"
        )

    def _best(self, values: np.ndarray, costs: np.ndarray) -> tuple[csr_array, np.ndarray]:
        """The chain and the running cost of the policy that is best against ``values``."""
        gains, efforts, jumps = [], [], []
        for control, (matrix, cost) in enumerate(zip(self.matrices, costs, strict=True)):
            pushes = [_push(values, axis, control, self.push) for axis in self.axes]
            gains.append(matrix @ values + cost + sum(gain for gain, _, _ in pushes))
            efforts.append(cost + sum(effort for _, effort, _ in pushes))
            jumps.append([rates for _, _, rates in pushes])
        choice = np.argmin(gains, axis=0)
        chain = vstack(self.matrices).tocsr()[choice * len(choice) + self.here]
        for axis, (_, above, below, _) in enumerate(self.axes):
            for side, target in enumerate((above, below)):
                rates = np.array([row[axis][side] for row in jumps])[choice, self.here]
                chain = chain + _jumps(self.here, target, rates)
        return chain, np.array(efforts)[choice, self.here]


def _push(values: np.ndarray, axis: _Axis, control: int, push: float) -> tuple[np.ndarray, ...]:
    """Gain and effort (n,) of the best drift along an axis, its rates of jumps up and down (2, n).

    The drift is minus its size. It moves by jumps to both neighbors, which a size beyond the limit
    does not allow, or by jumps to the one that it leads to.
    """
    above, below = values[axis.above], values[axis.below]
    slopes = np.array([(above - below) / 2, values - below, values - above]) / axis.spacing
    limit, most = axis.limits[control], np.full(len(values), push)
    sizes = np.clip(slopes, [-limit, limit, limit], [limit, most, most])
    gains = sizes * (sizes / 2 - slopes)
    gains[1:, limit >= push] = np.inf
    best = np.argmin(gains, axis=0), np.arange(len(values))
    shares = np.array([[-0.5, 0.0, 1.0], [0.5, 1.0, 0.0]])[:, best[0]]
    return gains[best], sizes[best] ** 2 / 2, shares * sizes[best] / axis.spacing


def _jumps(source: np.ndarray, target: np.ndarray, rates: np.ndarray) -> csr_array:
    """The generator of jumps from every source to its target."""
    rows, columns = np.tile(source, 2), np.concatenate([target, source])
    return csr_array((np.concatenate([rates, -rates]), (rows, columns)), shape=(len(source),) * 2)


def _costs(rate: ArrayLike, shape: tuple[int, ...]) -> np.ndarray:
    """Running costs (controls, n), from what broadcasts to (controls, *grid.shape)."""
    costs = _checks.array("running_cost", rate)
    _checks.finite("running_cost", costs)
    with suppress(ValueError):
        return np.broadcast_to(costs, shape).reshape(shape[0], -1)
    need = f"a shape that broadcasts to {shape}"
    _checks.reject("running_cost.shape", costs.shape, need, "one row for each control")
