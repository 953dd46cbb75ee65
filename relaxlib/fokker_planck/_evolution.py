r"""The law of a diffusion in time, its stationary state, its entropies, its spectrum."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import csr_array

from relaxlib import _checks
from relaxlib.fokker_planck._equilibrium import (
    conservative,
    is_reversible,
    slowest_rate,
    spectrum,
    stationary_masses,
)
from relaxlib.fokker_planck._exponentials import propagate
from relaxlib.grid import DensityFlow, Grid, ValueFunction
from relaxlib.operators import KolmogorovOperator
from relaxlib.regions import Ball, Box


def evolve(operator: KolmogorovOperator, density: ArrayLike, times: ArrayLike) -> DensityFlow:
    r"""Solve the Fokker–Planck equation :math:`\rho_t = A^*\rho` on the grid.

    Masses p = density * volume obey :math:`p' = M^\top p`, and every time is reached from the one
    before by the exponential of M to :math:`10^{-12}` in the sum of absolute values; entries that
    come out negative below that size are set to zero. Mass is kept, and the stationary density
    stays put, to rounding. In detailed balance any time takes seven sparse solves, a million
    relaxation times as well as one; a gap g that rounding blurs, by u = 1e-16 of the largest rate,
    blurs a time t by the factor 1 + O(u/g).

    Parameters
    ----------
    operator : KolmogorovOperator
    density : array_like of shape ``grid.shape``
        Nonnegative, of mass one.
    times : (k,) array_like
        Increasing; the first is the time of ``density``.

    Returns
    -------
    DensityFlow
        With densities at all ``times``. Absorbing walls let the mass decrease.

    Raises
    ------
    ValueError
        If the density is negative somewhere or its mass is not one, or times do not increase.

    Notes
    -----
    BBI (3), DR (8).

    Examples
    --------
    >>> from relaxlib.operators import langevin_operator
    >>> grid = Grid.box(-4, 4, 201)
    >>> ou = langevin_operator(grid, grid.nodes[:, 0] ** 2 / 2, temperature=0.5)
    >>> start = gibbs(grid, 50 * (grid.nodes[:, 0] - 1) ** 2, temperature=1.0)
    >>> flow = evolve(ou, start, [0.0, 1.0])
    >>> mean = expectation(grid, flow.densities[1], grid.nodes[:, 0])
    >>> round(mean, 3), round(float(np.exp(-1)), 3)
    (0.368, 0.368)
    """
    _checks.kind("operator", operator, KolmogorovOperator)
    times = _checks.increasing_times("times", times)
    start = _checks.density_on(operator.volumes, density, "density", "operator")
    start = (start * operator.volumes).ravel()

    def mend(masses: np.ndarray) -> np.ndarray:
        masses = np.maximum(masses, 0.0)
        return masses if operator.boundary == "absorbing" else masses * (start.sum() / masses.sum())

    masses = _in_time(operator.matrix.T.tocsr(), start, times, mend)
    shape = (len(times), *operator.grid.shape)
    return DensityFlow(operator.grid, times, masses.reshape(shape) / operator.volumes)


def backward(operator: KolmogorovOperator, values: ArrayLike, times: ArrayLike) -> ValueFunction:
    r"""Solve Kolmogorov's backward equation :math:`u_t = Au`, so that :math:`u = E_x\,v(X_t)`.

    The maximum principle is kept: rounding beyond the range of v is cut off.

    Parameters
    ----------
    operator : KolmogorovOperator
    values : array_like of shape ``grid.shape``
        v, the values at ``times[0]``.
    times : (k,) array_like
        Increasing.

    Returns
    -------
    ValueFunction

    Raises
    ------
    ValueError
        If the values do not fit the grid or times do not increase.

    Notes
    -----
    BBI appendix B; DR (9) runs the clock the other way.

    Examples
    --------
    >>> from relaxlib.operators import langevin_operator
    >>> grid = Grid.box(-4, 4, 201)
    >>> ou = langevin_operator(grid, grid.nodes[:, 0] ** 2 / 2, temperature=0.5)
    >>> u = backward(ou, grid.nodes[:, 0] ** 2, [0.0, 1.0])
    >>> round(float(u.interpolate(1.0)), 3), round(float(np.exp(-2) + 0.5 * (1 - np.exp(-2))), 3)
    (0.568, 0.568)
    """
    _checks.kind("operator", operator, KolmogorovOperator)
    times = _checks.increasing_times("times", times)
    start = _checks.values_on(operator.grid.shape, values).ravel()
    lowest, highest = start.min(), start.max()
    if operator.boundary == "absorbing":
        lowest, highest = min(lowest, 0.0), max(highest, 0.0)
    u = _in_time(operator.matrix, start, times, lambda v: np.clip(v, lowest, highest))
    return ValueFunction(operator.grid, times, u.reshape(len(times), *operator.grid.shape))


def stationary(operator: KolmogorovOperator) -> np.ndarray:
    r"""The stationary density, :math:`A^*\rho_\infty = 0` of mass one.

    The null vector of the chain to rounding, at any spectral gap: from detailed balance, or by an
    elimination without subtractions (Grassmann, Taksar & Heyman, 1985).

    Parameters
    ----------
    operator : KolmogorovOperator
        Not absorbing, with one closed class of nodes.

    Returns
    -------
    float64 array of shape ``grid.shape``

    Raises
    ------
    ValueError
        If the operator is absorbing, or its stationary density is not unique.
    ArithmeticError
        If detailed balance fails, and the chain leaves some wells at less than 1e-200 of its
        largest rate.

    Examples
    --------
    >>> from relaxlib.operators import langevin_operator
    >>> grid = Grid.box(-4, 4, 81)
    >>> potential = grid.nodes[:, 0] ** 2 / 2
    >>> density = stationary(langevin_operator(grid, potential, temperature=0.5))
    >>> bool(np.allclose(density, gibbs(grid, potential, temperature=0.5), rtol=1e-12))
    True
    """
    masses = stationary_masses(conservative(operator))
    return masses.reshape(operator.grid.shape) / operator.volumes


def spectral_gap(operator: KolmogorovOperator) -> float:
    """Distance of the spectrum's rest from zero: the slowest rate of convergence to equilibrium.

    For absorbing walls the slowest rate of decay is ``-eigenvalues(operator, 1)[0]``.

    Raises
    ------
    ValueError
        If the operator is absorbing.
    ArithmeticError
        If the gap is below 1e-14 of the largest rate: rounding reaches about 1e-16 of that rate.

    Examples
    --------
    >>> from relaxlib.operators import langevin_operator
    >>> grid = Grid.box(-4, 4, 401)
    >>> ou = langevin_operator(grid, grid.nodes[:, 0] ** 2 / 2, temperature=0.5)
    >>> round(spectral_gap(ou), 3)
    1.0
    """
    fix = "take -eigenvalues(operator, 1)[0], the slowest rate of decay"
    matrix = conservative(operator, fix)
    return slowest_rate(matrix, "spectral gap", reversible=is_reversible(matrix))


def eigenvalues(operator: KolmogorovOperator, count: int) -> np.ndarray:
    """The ``count`` eigenvalues of A of largest real part, in decreasing order.

    Returns
    -------
    (count,) float64, or complex128 where detailed balance fails

    Raises
    ------
    ValueError
        If ``count`` is not between 1 and the number of nodes less two.
    """
    _checks.kind("operator", operator, KolmogorovOperator)
    count = _checks.count("count", count)
    most = operator.matrix.shape[0] - 2
    if count > most:
        _checks.reject("count", count, f"count <= {most}", "refine the grid, or ask for fewer")
    return spectrum(operator.matrix, count, reversible=is_reversible(operator.matrix))


def gibbs(grid: Grid, potential: ArrayLike, *, temperature: float) -> np.ndarray:
    r"""The Gibbs density :math:`e^{-f/T}/Z` on a grid, of shape ``grid.shape``.

    Raises
    ------
    ValueError
        If the temperature is not positive or the values do not fit the grid.

    Examples
    --------
    >>> gibbs(Grid.box(0, 1, 3), [2000.0, 1000.0, 2000.0], temperature=1.0).tolist()
    [0.0, 2.0, 0.0]
    """
    temperature = _checks.positive("temperature", temperature)
    values = _values(grid, potential, "potential")
    weights = np.exp(-(values - values.min()) / temperature)
    return weights / (weights * grid.volumes).sum()


def expectation(grid: Grid, density: ArrayLike, values: ArrayLike) -> float:
    """Sum of values * density * volume; ``values`` may be a column of ``grid.nodes``.

    >>> grid = Grid.box(0, 1, 101)
    >>> round(expectation(grid, np.ones(101), grid.nodes[:, 0]), 12)
    0.5
    """
    density, values = _values(grid, density, "density"), _checks.array("values", values)
    if values.shape == (density.size,):
        values = values.reshape(grid.shape)
    return float((density * _values(grid, values) * grid.volumes).sum())


def mass(grid: Grid, density: ArrayLike, region: Ball | Box | np.ndarray) -> float:
    """Mass of a density in a region; cells on its boundary count by the share that lies inside.

    Parameters
    ----------
    grid : Grid
    density : array_like of shape ``grid.shape``
    region : Ball, Box or boolean array of shape ``grid.shape``
        Shares are exact for boxes and intervals, linear in the distance for discs.

    Returns
    -------
    float

    Examples
    --------
    >>> grid = Grid.box(0, 1, 11)
    >>> round(mass(grid, np.ones(11), Box(0.33, 0.77)), 12)
    0.44
    """
    density = _values(grid, density, "density")
    return float((density * grid.volumes * _shares(grid, region)).sum())


def _in_time(matrix: csr_array, start: np.ndarray, times: np.ndarray, mend: Callable) -> np.ndarray:
    """The solution of u' = matrix u at all times, (k, n), mended after every span."""
    states, reversible = [start], is_reversible(matrix)
    for span in np.diff(times):
        states.append(mend(propagate(matrix, states[-1], span, reversible=reversible)))
    return np.array(states)


def _values(grid: Grid, values: ArrayLike, name: str = "values") -> np.ndarray:
    _checks.kind("grid", grid, Grid)
    return _checks.values_on(grid.shape, values, name)


def _shares(grid: Grid, region: Ball | Box | np.ndarray) -> np.ndarray:
    """The share of each node's cell that lies in a region."""
    if not isinstance(region, Ball | Box):
        return _checks.mask("region", region, grid.shape, "a Ball, a Box or a boolean array")
    _checks.fits("region.dim", region.dim, "the grid's dim", grid.dim)
    if isinstance(region, Box):
        return grid.shares(region.lower, region.upper)
    if grid.dim == 1:
        return grid.shares(region.center - region.radius, region.center + region.radius)
    away = grid.nodes - region.center
    normal = away / np.maximum(np.linalg.norm(away, axis=1, keepdims=True), 1e-300)
    width = np.maximum(np.abs(normal) @ grid.spacings, grid.spacings.min())  # at the center too
    return np.clip(0.5 - region.distance(grid.nodes) / width, 0, 1).reshape(grid.shape)
