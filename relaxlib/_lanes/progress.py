"""Long compiled work in short slices, over threads: Ctrl-C answers, a progress bar moves."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from numba import get_num_threads
from tqdm import tqdm

SLICE = 0.25  # seconds that one compiled call should take
PATIENCE = 5.0  # seconds before a bar appears, on a terminal


def in_slices(total: int, unit: str) -> Iterator[tuple[int, int]]:
    """Spans (first, last) that cover ``range(total)``, each as long as `SLICE` allows.

    The caller's work on one span is timed to size the next; the cuts fall on even numbers.
    """
    first, size = 0, 2
    with tqdm(total=total, unit=unit, delay=PATIENCE, disable=None, leave=False) as bar:
        while first < total:
            last = min(first + size, total)
            start = time.perf_counter()
            yield first, last
            size = resized(size, time.perf_counter() - start)
            bar.update(last - first)
            first = last


def resized(size: int, seconds: float) -> int:
    """An even slice size that should take `SLICE`, at most eight times the last one."""
    factor = min(8.0, SLICE / max(seconds, 1e-6))
    return max(2, 2 * int(size * factor / 2))


def over_threads(pool: ThreadPoolExecutor, kernel: Callable, count: int) -> None:
    """Call ``kernel(first, last)`` on spans that cover ``range(count)``, one per thread."""
    threads = min(get_num_threads(), count)
    cuts = [count * k // threads for k in range(threads + 1)]
    for _ in pool.map(kernel, cuts[:-1], cuts[1:]):
        pass


def threads() -> ThreadPoolExecutor:
    """A pool of as many threads as numba may use."""
    return ThreadPoolExecutor(get_num_threads())
