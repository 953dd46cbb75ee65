"""Compiled loops around a core, and the records that adaptive multilevel splitting restarts from.

A path of a run starts in the core, outward, and counts its loops: out of the shell, back to the
core. On its last way back it keeps a record of each state at which its level, minus its distance
from the region's boundary, is higher than before. It ends in the core, or beyond the boundary
with the level infinity.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import CancelledError
from functools import partial
from threading import Event
from typing import NamedTuple

import numpy as np
from numba import njit

from relaxlib._lanes.compilation import LOOP, OPTIONS
from relaxlib._lanes.crews import (
    Queue,
    crew_workspace,
    failure_of,
    idle_crew,
    refill,
    step_crew,
)
from relaxlib._lanes.progress import resized
from relaxlib._lanes.steps import Equation
from relaxlib._lanes.streams import LANES
from relaxlib._lanes.walls import Faces, distance, has_left
from relaxlib.diffusions import Diffusion
from relaxlib.regions import Ball, Box

_DONE, _FULL, _GOING = 0, 1, 2
_COLUMNS = 64  # of new tables
_MARGIN = 2  # records that a path may add in a pair of steps


class Course(NamedTuple):
    """What all paths of a call have in common."""

    equation: Equation
    region: Faces
    core: Faces
    shell: Faces
    start: np.ndarray  # (d,) where a path without records starts, outward
    loops: int  # loops before the way that is recorded
    dt: float
    seed: np.uint64


class Records(NamedTuple):
    """Ascents of the n paths of a run, in tables of c columns."""

    level: np.ndarray  # (n, c) increasing along a row
    clock: np.ndarray  # (n, c) steps since the path last left the shell
    place: np.ndarray  # (n, c, d)
    used: np.ndarray  # (n,) columns in use


class Tally(NamedTuple):
    """What the loops of the n paths of a run have taken."""

    inward: np.ndarray  # (n,) whether the path is beyond the shell or on its way back
    loops: np.ndarray  # (n,) completed
    steps: np.ndarray  # (n,) until the recorded way, or until an earlier exit
    late_steps: np.ndarray  # (n,) of these, in the second half of the loops
    next_stream: np.ndarray  # (1,) number of the random numbers of the next start or restart


def one_run(
    diffusion: Diffusion,
    course: Course,
    region: Ball | Box,
    points: np.ndarray,
    replicas: int,
    kill: int,
    stop: Event,
    run: int,
) -> list[float]:
    """Means over the paths of one run, as six numbers.

    The time until the loops are done; time and number of the loops in their second half; the
    fraction that survives the loops, and that then leaves; and the time of its leaving.
    """
    generator = np.random.default_rng([int(course.seed), run])
    records, tally = _tables(replicas, diffusion.dim, run << 32)
    if course.loops == 0:
        records.place[:, 0] = points[generator.integers(len(points), size=replicas)]
        records.level[:, 0] = region.distance(records.place[:, 0])
        records.clock[:, 0] = 0.0
        records.used[:] = 1
    finish = partial(_complete, diffusion, course, tally, stop)
    records = finish(records, np.arange(replicas))
    survivors = np.flatnonzero(records.used)
    clocks, weight = _split(records, survivors, kill, generator, finish)
    late_loops = np.maximum(tally.loops - course.loops // 2, 0)
    times = tally.steps.sum(), tally.late_steps.sum(), weight * clocks.sum()
    first, late, last = (course.dt * float(steps) / replicas for steps in times)
    survived, left = len(survivors) / replicas, weight * len(clocks) / replicas
    return [first, late, float(late_loops.mean()), survived, left, last]


def _split(
    records: Records, rows: np.ndarray, kill: int, generator: np.random.Generator, finish: Callable
) -> tuple[np.ndarray, float]:
    """Split the paths in some rows until fewer than ``kill`` have not left.

    Returns the clocks of those that have left, and their weight. ``finish(records, rows)`` takes
    the paths of given rows to their ends.
    """
    weight = 1.0
    while len(rows):
        last = rows, records.used[rows] - 1
        highest = records.level[last]
        level = np.sort(highest)[min(kill, len(rows)) - 1]
        if level == np.inf:
            return records.clock[last][highest == np.inf], weight
        killed, kept = rows[highest <= level], rows[highest > level]
        if not len(kept):
            break
        weight *= len(kept) / len(rows)
        parents = kept[generator.integers(len(kept), size=len(killed))]
        cut = (records.level[parents] > level).argmax(axis=1)
        for table in records[:3]:
            table[killed, 0] = table[parents, cut]
        records.used[killed] = 1
        records = finish(records, killed[records.level[killed, 0] < np.inf])
    return np.empty(0), weight


def _tables(paths: int, dim: int, first_stream: int) -> tuple[Records, Tally]:
    """Records and tally of some paths before their first step."""
    shape, numbers = (paths, _COLUMNS), np.zeros((2, paths), np.int64)
    records = Records(np.empty(shape), np.empty(shape), np.empty((*shape, dim)), numbers[0])
    steps, late_steps = np.zeros((2, paths))
    inward = np.zeros(paths, np.bool_)
    return records, Tally(inward, numbers[1], steps, late_steps, np.array([first_stream]))


def _complete(
    diffusion: Diffusion,
    course: Course,
    tally: Tally,
    stop: Event,
    records: Records,
    jobs: np.ndarray,
) -> Records:
    """Take the paths of the rows ``jobs`` to their ends, each with a stream of its own.

    A path goes on from its last record, or starts the loops if it has none. Returns the records,
    in larger tables if need be. Once ``stop`` is set, raises CancelledError.
    """
    last = jobs, records.used[jobs] - 1
    inward = tally.inward[jobs] = last[1] >= 0
    starts = np.where(inward[:, None], records.place[last], course.start)
    clocks = np.where(inward, records.clock[last], 0.0)
    queue = Queue(jobs, starts, clocks, tally.next_stream + np.arange(len(jobs)))
    tally.next_stream[0] += len(jobs)
    crew = idle_crew(course.start, diffusion.rank)
    state, pairs = _GOING, 256
    while state != _DONE:
        if stop.is_set():
            raise CancelledError
        begin = time.perf_counter()
        state, flaw = _advance(course, records, tally, crew, queue, pairs)
        if flaw >= 0:
            failure_of(crew, flaw).stop_euler(diffusion.step_bound)
        if state == _FULL:
            level, clock, place = (np.concatenate([t, t], axis=1) for t in records[:3])
            records = Records(level, clock, place, records.used)
        elif state == _GOING:
            pairs = resized(pairs, time.perf_counter() - begin)
    return records


@njit(**OPTIONS)
def _advance(course, records, tally, crew, queue, pairs):
    """Take the lanes through pairs of steps; return the state and a lane that failed, or -1.

    Stops early when no path is left, or a row of the records is nearly full.
    """
    work, place = crew_workspace(course.equation, crew), np.empty(len(crew.x))
    for n in range(2 * pairs):
        if n % 2 == 0:
            if not refill(crew, queue, course.seed):
                return _DONE, -1
            if _nearly_full(records, crew):
                return _FULL, -1
        flaw = step_crew(course.equation, crew, n, course.dt, work)
        if flaw >= 0:
            return _GOING, flaw
        _settle(course, records, tally, crew, work.factors, place)
    return _GOING, -1


@njit(**LOOP)
def _nearly_full(records, crew):
    for lane in range(LANES):
        path = crew.path[lane]
        if path >= 0 and records.used[path] + _MARGIN > records.level.shape[1]:
            return True
    return False


@njit(**LOOP)
def _settle(course, records, tally, crew, factors, place):
    """Look where each path has come to in this step."""
    for lane in range(LANES):
        path, chance = crew.path[lane], crew.chance[lane]
        if path < 0:
            continue
        if not tally.inward[path]:
            if distance(crew.x, lane, course.shell) >= 0.0:
                _turn_back(course, records, tally, crew, lane)
        elif has_left(crew.x, crew.before, lane, course.region, course.dt, chance, factors, place):
            _leave(course, records, tally, crew, lane)
        elif distance(crew.x, lane, course.core) < 0.0:
            _close_loop(course, tally, crew, lane)
        elif tally.loops[path] == course.loops:
            level = distance(crew.x, lane, course.region)
            if level > records.level[path, records.used[path] - 1]:
                _record(records, crew, lane, level)


@njit(**LOOP)
def _turn_back(course, records, tally, crew, lane):
    """Turn a path that has left the shell; its last way back is recorded from here on."""
    path = crew.path[lane]
    tally.steps[path] += crew.clock[lane]
    if 2 * tally.loops[path] > course.loops:
        tally.late_steps[path] += crew.clock[lane]
    crew.clock[lane] = 0.0
    tally.inward[path] = True
    if tally.loops[path] == course.loops:
        _record(records, crew, lane, distance(crew.x, lane, course.region))


@njit(**LOOP)
def _leave(course, records, tally, crew, lane):
    """End a path that has left the region, in the middle of its step."""
    path = crew.path[lane]
    crew.clock[lane] -= 0.5
    if tally.loops[path] == course.loops:
        _record(records, crew, lane, np.inf)
    else:
        tally.steps[path] += crew.clock[lane]
    crew.path[lane] = -1


@njit(**LOOP)
def _close_loop(course, tally, crew, lane):
    """Turn a path that is back in the core, or end it after its last loop."""
    path = crew.path[lane]
    if tally.loops[path] == course.loops:
        crew.path[lane] = -1
    else:
        tally.loops[path] += 1
        tally.inward[path] = False


@njit(**LOOP)
def _record(records, crew, lane, level):
    path = crew.path[lane]
    column = records.used[path]
    records.level[path, column] = level
    records.clock[path, column] = crew.clock[lane]
    for i in range(len(crew.x)):
        records.place[path, column, i] = crew.x[i, lane]
    records.used[path] += 1
