"""Mean exit times and other expectations up to the exit, from the generator on a grid."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import csc_array, csr_array, eye_array
from scipy.sparse.csgraph import breadth_first_order
from scipy.sparse.linalg import splu

from relaxlib import _checks, multigrid
from relaxlib.exit_times._cut_cells import killed
from relaxlib.operators import KolmogorovOperator
from relaxlib.regions import Ball, Box

_DIRECT = 20_000  # nodes up to which the sparse direct solver is at least as fast as multigrid
_LOST = 1e-4  # largest relative error by rounding that a solve may have


def mean_exit_time(operator: KolmogorovOperator, region: Ball | Box | np.ndarray) -> np.ndarray:
    r"""Solve :math:`-Au = 1` in a region with u = 0 outside: :math:`u(x) = E_x\tau`.

    On a ball or a box, whose boundary cuts the jumps where they meet it, second order where the
    chain is: where the drift has no part in directions without noise, which would move upwind, to
    first order (see `kolmogorov`). First order on a mask. Where noise and drift never carry the
    process through the boundary, u does not vanish there; where it may stay for ever, u is
    infinite.

    Parameters
    ----------
    operator : KolmogorovOperator
        A region that reaches beyond the grid has the operator's boundary there.
    region : Ball, Box or boolean array of ``grid.shape``

    Returns
    -------
    float64 array of shape ``grid.shape``
        Zero outside the region.

    Raises
    ------
    ValueError
        If the region has no node of the grid.
    ArithmeticError
        If the time is so long that rounding errors of the direct solve exceed 1e-4 of it. In the
        plane, beyond 20 000 nodes, multigrid is tried first.

    Notes
    -----
    BBI (5), (63).

    Examples
    --------
    >>> from relaxlib.grid import Grid
    >>> from relaxlib.operators import langevin_operator
    >>> grid = Grid.box(-2, 2, 41)
    >>> brownian = langevin_operator(grid, np.zeros(41), temperature=0.5)
    >>> round(float(mean_exit_time(brownian, Ball(0.0, 1.25))[20]), 6)  # r^2 / (2 T)
    1.5625
    """
    _checks.kind("operator", operator, KolmogorovOperator)
    chain, inside, leaving = killed(operator, region)
    endless = _may_stay_forever(chain.matrix, inside, leaving)
    times = _solve(chain, np.ones(len(inside)), inside & ~endless, 0.0)
    return np.where(endless, np.inf, times).reshape(operator.grid.shape)


def feynman_kac(
    operator: KolmogorovOperator,
    source: ArrayLike,
    *,
    discount: float,
    region: Ball | Box | np.ndarray,
) -> np.ndarray:
    r"""Solve :math:`\delta w - Aw = h` in a region with w = 0 outside.

    .. math:: w(x) = E_x\int_0^\tau h(X_t)\,e^{-\delta t}\,dt.

    With h = 1, :math:`1 - \delta w = E_x e^{-\delta\tau}`; with the datum of a cell problem,
    :math:`\delta w` tends to the mean of h as the region grows and :math:`\delta\to0` slowly.

    Parameters
    ----------
    operator : KolmogorovOperator
    source : array_like of shape ``grid.shape``
        h.
    discount : float
        delta, nonnegative.
    region : Ball, Box or boolean array of ``grid.shape``

    Returns
    -------
    float64 array of shape ``grid.shape``
        Zero outside the region.

    Raises
    ------
    ValueError
        If delta is zero and the process may stay in the region for ever.
    ArithmeticError
        As in `mean_exit_time`.

    Notes
    -----
    SL, truncated cell problems; BBI (5) with delta = 0, h = 1.

    Examples
    --------
    >>> from relaxlib.grid import Grid
    >>> from relaxlib.operators import langevin_operator
    >>> grid = Grid.box(-2, 2, 401)
    >>> brownian = langevin_operator(grid, np.zeros(401), temperature=0.5)
    >>> w = feynman_kac(brownian, np.ones(401), discount=0.5, region=Ball(0.0, 1.0))
    >>> round(1 - 0.5 * float(w[200]), 4), round(float(1 / np.cosh(1.0)), 4)
    (0.6481, 0.6481)
    """
    _checks.kind("operator", operator, KolmogorovOperator)
    discount = _checks.nonnegative("discount", discount)
    values = _checks.values_on(operator.grid.shape, source, "source").ravel()
    chain, inside, leaving = killed(operator, region)
    if discount == 0.0 and _may_stay_forever(chain.matrix, inside, leaving).any():
        need = "discount > 0, as the process may stay in the region for ever"
        _checks.reject("discount", 0, need, "discount, or enlarge the noise")
    return _solve(chain, values, inside, discount).reshape(operator.grid.shape)


def _may_stay_forever(matrix: csr_array, inside: np.ndarray, leaving: np.ndarray) -> np.ndarray:
    """Nodes inside from which the chain reaches nodes that it cannot leave, (n,) bool."""
    trapped = inside & ~_reaching(matrix, leaving > 0.0)
    return inside & _reaching(matrix, trapped)


def _reaching(matrix: csr_array, targets: np.ndarray) -> np.ndarray:
    """Nodes with a path of jumps to a target, targets included, (n,) bool."""
    count, ends, jumps = len(targets), np.flatnonzero(targets), matrix.tocoo()
    moves = jumps.data > 0.0
    source = np.append(jumps.col[moves], np.full(len(ends), count))  # a node before all targets
    target = np.append(jumps.row[moves], ends)
    backward = csr_array((np.ones(len(source)), (source, target)), shape=(count + 1,) * 2)
    found = np.zeros(count + 1, np.bool_)
    found[breadth_first_order(backward, count, return_predecessors=False)] = True
    return found[:count]


def _solve(
    chain: KolmogorovOperator, source: np.ndarray, inside: np.ndarray, discount: float
) -> np.ndarray:
    """The solution w (n,) of (discount - M) w = source on the nodes inside, zero at the others."""
    shape, right = chain.grid.shape, np.where(inside, source, 0.0)
    if not right.any():
        return right
    if inside.sum() > _DIRECT:
        mask = inside.reshape(shape)
        with suppress(ArithmeticError, ValueError):  # not converged, or refused: solve directly
            found = multigrid.solve(chain, right.reshape(shape), inside=mask, discount=discount)
            return found.ravel()
    among = chain.matrix[inside][:, inside]
    system = csc_array(discount * eye_array(among.shape[0]) - among)
    values, largest = np.zeros_like(right), np.abs(right).max()
    values[inside] = splu(system).solve(right[inside])
    lost = np.finfo(float).eps * np.abs(system.diagonal() * values[inside]).max() / largest
    if not lost < _LOST:
        raise ArithmeticError(
            f"time of {np.abs(values).max() / largest:.1e} to be solved for: rounding costs "
            f"{lost:.1e} of it, more than {_LOST:g}; use interval_exit_time, kramers or "
            "mean_exit_time_splitting"
        )
    return values
