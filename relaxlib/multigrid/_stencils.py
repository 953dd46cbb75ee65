"""The compiled loops of multigrid: stencils of nine points, interpolated by their equations."""

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
            node, couplings = i * columns + j, stencil[i, j]
            total, absorbed, outward = 0.0, 0.0, 0.0
            for e in range(indptr[node], indptr[node + 1]):
                absorbed -= data[e]
                if indices[e] == node or data[e] == 0.0:
                    continue
                a, b = indices[e] // columns, indices[e] % columns
                longest = max(longest, abs(a - i), abs(b - j))
                if longest > 1:
                    return longest
                total += data[e]
                if inside[a, b]:
                    couplings[3 * (a - i) + b - j + 4] = data[e]
                else:
                    outward += data[e]
            if absorbed < ROUNDING * total:
                absorbed = 0.0
            couplings[4] = discount + absorbed + outward
            diagonal = total + discount + absorbed
            if diagonal > 0.0:
                couplings /= diagonal
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
            s = stencil[i, j]
            if i % 2 == j % 2:
                spread[i // 2, j // 2, 4] = 1.0
                lost[i, j] = 0.0
                continue
            if i % 2 == 1:
                step, before, after = 3, s[0] + s[1] + s[2], s[6] + s[7] + s[8]
            else:
                step, before, after = 1, s[0] + s[3] + s[6], s[2] + s[5] + s[8]
            total = before + after + s[4]
            if total > 0.0:
                lost[i, j] = s[4] / total
                for k, weight in ((4 - step, before), (4 + step, after)):
                    a, b = i + k // 3 - 1, j + k % 3 - 1
                    if a < rows and b < columns and inside[a, b]:
                        spread[a // 2, b // 2, 8 - k] = weight / total
                    else:
                        lost[i, j] += weight / total
    for i in range(1, rows, 2):
        for j in range(1, columns, 2):
            if not inside[i, j]:
                continue
            s = stencil[i, j]
            lost[i, j] = s[4]
            for k in range(9):
                a, b = i + k // 3 - 1, j + k % 3 - 1
                if k == 4 or a == rows or b == columns:
                    continue
                lost[i, j] += s[k] * lost[a, b]
                if k % 2 == 0:
                    around = spread[a // 2, b // 2]
                    along = s[3 * (k // 3) + 1] * around[5 - k % 3]
                    across = s[3 + k % 3] * around[7 - 3 * (k // 3)]
                    around[8 - k] = s[k] * around[4] + along + across


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
                a, b = 2 * i + k // 3 - 1, 2 * j + k % 3 - 1
                s = stencil[a, b]
                total += weight * s[4] * (1.0 - lost[a, b])
                patch[k // 3 + 1, k % 3 + 1] -= weight
                for m in range(9):
                    if m != 4 and s[m] != 0.0:
                        c, d = m // 3 - 1, m % 3 - 1
                        total += weight * s[m] * (lost[a + c, b + d] - lost[a, b])
                        patch[k // 3 + 1 + c, k % 3 + 1 + d] += weight * s[m]
            couplings = coarse[i, j]
            couplings[4] = total
            for m in range(9):
                a, b = i + m // 3 - 1, j + m % 3 - 1
                if m == 4 or not (0 <= a < rows and 0 <= b < columns):
                    continue
                for k in range(9):
                    c, d = 2 * (m // 3) + k // 3 - 1, 2 * (m % 3) + k % 3 - 1
                    if 0 <= c < 5 and 0 <= d < 5:
                        couplings[m] += patch[c, d] * spread[a, b, k]
                total += couplings[m]
            couplings /= total
            diagonal[i, j] = total


@njit(cache=True)
def eliminate(stencil, pivots):
    """Factor the tridiagonal equations of every line along both axes."""
    rows, columns = stencil.shape[:2]
    for i in range(rows):
        for j in range(columns):
            s, p = stencil[i, j], pivots[i, j]
            p[0] = 1.0 / (1.0 - (s[3] * pivots[i, j - 1, 1] if j > 0 else 0.0))
            p[2] = 1.0 / (1.0 - (s[1] * pivots[i - 1, j, 3] if i > 0 else 0.0))
            p[1], p[3] = s[5] * p[0], s[7] * p[2]


@njit(cache=True)
def sweep_rows(stencil, pivots, right, values):
    """Solve for every other line along the last axis, then for those between.

    Couplings across the edge of the box are zero, so that any neighbor will do there.
    """
    rows, columns = right.shape
    for color in range(2):
        for i in range(color, rows, 2):
            above, here, below = values[max(i - 1, 0)], values[i], values[min(i + 1, rows - 1)]
            couplings, pivot, last = stencil[i], pivots[i], 0.0
            for j in range(columns):
                s, west, east = couplings[j], max(j - 1, 0), min(j + 1, columns - 1)
                total = right[i, j] + s[0] * above[west] + s[1] * above[j] + s[2] * above[east]
                total += s[6] * below[west] + s[7] * below[j] + s[8] * below[east]
                last = (total + s[3] * last) * pivot[j, 0]
                here[j] = last
            for j in range(columns - 2, -1, -1):
                here[j] += pivot[j, 1] * here[j + 1]


@njit(cache=True)
def sweep_columns(stencil, pivots, right, values):
    """Solve for every other line along the first axis, then for those between."""
    rows, columns = right.shape
    for color in range(2):
        for i in range(rows):
            above, here, below = values[max(i - 1, 0)], values[i], values[min(i + 1, rows - 1)]
            couplings, pivot = stencil[i], pivots[i]
            for j in range(color, columns, 2):
                s, west, east = couplings[j], max(j - 1, 0), min(j + 1, columns - 1)
                total = right[i, j] + s[0] * above[west] + s[1] * above[j] + s[2] * above[east]
                total += s[3] * here[west] + s[5] * here[east]
                total += s[6] * below[west] + s[8] * below[east]
                here[j] = total * pivot[j, 2]
        for i in range(rows - 2, -1, -1):
            here, below, pivot = values[i], values[i + 1], pivots[i]
            for j in range(color, columns, 2):
                here[j] += pivot[j, 3] * below[j]


@njit(cache=True)
def apply(stencil, values, image):
    """Write the left-hand sides of the equations, by differences of neighbors."""
    rows, columns = values.shape
    for i in range(rows):
        for j in range(columns):
            s, here = stencil[i, j], values[i, j]
            total = s[4] * here
            for k in range(9):
                if k != 4 and s[k] != 0.0:
                    total += s[k] * (here - values[i + k // 3 - 1, j + k % 3 - 1])
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
                if spread[i, j, k] != 0.0:
                    share = spread[i, j, k] * coarse[i, j]
                    values[2 * i + k // 3 - 1, 2 * j + k % 3 - 1] += share
