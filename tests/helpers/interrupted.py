"""Runs that are interrupted in place of a step of their optimizer."""

from itertools import count

import torch

from relaxlib.deep.optim import HJ, EntropySGD, Heat

KINDS = {
    "sgd": torch.optim.SGD, "adam": torch.optim.Adam, "entropysgd": EntropySGD, "hj": HJ,
    "heat": Heat,
}  # fmt: skip


def interrupt(monkeypatch, optimizer, number):
    """Let the step of this number, from now on, be an interruption."""
    step, numbers = KINDS[optimizer].step, count(1)

    def interrupted(self, closure=None):
        if next(numbers) == number:
            raise KeyboardInterrupt
        return step(self, closure)

    monkeypatch.setattr(KINDS[optimizer], "step", interrupted)
