"""The small real network of the book: digits of 8 x 8 pixels, 16 hidden units."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from relaxlib import _checks
from relaxlib.deep._weights import flat_weights
from relaxlib.deep.data import digits


class TrainedNetwork(NamedTuple):
    """A network and the examples that it was trained on."""

    model: nn.Module
    inputs: Tensor  # (N, 64) float64, pixels in [0, 1]
    targets: Tensor  # (N,) int64, the digits

    @property
    def weights(self) -> np.ndarray:
        """The parameters of the model in their own order (d,) float64."""
        return flat_weights(self.model)


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
        The model, its inputs and targets, and as `weights` its d = 1210 parameters in a row.

    Raises
    ------
    ValueError
        If `examples` is no positive integer, or `steps` no nonnegative one.

    Examples
    --------
    >>> small_network(examples=50, steps=1).weights.shape
    (1210,)
    """
    examples, steps = _checks.count("examples", examples), _checks.count("steps", steps, least=0)
    images, targets = (torch.cat(parts)[:examples] for parts in zip(*digits(), strict=True))
    inputs = images.flatten(1).double()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(64, 16), nn.Tanh(), nn.Linear(16, 10)).double()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(steps):
        optimizer.zero_grad()
        cross_entropy(model(inputs), targets).backward()
        optimizer.step()
    return TrainedNetwork(model, inputs, targets)
