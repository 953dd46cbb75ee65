"""Long compiled work over threads, in spans so short that Ctrl-C answers and a bar moves."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from numba import get_num_threads
from tqdm import tqdm

SECONDS = 0.25  # that one compiled call should take
PATIENCE = 5.0  # seconds before a bar appears, on a terminal


def progress_bar(total: int, unit: str, *, initial: int = 0, desc: str | None = None) -> Any:
    """A bar from ``initial`` to ``total``, on a terminal and only when the work takes long."""
    how = {"unit": unit, "delay": PATIENCE, "disable": None, "leave": False}
    return tqdm(total=total, initial=initial, desc=desc, **how)


def in_spans(total: int, unit: str) -> Iterator[tuple[int, int]]:
    """Spans (first, last) that cover ``range(total)``, each as long as `SECONDS` allow.

    The caller's work on one span is timed to size the next; the cuts fall on even numbers.
    """
    first, size = 0, 2
    with progress_bar(total, unit) as bar:
        while first < total:
            last = min(first + size, total)
            start = time.perf_counter()
            yield first, last
            size = resized(size, time.perf_counter() - start)
            bar.update(last - first)
            first = last


def resized(size: int, seconds: float) -> int:
    """An even size that should take `SECONDS`, at most eight times the last one."""
    factor = min(8.0, SECONDS / max(seconds, 1e-6))
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
