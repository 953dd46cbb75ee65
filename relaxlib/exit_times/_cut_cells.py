"""A chain on a grid that leaves a region: its jumps end at the boundary, not beyond it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.sparse import csr_array

from relaxlib.operators import KolmogorovOperator
from relaxlib.regions import Ball, Box

_SHORTEST = 1e-9  # smallest fraction of a jump that is told from no jump at all


def killed(
    operator: KolmogorovOperator, region: Ball | Box | np.ndarray
) -> tuple[KolmogorovOperator, np.ndarray, np.ndarray]:
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

    Returns
    -------
    chain : KolmogorovOperator
        Rows of nodes outside are zero; rows inside sum to minus the rate of leaving.
    inside : (n,) bool
        The nodes in the region.
    leaving : (n,) float64
        The rates of leaving.
    """
    grid, inside = operator.grid, operator.inside(region)
    jumps = operator.matrix.tocoo()
    chosen = inside[jumps.row] & (jumps.row != jumps.col) & (jumps.data > 0.0)
    rows, columns, rates = jumps.row[chosen], jumps.col[chosen], jumps.data[chosen]
    steps = _steps(operator, rows, columns)
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
    count, nodes = len(inside), np.arange(len(inside))
    leaving = np.bincount(rows[~staying], rates[~staying], count) + _walls(operator) * inside
    total = np.bincount(rows[staying], rates[staying], count) + leaving
    entries = np.concatenate([rates[staying], -total])
    places = [np.concatenate([ends[staying], nodes]) for ends in (rows, columns)]
    matrix = csr_array((entries, places), shape=(count, count))
    return replace(operator, matrix=matrix), inside, leaving


def _walls(operator: KolmogorovOperator) -> np.ndarray:
    """Rates of absorption at the walls of the grid, (n,)."""
    sums, diagonal = np.asarray(operator.matrix.sum(axis=1)).ravel(), operator.matrix.diagonal()
    return np.where(sums < 1e-12 * diagonal, -sums, 0.0)


def _steps(operator: KolmogorovOperator, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Jumps (n, d) in units of the spacings."""
    shape = np.array(operator.grid.shape)
    start, end = (np.stack(np.unravel_index(k, shape), axis=1) for k in (rows, columns))
    if operator.boundary == "periodic":
        return (end - start + shape // 2) % shape - shape // 2
    return end - start


def _opposites(rows: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Index of the jump -e from the same node for every jump e, or -1."""
    reach = int(np.abs(steps).max(initial=0))
    shape = (rows.max(initial=0) + 1,) + (2 * reach + 1,) * steps.shape[1]
    keys = np.ravel_multi_index((rows, *(reach + steps).T), shape)
    wanted = np.ravel_multi_index((rows, *(reach - steps).T), shape)
    order = np.argsort(keys)
    place = np.minimum(np.searchsorted(keys, wanted, sorter=order), len(keys) - 1)
    found = order[place]
    return np.where(keys[found] == wanted, found, -1)
