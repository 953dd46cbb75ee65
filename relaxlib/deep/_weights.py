"""The weights of a model as one vector, and the model as a function of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from torch import Tensor, nn
from torch.func import functional_call


def flat_weights(model: nn.Module) -> np.ndarray:
    """The model's parameters in their own order as one vector (d,)."""
    return nn.utils.parameters_to_vector(model.parameters()).detach().numpy().copy()


def of_weights(model: nn.Module) -> Callable[[Tensor, Tensor], Tensor]:
    """The outputs of a model as a function of its weights (d,) and of inputs (n, ...).

    What the model does to its buffers meanwhile is lost.
    """
    parameters = dict(model.named_parameters())
    sizes = [entry.numel() for entry in parameters.values()]

    def outputs(weights: Tensor, inputs: Tensor) -> Tensor:
        parts = zip(parameters.items(), weights.split(sizes), strict=True)
        named = {name: part.view_as(entry) for (name, entry), part in parts}
        buffers = {name: entry.clone() for name, entry in model.named_buffers()}
        return functional_call(model, named | buffers, (inputs,))

    return outputs
