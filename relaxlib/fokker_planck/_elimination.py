"""The stationary law of a chain by elimination of its nodes, without a subtraction."""

from __future__ import annotations

from math import frexp, ldexp

import numpy as np
from numba import njit
from scipy.sparse import csc_array, csr_array, eye_array
from scipy.sparse.linalg import spilu

from relaxlib._lanes.compilation import OPTIONS

_RAREST = 1e-200  # least rate of leaving, in units of the largest: products of two are lost below


def null_masses(rates: csr_array) -> np.ndarray:
    r"""The probability vector of a chain whose nodes all reach each other, from its jumps (n, n).

    Node after node is left out, and the rates of the chain watched on the others,

    .. math:: r_{ij} \leftarrow r_{ij} + r_{ik}\,r_{kj}\Big/\sum_{l \ne k} r_{kl},

    are sums of positive numbers: every mass keeps its digits, however rare the jumps between
    wells (Grassmann, Taksar & Heyman, 1985). The order is one of minimum degree.

    Raises
    ------
    ArithmeticError
        If the rate of leaving a node underflows.
    """
    order = _order(rates)
    jumps = rates[order][:, order].tocsr()
    links = csr_array(jumps + jumps.T)
    scaled = jumps.data / jumps.data.max()
    least, visits, exponents = _eliminated(
        jumps.indptr, jumps.indices, scaled, *_pattern(links.indptr, links.indices)
    )
    if not least > _RAREST:
        raise ArithmeticError(
            f"stationary density: some nodes are left at {least:.1e} of the largest rate, below "
            f"{_RAREST:g}, where products of rates underflow; raise the temperature, or start from "
            "a density: evolve"
        )
    masses = np.empty(len(order))
    masses[order] = np.ldexp(visits, np.maximum(exponents - exponents.max(), -2000))
    return masses / masses.sum()


def _order(rates: csr_array) -> np.ndarray:
    """An order of elimination that keeps the rows short: minimum degree."""
    links = csc_array(rates + rates.T)
    links.data[:] = 1.0
    dominant = csc_array(links + rates.shape[0] * eye_array(rates.shape[0]))
    how = {"permc_spec": "MMD_AT_PLUS_A", "options": {"SymmetricMode": True}}
    found = spilu(dominant, drop_tol=1.0, fill_factor=1.0, diag_pivot_thresh=0.0, **how)
    return np.argsort(found.perm_c)


@njit(**OPTIONS)
def _pattern(links, neighbors):
    """For each node the nodes before it and after it that an elimination links it to, sorted.

    The nodes before i are those on the ways up from its neighbors in the elimination's tree.
    """
    count = len(links) - 1
    parents, seen = np.full(count, -1), np.full(count, -1)
    rows, columns = np.zeros(count + 1, np.int64), np.zeros(count + 1, np.int64)
    for i in range(count):
        seen[i] = i
        for place in range(links[i], links[i + 1]):
            k = neighbors[place]
            while k < i and seen[k] != i:
                if parents[k] < 0:
                    parents[k] = i
                seen[k] = i
                rows[i + 1] += 1
                columns[k + 1] += 1
                k = parents[k]
    rows, columns = np.cumsum(rows), np.cumsum(columns)
    earlier, later = np.empty(rows[count], np.int64), np.empty(rows[count], np.int64)
    ends, seen = columns[:count].copy(), np.full(count, -1)
    for i in range(count):
        seen[i] = i
        for place in range(links[i], links[i + 1]):
            k = neighbors[place]
            while k < i and seen[k] != i:
                seen[k] = i
                later[ends[k]] = i
                ends[k] += 1
                k = parents[k]
    ends = rows[:count].copy()
    for k in range(count):
        for i in later[columns[k] : columns[k + 1]]:
            earlier[ends[i]] = k
            ends[i] += 1
    return rows, earlier, columns, later


@njit(**OPTIONS)
def _eliminated(first, targets, rates, rows, earlier, columns, later):
    """The least rate of leaving a node, and the expected visits to all per visit to the last.

    Visits come as mantissas and exponents of two.
    """
    count = len(rows) - 1
    returns = np.empty(len(earlier))  # visits to an earlier node before any later one, per unit
    chances = np.empty(len(later))  # to go to a later node first
    leaving, row = np.empty(count), np.zeros(count)
    for i in range(count):
        for place in range(first[i], first[i + 1]):
            row[targets[place]] = rates[place]
        for place in range(rows[i], rows[i + 1]):
            k = earlier[place]
            rate = row[k]
            row[k] = 0.0
            returns[place] = rate / leaving[k]
            for way in range(columns[k], columns[k + 1]):
                row[later[way]] += rate * chances[way]
        row[i] = 0.0
        leaving[i] = 0.0
        for way in range(columns[i], columns[i + 1]):
            leaving[i] += row[later[way]]
        for way in range(columns[i], columns[i + 1]):
            chances[way] = row[later[way]] / leaving[i]
            row[later[way]] = 0.0
    visits, exponents = np.zeros(count), np.zeros(count, np.int64)
    visits[count - 1] = 1.0
    for i in range(count - 1, -1, -1):
        visits[i], shift = frexp(visits[i])
        exponents[i] += shift
        for place in range(rows[i], rows[i + 1]):
            more, shift = frexp(visits[i] * returns[place])
            if more > 0.0:
                k, height = earlier[place], exponents[i] + shift
                top = max(height, exponents[k]) if visits[k] > 0.0 else height
                visits[k] = ldexp(visits[k], _shift(exponents[k] - top))
                visits[k] += ldexp(more, _shift(height - top))
                exponents[k] = top
    return leaving[: count - 1].min(), visits, exponents


@njit(**OPTIONS)
def _shift(exponent):
    """An exponent <= 0 as a number that C's ldexp takes."""
    return np.int32(max(exponent, -2000))
