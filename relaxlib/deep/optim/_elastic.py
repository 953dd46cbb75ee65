r"""Elastic-SGD: workers on springs that meet from time to time.

============ ==================================================================================
`ElasticSGD` one worker in each process that torchrun has started; alone, one worker
`Replicas`   all workers in this process, each with a model of its own
============ ==================================================================================

`relaxlib.deep.workers` trains a network with the first.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, distributed, nn

from relaxlib import _checks
from relaxlib.deep._processes import agree, in_one_vector, place
from relaxlib.deep.optim._inner_loop import Group
from relaxlib.deep.optim._smoothed import EntropySGD
from relaxlib.deep.optim._variables import Tensors


def elastic_update(worker: Tensor, center: Tensor, *, lr: float, coupling: float) -> Tensor:
    r"""Make one step of a spring, :math:`y - \mathrm{lr}\,k\,(y - x)`.

    Parameters
    ----------
    worker : torch.Tensor
        What is pulled, y, of any shape.
    center : torch.Tensor
        What it is pulled to, x, of the same shape.
    lr : float
        The step.
    coupling : float
        The stiffness k, such as :math:`1/\gamma`.

    Returns
    -------
    torch.Tensor
        A new one.

    Raises
    ------
    ValueError
        If the tensors differ in shape, precision or device, or are in half precision, where a
        small step is rounded away; if `lr` or `coupling` is not a nonnegative number.

    Examples
    --------
    >>> elastic_update(torch.tensor([2.0]), torch.tensor([1.0]), lr=0.5, coupling=0.5)
    tensor([1.7500])
    """
    for name, tensor in (("worker", worker), ("center", center)):
        _checks.kind(name, tensor, Tensor)
    if worker.dtype not in (torch.float32, torch.float64):
        need = "torch.float32 or torch.float64, where small steps are not rounded away"
        _checks.reject("worker.dtype", worker.dtype, need, "pass worker.float(), center.float()")
    for name in ("shape", "dtype", "device"):
        found, wanted = (_plain(getattr(entry, name)) for entry in (center, worker))
        if found != wanted:
            _checks.reject(f"center.{name}", found, f"{wanted} as of worker", "match them")
    lr, coupling = _checks.nonnegative("lr", lr), _checks.nonnegative("coupling", coupling)
    return worker.lerp(center, lr * coupling)


def worker_seed(*key: int) -> int:
    """Make one seed of a seed, the rank of a worker and, if wanted, a count.

    Parameters
    ----------
    *key : int
        One or more, nonnegative. Zeros at the end of a key of up to four small numbers count for
        nothing: let a count begin with one.

    Returns
    -------
    int
        Of 32 bits, from `numpy.random.SeedSequence`.

    Raises
    ------
    ValueError
        If there is no number, or one is no nonnegative integer.

    Examples
    --------
    >>> worker_seed(0, 1) == worker_seed(1, 0)
    False
    """
    _checks.count("number of keys", len(key))
    words = [_checks.count(f"key[{k}]", entry, least=0) for k, entry in enumerate(key)]
    return int(np.random.SeedSequence(words).generate_state(1)[0])


class ElasticSGD(EntropySGD):
    r"""Gradient descent on the local entropy by n workers that meet every L = `inner_steps` steps.

    .. math::
       y_i &\leftarrow y_i - h\Big(\nabla f_{\mathrm{mb}}(y_i) + \frac{y_i - x}{\gamma}\Big)
       + \sqrt{2 h T}\,\xi_i, \quad \xi_i \sim N(0, I) \\
       \langle y_i\rangle &\leftarrow \alpha\langle y_i\rangle + (1 - \alpha) y_i \\
       x &\leftarrow x - \frac{\mathrm{lr}}{\gamma}
       \Big(x - \frac1n\sum_{i=1}^n\langle y_i\rangle\Big)
       \quad\text{after L of these; then } \langle y_i\rangle = y_i

    Each process in the default group of `torch.distributed` holds one worker, and all hold the
    same center x; without a group there is one worker. A meeting is a single all-reduce, of one
    vector. The settings and the two doors are those of `EntropySGD`, but a worker stays where it
    is when x moves: the parameters always hold :math:`y_i`, where ``step(closure)`` takes its
    loss, `at_x()` shows x, and `synchronized` says whether the workers have just met. After a
    closure has failed the worker starts from x again.

    All processes start from the parameters of rank 0, and need the same settings, seed included,
    and the same number of steps. Each needs batches of its own, say from
    ``worker_seed(seed, rank)``; this is also the seed of its noise.

    Parameters
    ----------
    params, lr, gamma, temperature, inner_lr, averaging
        As in `EntropySGD`.
    inner_steps : int
        Number L of back-propagations from one meeting to the next.
    momentum, inner_momentum, weight_decay, maximize, seed
        As in `EntropySGD`, but the velocity of a worker outlasts the meetings.

    Raises
    ------
    ValueError
        If a setting is out of range or differs between processes, or, at the first step, x does.
    ConnectionError
        If another process is lost.

    Notes
    -----
    Zhang, Choromanska & LeCun 2015, in the form that makes Section 4.3 of DR true: workers
    are tied to x, and x to their mean. As :math:`\varepsilon = \mathrm{lr}/(hL) \to 0`, x follows
    :math:`-\nabla f_\gamma` for every n, with an error whose variance is divided by n: an average
    over workers does what `EntropySGD` does over time, which has one worker and takes it back to
    x. With lr = gamma, L = 1 and averaging = 0, x *is* the mean of the workers. This is the
    printed (21); it does not descend, it samples: :math:`x + \sqrt{\gamma T/n}\,\xi` tends to the
    density :math:`\propto e^{-n f_\gamma/T}`. The printed equation for x has the wrong sign.

    Examples
    --------
    On f = x^2/2 the gradient of the local entropy is x/(1 + gamma):

    >>> x = torch.nn.Parameter(torch.tensor([1.0]))
    >>> optimizer = ElasticSGD([x], lr=0.01, temperature=0.0, inner_steps=10)
    >>> for _ in range(2000):
    ...     optimizer.zero_grad()
    ...     (x**2 / 2).sum().backward()
    ...     optimizer.step()
    >>> with optimizer.at_x():
    ...     print(f"{x.item():.2f} and {np.exp(-0.01 * 200 / 2):.2f}")
    0.37 and 0.37
    """

    _compared = False  # whether the other processes were found to agree

    def _away(self) -> list[Tensor]:
        """Parameters whose worker has left x, where it stays away at the meetings too."""
        return [entry for entry in self._all() if "anchor" in self.state.get(entry, {})]

    def _remember(self, parameters: list[Tensor]) -> None:
        """Remember x where a worker leaves it; elsewhere it is remembered."""
        super()._remember([e for e in parameters if "anchor" not in self.state.get(e, {})])

    def _begin(self, group: Group) -> None:
        self._copy(self._buffers(group["params"], "mean"), self._inner(group["params"]))

    def _micro_step(self) -> None:
        self._compare()
        super()._micro_step()
        if self.synchronized:
            self._meet()
            for group in self.param_groups:
                self._pull(group)

    def _outer_step(self, group: Group, moved: Tensors) -> None:
        """A worker stays where it is."""

    def _pull(self, group: Group) -> None:
        """Move x to the mean of the workers, or beyond it if there is momentum."""
        entries, gamma, momentum = group["params"], group["gamma"], group["momentum"]
        centers, means = self._buffers(entries, "anchor"), self._buffers(entries, "mean")
        if momentum and entries:
            buffers = self._buffers(entries, "momentum_buffer")
            torch._foreach_mul_(buffers, momentum)
            torch._foreach_add_(buffers, torch._foreach_sub(centers, means), alpha=1.0 / gamma)
            torch._foreach_sub_(means, buffers, alpha=gamma * momentum)
        if entries:
            torch._foreach_lerp_(centers, means, group["lr"] * (1.0 / gamma))

    def _noise(self, group: Group) -> tuple[int, int]:
        return worker_seed(group["seed"], place()[0]), 0

    def _join(self, group: Group) -> None:
        """Start from the parameters of the first worker."""
        if place()[1] > 1:
            agree({"parameters": [tuple(entry.shape) for entry in group["params"]]})
            in_one_vector(group["params"], lambda vector: distributed.broadcast(vector, src=0))

    def _compare(self) -> None:
        """Reject, at the first step, other settings and another x than the first worker's."""
        if place()[1] > 1 and not self._compared:
            names = sorted(self.param_groups[0].keys() - {"params"})
            facts = {name: [group.get(name) for group in self.param_groups] for name in names}
            with self.at_x():
                agree(facts | {"sha256(x)": _digest(self._all())})
            self._compared = True

    def _meet(self) -> None:
        """Let all have the mean of what they hold as mean."""
        if (workers := place()[1]) > 1:
            means = self._buffers(self._all(), "mean")
            torch._foreach_div_(means, workers)
            in_one_vector(means, distributed.all_reduce)


