r"""How far a density is from another in entropy, how fast that falls, and Poincaré's constant.

With :math:`h = \rho/\pi` there are two entropies here, of :math:`h\log h` and of :math:`(h-1)^2`,
and each has its production along a diffusion whose stationary density is :math:`\pi`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import rel_entr

from relaxlib import _checks
from relaxlib.fokker_planck._equilibrium import (
    conservative,
    reversible_part,
    slowest_rate,
    stationary_masses,
)
from relaxlib.grid import Grid
from relaxlib.operators import KolmogorovOperator


def relative_entropy(density: ArrayLike, reference: ArrayLike, grid: Grid) -> float:
    r"""Relative entropy :math:`\int \rho\log(\rho/\pi)`, infinite where only the reference is zero.

    >>> grid = Grid.box(0, 1, 101)
    >>> relative_entropy(np.ones(101), np.ones(101), grid)
    0.0
    """
    rho, pi, _ = _pair(density, reference, grid)
    return float((rel_entr(rho, pi) * grid.volumes).sum())


def chi_square(density: ArrayLike, reference: ArrayLike, grid: Grid) -> float:
    r"""The :math:`\chi^2` divergence :math:`\int(\rho/\pi - 1)^2\pi`, the variance of the ratio.

    Infinite where only the reference is zero; a node without either counts nothing. For Gaussians
    see `gaussian.chi_square_gaussian`. Half of it is the entropy E of BBI (48).

    >>> grid = Grid.box(0, 1, 101)
    >>> round(chi_square(1 + 0.3 * np.cos(np.pi * grid.axes[0]), np.ones(101), grid), 12)
    0.045
    """
    rho, pi, charged = _pair(density, reference, grid)
    if np.any(charged & (pi <= 0.0)):
        return np.inf
    there = pi > 0.0
    excess = (rho[there] - pi[there]) ** 2 / pi[there]
    return float((excess * grid.volumes[there]).sum())


def free_energy(
    density: ArrayLike, potential: ArrayLike, grid: Grid, *, temperature: float
) -> float:
    r"""Free energy :math:`\int f\rho + T\int\rho\log\rho`, which decreases along the flow.

    Notes
    -----
    DR, the functional J of section 2.3, and equation (26).

    Examples
    --------
    >>> grid = Grid.box(0, 1, 101)
    >>> free_energy(np.ones(101), 3 * np.ones(101), grid, temperature=2.0)
    3.0
    """
    _checks.kind("grid", grid, Grid)
    temperature = _checks.nonnegative("temperature", temperature)
    rho = _checks.nonnegative_on(grid.shape, density, "density")
    energy = (rho * _checks.values_on(grid.shape, potential, "potential") * grid.volumes).sum()
    charged = rho > 0.0
    entropy = (rho[charged] * np.log(rho[charged]) * grid.volumes[charged]).sum()
    return float(energy + temperature * entropy)


def fisher_information(density: ArrayLike, reference: ArrayLike, grid: Grid) -> float:
    r"""Relative Fisher information :math:`\int|\nabla\log(\rho/\pi)|^2\,\rho`.

    Along :math:`\rho_t = \nabla\cdot(\rho\nabla f) + T\Delta\rho` with :math:`\pi = e^{-f/T}/Z` the
    relative entropy falls at the rate T times this, and the free energy at :math:`T^2` times this.

    Parameters
    ----------
    density, reference : array_like of shape ``grid.shape``
        :math:`\rho` and :math:`\pi`, nonnegative.
    grid : Grid

    Returns
    -------
    float
        Infinite where only the reference is zero.

    Raises
    ------
    ValueError
        If an entry is negative or a shape does not fit the grid.

    Notes
    -----
    Computed as :math:`4\int|\nabla\sqrt{\rho/\pi}|^2\,\pi` by differences along the edges of the
    grid, second order; a jump of the density, where the integral diverges, gives a number that
    grows as the grid is refined.

    Examples
    --------
    >>> grid = Grid.box(-9, 9, 1801)
    >>> a, b = (np.exp(-((grid.axes[0] - m) ** 2) / 2) / np.sqrt(2 * np.pi) for m in (0.5, 0))
    >>> round(fisher_information(a, b, grid), 4)
    0.25
    """
    rho, pi, charged = _pair(density, reference, grid)
    if np.any(charged & (pi <= 0.0)):
        return np.inf
    root = np.sqrt(np.divide(rho, pi, out=np.zeros_like(rho), where=pi > 0.0))
    total = 0.0
    for axis, spacing in enumerate(grid.spacings):
        steps = np.diff(np.moveaxis(root, axis, 0), axis=0) / spacing
        weights = np.moveaxis(np.sqrt(pi), axis, 0)
        whole = 2.0 * np.moveaxis(grid.volumes, axis, 0)[0]  # end cells are halves
        total += (steps**2 * weights[1:] * weights[:-1] * whole).sum()
    return float(4.0 * total)


def entropy_production(operator: KolmogorovOperator, density: ArrayLike) -> float:
    r"""How fast :math:`E = \frac12\int(h-1)^2\rho_\infty`, :math:`h = \rho/\rho_\infty`, falls.

    .. math:: -\frac d{dt}E = T\int\nabla h^\top Q\,\nabla h\,\rho_\infty,

    in detailed balance or not, for every Q. On the grid it is exactly minus the derivative of half
    of `chi_square` along `fokker_planck.evolve`: half the sum of :math:`(h_i - h_j)^2` over all
    jumps, weighted by how many happen in equilibrium.

    Parameters
    ----------
    operator : KolmogorovOperator
        Not absorbing, with one stationary density.
    density : array_like of shape ``grid.shape``
        Nonnegative, of mass one.

    Returns
    -------
    float
        Infinite where the density charges a node that equilibrium does not.

    Raises
    ------
    ValueError
        If the operator is absorbing or its stationary density is not unique, the density is
        negative somewhere or its mass is not one.
    ArithmeticError
        As in `fokker_planck.stationary`.

    Notes
    -----
    BBI Lemma 4.6, (49).

    Examples
    --------
    >>> from relaxlib.operators import langevin_operator
    >>> grid = Grid.box(-8, 8, 1601)
    >>> x = grid.axes[0]
    >>> ou = langevin_operator(grid, x**2 / 2, temperature=1.0)
    >>> law = np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)
    >>> round(entropy_production(ou, law * (1 + 0.1 * x)), 6)  # h = 1 + x/10
    0.01
    """
    matrix = conservative(operator)
    rho = _checks.density_on(operator.volumes, density, "density", "operator")
    masses, resting = (rho * operator.volumes).ravel(), stationary_masses(matrix)
    if np.any((masses > 0.0) & (resting <= 0.0)):
        return np.inf
    ratio = np.divide(masses, resting, out=np.zeros_like(masses), where=resting > 0.0)
    jumps = matrix.tocoo()
    start, end = jumps.coords
    apart = (ratio[start] - ratio[end]) ** 2  # zero on the diagonal
    return float((resting[start] * jumps.data * apart).sum() / 2.0)


def poincare_constant(operator: KolmogorovOperator) -> float:
    r"""The best :math:`\lambda` in Poincaré's inequality for the stationary law of a diffusion.

    .. math:: \lambda\operatorname{Var}_{\rho_\infty}(h) \le
              T\int\nabla h^\top Q\,\nabla h\,\rho_\infty \qquad\text{for all } h

    It is the largest with :math:`E(t) \le e^{-2\lambda t}E(0)` from all starts, E as in
    `entropy_production`. In detailed balance it is the spectral gap; else it is at most that. For
    a linear drift and constant Q it is the least eigenvalue of :math:`K^{-1/2}QK^{-1/2}` with
    :math:`CK + KC^\top = 2Q`, zero if Q is singular.

    Parameters
    ----------
    operator : KolmogorovOperator
        Not absorbing, with one stationary density.

    Returns
    -------
    float
        For an operator of `langevin_operator` T times the number :math:`1/C_P` of
        :math:`\operatorname{Var}h \le C_P\int|\nabla h|^2`.

    Raises
    ------
    ValueError
        If the operator is absorbing or its stationary density is not unique.
    ArithmeticError
        If it is below 1e-14 of the largest rate, where rounding may be all there is.

    Notes
    -----
    BBI (50) and Proposition 4.8, where :math:`e^{-\lambda t}` is printed. It is the gap of the
    chain that jumps half of the time like this one and half like its reversal in time. Where Q is
    singular and the drift moves upwind, the grid has a little diffusion of its own, so that a zero
    comes out as a number of the order of the spacing.

    Examples
    --------
    >>> from relaxlib.operators import langevin_operator
    >>> grid = Grid.box(-8, 8, 801)
    >>> ou = langevin_operator(grid, grid.axes[0] ** 2, temperature=0.7)  # f'' = 2
    >>> round(poincare_constant(ou), 3)
    2.0
    """
    part = reversible_part(conservative(operator))
    return slowest_rate(part, "Poincaré constant", reversible=True)


def _pair(density: ArrayLike, reference: ArrayLike, grid: Grid) -> tuple[np.ndarray, ...]:
    """Checked density and reference, and where the first is positive."""
    _checks.kind("grid", grid, Grid)
    rho = _checks.nonnegative_on(grid.shape, density, "density")
    return rho, _checks.nonnegative_on(grid.shape, reference, "reference"), rho > 0.0
