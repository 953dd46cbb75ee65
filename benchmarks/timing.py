"""Side-by-side timing: interleaved runs of named rivals, medians, ratios."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable

import numba
import numpy as np


def compare(rivals: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Median seconds of each rival, run in turns after one warm-up so that drift hits all alike."""
    for run in rivals.values():
        run()
    seconds = {name: [] for name in rivals}
    for _ in range(repeats):
        for name, run in rivals.items():
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(times) for name, times in seconds.items()}


def machine() -> str:
    """One line that says where the numbers were taken."""
    versions = f"Python {platform.python_version()}, numpy {np.__version__}"
    return f"{os.cpu_count()} cores, {versions}, numba {numba.__version__}"
