"""Local entropy of an array beside a Gaussian filter of exp(-f/T), where f/T ranges over 3000."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter
from timing import compare, machine

from relaxlib.grid import Grid
from relaxlib.smoothing import local_entropy_on_grid

RANGE = 3000.0  # of f/T
PIXELS = 10.0  # standard deviation of the Gaussian, in spacings


def waves(grid: Grid) -> np.ndarray:
    """Tilted valleys whose values range over `RANGE`, temperature one."""
    values = grid.sample(
        lambda x: sum(0.15 * c**2 + 0.5 * np.cos(4 * c + k) for k, c in enumerate(x.T))
    )
    return RANGE * (values - values.min()) / np.ptp(values)


def filtered(values: np.ndarray) -> np.ndarray:
    """What a filter of the weights gives: infinite where they underflow."""
    with np.errstate(divide="ignore"):
        return -np.log(gaussian_filter(np.exp(-values), PIXELS, truncate=9.0, mode="constant"))


def reference(grid: Grid, values: np.ndarray, node: tuple[int, int], gamma: float) -> float:
    """The same sum over all nodes, in extended precision."""
    x = grid.nodes.reshape(*grid.shape, 2)
    spring = ((x - x[node]) ** 2).sum(axis=-1) / (2 * gamma)
    exponents = -(values + spring).astype(np.longdouble)
    top = exponents.max()
    weights = grid.volumes / (2 * np.pi * gamma)
    return float(-(top + np.log((np.exp(exponents - top) * weights).sum())))


def beside_filter(n: int, repeats: int) -> None:
    """Print times, ratio and what each side gets right on an n × n grid."""
    grid = Grid.box((-8.0, -8.0), (8.0, 8.0), (n, n))
    values, gamma = waves(grid), (PIXELS * 16.0 / (n - 1)) ** 2
    medians = compare(
        {
            "gaussian_filter": lambda: filtered(values),
            "local_entropy_on_grid": lambda: local_entropy_on_grid(
                grid, values, gamma=gamma, temperature=1.0
            ),
        },
        repeats,
    )
    ours, theirs = medians["local_entropy_on_grid"], medians["gaussian_filter"]
    smoothed = local_entropy_on_grid(grid, values, gamma=gamma, temperature=1.0)
    nodes = [tuple(node) for node in np.random.default_rng(0).integers(0, n, (20, 2))]
    error = max(abs(smoothed[node] - reference(grid, values, node, gamma)) for node in nodes)
    print(
        f"{n:5}^2  {1e3 * ours:8.1f} ms, error {error:.1e}, infinities "
        f"{np.isinf(smoothed).sum()};  gaussian_filter {1e3 * theirs:8.1f} ms, infinities "
        f"{np.isinf(filtered(values)).sum()};  ratio {theirs / ours:.1f}"
    )


def main() -> None:
    print(f"local entropy of an array, f/T up to {RANGE:g}, against scipy.ndimage ({machine()})")
    for n in (256, 512, 1024, 2048):
        beside_filter(n, repeats=5)


if __name__ == "__main__":
    main()
