r"""Distances that see where the mass is: Wasserstein's, and the seminorm dual to weighted norms."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from relaxlib import _checks
from relaxlib.grid import Grid

_GAUSS = 0.5 + np.array([[-1.0], [1.0]]) / np.sqrt(12.0)  # two points on [0, 1], equal weights
_NO_MASS = 1e-15  # shares of the mass below this are rounding


def wasserstein(grid: Grid, density: ArrayLike, other: ArrayLike, *, order: int = 1) -> float:
    r"""Wasserstein distance of two densities on the line,
    :math:`W_p^p = \int_0^1|F^{-1} - G^{-1}|^p`.

    A density is constant on the cell of each node; a point mass is as wide as its cell.

    Parameters
    ----------
    grid : Grid
        In one dimension.
    density, other : (n,) array_like
        Nonnegative, of mass one.
    order : {1, 2}
        p.

    Returns
    -------
    float
        The distance, not its power.

    Raises
    ------
    ValueError
        If the grid is not one-dimensional, a density is negative somewhere, or a mass is not one.

    Examples
    --------
    >>> from relaxlib.fokker_planck import gibbs
    >>> grid = Grid.box(-8, 8, 801)
    >>> a, b = (gibbs(grid, (grid.axes[0] - m) ** 2 / 2, temperature=1.0) for m in (0.0, 0.5))
    >>> round(wasserstein(grid, a, b), 6), round(wasserstein(grid, a, b, order=2), 6)
    (0.5, 0.5)
    """
    _checks.kind("grid", grid, Grid)
    if grid.dim != 1:
        _checks.reject("grid.dim", grid.dim, "1", "compare marginals")
    if _checks.number("order", order) not in (1, 2):
        _checks.reject("order", order, "1 or 2", "choose one")
    (edges,) = grid.edges
    levels = [_levels(grid, *pair) for pair in (("density", density), ("other", other))]
    merged = np.union1d(*levels)
    widths = np.diff(merged)
    seen = widths > _NO_MASS
    between = merged[:-1][seen] + widths[seen] * _GAUSS
    first, second = (np.interp(between, level, edges) for level in levels)
    return float((np.abs(first - second) ** order).mean(axis=0) @ widths[seen]) ** (1 / order)


def wasserstein2_to_line(
    grid: Grid, density: ArrayLike, marginal: ArrayLike, *, at: float = 0.0
) -> float:
    r"""Wasserstein distance of order two from a density in the plane to a law on a line.

    .. math:: W_2^2(\rho,\,\mu\otimes\delta_a) = W_2^2(\rho_1, \mu) + \int(x_2-a)^2\rho

    with :math:`\rho_1` the marginal of the first coordinate: whatever is done in that coordinate,
    the second has to travel to a. With a normal :math:`\mu` this is a Gaussian times a Dirac mass.

    Parameters
    ----------
    grid : Grid
        In two dimensions.
    density : array_like of shape ``grid.shape``
        :math:`\rho`, nonnegative, of mass one; constant on the cell of each node.
    marginal : (n,) array_like
        Density of :math:`\mu` on the first axis, nonnegative, of mass one.
    at : float
        a, where the line crosses the second axis.

    Returns
    -------
    float
        The distance, not its square.

    Raises
    ------
    ValueError
        If the grid is not two-dimensional, a mass is not one, or a is not finite.

    Notes
    -----
    BBI Lemma 4.5 and Theorem 1.6 have such limits; no density is close to them in entropy.

    Examples
    --------
    >>> from relaxlib.fokker_planck import gibbs
    >>> grid = Grid.box((-6, -6), (6, 6), (241, 241))
    >>> x, y = np.meshgrid(*grid.axes, indexing="ij")
    >>> cloud = gibbs(grid, (x**2 + (y - 0.3) ** 2 / 0.16) / 2, temperature=1.0)
    >>> line = gibbs(Grid(grid.axes[:1]), grid.axes[0] ** 2 / 2, temperature=1.0)
    >>> round(wasserstein2_to_line(grid, cloud, line), 3)  # sqrt(0.3**2 + 0.4**2)
    0.5
    """
    _checks.kind("grid", grid, Grid)
    if grid.dim != 2:
        _checks.reject("grid.dim", grid.dim, "2", "on the line, take wasserstein")
    at = _checks.number("at", at)
    _checks.finite("at", np.array(at))
    rho = _checks.nonnegative_on(grid.shape, density, "density")
    across = np.diff(grid.edges[1])
    along = wasserstein(Grid(grid.axes[:1]), rho @ across, marginal, order=2)
    ends = grid.edges[1] - at
    second_moments = (ends[1:] ** 2 + ends[1:] * ends[:-1] + ends[:-1] ** 2) / 3
    travel = np.diff(grid.edges[0]) @ rho @ (across * second_moments)
    return float(np.sqrt(along**2 + travel))


def weighted_oscillation(grid: Grid, values: ArrayLike, *, power: float) -> float:
    r"""The seminorm of functions that is dual to the weighted norm of measures of mass zero.

    .. math:: [u]_k = \sup_{x,y}\frac{|u(x)-u(y)|}{\langle x\rangle^k+\langle y\rangle^k},
              \qquad \langle x\rangle = (1+|x|^2)^{1/2}

    so that :math:`|\int u\,d\mu| \le [u]_k\int\langle x\rangle^k\,d|\mu|`.

    Parameters
    ----------
    grid : Grid
    values : array_like of shape ``grid.shape``
        u.
    power : float
        k, nonnegative; with zero it is half of the oscillation, max u - min u.

    Returns
    -------
    float
        The largest quotient over pairs of nodes.

    Raises
    ------
    ValueError
        If the power is negative or the values do not fit the grid.

    Notes
    -----
    BBI section 4.1, after Porretta. For a number q, the quotient exceeds q for some pair if and
    only if :math:`\max(u - q\langle\cdot\rangle^k) > \min(u + q\langle\cdot\rangle^k)`; the pair
    where these are attained gives the next q (Dinkelbach, 1967), so that a few passes over the
    nodes stand for all pairs.

    Examples
    --------
    >>> line = Grid.box(-3, 3, 601)
    >>> round(weighted_oscillation(line, line.axes[0], power=2), 6)  # 2x/(2 + 2x^2) at x = 1
    0.5
    """
    _checks.kind("grid", grid, Grid)
    u = _checks.values_on(grid.shape, values).ravel()
    power = _checks.nonnegative("power", power)
    weights = (1.0 + (grid.nodes**2).sum(axis=1)) ** (power / 2.0)
    best, found = -np.inf, 0.0
    while found > best:
        best = found
        high, low = np.argmax(u - best * weights), np.argmin(u + best * weights)
        found = (u[high] - u[low]) / (weights[high] + weights[low])
    return float(best)


def _levels(grid: Grid, name: str, density: ArrayLike) -> np.ndarray:
    """The distribution function at the ends of the cells, (n + 1,)."""
    masses = _checks.density_on(grid.volumes, density, name, "grid") * grid.volumes
    return np.concatenate([[0.0], np.cumsum(masses / masses.sum())])
