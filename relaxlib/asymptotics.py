r"""The law at low temperature: a mixture of Gaussians at the minima, and how it shares the mass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import ArrayLike
from scipy.integrate import quad
from scipy.stats import multivariate_normal

from relaxlib import _checks
from relaxlib.cut_cells import nodes_inside
from relaxlib.diffusions import langevin
from relaxlib.exit_times import feynman_kac
from relaxlib.gaussian import stationary_covariance
from relaxlib.grid import Grid
from relaxlib.kramers_law import relevant_saddle
from relaxlib.landscape import Landscape
from relaxlib.operators import KolmogorovOperator
from relaxlib.regions import Ball, Box

_GAUSS = 0.5 + np.array([[-1.0], [1.0]]) / np.sqrt(12.0)  # two points on [0, 1], equal weights


@dataclass(frozen=True, eq=False)
class GaussianMixture:
    r"""The law :math:`\sum_i m_i\,N(\mu_i, K_i)`.

    Parameters
    ----------
    masses : (m,) array_like
    means : (m, d) array_like
    covs : (m, d, d) array_like

    Raises
    ------
    ValueError
        If the shapes do not match.
    """

    masses: ArrayLike
    means: ArrayLike
    covs: ArrayLike

    def __post_init__(self) -> None:
        means = _checks.rows("means", self.means)
        arrays = {
            "masses": _checks.array("masses", self.masses),
            "covs": _checks.array("covs", self.covs),
        }
        _checks.shape("masses", arrays["masses"], means.shape[:1], "pass one for each mean")
        _checks.shape("covs", arrays["covs"], (*means.shape, means.shape[1]), "pass (d, d) matrices")
        for name, entry in (arrays | {"means": means}).items():
            object.__setattr__(self, name, entry)

    def density(self, grid: Grid) -> np.ndarray:
        """Density at the nodes of a grid, of shape ``grid.shape``.

        Raises
        ------
        ValueError
            If the dimensions differ, or a covariance is singular: then there is no density.
        """
        _checks.kind("grid", grid, Grid)
        _checks.fits("grid.dim", grid.dim, "the mixture's dim", self.means.shape[1])
        for cov in self.covs:
            lowest, highest = np.linalg.eigvalsh(cov)[[0, -1]]
            if not lowest > 1e-14 * highest:
                need = "a positive definite matrix, for a density to exist"
                fix = "take its marginal in the directions of the noise"
                _checks.reject("least eigenvalue of a covariance", f"{lowest:.3g}", need, fix)
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
        If no minimum is listed, or no formula for the masses is known and none were passed.

    Notes
    -----
    BBI (18) with the Jacobian :math:`T^{-d/2}` that it lacks.

    Examples
    --------
    >>> from relaxlib.landscapes import lipschitz_double_well
    >>> mixture = gaussian_mixture(lipschitz_double_well(), temperature=0.05)
    >>> mixture.means.ravel().round(3).tolist(), mixture.masses.round(3).tolist()
    ([1.073, -0.83], [0.974, 0.026])
    """
    _checks.kind("landscape", landscape, Landscape)
    temperature = _checks.positive("temperature", temperature)
    noise = langevin(landscape, temperature=1.0, noise_cov=noise_cov)
    if not len(landscape.minima):
        _checks.reject("minima listed", 0, "at least one", "build the landscape with its minima")
    q, hess = noise.diffusivity_at(landscape.minima), landscape.hess(landscape.minima)
    if masses is None:
        isotropic = not callable(noise.noise) and np.all(q == q[0, 0, 0] * np.eye(noise.dim))
        if noise.dim > 1 and not isotropic:
            need = "Q = qI, or one dimension, where the masses are known"
            _checks.reject("noise_cov", "this Q", need, "pass masses=, e.g. well_masses(...)")
        barriers = _potentials(landscape, noise) if noise.dim == 1 else None
        depths = landscape.value(landscape.minima) / q[0, 0, 0] if barriers is None else barriers
        widths = np.linalg.det(q[:, :1, :1] * hess if noise.dim == 1 else hess)
        logs = -depths / temperature - np.log(widths) / 2
        masses = np.exp(logs - logs.max())
        masses /= masses.sum()
    covs = [stationary_covariance(h, s, temperature=temperature) for h, s in zip(hess, q, strict=True)]
    return GaussianMixture(masses, landscape.minima, np.array(covs))
