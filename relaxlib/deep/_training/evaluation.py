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
from torch.nn.modules.batchnorm import _BatchNorm
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
        From images to logits; it is left in the mode that it was in.
    examples : Examples
        One or more, on the device of the model.

    Returns
    -------
    loss, error : float
        In nats, and in percent. Logits that are not all finite are a wrong answer.

    Raises
    ------
    ValueError
        If an argument is of another kind, there is no example, inputs and targets differ in number
        or device, a target is no class of the model, or the model gives no row of logits for each
        image.
    """
    _checks.kind("model", model, nn.Module)
    check_examples(examples)
    loss = wrong = 0.0
    with _in_mode_of_before(model):
        model.eval()
        for inputs, targets in zip(*(part.split(CHUNK) for part in examples), strict=True):
            logits = model(inputs)
            _check_logits(logits, targets)
            loss += cross_entropy(logits.double(), targets, reduction="sum").item()
            answered = logits.isfinite().all(dim=1)
            wrong += ((logits.argmax(dim=1) != targets) | ~answered).sum().item()
    return loss / len(examples.targets), 100.0 * wrong / len(examples.targets)


def check_examples(examples: Examples) -> None:
    """Reject what is no images with a label for each."""
    _checks.kind("examples", examples, Examples)
    for name, part in zip(Examples._fields, examples, strict=True):
        _checks.kind(f"examples.{name}", part, torch.Tensor)
    inputs, targets = examples
    _checks.count("number of examples", len(inputs) if inputs.ndim else 0)
    if targets.shape != (len(inputs),):
        need = f"({len(inputs)},), one label for each input"
        _checks.reject("targets.shape", tuple(targets.shape), need, "match inputs and targets")
    if targets.dtype != torch.int64:
        _checks.reject("targets", targets.dtype, "torch.int64 labels", "pass targets.long()")
    if targets.device != inputs.device:
        need = f"{inputs.device} as of inputs"
        _checks.reject("targets.device", targets.device, need, "call examples.to(device)")


def _check_logits(logits: torch.Tensor, targets: torch.Tensor) -> None:
    _checks.kind("logits", logits, torch.Tensor)
    if logits.ndim != 2 or len(logits) != len(targets):
        need = f"({len(targets)}, classes)"
        _checks.reject("logits.shape", tuple(logits.shape), need, "pass a model that classifies")
    least, most, classes = targets.min().item(), targets.max().item(), logits.shape[1]
    if least < 0 or most >= classes:
        found = least if least < 0 else most
        _checks.reject("target", found, f"0 <= target < {classes} logits", "match data and model")


@contextmanager
def _in_mode_of_before(model: nn.Module) -> Iterator[None]:
    """Leave each layer training or not as it was."""
    modes = [(layer, layer.training) for layer in model.modules()]
    try:
        yield
    finally:
        for layer, mode in modes:
            layer.training = mode


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
        Changed in its running statistics only; in nothing where a batch fails.
    batches : iterable of torch.Tensor
        Images, in batches of equal size; a mean over batches replaces the statistics.

    Raises
    ------
    ValueError
        If an argument is of another kind or there is no batch.
    """
    _checks.kind("model", model, nn.Module)
    _checks.kind("batches", batches, torch.Tensor, Iterable)
    stream = iter(batches)
    if (first := next(stream, None)) is None:
        _checks.reject("batches", "empty", "at least one batch", "pass some")
    chances = {layer: layer.p for layer in model.modules() if isinstance(layer, dropout._DropoutNd)}
    momenta = {layer: layer.momentum for layer in model.modules() if isinstance(layer, _BatchNorm)}
    buffers = [(entry, entry.clone()) for layer in momenta for entry in layer.buffers()]
    try:
        for layer in chances:
            layer.p = 0.0
        with _in_mode_of_before(model):
            update_bn(chain([first], stream), model)
    except BaseException:
        for entry, before in buffers:
            entry.copy_(before)
        raise
    finally:
        for layer, chance in chances.items():
            layer.p = chance
        for norm, momentum in momenta.items():
            norm.momentum = momentum


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
