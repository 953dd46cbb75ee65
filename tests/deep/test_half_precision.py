"""Parameters in half precision: steps and noise that would be rounded away are not lost."""

import math

import pytest
import torch
from scipy import stats
from small_training import METHODS, Training, every_method
from torch import nn

from relaxlib.deep.optim import HJ, EntropySGD, Heat, Replicas

pytestmark = pytest.mark.usefixtures("one_thread")
every_half = pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])


def weights(method, dtype, **own):
    """Tensors of weights near one, one or one for each worker, and their optimizer."""
    kind, settings = METHODS[method]
    start = torch.linspace(0.5, 1.5, 301).to(torch.bfloat16).to(torch.float16)
    models = [nn.ParameterList([start.clone().to(dtype)]) for _ in range(2)]
    models = models if kind is Replicas else models[:1]
    optimizer = kind(models if kind is Replicas else models[0].parameters(), **settings | own)
    return [model[0] for model in models], optimizer


def push(entries, optimizer, number, dtype):
    """One step with gradients that half precision can hold."""
    for k, entry in enumerate(entries):
        stream = torch.Generator().manual_seed(10 * number + k)
        gradient = 0.01 * torch.randn(entry.shape, generator=stream)
        entry.grad = gradient.to(dtype).to(entry.dtype)
    optimizer.step()


@every_method
@every_half
def test_it_moves_as_in_single_precision(method, dtype):
    """Under the same gradients: the weights are those, rounded, at every step and at x."""
    (halves, half), (singles, single) = (weights(method, kind) for kind in (dtype, torch.float32))
    start = halves[0].detach().clone()
    for number in range(25):
        push(halves, half, number, dtype)
        push(singles, single, number, dtype)
        for one, other in zip(halves, singles, strict=True):
            assert torch.equal(one, other.to(dtype))
        with half.at_x(), single.at_x():
            assert torch.equal(halves[-1], singles[-1].to(dtype))
        assert torch.equal(halves[0], singles[0].to(dtype))
    assert halves[0].dtype == dtype
    assert (halves[0] != start).float().mean() > 0.5


@every_half
def test_small_noise_adds_up(dtype):
    """At the default temperature, from 1: a thousand kicks, each far below the gap of numbers."""
    x, eps = nn.Parameter(torch.ones(20_000, dtype=dtype)), torch.finfo(dtype).eps
    optimizer = EntropySGD([x], lr=1e6, gamma=1e6, averaging=0.0, inner_steps=100, seed=0)
    x.grad = torch.zeros_like(x)
    for _ in range(1000):
        optimizer.step()
    deviation = math.sqrt(2 * 0.1 * 1e-8 * 1000)
    for moved, gap in ((x < 1.0, eps / 2), (x > 1.0, eps)):  # half a gap is rounded to the next
        chance = stats.norm.sf(gap / 2 / deviation)
        error = 4 * math.sqrt(chance * (1 - chance) / len(x))
        assert moved.double().mean().item() == pytest.approx(chance, abs=error)


@every_half
@pytest.mark.parametrize("kind", [HJ, Heat])
def test_small_steps_add_up(kind, dtype):
    """Two hundred steps of 1e-4, from 1, where half a gap is up to 2e-3."""
    x = nn.Parameter(torch.ones(1, dtype=dtype))
    own = {"inner_lr": 1e-4} if kind is HJ else {"lr": 1e-4}
    optimizer = kind([x], inner_steps=1, **own)
    x.grad = torch.ones_like(x)
    for _ in range(200):
        optimizer.step()
    assert x.item() == torch.tensor(0.98).to(dtype).item()


@every_half
def test_a_change_from_outside_counts(dtype):
    """Between two steps, within a loop and before a closure; elsewhere the rest is kept."""
    x = nn.Parameter(torch.tensor([1.0, 1.0], dtype=dtype))
    optimizer = HJ([x], inner_steps=2, inner_lr=1e-4, gamma=1e6, lr=1e6)
    x.grad = torch.zeros_like(x)
    for _ in range(3):
        optimizer.step()
    with torch.no_grad():
        x[0] = 3.0
    for _ in range(3):
        optimizer.step()
    assert x.tolist() == pytest.approx([3.0, 1.0], abs=1e-2)
    with torch.no_grad():
        x[1] = 7.0
    optimizer.step(lambda: None)
    assert x.tolist() == pytest.approx([3.0, 7.0], abs=1e-2)
    with torch.no_grad():
        x.fill_(5.0)
    with optimizer.at_x():
        assert x.tolist() == [5.0, 5.0]


@every_method
@every_half
def test_a_state_goes_on_in_another_precision(method, dtype):
    """From single to half and back: the weights differ by the rounding of gradients only."""
    single, half, last = (Training(method, kind) for kind in (torch.float32, dtype, torch.float32))
    for source, target in ((single, half), (half, last)):
        source.micro_steps(5)
        pairs = zip(
            (*source.models, source.optimizer), (*target.models, target.optimizer), strict=True
        )
        for one, other in pairs:
            other.load_state_dict(one.state_dict())
    tensors = [entry for state in half.optimizer.state.values() for entry in state.values()]
    assert {entry.dtype for entry in tensors if torch.is_tensor(entry)} == {torch.float32}
    last.micro_steps(5)
    assert last.weights().isfinite().all()
    assert not any("unrounded" in state for state in last.optimizer.state.values())
