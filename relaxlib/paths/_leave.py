"""Compiled first exits: Euler–Maruyama steps with a Brownian-bridge test, in 64 refilled lanes."""

from __future__ import annotations

import time
from functools import partial
from typing import NamedTuple

import numpy as np
from numba import get_num_threads, njit

from relaxlib._lanes.compilation import OPTIONS
from relaxlib._lanes.progress import over_threads, progress_bar, resized, threads
from relaxlib._lanes.steps import Equation, Failure, draw, first_flaw, move, workspace
from relaxlib._lanes.streams import LANES, seed_lane, uniforms
from relaxlib._lanes.walls import Faces, faces_of, has_left, spread_noise
from relaxlib.diffusions import Diffusion
from relaxlib.regions import Ball, Box


class Queue(NamedTuple):
    """The paths of one thread: those in its lanes, and those that wait."""

    x: np.ndarray  # (d, 64)
    stream: np.ndarray  # (4, 64)
    spare: np.ndarray  # (r, 64)
    path: np.ndarray  # (64,) index of the path in each lane, -1 for an idle lane
    taken: np.ndarray  # (64,) steps that the path has taken
    waiting: np.ndarray  # (2,) next waiting path and the end of the queue
    failure: np.ndarray  # (2,) step and path that left the finite numbers, else -1


def leave(
    diffusion: Diffusion,
    points: np.ndarray,
    first_path: int,
    region: Ball | Box,
    dt: float,
    max_steps: int,
    seed: np.uint64,
) -> tuple[tuple[np.ndarray, ...], Failure | None]:
    """Exit times (n,), points (n, d), censored (n,), and the first failure if any."""
    equation, faces, count = diffusion.equation, faces_of(region), len(points)
    exits = np.full(count, -1.0), np.empty((count, diffusion.dim)), np.zeros(count, np.bool_)
    crew = min(get_num_threads(), -(-count // LANES))
    queues = [_queue(diffusion, count * k // crew, count * (k + 1) // crew) for k in range(crew)]
    pairs = 4
    with threads() as pool, progress_bar(count, "path") as bar:
        while any(_busy(queue) for queue in queues):
            start = time.perf_counter()
            rest = points, first_path, seed, dt, max_steps, pairs, exits
            over_threads(pool, partial(_advance_queues, equation, faces, queues, rest), crew)
            pairs = resized(pairs, time.perf_counter() - start)
            bar.update(np.count_nonzero(exits[0] >= 0.0) - bar.n)
            for queue in queues:
                step, lane = queue.failure
                if step >= 0:
                    path = first_path + queue.path[lane]
                    return exits, Failure(path, step, queue.x[:, lane].copy())
    return exits, None


def _busy(queue: Queue) -> bool:
    return bool((queue.path >= 0).any() or queue.waiting[0] < queue.waiting[1])


def _advance_queues(
    equation: Equation, faces: Faces, queues: list[Queue], rest: tuple, first: int, last: int
) -> None:
    for queue in queues[first:last]:
        _advance(equation, faces, queue, *rest)


def _queue(diffusion: Diffusion, first: int, last: int) -> Queue:
    return Queue(
        np.zeros((diffusion.dim, LANES)),
        np.zeros((4, LANES), np.uint64),
        np.zeros((diffusion.rank, LANES)),
        np.full(LANES, -1),
        np.zeros(LANES, np.int64),
        np.array([first, last]),
        np.full(2, -1),
    )


@njit(**OPTIONS)
def _advance(equation, faces, queue, points, first_path, seed, dt, max_steps, pairs, exits):
    """Take one thread's lanes through pairs of steps; refill a lane when its path is done."""
    work = workspace(len(queue.x), len(queue.spare))
    if equation.additive:
        spread_noise(equation, work.factors)
    old, chances = np.empty(queue.x.shape), np.empty(LANES)
    for n in range(2 * pairs):
        if n % 2 == 0 and not _refill(queue, points, first_path, seed):
            return
        old[:] = queue.x
        draw(queue.stream, n, work.draws, queue.spare)
        uniforms(queue.stream, chances)
        move(equation, queue.x, 0.0, dt, work.draws, work)
        flaw = first_flaw(queue.x, LANES)
        if flaw >= 0:
            queue.failure[0], queue.failure[1] = queue.taken[flaw], flaw
            queue.x[:] = old
            return
        for lane in range(LANES):
            if queue.path[lane] >= 0:
                queue.taken[lane] += 1
                _settle(queue, lane, old, faces, dt, max_steps, chances[lane], work.factors, exits)


@njit(**OPTIONS)
def _refill(queue, points, first_path, seed):
    """Put waiting paths into idle lanes; return whether any lane is busy."""
    busy = False
    for lane in range(LANES):
        if queue.path[lane] < 0 and queue.waiting[0] < queue.waiting[1]:
            path = queue.waiting[0]
            queue.waiting[0] += 1
            queue.path[lane], queue.taken[lane] = path, 0
            queue.x[:, lane] = points[path]
            seed_lane(seed, first_path + path, queue.stream, lane)
        if queue.path[lane] >= 0:
            busy = True
        else:
            queue.x[:, lane] = points[queue.waiting[1] - 1]  # an idle lane waits at a start
    return busy


@njit(**OPTIONS)
def _settle(queue, lane, old, faces, dt, max_steps, chance, factors, exits):
    """Record the exit of one path, or that it was still inside after its last step."""
    times, places, censored = exits
    path = queue.path[lane]
    if has_left(queue.x, old, lane, faces, dt, chance, factors, places[path]):
        times[path] = (queue.taken[lane] - 0.5) * dt
    elif queue.taken[lane] == max_steps:
        times[path] = max_steps * dt
        places[path] = queue.x[:, lane]
        censored[path] = True
    else:
        return
    queue.path[lane] = -1
    queue.x[:, lane] = old[:, lane]  # an idle lane waits where the drift is known to be finite
