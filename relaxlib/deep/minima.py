r"""What kind of minimum a training has found: curvature, and local entropy to second order."""

from __future__ import annotations

import copy
import math

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch.func import grad, vjp, vmap
from torch.nn.functional import cross_entropy
from torch.nn.utils import parameters_to_vector

from relaxlib import _checks
from relaxlib.deep._training.evaluation import check_examples
from relaxlib.deep._weights import of_weights
from relaxlib.deep.data import Examples

__all__ = ["loss_derivatives", "second_order_local_entropy"]

DIRECTIONS = 64  # rows of the Hessian at once


def loss_derivatives(model: torch.nn.Module, examples: Examples) -> tuple[np.ndarray, np.ndarray]:
    r"""Gradient and Hessian of the mean cross-entropy, in double precision and without dropout.

    .. math:: L(x) = \frac1N\sum_i\ell(m_x(a_i), y_i), \qquad \nabla L(x), \quad \nabla^2 L(x)

    Batch normalization uses its running statistics, which x does not move: see
    `relaxlib.deep.train.refresh_batch_norm`.

    Parameters
    ----------
    model : torch.nn.Module
        From images to logits, with up to 10,000 parameters; it is left unchanged.
    examples : Examples
        On the CPU.

    Returns
    -------
    gradient : numpy.ndarray
        (d,) float64, in the order of the model's parameters.
    hessian : numpy.ndarray
        (d, d) float64, symmetric.

    Raises
    ------
    ValueError
        If `model` is no module or has more than 10,000 parameters, there is no example, or inputs
        and targets do not go together.

    Notes
    -----
    Where a ReLU is at its kink, the Hessian is that of the side torch takes.

    Examples
    --------
    >>> layer = torch.nn.Linear(1, 2, bias=False)
    >>> _ = torch.nn.init.zeros_(layer.weight)
    >>> gradient, hessian = loss_derivatives(layer, Examples(torch.ones(1, 1), torch.tensor([0])))
    >>> gradient.tolist(), hessian.tolist()
    ([-0.5, 0.5], [[0.25, -0.25], [-0.25, 0.25]])
    """
    _checks.kind("model", model, torch.nn.Module)
    check_examples(examples)
    size = sum(entry.numel() for entry in model.parameters())
    if not 0 < size <= 10_000:
        fix = "pass a small network"
        _checks.reject("number of parameters", size, "1 <= d <= 10000 for a full Hessian", fix)
    still = copy.deepcopy(model).double().eval()
    outputs, inputs = of_weights(still), examples.inputs.double()

    def loss(x: torch.Tensor) -> torch.Tensor:
        return cross_entropy(outputs(x, inputs), examples.targets)

    x = parameters_to_vector(still.parameters()).detach()
    gradient, pull, *_ = vjp(grad(loss), x)
    rows = vmap(lambda direction: pull(direction)[0], chunk_size=DIRECTIONS)
    hessian = rows(torch.eye(size, dtype=x.dtype)).detach().numpy()
    return gradient.detach().numpy(), (hessian + hessian.T) / 2.0


def second_order_local_entropy(
    loss: float, gradient: ArrayLike, hessian: ArrayLike, *, gamma: float, temperature: float
) -> float:
    r"""Local entropy of the second-order Taylor polynomial of a loss, at its point of expansion.

    .. math:: f_\gamma = f - \frac\gamma2\,g^T(I + \gamma H)^{-1}g
       + \frac T2\log\det(I + \gamma H)

    Parameters
    ----------
    loss : float
        f, the value at the point.
    gradient, hessian : array_like
        g (d,) and the symmetric H (d, d) there.
    gamma : float
        Smoothing time.
    temperature : float
        T of the local entropy.

    Returns
    -------
    float
        In the units of the loss.

    Raises
    ------
    ValueError
        If :math:`I + \gamma H` is not positive definite, where the polynomial has no local
        entropy, or an argument is out of range.

    Notes
    -----
    Exact for quadratic losses, where the integral of `smoothing.local_entropy` is Gaussian.

    Examples
    --------
    >>> value = second_order_local_entropy(0.0, [0.0], [[1.0]], gamma=1.0, temperature=2.0)
    >>> f"{value:.6f}"  # log 2
    '0.693147'
    """
    loss = _checks.number("loss", loss)
    _checks.finite("loss", np.array(loss))
    curvature = _checks.square("hessian", hessian)
    _checks.symmetric("hessian", curvature)
    found = _checks.point("gradient", gradient, len(curvature))
    gamma = _checks.positive("gamma", gamma)
    temperature = _checks.nonnegative("temperature", temperature)
    values, vectors = np.linalg.eigh(curvature)
    stiffness = 1.0 + gamma * values
    if stiffness[0] <= 0.0:
        need = f"gamma < {-1.0 / values[0]:.3g}, where I + gamma H is positive"
        _checks.reject("gamma", f"{gamma:g}", need, "take a smaller one")
    projected = vectors.T @ found
    drop = gamma / 2.0 * float((projected**2 / stiffness).sum())
    return loss - drop + temperature / 2.0 * math.fsum(np.log(stiffness))
