"""What is trained: runs with all their settings, and the log of their results."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from relaxlib import _checks
from relaxlib.deep.nets import NETWORKS
from relaxlib.deep.optim import HJ, EntropySGD, GatedEntropySGD, Heat

SETTINGS = {"sgd": {"lr": 0.1, "momentum": 0.9, "nesterov": True}}  # where torch's are not meant
OWN = EntropySGD, HJ, Heat, GatedEntropySGD
UNFIT = torch.optim.Optimizer, torch.optim.LBFGS, torch.optim.SparseAdam


def optimizers() -> dict[str, type[torch.optim.Optimizer]]:
    """The optimizers of torch and of relaxlib by name, in small letters.

    Returns
    -------
    dict
        All whose ``step()`` can do without a closure, and with dense gradients.

    Examples
    --------
    >>> "sgd" in optimizers(), "lbfgs" in optimizers()
    (True, False)
    """
    classes = [entry for entry in vars(torch.optim).values() if inspect.isclass(entry)]
    found = [entry for entry in classes if issubclass(entry, torch.optim.Optimizer)]
    return {entry.__name__.lower(): entry for entry in (*found, *OWN) if entry not in UNFIT}


@contextmanager
def mended(optimizer: str, settings: object, *errors: type[Exception]) -> Iterator[None]:
    """Reject settings that an optimizer refuses by one of these errors."""
    try:
        yield
    except errors as error:
        need = f"what {optimizer} takes ({error})"
        _checks.reject("settings", _checks.shown(settings), need, "mend them")


@dataclass(frozen=True)
class Run:
    """What determines the weights in the end, but for the device.

    Parameters
    ----------
    model : str
        A name in `NETWORKS`.
    optimizer : str
        One of relaxlib, such as "entropysgd", or of torch whose ``step()`` needs no closure;
        capitals and underscores do not matter.
    seed : int
        Of initial weights, dropout, noise and the order of the examples.
    epochs : int
        Effective epochs.
    batch_size : int
        Examples in a batch; the last batch of an epoch may be smaller.
    settings : dict
        Arguments of the optimizer that differ from its defaults.
    drop_every : int
        Effective epochs after which the learning rate is divided by `drop_factor`, again and
        again; 0 for never.
    drop_factor : float
        Positive.
    scoping : float
        Part in [0, 1) by which gamma of the optimizer, or variance, shrinks with every step of
        the weights, by `Scoping`.

    Raises
    ------
    ValueError
        If a name is unknown or a number out of range, or the optimizer has no such setting.
    """

    model: str
    optimizer: str
    seed: int = 0
    epochs: int = 1
    batch_size: int = 128
    settings: dict[str, Any] = field(default_factory=dict)
    drop_every: int = 0
    drop_factor: float = 5.0
    scoping: float = 0.0

    def __post_init__(self) -> None:
        _checks.choice("model", self.model, tuple(NETWORKS))
        _checks.kind("optimizer", self.optimizer, str)
        optimizer = self.optimizer.lower().replace("_", "")
        _checks.choice("optimizer", optimizer, tuple(optimizers()))
        _checks.kind("settings", self.settings, dict)
        vars(self).update(  # what was given, in its plain form
            optimizer=optimizer,
            seed=_checks.count("seed", self.seed, least=0),
            epochs=_checks.count("epochs", self.epochs),
            batch_size=_checks.count("batch_size", self.batch_size),
            settings=_complete(optimizer, self.settings),  # a row says what it was trained with
            drop_every=_checks.count("drop_every", self.drop_every, least=0),
            drop_factor=_checks.positive("drop_factor", self.drop_factor),
            scoping=_checks.fraction("scoping", self.scoping, "pass a small part"),
        )
        if self.scoping and self.scoped is None:
            _checks.reject("scoping", self.scoping, "an optimizer that smooths", "leave it out")

    @property
    def scoped(self) -> str | None:
        """The setting that scoping shrinks; None if the optimizer does not smooth."""
        return next((name for name in ("gamma", "variance") if name in self.settings), None)

    def name(self, device: str) -> str:
        """A name for files, another one for each run and device."""
        digest = hashlib.sha256(json.dumps([asdict(self), device]).encode()).hexdigest()
        return f"{self.model}-{self.optimizer}-{self.seed}-{digest[:10]}"

    def find(self, rows: Iterable[dict[str, Any]]) -> dict[str, Any] | None:
        """The row of this run among others; None if it is not there.

        A setting that the optimizer did not have when the row was written is its default there.
        """
        defaults, plain = _complete(self.optimizer, {}), asdict(self)
        del plain["settings"]
        same = (row for row in rows if plain.items() <= row.items())
        return next((row for row in same if defaults | row["settings"] == self.settings), None)


def _complete(optimizer: str, settings: dict[str, Any]) -> dict[str, Any]:
    """All settings of an optimizer, as JSON holds them."""
    call = inspect.signature(optimizers()[optimizer])
    try:
        bound = call.bind(None, **(SETTINGS.get(optimizer, {}) | settings))
        bound.apply_defaults()
        return json.loads(json.dumps(dict(list(bound.arguments.items())[1:])))
    except TypeError as error:
        options = f"among {tuple(call.parameters)[1:]}"
        _checks.reject("settings", f"{settings} ({error})", options, "mend them")


def rows(path: Path | str) -> list[dict[str, Any]]:
    """The rows of a log; a last line that a kill has cut is left out.

    Parameters
    ----------
    path : Path or str
        A file of JSON lines; it need not exist.

    Returns
    -------
    list of dict
        One row for each finished run.

    Raises
    ------
    ValueError
        If `path` is no name of a file, or a line is no JSON object.
    """
    _checks.kind("path", path, str, Path)
    if Path(path).is_dir():
        _checks.reject("path", path, "a file of JSON lines, not a folder", "name the file in it")
    content = Path(path).read_bytes() if Path(path).exists() else b""
    lines = content.rpartition(b"\n")[0].splitlines()
    return [_row(f"{path}, line {number}", line) for number, line in enumerate(lines, start=1)]


def _row(place: str, line: bytes) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except ValueError:
        row = None
    if not isinstance(row, dict):
        _checks.reject(place, _checks.shown(line), "a JSON object", "mend or remove the line")
    return row


def add_row(path: Path | str, row: dict[str, Any]) -> None:
    """Append a row to a log, in place of a last line that a kill has cut.

    Parameters
    ----------
    path : Path or str
        A file of JSON lines; it need not exist.
    row : dict
        What JSON can hold.
    """
    with open(path, "a+") as log:
        log.seek(0)
        log.truncate(log.read().rfind("\n") + 1)
        log.write(json.dumps(row, separators=(",", ":")) + "\n")
