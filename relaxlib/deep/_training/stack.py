"""Networks of one kind, one for each seed, evaluated in one sweep."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from functools import partial

import torch
from torch import nn
from torch.func import functional_call, stack_module_state, vmap


class Stack:
    r"""R networks of one kind, with each parameter in one tensor along a new first axis.

    .. math:: (a_1, \dots, a_R) \mapsto (m_{x_1}(a_1), \dots, m_{x_R}(a_R))

    Network r sees the r-th batch, draws dropout of its own and keeps batch statistics of its own.
    The gradient of a sum of R losses, one for each network, holds the gradient of each; hence an
    optimizer that treats every number alike trains all networks as it would train one.

    Parameters
    ----------
    models : sequence of torch.nn.Module
        One or more, in training mode; they are copied.

    Examples
    --------
    >>> stack = Stack([nn.Linear(3, 2) for _ in range(4)])
    >>> stack(torch.zeros(4, 5, 3)).shape
    torch.Size([4, 5, 2])
    """

    def __init__(self, models: Sequence[nn.Module]) -> None:
        self.copies = copy.deepcopy(list(models))
        self.weights, self.buffers = stack_module_state(self.copies)

    def __call__(self, inputs: torch.Tensor) -> torch.Tensor:
        """Logits (R, n, ...) of batches (R, n, ...), in training mode."""
        network = partial(functional_call, self.copies[0])
        return vmap(network, randomness="different")((self.weights, self.buffers), (inputs,))

    def parameters(self) -> list[torch.Tensor]:
        """What an optimizer moves."""
        return list(self.weights.values())

    def networks(self) -> list[nn.Module]:
        """The networks one by one; what is done to them does not come back."""
        for k, network in enumerate(self.copies):
            network.load_state_dict({name: part[k] for name, part in self.state_dict().items()})
        return self.copies

    def state_dict(self) -> dict[str, torch.Tensor]:
        """Parameters and batch statistics, stacked, by the names that a single network has."""
        return {name: part.detach() for name, part in (self.weights | self.buffers).items()}

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        """Go on from a state."""
        for name, part in self.state_dict().items():
            part.copy_(state[name])
