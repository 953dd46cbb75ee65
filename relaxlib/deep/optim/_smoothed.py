r"""Optimizers that descend a smoothed loss: EntropySGD, HJ and Heat.

============ ==================================================================================
`EntropySGD` local entropy, :math:`\nabla f_\gamma(x) = (x - \langle y\rangle)/\gamma`
`HJ`         its limit without noise, Hopf and Lax: :math:`(x - \mathrm{prox}_\gamma f(x))/\gamma`
`Heat`       the heat equation: :math:`\mathbf E\,\nabla f(x + \varepsilon)`
============ ==================================================================================
"""

from __future__ import annotations

import math

import torch
from torch.optim.optimizer import ParamsT

from relaxlib import _checks
from relaxlib.deep.optim._inner_loop import Group, InnerLoop, Moving, arguments
from relaxlib.deep.optim._variables import Tensors


class EntropySGD(InnerLoop):
    r"""Gradient descent on the local entropy, by an inner Langevin loop of L = `inner_steps` steps.

    .. math::
       y &\leftarrow y - h\Big(\nabla f_{\mathrm{mb}}(y) + \frac{y - x}{\gamma}\Big)
       + \sqrt{2 h T}\,\xi, \quad \xi \sim N(0, I) \\
       \langle y\rangle &\leftarrow \alpha\langle y\rangle + (1 - \alpha) y \\
       x &\leftarrow x - \frac{\mathrm{lr}}{\gamma}(x - \langle y\rangle)
       \quad\text{after L of these, from } y = \langle y\rangle = x

    `InnerLoop` explains ``step()`` and ``step(closure)``; `at_x()` shows the weights in the
    middle of a loop, and `relaxlib.deep.train.refresh_batch_norm` mends batch statistics there.

    Parameters
    ----------
    params : iterable
        Parameters or groups of them. Each group may have settings of its own but for
        `inner_steps` and `seed`.
    lr : float
        Learning rate of x. With lr = gamma the weights jump to :math:`\langle y\rangle`.
    gamma : float
        Smoothing time :math:`\gamma > h/2`; see `Scoping`.
    temperature : float
        T of the added noise. The noise of the batches comes on top: with variance
        :math:`\sigma^2` of a gradient, the temperature is :math:`T + h\sigma^2/2`.
    inner_lr : float
        Step h of the inner loop.
    inner_steps : int
        Number L of back-propagations for one step of x.
    averaging : float or "mean"
        Weight :math:`\alpha` of what was averaged before: 0 keeps the last y only. "mean" is
        the arithmetic mean of the L iterates.
    momentum : float
        Momentum of Nesterov in the steps of x.
    inner_momentum : float
        :math:`\mu` of Nesterov in the inner loop, zero at its start: with
        :math:`v \leftarrow \mu v + \nabla f_{\mathrm{mb}}(y)` the gradient becomes
        :math:`\nabla f_{\mathrm{mb}}(y) + \mu v`; the force :math:`(y - x)/\gamma` has none.
    weight_decay : float
        Multiple w of y that is added to the gradient: part of f, as :math:`w|y|^2/2`.
    maximize : bool
        Whether f is minus what is differentiated.
    seed : int, optional
        Seed of the noise; drawn from torch's generator if left out. The same on all processes
        that train one model.

    Raises
    ------
    ValueError
        If a setting is out of range, or inner_lr/gamma >= 2, where y runs away from x.

    Notes
    -----
    Is the noise :math:`\sqrt h` or :math:`\sqrt{h/2}`? Both: :math:`\sqrt{2hT}\,\xi` added to y
    is :math:`\sqrt T\,\xi/\sqrt{h/2}` added to the gradient, as in the reference code. Which way
    does :math:`\alpha` weigh? Toward the end of the loop, by
    :math:`\langle y\rangle = \alpha^L x + (1 - \alpha)\sum_{k=1}^L \alpha^{L-k} y_k`.

    DR, (31)-(33), where the noise is :math:`\sqrt{h/\beta}\,\xi`, so that
    :math:`T = 1/(2\beta)`. The printed :math:`\beta^{-1} = 10^8` is a misprint for
    :math:`10^{-8}`, and the printed range of :math:`\gamma` one of :math:`1/\gamma`.

    Examples
    --------
    On f = x^2/2 the gradient of the local entropy is x/(1 + gamma):

    >>> x = torch.nn.Parameter(torch.tensor([1.0]))
    >>> optimizer = EntropySGD([x], lr=1.0, gamma=1.0, temperature=0.0, averaging=0.0)
    >>> for _ in range(20):
    ...     optimizer.zero_grad()
    ...     (x**2 / 2).sum().backward()
    ...     optimizer.step()
    >>> f"{x.item():.3f}"
    '0.506'
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
        momentum: float = 0.0,
        inner_momentum: float = 0.0,
        weight_decay: float = 0.0,
        maximize: bool = False,
        seed: int | None = None,
    ) -> None:
        super().__init__(**arguments(locals()))

    def _check(self, group: Group) -> None:
        super()._check(group)
        gamma = _checks.positive("gamma", group["gamma"])
        inner_lr = _checks.positive("inner_lr", group["inner_lr"])
        _checks.nonnegative("temperature", group["temperature"])
        _checks.fraction("inner_momentum", group["inner_momentum"])
        if group["averaging"] != "mean":
            _checks.fraction("averaging", group["averaging"], 'pass a fraction or "mean"')
        if inner_lr >= 2.0 * gamma:
            need = "inner_lr/gamma < 2, else the inner variable runs away from x"
            fix = f"take gamma > {inner_lr / 2:g}"
            _checks.reject("inner_lr/gamma", f"{inner_lr / gamma:g}", need, fix)

    def _begin(self, group: Group) -> None:
        self._copy(self._buffers(group["params"], "mean"), self._inner(group["params"]))
        if group["inner_momentum"]:
            torch._foreach_zero_(self._buffers(group["params"], "inner_velocity"))

    def _move(self, group: Group, moving: Moving, gradients: Tensors) -> None:
        parameters, h = list(moving.values()), group["inner_lr"]
        inner = self._inner(parameters)
        torch._foreach_lerp_(inner, self._buffers(parameters, "anchor"), h / group["gamma"])
        if group["inner_momentum"]:
            velocities = self._buffers(parameters, "inner_velocity")
            torch._foreach_mul_(velocities, group["inner_momentum"])
            torch._foreach_add_(velocities, gradients)
            torch._foreach_add_(inner, velocities, alpha=-h * group["inner_momentum"])
        torch._foreach_add_(inner, gradients, alpha=-h)
        if group["temperature"]:
            self._perturb(group, moving, math.sqrt(2.0 * h * group["temperature"]))

    def _collect(self, group: Group, moved: Tensors) -> None:
        means = self._buffers(moved, "mean")
        torch._foreach_lerp_(means, self._inner(moved), fresh_weight(group))

    def _descent(self, group: Group, moved: Tensors) -> Tensors:
        anchors, means = (self._buffers(moved, name) for name in ("anchor", "mean"))
        return torch._foreach_div(torch._foreach_sub(anchors, means), group["gamma"])


def fresh_weight(group: Group) -> float:
    """Weight of the newest term in an average along the inner loop."""
    if group["averaging"] == "mean":
        return 1.0 / (group["inner_step"] + 1)
    return 1.0 - group["averaging"]


class HJ(EntropySGD):
    r"""Gradient descent on the inf-convolution of Hopf and Lax, by L = `inner_steps` inner steps.

    .. math::
       y &\leftarrow y - h\Big(\nabla f_{\mathrm{mb}}(y) + \frac{y - x}{\gamma}\Big) \\
       x &\leftarrow x - \frac{\mathrm{lr}}{\gamma}(x - y)
       \quad\text{after L of these, from } y = x

    It is `EntropySGD` without added noise and without averaging: y approaches the proximal point
    of x, and :math:`(x - y)/\gamma` the gradient of :math:`\min_y f(y) + |x - y|^2/(2\gamma)`.

    Parameters
    ----------
    params : iterable
        Parameters or groups of them.
    lr, gamma, inner_lr, inner_steps : float, float, float, int
        As in `EntropySGD`.
    momentum, inner_momentum, weight_decay, maximize : float, float, float, bool
        As in `EntropySGD`.

    Raises
    ------
    ValueError
        If a setting is out of range, or inner_lr/gamma >= 2.

    Notes
    -----
    DR, Section 7.2. With few inner steps the gradient is too short: on f = c x^2/2 by the
    factor :math:`1 - (1 - h(c + 1/\gamma))^L`.

    Examples
    --------
    >>> x = torch.nn.Parameter(torch.tensor([1.0]))
    >>> optimizer = HJ([x], inner_steps=50)
    >>> for _ in range(50):
    ...     optimizer.zero_grad()
    ...     (x**2 / 2).sum().backward()
    ...     optimizer.step()
    >>> f"{x.item():.3f}"
    '0.500'
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1.0,
        *,
        gamma: float = 1.0,
        inner_lr: float = 0.1,
        inner_steps: int = 5,
        momentum: float = 0.0,
        inner_momentum: float = 0.0,
        weight_decay: float = 0.0,
        maximize: bool = False,
    ) -> None:
        super().__init__(**arguments(locals()), temperature=0.0, averaging=0.0, seed=0)


