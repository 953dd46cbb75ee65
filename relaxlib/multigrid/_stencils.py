"""The compiled loops of multigrid: stencils of nine points, interpolated by their equations.

The links (9,) of node (i, j) are its couplings to nodes (i + k // 3 - 1, j + k % 3 - 1) divided by
the diagonal; the middle one, k = 4, is what the row sums to.
"""

from __future__ import annotations

import numpy as np
from numba import njit

ROUNDING = 1e-13  # a row of M that sums to less, relative to its diagonal, sums to zero


@njit(cache=True)
def read(indptr, indices, data, inside, discount, source, stencil, right):
    """Write the equations of the nodes inside; return the longest jump from them."""
    rows, columns = inside.shape
    longest = 0
    for i in range(rows):
        for j in range(columns):
            if not inside[i, j]:
                continue
            node, links = i * columns + j, stencil[i, j]
            total, absorbed, outward = 0.0, 0.0, 0.0
            for entry in range(indptr[node], indptr[node + 1]):
                rate = data[entry]
                absorbed -= rate
                if indices[entry] == node or rate == 0.0:
                    continue
                row, column = indices[entry] // columns, indices[entry] % columns
                longest = max(longest, abs(row - i), abs(column - j))
                if longest > 1:
                    return longest
                total += rate
                if inside[row, column]:
                    links[3 * (row - i) + column - j + 4] = rate
                else:
                    outward += rate
            if absorbed < ROUNDING * total:
                absorbed = 0.0
            links[4] = discount + absorbed + outward
            diagonal = total + discount + absorbed
            if diagonal > 0.0:
                links /= diagonal
                right[i, j] = source[i, j] / diagonal
    return longest


