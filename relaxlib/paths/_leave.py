"""Compiled first exits: Euler–Maruyama steps with a Brownian-bridge test, in 64 refilled lanes."""

from __future__ import annotations

import time
from functools import partial

import numpy as np
from numba import get_num_threads, njit

from relaxlib._lanes.compilation import LOOP, OPTIONS
from relaxlib._lanes.crews import (
    Queue,
    crew_workspace,
    failure_of,
    idle_crew,
    refill,
    step_crew,
)
from relaxlib._lanes.failures import Failure
from relaxlib._lanes.progress import progress_bar, resized, threads
from relaxlib._lanes.streams import LANES
from relaxlib._lanes.walls import faces_of, has_left
from relaxlib.diffusions import Diffusion
from relaxlib.regions import Ball, Box


def leave(
    diffusion: Diffusion,
    region: Ball | Box,
    dt: float,
    max_steps: int,
    seed: np.uint64,
    points: np.ndarray,
    first_path: int,
) -> tuple[tuple[np.ndarray, ...], Failure | None]:
    """Exit times (n,), points (n, d), censored (n,), and the first failure if any."""
    count = len(points)
    exits = np.full(count, -1.0), np.empty((count, diffusion.dim)), np.zeros(count, np.bool_)
    parts = np.array_split(np.arange(count), min(get_num_threads(), -(-count // LANES)))
    queues = [Queue(part, points[part], np.zeros(len(part)), first_path + part) for part in parts]
    crews = [idle_crew(points[part[0]], diffusion.rank) for part in parts]
    advance = partial(_advance, diffusion.equation, faces_of(region), dt, max_steps, seed, exits)
    pairs = 4
    with threads() as pool, progress_bar(count, "path") as bar:
        while (exits[0] < 0.0).any():
            begin = time.perf_counter()
            flaws = list(pool.map(partial(advance, pairs), crews, queues))
            for crew, flaw in zip(crews, flaws, strict=True):
                if flaw >= 0:
                    return exits, failure_of(crew, flaw, first_path)
            pairs = resized(pairs, time.perf_counter() - begin)
            bar.update(np.count_nonzero(exits[0] >= 0.0) - bar.n)
    return exits, None


@njit(**OPTIONS)
def _advance(equation, faces, dt, max_steps, seed, exits, pairs, crew, queue):
    """Take the lanes through pairs of steps; return a lane that failed, or -1."""
    work = crew_workspace(equation, crew)
    for n in range(2 * pairs):
        if n % 2 == 0 and not refill(crew, queue, seed):
            return -1
        flaw = step_crew(equation, crew, n, dt, work)
        if flaw >= 0:
            return flaw
        for lane in range(LANES):
            if crew.path[lane] >= 0:
                _settle(crew, lane, faces, dt, max_steps, work.factors, exits)
    return -1


@njit(**LOOP)
def _settle(crew, lane, faces, dt, max_steps, factors, exits):
    """Record the exit of one path, or that it was still inside after its last step."""
    times, places, censored = exits
    path, chance = crew.path[lane], crew.chance[lane]
    if has_left(crew.x, crew.before, lane, faces, dt, chance, factors, places[path]):
        times[path] = (crew.clock[lane] - 0.5) * dt
    elif crew.clock[lane] == max_steps:
        times[path] = max_steps * dt
        for i in range(len(crew.x)):
            places[path, i] = crew.x[i, lane]
        censored[path] = True
    else:
        return
    crew.path[lane] = -1
