"""A small network in training, by every optimizer with an inner loop."""

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from relaxlib.deep.optim import HJ, EntropySGD, GatedEntropySGD, Heat

METHODS = {
    "entropy": lambda groups: EntropySGD(
        groups, lr=0.4, gamma=0.5, temperature=1e-4, inner_steps=4, momentum=0.5,
        inner_momentum=0.5, weight_decay=1e-3, seed=3,
    ),
    "hj": lambda groups: HJ(groups, lr=0.4, gamma=0.5, inner_steps=3, momentum=0.5),
    "heat": lambda groups: Heat(groups, variance=1e-2, inner_steps=4, momentum=0.5, seed=3),
    "gate": lambda groups: GatedEntropySGD(
        groups, lr=0.4, gamma=0.5, temperature=1e-4, inner_steps=4, inner_momentum=0.5, seed=3,
    ),
}  # fmt: skip
every_method = pytest.mark.parametrize("method", METHODS)
every_precision = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])


class Training:
    """A small network, its optimizer, and batches without end."""

    def __init__(self, method="entropy", dtype=torch.float32):
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2)).to(dtype)
        self.dtype = dtype
        layers = [{"params": layer.parameters()} for layer in (self.model[0], self.model[2])]
        self.optimizer = METHODS[method](layers)
        self.inner_steps = self.optimizer.param_groups[0]["inner_steps"]
        self.batches, self.drawn = torch.Generator().manual_seed(1), 0

    def loss(self):
        self.drawn += 1
        inputs = torch.randn(8, 3, generator=self.batches, dtype=self.dtype)
        return cross_entropy(self.model(inputs), (inputs.sum(dim=1) > 0).long())

    def closure(self):
        self.optimizer.zero_grad()
        loss = self.loss()
        loss.backward()
        return loss

    def micro_steps(self, count):
        for _ in range(count):
            self.closure()
            self.optimizer.step()

    def weights(self):
        return nn.utils.parameters_to_vector(self.model.parameters()).detach().clone()


def outer_step(optimizer, loss):
    """One step of the weights on a loss without batches, by the door of closures."""

    def closure():
        optimizer.zero_grad()
        value = loss()
        value.backward()
        return value

    return optimizer.step(closure)


def one_weight(gradient=1.0, **settings):
    """A weight at zero with a gradient, and HJ."""
    x = nn.Parameter(torch.zeros(1, dtype=torch.float64))
    x.grad = torch.full_like(x, gradient)
    return x, HJ([x], **settings)


def rejected(message, action, *arguments):
    """Check that an action is refused with this message."""
    with pytest.raises(ValueError) as error:
        action(*arguments)
    assert message in str(error.value)
