"""Mean exit times of the double well: splitting beside direct simulation, at equal error.

usage: python benchmarks/rare_events.py    (half a minute)

The cost of an estimate is its time times the square of its relative standard error: how long one
waits for an error of 100 %.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from timing import machine

from relaxlib.diffusions import Diffusion, langevin
from relaxlib.exit_times import interval_exit_time
from relaxlib.landscapes import double_well
from relaxlib.paths import Estimate, first_exits
from relaxlib.rare_events import mean_exit_time_splitting
from relaxlib.regions import Box

REGION, DT = Box(-np.inf, 0.7), 0.01


def splitting(process: Diffusion) -> Estimate:
    """From a core as wide as the thermal cloud."""
    half = np.sqrt(process.temperature / 2)
    core = Box(-1 - half, -1 + half)
    options = {"dt": DT, "replicas": 256, "runs": 32, "rng": 1}
    return mean_exit_time_splitting(process, -1.0, REGION, core, **options)


def direct(process: Diffusion) -> Estimate:
    """A thousand paths, each to its exit."""
    return first_exits(process, -1.0, REGION, dt=DT, max_steps=10**9, rng=1, paths=1000).mean()


def cost(method: Callable[[Diffusion], Estimate], process: Diffusion) -> tuple[float, Estimate]:
    """Seconds for a relative error of one, and the estimate."""
    start = time.perf_counter()
    found = method(process)
    return (time.perf_counter() - start) * (found.stderr / found.mean) ** 2, found


def main() -> None:
    print(f"cost of splitting and of direct simulation ({machine()})")
    for depth in (2.5, 5.0, 7.5, 10.0, 15.0):  # barrier over temperature
        process = langevin(double_well(), temperature=0.25 / depth)
        exact = float(interval_exit_time(process, -1.0, lower=-np.inf, upper=0.7))
        splitting(process)  # compiles
        price, found = cost(splitting, process)
        off = (found.mean - exact) / found.stderr
        line = f"  barrier {depth:4g} T, time {exact:9.3g}: splitting {price * 1e3:7.3g} ms"
        line += f" ({off:+.1f} standard errors)"
        if depth < 8:
            rival, _ = cost(direct, process)
            line += f", direct {rival * 1e3:7.3g} ms, ratio {rival / price:.3g}"
        print(line)


if __name__ == "__main__":
    main()