@njit(cache=True)
def interpolate(stencil, inside, spread, lost):
    """Write the interpolation that solves the equations, and what its rows lack to one.

    Between two coarse nodes the equation is summed across the line; amid four it holds exactly.
    """
    rows, columns = inside.shape
    for i in range(rows):
        for j in range(columns):
            if not inside[i, j] or i % 2 == 1 == j % 2:
                continue
            links = stencil[i, j]
            if i % 2 == j % 2:
                spread[i // 2, j // 2, 4] = 1.0
                lost[i, j] = 0.0
                continue
            if i % 2 == 1:
                step, before, after = 3, links[:3].sum(), links[6:].sum()
            else:
                step, before, after = 1, links[::3].sum(), links[2::3].sum()
            total = before + after + links[4]
            if total > 0.0:
                lost[i, j] = links[4] / total
                for k, weight in ((4 - step, before), (4 + step, after)):
                    row, column = i + k // 3 - 1, j + k % 3 - 1
                    if row < rows and column < columns and inside[row, column]:
                        spread[row // 2, column // 2, 8 - k] = weight / total
                    else:
                        lost[i, j] += weight / total
    for i in range(1, rows, 2):
        for j in range(1, columns, 2):
            if not inside[i, j]:
                continue
            links = stencil[i, j]
            lost[i, j] = links[4]
            for k in range(9):
                row, column = i + k // 3 - 1, j + k % 3 - 1
                if k == 4 or row == rows or column == columns:
                    continue
                lost[i, j] += links[k] * lost[row, column]
                if k % 2 == 0:
                    around = spread[row // 2, column // 2]
                    along = links[3 * (k // 3) + 1] * around[5 - k % 3]
                    across = links[3 + k % 3] * around[7 - 3 * (k // 3)]
                    around[8 - k] = links[k] * around[4] + along + across


@njit(cache=True)
def coarsen(stencil, spread, lost, inside, coarse, diagonal):
    """Write the Galerkin equations of the coarse nodes, row sums without cancellation."""
    rows, columns = inside.shape
    patch = np.empty((5, 5))
    for i in range(rows):
        for j in range(columns):
            if not inside[i, j]:
                continue
            patch[:] = 0.0
            total = 0.0
            for k in range(9):
                weight = spread[i, j, k]
                if weight == 0.0:
                    continue
                row, column = 2 * i + k // 3 - 1, 2 * j + k % 3 - 1
                links = stencil[row, column]
                total += weight * links[4] * (1.0 - lost[row, column])
                patch[k // 3 + 1, k % 3 + 1] -= weight
                for near in range(9):
                    if near != 4 and links[near] != 0.0:
                        down, across = near // 3 - 1, near % 3 - 1
                        loss = lost[row + down, column + across] - lost[row, column]
                        total += weight * links[near] * loss
                        patch[k // 3 + 1 + down, k % 3 + 1 + across] += weight * links[near]
            links = coarse[i, j]
            links[4] = total
            for near in range(9):
                row, column = i + near // 3 - 1, j + near % 3 - 1
                if near == 4 or not (0 <= row < rows and 0 <= column < columns):
                    continue
                for k in range(9):
                    down, across = 2 * (near // 3) + k // 3 - 1, 2 * (near % 3) + k % 3 - 1
                    if 0 <= down < 5 and 0 <= across < 5:
                        links[near] += patch[down, across] * spread[row, column, k]
                total += links[near]
            links /= total
            diagonal[i, j] = total


@njit(cache=True, error_model="numpy")
def eliminate(stencil, pivots):
    """Factor the tridiagonal equations of every line along both axes; to NaN where singular."""
    rows, columns = stencil.shape[:2]
    for i in range(rows):
        for j in range(columns):
            links, pivot = stencil[i, j], pivots[i, j]
            pivot[0] = 1.0 / (1.0 - (links[3] * pivots[i, j - 1, 1] if j > 0 else 0.0))
            pivot[2] = 1.0 / (1.0 - (links[1] * pivots[i - 1, j, 3] if i > 0 else 0.0))
            pivot[1], pivot[3] = links[5] * pivot[0], links[7] * pivot[2]


@njit(cache=True)
def sweep_rows(stencil, pivots, right, values):
    """Solve for every other line along the last axis, then for those between.

    Links across the edge of the box are zero, so that any neighbor will do there.
    """
    rows, columns = right.shape
    for color in range(2):
        for i in range(color, rows, 2):
            up, here, down = values[max(i - 1, 0)], values[i], values[min(i + 1, rows - 1)]
            pivot, last = pivots[i], 0.0
            for j in range(columns):
                links, west, east = stencil[i, j], max(j - 1, 0), min(j + 1, columns - 1)
                total = right[i, j] + links[0] * up[west] + links[1] * up[j] + links[2] * up[east]
                total += links[6] * down[west] + links[7] * down[j] + links[8] * down[east]
                last = (total + links[3] * last) * pivot[j, 0]
                here[j] = last
            for j in range(columns - 2, -1, -1):
                here[j] += pivot[j, 1] * here[j + 1]


@njit(cache=True)
def sweep_columns(stencil, pivots, right, values):
    """Solve for every other line along the first axis, then for those between."""
    rows, columns = right.shape
    for color in range(2):
        for i in range(rows):
            up, here, down = values[max(i - 1, 0)], values[i], values[min(i + 1, rows - 1)]
            for j in range(color, columns, 2):
                links, west, east = stencil[i, j], max(j - 1, 0), min(j + 1, columns - 1)
                total = right[i, j] + links[0] * up[west] + links[1] * up[j] + links[2] * up[east]
                total += links[3] * here[west] + links[5] * here[east]
                total += links[6] * down[west] + links[8] * down[east]
                here[j] = total * pivots[i, j, 2]
        for i in range(rows - 2, -1, -1):
            here, down, pivot = values[i], values[i + 1], pivots[i]
            for j in range(color, columns, 2):
                here[j] += pivot[j, 3] * down[j]


@njit(cache=True)
def apply(stencil, values, image):
    """Write the left-hand sides of the equations, by differences of neighbors."""
    rows, columns = values.shape
    for i in range(rows):
        for j in range(columns):
            links, here = stencil[i, j], values[i, j]
            total = links[4] * here
            for k in range(9):
                if k != 4 and links[k] != 0.0:
                    total += links[k] * (here - values[i + k // 3 - 1, j + k % 3 - 1])
            image[i, j] = total


@njit(cache=True)
def restrict(spread, residual, diagonal, coarse):
    """Write the right-hand sides of the coarse equations."""
    for i in range(coarse.shape[0]):
        for j in range(coarse.shape[1]):
            total = 0.0
            for k in range(9):
                if spread[i, j, k] != 0.0:
                    total += spread[i, j, k] * residual[2 * i + k // 3 - 1, 2 * j + k % 3 - 1]
            coarse[i, j] = total / diagonal[i, j]


@njit(cache=True)
def prolong(spread, coarse, values):
    """Add the interpolation of the coarse values."""
    for i in range(coarse.shape[0]):
        for j in range(coarse.shape[1]):
            for k in range(9):
                share = spread[i, j, k]
                if share != 0.0:
                    values[2 * i + k // 3 - 1, 2 * j + k % 3 - 1] += share * coarse[i, j]
