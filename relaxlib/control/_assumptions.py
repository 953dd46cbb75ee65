"""What the convergence theorem of two-scale control problems assumes of them, sampled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from relaxlib import _checks
from relaxlib.control._problem import ControlProblem

_ZOOMS = (1.0, 10.0, 100.0)  # boxes on which constants are sampled, in units of the first
_PAIRS, _HALVINGS = 4096, 20
_EPSILONS = (1e-2, 1e-4, 1e-6)
_GROWTH = 1.5  # a constant that grows by more from scale to scale is taken for infinite


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
    halved again and again. A constant that keeps growing outward or inward is taken for infinite,
    and so is one where a value overflows or is not defined.
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
        If ``problem`` is of another type, or a function of it returns another shape.

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
    sampler = _Sampler(problem)
    sampler.check_shapes()
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

    def steepness(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        found = quotient(a, b)
        return np.where(np.isnan(found), np.inf, found)

    kept = np.argsort(steepness(starts, ends))[-64:]
    starts, ends = starts[kept], ends[kept]
    sizes = []
    for _ in range(_HALVINGS):
        sizes.append(steepness(starts, ends).max())
        middle = (starts + ends) / 2
        upper = (steepness(middle, ends) > steepness(starts, middle))[:, None]
        starts, ends = np.where(upper, middle, starts), np.where(upper, ends, middle)
    return float(max(sizes)), bool(sizes[-1] > _GROWTH * max(sizes[_HALVINGS // 2], 1e-9))


class _Sampler:
    """Random pairs of points (x, y), and quotients along them."""

    def __init__(self, problem: ControlProblem) -> None:
        self.problem, self.controls = problem, problem.controls
        self.lower, self.upper = (np.concatenate(ends) for ends in zip(*problem.box, strict=True))
        self.n = len(problem.box[0][0])

    def halves(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Points (k, n + m) as x and y."""
        return points[:, : self.n], points[:, self.n :]

    def by_control(self, word: str, function: Callable) -> dict[str, Callable]:
        """Functions of points (k, n + m), one for each control, by name."""
        return {
            f"{word} at u = {u}": lambda z, u=u: function(*self.halves(z), u) for u in self.controls
        }

    def check_shapes(self) -> None:
        """Reject functions whose values do not fit the box."""
        p, u = self.problem, self.controls[0]
        x, y = self.halves(self.pairs(1.0, slice(None))[0][:3])
        found = {"drift": p.drift(x, y, u), "noise": p.noise(x, y, u), "terminal": p.terminal(x, y)}
        found |= {"fast_drift": p.fast_drift(x, y), "running_cost": self.cost(x, y, u)}
        if p.noise_along is not None:
            found["noise_along"] = p.noise_along(_EPSILONS[0], x, y, u)
        matrices = (*x.shape, (*np.shape(found["noise"]), 1, 1, 1)[2])
        shapes = {"drift": x.shape, "fast_drift": y.shape}
        shapes |= {"noise": matrices, "noise_along": matrices}
        for name, values in found.items():
            _checks.shape(f"{name}(...)", np.asarray(values), shapes.get(name, (len(x),)))

    def cost(self, x: np.ndarray, y: np.ndarray, u: object) -> np.ndarray:
        """The running cost in the middle of time."""
        return self.problem.running_cost(self.problem.horizon / 2, x, y, u)

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
        if max(sizes) == np.inf:
            return np.inf, "overflows or is not defined everywhere"
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
        named |= self.by_control("f", p.drift) | self.by_control("sigma", p.noise)
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
        _, flaw = self.worst(self.by_control("the limit", p.noise), slice(None))
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
        named = {"g": lambda z: self.problem.terminal(*self.halves(z))}
        named |= self.by_control("l", self.cost)
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
    square = _checks.rows("fast_noise", np.atleast_2d(fast_noise))
    square = square @ square.T
    level = float(square[0, 0])
    holds = level > 0.0 and bool(
        np.abs(square - level * np.eye(len(square))).max() <= 1e-12 * level
    )
    words = f"rho rho^T = {level:.4g} I" if holds else "rho rho^T is no positive multiple of I"
    return Finding(holds, level, words)
