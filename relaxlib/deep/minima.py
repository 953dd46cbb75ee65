r"""What kind of minimum a training has found: curvature, and local entropy to second order."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch.func import functional_call, grad, vjp, vmap
from torch.nn.functional import cross_entropy

from relaxlib import _checks
from relaxlib.deep.data import Examples

__all__ = ["harmonic_mean", "loss_derivatives", "second_order_local_entropy"]

DIRECTIONS = 64  # rows of the Hessian at once


def loss_derivatives(model: torch.nn.Module, examples: Examples) -> tuple[np.ndarray, np.ndarray]:
    r"""Gradient and Hessian of the mean cross-entropy, in double precision and without dropout.

    .. math:: L(x) = \frac1N\sum_i\ell(m_x(a_i), y_i), \qquad \nabla L(x), \quad \nabla^2 L(x)

    Batch normalization uses its running statistics, which x does not move: see
    `evaluation.refresh_batch_norm`.

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
        If `model` is no module or has more than 10,000 parameters, or there is no example.

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
    _checks.kind("examples", examples, Examples)
    _checks.count("number of examples", len(examples.targets))
    parameters = {name: entry.detach().double() for name, entry in model.named_parameters()}
    size = sum(entry.numel() for entry in parameters.values())
    if not 0 < size <= 10_000:
        fix = "pass a small network"
        _checks.reject("number of parameters", size, "1 <= d <= 10000 for a full Hessian", fix)
    buffers = {
        name: entry.double() if entry.is_floating_point() else entry
        for name, entry in model.named_buffers()
    }
    inputs, parts = examples.inputs.double(), [entry.numel() for entry in parameters.values()]

    def loss(x: torch.Tensor) -> torch.Tensor:
        pieces = zip(parameters.items(), x.split(parts), strict=True)
        named = {name: piece.view_as(entry) for (name, entry), piece in pieces}
        return cross_entropy(functional_call(model, named | buffers, (inputs,)), examples.targets)

    slope = grad(loss)
    x = torch.cat([entry.flatten() for entry in parameters.values()])
    modes = {layer: layer.training for layer in model.modules()}
    model.eval()
    try:
        gradient, pull = vjp(slope, x)
        rows = vmap(lambda direction: pull(direction)[0], chunk_size=DIRECTIONS)
        hessian = rows(torch.eye(size, dtype=x.dtype)).detach().numpy()
    finally:
        for layer, mode in modes.items():
            layer.training = mode
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


def harmonic_mean(eigenvalues: ArrayLike) -> float:
    r"""Harmonic mean of positive curvatures, :math:`n/\sum_k\lambda_k^{-1}`.

    Parameters
    ----------
    eigenvalues : array_like
        (n,) positive.

    Returns
    -------
    float
        The curvature that DR Lemma 20 bounds along the smoothing.

    Raises
    ------
    ValueError
        If an eigenvalue is not positive and finite, or they are not in one row.

    Examples
    --------
    >>> harmonic_mean([1.0, 3.0])
    1.5
    """
    found = _checks.array("eigenvalues", eigenvalues)
    _checks.shape("eigenvalues", found, (found.size,), "pass them in one row")
    _checks.finite("eigenvalues", found)
    if not found.size or found.min() <= 0.0:
        least = f"{found.min():.3g}" if found.size else "none"
        _checks.reject("eigenvalues", least, "positive numbers", "leave out what is flat")
    return found.size / math.fsum((1.0 / found).tolist())
