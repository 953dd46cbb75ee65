"""Two-scale control problems: a slow motion, a fast one, controls and costs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from relaxlib import _checks
from relaxlib.landscapes import Landscape


@dataclass(frozen=True, eq=False, kw_only=True)
class ControlProblem:
    r"""A two-scale control system with its costs.

    .. math:: dX = f(X, Y, u)\,ds + \sqrt2\,\sigma(X, Y, u)\,dW, \qquad
              dY = \tfrac1\epsilon b(X, Y)\,ds + \sqrt{2/\epsilon}\,\varrho\,dW.

    Parameters
    ----------
    drift : function
        f(x, y, u), for x (k, n), y (k, m) and one control u, as (k, n).
    fast_drift : function
        b(x, y) as (k, m).
    noise : function
        The limit sigma(x, y, u) as (k, n, r).
    fast_noise : (m, r) array_like
        The constant rho.
    terminal : function
        g(x, y) as (k,).
    controls : (c, ...) array_like
        Samples u of the compact set of controls.
    box : ((n,), (n,)), ((m,), (m,))
        Corners of the regions of x and of y that are sampled first, then zoomed out.
    running_cost : function
        l(s, x, y, u) as (k,); zero when left out.
    noise_along : function, optional
        sigma(epsilon, x, y, u) as (k, n, r), when it depends on epsilon.
    horizon : float
        :math:`\tau`.

    Raises
    ------
    ValueError
        If a function cannot be called, there are no controls, a box has no volume or the horizon is
        not positive.

    Notes
    -----
    BK (1.19)–(1.20).
    """

    drift: Callable
    fast_drift: Callable
    noise: Callable
    fast_noise: ArrayLike
    terminal: Callable
    controls: ArrayLike
    box: tuple
    running_cost: Callable = lambda s, x, y, u: np.zeros(len(x))
    noise_along: Callable | None = None
    horizon: float = 1.0

    def __post_init__(self) -> None:
        names = ["drift", "fast_drift", "noise", "terminal", "running_cost"]
        for name in names + ["noise_along"] * (self.noise_along is not None):
            _checks.function(name, getattr(self, name), "points x (k, n) and y (k, m)")
        _checks.positive("horizon", self.horizon)
        controls = np.atleast_1d(_checks.array("controls", self.controls))
        if not controls.size:
            _checks.reject("controls", "[]", "at least one control", "sample the set")
        _checks.finite("controls", controls)
        sides = tuple(self.box) if np.iterable(self.box) else ()
        if len(sides) != 2:
            _checks.reject("box", _checks.shown(self.box), "a box of x and one of y", "pass a pair")
        boxes = tuple(_checks.box(f"box[{k}]", side) for k, side in enumerate(sides))
        object.__setattr__(self, "controls", controls)
        object.__setattr__(self, "box", boxes)

    @classmethod
    def relaxation(
        cls,
        landscape: Landscape,
        *,
        gamma: float,
        temperature: float,
        controls: Sequence[float] = (0.0, 1.0),
    ) -> ControlProblem:
        r"""Relaxation with a controlled learning rate: :math:`f = -u(x-y)/\gamma`, terminal loss.

        Parameters
        ----------
        landscape : Landscape
        gamma, temperature : float
            Positive.
        controls : sequence of float
            Learning rates u.

        Raises
        ------
        ValueError
            If gamma or the temperature is not positive, or there are no controls.

        Notes
        -----
        BK (1.9).
        """
        _checks.kind("landscape", landscape, Landscape)
        gamma = _checks.positive("gamma", gamma)
        temperature = _checks.positive("temperature", temperature)
        dim = landscape.dim
        return cls(
            drift=lambda x, y, u: -u * (x - y) / gamma,
            fast_drift=lambda x, y: (x - y) / gamma - landscape.grad(y),
            noise=lambda x, y, u: np.zeros((len(x), dim, dim)),
            fast_noise=np.sqrt(temperature) * np.eye(dim),
            terminal=lambda x, y: landscape.value(x),
            controls=controls,
            box=(landscape.box, landscape.box),
        )
