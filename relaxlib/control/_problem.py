"""Two-scale control problems: a slow motion, a fast one, controls and costs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from relaxlib import _checks
from relaxlib.landscapes import Landscape


@dataclass(frozen=True, eq=False, init=False)
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
    fast_noise: np.ndarray
    terminal: Callable
    controls: np.ndarray
    box: tuple[tuple[np.ndarray, np.ndarray], ...]
    running_cost: Callable
    noise_along: Callable | None
    horizon: float

    def __init__(
        self,
        *,
        drift: Callable,
        fast_drift: Callable,
        noise: Callable,
        fast_noise: ArrayLike,
        terminal: Callable,
        controls: ArrayLike,
        box: Sequence[Sequence[ArrayLike]],
        running_cost: Callable = lambda s, x, y, u: np.zeros(len(x)),
        noise_along: Callable | None = None,
        horizon: float = 1.0,
    ) -> None:
        functions = {"drift": drift, "fast_drift": fast_drift, "noise": noise}
        functions |= {"terminal": terminal, "running_cost": running_cost}
        along = {"noise_along": noise_along} if noise_along is not None else {}
        for name, function in (functions | along).items():
            _checks.function(name, function, "points x (k, n) and y (k, m)")
        horizon = _checks.positive("horizon", horizon)
        samples = np.atleast_1d(_checks.array("controls", controls))
        if not samples.size:
            _checks.reject("controls", "[]", "at least one control", "sample the set")
        _checks.finite("controls", samples)
        sides = tuple(box) if np.iterable(box) else ()
        if len(sides) != 2:
            _checks.reject("box", _checks.shown(box), "a box of x and one of y", "pass a pair")
        boxes = tuple(_checks.box(f"box[{k}]", side) for k, side in enumerate(sides))
        rho = _checks.rows("fast_noise", np.atleast_2d(fast_noise))
        vars(self).update(functions, noise_along=noise_along, horizon=horizon)
        vars(self).update(controls=samples, box=boxes, fast_noise=rho)

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
        gamma, temperature = _checks.positives(gamma=gamma, temperature=temperature)
        return cls(
            drift=lambda x, y, u: -u * (x - y) / gamma,
            fast_drift=lambda x, y: (x - y) / gamma - landscape.grad(y),
            noise=lambda x, y, u: np.zeros((len(x), landscape.dim, landscape.dim)),
            fast_noise=np.sqrt(temperature) * np.eye(landscape.dim),
            terminal=lambda x, y: landscape.value(x),
            controls=controls,
            box=(landscape.box, landscape.box),
        )
