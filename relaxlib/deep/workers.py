r"""Train a network by workers on springs, in processes that torchrun starts.

    torchrun --standalone --nproc-per-node 2 -m relaxlib.deep.workers \
        --model small_fc --steps 4000 --settings '{"gamma": 0.5}' --checkpoint runs/elastic.pt

The processes talk by gloo on the CPU and by nccl on GPUs, one for each. Each back-propagates
batches of its own, drawn with replacement and without end. In the end rank 0 prints losses and
errors in percent at x as one JSON object. Kill the job at any moment and repeat the command: it
goes on from the checkpoint, bit for bit on the same CPU. If a worker dies, torchrun names it and
ends the others at once; if one is silent, they end themselves after `PATIENCE`.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator, Sequence
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import distributed, nn
from torch.nn.functional import cross_entropy
from tqdm import tqdm

from relaxlib import _checks
from relaxlib.deep._processes import all_present, place
from relaxlib.deep._training import command
from relaxlib.deep._training.checkpoints import load, save
from relaxlib.deep._training.evaluation import at_weights, judged, reject_loss
from relaxlib.deep._training.runs import mended
from relaxlib.deep._training.trainer import initial
from relaxlib.deep.data import DATA, Examples
from relaxlib.deep.nets import NETWORKS
from relaxlib.deep.optim import ElasticSGD, worker_seed

__all__ = ["work"]

PATIENCE = timedelta(seconds=50)  # how long a worker waits for the others


def batches(
    examples: Examples, batch_size: int, *, seed: int, rank: int, start: int = 0
) -> Iterator[Examples]:
    """Batches without end for one worker, drawn with replacement.

    Parameters
    ----------
    examples : Examples
        What to draw from.
    batch_size : int
        Examples in a batch.
    seed : int
        The same for all workers.
    rank : int
        Of this worker; another one, other batches.
    start : int
        Number of batches to leave out; the others stay what they are.

    Returns
    -------
    iterator of Examples
        On the device of the examples.

    Examples
    --------
    >>> examples = Examples(torch.zeros(9, 1, 2, 2), torch.arange(9))
    >>> stream = batches(examples, 4, seed=0, rank=1)
    >>> later = batches(examples, 4, seed=0, rank=1, start=2)
    >>> [next(stream).targets.tolist() for _ in range(3)][2] == next(later).targets.tolist()
    True
    """
    for step in count(start):
        drawn = np.random.default_rng([seed, rank, step])
        share = torch.as_tensor(drawn.integers(len(examples.targets), size=batch_size))
        yield Examples(*(part[share.to(part.device)] for part in examples))


def back_propagate(model: nn.Module, batch: Examples, *key: int) -> torch.Tensor:
    """Let a model hold the gradients of the mean cross-entropy of a batch.

    Parameters
    ----------
    model : torch.nn.Module
        From images to logits.
    batch : Examples
        On the device of the model.
    *key : int
        What dropout depends on: seed, rank and number of the batch.

    Returns
    -------
    torch.Tensor
        The loss, a scalar.
    """
    torch.manual_seed(worker_seed(*key))
    model.zero_grad()
    loss = cross_entropy(model(batch.inputs), batch.targets)
    loss.backward()
    return loss.detach()


def work(
    model: str,
    *,
    steps: int,
    batch_size: int = 64,
    seed: int = 0,
    settings: dict[str, Any] | None = None,
    checkpoint: Path | str = "runs/elastic.pt",
    save_every: int = 50,
) -> dict[str, float] | None:
    """Do one worker's part of the job, in the default group of `torch.distributed`.

    Parameters
    ----------
    model : str
        A name in `NETWORKS`.
    steps : int
        Back-propagations of each worker, those before the checkpoint included.
    batch_size : int
        Examples in the batch of one worker.
    seed : int
        Of initial weights, batches, dropout and noise.
    settings : dict, optional
        Of `ElasticSGD`; those in a checkpoint prevail.
    checkpoint : Path or str
        A file that all processes can read. Rank 0 writes models and optimizers of all workers.
    save_every : int
        Meetings between checkpoints.

    Returns
    -------
    dict or None
        On rank 0 the losses and errors at x.

    Raises
    ------
    ValueError
        If an argument is out of range, there is no process group, or the checkpoint has another
        number of workers or more back-propagations.
    ArithmeticError
        If a loss is not finite; the checkpoint is older.
    ConnectionError
        If another process is lost.
    """
    _checks.choice("model", model, tuple(NETWORKS))
    steps = _checks.count("steps", steps)
    batch_size = _checks.count("batch_size", batch_size, least=2)
    seed = _checks.count("seed", seed, least=0)
    save_every = _checks.count("save_every", save_every)
    _checks.kind("settings", {} if settings is None else settings, dict)
    _checks.kind("checkpoint", checkpoint, str, Path)
    if not (distributed.is_available() and distributed.is_initialized()):
        need = "a process group, of one process at least"
        _checks.reject("torch.distributed", "uninitialized", need, "start it by torchrun")
    rank = distributed.get_rank()
    device = torch.device("cuda" if distributed.get_backend() == "nccl" else "cpu")
    network = initial(model, seed, device)
    with mended("ElasticSGD", settings, TypeError):
        optimizer = ElasticSGD(network.parameters(), seed=seed, **(settings or {}))
    _load(Path(checkpoint), network, optimizer)
    training, validation = (part.to(device) for part in DATA[NETWORKS[model].data]())
    if (done := optimizer.back_propagations) > steps:
        need = f"steps >= {done}, which {checkpoint} has made"
        _checks.reject("steps", steps, need, "ask for more, or name another file")
    stream = batches(training, batch_size, seed=seed, rank=rank, start=done)
    for step in tqdm(range(done + 1, steps + 1), desc=model, disable=True if rank else None):
        loss = back_propagate(network, next(stream), seed, rank, step)
        optimizer.step()
        meetings = optimizer.param_groups[0]["outer_step"]
        if step == steps or (optimizer.synchronized and meetings % save_every == 0):
            if not loss.isfinite():
                reject_loss(f"rank {rank}", step, steps, "inner_lr")
            _save(Path(checkpoint), network, optimizer)
    if rank:
        return None
    with at_weights(optimizer, network, training.inputs):
        return judged(network, training, validation)


def _load(checkpoint: Path, network: nn.Module, optimizer: ElasticSGD) -> None:
    """Go on from a checkpoint if there is one."""
    if saved := load(checkpoint):
        states, (rank, workers) = saved["workers"], place()
        if len(states) != workers:
            need = f"{len(states)} workers as in {checkpoint}"
            _checks.reject("workers", workers, need, "start as many, or name another file")
        network.load_state_dict(states[rank][0])
        optimizer.load_state_dict(states[rank][1])


def _save(checkpoint: Path, network: nn.Module, optimizer: ElasticSGD) -> None:
    """Let rank 0 write all workers and x."""
    own = io.BytesIO()
    torch.save([network.state_dict(), optimizer.state_dict()], own)
    rank, workers = place()
    found: list[Any] = [None] * workers
    with all_present():
        distributed.gather_object(own.getvalue(), None if rank else found)
    if rank == 0:
        states = [
            torch.load(io.BytesIO(other), map_location="cpu", weights_only=True) for other in found
        ]
        with optimizer.at_x():
            save(checkpoint, {"workers": states, "x": network.state_dict()})


def main(arguments: Sequence[str] | None = None) -> None:
    """Do the part of the process that torchrun has started; see ``--help``."""
    parser = command.parser("torchrun -m relaxlib.deep.workers", __doc__)
    add = parser.add_argument
    add("--steps", type=int, required=True, help="back-propagations of a worker")
    add("--batch-size", type=int, default=64)
    add("--seed", type=int, default=0)
    add("--settings", type=json.loads, default={}, help="of ElasticSGD, as JSON")
    add("--checkpoint", type=Path, default=Path("runs/elastic.pt"))
    add("--save-every", type=int, default=50, help="meetings")
    given = vars(parser.parse_args(arguments))
    if not distributed.is_available() or "RANK" not in os.environ:
        parser.error("start it by torchrun")
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    backend = "nccl" if torch.cuda.is_available() else "gloo"
    distributed.init_process_group(backend, timeout=PATIENCE)
    with command.in_words():
        row = work(**given)
    distributed.destroy_process_group()
    if row:
        print(json.dumps(row))


if __name__ == "__main__":
    main()
