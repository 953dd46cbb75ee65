"""What optimizers with an inner loop share: two doors, counters, the step of the weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from itertools import count
from typing import Any, TypeVar, overload

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from relaxlib import _checks
from relaxlib.deep._processes import place
from relaxlib.deep.optim._noise import WORDS, add_normals_
from relaxlib.deep.optim._variables import Tensors, Variables

Group = dict[str, Any]
Loss = TypeVar("Loss")
Moving = dict[int, Tensor]  # the parameters that have a gradient, by their number among all
COUNTERS = "inner_step", "outer_step", "back_propagations"  # in each group, equal in all
COMMON = "inner_steps", "seed"  # settings that are equal in all groups


class InnerLoop(Variables):
    r"""Base of optimizers that make L = `inner_steps` back-propagations for a step of the weights.

    .. math:: b \leftarrow \delta b + d, \qquad x \leftarrow x - \mathrm{lr}\,(d + \delta b)

    Here d is what the inner loop has found, and :math:`\delta` the `momentum`, in the form of
    Nesterov that `torch.optim.SGD` uses. In the course of a loop the parameters hold an inner
    variable y, which starts at x. There are two doors:

    - ``step()`` is one micro-step with the gradients that the parameters hold, as for other
      optimizers; every L-th call ends in a step of x. Clip the gradients, accumulate, unscale or
      average them as usual. It is the door for trainers, and for `torch.amp.GradScaler`.
    - ``step(closure)`` is a whole loop. It calls the closure L times, and each call zeroes the
      gradients, draws a new batch, back-propagates its loss and returns it.

    A parameter rests at a micro-step in which it has no gradient, and at x if it had none in the
    whole loop, momentum or not. Settings live in the parameter groups, all else in the state of
    each parameter: a state_dict taken anywhere, also in the middle of a loop, resumes bit for
    bit. Settings may change between two loops, lr at any time. No step can be differentiated.

    In half precision, float16 or bfloat16, steps and noise would be rounded away. There the state
    holds x, y and all that is collected in single precision, and a parameter is y, rounded: it
    moves as one in single precision does under the same gradients. Where a parameter is changed
    from outside, y is what it was changed to.
    """

    def __init__(self, params: ParamsT, **settings: Any) -> None:
        if settings["seed"] is None:
            settings["seed"] = _drawn_seed()
        super().__init__(params, settings | dict.fromkeys(COUNTERS, 0))

    @property
    def synchronized(self) -> bool:
        """Whether the parameters hold x, not the inner variable."""
        return self.param_groups[0]["inner_step"] == 0

    @property
    def back_propagations(self) -> int:
        """Number of micro-steps so far."""
        return self.param_groups[0]["back_propagations"]

    @torch.no_grad()
    def add_param_group(self, param_group: Group) -> None:
        """Add parameters with settings of their own, between two inner loops.

        Raises
        ------
        ValueError
            If a setting is unknown, out of range or differs where groups must agree, a parameter
            is not real, no leaf or there twice, or an inner loop has begun.
        """
        if self.param_groups:
            self._check_synchronized()
        super().add_param_group(param_group)
        first, group = self.param_groups[0], self.param_groups[-1]
        group |= {name: first[name] for name in COUNTERS}
        try:
            for entry in group["params"]:
                if not entry.is_floating_point():
                    fix = "pass real parameters"
                    _checks.reject("dtype", entry.dtype, "a real floating type", fix)
            self._check(group)
            self._join(group)
        except ValueError:
            self.param_groups.pop()
            raise

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a state, which stays as it is.

        Raises
        ------
        ValueError
            If it is the state of an optimizer with other settings, groups or shapes.
        """
        self._check_state(state_dict)
        super().load_state_dict(deepcopy(state_dict))
        self._load_unrounded(state_dict)

    @overload
    def step(self, closure: None = None) -> None: ...

    @overload
    def step(self, closure: Callable[[], Loss]) -> Loss: ...

    @torch.no_grad()
    def step(self, closure: Callable[[], Loss] | None = None) -> Loss | None:
        """Make one micro-step, or a whole inner loop if there is a closure.

        Parameters
        ----------
        closure : function, optional
            Zeroes the gradients, draws a new batch, back-propagates its loss and returns it.

        Returns
        -------
        loss
            What the closure has returned first, the loss at x; None without a closure.

        Raises
        ------
        ValueError
            If a gradient is sparse, a setting has left its range or differs where groups must
            agree, or there is a closure in the middle of a loop that ``step()`` has begun. Only
            lr is looked at within a loop, at its end.

        Notes
        -----
        If the closure fails or is interrupted, the parameters hold x again.
        """
        if closure is None:
            self._micro_step()
            return None
        _checks.function("closure", closure, "no arguments")
        self._check_synchronized()
        closure = torch.enable_grad()(closure)
        self._follow()
        self._start()
        try:
            loss = closure()
            self._micro_step()
            for _ in range(1, self.param_groups[0]["inner_steps"]):
                closure()
                self._micro_step()
        except BaseException:
            self._restore()
            raise
        return loss

    @contextmanager
    def at_x(self) -> Iterator[None]:
        """Let the parameters hold x, to evaluate or to save, and then the inner variable again.

        Make steps, and checkpoints to go on from, outside: there the inner variable is needed.
        """
        self._follow()
        away = self._away()
        inner = [entry.detach().clone() for entry in self._inner(away)]
        self._set(away, self._buffers(away, "anchor"))
        try:
            yield
        finally:
            self._set(away, inner)

    def _check(self, group: Group) -> None:
        """Reject settings out of range; called before each inner loop."""
        _checks.nonnegative("lr", group["lr"])
        _checks.nonnegative("weight_decay", group["weight_decay"])
        _checks.flag("maximize", group["maximize"])
        _checks.fraction("momentum", group["momentum"])
        group["inner_steps"] = _checks.count("inner_steps", group["inner_steps"])
        if _checks.count("seed", group["seed"], least=0) >= WORDS:
            _checks.reject("seed", group["seed"], "seed < 2**32", "pass a smaller one")
        for name in self._common():
            if group[name] != (first := self.param_groups[0][name]):
                need = f"{first} as in the first group"
                _checks.reject(name, group[name], need, "groups move together")

    def _settings(self) -> list[str]:
        """What every group holds; torch knows defaults that none has."""
        return [name for name in self.defaults if name in self.param_groups[0]]

    def _common(self) -> Sequence[str]:
        """Settings in which groups must agree."""
        return COMMON

    def _check_state(self, state_dict: dict[str, Any]) -> None:
        """Reject the state of another optimizer, or of parameters of other shapes."""
        saved, fix = state_dict["param_groups"], "load it where it comes from"
        for group, other in zip(self.param_groups, saved, strict=False):  # torch counts them
            if missing := ", ".join(name for name in self._settings() if name not in other):
                need = f"the settings of {type(self).__name__}"
                _checks.reject("state_dict", f"without {missing}", need, fix)
            for parameter, number in zip(group["params"], other["params"], strict=False):
                for name, entry in state_dict["state"].get(number, {}).items():
                    if isinstance(entry, Tensor) and entry.shape != parameter.shape:
                        need = f"{tuple(parameter.shape)} as parameter {number}"
                        _checks.reject(f"{name}.shape", tuple(entry.shape), need, fix)

    def _join(self, group: Group) -> None:
        """Take note of a new group."""

    def _begin(self, group: Group) -> None:
        """Set what the inner loop collects to its start."""

    def _move(self, group: Group, moving: Moving, gradients: Tensors) -> None:
        """Advance the inner variable of the parameters that have a gradient."""

    def _collect(self, group: Group, moved: Tensors) -> None:
        """Take note of the inner variable of those that had a gradient in this loop."""

    def _descent(self, group: Group, moved: Tensors) -> Tensors:
        """What the inner loop has found: d for each of them, in tensors that may be changed."""
        raise NotImplementedError

    def _away(self) -> list[Tensor]:
        """Parameters that do not hold x."""
        return [] if self.synchronized else self._all()

    def _check_synchronized(self) -> None:
        if not self.synchronized:
            done = self.param_groups[0]["inner_step"]
            fix = "finish the inner loop with step()"
            _checks.reject("inner_step", done, "parameters at x, inner_step = 0", fix)

    def _start(self) -> None:
        """Remember x."""
        for group in self.param_groups:
            self._check(group)
        for group in self.param_groups:
            self._remember(group["params"])
            for parameter in group["params"]:
                self.state[parameter]["moved"] = False
            if group["params"]:
                self._begin(group)

    def _remember(self, parameters: list[Tensor]) -> None:
        self._copy(self._buffers(parameters, "anchor"), self._inner(parameters))

    def _restore(self) -> None:
        """Return to x as if the loop had not begun."""
        for group in self.param_groups:
            self._set(group["params"], self._buffers(group["params"], "anchor"))
            group["back_propagations"] -= group["inner_step"]
            group["inner_step"] = 0

    def _micro_step(self) -> None:
        moving = self._moving()
        self._follow()
        if self.synchronized:
            self._start()
        ends = self.param_groups[0]["inner_step"] + 1 >= self.param_groups[0]["inner_steps"]
        for group in self.param_groups if ends else ():
            _checks.nonnegative("lr", group["lr"])
        for group, parameters in zip(self.param_groups, moving, strict=True):
            if parameters:
                self._move(group, parameters, self._gradients(group, parameters))
            for parameter in parameters.values():
                self.state[parameter]["moved"] = True
            moved = [entry for entry in group["params"] if self.state[entry]["moved"]]
            if moved:
                self._collect(group, moved)
            if moved and ends:
                self._outer_step(group, moved)
            self._round(moved)
        for group in self.param_groups:
            group["inner_step"] = 0 if ends else group["inner_step"] + 1
            group["outer_step"] += int(ends)
            group["back_propagations"] += 1

    def _moving(self) -> list[Moving]:
        """For each group its parameters that have a gradient."""
        gradients = [entry.grad for entry in self._all() if entry.grad is not None]
        if any(gradient.layout is not torch.strided for gradient in gradients):
            _checks.reject("grad", "sparse", "dense gradients", "pass sparse=False")
        numbers = count()
        numbered = (zip(group["params"], numbers, strict=False) for group in self.param_groups)
        return [{k: entry for entry, k in each if entry.grad is not None} for each in numbered]

    def _outer_step(self, group: Group, moved: Tensors) -> None:
        descent = self._descent(group, moved)
        if group["momentum"]:
            buffers = self._buffers(moved, "momentum_buffer")
            torch._foreach_mul_(buffers, group["momentum"])
            torch._foreach_add_(buffers, descent)
            torch._foreach_add_(descent, buffers, alpha=group["momentum"])
        inner = self._inner(moved)
        self._copy(inner, self._buffers(moved, "anchor"))
        torch._foreach_add_(inner, descent, alpha=-group["lr"])

    def _perturb(self, group: Group, moving: Moving, deviation: float) -> None:
        """Add white noise, another one at each back-propagation."""
        seed, first = self._noise(group)
        for number, inner in zip(moving, self._inner(list(moving.values())), strict=True):
            key = seed, number - first
            add_normals_(inner, deviation, key=key, count=self.back_propagations)

    def _noise(self, group: Group) -> tuple[int, int]:
        """The seed of a group's noise, and the number of the parameter where it begins."""
        return group["seed"], 0

    def _gradients(self, group: Group, moving: Moving) -> Tensors:
        """Gradients of the loss that is minimized, weight decay included."""
        inner = self._inner(list(moving.values()))
        found = [entry.grad for entry in moving.values() if entry.grad is not None]
        pairs = zip(found, inner, strict=True)
        gradients: Tensors = [gradient.to(entry.dtype) for gradient, entry in pairs]
        if group["maximize"]:
            gradients = torch._foreach_neg(gradients)
        if group["weight_decay"]:
            gradients = torch._foreach_add(gradients, inner, alpha=group["weight_decay"])
        return gradients


def _drawn_seed() -> int:
    """A seed of the noise from torch's global generator."""
    if (ranks := place()[1]) > 1:
        need = f"one seed on all {ranks} ranks"
        _checks.reject("seed", None, need, "pass one seed to all")
    return int(torch.randint(WORDS, ()))


def arguments(names: dict[str, Any]) -> dict[str, Any]:
    """Those among the local names of a constructor that it was called with."""
    return {name: entry for name, entry in names.items() if name not in ("self", "__class__")}
