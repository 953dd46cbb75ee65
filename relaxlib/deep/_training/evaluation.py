"""What a network is judged by, in the course of its training and behind it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from itertools import chain
from typing import NoReturn

import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.nn.modules import dropout
from torch.optim.swa_utils import update_bn

from relaxlib import _checks
from relaxlib.deep._training.stack import Stack
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


def judged(model: nn.Module, training: Examples, validation: Examples) -> dict[str, float]:
    """Losses, and errors in percent, as a row holds them."""
    names = "training loss", "training error", "validation loss", "validation error"
    return dict(zip(names, evaluate(model, training) + evaluate(model, validation), strict=True))


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
    chances = {layer: layer.p for layer in model.modules() if isinstance(layer, dropout._DropoutNd)}
    try:
        for layer in chances:
            layer.p = 0.0
        update_bn(chain([first], stream), model)
    finally:
        for layer, chance in chances.items():
            layer.p = chance


@contextmanager
def at_weights(
    optimizer: torch.optim.Optimizer, model: nn.Module | Stack, images: torch.Tensor
) -> Iterator[list[nn.Module]]:
    """The networks that an optimizer answers for, with batch statistics of these images."""
    with getattr(optimizer, "at_x", nullcontext)():
        networks = model.networks() if isinstance(model, Stack) else [model]
        for network in networks:
            refresh_batch_norm(network, images.split(CHUNK))
        yield networks


def reject_loss(owner: str, step: int, total: int, fix: str) -> NoReturn:
    """Say whose loss is not finite, and at which of all back-propagations."""
    raise ArithmeticError(
        f"the loss of {owner} is not finite at back-propagation {step} of {total}: "
        f"need a stable method; try a smaller {fix}"
    )
