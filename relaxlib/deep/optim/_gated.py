"""Entropy-SGD with a gate: a step of the weights only where the gradients promise a descent."""

from __future__ import annotations

import torch
from torch.optim.optimizer import ParamsT

from relaxlib.deep.optim._inner_loop import Group, Moving, arguments
from relaxlib.deep.optim._smoothed import EntropySGD, fresh_weight
from relaxlib.deep.optim._variables import Tensors


class GatedEntropySGD(EntropySGD):
    r"""Entropy-SGD that moves toward the averaged replica only when that should lower the loss.

    .. math::
       x \leftarrow x - u\,\frac{\mathrm{lr}}{\gamma}(x - \langle y\rangle), \quad
       u = 1 \text{ if } \Delta < 0 \text{ else } 0, \quad
       \Delta = s\,(\langle y\rangle - x)\cdot\Big(\big(1 - \tfrac s2\big) g + \tfrac s2\bar g\Big)

    Here :math:`s = \mathrm{lr}/\gamma`, g is the first gradient of the inner loop, the one at x,
    and :math:`\bar g` the mean of all L, each with the weight that the y behind it has in
    :math:`\langle y\rangle`. :math:`\Delta` predicts the change of f over the whole step; it is
    exact for a quadratic f, but for :math:`\bar g` being one inner step late. Each parameter group
    has a gate of its own. The group's entry "opened" counts the steps that were made.

    Parameters
    ----------
    params : iterable
        Parameters or groups of them.
    lr, gamma, temperature, inner_lr, inner_steps, averaging
        As in `EntropySGD`.
    inner_momentum, weight_decay, maximize, seed
        As in `EntropySGD`. There is no momentum of x, which would move through a closed gate.

    Raises
    ------
    ValueError
        As in `EntropySGD`.

    Notes
    -----
    The greedy form of an extended control: the learning rate u of x may depend on the fast
    variable (BK, Section 3). As y has followed the first batch, its own noise makes
    :math:`g\cdot(\langle y\rangle - x)` too low by about h times the variance of g, so that the
    gate opens too often. It costs two tensors for each parameter and no gradient.

    Examples
    --------
    >>> x = torch.nn.Parameter(torch.tensor([1.0]))
    >>> optimizer = GatedEntropySGD([x], temperature=0.0)
    >>> for _ in range(20):
    ...     optimizer.zero_grad()
    ...     (x**2 / 2).sum().backward()
    ...     optimizer.step()
    >>> f"{x.item():.3f}", optimizer.param_groups[0]["opened"]
    ('0.518', 1)
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1.0,
        *,
        gamma: float = 1.0,
        temperature: float = 1e-8,
        inner_lr: float = 0.1,
        inner_steps: int = 20,
        averaging: float | str = 0.75,
        inner_momentum: float = 0.0,
        weight_decay: float = 0.0,
        maximize: bool = False,
        seed: int | None = None,
    ) -> None:
        super().__init__(**arguments(locals()))

    def _join(self, group: Group) -> None:
        self.defaults["opened"] = group["opened"] = 0

    def _begin(self, group: Group) -> None:
        super()._begin(group)
        for name in ("first_gradient", "mean_gradient"):
            torch._foreach_zero_(self._buffers(group["params"], name))

    def _move(self, group: Group, moving: Moving, gradients: Tensors) -> None:
        parameters, first = list(moving.values()), group["inner_step"] == 0
        if first:
            self._copy(self._buffers(parameters, "first_gradient"), gradients)
        fresh = 1.0 if first else fresh_weight(group)
        torch._foreach_lerp_(self._buffers(parameters, "mean_gradient"), gradients, fresh)
        super()._move(group, moving, gradients)

    def _outer_step(self, group: Group, moved: Tensors) -> None:
        if self._change(group, moved) < 0.0:
            group["opened"] += 1
            super()._outer_step(group, moved)
        else:
            self._copy(self._inner(moved), self._buffers(moved, "anchor"))

    def _change(self, group: Group, moved: Tensors) -> float:
        """Delta, but for the positive factor s."""
        names = "anchor", "mean", "first_gradient", "mean_gradient"
        anchors, means, firsts, slopes = (self._buffers(moved, name) for name in names)
        steps = torch._foreach_sub(means, anchors)
        along = torch._foreach_lerp(firsts, slopes, group["lr"] / group["gamma"] / 2.0)
        return sum(float((step * slope).sum()) for step, slope in zip(steps, along, strict=True))
