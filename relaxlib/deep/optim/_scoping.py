"""Settings of an optimizer that change while it runs."""

from __future__ import annotations

from relaxlib import _checks
from relaxlib.deep.optim._inner_loop import COMMON, COUNTERS, InnerLoop


class Scoping:
    r"""Let gamma, or another setting, shrink by a factor with every step of the weights.

    .. math:: \gamma_k = \max(\gamma_0\,\varrho^k,\ \gamma_{\min})

    Here k counts the steps of x, that is, the inner loops that have ended since this object was
    made.

    Parameters
    ----------
    optimizer : InnerLoop
        Whose groups have the setting, each with a start :math:`\gamma_0` of its own.
    key : str
        Name of the setting, such as "gamma", or "variance" of `Heat`.
    factor : float
        :math:`\varrho` in (0, 1].
    minimum : float, optional
        :math:`\gamma_{\min}`. By default `inner_lr` for gamma (or gamma itself, where it is
        smaller), since below inner_lr the inner loop overshoots x, and below half of it it
        diverges; zero for other settings.

    Raises
    ------
    ValueError
        If the groups have no such setting, or a number is out of range.

    Notes
    -----
    DR, Section 7.5, with factor 1 - 1e-3.

    Examples
    --------
    >>> import torch
    >>> from relaxlib.deep.optim import HJ
    >>> x = torch.nn.Parameter(torch.ones(1))
    >>> optimizer = HJ([x], gamma=1.0, inner_steps=1)
    >>> scoping = Scoping(optimizer, factor=0.5)
    >>> for _ in range(3):
    ...     optimizer.step()
    ...     scoping.step()
    >>> scoping.get_last_value()
    [0.125]
    """

    def __init__(
        self,
        optimizer: InnerLoop,
        key: str = "gamma",
        factor: float = 1.0 - 1e-3,
        minimum: float | None = None,
    ) -> None:
        _checks.kind("optimizer", optimizer, InnerLoop)
        groups = optimizer.param_groups
        fixed = {"params", *COMMON, *COUNTERS}
        _checks.choice("key", key, tuple(name for name in groups[0] if name not in fixed))
        self.initial = [_checks.positive(key, group[key]) for group in groups]
        if not 0.0 < _checks.number("factor", factor) <= 1.0:
            _checks.reject("factor", factor, "0 < factor <= 1", "pass a number below 1")
        if minimum is None:
            lowest = [group["inner_lr"] if key == "gamma" else 0.0 for group in groups]
            floors = list(map(min, self.initial, lowest))
        else:
            floors = [_checks.nonnegative("minimum", minimum)] * len(groups)
            if floors[0] > (least := min(self.initial)):
                _checks.reject("minimum", floors[0], f"minimum <= {key} = {least:g}", "lower it")
        self.optimizer, self.key, self.factor, self.floors = optimizer, key, factor, floors
        self.first = groups[0]["outer_step"]

    def step(self) -> None:
        """Set the values that belong to the optimizer's count.

        Call it after each call of the optimizer, or at least after each step of x. In the middle
        of an inner loop it changes nothing.
        """
        groups = self.optimizer.param_groups
        if self.optimizer.synchronized:
            shrunk = self.factor ** (groups[0]["outer_step"] - self.first)
            for group, start, floor in zip(groups, self.initial, self.floors, strict=False):
                group[self.key] = max(start * shrunk, floor)  # later groups keep theirs

    def get_last_value(self) -> list[float]:
        """The value in each group."""
        return [group[self.key] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, object]:
        """All that a continuation needs, without the optimizer."""
        return {name: entry for name, entry in vars(self).items() if name != "optimizer"}

    def load_state_dict(self, state: dict[str, object]) -> None:
        """Go on from a state.

        Raises
        ------
        ValueError
            If it is the state of something else, or of another setting.
        """
        _checks.kind("state", state, dict)
        own, fix = self.state_dict(), "load it where it comes from"
        if state.keys() != own.keys():
            _checks.reject("state", sorted(state), f"the entries {sorted(own)}", fix)
        if state["key"] != self.key:
            _checks.reject("key", state["key"], f"{self.key} as here", fix)
        vars(self).update(state)
