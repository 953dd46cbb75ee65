"""The averaged flow of the running example three ways: error and seconds as epsilon -> 0.

usage: python benchmarks/homogenization.py    (half a minute)

Direct simulation of the two-scale system, the heterogeneous multiscale method at a fixed cost,
and the exact effective flow, by quadrature. The error is the root mean square distance from the
averaged flow at t = 1; cost is seconds for 2000 paths, and the work for an error of one,
seconds times mean square error, does not depend on how a method splits its steps.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from timing import machine

from relaxlib.diffusions import two_scale
from relaxlib.homogenization import effective_flow, hmm
from relaxlib.landscapes import lipschitz_double_well
from relaxlib.paths import simulate

LOSS, FACTS = lipschitz_double_well(), {"gamma": 0.5, "temperature": 1 / 3}
MICRO_DT, PATHS = 0.05, 2000


def direct(epsilon: float) -> np.ndarray:
    """X at t = 1, every scale resolved."""
    pair = two_scale(LOSS, epsilon=epsilon, **FACTS)
    steps = round(1 / (MICRO_DT * epsilon))
    how = {"dt": 1 / steps, "steps": steps, "scheme": "leimkuhler-matthews"}
    return simulate(pair, [1.8, 1.0], paths=PATHS, rng=1, **how).paths[-1, :, 0]


def multiscale(dt: float, micro_steps: int) -> np.ndarray:
    """X at t = 1 by bursts of the frozen fast variable."""
    how = {"dt": dt, "steps": round(1 / dt), "micro_dt": MICRO_DT, "micro_steps": micro_steps}
    return hmm(LOSS, 1.8, y0=1.0, paths=PATHS, rng=1, **FACTS, **how).paths[-1, :, 0]


def exact() -> np.ndarray:
    """The limit itself."""
    return effective_flow(LOSS, 1.8, [1.0], **FACTS)[:, 0]


def row(name: str, method: Callable[[], np.ndarray], limit: float) -> str:
    """One line: seconds, error, and the work for an error of one."""
    start = time.perf_counter()
    x = method()
    seconds = time.perf_counter() - start
    square = np.mean((x - limit) ** 2)
    return (
        f"  {name:34} {seconds:8.3f} s, error {np.sqrt(square):8.2e}, work {seconds * square:8.2e}"
    )


def main() -> None:
    print(f"error and seconds at t = 1, {PATHS} paths ({machine()})")
    limit = float(exact()[0])
    direct(0.1), multiscale(0.05, 10)  # compile
    for epsilon in (1e-1, 1e-2, 1e-3, 1e-4):
        print(row(f"direct, epsilon = {epsilon:g}", lambda e=epsilon: direct(e), limit))
    for dt, micro_steps in ((0.1, 20), (0.02, 40), (0.01, 200), (0.005, 1000)):
        name = f"HMM, dt = {dt:g}, {micro_steps} micro steps"
        print(row(name, lambda d=dt, m=micro_steps: multiscale(d, m), limit))
    print(row("effective flow, quadrature", exact, limit))


if __name__ == "__main__":
    main()
