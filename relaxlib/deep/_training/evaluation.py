"""What a trained network is judged by."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain

import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.optim.swa_utils import update_bn

from relaxlib import _checks
from relaxlib.deep.data import Examples

CHUNK = 320  # images at once where no gradient is needed


@torch.no_grad()
def evaluate(model: nn.Module, examples: Examples) -> tuple[float, float]:
    """Mean cross-entropy, and percentage of wrong answers, without dropout.

    Parameters
    ----------
    model : torch.nn.Module
        From images to logits; it is left in training mode.
    examples : Examples
        On the device of the model.

    Returns
    -------
    loss, error : float
        In nats, and in percent.
    """
    model.eval()
    loss = wrong = 0.0
    for inputs, targets in zip(*(part.split(CHUNK) for part in examples), strict=True):
        logits = model(inputs)
        loss += cross_entropy(logits.double(), targets, reduction="sum").item()
        wrong += (logits.argmax(dim=1) != targets).sum().item()
    model.train()
    return loss / len(examples.targets), 100.0 * wrong / len(examples.targets)


def refresh_batch_norm(model: nn.Module, batches: Iterable[torch.Tensor]) -> None:
    """Collect the statistics of batch normalization anew, without dropout.

    While an optimizer moves, they are those of the weights it came through, or of an inner
    variable; a network is judged by those of its own weights.

    Parameters
    ----------
    model : torch.nn.Module
        Changed in its running statistics only.
    batches : iterable of torch.Tensor
        Images, in batches of equal size; a mean over batches replaces the statistics.

    Raises
    ------
    ValueError
        If there is no batch.
    """
    stream = iter(batches)
    if (first := next(stream, None)) is None:
        _checks.reject("batches", "empty", "at least one batch", "pass some")
    kinds = nn.modules.dropout._DropoutNd  # also those that drop whole channels
    dropouts = [layer for layer in model.modules() if isinstance(layer, kinds)]
    chances = [layer.p for layer in dropouts]
    try:
        for layer in dropouts:
            layer.p = 0.0
        update_bn(chain([first], stream), model)
    finally:
        for layer, chance in zip(dropouts, chances, strict=True):
            layer.p = chance
