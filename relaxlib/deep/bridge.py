"""A torch model and its data as a finite sum of the library."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch.func import functional_call, grad, vmap

from relaxlib import _checks
from relaxlib.finite_sums import FiniteSum


def finite_sum(
    model: torch.nn.Module,
    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    inputs: torch.Tensor,
    targets: torch.Tensor,
) -> FiniteSum:
    r"""The training loss :math:`L(x) = \frac1N\sum_i\ell(m_x(a_i), y_i)` of a network.

    The weights x are the model's parameters in their own order, flattened.

    Parameters
    ----------
    model : torch.nn.Module
        In double precision; without layers that mix examples, such as batch normalization.
    loss : function
        loss(outputs, targets) of a batch of one, as a scalar.
    inputs, targets : torch.Tensor
        N examples along the first axis.

    Returns
    -------
    FiniteSum
        With per-example gradients by automatic differentiation.

    Raises
    ------
    ValueError
        If inputs and targets differ in number, or a parameter is not double precision.

    Examples
    --------
    >>> layer = torch.nn.Linear(1, 1, bias=False, dtype=torch.float64)
    >>> square = lambda out, y: ((out - y) ** 2).sum() / 2
    >>> data = torch.tensor([[1.0], [2.0]], dtype=torch.float64)
    >>> finite_sum(layer, square, data, torch.tensor([[0.0], [1.0]])).grad([1.0]).tolist()
    [1.5]
    """
    if len(inputs) != len(targets):
        need = f"one per input, {len(inputs)}"
        _checks.reject("len(targets)", len(targets), need, "match inputs and targets")
    parameters = {name: entry.detach() for name, entry in model.named_parameters()}
    for name, entry in parameters.items():
        if entry.dtype != torch.float64:
            _checks.reject(name, entry.dtype, "torch.float64 parameters", "call model.double()")
    sizes = [entry.numel() for entry in parameters.values()]

    def example_loss(weights: torch.Tensor, one: torch.Tensor, target: torch.Tensor):
        parts = torch.split(weights, sizes)
        named = {
            name: part.reshape(entry.shape)
            for (name, entry), part in zip(parameters.items(), parts, strict=True)
        }
        return loss(functional_call(model, named, (one[None],)), target[None])

    def over_examples(function: Callable) -> Callable[[np.ndarray], np.ndarray]:
        mapped = vmap(function, in_dims=(None, 0, 0))

        def values(x: np.ndarray) -> np.ndarray:
            weights = torch.as_tensor(np.asarray(x, np.float64))
            return mapped(weights, inputs, targets).detach().numpy()

        return values

    return FiniteSum(
        losses=over_examples(example_loss),
        gradients=over_examples(grad(example_loss)),
        size=len(inputs),
        dim=sum(sizes),
    )


def flat_weights(model: torch.nn.Module) -> np.ndarray:
    """The model's parameters as one vector (d,)."""
    return torch.nn.utils.parameters_to_vector(model.parameters()).detach().numpy().copy()
