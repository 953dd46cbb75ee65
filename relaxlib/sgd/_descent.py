"""One step of stochastic gradient descent, in numbers."""

from __future__ import annotations

from typing import NamedTuple

from relaxlib import _checks


class Descent(NamedTuple):
    """What a step of SGD does with the gradients of the examples."""

    lr: float
    batch_size: int
    noise_variance: float
    replacement: bool


def descent(
    size: int, lr: float, batch_size: int, noise_variance: float, replacement: bool = True
) -> Descent:
    """The checked arguments; without replacement a batch is at most all ``size`` examples."""
    step, batch = _checks.positive("lr", lr), _checks.count("batch_size", batch_size)
    variance = _checks.nonnegative("noise_variance", noise_variance)
    replacement = _checks.flag("replacement", replacement)
    if not replacement and batch > size:
        need = f"batch_size <= {size} examples without replacement"
        _checks.reject("batch_size", batch, need, "draw with replacement")
    return Descent(step, batch, variance, replacement)
