"""Gaussian convolution in logarithms: the sums behind local entropy on a grid.

The kernel factorizes over tiles. Between an output i of tile t and an input j of block b, both
``size`` nodes long and D nodes apart,

    (i - j)^2 = D^2 + (2 D r + r^2),    r = offset of i in t - offset of j in b,

so that one exponential per input, one per relevant pair (t, b) and a table over (D, r) turn the sum
into multiplications. A pair is relevant when it may hold a term above exp(-CUTOFF) times the term
of one fixed input: a difference of two exponents is linear in i, so both ends of the tile decide.
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
    inverse = 0.5 / width**2
    padded = np.empty((len(rows), blocks * size))
    weights = np.empty_like(padded)
    floors, places = np.empty((2, len(rows), blocks))
    _weigh(rows, padded, weights, floors, places)
    out = np.empty(rows.shape)
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
    total = floors.size
    chunk = max(1, _CHUNK // size)
    for first in prange(-(-total // chunk)):
        for flat in range(first * chunk, min(total, (first + 1) * chunk)):
            k, b = divmod(flat, blocks)
            lowest = b * size
            for j in range(b * size, (b + 1) * size):
                padded[k, j] = rows[k, j] if j <= last else np.inf
                if j == 0 or j == last:
                    padded[k, j] += math.log(2.0)
                if padded[k, j] < padded[k, lowest]:
                    lowest = j
            floors[k, b], places[k, b] = padded[k, lowest], lowest
            for j in range(b * size, (b + 1) * size):
                weights[k, j] = math.exp(padded[k, lowest] - padded[k, j])


@njit(cache=True, fastmath=FASTMATH, parallel=True)
def _convolve(padded, weights, floors, places, lowest, inverse, table, out):
    blocks = floors.shape[1]
    size = padded.shape[1] // blocks
    total = floors.size
    chunk = max(1, _CHUNK // size)
    for first in prange(-(-total // chunk)):
        sums = np.empty(size)
        relevant = np.empty(blocks, np.int64)
        for flat in range(first * chunk, min(total, (first + 1) * chunk)):
            k, t = divmod(flat, blocks)
            outputs = out[k, t * size : (t + 1) * size]
            count, level, safe = _relevant_blocks(
                t, size, floors[k], places[k], lowest[k], inverse, table.shape[0] // 2, relevant
            )
            if safe:
                sums[:] = 0.0
                for b in relevant[:count]:
                    shift = float((t - b) * size)
                    scale = math.exp(level - floors[k, b] - inverse * shift * shift)
                    block = weights[k, b * size : (b + 1) * size]
                    _add_block(sums, scale, block, table[table.shape[0] // 2 + t - b])
                for r in range(len(outputs)):
                    outputs[r] = level - math.log(sums[r])
            else:
                for r in range(len(outputs)):
                    node = t * size + r
                    outputs[r] = _one_by_one(node, padded[k], relevant[:count], size, inverse)


@njit(cache=True, fastmath=FASTMATH)
def _relevant_blocks(t, size, floors, places, lowest, inverse, farthest, relevant):
    """List the relevant blocks; also the level to sum at, and whether the table holds them all."""
    first, last = t * size, (t + 1) * size - 1
    center = 0.5 * (first + last)
    height = floors[t] + inverse * size * size - lowest + _CUTOFF
    span = int(math.sqrt(height / inverse)) // size + 2
    near, far = max(0, t - span), min(len(floors), t + span + 1)
    level, star = np.inf, t
    for b in range(near, far):
        at_center = floors[b] + inverse * (center - places[b]) ** 2
        if at_center < level:
            level, star = at_center, b
    at_first = floors[star] + inverse * (first - places[star]) ** 2 + _CUTOFF
    at_last = floors[star] + inverse * (last - places[star]) ** 2 + _CUTOFF
    count, safe = 0, True
    for b in range(near, far):
        gap = max(0, abs(t - b) - 1) * size + min(1, abs(t - b))  # from the tile's nearer end
        wide = abs(t - b) * size  # from its other end
        from_first, from_last = (gap, wide) if b < t else (wide, gap)
        if b == t:
            from_first = from_last = 0
        if (
            floors[b] + inverse * from_first * from_first < at_first
            or floors[b] + inverse * from_last * from_last < at_last
        ):
            relevant[count] = b
            count += 1
            safe = safe and abs(t - b) <= farthest
    return count, level, safe


@njit(cache=True, fastmath=FASTMATH)
def _add_block(sums, scale, block, table):
    """Add scale * block[q] * table[size - 1 + r - q] to sums[r], eight inputs q at a time."""
    size = len(sums)
    for q in range(0, size, 8):
        a, b, c, d = block[q], block[q + 1], block[q + 2], block[q + 3]
        e, f, g, h = block[q + 4], block[q + 5], block[q + 6], block[q + 7]
        row = table[size - 8 - q : 2 * size - 1 - q]
        for r in range(size):
            sums[r] += scale * (
                ((a * row[r + 7] + b * row[r + 6]) + (c * row[r + 5] + d * row[r + 4]))
                + ((e * row[r + 3] + f * row[r + 2]) + (g * row[r + 1] + h * row[r]))
            )


@njit(cache=True, fastmath=FASTMATH)
def _one_by_one(i, exponents, relevant, size, inverse):
    """The sum for one output with one exponential per term: slow, and safe at any distance."""
    level = np.inf
    for b in relevant:
        for j in range(b * size, (b + 1) * size):
            level = min(level, exponents[j] + inverse * float(i - j) ** 2)
    total = 0.0
    for b in relevant:
        for j in range(b * size, (b + 1) * size):
            drop = exponents[j] + inverse * float(i - j) ** 2 - level
            if drop < _CUTOFF:
                total += math.exp(-drop)
    return level - math.log(total)
