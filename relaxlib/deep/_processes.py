"""The processes that torchrun has started: who is where, and what they do together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, distributed

from relaxlib import _checks


def place() -> tuple[int, int]:
    """Rank of this process, and number of all of them."""
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1


@contextmanager
def all_present() -> Iterator[None]:
    """Say what has happened if a collective operation fails."""
    try:
        yield
    except RuntimeError as error:
        rank, workers = place()
        reason = str(error).split("] ", 1)[-1].partition(". ")[0]  # gloo begins with a line of code
        raise ConnectionError(
            f"rank {rank} has lost others of {workers} workers: need all of them in each meeting; "
            f"start all again from the last checkpoint ({reason})"
        ) from error


def agree(facts: dict[str, object]) -> None:
    """Reject, in all processes, what differs from rank 0."""
    found = [facts] * place()[1]
    with all_present():
        distributed.all_gather_object(found, facts)
    for rank, others in enumerate(found):
        for name in found[0] | others:
            fact, other = found[0].get(name), others.get(name)
            if other != fact:
                need = f"{_checks.shown(fact)} as on rank 0"
                _checks.reject(f"{name} on rank {rank}", _checks.shown(other), need, "match them")


def in_one_vector(entries: list[Tensor], collective: Callable[[Tensor], object]) -> None:
    """Apply a collective operation to all entries of these tensors at once."""
    if not entries:
        return
    vector = torch.cat([entry.detach().flatten() for entry in entries])
    with all_present():
        collective(vector)
    for entry, part in zip(entries, vector.split([e.numel() for e in entries]), strict=True):
        entry.copy_(part.view_as(entry))
