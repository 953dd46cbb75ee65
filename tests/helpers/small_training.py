"""Small networks in training, by every optimizer with an inner loop."""

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from relaxlib.deep.optim import HJ, ElasticSGD, EntropySGD, GatedEntropySGD, Heat, Replicas

SPRINGS = {"lr": 0.3, "gamma": 0.5, "temperature": 1e-4, "inner_steps": 3, "averaging": 0.5,
           "momentum": 0.5, "inner_momentum": 0.5, "weight_decay": 1e-2, "seed": 7}  # fmt: skip
METHODS = {
    "entropy": (EntropySGD, {
        "lr": 0.4, "gamma": 0.5, "temperature": 1e-4, "inner_steps": 4, "momentum": 0.5,
        "inner_momentum": 0.5, "weight_decay": 1e-3, "seed": 3,
    }),
    "hj": (HJ, {"lr": 0.4, "gamma": 0.5, "inner_steps": 3, "momentum": 0.5}),
    "heat": (Heat, {"variance": 1e-2, "inner_steps": 4, "momentum": 0.5, "seed": 3}),
    "gate": (GatedEntropySGD, {
        "lr": 0.4, "gamma": 0.5, "temperature": 1e-4, "inner_steps": 4, "inner_momentum": 0.5,
        "seed": 3,
    }),
    "elastic": (ElasticSGD, SPRINGS),
    "replicas": (Replicas, SPRINGS),
}  # fmt: skip
every_method = pytest.mark.parametrize("method", METHODS)
every_precision = pytest.mark.parametrize(
    "dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16]
)


class Training:
    """Small networks, one but for replicas, their optimizer, and batches without end."""

    def __init__(self, method="entropy", dtype=torch.float32, **own):
        torch.manual_seed(0)
        kind, settings = METHODS[method]
        self.method, self.dtype = method, dtype
        self.models = [self.network() for _ in range(3 if kind is Replicas else 1)]
        self.model = self.models[0]
        layers = [{"params": layer.parameters()} for layer in (self.model[0], self.model[2])]
        self.optimizer = kind(self.models if kind is Replicas else layers, **settings | own)
        self.inner_steps = self.optimizer.param_groups[0]["inner_steps"]
        self.batches, self.drawn = torch.Generator().manual_seed(1), 0

    def network(self):
        return nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2)).to(self.dtype)

    def losses(self):
        """Of each network, for a batch of its own."""
        self.drawn += 1
        inputs = torch.randn(len(self.models), 8, 3, generator=self.batches, dtype=self.dtype)
        pairs = zip(self.models, inputs, strict=True)
        return [
            cross_entropy(model(batch), (batch.sum(dim=1) > 0).long()) for model, batch in pairs
        ]

    def closure(self):
        self.optimizer.zero_grad()
        losses = self.losses()
        sum(losses).backward()
        return losses[0]

    def micro_steps(self, count):
        for _ in range(count):
            self.closure()
            self.optimizer.step()

    def weights(self):
        """What the networks hold, one in each row."""
        flat = [nn.utils.parameters_to_vector(model.parameters()) for model in self.models]
        return torch.stack(flat).detach().clone()

    def center(self):
        """The weights x, once for each network."""
        with self.optimizer.at_x():
            return self.weights()


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


def normals(target, *, seed, number=0, count=0):
    """The white noise that an optimizer adds to a parameter, as EntropySGD adds it to zeros.

    `target` is a shape, in double precision, or a tensor to be like; `number` that of the
    parameter, and `count` that of the back-propagations before.
    """
    zeros = (
        torch.zeros_like(target)
        if torch.is_tensor(target)
        else torch.zeros(target, dtype=torch.float64)
    )
    others = [nn.Parameter(torch.zeros(0)) for _ in range(number)]
    y = nn.Parameter(zeros)
    # sqrt(2 h T) = 1
    optimizer = EntropySGD([*others, y], inner_lr=0.1, temperature=5.0, seed=seed)
    optimizer.param_groups[0]["back_propagations"] = count
    y.grad = torch.zeros_like(y)
    optimizer.step()
    return y.detach()


def rejected(message, action, *arguments):
    """Check that an action is refused with this message."""
    with pytest.raises(ValueError) as error:
        action(*arguments)
    assert message in str(error.value)
