"""The diffusion that stands for stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numba import njit

from relaxlib import _checks
from relaxlib._lanes.factors import pivoted_factor
from relaxlib.diffusions import Diffusion
from relaxlib.sgd._finite_sums import FiniteSum, check_formulas


def sgd_diffusion(
    finite_sum: FiniteSum, *, lr: float, batch_size: int, noise_variance: float = 0.0
) -> Diffusion:
    r"""The diffusion that stands for SGD,
    :math:`dX = -\nabla L\,dt + \sqrt{\eta\,(Q(X)/b + \delta I)}\,dW`.

    Its temperature is :math:`T = \eta/(2b)`, so that :math:`SS^\top = 2TQ` when
    :math:`\delta = 0`.

    Parameters
    ----------
    finite_sum : FiniteSum
        With an example's formulas.
    lr, batch_size, noise_variance
        :math:`\eta`, b with replacement, and :math:`\delta`.

    Returns
    -------
    Diffusion

    Raises
    ------
    ValueError
        If an argument is out of range or the sum has no formulas.

    Notes
    -----
    BBI (2) and (29).

    Examples
    --------
    >>> from relaxlib.sgd import quadratics
    >>> two = quadratics([1.0, 1.0], [-1.0, 1.0])
    >>> sde = sgd_diffusion(two, lr=0.5, batch_size=2)
    >>> sde.temperature, sde.drift_at(1.0).tolist(), sde.diffusivity_at(1.0).round(12).tolist()
    (0.125, [-1.0], [[0.125]])
    """
    check_formulas(finite_sum)
    lr = _checks.positive("lr", lr)
    batch_size = _checks.count("batch_size", batch_size)
    noise_variance = _checks.nonnegative("noise_variance", noise_variance)
    gradient, rows = finite_sum.example.gradient, finite_sum.example.rows
    return Diffusion(
        drift=_mean_drift(gradient, *rows.shape, finite_sum.dim),
        noise=_batch_noise(gradient, *rows.shape, finite_sum.dim, lr, batch_size, noise_variance),
        dim=finite_sum.dim,
        rank=finite_sum.dim,
        params=rows.ravel(),
        temperature=lr / (2 * batch_size),
    )


def _mean_drift(gradient: Callable, size: int, width: int, dim: int) -> Callable:
    gradient = njit(error_model="numpy")(gradient)

    def drift(x, t, params, out):
        slope = np.empty(dim)
        out[:] = 0.0
        for i in range(size):
            gradient(x, params[i * width : (i + 1) * width], slope)
            for k in range(dim):
                out[k] -= slope[k] / size

    return drift


def _batch_noise(
    gradient: Callable,
    size: int,
    width: int,
    dim: int,
    lr: float,
    batch_size: int,
    noise_variance: float,
) -> Callable:
    gradient = njit(error_model="numpy")(gradient)

    def noise(x, t, params, out):
        slopes, mean, matrix = np.empty((size, dim)), np.zeros(dim), np.zeros((dim, dim))
        for i in range(size):
            gradient(x, params[i * width : (i + 1) * width], slopes[i])
            mean += slopes[i] / size
        for i in range(size):
            for k in range(dim):
                for m in range(dim):
                    spread = (slopes[i, k] - mean[k]) * (slopes[i, m] - mean[m])
                    matrix[k, m] += lr / batch_size * spread / size
        for k in range(dim):
            matrix[k, k] += lr * noise_variance
        pivoted_factor(matrix, out)

    return noise
