"""Blocks of 64 paths side by side: their layout, and compiled functions that work on a block."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from typing import Any

import numpy as np
from numba import cfunc, float64, njit, void
from numba.np.unsafe.ndarray import to_fixed_tuple  # numba passes its first argument

from relaxlib._lanes.compilation import FORMULA, OPTIONS
from relaxlib._lanes.streams import LANES

DRIFT = void(float64[:, ::1], float64, float64[::1], float64[:, ::1])
NOISE = void(float64[:, ::1], float64, float64[::1], float64[:, :, ::1])
_FEW = 8  # parameters that fit into registers
_NARROW = 32  # coordinates of a block whose x and out, 512 bytes a row each, fit into 32 KB of L1
_TILE = 8  # lanes in a cache line


def pack(points: np.ndarray) -> np.ndarray:
    """Points (n, d) as blocks (ceil(n/64), d, 64); the last point fills the last block."""
    count, dim = points.shape
    padded = np.pad(points, ((0, -count % LANES), (0, 0)), mode="edge")
    return np.ascontiguousarray(padded.reshape(-1, LANES, dim).transpose(0, 2, 1))


def unpack(blocks: np.ndarray, count: int) -> np.ndarray:
    """The first ``count`` lanes of blocks (..., b, *shape, 64), as (..., count, *shape)."""
    leading = blocks.ndim - 3 if blocks.ndim > 3 else 0
    lanes = np.moveaxis(blocks, -1, leading + 1)
    merged = lanes.reshape(*lanes.shape[:leading], -1, *lanes.shape[leading + 2 :])
    return np.ascontiguousarray(merged[(slice(None),) * leading + (slice(count),)])


@lru_cache(maxsize=64)
def compile_block(point: Callable, signature: Any, dim: int, count: int) -> Any:
    """A point formula point(x, t, params, out) as a cfunc that works on a block of lanes.

    It sees each lane in place; where a block outgrows the nearest cache, as a copy in one piece.

    Parameters
    ----------
    point : function
        Plain Python that numba compiles; x (d,), ``out`` (d,) or (d, r).
    signature : numba signature
        `DRIFT` or `NOISE`.
    dim, count : int
        d, and the number of parameters: a few are read into registers before the loop.
    """
    attempts = [(False, False), (True, False), (True, True)]  # (in memory, counted), fast first
    for in_memory, counted in attempts[count > _FEW : -1]:
        with suppress(Exception):  # numba says in several ways that a formula needs more
            return _compile(point, signature, dim, count, in_memory, counted)
    return _compile(point, signature, dim, count, *attempts[-1])


def _compile(
    point: Callable, signature: Any, dim: int, count: int, in_memory: bool, counted: bool
) -> Any:
    # Without the counting of references that allocation needs, LLVM vectorizes over the lanes.
    options = FORMULA | {"_nrt": counted}
    at_point = njit(**options)(point)

    def in_place(x, t, params, out):
        if len(x) != dim or len(out) != dim:  # never; now the compiler knows the lengths
            return
        fixed = params if in_memory else to_fixed_tuple(params, count)  # type: ignore[call-arg]
        for lane in range(LANES):
            at_point(x[:, lane], t, fixed, out[..., lane])

    def by_tiles(x, t, params, out):
        if len(x) != dim or len(out) != dim:
            return
        fixed = params if in_memory else to_fixed_tuple(params, count)  # type: ignore[call-arg]
        points, results = np.empty((_TILE, dim)), np.empty((_TILE, *out.shape[:-1]))
        columns, rows = results.reshape(_TILE, -1), out.reshape(-1, LANES)
        for first in range(0, LANES, _TILE):
            for i in range(dim):
                for k in range(_TILE):
                    points[k, i] = x[i, first + k]
            for k in range(_TILE):
                at_point(points[k], t, fixed, results[k])
            for i in range(len(rows)):
                for k in range(_TILE):
                    rows[i, first + k] = columns[k, i]

    if dim > _NARROW:
        return cfunc(signature, **FORMULA)(by_tiles)
    return cfunc(signature, **options)(in_place)


@njit(**OPTIONS)
def over_blocks(blocks, t, params, out, function):
    """Call a compiled block function on every block."""
    for b in range(len(blocks)):
        function(blocks[b], t, params, out[b])


@cfunc(NOISE, cache=True)
def no_noise(x, t, params, out):
    """Stands where constant noise needs no function."""
