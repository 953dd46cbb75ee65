r"""The law at low temperature: a mixture of Gaussians at the minima, and how it shares the mass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise, product

import numpy as np
from numpy.typing import ArrayLike
from scipy.integrate import quad
from scipy.stats import multivariate_normal

from relaxlib import _checks
from relaxlib.diffusions import Diffusion, langevin
from relaxlib.exit_times import feynman_kac, relevant_saddle
from relaxlib.gaussian import stationary_covariance
from relaxlib.grid import Grid
from relaxlib.landscapes import Landscape
from relaxlib.operators import KolmogorovOperator
from relaxlib.regions import Ball, Box

__all__ = [
    "GaussianMixture",
    "committor",
    "gaussian_mixture",
    "well_masses",
]


@dataclass(frozen=True, eq=False, init=False)
class GaussianMixture:
    r"""The law :math:`\sum_i m_i\,N(\mu_i, K_i)`.

    Parameters
    ----------
    masses : (m,) array_like
        Nonnegative.
    means : (m, d) array_like
    covs : (m, d, d) array_like
        Symmetric and nonnegative.

    Raises
    ------
    ValueError
        If a shape does not fit, a mass is negative or a matrix is no covariance.
    """

    masses: np.ndarray
    means: np.ndarray
    covs: np.ndarray

    def __init__(self, masses: ArrayLike, means: ArrayLike, covs: ArrayLike) -> None:
        places = _checks.rows("means", means)
        shares, matrices = _checks.array("masses", masses), _checks.array("covs", covs)
        _checks.shape("masses", shares, places.shape[:1], "pass one for each mean")
        _checks.shape("covs", matrices, (*places.shape, places.shape[1]), "pass (d, d) matrices")
        _checks.finite("masses", shares)
        if shares.min() < 0.0:
            _checks.reject("min masses", shares.min(), "masses >= 0", "they are shares")
        for k, cov in enumerate(matrices):
            _checks.covariance(f"covs[{k}]", cov)
        vars(self).update(masses=shares, means=places, covs=matrices)

    def density(self, grid: Grid) -> np.ndarray:
        """Density on a grid, of shape ``grid.shape``; no covariance may be singular."""
        _checks.kind("grid", grid, Grid)
        _checks.fits("grid.dim", grid.dim, "the mixture's dim", self.means.shape[1])
        least = np.linalg.eigvalsh(self.covs)[:, 0].min()
        if not least > 0.0:
            need = "positive definite matrices, for a density to exist"
            fix = "take the marginal in the directions of the noise"
            _checks.reject("least eigenvalue of covs", f"{least:.3g}", need, fix)
        parts = zip(self.masses, self.means, self.covs, strict=True)
        total = sum(m * multivariate_normal(mean, cov).pdf(grid.nodes) for m, mean, cov in parts)
        return total.reshape(grid.shape)


def gaussian_mixture(
    landscape: Landscape,
    *,
    temperature: float,
    noise_cov: ArrayLike | Callable | None = None,
    masses: ArrayLike | None = None,
) -> GaussianMixture:
    r"""The linearized Gaussians at the minima, which make up the stationary law as :math:`T\to0`.

    .. math:: \rho_\infty\approx\sum_i m_i\,N(x_i, TK_i), \qquad
              D^2f(x_i)K_i + K_iD^2f(x_i) = 2Q(x_i),

    with the masses of Laplace's method, proportional to :math:`\det D^2f(x_i)^{-1/2}e^{-f(x_i)/Tq}`
    where Q = qI, and on the line for every Q > 0 to

    .. math:: (Q(x_i)f''(x_i))^{-1/2}\,e^{-\Phi(x_i)/T}, \qquad \Phi = \int f'/Q .

    Parameters
    ----------
    landscape : Landscape
        With its minima.
    temperature : float
        T > 0.
    noise_cov : (d, d) array_like or function, optional
        Q as in `langevin`.
    masses : (m,) array_like, optional
        Your own masses, in the order of ``landscape.minima``.

    Returns
    -------
    GaussianMixture

    Raises
    ------
    ValueError
        If no minimum is listed, or no masses are passed and Q vanishes or they have no formula.

    Notes
    -----
    BBI (18), where the Jacobian :math:`T^{-d/2}` is missing.

    Examples
    --------
    >>> from relaxlib.landscapes import lipschitz_double_well
    >>> mixture = gaussian_mixture(lipschitz_double_well(), temperature=0.05)
    >>> mixture.means.ravel().round(3).tolist(), mixture.masses.round(3).tolist()
    ([1.073, -0.83], [0.976, 0.024])
    """
    _checks.kind("landscape", landscape, Landscape)
    temperature = _checks.positive("temperature", temperature)
    noise = langevin(landscape, temperature=1.0, noise_cov=noise_cov)
    wells = _listed_minima(landscape)
    pairs = zip(landscape.hess(wells), noise.diffusivity_at(wells), strict=True)
    covs = [stationary_covariance(*pair, temperature=temperature) for pair in pairs]
    own = _laplace_masses(landscape, noise, temperature) if masses is None else masses
    return GaussianMixture(own, wells, covs)


def well_masses(grid: Grid, density: ArrayLike, landscape: Landscape) -> np.ndarray:
    """Mass of a density in the basin of attraction of every minimum under gradient descent.

    On the line basins are cut at the highest points in between, through the cells; in the plane
    a node belongs to the minimum that steepest descent over the grid leads to.

    Parameters
    ----------
    grid : Grid
    density : (..., *grid.shape) array_like
        One density, or densities in time.
    landscape : Landscape
        With all its minima, in one or two dimensions.

    Returns
    -------
    (..., m) float64
        In the order of ``landscape.minima``.

    Raises
    ------
    ValueError
        If dimensions or shapes do not fit, no minimum is listed, or an entry is not finite.
    ArithmeticError
        If steepest descent ends at a node that is not next to a listed minimum.

    Examples
    --------
    >>> from relaxlib.fokker_planck import gibbs
    >>> from relaxlib.landscapes import double_well
    >>> grid = Grid.box(-2, 2, 201)
    >>> law = gibbs(grid, grid.sample(double_well().value), temperature=0.1)
    >>> well_masses(grid, law, double_well()).round(12).tolist()
    [0.5, 0.5]
    """
    _checks.kind("grid", grid, Grid)
    _checks.kind("landscape", landscape, Landscape)
    _checks.fits("grid.dim", grid.dim, "the landscape's dim", landscape.dim)
    densities = _checks.array("density", density)
    _checks.shape("density", densities, (*densities.shape[: -grid.dim], *grid.shape))
    _checks.finite("density", densities)
    _listed_minima(landscape)
    shares = _intervals(grid, landscape) if grid.dim == 1 else _basins(grid, landscape)
    return np.tensordot(
        densities * grid.volumes, shares, (range(-grid.dim, 0), range(1, grid.dim + 1))
    )


def committor(
    operator: KolmogorovOperator,
    start_set: Ball | Box | np.ndarray,
    end_set: Ball | Box | np.ndarray,
) -> np.ndarray:
    r"""The probability h to reach the end set before the start set: :math:`Ah = 0` elsewhere.

    Parameters
    ----------
    operator : KolmogorovOperator
    start_set, end_set : Ball, Box or boolean array of ``grid.shape``
        h is 0 on the nodes of the first and 1 on those of the second.

    Returns
    -------
    float64 array of shape ``grid.shape``

    Raises
    ------
    ValueError
        If a set has no node, the sets meet, or the process may avoid both for ever.
    ArithmeticError
        As in `exit_times.mean_exit_time`.

    Examples
    --------
    >>> from relaxlib.operators import langevin_operator
    >>> grid = Grid.box(0, 1, 11)
    >>> brownian = langevin_operator(grid, np.zeros(11), temperature=0.5)
    >>> committor(brownian, Box(-0.1, 0.05), Box(0.95, 1.1))[:4].round(12).tolist()
    [0.0, 0.1, 0.2, 0.3]
    """
    _checks.kind("operator", operator, KolmogorovOperator)
    start, end = (operator.inside(region) for region in (start_set, end_set))
    shared = int((start & end).sum())
    if shared:
        _checks.reject("nodes in both sets", shared, "sets that do not meet", "make them smaller")
    shape = operator.grid.shape
    into_end = (operator.matrix @ end.astype(float)).reshape(shape)
    between = ~(start | end).reshape(shape)
    return end.reshape(shape) + feynman_kac(operator, into_end, discount=0.0, region=between)


def _listed_minima(landscape: Landscape) -> np.ndarray:
    if not len(landscape.minima):
        _checks.reject("minima listed", 0, "at least one", "build the landscape with its minima")
    return landscape.minima


def _laplace_masses(landscape: Landscape, noise: Diffusion, temperature: float) -> np.ndarray:
    """Masses of the wells by Laplace's method, for ``noise`` = (S with SS^T = 2Q)."""
    wells = landscape.minima
    q, hess = noise.diffusivity_at(wells), landscape.hess(wells)
    multiple = np.abs(q[0] - q[0, 0, 0] * np.eye(noise.dim)).max() <= 1e-12 * q[0, 0, 0]
    if noise.dim > 1 and (callable(noise.noise) or not multiple):
        need = "a multiple of the identity, or one dimension, for the masses to have a formula"
        fix = "pass masses, for example well_masses(...)"
        _checks.reject("noise_cov", q[0].tolist(), need, fix)
    between = np.linspace(wells.min(axis=0), wells.max(axis=0), 4001)
    spread = noise.diffusivity_at(between)[:, 0, 0]
    if not spread.min() > 1e-6 * spread.max():
        need = "Q > 0 between the minima, for the masses to have a formula"
        _checks.reject("least noise_cov", f"{spread.min():g}", need, "pass masses")
    if noise.dim == 1:

        def slope(x: float) -> float:
            return float(landscape.grad(x)[0] / noise.diffusivity_at(x)[0, 0])

        depths = np.array([quad(slope, wells[0, 0], end, epsabs=1e-12)[0] for end in wells[:, 0]])
        widths = (q * hess)[:, 0, 0]
    else:
        depths, widths = landscape.value(wells) / q[0, 0, 0], np.linalg.det(hess)
    weights = np.exp(-(depths - depths.min()) / temperature) / np.sqrt(widths)
    return weights / weights.sum()


