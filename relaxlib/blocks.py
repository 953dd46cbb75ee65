"""Blocks of 64 paths side by side: their layout, and compiled functions that work on a block."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numba import cfunc, float64, njit, void
from numba.np.unsafe.ndarray import to_fixed_tuple

from relaxlib.elementary import OPTIONS
from relaxlib.random import LANES

DRIFT = void(float64[:, ::1], float64, float64[::1], float64[:, ::1])
NOISE = void(float64[:, ::1], float64, float64[::1], float64[:, :, ::1])
FASTMATH = OPTIONS["fastmath"]
_FEW = 8  # parameters that fit into registers


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


def compile_block(point: Callable, signature: object, dim: int, count: int) -> Callable:
    """A point formula point(x, t, params, out) as a cfunc that works on a block of lanes.

    Parameters
    ----------
    point : function
        Plain Python that numba compiles; x (d,), ``out`` (d,) or (d, r).
    signature : numba signature
        `DRIFT` or `NOISE`.
    dim, count : int
        d, and the number of parameters: a few are read into registers before the loop.
    """
    try:
        return _compile(point, signature, dim, count, False)
    except Exception:  # numba's ways to say that a formula allocates memory are several
        return _compile(point, signature, dim, count, True)


def _compile(point: Callable, signature: object, dim: int, count: int, counted: bool) -> Callable:
    # Without the counting of references that allocation needs, LLVM vectorizes over the lanes.
    options = {"error_model": "numpy", "fastmath": FASTMATH, "_nrt": counted}
    at_point = njit(**options)(point)

    def in_registers(x, t, params, out):
        if len(x) != dim or len(out) != dim:  # never; now the compiler knows the lengths
            return
        fixed = to_fixed_tuple(params, count)
        for lane in range(LANES):
            at_point(x[:, lane], t, fixed, out[..., lane])

    def in_memory(x, t, params, out):
        for lane in range(LANES):
            at_point(x[:, lane], t, params, out[..., lane])

    return cfunc(signature, **options)(in_registers if count <= _FEW else in_memory)


@njit(**OPTIONS)
def over_blocks(blocks, t, params, out, function):
    """Call a compiled block function on every block."""
    for b in range(len(blocks)):
        function(blocks[b], t, params, out[b])


@cfunc(NOISE, cache=True)
def no_noise(x, t, params, out):
    """Stands where constant noise needs no function."""
