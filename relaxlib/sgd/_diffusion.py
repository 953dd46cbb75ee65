"""The diffusion that stands for stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numba import njit

from relaxlib._lanes.factors import pivoted_factor
from relaxlib.diffusions import Diffusion
from relaxlib.sgd._descent import Descent, descent
from relaxlib.sgd._finite_sums import Example, FiniteSum, formulas_of


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
    example, dim = formulas_of(finite_sum), finite_sum.dim
    numbers = descent(finite_sum.size, lr, batch_size, noise_variance)
    return Diffusion(
        drift=_mean_drift(example, dim),
        noise=_batch_noise(example, dim, numbers),
        dim=dim,
        rank=dim,
        params=example.rows.ravel(),
        temperature=numbers.lr / (2 * numbers.batch_size),
    )


def _mean_drift(example: Example, dim: int) -> Callable:
    gradient = njit(error_model="numpy")(example.gradient)
    size, width = example.rows.shape

    def drift(x, t, params, out):
        slope = np.empty(dim)
        out[:] = 0.0
        for i in range(size):
            gradient(x, params[i * width : (i + 1) * width], slope)
            for k in range(dim):
                out[k] -= slope[k] / size

    return drift


def _batch_noise(example: Example, dim: int, numbers: Descent) -> Callable:
    gradient = njit(error_model="numpy")(example.gradient)
    size, width = example.rows.shape
    scale, added = numbers.lr / numbers.batch_size, numbers.lr * numbers.noise_variance

    def noise(x, t, params, out):
        slopes, mean, covariance = np.empty((size, dim)), np.zeros(dim), np.zeros((dim, dim))
        for i in range(size):
            gradient(x, params[i * width : (i + 1) * width], slopes[i])
            mean += slopes[i] / size
        for i in range(size):
            for k in range(dim):
                for m in range(dim):
                    product = (slopes[i, k] - mean[k]) * (slopes[i, m] - mean[m])
                    covariance[k, m] += scale * product / size
        for k in range(dim):
            covariance[k, k] += added
        pivoted_factor(covariance, out)

    return noise
