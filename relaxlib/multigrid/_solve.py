"""Black-box multigrid: boundary-value problems of a generator in the plane, in linear time."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from relaxlib import _checks
from relaxlib.multigrid._stencils import (
    apply,
    coarsen,
    eliminate,
    interpolate,
    prolong,
    read,
    restrict,
    sweep_columns,
    sweep_rows,
)
from relaxlib.operators import KolmogorovOperator

_COARSEST = 120  # nodes or fewer are solved for directly
_CYCLES = 200  # at most
_MEMORY = 15  # earlier directions that a new one is made orthogonal to
_TOLERANCE = 1e-10  # largest correction by a last cycle, relative to the largest value


class _Level(NamedTuple):
    """The equations of one grid, each divided by its diagonal, and the way to the next grid."""

    stencil: np.ndarray  # (n, m, 9) links to the neighbors; the middle is what a row sums to
    pivots: np.ndarray  # (n, m, 4) inverse pivot and ratio of the lines along the last, first axis
    spread: np.ndarray  # (n/2, m/2, 9) values at the nodes around a coarse node that is one
    diagonal: np.ndarray  # (n/2, m/2) of the coarse equations before they are divided by it


def solve(
    operator: KolmogorovOperator, source: ArrayLike, *, inside: ArrayLike, discount: float = 0.0
) -> np.ndarray:
    r"""Solve a boundary-value problem of a generator in the plane.

    .. math:: \delta w - Mw = s \quad\text{inside}, \qquad w = 0 \quad\text{elsewhere.}

    Parameters
    ----------
    operator : KolmogorovOperator
        In two dimensions, with jumps to the 8 neighbors of a node only.
    source : array_like of shape ``grid.shape``
        s, finite.
    inside : bool array_like of shape ``grid.shape``
    discount : float
        :math:`\delta \ge 0`.

    Returns
    -------
    float64 array of shape ``grid.shape``
        To 1e-10 of its largest value, as a multigrid cycle estimates the error.

    Raises
    ------
    ValueError
        If the grid is not in the plane, a jump is longer, or nothing holds w down: no discount,
        and no jump that leaves the nodes inside.
    ArithmeticError
        If 200 cycles do not suffice.

    Notes
    -----
    Black-box multigrid (Dendy, J. Comput. Phys. 48, 1982): interpolation by the equations, Galerkin
    coarse equations, alternating zebra lines; a cycle preconditions a truncated GCR (Eisenstat,
    Elman & Schultz 1983). Every level stores what a row sums to, so that small rates of escape do
    not cancel. Where the smallest eigenvalue is :math:`e^{-\Delta V/T}` a residual says little of
    the error: the stop is a correction by a cycle below 1e-10 times the largest value.

    Examples
    --------
    >>> from relaxlib.grid import Grid
    >>> from relaxlib.operators import langevin_operator
    >>> grid = Grid.box((-1, -1), (1, 1), (41, 41))
    >>> operator = langevin_operator(grid, np.zeros(grid.shape), temperature=1.0)
    >>> interior = np.abs(grid.nodes).max(axis=1).reshape(grid.shape) < 1
    >>> time = solve(operator, np.ones(grid.shape), inside=interior)
    >>> f"mean exit time of a Brownian motion from the center of a square: {time[20, 20]:.4f}"
    'mean exit time of a Brownian motion from the center of a square: 0.2945'
    """
    _checks.kind("operator", operator, KolmogorovOperator)
    grid, matrix = operator.grid, operator.matrix
    if grid.dim != 2:
        _checks.reject("grid.dim", grid.dim, "2", "use a sparse direct solve")
    values = _checks.values_on(grid.shape, source, "source")
    mask = _checks.mask("inside", inside, grid.shape)
    discount = _checks.nonnegative("discount", discount)
    stencil, right = np.zeros((*grid.shape, 9)), np.zeros(grid.shape)
    arrays = matrix.indptr, matrix.indices, matrix.data
    longest = read(*arrays, mask, discount, values, stencil, right)
    if longest > 1:
        need = "jumps to the 8 neighbors"
        _checks.reject("longest jump", longest, need, "use a sparse direct solve")
    if mask.any() and not stencil[:, :, 4].any():
        need = "a positive discount where no jump leaves the nodes inside"
        _checks.reject("discount", discount, need, "discount, or leave nodes out")
    return _accelerate(stencil, *_hierarchy(stencil, mask), right)


def _hierarchy(stencil: np.ndarray, inside: np.ndarray) -> tuple[list[_Level], np.ndarray]:
    """Levels from fine to coarse, and the inverse of the coarsest equations."""
    levels = []
    while inside.size > _COARSEST:
        coarse_inside = np.ascontiguousarray(inside[::2, ::2])
        shape = coarse_inside.shape
        spread, coarse = np.zeros((*shape, 9)), np.zeros((*shape, 9))
        lost, pivots, diagonal = np.ones(inside.shape), np.empty((*inside.shape, 4)), np.ones(shape)
        interpolate(stencil, inside, spread, lost)
        coarsen(stencil, spread, lost, coarse_inside, coarse, diagonal)
        eliminate(stencil, pivots)
        levels.append(_Level(stencil, pivots, spread, diagonal))
        stencil, inside = coarse, coarse_inside
    columns = np.eye(inside.size).reshape(-1, *inside.shape)
    for node in np.flatnonzero(inside):
        apply(stencil, columns[node].copy(), columns[node])
    return levels, np.linalg.inv(columns.reshape(inside.size, -1).T)


def _accelerate(
    stencil: np.ndarray, levels: list[_Level], inverse: np.ndarray, right: np.ndarray
) -> np.ndarray:
    """Minimize the residual over the corrections of the cycles."""
    values, residual = np.zeros_like(right), right.copy()
    history: list[tuple[np.ndarray, np.ndarray]] = []
    for _ in range(_CYCLES):
        correction = _cycle(levels, inverse, residual)
        change, size = np.abs(correction).max(), np.abs(values).max()
        if change <= _TOLERANCE * size:
            return values + correction
        image = np.empty_like(right)
        apply(stencil, correction, image)
        for direction, its_image in history:
            share = np.vdot(image, its_image)
            image -= share * its_image
            correction -= share * direction
        length = np.linalg.norm(image)
        image /= length
        correction /= length
        share = np.vdot(residual, image)
        values += share * correction
        residual -= share * image
        history = [*history[1 - _MEMORY :], (correction, image)]
    flaw = f"last correction {change / size:.1e} > {_TOLERANCE:g} of the largest value"
    raise ArithmeticError(
        f"multigrid: {flaw} after {_CYCLES} cycles; raise the temperature, or solve directly"
    )


def _cycle(
    levels: list[_Level], inverse: np.ndarray, right: np.ndarray, depth: int = 0
) -> np.ndarray:
    """An approximate solution: smooth, correct from the coarser grid, smooth."""
    if depth == len(levels):
        return (inverse @ right.ravel()).reshape(right.shape)
    level = levels[depth]
    values = np.zeros_like(right)
    sweep_rows(level.stencil, level.pivots, right, values)
    sweep_columns(level.stencil, level.pivots, right, values)
    image, coarse = np.empty_like(right), np.empty_like(level.diagonal)
    apply(level.stencil, values, image)
    restrict(level.spread, right - image, level.diagonal, coarse)
    prolong(level.spread, _cycle(levels, inverse, coarse, depth + 1), values)
    sweep_columns(level.stencil, level.pivots, right, values)
    sweep_rows(level.stencil, level.pivots, right, values)
    return values