class Heat(InnerLoop):
    r"""Gradient descent on the loss smoothed by the heat equation, by sampling.

    .. math:: x \leftarrow x - \frac{\mathrm{lr}}{L}
       \sum_{i=1}^L \nabla f_{\mathrm{mb}}(x + \varepsilon^i),
       \quad \varepsilon^1 = 0, \quad
       \varepsilon^i \sim N\Big(0, \tfrac{L}{L - 1}\,\mathrm{variance}\; I\Big)

    The first of L = `inner_steps` gradients is taken at x, where the weights are; the others are
    a little farther away, so that the L points have the covariance variance I about x. The heat
    kernel itself would have all of them at random: against it, on :math:`e^{ikx}` with
    :math:`s = \mathrm{variance}\,k^2`, the mean gradient is too long by the part
    :math:`s^2/(8(L - 1)) + O(s^3)`.

    Parameters
    ----------
    params : iterable
        Parameters or groups of them. Each group may have settings of its own but for
        `inner_steps` and `seed`.
    lr : float
        Learning rate of x.
    variance : float
        Of the Gaussian in each weight: twice the time of the heat equation
        :math:`u_t = \Delta u`, and :math:`\gamma T` beside a local entropy.
    inner_steps : int
        Number L of back-propagations for one step of x.
    momentum, weight_decay, maximize : float, float, bool
        As in `EntropySGD`.
    seed : int, optional
        As in `EntropySGD`.

    Raises
    ------
    ValueError
        If a setting is out of range.

    Notes
    -----
    DR, (23) and (35); there the variance is :math:`\gamma` in one place,
    :math:`\gamma/\beta` in the other.

    Examples
    --------
    The heat equation leaves the gradient of a quadratic as it is:

    >>> x = torch.nn.Parameter(torch.tensor([1.0]))
    >>> optimizer = Heat([x], lr=0.5, variance=1e-12)
    >>> for _ in range(20):
    ...     optimizer.zero_grad()
    ...     (x**2 / 2).sum().backward()
    ...     optimizer.step()
    >>> f"{x.item():.3f}"
    '0.500'
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float = 0.1,
        *,
        variance: float = 1e-4,
        inner_steps: int = 20,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        maximize: bool = False,
        seed: int | None = None,
    ) -> None:
        super().__init__(**arguments(locals()))

    def _check(self, group: Group) -> None:
        super()._check(group)
        _checks.nonnegative("variance", group["variance"])

    def _begin(self, group: Group) -> None:
        torch._foreach_zero_(self._buffers(group["params"], "mean_gradient"))

    def _move(self, group: Group, moving: Moving, gradients: Tensors) -> None:
        parameters, total = list(moving.values()), group["inner_steps"]
        means = self._buffers(parameters, "mean_gradient")
        torch._foreach_add_(means, gradients, alpha=1.0 / total)
        if group["variance"] and group["inner_step"] + 1 < total:
            self._copy(self._inner(parameters), self._buffers(parameters, "anchor"))
            self._perturb(group, moving, math.sqrt(group["variance"] * total / (total - 1)))

    def _descent(self, group: Group, moved: Tensors) -> Tensors:
        return self._buffers(moved, "mean_gradient")
