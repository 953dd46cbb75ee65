"""The small real network of the book: digits of 8 x 8 pixels, 16 hidden units."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from sklearn.datasets import load_digits

from relaxlib import _checks


class TrainedNetwork(NamedTuple):
    """A network and the examples that it was trained on."""

    model: torch.nn.Module
    inputs: torch.Tensor  # (N, 64) float64, pixels in [0, 1]
    targets: torch.Tensor  # (N,) int64, the digits


def small_network(*, examples: int = 500, steps: int = 200) -> TrainedNetwork:
    """Train 64 -> 16 -> 10 with tanh on scikit-learn's digits, full batch, double precision.

    Parameters
    ----------
    examples : int
        Number N of digits, the first of the data set.
    steps : int
        Steps of Adam with step 0.02 from seed 0.

    Returns
    -------
    TrainedNetwork
        With d = 1210 weights.

    Raises
    ------
    ValueError
        If `examples` is no positive integer, or `steps` no nonnegative one.

    Examples
    --------
    >>> network = small_network(examples=50, steps=1)
    >>> sum(entry.numel() for entry in network.model.parameters())
    1210
    """
    examples, steps = _checks.count("examples", examples), _checks.count("steps", steps, least=0)
    pixels, digits = load_digits(return_X_y=True)
    inputs = torch.as_tensor(pixels[:examples] / 16.0)
    targets = torch.as_tensor(np.asarray(digits[:examples], np.int64))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = torch.nn.Sequential(
            torch.nn.Linear(64, 16), torch.nn.Tanh(), torch.nn.Linear(16, 10)
        ).double()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(steps):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(inputs), targets).backward()
        optimizer.step()
    return TrainedNetwork(model, inputs, targets)
