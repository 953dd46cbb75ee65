"""Hopf–Lax on a grid beside a memory copy and beside brute force in numpy."""

from __future__ import annotations

import numpy as np
from timing import compare

from relaxlib.grid import Grid
from relaxlib.hamilton_jacobi import hopf_lax


def waves(grid: Grid) -> np.ndarray:
    """Valleys of many depths, a different tilt along each axis."""
    return grid.sample(
        lambda x: sum(0.15 * c**2 + 0.5 * np.cos(4 * c + k) for k, c in enumerate(x.T))
    )


def noise(grid: Grid) -> np.ndarray:
    """Independent normals, which no branch predictor can guess."""
    return np.random.default_rng(0).normal(size=grid.shape)


def brute_force(grid: Grid, values: np.ndarray, t: float) -> np.ndarray:
    """The same minimum over all pairs of nodes of a line."""
    x = grid.axes[0]
    return (values + (x[:, None] - x) ** 2 / (2 * t)).min(axis=1)


def beside_copy(shape: tuple[int, ...], field, repeats: int) -> None:
    """Print the time of one transform and its ratio to a copy of the same array."""
    grid = Grid.box([-8.0] * len(shape), [8.0] * len(shape), shape)
    values = field(grid)
    out = np.empty_like(values)
    for t in (0.001, 0.1, 1.0):
        medians = compare(
            {
                "copy": lambda: np.copyto(out, values),
                "hopf_lax": lambda t=t: hopf_lax(grid, values, t=t),
            },
            repeats,
        )
        seconds, ratio = medians["hopf_lax"], medians["hopf_lax"] / medians["copy"]
        per_node = 1e9 * seconds / values.size
        print(
            f"{'x'.join(map(str, shape)):>10} {field.__name__:6} t={t:<6g} "
            f"{1e3 * seconds:8.2f} ms  {per_node:6.2f} ns/node  {ratio:6.1f} copies"
        )


def beside_brute_force(n: int, repeats: int) -> None:
    """Print the ratio to brute force on a line of n nodes."""
    grid = Grid.box(-8, 8, n)
    values = waves(grid)
    medians = compare(
        {
            "brute force": lambda: brute_force(grid, values, 1.0),
            "hopf_lax": lambda: [hopf_lax(grid, values, t=1.0) for _ in range(100)],  # caches warm
        },
        repeats,
    )
    print(
        f"{n:>10} brute force / hopf_lax = {100 * medians['brute force'] / medians['hopf_lax']:.0f}"
    )


if __name__ == "__main__":
    beside_brute_force(4000, repeats=7)
    for n in (1_000, 10_000, 100_000, 1_000_000, 4_000_000):
        beside_copy((n,), waves, repeats=15)
    beside_copy((1_000_000,), noise, repeats=15)
    beside_copy((2048, 2048), waves, repeats=9)
    beside_copy((2048, 2048), noise, repeats=9)
