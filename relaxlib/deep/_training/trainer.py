"""Training between two back-propagations: batches, losses, and the state of a checkpoint."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any, NoReturn

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.optim.lr_scheduler import StepLR

from relaxlib import _checks
from relaxlib.deep._training.evaluation import at_weights, evaluate, judged, reject_loss
from relaxlib.deep._training.runs import Run, mended, optimizers
from relaxlib.deep._training.stack import Stack
from relaxlib.deep.data import DATA
from relaxlib.deep.nets import NETWORKS, parameter_counts
from relaxlib.deep.optim import Scoping

PLAIN = "losses", "step", "seconds", "curves"  # beside the parts, what a checkpoint holds
STREAMS = {"cpu": torch, "cuda": torch.cuda}  # who holds the state of a device's random numbers
INSPECT = 10  # back-propagations between two looks at the losses
REFRESH = 9600  # images for the statistics of batch normalization
MIXING = {"adafactor", "muon", "gatedentropysgd"}  # optimizers in which weights act on each other


def initial(model: str, seed: int, device: torch.device) -> nn.Module:
    """The network that training from a seed starts with."""
    torch.manual_seed(seed)
    return NETWORKS[model].build().to(device)


class Trainer:
    """A network and its optimizer, somewhere between the first and the last back-propagation.

    Several runs that differ in their seeds only are trained in one sweep, as a `stack.Stack`; each
    has the weights to start from and the batches that it would have alone, but dropout and noise
    that depend on its company.

    Parameters
    ----------
    runs : sequence of Run
        One, or several that differ in their seeds only.
    device : torch.device
        Where to train.

    Raises
    ------
    ValueError
        If the optimizer refuses its settings or cannot train several networks at once, data are
        missing, or a batch would hold one example.

    Notes
    -----
    The streams of torch are seeded: wrap the whole in ``torch.random.fork_rng``.
    """

    def __init__(self, runs: Sequence[Run], device: torch.device) -> None:
        run, self.runs, self.device = runs[0], tuple(runs), device
        if len(runs) > 1 and run.optimizer in MIXING:
            need = "an optimizer that moves each weight by itself"
            _checks.reject("optimizer", run.optimizer, need, "train one seed at a time")
        models = [initial(run.model, entry.seed, device) for entry in runs]
        self.model = Stack(models) if len(runs) > 1 else models[0]
        self.loss = torch.func.vmap(cross_entropy) if len(runs) > 1 else cross_entropy
        with mended(run.optimizer, run.settings, TypeError, ValueError):
            kind: Any = optimizers()[run.optimizer]
            self.optimizer = kind(self.model.parameters(), **run.settings)
        data = DATA[NETWORKS[run.model].data]()
        self.training, self.validation = (part.to(device) for part in data)
        self.images = self.training.inputs[:REFRESH]
        size = len(self.training.targets)
        if 1 in (run.batch_size, size % run.batch_size):
            need = f"no batch of one among {size} examples"
            _checks.reject("batch_size", run.batch_size, need, "one has no variance")
        every = run.drop_every or run.epochs + 1
        self.parts: dict[str, Any] = {"model": self.model, "optimizer": self.optimizer}
        self.parts["schedule"] = StepLR(self.optimizer, every, gamma=1.0 / run.drop_factor)
        if run.scoping and run.scoped:
            self.parts["scoping"] = Scoping(self.optimizer, run.scoped, 1.0 - run.scoping)
        self.per_epoch = -(-size // run.batch_size)
        self.total = run.epochs * self.per_epoch
        self.losses = torch.zeros(len(runs), self.per_epoch, device=device)  # of this epoch
        self.curves: list[list[dict[str, float]]] = [[] for _ in runs]
        self.step, self.seconds = 0, 0.0

    def state(self) -> dict[str, Any]:
        """All that a continuation needs."""
        parts = {name: part.state_dict() for name, part in self.parts.items()}
        plain = {name: getattr(self, name) for name in PLAIN}
        streams = {kind: STREAMS[kind].get_rng_state() for kind in {"cpu", self.device.type}}
        return parts | plain | {"streams": streams}

    def load(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        for name, part in self.parts.items():
            part.load_state_dict(state[name])
        vars(self).update({name: state[name] for name in PLAIN})
        self.losses = self.losses.to(self.device)
        for kind, stream in state["streams"].items():
            STREAMS[kind].set_rng_state(stream)

    def batches(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """The batches from this step on: a pure function of seed and step."""
        size, first = len(self.training.targets), self.runs[0]
        for epoch in range(self.step // self.per_epoch, first.epochs):
            streams = [np.random.default_rng([run.seed, epoch]) for run in self.runs]
            orders = np.stack([stream.permutation(size) for stream in streams])
            order = torch.as_tensor(orders, device=self.device).squeeze(0)  # of a single run
            for share in order.split(first.batch_size, dim=-1)[self.step % self.per_epoch :]:
                yield self.training.inputs[share], self.training.targets[share]

    def advance(self, inputs: torch.Tensor, targets: torch.Tensor) -> None:
        """One back-propagation; at the end of an epoch, one more point of each curve."""
        self.optimizer.zero_grad()
        losses = self.loss(self.model(inputs), targets)
        losses.sum().backward()
        self.optimizer.step()
        if "scoping" in self.parts:
            self.parts["scoping"].step()
        self.losses[:, self.step % self.per_epoch] = losses.detach()
        self.step += 1
        ends = self.step % self.per_epoch == 0
        if ends or self.step % INSPECT == 0:
            self.inspect()
        if ends:
            self.parts["schedule"].step()
            self._extend_curves()

    def inspect(self) -> None:
        """Fail at the first loss of this epoch that is not finite."""
        done = (self.step - 1) % self.per_epoch + 1
        bad = ~self.losses[:, :done].isfinite()
        if bad.any():
            index, number = bad.T.nonzero()[0].tolist()
            self._fail(self.step - done + 1 + index, self.runs[number])

    def _fail(self, step: int, run: Run) -> NoReturn:
        rates = ", ".join(f"{group['lr']:g}" for group in self.optimizer.param_groups)
        owner = f"{run.model} under {run.optimizer}, seed {run.seed},"
        reject_loss(owner, step, self.total, f"lr than {rates}")

    def _extend_curves(self) -> None:
        """Losses and errors where the optimizer stands, after one more epoch."""
        with at_weights(self.optimizer, self.model, self.images) as networks:
            found = [evaluate(network, self.validation) for network in networks]
        for k, (loss, error) in enumerate(found):
            if not math.isfinite(loss):
                self._fail(self.step, self.runs[k])
            point = {
                "effective epoch": self.step // self.per_epoch,
                "batch loss": self.losses[k].double().mean().item(),
                "validation loss": loss,
                "validation error": error,
            }
            self.curves[k].append(point)

    def results(self) -> list[dict[str, Any]]:
        """Row and weights of each run, after the last step."""
        with at_weights(self.optimizer, self.model, self.images) as networks:
            return [self._result(k, network) for k, network in enumerate(networks)]

    def _result(self, number: int, network: nn.Module) -> dict[str, Any]:
        weights = {name: entry.to("cpu", copy=True) for name, entry in network.state_dict().items()}
        content = b"".join(entry.numpy().tobytes() for entry in weights.values())
        row = asdict(self.runs[number])
        row["parameters"] = sum(parameter_counts(network))
        row["back-propagations"] = self.step
        row |= judged(network, self.training, self.validation)
        row |= {
            "weights": hashlib.sha256(content).hexdigest(),
            "curve": self.curves[number],
            "device": str(self.device),
            "threads": torch.get_num_threads(),
            "torch": str(torch.__version__),
            "seconds": round(self.seconds / len(self.runs), 1),
        }
        if len(self.runs) > 1:
            row["batched"] = [entry.seed for entry in self.runs]
        return {"row": row, "weights": weights}
