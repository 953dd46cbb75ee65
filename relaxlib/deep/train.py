r"""Train a network on labeled images and keep one row of results for each finished run.

    python -m relaxlib.deep.train --model small_fc --optimizer entropy_sgd --seeds 6 --epochs 10

adds six rows to ``runs/training.jsonl``, one JSON object in each line. A run is model, optimizer,
seed and everything else in `Run`; one that has its row already is not repeated. Kill the
command at any moment and repeat it: it goes on from the last checkpoint, and on the same CPU with
the same number of threads it ends at the same weights, bit for bit.

Optimizers are compared by effective epochs: the number of back-propagations, divided by the
number of batches in one pass over the data. One back-propagation is one call of ``step()``; for
an optimizer with an inner loop most of these calls move the inner variable only. Runs of equal
seed start from the same weights and see the same batches in the same order.

With ``--batched`` all seeds are trained in one sweep, which fills a GPU. A row then depends on
the seeds it was trained with, through dropout and noise, and names them.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import compress
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from relaxlib import _checks
from relaxlib.deep._training import command
from relaxlib.deep._training.checkpoints import load, save
from relaxlib.deep._training.evaluation import evaluate, refresh_batch_norm
from relaxlib.deep._training.runs import Run, add_row, optimizers, rows
from relaxlib.deep._training.trainer import Trainer

__all__ = ["Run", "evaluate", "refresh_batch_norm", "rows", "train"]


def train(
    runs: Sequence[Run], *, device: str = "cpu", folder: Path | str = "runs", save_every: float = 30
) -> list[dict[str, Any]]:
    """Train, from the last checkpoint on if there is one.

    Parameters
    ----------
    runs : sequence of Run
        What is to be trained: one run, or several in one sweep that differ in their seeds only.
    device : str
        "cpu" or "cuda".
    folder : Path or str
        Where checkpoints are kept. In the end the file of each run, `run.name(device)` with
        suffix .pt, holds its row and its weights.
    save_every : float
        Seconds between checkpoints.

    Returns
    -------
    list of dict
        A row for each run: its fields; losses, errors in percent and their curve; the SHA-256 of
        the weights; the number of parameters and back-propagations; where and how long it ran.
        Of several runs in one sweep each has its share of the time, and the seeds of all under
        the name "batched". Batch losses are those that were differentiated, with dropout; all
        others without.

    Raises
    ------
    ValueError
        If torch has no such device, the data are missing, a batch would hold one example, or
        several runs do not go together.
    ArithmeticError
        If a loss is not finite; the message names the seed and the back-propagation.
    """
    _check_together(runs)
    _checks.kind("folder", folder, str, Path)
    _checks.choice("device", device, ("cpu", "cuda")[: 1 + torch.cuda.is_available()])
    save_every = _checks.nonnegative("save_every", save_every)
    ends = [Path(folder, f"{run.name(device)}.pt") for run in runs]
    if any("row" not in load(path) for path in ends):
        checkpoint = _checkpoint(runs, ends)
        with torch.random.fork_rng(devices=["cuda"] if device == "cuda" else []):
            trainer = Trainer(runs, torch.device(device))
            if saved := load(checkpoint):
                trainer.load(saved)
            _finish(trainer, checkpoint, save_every)
            results = trainer.results()
        for path, result in zip(ends, results, strict=True):
            if "row" not in load(path):
                save(path, result)
        if checkpoint not in ends:
            checkpoint.unlink(missing_ok=True)
    return [load(path)["row"] for path in ends]


def _check_together(runs: Sequence[Run]) -> None:
    """Reject runs that differ in more than their seeds."""
    _checks.kind("runs", runs, Sequence)
    for run in runs:
        _checks.kind("run", run, Run)
    seeds = [run.seed for run in runs]
    if not runs or len(set(seeds)) < len(seeds):
        _checks.reject("seeds", seeds, "one or more, all different", "drop repetitions")
    if any(replace(run, seed=runs[0].seed) != runs[0] for run in runs):
        need = "runs that differ in their seeds only"
        _checks.reject("runs", "mixed", need, "train the others by themselves")


def _checkpoint(runs: Sequence[Run], ends: list[Path]) -> Path:
    """Where the state is kept: of one run in its own file, of several in another."""
    if len(runs) == 1:
        return ends[0]
    digest = hashlib.sha256(" ".join(path.stem for path in ends).encode()).hexdigest()[:10]
    name = f"{runs[0].model}-{runs[0].optimizer}-{runs[0].seed}to{runs[-1].seed}-{digest}.pt"
    return ends[0].with_name(name)


def _finish(trainer: Trainer, checkpoint: Path, save_every: float) -> None:
    """All steps that are left, with a bar and checkpoints."""
    name = checkpoint.stem.rpartition("-")[0]
    bar = tqdm(trainer.batches(), name, trainer.total, initial=trainer.step, disable=None)
    clock = time.monotonic()
    for batch in bar:
        trainer.advance(*batch)
        if trainer.step % trainer.per_epoch == 0:
            errors = [curve[-1]["validation error"] for curve in trainer.curves]
            bar.set_postfix_str("error " + ", ".join(f"{error:.2f} %" for error in errors))
        if time.monotonic() - clock >= save_every:
            trainer.inspect()
            trainer.seconds += time.monotonic() - clock
            clock = time.monotonic()
            save(checkpoint, trainer.state())
    trainer.seconds += time.monotonic() - clock


def _setting(text: str) -> tuple[str, Any]:
    """Read ``name=value``; a value that is not JSON is a word."""
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form NAME=VALUE")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value


def main(arguments: Sequence[str] | None = None) -> None:
    """Train as the command line says; see ``--help``."""
    parser = command.parser("python -m relaxlib.deep.train", __doc__)
    add = parser.add_argument
    add("--optimizer", required=True, help=", ".join(optimizers()))
    add("--seeds", type=int, default=1, help="train with seeds 0, 1, ...")
    add("--epochs", type=int, default=1, help="effective epochs")
    add("--batch-size", type=int, default=128)
    add("--drop-every", type=int, default=0, help="epochs between drops of lr")
    add("--drop-factor", type=float, default=5.0, help="what lr is divided by")
    add("--scoping", type=float, default=0.0, help="part by which gamma shrinks")
    of_the_optimizer: dict[str, Any] = {"nargs": "*", "action": "extend", "type": _setting}
    add("--set", **of_the_optimizer, default=[], metavar="NAME=VALUE", help="of the optimizer")
    add("--batched", action="store_true", help="train all seeds in one sweep")
    add("--device", default="cpu", help="cpu or cuda")
    add("--threads", type=int, help="of torch on the CPU")
    add("--folder", type=Path, default=Path("runs"))
    add("--save-every", type=float, default=30.0, help="seconds")
    given = vars(parser.parse_args(arguments))
    seeds, batched, threads = (given.pop(name) for name in ("seeds", "batched", "threads"))
    options = {name: given.pop(name) for name in ("device", "folder", "save_every")}
    settings = dict(given.pop("set"))
    log = options["folder"] / "training.jsonl"
    with command.in_words():
        if threads is not None:
            torch.set_num_threads(_checks.count("threads", threads))
        seeds = range(_checks.count("seeds", seeds))
        runs = [Run(seed=seed, settings=settings, **given) for seed in seeds]
        for group in [runs] if batched else [[run] for run in runs]:
            known = rows(log)
            new = [run.find(known) is None for run in group]
            for row in compress(train(group, **options) if any(new) else [], new):
                add_row(log, row)


if __name__ == "__main__":
    main()
