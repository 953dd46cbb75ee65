"""Compiled Euler–Maruyama paths, in blocks of 64 lanes."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np
from numba import njit

from relaxlib._lanes.blocks import pack, unpack
from relaxlib._lanes.compilation import INLINE, LOOP, OPTIONS
from relaxlib._lanes.progress import in_spans, over_threads, threads
from relaxlib._lanes.steps import Failure, draw, first_failure, first_flaw, move, workspace
from relaxlib._lanes.streams import LANES, seed_blocks
from relaxlib.diffusions import Diffusion

_STRIDE = 256  # steps between two looks for positions that are not finite


class Lanes(NamedTuple):
    """Where 64 paths stand; with a leading axis, many blocks of them."""

    x: np.ndarray  # (d, 64)
    stream: np.ndarray  # (4, 64) state of the random numbers
    spare: np.ndarray  # (r, 64) normals drawn for the next step
    previous: np.ndarray  # (r, 64) normals of the last step, for averaged noise


def march(
    diffusion: Diffusion,
    points: np.ndarray,
    first_path: int,
    dt: float,
    steps: int,
    every: int,
    averaged: bool,
    seed: np.uint64,
) -> tuple[np.ndarray, Failure | None]:
    """Positions (k, n, d) of the paths number ``first_path`` on, and the first failure if any."""
    equation = diffusion.equation
    x = pack(points)
    saved = np.empty((steps // every + 1 if every else 0, *x.shape))
    saved[:1] = x
    normals = np.empty((2, len(x), diffusion.rank, LANES))
    paths = Lanes(x, seed_blocks(seed, first_path, len(x)), *normals)
    failures = np.full((len(x), 2), -1)
    with threads() as pool:
        for span in in_spans(steps, "step"):
            rest = len(points), span, dt, averaged, every, saved, failures
            over_threads(pool, partial(_advance, equation, paths, *rest), len(x))
            failure = first_failure(x, failures, first_path)
            if failure is not None:
                return np.empty(0), failure
    return unpack(saved if every else x[None], len(points)), None


@njit(**OPTIONS)
def _advance(equation, paths, count, steps, dt, averaged, every, saved, failures, first, last):
    """Take the blocks from ``first`` to ``last`` through the ``steps`` = (first, last).

    A block with a path that leaves the finite numbers stops there: ``failures`` (b, 2) holds the
    step and the lane, else -1, and the block's positions are the last finite ones.
    """
    dim, rank = paths.x.shape[1], paths.spare.shape[1]
    work = workspace(dim, rank)
    for b in range(first, last):
        lanes = Lanes(paths.x[b], paths.stream[b], paths.spare[b], paths.previous[b])
        used = min(LANES, count - b * LANES)
        for start in range(steps[0], steps[1], _STRIDE):
            if failures[b, 0] >= 0:
                break
            stop = min(steps[1], start + _STRIDE)
            backup = _copy(lanes)
            _stride(equation, lanes, start, stop, dt, averaged, every, saved[:, b], work)
            if first_flaw(lanes.x, used) >= 0:
                _restore(lanes, backup)
                failures[b] = _last_finite(equation, lanes, used, start, dt, averaged, work)


@njit(**LOOP)
def _stride(equation, lanes, start, stop, dt, averaged, every, saved, work):
    """Steps ``start`` to ``stop`` of 64 paths; positions that are to be saved go to ``saved``."""
    for n in range(start, stop):
        _step(equation, lanes, n, dt, averaged, work)
        if every > 0 and (n + 1) % every == 0:
            for i in range(len(lanes.x)):
                for lane in range(LANES):
                    saved[(n + 1) // every, i, lane] = lanes.x[i, lane]


@njit(**OPTIONS)
def _copy(lanes):
    return Lanes(lanes.x.copy(), lanes.stream.copy(), lanes.spare.copy(), lanes.previous.copy())


@njit(**OPTIONS)
def _restore(lanes, backup):
    lanes.x[:] = backup.x
    lanes.stream[:] = backup.stream
    lanes.spare[:] = backup.spare
    lanes.previous[:] = backup.previous


@njit(**OPTIONS)
def _last_finite(equation, lanes, used, start, dt, averaged, work):
    """Repeat steps from ``start`` on to the last finite positions; return what ends them."""
    n, before = start, lanes.x.copy()
    while True:
        _step(equation, lanes, n, dt, averaged, work)
        flaw = first_flaw(lanes.x, used)
        if flaw >= 0:
            lanes.x[:] = before
            return n, flaw
        before[:] = lanes.x
        n += 1


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
