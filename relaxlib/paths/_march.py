"""Compiled Euler–Maruyama paths, in blocks of 64 lanes."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np
from numba import njit

from relaxlib._lanes.compilation import INLINE, LOOP, OPTIONS
from relaxlib._lanes.failures import Failure, first_flaw
from relaxlib._lanes.runs import run
from relaxlib._lanes.steps import draw, move, workspace
from relaxlib._lanes.streams import LANES
from relaxlib.diffusions import Diffusion

_STRIDE = 256  # steps between two looks for positions that are not finite


class Lanes(NamedTuple):
    """Where 64 paths stand."""

    x: np.ndarray  # (d, 64)
    stream: np.ndarray  # (4, 64) state of the random numbers
    spare: np.ndarray  # (r, 64) normals drawn for the next step
    previous: np.ndarray  # (r, 64) normals of the last step, for averaged noise


def march(
    diffusion: Diffusion,
    dt: float,
    steps: int,
    every: int,
    averaged: bool,
    seed: np.uint64,
    points: np.ndarray,
    first_path: int,
) -> tuple[np.ndarray, Failure | None]:
    """Positions (k, n, d) of the paths number ``first_path`` on, and the first failure if any."""
    normals = np.empty((2, -(-len(points) // LANES), diffusion.rank, LANES))
    advance = partial(_advance, diffusion.equation, dt, averaged, *normals)
    return run(points, first_path, steps, every, seed, advance)


@njit(**OPTIONS)
def _advance(equation, dt, averaged, spare, previous, blocks, steps, first, last):
    """Take the blocks from ``first`` to ``last`` through the ``steps`` = (start, stop)."""
    work = workspace(blocks.x.shape[1], spare.shape[1])
    for b in range(first, last):
        lanes = Lanes(blocks.x[b], blocks.stream[b], spare[b], previous[b])
        backup = Lanes(lanes.x.copy(), lanes.stream.copy(), spare[b].copy(), previous[b].copy())
        used = min(LANES, blocks.paths - b * LANES)
        start, length = steps[0], _STRIDE
        while start < steps[1] and blocks.failures[b, 0] < 0:
            stop = min(steps[1], start + length)
            _copy(lanes, backup)
            _stride(equation, blocks, b, lanes, start, stop, dt, averaged, work)
            flaw = first_flaw(lanes.x, used)
            if flaw < 0:
                start = stop
                continue
            _copy(backup, lanes)
            if length == 1:
                blocks.failures[b, 0], blocks.failures[b, 1] = start, flaw
            length = 1  # from here on step by step, to the last finite positions


@njit(**LOOP)
def _stride(equation, blocks, b, lanes, start, stop, dt, averaged, work):
    """Steps ``start`` to ``stop`` of the lanes of block b; saves the positions that are asked."""
    for n in range(start, stop):
        _step(equation, lanes, n, dt, averaged, work)
        if blocks.every > 0 and (n + 1) % blocks.every == 0:
            for i in range(len(lanes.x)):
                for lane in range(LANES):
                    blocks.saved[(n + 1) // blocks.every, b, i, lane] = lanes.x[i, lane]


@njit(**OPTIONS)
def _copy(source, target):
    """Let 64 paths stand where others stand."""
    target.x[:] = source.x
    target.stream[:] = source.stream
    target.spare[:] = source.spare
    target.previous[:] = source.previous


@njit(**INLINE)
def _step(equation, lanes, n, dt, averaged, work):
    """Step number n of 64 paths, with the mean of neighboring normals if ``averaged``."""
    if averaged:
        if n == 0:
            draw(lanes.stream, 0, lanes.previous, lanes.spare)
        draw(lanes.stream, n + 1, work.draws, lanes.spare)
        for k in range(len(work.mixed)):
            for lane in range(LANES):
                work.mixed[k, lane] = 0.5 * (lanes.previous[k, lane] + work.draws[k, lane])
                lanes.previous[k, lane] = work.draws[k, lane]
        move(equation, lanes.x, n * dt, dt, work.mixed, work)
    elif n % 2 == 0:
        draw(lanes.stream, n, work.draws, lanes.spare)
        move(equation, lanes.x, n * dt, dt, work.draws, work)
    else:
        move(equation, lanes.x, n * dt, dt, lanes.spare, work)