class Replicas(ElasticSGD):
    r"""`ElasticSGD` with all n workers in one process, each with a model of its own.

    Before each ``step()`` back-propagate a batch in every model; a closure does so in all of them.
    The numbers are those of n processes.

    Parameters
    ----------
    models : sequence of torch.nn.Module
        Copies of one network, one for each worker. All start from the parameters of the first.
    **settings
        As in `ElasticSGD`. There is one parameter group for each worker, with the same settings,
        and adding one adds a worker, which starts from x.

    Raises
    ------
    ValueError
        If a setting is out of range, or the models or the settings of the workers differ.

    Examples
    --------
    >>> models = [torch.nn.Linear(1, 1) for _ in range(3)]
    >>> replicas = Replicas(models, lr=0.5, inner_steps=1, seed=0)
    >>> for model in models:
    ...     model(torch.ones(4, 1)).square().mean().backward()
    >>> replicas.step()
    >>> with replicas.at_x():
    ...     models[0].weight.item() == models[2].weight.item()
    True
    """

    _common = ElasticSGD._settings  # with other ones they would disagree about x

    def __init__(self, models: Sequence[nn.Module], **settings: Any) -> None:
        _checks.kind("models", models, Sequence)
        for model in models:
            _checks.kind("model", model, nn.Module)
        super().__init__([{"params": list(model.parameters())} for model in models], **settings)

    def _noise(self, group: Group) -> tuple[int, int]:
        worker = next(k for k, entry in enumerate(self.param_groups) if entry is group)
        return worker_seed(group["seed"], worker), worker * len(group["params"])

    def _join(self, group: Group) -> None:
        first, fresh = self.param_groups[0]["params"], group["params"]
        if [entry.shape for entry in fresh] != [entry.shape for entry in first]:
            found = _checks.shown([tuple(entry.shape) for entry in fresh])
            wanted = f"{[tuple(entry.shape) for entry in first]} as in the first"
            _checks.reject("parameters", found, wanted, "pass copies of one network")
        with self.at_x():
            self._set(fresh, self._inner(first))
        if fresh is not first and group["momentum"]:
            self._copy(*(self._buffers(each, "momentum_buffer") for each in (fresh, first)))

    def _compare(self) -> None:
        """There is nobody else."""

    def _meet(self) -> None:
        means = (self._buffers(group["params"], "mean") for group in self.param_groups)
        for entries in zip(*means, strict=True):
            self._copy(entries, [torch.stack(entries).mean(dim=0)] * len(entries))


def _plain(fact: Any) -> Any:
    return tuple(fact) if isinstance(fact, torch.Size) else fact


def _digest(entries: list[Tensor]) -> str:
    contents = (entry.detach().contiguous().view(-1).view(torch.uint8) for entry in entries)
    return hashlib.sha256(b"".join(e.cpu().numpy().tobytes() for e in contents)).hexdigest()
