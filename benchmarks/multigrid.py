"""Multigrid beside a sparse direct solve and pyamg on one core, in one run; growth of its cost."""

from __future__ import annotations

import os

for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[threads] = "1"

import time
import tracemalloc
from collections.abc import Callable

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.linalg import spsolve
from timing import compare, machine

from relaxlib.diffusions import langevin, ornstein_uhlenbeck
from relaxlib.grid import Grid
from relaxlib.landscapes import double_well_2d
from relaxlib.multigrid import solve
from relaxlib.operators import KolmogorovOperator, kolmogorov

PROCESSES = {
    "Ornstein–Uhlenbeck, Q = diag(1, 0.01)": ornstein_uhlenbeck(
        np.eye(2), np.diag([1.0, 0.01]), temperature=0.5
    ),
    "rotating drift": ornstein_uhlenbeck([[1.0, -3.0], [3.0, 1.0]], np.eye(2), temperature=0.5),
    "double well, T = 0.2": langevin(double_well_2d(), temperature=0.2),
}


def problem(name: str, side: int) -> tuple[KolmogorovOperator, np.ndarray]:
    """Mean exit times from a square with ``side``² unknowns: operator and interior."""
    grid = Grid.box((-1.5, -1.5), (1.5, 1.5), (side + 2, side + 2))
    inside = np.zeros(grid.shape, dtype=bool)
    inside[1:-1, 1:-1] = True
    return kolmogorov(PROCESSES[name], grid), inside


def in_pyamg(equations: csr_matrix, right: np.ndarray) -> Callable[[], np.ndarray]:
    """Smoothed aggregation for unsymmetric equations, accelerated, set up in every run."""
    import pyamg

    def run() -> np.ndarray:
        hierarchy = pyamg.smoothed_aggregation_solver(
            equations, symmetry="nonsymmetric", strength=("evolution", {"epsilon": 4.0}),
            smooth=("energy", {"krylov": "gmres", "maxiter": 2}),
        )  # fmt: skip
        return hierarchy.solve(right, tol=1e-10, accel="gmres", maxiter=200)

    return run


def classical(equations: csr_matrix, right: np.ndarray) -> Callable[[], np.ndarray]:
    """Ruge and Stüben's coarsening, accelerated, set up in every run."""
    import pyamg

    def run() -> np.ndarray:
        hierarchy = pyamg.ruge_stuben_solver(equations)
        return hierarchy.solve(right, tol=1e-10, accel="bicgstab", maxiter=200)

    return run


def side_by_side(name: str, side: int = 511) -> None:
    """Print times, and errors relative to the direct solve."""
    operator, inside = problem(name, side)
    ones, kept = np.ones(inside.shape), np.flatnonzero(inside)
    equations = csr_matrix(-operator.matrix[kept][:, kept])
    equations.indices, equations.indptr = (
        array.astype(np.int32) for array in (equations.indices, equations.indptr)
    )
    scaled = csr_matrix(equations.multiply(1.0 / equations.diagonal()[:, None]))
    right = 1.0 / equations.diagonal()
    rivals = {
        "relaxlib": lambda: solve(operator, ones, inside=inside)[inside],
        "spsolve": lambda: spsolve(equations.tocsc(), np.ones(len(kept))),
    }
    try:
        rivals["pyamg SA"] = in_pyamg(scaled, right)
        rivals["pyamg RS"] = classical(scaled, right)
    except ImportError as error:
        print(f"  pyamg missing: {error}")
    seconds = compare(rivals, repeats=3)
    exact = rivals["spsolve"]()
    for rival, run in rivals.items():
        error = np.abs(run() - exact).max() / np.abs(exact).max()
        ratio = seconds[rival] / seconds["relaxlib"]
        print(f"  {rival:<9}{seconds[rival]:8.3f} s, error {error:.1e}; ratio {ratio:.1f}")


def growth(name: str) -> None:
    """Print time and peak memory per unknown as the grid grows, memory beyond the operator."""
    for side in (255, 511, 1023, 2047):
        operator, inside = problem(name, side)
        ones = np.ones(inside.shape)
        solve(operator, ones, inside=inside)
        start = time.perf_counter()
        solve(operator, ones, inside=inside)
        seconds = time.perf_counter() - start
        tracemalloc.start()
        solve(operator, ones, inside=inside)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        each = f"{1e9 * seconds / side**2:6.0f} ns and {peak / side**2:5.0f} bytes per unknown"
        print(f"  {side:>4}² {seconds:8.3f} s, {each}")


def main() -> None:
    print(f"mean exit times, 511² unknowns, one core ({machine()})")
    for name in PROCESSES:
        print(name)
        side_by_side(name)
    print("growth, Ornstein–Uhlenbeck")
    growth("Ornstein–Uhlenbeck, Q = diag(1, 0.01)")


if __name__ == "__main__":
    main()
