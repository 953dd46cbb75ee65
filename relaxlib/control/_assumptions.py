"""What the convergence theorem of two-scale control problems assumes of them, sampled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from relaxlib import _checks
from relaxlib.control._isotropy import isotropy
from relaxlib.control._problem import ControlProblem

_ZOOMS = (1.0, 10.0, 100.0)  # boxes on which constants are sampled, in units of the first
_PAIRS, _HALVINGS = 4096, 20
_EPSILONS = (1e-2, 1e-4, 1e-6)
_GROWTH = 1.5  # a constant that grows by more from scale to scale is taken for infinite

_OfPoints = Callable[[np.ndarray], np.ndarray]  # (k, n + m) to (k, ...)


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
        return "\n".join(
            f"{f'({name})':<6}{'holds' if found.holds else 'fails'}  {found.reason}"
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
    findings = {"A1": sampler.lipschitz_coefficients(), "A2": sampler.slow_noise()}
    findings |= {"A3": _isotropic(problem.fast_noise), "A4": sampler.recurrence()}
    return Report(findings | {"B": sampler.costs(), "C": sampler.square_root()})


class _Sampler:
    """Random pairs of points (x, y), and quotients along them."""

    def __init__(self, problem: ControlProblem) -> None:
        self.problem = problem
        self.lower, self.upper = (np.concatenate(ends) for ends in zip(*problem.box, strict=True))
        count = len(problem.box[0][0])
        self.both, self.slow, self.fast = slice(None), slice(0, count), slice(count, None)
        self.cost = partial(problem.running_cost, problem.horizon / 2)  # in the middle of time
        along = problem.noise_along
        self.along = [partial(along, epsilon) for epsilon in _EPSILONS] if along else []

    def halves(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Points (k, n + m) as x and y."""
        return points[:, self.slow], points[:, self.fast]

    def of_points(self, function: Callable, *control: float) -> _OfPoints:
        """function(x, y) or function(x, y, u) as a function of points."""
        return lambda points: function(*self.halves(points), *control)

    def by_control(self, word: str, function: Callable) -> dict[str, _OfPoints]:
        """Functions of points, one for each control, by name."""
        return {f"{word} at u = {u}": self.of_points(function, u) for u in self.problem.controls}

    def pairs(self, zoom: float, moving: slice) -> tuple[np.ndarray, np.ndarray]:
        """Starts and ends that differ in the coordinates ``moving`` only."""
        random = np.random.default_rng(0)
        middle, size = (self.lower + self.upper) / 2, zoom * (self.upper - self.lower) / 2
        starts, others = middle + size * random.uniform(-1, 1, (2, _PAIRS, len(middle)))
        ends = starts.copy()
        ends[:, moving] = others[:, moving]
        return starts, ends

    def check_shapes(self) -> None:
        """Reject functions whose values do not fit the box."""
        problem, u = self.problem, self.problem.controls[0]
        x, y = self.halves(self.pairs(1.0, self.both)[0][:3])
        noise = np.asarray(problem.noise(x, y, u))
        matrices = (*x.shape, (*noise.shape, 1, 1, 1)[2])
        found = {"drift": (problem.drift(x, y, u), x.shape), "noise": (noise, matrices)}
        found["terminal"] = problem.terminal(x, y), (len(x),)
        found["fast_drift"] = problem.fast_drift(x, y), y.shape
        found["running_cost"] = self.cost(x, y, u), (len(x),)
        if self.along:
            found["noise_along"] = self.along[0](x, y, u), matrices
        for name, (values, shape) in found.items():
            _checks.shape(f"{name}(...)", np.asarray(values), shape)

    def lipschitz(self, function: _OfPoints, moving: slice) -> tuple[float, str]:
        """Constant of a function, and what speaks against it."""

        def quotient(starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
            change = (function(starts) - function(ends)).reshape(len(starts), -1)
            return np.linalg.norm(change, axis=1) / np.linalg.norm(starts - ends, axis=1)

        found = [_steepest(quotient, *self.pairs(zoom, moving)) for zoom in _ZOOMS]
        sizes = [size for size, _ in found]
        if max(sizes) == np.inf:
            return np.inf, "overflows or is not defined everywhere"
        if any(grows for _, grows in found):
            return max(sizes), "grows as points approach"
        return max(sizes), "grows with the distance from the box" if _grows(sizes) else ""

    def worst(self, named: dict[str, _OfPoints], moving: slice) -> tuple[float, str]:
        """The largest constant of several functions, and the first objection."""
        results = {name: self.lipschitz(function, moving) for name, function in named.items()}
        constant = max(size for size, _ in results.values())
        return constant, next((f"{k} {flaw}" for k, (_, flaw) in results.items() if flaw), "")

    def lipschitz_coefficients(self) -> Finding:
        problem, named = self.problem, {"b": self.of_points(self.problem.fast_drift)}
        named |= self.by_control("f", problem.drift) | self.by_control("sigma", problem.noise)
        constant, flaw = self.worst(named, self.both)
        for u in problem.controls if self.along else ():
            found = [self.lipschitz(self.of_points(noise, u), self.both) for noise in self.along]
            sizes = [size for size, _ in found]
            constant = max(constant, *sizes)
            flaw = flaw or next((f"sigma at u = {u} {words}" for _, words in found if words), "")
            if _grows(sizes):
                flaw = flaw or f"sigma at u = {u} is the steeper the smaller epsilon"
        return _finding(constant, flaw, f"Lipschitz constant {constant:.4g} sampled")

    def slow_noise(self) -> Finding:
        if not self.along:
            return Finding(True, 0.0, "sigma does not depend on epsilon")
        places, noise = self.halves(self.pairs(1.0, self.both)[0]), self.problem.noise
        gaps = [
            max(np.abs(along(*places, u) - noise(*places, u)).max() for u in self.problem.controls)
            for along in self.along
        ]
        _, flaw = self.worst(self.by_control("the limit", noise), self.both)
        if not gaps[-1] <= 0.2 * gaps[0] + 1e-12:
            flaw = "sup over the box does not vanish with epsilon"
        return _finding(gaps[-1], flaw, f"sup over the box {gaps[0]:.2g} to {gaps[-1]:.2g}")

    def recurrence(self) -> Finding:
        fast_drift = self.of_points(self.problem.fast_drift)

        def quotient(starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
            away = (starts - ends)[:, self.fast]
            change = fast_drift(starts) - fast_drift(ends)
            return (change * away).sum(axis=1) / (away**2).sum(axis=1)

        kappa = -max(_steepest(quotient, *self.pairs(zoom, self.fast))[0] for zoom in _ZOOMS)
        words = "" if kappa > 1e-9 else ": copies of Y need not approach"
        return Finding(not words, kappa, f"kappa = {kappa:.4g}{words}")

    def costs(self) -> Finding:
        named = {"g": self.of_points(self.problem.terminal)} | self.by_control("l", self.cost)
        constant, flaw = self.worst(named, self.fast)
        places = [self.pairs(zoom, self.both)[0] for zoom in _ZOOMS]
        for name, function in named.items():
            sizes = [(np.abs(function(z)) / (1 + (z**2).sum(axis=1))).max() for z in places]
            if _grows(sizes):
                flaw = flaw or f"{name} grows faster than a square"
        return _finding(constant, flaw, f"Lipschitz in y with {constant:.4g}")

    def square_root(self) -> Finding:
        noises = self.by_control("the slope of sigma sigma^T", self.problem.noise)
        fast_drift = self.of_points(self.problem.fast_drift)
        step = 1e-4 * (self.upper - self.lower).max()
        slopes = {
            f"{name} along x{axis}": _slope_of_square(noise, step * unit)
            for axis, unit in enumerate(np.eye(len(self.lower))[self.slow])
            for name, noise in noises.items()
        }
        constant, flaw = self.worst(slopes, self.slow)
        starts, other_y = self.pairs(1.0, self.fast)
        _, other_x = self.pairs(1.0, self.slow)
        values = [noise(points) for points in (starts, other_y) for noise in noises.values()]
        slow = all(np.array_equal(values[0], other) for other in values)
        if not (slow or np.array_equal(fast_drift(starts), fast_drift(other_x))):
            flaw = "sigma depends on y or u, and b on x"
        case = "sigma = sigma(x)" if slow else "b = b(y)"
        return _finding(constant, flaw, f"{case}, second derivatives up to {constant:.3g}")


def _slope_of_square(noise: _OfPoints, shift: np.ndarray) -> _OfPoints:
    """Central differences of sigma sigma^T along an axis."""

    def square(points: np.ndarray) -> np.ndarray:
        return noise(points) @ np.swapaxes(noise(points), 1, 2)

    return lambda points: (square(points + shift) - square(points - shift)) / (2 * shift.max())


def _steepest(quotient: Callable, starts: np.ndarray, ends: np.ndarray) -> tuple[float, bool]:
    """The largest quotient(a, b) of pairs (k, d), halved toward the steeper half; does it grow?"""

    def steepness(starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
        found = quotient(starts, ends)
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


def _grows(sizes: Sequence[float]) -> bool:
    """Whether a constant grows from the last scale but one to the last."""
    return sizes[-1] > _GROWTH * max(sizes[-2], 1e-9)


def _finding(constant: float, flaw: str, praise: str) -> Finding:
    return Finding(not flaw, constant, flaw or praise)


def _isotropic(fast_noise: np.ndarray) -> Finding:
    level, holds = isotropy(fast_noise @ fast_noise.T)
    words = f"rho rho^T = {level:.4g} I" if holds else "rho rho^T is no positive multiple of I"
    return Finding(holds, level, words)
