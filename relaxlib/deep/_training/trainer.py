"""Training between two back-propagations: batches, losses, and the state of a checkpoint."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from typing import NoReturn

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.optim.lr_scheduler import StepLR

from relaxlib import _checks
from relaxlib.deep._training.evaluation import CHUNK, evaluate, refresh_batch_norm
from relaxlib.deep._training.runs import Run, optimizers
from relaxlib.deep._training.stack import Stack
from relaxlib.deep.data import DATA
from relaxlib.deep.nets import NETWORKS, parameter_counts
from relaxlib.deep.optim import Scoping

INSPECT = 10  # back-propagations between two looks at the losses
REFRESH = 9600  # images for the statistics of batch normalization
MIXING = {"adafactor", "muon", "gatedentropysgd"}  # optimizers in which weights act on each other


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

    PLAIN = "losses", "step", "seconds", "curves"  # beside the parts, what a checkpoint holds

    def __init__(self, runs: Sequence[Run], device: torch.device) -> None:
        run, self.runs, self.device = runs[0], tuple(runs), device
        if len(runs) > 1 and run.optimizer in MIXING:
            need = "an optimizer that moves each weight by itself"
            _checks.reject("optimizer", run.optimizer, need, "train one seed at a time")
        models = [self._initial(entry) for entry in runs]
        self.model = Stack(models) if len(runs) > 1 else models[0]
        self.loss = torch.func.vmap(cross_entropy) if len(runs) > 1 else cross_entropy
        try:
            self.optimizer = optimizers()[run.optimizer](self.model.parameters(), **run.settings)
        except (TypeError, ValueError) as error:  # whatever the optimizer thinks of them
            need = f"what {run.optimizer} takes ({error})"
            _checks.reject("settings", _checks.shown(run.settings), need, "mend them")
        data = DATA[NETWORKS[run.model].data]()
        self.training, self.validation = (part.to(device) for part in data)
        size = len(self.training.targets)
        if 1 in (run.batch_size, size % run.batch_size):
            need = f"no batch of one among {size} examples"
            _checks.reject("batch_size", run.batch_size, need, "one has no variance")
        every = run.drop_every or run.epochs + 1
        self.parts = {
            "model": self.model,
            "optimizer": self.optimizer,
            "schedule": StepLR(self.optimizer, every, gamma=1.0 / run.drop_factor),
        }
        if run.scoping:
            scoping = Scoping(self.optimizer, key=run.scoped, factor=1.0 - run.scoping)
            self.parts["scoping"] = scoping
        self.per_epoch = -(-size // run.batch_size)
        self.total = run.epochs * self.per_epoch
        self.losses = torch.zeros(len(runs), self.per_epoch, device=device)  # of this epoch
        self.step, self.seconds, self.curves = 0, 0.0, [[] for _ in runs]

    def _initial(self, run: Run) -> nn.Module:
        """The network that a run starts from."""
        torch.manual_seed(run.seed)
        return NETWORKS[run.model].build().to(self.device)

    def state(self) -> dict[str, object]:
        """All that a continuation needs."""
        parts = {name: part.state_dict() for name, part in self.parts.items()}
        plain = {name: getattr(self, name) for name in self.PLAIN}
        streams = {"cpu": torch.get_rng_state()}
        if self.device.type == "cuda":
            streams["cuda"] = torch.cuda.get_rng_state(self.device)
        return parts | plain | {"streams": streams}

    def load(self, state: dict[str, object]) -> None:
        """Go on from a state."""
        for name, part in self.parts.items():
            part.load_state_dict(state[name])
        for name in self.PLAIN:
            setattr(self, name, state[name])
        self.losses = self.losses.to(self.device)
        torch.set_rng_state(state["streams"]["cpu"])
        if self.device.type == "cuda":
            torch.cuda.set_rng_state(state["streams"]["cuda"], self.device)

    def batches(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """The batches from this step on: a pure function of seed and step."""
        size, first = len(self.training.targets), self.runs[0]
        for epoch in range(self.step // self.per_epoch, first.epochs):
            streams = [np.random.default_rng([run.seed, epoch]) for run in self.runs]
            orders = np.stack([stream.permutation(size) for stream in streams])
            if len(self.runs) == 1:
                orders = orders[0]
            shares = torch.as_tensor(orders, device=self.device).split(first.batch_size, dim=-1)
            for share in shares[self.step % self.per_epoch :]:
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
        raise ArithmeticError(
            f"the loss of {run.model} under {run.optimizer}, seed {run.seed}, is not finite at "
            f"back-propagation {step} of {self.total}: need a stable method; "
            f"try a smaller lr than {rates}"
        )

    def _extend_curves(self) -> None:
        """Losses and errors where the optimizer stands, after one more epoch."""
        with self.networks() as networks:
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

    @contextmanager
    def networks(self) -> Iterator[list[nn.Module]]:
        """The networks that the optimizer answers for, with batch statistics of their own."""
        with getattr(self.optimizer, "at_x", nullcontext)():
            found = self.model.networks() if len(self.runs) > 1 else [self.model]
            for network in found:
                refresh_batch_norm(network, self.training.inputs[:REFRESH].split(CHUNK))
            yield found

    def results(self) -> list[dict[str, object]]:
        """Row and weights of each run, after the last step."""
        with self.networks() as networks:
            return [
                self._result(*entry) for entry in zip(self.runs, self.curves, networks, strict=True)
            ]

    def _result(
        self, run: Run, curve: list[dict[str, float]], network: nn.Module
    ) -> dict[str, object]:
        loss, error = evaluate(network, self.training)
        state = network.state_dict()
        weights = {name: entry.to("cpu", copy=True) for name, entry in state.items()}
        content = b"".join(entry.numpy().tobytes() for entry in weights.values())
        row = asdict(run) | {
            "parameters": sum(parameter_counts(network)),
            "back-propagations": self.step,
            "training loss": loss,
            "training error": error,
            "validation loss": curve[-1]["validation loss"],
            "validation error": curve[-1]["validation error"],
            "weights": hashlib.sha256(content).hexdigest(),
            "curve": curve,
            "device": str(self.device),
            "threads": torch.get_num_threads(),
            "torch": str(torch.__version__),
            "seconds": round(self.seconds / len(self.runs), 1),
        }
        if len(self.runs) > 1:
            row["batched"] = [entry.seed for entry in self.runs]
        return {"row": row, "weights": weights}
