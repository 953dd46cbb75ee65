"""Euler's step of 64 paths side by side, and what is said of a path that leaves the numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, NoReturn

import numpy as np
from numba import njit

from relaxlib._lanes.blocks import no_noise
from relaxlib._lanes.compilation import INLINE, LOOP, OPTIONS
from relaxlib._lanes.streams import LANES, normal_pair


class Equation(NamedTuple):
    """A diffusion as the kernels see it."""

    drift: Callable  # cfunc of signature blocks.DRIFT
    noise: Callable  # cfunc of signature blocks.NOISE, idle when the noise is additive
    params: np.ndarray
    additive: bool
    entries: np.ndarray  # (e, 2) places of the nonzero constants in S, row by row
    weights: np.ndarray  # (e,) those constants


class Work(NamedTuple):
    """Scratch memory of one thread."""

    slope: np.ndarray  # (d, 64)
    draws: np.ndarray  # (r, 64)
    mixed: np.ndarray  # (r, 64)
    factors: np.ndarray  # (d, r, 64)


class Failure(NamedTuple):
    """A path whose next position is not finite."""

    path: int
    step: int
    position: np.ndarray  # (d,) the last finite one

    def stop(self, reason: str) -> NoReturn:
        """Say which path failed, where, and why."""
        place = ", ".join(f"{entry:.4g}" for entry in self.position)
        raise ArithmeticError(
            f"path {self.path} is not finite after step {self.step + 1}, from x = [{place}]{reason}"
        )

    def stop_euler(self, bound: float) -> NoReturn:
        """The same of Euler's step, which is stable below a bound there."""
        limit = (
            f"Euler's step is stable for dt < {bound:.3g}" if bound else "the drift is not finite"
        )
        self.stop(f", where {limit}; take a smaller dt")


def equation(drift: Callable, noise: Callable | np.ndarray, params: np.ndarray) -> Equation:
    """The equation of a compiled drift, and of a compiled noise or the constant S (d, r)."""
    additive = not callable(noise)
    matrix = noise if additive else np.empty((0, 0))
    entries = np.ascontiguousarray(np.argwhere(matrix))
    weights = matrix[tuple(entries.T)]
    return Equation(drift, no_noise if additive else noise, params, additive, entries, weights)


def first_failure(x: np.ndarray, failures: np.ndarray, first_path: int) -> Failure | None:
    """The earliest step and lane in ``failures`` (b, 2), of blocks x (b, d, 64); -1 is none."""
    failed = np.flatnonzero(failures[:, 0] >= 0)
    if not len(failed):
        return None
    block = failed[np.argmin(failures[failed, 0])]
    step, lane = failures[block]
    return Failure(first_path + block * LANES + lane, step, x[block, :, lane])


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
    e = 0
    for i in range(dim):
        if equation.additive and e < len(equation.weights) and equation.entries[e, 0] == i:
            weight, k = equation.weights[e] * root, equation.entries[e, 1]
            for lane in range(LANES):
                x[i, lane] += work.slope[i, lane] * dt + weight * normals[k, lane]
            e += 1
        else:
            for lane in range(LANES):
                x[i, lane] += work.slope[i, lane] * dt
        while e < len(equation.weights) and equation.entries[e, 0] == i:
            weight, k = equation.weights[e] * root, equation.entries[e, 1]
            for lane in range(LANES):
                x[i, lane] += weight * normals[k, lane]
            e += 1
    if not equation.additive:
        for i in range(dim):
            for k in range(rank):
                for lane in range(LANES):
                    x[i, lane] += root * work.factors[i, k, lane] * normals[k, lane]


@njit(**LOOP)
def first_flaw(x, used):
    """The first of the ``used`` lanes with a position that is not finite, or -1."""
    for lane in range(used):
        for i in range(len(x)):
            if not np.isfinite(x[i, lane]):
                return lane
    return -1
