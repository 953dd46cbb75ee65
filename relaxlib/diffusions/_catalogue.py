"""Diffusions dX = b dt + S dW with S S^T = 2 T Q: Langevin, Ornstein–Uhlenbeck, two-scale, ..."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from relaxlib import _checks
from relaxlib._lanes.factors import factor
from relaxlib.diffusions._diffusion import Diffusion
from relaxlib.diffusions._formulas import (
    covariance_formula,
    downhill_drift,
    linear_drift,
    noise_of_covariance,
    two_scale_drift,
    underdamped_drift,
)
from relaxlib.landscapes import Landscape


def langevin(
    landscape: Landscape, *, temperature: float, noise_cov: ArrayLike | Callable | None = None
) -> Diffusion:
    r"""Overdamped Langevin dynamics :math:`dX = -\nabla f(X)\,dt + \sqrt{2T}\,Q(X)^{1/2}\,dW`.

    The drift carries no correction T div Q. With Q = I the Gibbs law
    :math:`\rho_\infty \propto e^{-f/T}` is stationary.

    Parameters
    ----------
    landscape : Landscape
    temperature : float
        T, positive, or zero for the gradient flow.
    noise_cov : (d, d) array_like or function, optional
        Q, symmetric and nonnegative; the identity when left out. As a function noise_cov(x, out)
        with out (d, d), for d = 1 the scalar function Q(x); it may degenerate. It is tried at a
        few hundred points of the landscape's box.

    Returns
    -------
    Diffusion

    Raises
    ------
    ValueError
        If the temperature is negative or Q is not symmetric and nonnegative.

    Notes
    -----
    BBI (2), DR (8) and BK (1.3) with T = 1/beta; BBI has T = lr/(2 batch_size).

    Examples
    --------
    >>> from relaxlib.landscapes import double_well
    >>> langevin(double_well(), temperature=0.1)
    <Diffusion on double_well: dim=1, rank=1, additive, T=0.1>
    """
    _checks.kind("landscape", landscape, Landscape)
    temperature = _checks.nonnegative("temperature", temperature)
    dim = landscape.dim
    if callable(noise_cov):
        covariance = covariance_formula(noise_cov, dim)
        for x in np.random.default_rng(0).uniform(*landscape.box, (256, dim)):
            matrix = np.full((dim, dim), np.nan)
            covariance(x, matrix)
            _checks.covariance(f"noise_cov({x.tolist()})", matrix, dim)
        noise, rank = noise_of_covariance(covariance, np.sqrt(2 * temperature), dim), dim
    else:
        constant = np.eye(dim) if noise_cov is None else noise_cov
        matrix = _checks.covariance("noise_cov", constant, dim)
        noise = np.sqrt(2 * temperature) * factor(matrix)
        rank = noise.shape[1]
    return Diffusion(
        drift=downhill_drift(landscape.formula.grad, dim),
        noise=noise,
        dim=dim,
        rank=rank,
        params=landscape.params,
        temperature=temperature,
        landscape=landscape,
    )


def ornstein_uhlenbeck(
    drift_matrix: ArrayLike, noise_cov: ArrayLike, *, temperature: float
) -> Diffusion:
    r"""The Ornstein–Uhlenbeck process :math:`dX = -CX\,dt + \sqrt{2T}\,Q^{1/2}\,dW`.

    Parameters
    ----------
    drift_matrix, noise_cov : (d, d) array_like
        C, any square matrix, and Q, symmetric and nonnegative; floats for d = 1.
    temperature : float
        T, nonnegative.

    Returns
    -------
    Diffusion

    Raises
    ------
    ValueError
        If the shapes differ or Q is not symmetric and nonnegative.

    Notes
    -----
    BBI section 4.3.

    Examples
    --------
    >>> ornstein_uhlenbeck([[0, 1], [-1, 1]], [[0, 0], [0, 1]], temperature=0.5)
    <Diffusion: dim=2, rank=1, additive, T=0.5>
    """
    temperature = _checks.nonnegative("temperature", temperature)
    matrix = _checks.square("drift_matrix", drift_matrix)
    covariance = _checks.covariance("noise_cov", noise_cov, len(matrix))
    noise = np.sqrt(2 * temperature) * factor(covariance)
    return Diffusion(
        drift=linear_drift(len(matrix)),
        noise=noise,
        dim=len(matrix),
        rank=noise.shape[1],
        params=matrix.ravel(),
        temperature=temperature,
    )


def two_scale(
    landscape: Landscape, *, gamma: float, temperature: float, epsilon: float
) -> Diffusion:
    r"""Entropy-SGD's slow weights x and fast copy y, the state (x, y) in R^{2n}.

    .. math::
        dX = -\frac{X-Y}\gamma\,dt, \qquad
        dY = -\frac1\epsilon\Bigl(\nabla f(Y) - \frac{X-Y}\gamma\Bigr)dt
             + \sqrt{\frac{2T}\epsilon}\,dW.

    Parameters
    ----------
    landscape : Landscape
        Loss f on R^n.
    gamma, temperature, epsilon : float
        Smoothing time, T, and the separation of the time scales; positive.

    Returns
    -------
    Diffusion
        Of dimension 2n and rank n.

    Raises
    ------
    ValueError
        If a parameter is not positive.

    Notes
    -----
    DR (18), with the noise that its limit needs, and BK (1.9).

    Examples
    --------
    >>> from relaxlib.landscapes import lipschitz_double_well
    >>> pair = two_scale(lipschitz_double_well(), gamma=0.5, temperature=1 / 3, epsilon=0.1)
    >>> pair.drift_at([1.0, 0.0]).tolist()
    [-2.0, 21.0]
    """
    _checks.kind("landscape", landscape, Landscape)
    gamma = _checks.positive("gamma", gamma)
    epsilon = _checks.positive("epsilon", epsilon)
    temperature = _checks.positive("temperature", temperature)
    variance = 2 * temperature / epsilon
    return _of_pairs(landscape, two_scale_drift, [gamma, epsilon], variance, temperature)


def underdamped(landscape: Landscape, *, temperature: float, friction: float) -> Diffusion:
    r"""Langevin dynamics with momentum, the state (x, p) in R^{2n}.

    .. math:: dX = P\,dt, \qquad dP = -(\nabla f(X) + cP)\,dt + \sqrt{2cT}\,dW.

    Its stationary law is :math:`\propto e^{-(f(x) + |p|^2/2)/T}`.

    Parameters
    ----------
    landscape : Landscape
        Loss f on R^n.
    temperature, friction : float
        T and c, nonnegative; c = 0 is the Hamiltonian flow.

    Returns
    -------
    Diffusion
        Of dimension 2n and rank n.

    Raises
    ------
    ValueError
        If a parameter is negative.

    Notes
    -----
    DR section 2.3, with the noise that keeps the Gibbs law.

    Examples
    --------
    >>> from relaxlib.landscapes import quadratic
    >>> underdamped(quadratic(), temperature=1.0, friction=2.0).drift_at([1.0, 3.0]).tolist()
    [3.0, -7.0]
    """
    _checks.kind("landscape", landscape, Landscape)
    temperature = _checks.nonnegative("temperature", temperature)
    friction = _checks.nonnegative("friction", friction)
    variance = 2 * friction * temperature
    return _of_pairs(landscape, underdamped_drift, [friction], variance, temperature)


def _of_pairs(
    landscape: Landscape, drift: Callable, numbers: list[float], variance: float, temperature: float
) -> Diffusion:
    """A diffusion in R^{2n} whose second half is noisy; ``numbers`` come before f's params."""
    n = landscape.dim
    noise = np.zeros((2 * n, n))
    noise[n:] = np.sqrt(variance) * np.eye(n)
    return Diffusion(
        drift=drift(landscape.formula.grad, n),
        noise=noise,
        dim=2 * n,
        rank=n,
        params=np.concatenate([numbers, landscape.params]),
        temperature=temperature,
    )
