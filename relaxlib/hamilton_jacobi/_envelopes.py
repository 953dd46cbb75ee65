"""Lower envelopes of parabolas along the axes of an array, in linear time."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from numba import njit

from relaxlib._lanes.compilation import FASTMATH
from relaxlib._lanes.progress import over_threads, threads

_SMALL = 1 << 17  # nodes for which it is not worth starting threads
_COLUMNS = 8  # neighboring columns copied together: one cache line


def lower_envelope(values: np.ndarray, curvatures: Sequence[float]) -> np.ndarray:
    r"""Lower envelope of one paraboloid per node, exact on the nodes.

    .. math:: u_i = \min_j \Big\{ f_j + \sum_k c_k (i_k - j_k)^2 \Big\}

    Parameters
    ----------
    values : float64 array, C order
        f, finite, in any dimension d.
    curvatures : d floats
        c, finite and nonnegative, in units of the node number.

    Returns
    -------
    float64 array of the shape of ``values``
        The same bits for any number of threads.

    Notes
    -----
    The minimum separates into the axes. Felzenszwalb and Huttenlocher, *Distance transforms of
    sampled functions*, Theory of Computing 8 (2012).

    Examples
    --------
    >>> lower_envelope(np.array([9.0, 9.0, 0.0, 9.0, 9.0]), [1.0]).tolist()
    [4.0, 1.0, 0.0, 1.0, 4.0]
    """
    *others, last = curvatures
    rows = values.reshape(-1, values.shape[-1])  # lines that lie contiguous
    out = np.empty_like(rows)
    _transform(partial(_transform_rows, rows, last, out), len(rows), out.size)
    for axis, curvature in enumerate(others):
        count, length = math.prod(values.shape[:axis]), values.shape[axis]
        slabs = out.reshape(count, length, -1)
        blocks = count * -(-slabs.shape[2] // _COLUMNS)
        _transform(partial(_transform_columns, slabs, curvature), blocks, out.size)
    return out.reshape(values.shape)


def _transform(kernel: Callable, count: int, nodes: int) -> None:
    """Call ``kernel(first, last)`` on ``count`` items, over threads where they hold many nodes."""
    if count == 1 or nodes <= _SMALL:
        kernel(0, count)
        return
    with threads() as pool:
        over_threads(pool, kernel, count)


@njit(cache=True, nogil=True, fastmath=FASTMATH)
def _transform_rows(rows, curvature, out, first, last):
    """Write the envelopes of the rows first, ..., last - 1 to ``out``."""
    nodes = np.empty(rows.shape[1], np.int32)
    for i in range(first, last):
        count = _envelope(rows[i], curvature, nodes)
        _evaluate(rows[i], curvature, nodes[:count], out[i])


@njit(cache=True, nogil=True, fastmath=FASTMATH)
def _transform_columns(slabs, curvature, first, last):
    """Replace blocks of neighboring columns of ``slabs`` (m, n, k) by their envelopes."""
    _, length, width = slabs.shape
    per_slab = (width + _COLUMNS - 1) // _COLUMNS
    columns, envelopes = np.empty((_COLUMNS, length)), np.empty((_COLUMNS, length))
    for block in range(first, last):
        start = block % per_slab * _COLUMNS
        columns_here = min(_COLUMNS, width - start)
        slab = slabs[block // per_slab, :, start : start + columns_here]
        for i in range(length):
            for k in range(columns_here):
                columns[k, i] = slab[i, k]
        _transform_rows(columns, curvature, envelopes, 0, columns_here)
        for i in range(length):
            for k in range(columns_here):
                slab[i, k] = envelopes[k, i]


@njit(cache=True, nogil=True, fastmath=FASTMATH)
def _envelope(values, curvature, nodes):
    """Store the nodes whose parabolas form the lower envelope; return their number.

    The parabola of node q is ``values[q] + curvature * (i - q)**2``. It takes over from its
    predecessor r where ``2 * curvature * (i - q)`` exceeds the slope
    ``(values[q] - values[r]) / (q - r) - curvature * (q - r)``. Only differences of
    neighbors enter, so that nothing cancels on a long line.
    """
    top, last, slope = 0, 0, -np.inf
    nodes[0] = 0
    for node in range(1, len(values)):
        while True:
            distance = float(node - last)
            rise = values[node] - values[last]
            if rise + curvature * distance * distance > slope * distance:
                break
            top -= 1
            last, slope = nodes[top], -np.inf
            if top > 0:
                gap = float(last - nodes[top - 1])
                slope = (values[last] - values[nodes[top - 1]]) / gap - curvature * gap
        last, slope = node, rise / distance - curvature * distance
        top += 1
        nodes[top] = last
    return top + 1


@njit(cache=True, nogil=True, fastmath=FASTMATH)
def _evaluate(values, curvature, nodes, out):
    """Write the lower envelope of the parabolas of ``nodes`` to ``out``."""
    k, node, following = 0, nodes[0], nodes[min(1, len(nodes) - 1)]
    for i in range(len(out)):
        lowest = values[node] + curvature * float(i - node) ** 2
        while k + 1 < len(nodes):
            candidate = values[following] + curvature * float(i - following) ** 2
            if candidate > lowest:
                break
            k += 1
            lowest, node = candidate, following
            following = nodes[min(k + 1, len(nodes) - 1)]
        out[i] = lowest
