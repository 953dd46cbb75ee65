"""Every optimizer, by either door and in every precision, against its formulas in a plain loop."""

import math

import pytest
import torch
from small_training import normals, outer_step

from relaxlib.deep.optim import HJ, EntropySGD, Heat

pytestmark = pytest.mark.usefixtures("one_thread")


def by_calls(optimizer, loss):
    """One step of the weights on a loss without batches, as in a plain loop."""
    for _ in range(optimizer.param_groups[0]["inner_steps"]):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()


DOORS = pytest.mark.parametrize("door", [outer_step, by_calls])
FULL = {
    "averaging": 0.0, "temperature": 0.0, "momentum": 0.0, "inner_momentum": 0.0,
    "weight_decay": 0.0, "maximize": False,
}  # fmt: skip


def plain_entropy(x, velocity, gradient, noise, **s):
    """One step of the weights by the formulas of EntropySGD, and the velocity after it."""
    y, mean, inner_velocity = x, x, torch.zeros_like(x)
    for k in range(s["inner_steps"]):
        d = gradient(y) + s["weight_decay"] * y
        inner_velocity = s["inner_momentum"] * inner_velocity + d
        d = d + s["inner_momentum"] * inner_velocity + (y - x) / s["gamma"]
        y = y - s["inner_lr"] * d + math.sqrt(2 * s["inner_lr"] * s["temperature"]) * noise(k)
        past = k / (k + 1) if s["averaging"] == "mean" else s["averaging"]
        mean = past * mean + (1 - past) * y
    return nesterov(x, (x - mean) / s["gamma"], velocity, s)


def plain_heat(x, velocity, gradient, noise, **s):
    """The same for Heat."""
    total = s["inner_steps"]
    wide = math.sqrt(s["variance"] * total / (total - 1))
    points = [x] + [x + wide * noise(k) for k in range(total - 1)]
    mean = sum(gradient(y) + s["weight_decay"] * y for y in points) / total
    return nesterov(x, mean, velocity, s)


def nesterov(x, d, velocity, s):
    velocity = s["momentum"] * velocity + d
    return x - s["lr"] * (d + s["momentum"] * velocity), velocity


PLAIN = {EntropySGD: plain_entropy, HJ: plain_entropy, Heat: plain_heat}
COMMON = {
    EntropySGD: {"lr": 0.2, "gamma": 0.4, "inner_lr": 0.05, "temperature": 0.01, "seed": 5},
    HJ: {"lr": 0.2, "gamma": 0.4, "inner_lr": 0.05},
    Heat: {"lr": 0.2, "variance": 0.3, "seed": 5},
}
OTHER = {
    EntropySGD: {"lr": 1.0, "gamma": 2.0, "temperature": 0.1},
    HJ: {"lr": 1.0, "gamma": 2.0},
    Heat: {"lr": 0.5, "variance": 0.01},
}


@pytest.mark.parametrize(
    ("kind", "own"),
    [
        (EntropySGD, {"averaging": 0.75}),
        (EntropySGD, {"averaging": 0.0, "inner_momentum": 0.5}),
        (EntropySGD, {"averaging": "mean", "momentum": 0.9, "weight_decay": 0.1}),
        (HJ, {"weight_decay": 0.1}),
        (HJ, {"momentum": 0.9, "inner_momentum": 0.5}),
        (Heat, {"weight_decay": 0.1}),
        (Heat, {"momentum": 0.9}),
    ],
)
@pytest.mark.parametrize("maximize", [False, True])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-6), (torch.float64, 1e-12)])
@DOORS
def test_it_is_its_formulas(kind, own, maximize, dtype, tolerance, door):
    """Three steps of two groups with settings of their own, on f = -cos."""
    own = COMMON[kind] | own | {"inner_steps": 7, "maximize": maximize}
    torch.manual_seed(0)
    weights = [torch.nn.Parameter(torch.randn(shape, dtype=dtype)) for shape in ((3, 2), (4,))]
    optimizer = kind([{"params": weights[:1]}, {"params": weights[1:], **OTHER[kind]}], **own)
    plain = [(weight.detach().clone(), torch.zeros_like(weight)) for weight in weights]
    sign = -1.0 if maximize else 1.0
    for outer in range(3):
        door(optimizer, lambda: sum(-sign * weight.cos().sum() for weight in weights))
        for number, changed in enumerate(({}, OTHER[kind])):
            x, velocity = plain[number]

            def noise(k, x=x, number=number, outer=outer):
                return normals(x, seed=5, number=number, count=7 * outer + k)

            plain[number] = PLAIN[kind](x, velocity, torch.sin, noise, **(FULL | own | changed))
    for weight, (x, _) in zip(weights, plain, strict=True):
        torch.testing.assert_close(weight.detach(), x.detach(), rtol=0.0, atol=tolerance)


def layouts():
    """The same numbers: transposed, strided, channels last, a scalar, and none."""
    torch.manual_seed(0)
    square, many = torch.randn(6, 6, dtype=torch.float64), torch.randn(2, 3, 4, 5)
    return [
        square.t().contiguous().t(), square.repeat_interleave(2, dim=1)[:, ::2],
        many.contiguous(memory_format=torch.channels_last), torch.tensor(0.5), torch.zeros(0, 3),
    ]  # fmt: skip


@pytest.mark.parametrize(("kind", "settings"), [(EntropySGD, {"temperature": 0.0}), (HJ, {})])
def test_neither_layout_nor_neighbors_matter(kind, settings):
    """A group of several precisions and layouts moves as its tensors would alone."""
    together = [torch.nn.Parameter(entry) for entry in layouts()]
    alone = [torch.nn.Parameter(entry.clone().contiguous()) for entry in layouts()]
    assert not any(entry.is_contiguous() for entry in together[:3])
    settings |= {"inner_steps": 3, "momentum": 0.5, "inner_momentum": 0.5}
    by_calls(kind(together, **settings), lambda: sum(-entry.cos().sum() for entry in together))
    for one, other in zip(together, alone, strict=True):
        by_calls(kind([other], **settings), lambda other=other: -other.cos().sum())
        assert torch.equal(one, other)


@pytest.mark.parametrize("kind", [EntropySGD, Heat])
def test_every_layout_and_precision_gets_noise(kind):
    strong = {"temperature": 1.0} if kind is EntropySGD else {"variance": 0.1, "inner_steps": 2}
    for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
        x = torch.nn.Parameter(torch.zeros(100, 200, dtype=dtype).t())
        optimizer = kind([x], seed=1, **strong)
        x.grad = torch.zeros_like(x)
        optimizer.step()
        assert x.var().item() == pytest.approx(0.2, rel=4 * math.sqrt(2 / 20_000))
