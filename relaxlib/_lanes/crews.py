"""Euler's steps of paths that enter 64 lanes one after the other and leave them one by one."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from relaxlib._lanes.compilation import LOOP, OPTIONS
from relaxlib._lanes.failures import Failure, first_flaw
from relaxlib._lanes.steps import draw, move, workspace
from relaxlib._lanes.streams import LANES, seed_lane, uniforms


class Queue(NamedTuple):
    """Paths in the order in which they enter the lanes."""

    path: np.ndarray  # (m,) their rows in the tables of results
    start: np.ndarray  # (m, d)
    clock: np.ndarray  # (m,) steps that they have taken before
    stream: np.ndarray  # (m,) numbers of their streams


class Crew(NamedTuple):
    """The paths in the lanes."""

    x: np.ndarray  # (d, 64)
    before: np.ndarray  # (d, 64) where they stood before the last step
    chance: np.ndarray  # (64,) drawn in the last step, in (0, 1]
    stream: np.ndarray  # (4, 64)
    spare: np.ndarray  # (r, 64)
    path: np.ndarray  # (64,) row of the path in each lane, -1 for an idle lane
    clock: np.ndarray  # (64,) steps that it has taken
    entered: np.ndarray  # (1,) number of paths that have left the queue


def idle_crew(place: np.ndarray, rank: int) -> Crew:
    """Lanes that wait for paths at a place (d,) where the drift is finite."""
    x = np.repeat(place[:, None], LANES, axis=1)
    return Crew(
        x,
        x.copy(),
        np.empty(LANES),
        np.ones((4, LANES), np.uint64),
        np.zeros((rank, LANES)),
        np.full(LANES, -1),
        np.zeros(LANES),
        np.zeros(1, np.int64),
    )


def failure_of(crew: Crew, lane: int, first_path: int = 0) -> Failure:
    """The failed step of the path in a lane; row 0 of the results is path ``first_path``."""
    return Failure(first_path + int(crew.path[lane]), int(crew.clock[lane]), crew.before[:, lane])


@njit(**OPTIONS)
def crew_workspace(equation, crew):
    """Scratch memory, with the constants of S in every lane."""
    work = workspace(len(crew.x), len(crew.spare))
    work.factors[:] = 0.0
    for k in range(len(equation.weights)):
        work.factors[equation.entries[k, 0], equation.entries[k, 1], :] = equation.weights[k]
    return work


@njit(**LOOP)
def refill(crew, queue, seed):
    """Put waiting paths into idle lanes; return whether any lane is busy."""
    busy = False
    for lane in range(LANES):
        if crew.path[lane] < 0 and crew.entered[0] < len(queue.path):
            k = crew.entered[0]
            crew.entered[0] += 1
            crew.path[lane], crew.clock[lane] = queue.path[k], queue.clock[k]
            seed_lane(seed, queue.stream[k], crew.stream, lane)
            for i in range(len(crew.x)):
                crew.x[i, lane] = queue.start[k, i]
        busy = busy or crew.path[lane] >= 0
    return busy


@njit(**LOOP)
def step_crew(equation, crew, n, dt, work):
    """Take step number n; return a lane whose path is not finite after it, or -1."""
    for i in range(len(crew.x)):
        for lane in range(LANES):
            if crew.path[lane] < 0:  # it waits where the last path in this lane was still busy
                crew.x[i, lane] = crew.before[i, lane]
            crew.before[i, lane] = crew.x[i, lane]
    draw(crew.stream, n, work.draws, crew.spare)
    uniforms(crew.stream, crew.chance)
    move(equation, crew.x, 0.0, dt, work.draws, work)
    flaw = first_flaw(crew.x, LANES)
    if flaw < 0:
        for lane in range(LANES):
            crew.clock[lane] += 1.0
    return flaw
