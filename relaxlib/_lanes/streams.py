r"""Streams of random numbers, one per path, drawn for 64 paths at a time.

A path's stream is xoshiro256+ (Blackman & Vigna 2021), its state four outputs of splitmix64 on a
hash of seed and path. Two raw draws make two normals by the method of Box and Muller,
:math:`\sqrt{-2\log u}\,(\cos\theta, \sin\theta)`; logarithm, sine and cosine are those of
`elementary`, so that LLVM turns the lanes into vectors.
"""

from __future__ import annotations

import operator

import numpy as np
from numba import njit

from relaxlib import _checks
from relaxlib._lanes.compilation import LOOP, OPTIONS
from relaxlib._lanes.elementary import as_bits, as_float, cosine, logarithm, sine

LANES = 64  # paths in a block
_ONE = np.uint64(0x3FF0000000000000)  # bits of 1.0


def seed_of(rng: int | np.random.Generator) -> np.uint64:
    """The seed that ``rng`` stands for: itself if an int, else one draw of the generator.

    Raises
    ------
    ValueError
        If ``rng`` is neither a nonnegative int nor a `numpy.random.Generator`.

    Examples
    --------
    >>> int(seed_of(7))
    7
    """
    if isinstance(rng, np.random.Generator):
        return rng.integers(2**64, dtype=np.uint64)
    try:
        seed = -1 if isinstance(rng, bool) else operator.index(rng)
    except TypeError:
        seed = -1
    if not 0 <= seed < 2**64:
        need = "an int in [0, 2**64) or a numpy Generator"
        _checks.reject("rng", repr(rng), need, "pass a seed, or np.random.default_rng(seed)")
    return np.uint64(seed)


def seed_blocks(seed: np.uint64, first_path: int, blocks: int) -> np.ndarray:
    """Stream states (blocks, 4, 64) of the paths number ``first_path`` on."""
    streams = np.empty((blocks, 4, LANES), np.uint64)
    _seed_all(seed, first_path, streams)
    return streams


@njit(**OPTIONS)
def _seed_all(seed, first_path, streams):
    for b in range(len(streams)):
        for lane in range(LANES):
            seed_lane(seed, first_path + b * LANES + lane, streams[b], lane)


@njit(**OPTIONS)
def seed_lane(seed, path, stream, lane):
    """Set one lane of ``stream`` (4, 64) to the start of a path's stream."""
    state = _scramble(_scramble(seed) ^ (np.uint64(path) * np.uint64(0xD1342543DE82EF95)))
    for k in range(4):
        state += np.uint64(0x9E3779B97F4A7C15)
        stream[k, lane] = _scramble(state)


@njit(**OPTIONS)
def _scramble(bits):
    """The output function of splitmix64, a bijection of 64 bits."""
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))


@njit(**LOOP)
def normal_pair(stream, cosines, sines):
    """Draw two standard normals for each of 64 streams, by two raw draws each.

    ``stream`` (4, 64) uint64 is advanced; ``cosines`` and ``sines`` are (64,) float64, and hold
    the raw draws and the radius on the way: in three short loops a core overlaps more lanes.
    """
    if stream.shape != (4, LANES) or len(cosines) != LANES or len(sines) != LANES:
        return  # never; now the compiler knows the lengths
    for lane in range(LANES):
        first, second = _draw(stream, lane), _draw(stream, lane)
        cosines[lane], sines[lane] = _uniform(first), as_float(second)
    for lane in range(LANES):
        cosines[lane] = np.sqrt(-2.0 * logarithm(cosines[lane]))
    for lane in range(LANES):
        radius, bits = cosines[lane], as_bits(sines[lane])
        quarter = bits >> np.uint64(62)
        angle = (np.pi / 2) * (as_float(((bits << np.uint64(2)) >> np.uint64(12)) | _ONE) - 1.5)
        near, far = cosine(angle) * radius, sine(angle) * radius
        swap = (quarter & np.uint64(1)) != np.uint64(0)
        first, second = (far, near) if swap else (near, far)
        cosines[lane] = _flip(first, (quarter ^ (quarter >> np.uint64(1))) & np.uint64(1))
        sines[lane] = _flip(second, quarter >> np.uint64(1))


@njit(**LOOP)
def uniforms(stream, out):
    """Draw a number in (0, 1] for each of 64 streams, by one raw draw each."""
    for lane in range(LANES):
        out[lane] = _uniform(_draw(stream, lane))


@njit(**LOOP)
def _draw(stream, lane):
    """The next 64 bits of one of the streams, by xoshiro256+."""
    s0, s1, s2, s3 = stream[0, lane], stream[1, lane], stream[2, lane], stream[3, lane]
    drawn, shifted = s0 + s3, s1 << np.uint64(17)
    s2 ^= s0
    s3 ^= s1
    stream[0, lane], stream[1, lane], stream[2, lane] = s0 ^ s3, s1 ^ s2, s2 ^ shifted
    stream[3, lane] = (s3 << np.uint64(45)) | (s3 >> np.uint64(19))
    return drawn


@njit(**OPTIONS)
def _uniform(bits):
    """A number in (0, 1] from the upper 52 bits."""
    return 2.0 - as_float((bits >> np.uint64(12)) | _ONE)


@njit(**OPTIONS)
def _flip(x, sign):
    """x, or -x if ``sign`` is one."""
    return as_float(as_bits(x) ^ (sign << np.uint64(63)))
