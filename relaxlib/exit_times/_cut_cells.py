"""A chain on a grid that leaves a region: its jumps end at the boundary, not beyond it."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_array, csr_array

from relaxlib.operators import KolmogorovOperator
from relaxlib.regions import Ball, Box

_SHORTEST = 1e-9  # smallest fraction of a jump that is told from no jump at all


def killed(
    operator: KolmogorovOperator, region: Ball | Box | np.ndarray, inside: np.ndarray
) -> tuple[csr_array, np.ndarray]:
    r"""The generator of the chain that ends at the boundary of a region.

    A pair of jumps :math:`\pm e` with rates :math:`r_\pm` is cut at the fractions
    :math:`\theta_\pm \le 1` at which it meets the boundary, and keeps its mean and variance:

    .. math:: r_\pm' = \frac{(r_+ + r_-) \pm \theta_\mp(r_+ - r_-)}
                            {\theta_\pm(\theta_+ + \theta_-)} \ge 0,

    the arms of Shortley & Weller (1938). A jump without an opposite is a drift, :math:`r/\theta`.

    Parameters
    ----------
    operator : KolmogorovOperator
    region : Ball, Box or boolean array of ``grid.shape``
        Jumps to nodes outside a mask are not cut.
    inside : (n,) bool
        The nodes in the region.

    Returns
    -------
    matrix : (n, n) csr_array
        Rows of nodes outside are zero; rows inside sum to minus the rate of leaving.
    leaving : (n,) float64
        The rates of leaving.
    """
    grid = operator.grid
    jumps = coo_array(operator.matrix)
    chosen = inside[jumps.row] & (jumps.row != jumps.col) & (jumps.data > 0.0)
    rows, columns, rates = jumps.row[chosen], jumps.col[chosen], jumps.data[chosen]
    steps = _steps(grid.shape, rows, columns, operator.boundary == "periodic")
    arms = np.ones(len(rows))
    if isinstance(region, Ball | Box):
        out = ~inside[columns]
        crossing = region.crossing(grid.nodes[rows[out]], steps[out] * grid.spacings)
        arms[out] = np.clip(crossing, _SHORTEST, 1.0)
    opposite = _opposites(rows, steps)
    paired = opposite >= 0
    back, back_arms = np.where(paired, rates[opposite], 0.0), arms[opposite]
    sums = (rates + back) + back_arms * (rates - back)
    rates = np.where(paired, sums / (arms * (arms + back_arms)), rates / arms)
    staying = inside[columns]
    count = len(inside)
    leaving = np.bincount(rows[~staying], rates[~staying], count) + _walls(operator) * inside
    total = np.bincount(rows[staying], rates[staying], count) + leaving
    everywhere = np.arange(count)
    places = (
        np.concatenate([rows[staying], everywhere]),
        np.concatenate([columns[staying], everywhere]),
    )
    entries = np.concatenate([rates[staying], -total])
    return csr_array(coo_array((entries, places), shape=(count, count))), leaving


def longest_jump(matrix: csr_array, shape: tuple[int, ...]) -> int:
    """Largest number of spacings along an axis that a jump of a chain on a grid spans."""
    jumps = coo_array(matrix)
    moves = jumps.data != 0.0
    return int(np.abs(_steps(shape, jumps.row[moves], jumps.col[moves], False)).max(initial=0))


def _walls(operator: KolmogorovOperator) -> np.ndarray:
    """Rates of absorption at the walls of the grid, (n,)."""
    sums, diagonal = np.asarray(operator.matrix.sum(axis=1)).ravel(), operator.matrix.diagonal()
    return np.where(sums < 1e-12 * diagonal, -sums, 0.0)


def _steps(
    shape: tuple[int, ...], rows: np.ndarray, columns: np.ndarray, periodic: bool
) -> np.ndarray:
    """Jumps (n, d) in units of the spacings."""
    start, end = (np.stack(np.unravel_index(k, shape), axis=1) for k in (rows, columns))
    steps = end - start
    if periodic:
        period = np.array(shape)
        steps = (steps + period // 2) % period - period // 2
    return steps


def _opposites(rows: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Index of the jump -e from the same node for every jump e, or -1."""
    reach = int(np.abs(steps).max(initial=0))
    base = 2 * reach + 1
    powers = base ** np.arange(steps.shape[1])
    keys = rows * base ** steps.shape[1] + (steps + reach) @ powers
    wanted = rows * base ** steps.shape[1] + (reach - steps) @ powers
    order = np.argsort(keys)
    place = np.minimum(np.searchsorted(keys, wanted, sorter=order), len(keys) - 1)
    found = order[place]
    return np.where(keys[found] == wanted, found, -1)
