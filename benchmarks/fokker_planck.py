"""Fokker–Planck flows beside py-pde, fplanck and a sparse Crank–Nicolson, in one run."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.sparse import csc_array, csr_array, eye_array
from scipy.sparse.linalg import splu
from timing import compare, machine

from relaxlib.diffusions import langevin
from relaxlib.fokker_planck import evolve, gibbs
from relaxlib.grid import Grid
from relaxlib.landscapes import double_well, double_well_2d
from relaxlib.operators import kolmogorov, langevin_operator

TEMPERATURE, TIME = 0.2, 10.0


def on_the_line(count: int) -> tuple[Grid, np.ndarray, Callable]:
    """Grid, start and relaxlib's run of the double well."""
    grid = Grid.box(-2.5, 2.5, count)
    start = gibbs(grid, (grid.axes[0] + 0.5) ** 2 / 2, temperature=0.02)
    process = langevin(double_well(), temperature=TEMPERATURE)

    def run() -> np.ndarray:
        return evolve(kolmogorov(process, grid), start, [0.0, TIME]).densities[1]

    return grid, start, run


def in_py_pde(count: int) -> Callable[[], np.ndarray]:
    """The same equation on a cell-centered grid by an adaptive stepper."""
    import pde

    grid = pde.CartesianGrid([[-2.5, 2.5]], count)
    x = grid.axes_coords[0]
    start = pde.ScalarField(grid, np.exp(-((x + 0.5) ** 2) / 0.04) / np.sqrt(0.04 * np.pi))
    equation = pde.PDE(
        {"c": f"{TEMPERATURE} * laplace(c) + (x**3 - x) * d_dx(c) + (3 * x**2 - 1) * c"},
        bc={"value": 0.0},
    )

    def run() -> np.ndarray:
        options = {"solver": "scipy", "method": "LSODA", "lband": 1, "uband": 1}
        result = equation.solve(start, TIME, tracker=None, rtol=1e-6, atol=1e-8, **options)
        return np.interp(np.linspace(-2.5, 2.5, count), x, result.data)

    return run


def crank_nicolson(matrix: csr_array, steps: int, masses: np.ndarray, time: float) -> np.ndarray:
    """Plain time stepping with one sparse factorization."""
    dt = time / steps
    one = eye_array(matrix.shape[0], format="csc")
    factors = splu(csc_array(one - dt / 2 * matrix.T))
    for _ in range(steps):
        masses = factors.solve(masses + dt / 2 * (matrix.T @ masses))
    return masses


def one_dimension() -> None:
    """Print times and errors with 1000 nodes to time 10, against a fine grid."""
    count = 1000
    grid, start, ours = on_the_line(count)
    _, _, fine = on_the_line(8 * (count - 1) + 1)
    exact = fine()[::8]
    matrix = kolmogorov(langevin(double_well(), temperature=TEMPERATURE), grid).matrix
    masses = start * grid.volumes
    rivals = {
        "relaxlib": ours,
        "Crank–Nicolson": lambda: crank_nicolson(matrix, 2000, masses, TIME) / grid.volumes,
    }
    try:
        rivals["py-pde"] = in_py_pde(count)
    except ImportError as error:
        print(f"  py-pde missing: {error}")
    seconds = compare(rivals, repeats=5)
    for name, run in rivals.items():
        error = (np.abs(run() - exact) * grid.volumes).sum()
        ratio = seconds[name] / seconds["relaxlib"]
        print(
            f"  {name:<15} {1e3 * seconds[name]:9.2f} ms, L1 error {error:.1e}; ratio {ratio:.1f}"
        )


def away(x: np.ndarray) -> np.ndarray:
    """Squared distance from the start in the plane."""
    return ((x - 0.5) ** 2).sum(axis=1)


def in_fplanck(side: int) -> Callable[[], object]:
    """The same problem in the plane by its own propagator."""
    import fplanck
    from scipy.constants import k

    np.prod = np.prod  # fplanck 0.2 predates numpy 2

    simulation = fplanck.fokker_planck(
        temperature=TEMPERATURE / k, drag=1.0, extent=[4.0, 4.0], resolution=4.0 / side,
        boundary=fplanck.boundary.reflecting,
        potential=lambda x, y: (x * x - 1.0) ** 2 / 4 + y * y / 2,
    )  # fmt: skip
    start = fplanck.gaussian_pdf(center=(0.5, 0.5), width=0.2)
    return lambda: simulation.propagate(start, 1.0, dense=False)


def two_dimensions(side: int = 200) -> None:
    """Print times in the plane, to time 1."""
    grid = Grid.box((-2.0, -2.0), (2.0, 2.0), (side, side))
    potential = grid.sample(lambda x: (x[:, 0] ** 2 - 1) ** 2 / 4 + x[:, 1] ** 2 / 2)
    start = gibbs(grid, grid.sample(away), temperature=0.08)
    operator = langevin_operator(grid, potential, temperature=TEMPERATURE)
    masses = (start * grid.volumes).ravel()
    rivals = {
        "relaxlib": lambda: evolve(operator, start, [0.0, 1.0]),
        "Crank–Nicolson": lambda: crank_nicolson(operator.matrix, 200, masses, 1.0),
    }
    try:
        rivals["fplanck"] = in_fplanck(side)
    except (ImportError, AttributeError) as error:  # fplanck 0.2 predates numpy 2
        print(f"  fplanck missing: {error}")
    seconds = compare(rivals, repeats=1)
    for name, each in seconds.items():
        print(f"  {name:<15}{each:7.2f} s; ratio {each / seconds['relaxlib']:.1f}")


def growth() -> None:
    """Time as the grid grows."""
    for count in (1_000, 10_000, 100_000):
        seconds = compare({"run": on_the_line(count)[2]}, repeats=3)["run"]
        print(
            f"  1-d, {count:>6} nodes {1e3 * seconds:9.1f} ms, {1e6 * seconds / count:.2f} µs each"
        )
    for side in (50, 100, 200, 400):
        grid = Grid.box((-2.0, -2.0), (2.0, 2.0), (side, side))
        operator = kolmogorov(langevin(double_well_2d(), temperature=TEMPERATURE), grid)
        start = gibbs(
            grid, ((grid.nodes - 0.5) ** 2).sum(axis=1).reshape(grid.shape), temperature=0.08
        )
        run = {"run": lambda o=operator, s=start: evolve(o, s, [0.0, 1.0])}
        print(f"  2-d, {side:>4}^2 nodes {1e3 * compare(run, repeats=1)['run']:9.1f} ms")


def main() -> None:
    print(f"double well on the line, 1000 nodes, to t = {TIME:g} ({machine()})")
    one_dimension()
    print("double well in the plane, 200^2 nodes, to t = 1")
    two_dimensions()
    print("growth")
    growth()


if __name__ == "__main__":
    main()
