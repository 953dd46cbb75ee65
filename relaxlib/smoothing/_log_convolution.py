"""Gaussian convolution in logarithms: the sums behind local entropy on a grid.

The kernel factorizes over tiles. Between an output i of a tile and an input j of a block, both
``size`` nodes long and D nodes apart,

    (i - j)^2 = D^2 + (2 D r + r^2),    r = offset of i in its tile - offset of j in its block,

so that one exponential per input, one per relevant pair of tile and block and a table over (D, r)
turn the sum into multiplications. A pair is relevant when it may hold a term above exp(-CUTOFF)
times the term of one fixed input: a difference of two exponents is linear in i, so both ends of the
tile decide.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit, prange

from relaxlib._lanes.compilation import FASTMATH

_CUTOFF = 40.0
_SAFE = 330.0  # exponents up to here, in the table, cannot make any relevant term underflow
_CHUNK = 4096  # outputs that one thread computes in a row


def log_convolve(exponents: np.ndarray, axis: int, width: float) -> np.ndarray:
    r"""Minus the logarithm of a Gaussian convolution of exp(-exponents) along one axis.

    .. math:: b_i = -\log \sum_{j=0}^{n-1} \frac{\omega_j}{\sqrt{2\pi}\,w}\,
              e^{-a_j - (i-j)^2/(2w^2)}, \qquad \omega_0 = \omega_{n-1} = \tfrac12,
              \quad \omega_j = 1 \text{ elsewhere}

    Parameters
    ----------
    exponents : float64 array
        a, finite.
    axis : int
    width : float
        Standard deviation w of the Gaussian in nodes.

    Returns
    -------
    float64 array of the same shape
        b, in which the bits do not depend on the number of threads.

    Examples
    --------
    >>> abs(float(log_convolve(np.zeros(101), 0, 2.0)[50])) < 1e-14
    True
    """
    lines = np.moveaxis(exponents, axis, -1)
    rows = lines.reshape(-1, lines.shape[-1])
    size = 8 * 2 ** min(3, round(math.log2(max(2.0, width) / 2)))
    blocks = -(-rows.shape[1] // size)
    inverse, out = 0.5 / width**2, np.empty(rows.shape)
    padded = np.empty((len(rows), blocks * size))  # numpy takes huge pages, numba would not
    weights = np.empty_like(padded)
    floors, places = np.empty((2, len(rows), blocks))
    _weigh(rows, padded, weights, floors, places)
    table = _table(size, blocks, inverse)
    _convolve(padded, weights, floors, places, floors.min(axis=1), inverse, table, out)
    out += 0.5 * math.log(2 * math.pi * width**2)
    return np.moveaxis(out.reshape(lines.shape), -1, axis)


def _table(size: int, blocks: int, inverse: float) -> np.ndarray:
    """exp(-(2 D r + r^2)/(2 w^2)) at [D/size + m, r + size - 1] while the exponents are safe."""
    offsets = np.arange(1 - size, size)
    farthest = (_SAFE / inverse - (size - 1) ** 2) / (2 * (size - 1) * size)
    shifts = size * np.arange(-min(blocks - 1, int(farthest)), min(blocks - 1, int(farthest)) + 1)
    return np.exp(-inverse * (2 * shifts[:, None] + offsets) * offsets)


@njit(cache=True, fastmath=FASTMATH, parallel=True)
def _weigh(rows, padded, weights, floors, places):
    """Per block: the exponents with half weights at the ends, their minimum, exp(minimum - a)."""
    last, blocks = rows.shape[1] - 1, floors.shape[1]
    size = padded.shape[1] // blocks
    for flat in prange(floors.size):
        row, block = divmod(np.int64(flat), blocks)  # prange counts without a sign
        lowest = block * size
        for j in range(block * size, (block + 1) * size):
            padded[row, j] = rows[row, j] if j <= last else np.inf
            if j == 0 or j == last:
                padded[row, j] += math.log(2.0)
            if padded[row, j] < padded[row, lowest]:
                lowest = j
        floors[row, block], places[row, block] = padded[row, lowest], lowest
        for j in range(block * size, (block + 1) * size):
            weights[row, j] = math.exp(padded[row, lowest] - padded[row, j])


@njit(cache=True, fastmath=FASTMATH, parallel=True)
def _convolve(padded, weights, floors, places, lowest, inverse, table, out):
    """Fill ``out`` with the sums, tile by tile of every row."""
    blocks, center = floors.shape[1], table.shape[0] // 2
    size = padded.shape[1] // blocks
    total, chunk = floors.size, max(1, _CHUNK // size)
    for first in prange(-(-total // chunk)):
        sums = np.empty(size)
        relevant = np.empty(blocks, np.int64)
        for flat in range(first * chunk, min(total, (first + 1) * chunk)):
            row, tile = divmod(flat, blocks)
            outputs = out[row, tile * size : (tile + 1) * size]
            count, level, safe = _relevant_blocks(
                tile, size, floors[row], places[row], lowest[row], inverse, center, relevant
            )
            if safe:
                sums[:] = 0.0
                for block in relevant[:count]:
                    shift = float((tile - block) * size)
                    scale = math.exp(level - floors[row, block] - inverse * shift * shift)
                    inputs = weights[row, block * size : (block + 1) * size]
                    _add_block(sums, scale, inputs, table[center + tile - block])
                for i in range(len(outputs)):
                    outputs[i] = level - math.log(sums[i])
            else:
                _one_by_one(outputs, tile * size, padded[row], relevant[:count], size, inverse)


@njit(cache=True, fastmath=FASTMATH)
def _relevant_blocks(tile, size, floors, places, lowest, inverse, farthest, relevant):
    """List the relevant blocks; also the level to sum at, and whether the table holds them all."""
    first, last = tile * size, (tile + 1) * size - 1
    center = 0.5 * (first + last)
    height = floors[tile] + inverse * size * size - lowest + _CUTOFF
    span = int(math.sqrt(height / inverse)) // size + 2
    near, far = max(0, tile - span), min(len(floors), tile + span + 1)
    level, star = np.inf, tile
    for block in range(near, far):
        at_center = floors[block] + inverse * (center - places[block]) ** 2
        if at_center < level:
            level, star = at_center, block
    at_first = floors[star] + inverse * (first - places[star]) ** 2 + _CUTOFF
    at_last = floors[star] + inverse * (last - places[star]) ** 2 + _CUTOFF
    count, safe = 0, True
    for block in range(near, far):
        apart = abs(tile - block)
        gap = max(0, apart - 1) * size + min(1, apart)  # from the tile's nearer end
        wide = apart * size  # from its other end
        from_first, from_last = (gap, wide) if block < tile else (wide, gap)
        near_first = floors[block] + inverse * from_first * from_first < at_first
        near_last = floors[block] + inverse * from_last * from_last < at_last
        if near_first or near_last:
            relevant[count] = block
            count += 1
            safe = safe and apart <= farthest
    return count, level, safe


@njit(cache=True, fastmath=FASTMATH)
def _add_block(sums, scale, inputs, table):
    """Add scale * inputs[j] * table[size - 1 + i - j] to sums[i], eight inputs j at a time."""
    size = len(sums)
    for j in range(0, size, 8):
        w0, w1, w2, w3 = inputs[j], inputs[j + 1], inputs[j + 2], inputs[j + 3]
        w4, w5, w6, w7 = inputs[j + 4], inputs[j + 5], inputs[j + 6], inputs[j + 7]
        row = table[size - 8 - j : 2 * size - 1 - j]
        for i in range(size):
            sums[i] += scale * (
                ((w0 * row[i + 7] + w1 * row[i + 6]) + (w2 * row[i + 5] + w3 * row[i + 4]))
                + ((w4 * row[i + 3] + w5 * row[i + 2]) + (w6 * row[i + 1] + w7 * row[i]))
            )


@njit(cache=True, fastmath=FASTMATH)
def _one_by_one(outputs, first, exponents, relevant, size, inverse):
    """Fill the outputs of a tile with one exponential per term: slow, and safe at any distance."""
    for i in range(len(outputs)):
        level, total = np.inf, 0.0
        for block in relevant:
            for j in range(block * size, (block + 1) * size):
                level = min(level, exponents[j] + inverse * float(first + i - j) ** 2)
        for block in relevant:
            for j in range(block * size, (block + 1) * size):
                drop = exponents[j] + inverse * float(first + i - j) ** 2 - level
                if drop < _CUTOFF:
                    total += math.exp(-drop)
        outputs[i] = level - math.log(total)
