"""What an optimizer moves and collects, in single precision or better."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from relaxlib import _checks

Tensors = list[Tensor] | tuple[Tensor, ...]  # what torch moves at once
LABELS = "params", "param_names", "name", "initial_lr"  # in a group, beside its settings


class Variables(torch.optim.Optimizer):
    """Base of optimizers whose parameters may be in half precision.

    In half precision small steps and noise are rounded away. Therefore what moves is then kept in
    single precision in the state, under the name "unrounded", and the parameter follows it.
    """

    def __init__(self, params: ParamsT, defaults: dict[str, Any]) -> None:
        super().__init__(_entries(params), defaults)

    @torch.no_grad()
    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters with settings of their own.

        Raises
        ------
        ValueError
            If a setting is unknown, or a parameter is no leaf or there twice.
        """
        self._check_names(param_group)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # of a parameter that is there twice
                super().add_param_group(dict(param_group))  # torch fills in what is given
        except (TypeError, ValueError, UserWarning) as error:
            reason = _checks.shown(str(error))
            need = "real leaf tensors, each of them once"
            _checks.reject("params", reason, need, "pass model.parameters()")

    def _check_names(self, param_group: dict[str, Any]) -> None:
        """Reject a group without parameters, and a setting that nobody would read."""
        _checks.kind("param_group", param_group, dict)
        if "params" not in param_group:
            found = _checks.shown(list(param_group))
            _checks.reject("param_group", found, 'an entry "params"', "add it")
        for name in param_group:
            _checks.choice("setting", name, (*self.defaults, *LABELS))

    def _all(self) -> list[Tensor]:
        return [parameter for group in self.param_groups for parameter in group["params"]]

    def _buffers(self, parameters: Tensors, name: str) -> list[Tensor]:
        """The tensors of this name in the state of these parameters, at first zero."""
        for parameter in parameters:
            if name not in self.state[parameter]:
                dtype = torch.float32 if _is_half(parameter) else parameter.dtype
                self.state[parameter][name] = torch.zeros_like(parameter, dtype=dtype)
        return [self.state[parameter][name] for parameter in parameters]

    def _inner(self, parameters: Tensors) -> list[Tensor]:
        """What moves: the parameters, or in single precision what they are rounded from."""
        for parameter in parameters:
            if _is_half(parameter) and "unrounded" not in self.state[parameter]:
                self.state[parameter]["unrounded"] = parameter.detach().float()
        return [
            self.state[entry]["unrounded"] if _is_half(entry) else entry for entry in parameters
        ]

    def _set(self, parameters: Tensors, values: Tensors) -> None:
        """Let the inner variable have these values."""
        self._copy(self._inner(parameters), values)
        self._round(parameters)

    def _round(self, parameters: Tensors) -> None:
        """Let parameters in half precision hold the inner variable."""
        half = [entry for entry in parameters if _is_half(entry)]
        self._copy(half, self._inner(half))

    @torch.no_grad()
    def _follow(self) -> None:
        """Let the inner variable be the parameter where it was changed from outside."""
        half = [entry for entry in self._all() if _is_half(entry)]
        for parameter, inner in zip(half, self._inner(half), strict=True):
            changed = parameter.float() != inner.to(parameter.dtype).float()
            inner.copy_(torch.where(changed, parameter.float(), inner))

    def _load_unrounded(self, state_dict: dict[str, Any]) -> None:
        """Go on from the single precision of a state, where torch has rounded it."""
        for group, other in zip(self.param_groups, state_dict["param_groups"], strict=True):
            for parameter, number in zip(group["params"], other["params"], strict=True):
                if not _is_half(parameter):
                    self.state.get(parameter, {}).pop("unrounded", None)
                    continue
                for name, entry in state_dict["state"].get(number, {}).items():
                    if isinstance(entry, Tensor):
                        single = entry.detach().to(parameter.device, torch.float32, copy=True)
                        self.state[parameter][name] = single

    @staticmethod
    @torch.no_grad()
    def _copy(targets: Tensors, sources: Tensors) -> None:
        if targets:
            torch._foreach_copy_(targets, sources)


def _is_half(parameter: Tensor) -> bool:
    return parameter.dtype.itemsize < torch.float32.itemsize


def _entries(params: ParamsT) -> list[Any]:
    """Parameters or groups of them, in a list that is not empty."""
    fix = "pass model.parameters()"
    if isinstance(params, Tensor | str | dict) or not isinstance(params, Iterable):
        need = "an iterable of parameters or of groups"
        _checks.reject("params", _checks.shown(params), need, fix)
    entries = list(params)
    if not entries:
        _checks.reject("params", "empty", "at least one parameter", f"{fix}, not yet read")
    return entries
