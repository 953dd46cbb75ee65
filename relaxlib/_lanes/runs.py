"""Many steps of many paths, in blocks of lanes over threads."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

from relaxlib._lanes.blocks import pack, unpack
from relaxlib._lanes.failures import Failure
from relaxlib._lanes.progress import in_spans, over_threads, threads
from relaxlib._lanes.streams import LANES, seed_blocks


class Blocks(NamedTuple):
    """Where the paths stand, and what is kept of them."""

    x: np.ndarray  # (b, d, 64)
    stream: np.ndarray  # (b, 4, 64)
    saved: np.ndarray  # (k, b, d, 64)
    failures: np.ndarray  # (b, 2) step and lane that left the finite numbers, else -1
    paths: int  # without the copies that fill the last block
    every: int  # steps from one saved position to the next; 0 saves none


def run(
    points: np.ndarray, first_path: int, steps: int, every: int, seed: np.uint64, advance: Callable
) -> tuple[np.ndarray, Failure | None]:
    """Positions (k, n, d) of the paths number ``first_path`` on, and the first failure if any.

    ``advance(blocks, (start, stop), first, last)`` takes the blocks from first to last through
    the steps from start to stop. A block whose path leaves the finite numbers stops there, at its
    last finite positions.
    """
    x = pack(points)
    saved = np.empty((steps // every + 1 if every else 0, *x.shape))
    saved[:1] = x
    failures = np.full((len(x), 2), -1)
    blocks = Blocks(x, seed_blocks(seed, first_path, len(x)), saved, failures, len(points), every)
    with threads() as pool:
        for span in in_spans(steps, "step"):
            over_threads(pool, partial(advance, blocks, span), len(x))
            failed = np.flatnonzero(failures[:, 0] >= 0)
            if len(failed):
                block = failed[np.argmin(failures[failed, 0])]
                step, lane = failures[block]
                path = first_path + block * LANES + lane
                return np.empty(0), Failure(path, step, x[block, :, lane])
    return unpack(saved if every else x[None], len(points)), None


def saved_times(step: float, steps: int, every: int) -> np.ndarray:
    """The times (k,) of the positions that `run` returns."""
    return step * np.arange(0, steps + 1, every) if every else np.array([step * steps])
