"""Two-scale control problems, and what their convergence theorem assumes of them, sampled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from relaxlib import _checks
from relaxlib.landscape import Landscape

_ZOOMS = (1.0, 10.0, 100.0)  # boxes on which constants are sampled, in units of the first
_PAIRS, _HALVINGS = 4096, 20
_EPSILONS = (1e-2, 1e-4, 1e-6)
_GROWTH = 1.5  # a constant that grows by more from scale to scale is taken for infinite


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
            If gamma or the temperature is not positive.

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


@dataclass(frozen=True)
class Finding:
    """What sampling says of one assumption, the constant it asks for, and why."""

    holds: bool
    constant: float
    reason: str


@dataclass(frozen=True, eq=False)
class Report:
    """Findings by assumption, ``A1`` to ``A4``, ``B`` and ``C``."""

    findings: dict[str, Finding]

    @property
    def passed(self) -> bool:
        """Whether nothing speaks against any of them."""
        return all(finding.holds for finding in self.findings.values())

    def __str__(self) -> str:
        words = {True: "holds", False: "fails"}
        return "\n".join(
            f"({name})".ljust(6) + f"{words[found.holds]}  {found.reason}"
            for name, found in self.findings.items()
        )


def check_assumptions(problem: ControlProblem) -> Report:
    r"""Sample what the convergence of a two-scale control problem assumes.

    (A1) f, b and sigma Lipschitz in (x, y), (A2) noise of the slow variable that converges
    locally uniformly, (A3) :math:`\varrho\varrho^\top = \bar\varrho I`, (A4) a fast motion that
    contracts, :math:`(b(x, y_1) - b(x, y_2))\cdot(y_1 - y_2) \le -\kappa|y_1 - y_2|^2`, (B) costs
    of quadratic growth, Lipschitz in y, (C) :math:`\sigma\sigma^\top` with bounded second
    derivatives in x, and sigma = sigma(x) or b = b(y).

    Quotients are sampled at random pairs, on boxes that grow by tens; the steepest pairs are
    halved again and again. A constant that keeps growing outward or inward is taken for infinite.
    Sampling can refute an assumption; it cannot prove one. Noise that is Lipschitz uniformly in
    epsilon converges locally uniformly as soon as it converges at every point.

    Parameters
    ----------
    problem : ControlProblem

    Returns
    -------
    Report

    Raises
    ------
    ValueError
        If ``problem`` is of another type or has no controls, or a box has no volume.

    Notes
    -----
    BK, assumptions (A), (B) and (C).

    Examples
    --------
    >>> from relaxlib.landscapes import lipschitz_double_well
    >>> problem = ControlProblem.relaxation(lipschitz_double_well(), gamma=0.5, temperature=1 / 3)
    >>> report = check_assumptions(problem)
    >>> report.passed, round(report.findings["A4"].constant, 2)
    (True, 1.0)
    """
    _checks.kind("problem", problem, ControlProblem)
    controls = _checks.array("controls", problem.controls)
    if not controls.size:
        _checks.reject("controls", "[]", "at least one control", "sample the set")
    sampler = _Sampler(problem, np.atleast_1d(controls))
    return Report(
        {
            "A1": sampler.lipschitz_coefficients(),
            "A2": sampler.slow_noise(),
            "A3": _isotropic(problem.fast_noise),
            "A4": sampler.recurrence(),
            "B": sampler.costs(),
            "C": sampler.square_root(),
        }
    )


def _steepest(quotient: Callable, starts: np.ndarray, ends: np.ndarray) -> tuple[float, bool]:
    """The largest quotient(a, b) of pairs (k, d), halved toward the steeper half; does it grow?"""
    kept = np.argsort(quotient(starts, ends))[-64:]
    starts, ends = starts[kept], ends[kept]
    sizes = []
    for _ in range(_HALVINGS):
        sizes.append(quotient(starts, ends).max())
        middle = (starts + ends) / 2
        upper = (quotient(middle, ends) > quotient(starts, middle))[:, None]
        starts, ends = np.where(upper, middle, starts), np.where(upper, ends, middle)
    return float(max(sizes)), bool(sizes[-1] > _GROWTH * max(sizes[_HALVINGS // 2], 1e-9))


class _Sampler:
    """Random pairs of points (x, y), and quotients along them."""

    def __init__(self, problem: ControlProblem, controls: np.ndarray) -> None:
        self.problem, self.controls = problem, controls
        boxes = [_checks.corners(*box) for box in problem.box]
        self.lower, self.upper = (np.concatenate(ends) for ends in zip(*boxes, strict=True))
        self.n = len(boxes[0][0])

    def halves(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Points (k, n + m) as x and y."""
        return points[:, : self.n], points[:, self.n :]

    def pairs(self, zoom: float, moving: slice) -> tuple[np.ndarray, np.ndarray]:
        """Two points that differ in the coordinates ``moving`` only."""
        random = np.random.default_rng(0)
        middle, size = (self.lower + self.upper) / 2, zoom * (self.upper - self.lower) / 2
        starts, ends = middle + size * random.uniform(-1, 1, (2, _PAIRS, len(middle)))
        fixed = np.ones(len(middle), bool)
        fixed[moving] = False
        return starts, np.where(fixed, starts, ends)

    def lipschitz(self, function: Callable, moving: slice) -> tuple[float, str]:
        """Constant of function(points) -> (k, ...), and what speaks against it."""

        def quotient(a: np.ndarray, b: np.ndarray) -> np.ndarray:
            change = (function(a) - function(b)).reshape(len(a), -1)
            return np.linalg.norm(change, axis=1) / np.linalg.norm(a - b, axis=1)

        found = [_steepest(quotient, *self.pairs(zoom, moving)) for zoom in _ZOOMS]
        sizes = [size for size, _ in found]
        if any(grows for _, grows in found):
            return max(sizes), "grows as points approach"
        if sizes[-1] > _GROWTH * max(sizes[-2], 1e-9):
            return max(sizes), "grows with the distance from the box"
        return max(sizes), ""

    def worst(self, named: dict[str, Callable], moving: slice) -> tuple[float, str]:
        """The largest constant of several functions, and the first objection."""
        results = {name: self.lipschitz(function, moving) for name, function in named.items()}
        constant = max(size for size, _ in results.values())
        return constant, next((f"{k} {flaw}" for k, (_, flaw) in results.items() if flaw), "")

    def lipschitz_coefficients(self) -> Finding:
        p, named = self.problem, {"b": lambda z: self.problem.fast_drift(*self.halves(z))}
        for u in self.controls:
            named[f"f at u = {u}"] = lambda z, u=u: p.drift(*self.halves(z), u)
            named[f"sigma at u = {u}"] = lambda z, u=u: p.noise(*self.halves(z), u)
        constant, flaw = self.worst(named, slice(None))
        for u in self.controls if p.noise_along else ():
            along = [lambda z, u=u, e=e: p.noise_along(e, *self.halves(z), u) for e in _EPSILONS]
            found = [self.lipschitz(function, slice(None)) for function in along]
            sizes = [size for size, _ in found]
            constant = max(constant, *sizes)
            flaw = flaw or next((f"sigma at u = {u} {words}" for _, words in found if words), "")
            if sizes[-1] > _GROWTH * max(sizes[-2], 1e-9):
                flaw = flaw or f"sigma at u = {u} is the steeper the smaller epsilon"
        return Finding(not flaw, constant, flaw or f"Lipschitz constant {constant:.4g} sampled")

    def slow_noise(self) -> Finding:
        p = self.problem
        if p.noise_along is None:
            return Finding(True, 0.0, "sigma does not depend on epsilon")
        z = self.halves(self.pairs(1.0, slice(None))[0])
        gaps = [
            max(np.abs(p.noise_along(e, *z, u) - p.noise(*z, u)).max() for u in self.controls)
            for e in _EPSILONS
        ]
        limits = {f"the limit at u = {u}": lambda z, u=u: p.noise(*self.halves(z), u)
                  for u in self.controls}  # fmt: skip
        _, flaw = self.worst(limits, slice(None))
        if not gaps[-1] <= 0.2 * gaps[0] + 1e-12:
            flaw = "sup over the box does not vanish with epsilon"
        return Finding(
            not flaw, gaps[-1], flaw or f"sup over the box {gaps[0]:.2g} to {gaps[-1]:.2g}"
        )

    def recurrence(self) -> Finding:
        def quotient(a: np.ndarray, b: np.ndarray) -> np.ndarray:
            change = self.problem.fast_drift(*self.halves(a)) - self.problem.fast_drift(
                *self.halves(b)
            )
            away = (a - b)[:, self.n :]
            return (change * away).sum(axis=1) / (away**2).sum(axis=1)

        moving = slice(self.n, None)
        kappa = -max(_steepest(quotient, *self.pairs(zoom, moving))[0] for zoom in _ZOOMS)
        holds = kappa > 1e-9
        words = f"kappa = {kappa:.4g}" + ("" if holds else ": copies of Y need not approach")
        return Finding(holds, kappa, words)

    def costs(self) -> Finding:
        p, named = self.problem, {"g": lambda z: self.problem.terminal(*self.halves(z))}
        for u in self.controls:
            named[f"l at u = {u}"] = lambda z, u=u: p.running_cost(
                p.horizon / 2, *self.halves(z), u
            )
        constant, flaw = self.worst(named, slice(self.n, None))
        for name, function in named.items():
            sizes = []
            for zoom in _ZOOMS:
                z, _ = self.pairs(zoom, slice(None))
                sizes.append((np.abs(function(z)) / (1 + (z**2).sum(axis=1))).max())
            if sizes[-1] > _GROWTH * max(sizes[-2], 1e-9):
                flaw = flaw or f"{name} grows faster than a square"
        return Finding(not flaw, constant, flaw or f"Lipschitz in y with {constant:.4g}")

    def square_root(self) -> Finding:
        p, x, y = self.problem, slice(0, self.n), slice(self.n, None)
        named, step = {}, 1e-4 * (self.upper - self.lower).max()
        for u in self.controls:
            for axis in range(self.n):
                shift = step * np.eye(len(self.lower))[axis]

                def slope(z: np.ndarray, u: object = u, shift: np.ndarray = shift) -> np.ndarray:
                    high, low = (p.noise(*self.halves(z + s), u) for s in (shift, -shift))
                    squares = (s @ np.swapaxes(s, 1, 2) for s in (high, low))
                    return np.subtract(*squares) / (2 * step)

                named[f"the slope of sigma sigma^T at u = {u}"] = slope
        z = self.pairs(1.0, slice(None))
        swapped = np.concatenate([z[0][:, x], z[1][:, y]], axis=1)
        noises = [p.noise(*self.halves(w), u) for w in (z[0], swapped) for u in self.controls]
        slow = all(np.array_equal(noises[0], noise) for noise in noises)
        swapped = np.concatenate([z[1][:, x], z[0][:, y]], axis=1)
        fast = np.array_equal(*(p.fast_drift(*self.halves(w)) for w in (z[0], swapped)))
        constant, flaw = self.worst(named, x)
        if not (slow or fast):
            flaw = "sigma depends on y or u, and b on x"
        case = "sigma = sigma(x)" if slow else "b = b(y)"
        return Finding(
            not flaw, constant, flaw or f"{case}, second derivatives up to {constant:.3g}"
        )


def _isotropic(fast_noise: ArrayLike) -> Finding:
    square = np.atleast_2d(_checks.array("fast_noise", fast_noise))
    square = square @ square.T
    level = float(square[0, 0])
    holds = level > 0.0 and bool(
        np.abs(square - level * np.eye(len(square))).max() <= 1e-12 * level
    )
    words = f"rho rho^T = {level:.4g} I" if holds else "rho rho^T is no positive multiple of I"
    return Finding(holds, level, words)
