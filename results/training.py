"""Train the networks of the book under every optimizer; store one row for each finished run.

usage: python results/training.py    (adds the missing rows of results/training.jsonl)

The protocol, fixed before the runs, follows DR, Sections 7 and 8.1.3. On one network all optimizers
make the same number of back-propagations, counted in effective epochs, and have their learning
rate divided by 5 at fixed effective epochs. Inner loops have step 0.1, length 20 (EntropySGD, Heat)
or 5 (HJ), averaging 0.75 and temperature 1e-8 (EntropySGD); gamma, or the variance of Heat, shrinks
by 1e-3 with every step of the weights. Six seeds; batches of 128 for MNIST, of 32 for the digits.

On the digits the learning rate is 0.1 and the momentum 0.9 in the steps of the weights, and where
gamma starts is tuned, for each network, by the mean validation error in the end (then the loss) of
two other seeds. The gate knows no momentum of the weights; it and its rival, EntropySGD without a
gate, have it in the inner loop, and lr = gamma; the rival also runs with the gate's gamma. On MNIST
a rehearsal of 12 effective epochs chooses among the candidates below, and the winners run for 40, a
third of what DR reports.

Digits need nothing, `small_fc` takes seconds a run; MNIST is read from the folder RELAXLIB_DATA,
and skipped where there is none. Kill the script at any moment and start it again. A row says
whether it is of the "tuning" or of the "comparison"; in the latter the curve has one entry
[effective epoch, batch loss, validation loss, validation error] an epoch, or 100 of them.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator
from dataclasses import asdict
from datetime import date
from math import inf
from pathlib import Path
from statistics import mean
from typing import NamedTuple

import torch
from tqdm import tqdm

from relaxlib.deep.nets import NETWORKS
from relaxlib.deep.train import Run, rows, train

TARGET = Path(__file__).with_suffix(".jsonl")
RUNS = Path(__file__).parents[1] / "runs"  # checkpoints, weights in the end
POINTS = 100  # of a stored curve, at most


class Method(NamedTuple):
    """An optimizer, and the settings of it to choose from."""

    optimizer: str
    candidates: tuple[dict[str, object], ...]
    scoping: float = 0.0


class Course(NamedTuple):
    """How long and how often."""

    epochs: int
    drop_every: int
    seeds: tuple[int, ...]


class Plan(NamedTuple):
    """What is compared on one network."""

    model: str
    batch_size: int
    rehearsal: Course
    comparison: Course
    methods: tuple[Method, ...]

    def run(self, purpose: str, method: Method, settings: dict[str, object], seed: int) -> Run:
        """One run of it."""
        course = self.rehearsal if purpose == "tuning" else self.comparison
        return Run(
            self.model,
            method.optimizer,
            seed=seed,
            epochs=course.epochs,
            batch_size=self.batch_size,
            settings=settings,
            drop_every=course.drop_every,
            scoping=method.scoping,
        )


PAPER = {"lr": 0.1, "momentum": 0.9}
SGD = Method("sgd", (PAPER | {"nesterov": True},))
GAMMAS = tuple(PAPER | {"gamma": gamma} for gamma in (0.1, 0.3, 1.0, 3.0, 10.0))
VARIANCES = tuple(PAPER | {"variance": variance} for variance in (1e-6, 1e-5, 1e-4, 1e-3, 1e-2))
INNER = tuple({"lr": g, "gamma": g, "inner_momentum": 0.9} for g in (0.1, 0.3, 1.0, 3.0, 10.0))
DIGITS_METHODS = (
    SGD,
    Method("entropysgd", GAMMAS, scoping=1e-3),
    Method("hj", GAMMAS, scoping=1e-3),
    Method("heat", VARIANCES, scoping=1e-3),
    Method("entropysgd", INNER, scoping=1e-3),
    Method("gatedentropysgd", INNER, scoping=1e-3),
)
JUMP = {"lr": 1.0, "gamma": 1.0, "inner_momentum": 0.9}
SLOW = {"lr": 0.2, "gamma": 1.0, "momentum": 0.9}
FC_METHODS = (
    SGD,
    Method(
        "entropysgd",
        (JUMP, JUMP | {"momentum": 0.5}, JUMP | {"lr": 10.0, "gamma": 10.0}, SLOW),
        scoping=1e-3,
    ),
    Method("hj", (JUMP, JUMP | {"momentum": 0.5}, SLOW), scoping=1e-3),
    Method(
        "heat",
        (
            PAPER | {"variance": 1e-5},
            PAPER | {"lr": 0.5, "variance": 1e-5},
            PAPER | {"lr": 0.5, "variance": 1e-4},
        ),
        scoping=1e-3,
    ),
)
LENET_METHODS = tuple(method._replace(candidates=method.candidates[:1]) for method in FC_METHODS)
SIX = (1, 2, 3, 4, 5, 6)
PLANS = tuple(
    Plan(
        model,
        32,
        Course(100, 40, (100, 101)),
        Course(100, 40, tuple(range(6))),
        (*DIGITS_METHODS, Method("entropysgd", (INNER[gate],), scoping=1e-3)),
    )
    for model, gate in (("small_fc", 2), ("small_lenet", 1))  # as the gate is tuned
) + tuple(
    Plan(model, 128, Course(12, 4, (0,)), Course(40, 10, SIX), methods)
    for model, methods in (("mnist_fc", FC_METHODS), ("lenet", LENET_METHODS))
)


def wanted() -> Iterator[Plan]:
    """The plans whose data are at hand."""
    for plan in PLANS:
        data = NETWORKS[plan.model].data
        if data == "digits" or os.environ.get("RELAXLIB_DATA"):
            yield plan
        else:
            tqdm.write(f"{plan.model}: skipped, RELAXLIB_DATA names no folder with {data}")


def row_of(run: Run, purpose: str) -> dict[str, object]:
    """The row of a run, stored before or now."""
    known = run.find(row for row in rows(TARGET) if row["purpose"] == purpose)
    if known is None:
        try:
            (row,) = train([run], folder=RUNS)
        except ArithmeticError as error:
            if purpose != "tuning":
                raise
            row = asdict(run) | {"failed": str(error), "curve": []}
        curve = row.pop("curve")
        known = {"purpose": purpose} | row
        if purpose == "comparison":
            known["curve"] = compact(curve)
        known |= {"machine": platform.machine(), "date": date.today().isoformat()}
        store([*rows(TARGET), known])
    return known


def store(found: list[dict[str, object]]) -> None:
    """Replace the file of rows; a kill leaves the old one or the new one."""
    fresh = TARGET.with_suffix(".new")
    fresh.write_text("".join(json.dumps(row, separators=(",", ":")) + "\n" for row in found))
    fresh.replace(TARGET)


def compact(curve: list[dict[str, float]]) -> list[list[float]]:
    """At most 100 points, equally far apart, of four digits; the last one is kept."""
    stride = -(-len(curve) // POINTS)
    points = [list(point.values()) for point in curve[::-stride][::-1]]
    return [[epoch, *(float(f"{v:.4g}") for v in values)] for epoch, *values in points]


def score(found: list[dict[str, object]]) -> tuple[float, float]:
    """Mean validation error and loss; infinite if a run has failed."""
    if any("failed" in row for row in found):
        return inf, inf
    error, loss = (mean(row[f"validation {name}"] for row in found) for name in ("error", "loss"))
    return error, loss


def best(plan: Plan, method: Method) -> dict[str, object]:
    """The candidate with the best score in the rehearsal, if there are several."""
    if len(method.candidates) == 1:
        return method.candidates[0]
    scores = []
    for settings in method.candidates:
        runs = (plan.run("tuning", method, settings, seed) for seed in plan.rehearsal.seeds)
        scores.append(score([row_of(run, "tuning") for run in runs]))
        error, loss = scores[-1]
        tqdm.write(f"{plan.model} {method.optimizer} {settings}: {error:.2f} %, {loss:.4f}")
    return method.candidates[scores.index(min(scores))]


def main() -> None:
    torch.set_num_threads(1)  # the bits of a result depend on it
    for plan in wanted():
        chosen = [(method, best(plan, method)) for method in plan.methods]
        for seed in tqdm(plan.comparison.seeds, desc=plan.model, disable=None):
            for method, settings in chosen:
                row = row_of(plan.run("comparison", method, settings, seed), "comparison")
                error = f"{row['validation error']:.2f} %"
                tqdm.write(f"{plan.model} {method.optimizer} {settings} seed {seed}: {error}")


if __name__ == "__main__":
    main()
