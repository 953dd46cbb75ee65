"""Optimizers with an inner loop beside torch's SGD, per back-propagation of the 1.86 M network.

usage: python benchmarks/optimizers.py [threads ...]    (two minutes; 1 and 2 threads)

One back-propagation is a batch of 128 images with its forward pass and its call of ``step()``.
All methods take turns at every single one, so that a busy machine slows all alike; a time is the
median over 20 inner loops, a ratio the median of the ratios in the same loop. A method with
momentum is compared with SGD with momentum. The peer is EntropySGD as it is written in most
repositories: a loop over the parameters, with ``torch.randn_like``. At last, what the noise adds to
a micro-step, beside the noise of torch.
"""

from __future__ import annotations

import math
import statistics
import sys
import time
from collections.abc import Callable, Iterable

import torch
from timing import compare, machine
from torch.nn.functional import cross_entropy

from relaxlib.deep.nets import mnist_fc
from relaxlib.deep.optim import HJ, EntropySGD, Heat

CALLS, LOOPS = 20, 20
BOTH = {"momentum": 0.9, "inner_momentum": 0.9}


class PlainLoop(torch.optim.Optimizer):
    """EntropySGD with its defaults, parameter by parameter."""

    def __init__(self, params: Iterable[torch.Tensor], lr: float) -> None:
        super().__init__(params, {"lr": lr})
        self.calls = 0

    @torch.no_grad()
    def step(self) -> None:
        for x in self.param_groups[0]["params"]:
            state = self.state[x]
            if self.calls % CALLS == 0:
                state["anchor"], state["mean"] = x.clone(), x.clone()
            force = x.grad + (x - state["anchor"]) / 1.0
            x.add_(-0.1 * force + math.sqrt(2 * 0.1 * 1e-8) * torch.randn_like(x))
            state["mean"].mul_(0.75).add_(0.25 * x)
            if self.calls % CALLS == CALLS - 1:
                descent = (state["anchor"] - state["mean"]) / 1.0
                x.copy_(state["anchor"] - self.param_groups[0]["lr"] * descent)
        self.calls += 1


METHODS = {
    "SGD": lambda params: torch.optim.SGD(params, lr=1e-3),
    "HJ": lambda params: HJ(params, lr=1e-2),
    "Heat": lambda params: Heat(params, lr=1e-2),
    "EntropySGD": lambda params: EntropySGD(params, lr=1e-2),
    "EntropySGD in a plain loop": lambda params: PlainLoop(params, lr=1e-2),
    "SGD, momentum": lambda params: torch.optim.SGD(params, lr=1e-3, momentum=0.9, nesterov=True),
    "EntropySGD, momentum": lambda params: EntropySGD(params, lr=1e-2, **BOTH),
}


def back_propagation(make: Callable[..., torch.optim.Optimizer]) -> Callable[[], None]:
    """One batch, for all methods the same."""
    torch.manual_seed(0)
    model, inputs, targets = mnist_fc(), torch.randn(128, 784), torch.randint(10, (128,))
    optimizer = make(model.parameters())

    def run() -> None:
        optimizer.zero_grad()
        cross_entropy(model(inputs), targets).backward()
        optimizer.step()

    return run


def loops() -> dict[str, list[float]]:
    """Seconds of each method for each of `LOOPS` inner loops of `CALLS` back-propagations."""
    runs = {name: back_propagation(make) for name, make in METHODS.items()}
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for call in range(CALLS * (LOOPS + 1)):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            if call % CALLS == 0:
                seconds[name].append(0.0)
            seconds[name][-1] += time.perf_counter() - start
    return {name: times[1:] for name, times in seconds.items()}  # the first one warms up


def micro_step(temperature: float) -> Callable[[], None]:
    """One micro-step of as many parameters as the network has, with a gradient of zero."""
    x = torch.nn.Parameter(torch.zeros(1_867_786))
    x.grad = torch.zeros_like(x)
    return EntropySGD([x], temperature=temperature, inner_steps=2 * LOOPS, seed=0).step


def noise() -> dict[str, float]:
    """Seconds that a micro-step needs with noise and without, and torch for as many normals."""
    tensor, other = torch.zeros(2, 1_867_786)
    rivals = {
        "with": micro_step(1e-8),
        "without": micro_step(0.0),
        "torch": lambda: tensor.add_(other.normal_(), alpha=1e-4),
    }
    return compare(rivals, repeats=LOOPS)


def main(threads: int) -> None:
    torch.set_num_threads(threads)
    print(f"overhead over SGD ({machine()}, torch {torch.__version__}, {threads} threads)")
    seconds = loops()
    for name, times in seconds.items():
        base = seconds["SGD, momentum" if "momentum" in name else "SGD"]
        ratio = statistics.median(own / other for own, other in zip(times, base, strict=True))
        each = statistics.median(times) / CALLS * 1e3
        print(f"  {name:26s} {each:6.2f} ms per back-propagation, ratio {ratio:.2f}")
    times = noise()
    own = times["with"] - times["without"]
    print(f"  noise: {own * 1e3:.2f} ms, torch {times['torch'] * 1e3:.2f} ms")


if __name__ == "__main__":
    for given in sys.argv[1:] or ("1", "2"):
        main(int(given))