def _intervals(grid: Grid, landscape: Landscape) -> np.ndarray:
    """Share of every cell of a 1-d grid in the basin of each minimum, (m, n)."""
    order = np.argsort(landscape.minima[:, 0])
    wells = landscape.minima[order]
    tops = [relevant_saddle(landscape, *pair).point[0] for pair in pairwise(wells)]
    cuts = pairwise([-np.inf, *tops, np.inf])
    return np.array([grid.shares([low], [high]) for low, high in cuts])[np.argsort(order)]


def _basins(grid: Grid, landscape: Landscape) -> np.ndarray:
    """Whether steepest descent from each node of a grid ends at each minimum, (m, *grid.shape)."""
    values = grid.sample(landscape.value)
    framed = np.pad(values, 1, constant_values=np.inf)
    index = np.pad(np.arange(values.size).reshape(grid.shape), 1)
    best, lower = np.zeros(grid.shape), np.arange(values.size).reshape(grid.shape)
    for step in filter(any, product((-1, 0, 1), repeat=grid.dim)):
        window = tuple(slice(1 + k, 1 + k + n) for k, n in zip(step, grid.shape, strict=True))
        slope = (values - framed[window]) / np.linalg.norm(step * grid.spacings)
        lower = np.where(slope > best, index[window], lower)
        best = np.maximum(slope, best)
    lower = lower.ravel()
    while not np.array_equal(lower, lower[lower]):
        lower = lower[lower]
    bottoms, basin = np.unique(lower, return_inverse=True)
    away = (grid.nodes[bottoms, None] - landscape.minima) / grid.spacings
    far = np.abs(away).max(axis=2)
    if not np.all(far.min(axis=1) <= 2.0):
        stray = grid.nodes[bottoms[np.argmax(far.min(axis=1))]].tolist()
        raise ArithmeticError(
            f"steepest descent ends at {stray}, farther than two spacings from every listed "
            "minimum; list it among the minima, or refine the grid"
        )
    owner = np.argmin(far, axis=1)[basin].reshape(grid.shape)
    return np.stack([owner == k for k in range(len(landscape.minima))])
