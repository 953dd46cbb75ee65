"""What is trained: runs with all their settings, and the log of their results."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch

from relaxlib import _checks
from relaxlib.deep import optim
from relaxlib.deep.nets import NETWORKS
from relaxlib.deep.optim import _gated as gate

SETTINGS = {"sgd": {"lr": 0.1, "momentum": 0.9, "nesterov": True}}  # where torch's are not meant


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
    entries = [*vars(torch.optim).items(), *vars(optim).items(), *vars(gate).items()]
    classes = (entry for entry in entries if _is_class(*entry))
    return {name.lower(): entry for name, entry in classes if _steps_alone(entry)}


def _is_class(name: str, entry: object) -> bool:
    """Whether an entry of a module is an optimizer to be used here."""
    base = torch.optim.Optimizer
    public = not name.startswith("_") and entry not in (base, torch.optim.SparseAdam)
    return public and inspect.isclass(entry) and issubclass(entry, base)


def _steps_alone(optimizer: type[torch.optim.Optimizer]) -> bool:
    closure = inspect.signature(optimizer.step).parameters.get("closure")
    return closure is not None and closure.default is None


@dataclass(frozen=True)
class Run:
    """What determines the weights in the end, but for the device.

    Parameters
    ----------
    model : str
        A name in `nets.NETWORKS`.
    optimizer : str
        A name in `optimizers()`; capitals and underscores do not matter.
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
        the weights, by `schedules.Scoping`.

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
    settings: dict[str, object] = field(default_factory=dict)
    drop_every: int = 0
    drop_factor: float = 5.0
    scoping: float = 0.0

    def __post_init__(self) -> None:
        _checks.choice("model", self.model, tuple(NETWORKS))
        _checks.kind("optimizer", self.optimizer, str)
        self._set("optimizer", self.optimizer.lower().replace("_", ""))
        _checks.choice("optimizer", self.optimizer, tuple(optimizers()))
        self._set("seed", _checks.count("seed", self.seed, least=0))
        self._set("epochs", _checks.count("epochs", self.epochs))
        self._set("batch_size", _checks.count("batch_size", self.batch_size))
        _checks.kind("settings", self.settings, dict)
        self._set("drop_every", _checks.count("drop_every", self.drop_every, least=0))
        self._set("drop_factor", _checks.positive("drop_factor", self.drop_factor))
        self._set("scoping", _checks.nonnegative("scoping", self.scoping))
        if self.scoping >= 1.0:
            _checks.reject("scoping", self.scoping, "0 <= scoping < 1", "pass a small part")
        call = inspect.signature(optimizers()[self.optimizer])
        given = SETTINGS.get(self.optimizer, {}) | self.settings
        try:
            bound = call.bind(None, **given)
            bound.apply_defaults()
            complete = json.loads(json.dumps(dict(list(bound.arguments.items())[1:])))
        except TypeError as error:
            options = f"among {tuple(call.parameters)[1:]}"
            _checks.reject("settings", f"{self.settings} ({error})", options, "mend them")
        self._set("settings", complete)  # a row says what it was trained with
        if self.scoping and self.scoped is None:
            _checks.reject("scoping", self.scoping, "an optimizer that smooths", "leave it out")

    def _set(self, name: str, value: object) -> None:
        """Replace what was given by its plain form."""
        object.__setattr__(self, name, value)

    @property
    def scoped(self) -> str | None:
        """The setting that scoping shrinks; None if the optimizer does not smooth."""
        return next((name for name in ("gamma", "variance") if name in self.settings), None)

    def name(self, device: str) -> str:
        """A name for files, another one for each run and device."""
        digest = hashlib.sha256(json.dumps([asdict(self), device]).encode()).hexdigest()
        return f"{self.model}-{self.optimizer}-{self.seed}-{digest[:10]}"

    def find(self, rows: Iterable[dict[str, object]]) -> dict[str, object] | None:
        """The row of this run among others; None if it is not there.

        A setting that the optimizer did not have when the row was written is its default there.
        """
        defaults, plain = _defaults(self.optimizer), asdict(self)
        del plain["settings"]
        same = (row for row in rows if plain.items() <= row.items())
        return next((row for row in same if defaults | row["settings"] == self.settings), None)


def _defaults(optimizer: str) -> dict[str, object]:
    """The settings of an optimizer that need not be given, as JSON holds them."""
    entries = inspect.signature(optimizers()[optimizer]).parameters.items()
    found = {name: entry.default for name, entry in entries if entry.default is not entry.empty}
    return json.loads(json.dumps(found))


def rows(path: Path | str) -> list[dict[str, object]]:
    """The rows of a log; a last line that a kill has cut is left out.

    Parameters
    ----------
    path : Path or str
        A file of JSON lines; it need not exist.

    Returns
    -------
    list of dict
        One row for each finished run.
    """
    content = Path(path).read_text() if Path(path).exists() else ""
    return [json.loads(line) for line in content[: _complete(content)].splitlines()]


def add_row(path: Path | str, row: dict[str, object]) -> None:
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
        log.truncate(_complete(log.read()))
        log.write(json.dumps(row, separators=(",", ":")) + "\n")


def _complete(content: str) -> int:
    """Length of the complete lines."""
    return content.rfind("\n") + 1
