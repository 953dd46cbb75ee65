"""Euler's step of 64 paths side by side."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from relaxlib._lanes.compilation import INLINE, OPTIONS
from relaxlib._lanes.streams import LANES, normal_pair


class Equation(NamedTuple):
    """A diffusion as the kernels see it."""

    drift: Any  # cfunc of signature blocks.DRIFT
    noise: Any  # cfunc of signature blocks.NOISE, idle when the noise is additive
    params: np.ndarray
    additive: bool
    entries: np.ndarray  # (m, 2) places of the nonzero constants in S, row by row
    weights: np.ndarray  # (m,) those constants


class Work(NamedTuple):
    """Scratch memory of one thread."""

    slope: np.ndarray  # (d, 64)
    draws: np.ndarray  # (r, 64)
    mixed: np.ndarray  # (r, 64)
    factors: np.ndarray  # (d, r, 64)


@njit(**OPTIONS)
def workspace(dim, rank):
    return Work(
        np.empty((dim, LANES)),
        np.empty((rank, LANES)),
        np.empty((rank, LANES)),
        np.empty((dim, rank, LANES)),
    )


@njit(**INLINE)
def draw(stream, n, normals, spare):
    """Write the n-th normals of every Brownian motion; the odd ones come with the even."""
    for k in range(len(spare)):
        if n % 2 == 0:
            normal_pair(stream, normals[k], spare[k])
        else:
            for lane in range(LANES):
                normals[k, lane] = spare[k, lane]


@njit(**INLINE)
def move(equation, x, t, dt, normals, work):
    """Euler's step x += b dt + sqrt(dt) S normals."""
    root = np.sqrt(dt)
    dim, rank = len(x), len(normals)
    equation.drift(x, t, equation.params, work.slope)
    if not equation.additive:
        equation.noise(x, t, equation.params, work.factors)
    entry = 0
    for i in range(dim):
        if equation.additive and entry < len(equation.weights) and equation.entries[entry, 0] == i:
            weight, k = equation.weights[entry] * root, equation.entries[entry, 1]
            for lane in range(LANES):
                x[i, lane] += work.slope[i, lane] * dt + weight * normals[k, lane]
            entry += 1
        else:
            for lane in range(LANES):
                x[i, lane] += work.slope[i, lane] * dt
        while entry < len(equation.weights) and equation.entries[entry, 0] == i:
            weight, k = equation.weights[entry] * root, equation.entries[entry, 1]
            for lane in range(LANES):
                x[i, lane] += weight * normals[k, lane]
            entry += 1
    if not equation.additive:
        for i in range(dim):
            for k in range(rank):
                for lane in range(LANES):
                    x[i, lane] += root * work.factors[i, k, lane] * normals[k, lane]
