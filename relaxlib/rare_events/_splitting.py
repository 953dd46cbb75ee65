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
from relaxlib._lanes.progress import resized
from relaxlib._lanes.steps import Equation, Failure, draw, first_flaw, move, workspace
from relaxlib._lanes.streams import LANES, seed_lane, uniforms
from relaxlib._lanes.walls import Faces, has_left, spread_noise
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
    count: np.ndarray  # (n,) columns in use


class Tally(NamedTuple):
    """What the loops of the n paths of a run have taken."""

    loops: np.ndarray  # (n,) completed
    steps: np.ndarray  # (n,) until the recorded way, or until an earlier exit
    late_steps: np.ndarray  # (n,) of these, in the second half of the loops
    next_stream: np.ndarray  # (1,) number of the random numbers of the next start or restart


class Crew(NamedTuple):
    """The paths in the lanes and the next one that waits."""

    x: np.ndarray  # (d, 64)
    stream: np.ndarray  # (4, 64)
    spare: np.ndarray  # (r, 64)
    path: np.ndarray  # (64,) row of the path in each lane, -1 for an idle lane
    clock: np.ndarray  # (64,)
    inward: np.ndarray  # (64,) whether the path is beyond the shell or on its way back
    next_job: np.ndarray  # (1,)


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
        records.count[:] = 1
    finish = partial(_complete, diffusion, course, tally, stop)
    records = finish(records, np.arange(replicas))
    survivors = np.flatnonzero(records.count)
    clocks, weight = _split(records, survivors, kill, generator, finish)
    late_loops = np.maximum(tally.loops - course.loops // 2, 0)
    times = tally.steps.sum(), tally.late_steps.sum(), weight * clocks.sum()
    first, late, last = (course.dt * float(steps) / replicas for steps in times)
    survived, left = len(survivors) / replicas, weight * len(clocks) / replicas
    return [first, late, float(late_loops.mean()), survived, left, last]


def _split(
    records: Records,
    rows: np.ndarray,
    kill: int,
    generator: np.random.Generator,
    finish: Callable[[Records, np.ndarray], Records],
) -> tuple[np.ndarray, float]:
    """Split the paths in some rows until fewer than ``kill`` of them have not left.

    Returns the clocks of those that have left, and their weight. ``finish`` takes the paths of
    given rows to their ends.
    """
    weight = 1.0
    while len(rows):
        last = rows, records.count[rows] - 1
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
        for table in (records.level, records.clock, records.place):
            table[killed, 0] = table[parents, cut]
        records.count[killed] = 1
        records = finish(records, killed[records.level[killed, 0] < np.inf])
    return np.empty(0), weight


def _tables(count: int, dim: int, first_stream: int) -> tuple[Records, Tally]:
    """Records and tally of ``count`` paths before their first step."""
    shape, counts = (count, _COLUMNS), np.zeros(count, np.int64)
    records = Records(np.empty(shape), np.empty(shape), np.empty((*shape, dim)), counts)
    return records, Tally(counts.copy(), np.zeros(count), np.zeros(count), np.array([first_stream]))


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
    crew = Crew(
        np.repeat(course.start[:, None], LANES, axis=1),
        np.ones((4, LANES), np.uint64),
        np.empty((diffusion.rank, LANES)),
        np.full(LANES, -1),
        np.zeros(LANES),
        np.zeros(LANES, np.bool_),
        np.zeros(1, np.int64),
    )
    state, pairs = _GOING, 256
    while state != _DONE:
        if stop.is_set():
            raise CancelledError
        begin = time.perf_counter()
        state, flaw = advance(course, records, tally, crew, jobs, pairs)
        if flaw >= 0:
            position = crew.x[:, flaw].copy()
            failure = Failure(crew.path[flaw], int(crew.clock[flaw]), position)
            failure.stop_euler(float(diffusion.step_bound(position)))
        if state == _FULL:
            *tables, count = records
            records = Records(*(np.concatenate([t, t], axis=1) for t in tables), count)
        elif state == _GOING:
            pairs = resized(pairs, time.perf_counter() - begin)
    return records


@njit(**OPTIONS)
def advance(course, records, tally, crew, jobs, pairs):
    """Take the lanes through pairs of steps; return the state and a lane not finite, or -1.

    Stops early when no path is left, or a row of the records is nearly full.
    """
    work = workspace(len(crew.x), len(crew.spare))
    if course.equation.additive:
        spread_noise(course.equation, work.factors)
    old, chances, place = np.empty(crew.x.shape), np.empty(LANES), np.empty(len(crew.x))
    for n in range(2 * pairs):
        if n % 2 == 0:
            if not _refill(course, records, tally, crew, jobs):
                return _DONE, -1
            if _nearly_full(records, crew):
                return _FULL, -1
        old[:] = crew.x
        draw(crew.stream, n, work.draws, crew.spare)
        uniforms(crew.stream, chances)
        move(course.equation, crew.x, 0.0, course.dt, work.draws, work)
        flaw = first_flaw(crew.x, LANES)
        if flaw >= 0:
            crew.x[:] = old
            return _GOING, flaw
        _settle(course, records, tally, crew, old, chances, work.factors, place)
    return _GOING, -1


@njit(**LOOP)
def _refill(course, records, tally, crew, jobs):
    """Put waiting paths into idle lanes; return whether any lane is busy."""
    busy = False
    for lane in range(LANES):
        if crew.path[lane] < 0 and crew.next_job[0] < len(jobs):
            path = jobs[crew.next_job[0]]
            seed_lane(course.seed, tally.next_stream[0], crew.stream, lane)
            tally.next_stream[0] += 1
            crew.next_job[0] += 1
            crew.path[lane] = path
            last = records.count[path] - 1
            crew.inward[lane] = last >= 0
            crew.clock[lane] = records.clock[path, last] if last >= 0 else 0.0
            for i in range(len(crew.x)):
                crew.x[i, lane] = records.place[path, last, i] if last >= 0 else course.start[i]
        busy = busy or crew.path[lane] >= 0
    return busy


@njit(**LOOP)
def _nearly_full(records, crew):
    for lane in range(LANES):
        path = crew.path[lane]
        if path >= 0 and records.count[path] + _MARGIN > records.level.shape[1]:
            return True
    return False


@njit(**LOOP)
def _settle(course, records, tally, crew, old, chances, factors, place):
    """Look where each path has come to in this step."""
    for lane in range(LANES):
        if crew.path[lane] >= 0:
            crew.clock[lane] += 1.0
            if not crew.inward[lane]:
                _go_out(course, records, tally, crew, lane)
            elif has_left(
                crew.x, old, lane, course.region, course.dt, chances[lane], factors, place
            ):
                _leave(course, records, tally, crew, lane)
            else:
                _go_in(course, records, tally, crew, lane)
        if crew.path[lane] < 0:
            for i in range(len(crew.x)):
                crew.x[i, lane] = course.start[i]  # an idle lane waits where steps are finite


@njit(**LOOP)
def _go_out(course, records, tally, crew, lane):
    """Turn a path that has left the shell; its last way back is recorded from here on."""
    if _distance(crew.x, lane, course.shell) < 0.0:
        return
    path = crew.path[lane]
    tally.steps[path] += crew.clock[lane]
    if 2 * tally.loops[path] > course.loops:
        tally.late_steps[path] += crew.clock[lane]
    crew.clock[lane] = 0.0
    crew.inward[lane] = True
    if tally.loops[path] == course.loops:
        _record(records, crew, lane, _distance(crew.x, lane, course.region))


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
def _go_in(course, records, tally, crew, lane):
    """End or turn a path that is back in the core; record one that has never been so high."""
    path = crew.path[lane]
    last = tally.loops[path] == course.loops
    if _distance(crew.x, lane, course.core) < 0.0:
        if last:
            crew.path[lane] = -1
        else:
            tally.loops[path] += 1
            crew.inward[lane] = False
    elif last:
        level = _distance(crew.x, lane, course.region)
        if level > records.level[path, records.count[path] - 1]:
            _record(records, crew, lane, level)


@njit(**LOOP)
def _record(records, crew, lane, level):
    path = crew.path[lane]
    column = records.count[path]
    records.level[path, column] = level
    records.clock[path, column] = crew.clock[lane]
    for i in range(len(crew.x)):
        records.place[path, column, i] = crew.x[i, lane]
    records.count[path] += 1


@njit(**LOOP)
def _distance(x, lane, faces):
    """Signed distance to a sphere, or to the nearest face of a box; negative inside."""
    if faces.radius >= 0.0:
        square = 0.0
        for i in range(len(x)):
            square += (x[i, lane] - faces.lower[i]) ** 2
        return np.sqrt(square) - faces.radius
    farthest = -np.inf
    for i in range(len(x)):
        farthest = max(farthest, faces.lower[i] - x[i, lane], x[i, lane] - faces.upper[i])
    return farthest
