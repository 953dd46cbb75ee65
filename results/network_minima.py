"""Which minima of the book's small network SGD ends in, and how loud the noise is there; stored.

usage: python results/network_minima.py    (adds the missing rows of its .json, ~15 minutes)

The loss is that of escape.py: 500 digits, decay/2 |x|^2, d = 1210 weights. From the same random
starts the gradient descends at once, or after a time of SGD with batches of one at a rate lr (time
is steps times lr). Stored are the losses of the minima where the descent ends and the traces of Q.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import torch
from escape import DECAY, centered_noise, network_losses, save
from torch.func import grad, vmap
from tqdm import trange

TARGET = Path(__file__).with_suffix(".json")
REPLICAS, TIME = 64, 600
RATES = (0.0, 0.05, 0.1, 0.2)  # of SGD before the descent; 0 for none
DESCENT, STEP, MOMENTUM = 4000, 0.15, 0.97


def starts(random: torch.Generator) -> torch.Tensor:
    """Gaussian weights of variance one over the number of inputs, no biases."""
    first, second = torch.randn(2, REPLICAS, 1024, generator=random, dtype=torch.float64)
    blank = torch.zeros(REPLICAS, 16, dtype=torch.float64)
    return torch.cat([first / 8, blank, second[:, :160] / 4, blank[:, :10]], dim=1)


def descend(x: torch.Tensor, slope: Callable) -> torch.Tensor:
    """The minima below, by gradient descent with momentum."""
    speed = torch.zeros_like(x)
    for _ in trange(DESCENT, desc="descent", disable=None):
        speed = MOMENTUM * speed - STEP * slope(x)
        x = x + speed
    return x


def main() -> None:
    of_one, of_all, size = network_losses()
    one_step, slope, height = vmap(grad(of_one)), vmap(grad(of_all)), vmap(of_all)
    per_example, every = vmap(grad(of_one), (None, 0)), torch.arange(size)
    stored = json.loads(TARGET.read_text()) if TARGET.exists() else {}
    if not stored:
        stored = {"command": f"python results/{Path(__file__).name}"}
        stored |= {"decay": DECAY, "time": TIME, "rows": []}
    begin = starts(torch.Generator().manual_seed(0))
    for lr in RATES[len(stored["rows"]) :]:
        random, x = torch.Generator().manual_seed(round(1000 * lr) + 1), begin
        for _ in trange(round(TIME / lr) if lr else 0, desc=f"SGD, lr = {lr}", disable=None):
            x = x - lr * one_step(x, torch.randint(size, (REPLICAS,), generator=random))
        x = descend(x, slope)
        noise = [float((centered_noise(lambda y: per_example(y, every), y) ** 2).sum()) for y in x]
        row = {"lr": lr, "largest gradient": float(f"{slope(x).norm(dim=1).max():.2g}")}
        row |= {"loss": [round(float(v), 6) for v in height(x)]}
        row |= {"trace of Q": [round(v, 4) for v in noise]}
        stored["rows"].append(row)
        save(TARGET, stored)


if __name__ == "__main__":
    main()
