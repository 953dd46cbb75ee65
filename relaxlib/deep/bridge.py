"""A torch model and its data as a finite sum of the library."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import grad, vmap

from relaxlib import _checks
from relaxlib.deep._weights import flat_weights, of_weights
from relaxlib.sgd import FiniteSum

__all__ = ["finite_sum"]

_NOISY = nn.modules.dropout._DropoutNd, nn.modules.batchnorm._BatchNorm


def finite_sum(
    model: nn.Module, loss: Callable[[Tensor, Tensor], Tensor], inputs: Tensor, targets: Tensor
) -> FiniteSum:
    r"""The training loss :math:`L(x) = \frac1N\sum_i\ell(m_x(a_i), y_i)` of a network.

    The weights x are the model's parameters in their own order, flattened.

    Parameters
    ----------
    model : torch.nn.Module
        On the CPU, in double precision; without layers that mix examples or draw at random, such
        as batch normalization and dropout, unless `model.eval()` has stilled them. Its buffers
        are those that it has at the time of an evaluation, which leaves them as they are.
    loss : function
        loss(outputs, targets) of a batch of one, as a scalar in double precision.
    inputs, targets : torch.Tensor
        N examples along the first axis, on the CPU, inputs in double precision or integers.

    Returns
    -------
    FiniteSum
        With per-example gradients by automatic differentiation.

    Raises
    ------
    ValueError
        If inputs and targets differ in number or are not finite, a parameter, input or loss is
        not in double precision, something is not on the CPU, or torch cannot evaluate loss and
        gradient of the examples.

    Examples
    --------
    >>> layer = torch.nn.Linear(1, 1, bias=False, dtype=torch.float64)
    >>> square = lambda out, y: ((out - y) ** 2).sum() / 2
    >>> data = torch.tensor([[1.0], [2.0]], dtype=torch.float64)
    >>> finite_sum(layer, square, data, torch.tensor([[0.0], [1.0]])).grad([1.0]).tolist()
    [1.5]
    """
    _check_data(inputs, targets)
    _check_model(model)
    outputs, start, size = of_weights(model), flat_weights(model), len(inputs)

    def example_loss(weights: Tensor, one: Tensor, target: Tensor) -> Tensor:
        return loss(outputs(weights, one[None]), target[None])

    def over_examples(of_one: Callable[..., Tensor], size: int) -> Callable[..., np.ndarray]:
        mapped = vmap(of_one, in_dims=(None, 0, 0))

        def values(x: np.ndarray) -> np.ndarray:
            weights = torch.as_tensor(_checks.point("x", x, start.size))
            return mapped(weights, inputs[:size], targets[:size]).detach().numpy()

        return values

    slope = grad(example_loss)
    losses, gradients = over_examples(example_loss, size), over_examples(slope, size)
    try:
        found = losses(start)
        over_examples(slope, 1)(start)
    except Exception as error:  # whatever the reader's model and loss raise
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        fix = "mend model, loss, inputs or targets"
        _checks.reject("loss of one example", reason, "a scalar that torch can differentiate", fix)
    if found.dtype != np.float64:
        fix = "compute it from outputs as they are"
        _checks.reject("loss of one example", found.dtype, "float64, as the outputs", fix)
    return FiniteSum(losses=losses, gradients=gradients, size=size, dim=start.size)


def _check_data(inputs: Tensor, targets: Tensor) -> None:
    for name, data in (("inputs", inputs), ("targets", targets)):
        _checks.kind(name, data, Tensor)
        _check_place(name, data)
        if data.is_complex() or data.layout is not torch.strided:
            kind = f"{data.dtype}, {data.layout}"
            _checks.reject(name, kind, "real numbers in a dense tensor", "convert it")
        _checks.count(f"len({name})", len(data) if data.ndim else 0)
        _checks.finite(name, data.detach().double().numpy())
    if len(inputs) != len(targets):
        need = f"one per input, {len(inputs)}"
        _checks.reject("len(targets)", len(targets), need, "match inputs and targets")
    if inputs.is_floating_point() and inputs.dtype != torch.float64:
        _checks.reject("inputs", inputs.dtype, "torch.float64 inputs", "pass inputs.double()")


def _check_model(model: nn.Module) -> None:
    _checks.kind("model", model, nn.Module)
    for name, layer in model.named_modules():
        if layer.training and isinstance(layer, _NOISY):
            _checks.reject(name or "model", layer, "examples that do not mix", "call model.eval()")
        if isinstance(layer, _NOISY[1]) and layer.running_mean is None:
            need = "running statistics, which keep examples from mixing"
            _checks.reject(name or "model", layer, need, "pass track_running_stats=True")
    _checks.count("number of parameters", len(list(model.parameters())))
    for name, entry in model.named_parameters():
        if isinstance(entry, nn.parameter.UninitializedParameter):
            _checks.reject(name, "uninitialized", "parameters of known shape", "run the model once")
        _check_place(name, entry)
        if entry.dtype != torch.float64:
            _checks.reject(name, entry.dtype, "torch.float64 parameters", "call model.double()")


def _check_place(name: str, tensor: Tensor) -> None:
    if tensor.device.type != "cpu":
        fix = "call .cpu() of model, inputs and targets"
        _checks.reject(f"{name}.device", tensor.device, "all on the CPU", fix)
