"""The type of a loss landscape: a formula with its derivatives, and what is known of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numba import cfunc, float64, njit, void
from numpy.typing import ArrayLike

from relaxlib import _checks
from relaxlib._lanes.records import FormulaRecord
from relaxlib.landscapes._formulas import QUADRATIC, Formula
from relaxlib.landscapes._own_functions import check_derivatives, lower_bound, point_formulas

VALUE = float64(float64[::1], float64[::1])
GRAD = void(float64[::1], float64[::1], float64[::1])
HESS = void(float64[::1], float64[::1], float64[:, ::1])


@dataclass(frozen=True, eq=False, repr=False, init=False)
class Landscape(FormulaRecord):
    r"""A loss f on R^d with its derivatives and the facts that the theory asks for.

    Parameters
    ----------
    name : str
    formula : Formula
        Plain point formulas; `compiled` holds them as machine code.
    params : (k,) float64
        Passed to the formulas.
    box : ((d,), (d,)) float64
        Opposite corners of the region worth looking at.
    minima, saddles : (m, d) float64
        Isolated local minima, deepest first, and saddles of index one, lowest first; in one
        dimension the saddles are the local maxima.
    lipschitz : float
        L, supremum of the norm of D²f, so the Lipschitz constant of the gradient; or inf.
    convexity : float
        Infimum of the eigenvalues of D²f; -inf when unbounded.
    growth, floor, center : float, float, (d,) float64
        The lower bound :math:`f(y) \ge \text{floor} - C\,|y - \text{center}|^2` with the
        smallest C = growth: local entropy diverges from gamma = 1/(2C) on.
    """

    name: str
    formula: Formula
    params: np.ndarray
    box: tuple[np.ndarray, np.ndarray]
    minima: np.ndarray
    saddles: np.ndarray
    lipschitz: float
    convexity: float
    growth: float
    floor: float
    center: np.ndarray

    def __init__(
        self,
        *,
        name: str,
        formula: Formula,
        params: ArrayLike = (),
        box: tuple[ArrayLike, ArrayLike],
        minima: ArrayLike = (),
        saddles: ArrayLike = (),
        lipschitz: float = np.inf,
        convexity: float = -np.inf,
        growth: float = 0.0,
        floor: float,
        center: ArrayLike | None = None,
    ) -> None:
        lower, upper = _checks.box("box", box)
        dim = len(lower)
        vars(self).update(
            name=name,
            formula=formula,
            params=_checks.array("params", params),
            box=(lower, upper),
            minima=_listed("minima", minima, dim),
            saddles=_listed("saddles", saddles, dim),
            lipschitz=_checks.number("lipschitz", lipschitz),
            convexity=_checks.number("convexity", convexity),
            growth=_checks.number("growth", growth),
            floor=_checks.number("floor", floor),
            center=np.zeros(dim) if center is None else _checks.point("center", center, dim),
        )

    @property
    def dim(self) -> int:
        """Dimension d."""
        return len(self.center)

    @property
    def is_quadratic(self) -> bool:
        """Whether f is one of the catalogue's quadratics, whose moments are known exactly."""
        return self.formula == QUADRATIC

    @classmethod
    def from_functions(
        cls,
        value: Callable,
        grad: Callable,
        hess: Callable | None = None,
        *,
        dim: int,
        box: tuple[ArrayLike, ArrayLike],
        name: str = "custom",
        minima: ArrayLike = (),
        saddles: ArrayLike = (),
        lipschitz: float = np.inf,
        convexity: float = -np.inf,
        growth: float = 0.0,
        floor: float | None = None,
        center: ArrayLike | None = None,
    ) -> Landscape:
        r"""Landscape of your own functions, compiled and checked at once.

        Parameters
        ----------
        value, grad, hess : function
            value(x) -> float, grad(x, out) and hess(x, out) at x (d,), in Python that numba
            compiles; for ``dim`` = 1 the scalar functions f, f' and f''. Without ``hess``, central
            differences of ``grad``, good to about ten digits. Derivatives are compared with
            central differences at a few points of the box.
        dim : int
            Dimension d.
        box : (lower, upper), each float or (d,) array_like
            Opposite corners of the region worth looking at.
        name, minima, saddles, lipschitz, convexity, growth
            As in `Landscape`; what is unknown stays empty or infinite. Points are sorted by f.
        floor : float, optional
            Infimum of :math:`f(y) + C\,|y - \text{center}|^2`. When left out, its minimum over
            the listed minima and 4096 random points of the box: integrals over R^d are cut where
            it makes the integrand negligible, so give it where the box misses a lower valley.
        center : (d,) array_like, optional
            The middle of the box when left out.

        Returns
        -------
        Landscape

        Raises
        ------
        ValueError
            If numba cannot compile a function, or a derivative disagrees with differences.

        Examples
        --------
        >>> from math import cos, sin
        >>> rippled = Landscape.from_functions(
        ...     lambda x: x * x / 2 + cos(3 * x),
        ...     lambda x: x - 3 * sin(3 * x),
        ...     dim=1,
        ...     box=(-3, 3),
        ... )
        >>> float(rippled.value(0.0))
        1.0
        """
        dim = _checks.count("dim", dim)
        lower, upper = _checks.box("box", box)
        if len(lower) != dim:
            corners = f"{lower.tolist()}, {upper.tolist()}"
            _checks.reject("box", corners, f"corners with dim = {dim} entries", "match them")
        formula = point_formulas(value, grad, hess, dim=dim)
        landscape = cls(
            name=name,
            formula=formula,
            box=(lower, upper),
            minima=minima,
            saddles=saddles,
            lipschitz=lipschitz,
            convexity=convexity,
            growth=_checks.nonnegative("growth", growth),
            floor=-np.inf if floor is None else floor,
            center=(lower + upper) / 2 if center is None else center,
        )
        places = np.random.default_rng(0).uniform(lower, upper, (4096, dim))
        seen = np.concatenate([places, landscape.minima])
        lowest = lower_bound(formula, seen, landscape.growth, landscape.center)
        if floor is not None and not -np.inf < floor <= lowest + 1e-9 * max(1.0, abs(lowest)):
            need = f"floor <= {lowest:.6g}, which f + growth*|x - center|^2 takes in the box"
            _checks.reject("floor", floor, need, "lower it, or leave it out")
        check_derivatives(formula, places[:8])
        vars(landscape).update(
            minima=sort_by_value(formula, landscape.params, landscape.minima),
            saddles=sort_by_value(formula, landscape.params, landscape.saddles),
            floor=lowest if floor is None else landscape.floor,
        )
        return landscape

    @cached_property
    def compiled(self) -> Formula:
        """The formulas as numba cfuncs of signatures `VALUE`, `GRAD` and `HESS`."""
        return Formula(*map(_machine_code, (VALUE, GRAD, HESS), self.formula))

    def value(self, x: ArrayLike) -> np.ndarray:
        """f at points (..., d), as (...); in one dimension a bare float will do."""
        return self._at(x, _evaluate, self.compiled.value)

    def grad(self, x: ArrayLike) -> np.ndarray:
        """Gradient of f at points (..., d), as (..., d)."""
        return self._at(x, _write, self.compiled.grad, self.dim)

    def hess(self, x: ArrayLike) -> np.ndarray:
        """Hessian of f at points (..., d), as (..., d, d)."""
        return self._at(x, _write, self.compiled.hess, self.dim, self.dim)

    def _at(self, x: ArrayLike, kernel: Any, formula: Any, *shape: int) -> np.ndarray:
        """A compiled formula at points (..., d), as (..., *shape)."""
        points, leading = _checks.points("x", x, self.dim)
        out = np.empty((len(points), *shape))
        kernel(points, self.params, out, formula)
        return out.reshape((*leading, *shape))

    def reach(self, x: ArrayLike, *, gamma: float, excess: float) -> np.ndarray:
        r"""Radius R of a ball around x outside which f and its penalty are high together.

        :math:`f(y) + |x-y|^2/(2\gamma) > f(x) + \text{excess}` whenever :math:`|x-y| > R`. With
        :math:`a = |x - \text{center}|` and :math:`\kappa = 1/(2\gamma) - C > 0`, the lower bound
        of f makes R the root of
        :math:`\kappa R^2 - 2CaR = f(x) + \text{excess} - \text{floor} + Ca^2`.

        Parameters
        ----------
        x : (..., d) array_like
        gamma : float
            Smoothing time, below 1/(2 growth).
        excess : float
            Nonnegative height above f(x).

        Returns
        -------
        (...) float64

        Raises
        ------
        ValueError
            If gamma >= 1/(2 growth): then no ball will do, and the Gibbs integral diverges.

        Examples
        --------
        >>> from relaxlib.landscapes import quadratic
        >>> float(quadratic(-1.0).reach(0.0, gamma=0.5, excess=2.0))
        2.0
        """
        gamma = _checks.positive("gamma", gamma)
        excess = _checks.nonnegative("excess", excess)
        kappa = 0.5 / gamma - self.growth
        if kappa <= 0.0:
            bound = f"gamma < 1/(2*growth) = {0.5 / self.growth:g}"
            fix = "the Gibbs integral of f(y) + |x-y|^2/(2 gamma) diverges: take a smaller gamma"
            _checks.reject("gamma", f"{gamma:g}", bound, fix)
        points, leading = _checks.points("x", x, self.dim)
        distance = np.linalg.norm(points - self.center, axis=1)
        drop = self.growth * distance
        height = self.value(points) + excess - self.floor + drop * distance
        radius = (drop + np.sqrt(drop**2 + kappa * np.maximum(height, 0.0))) / kappa
        return radius.reshape(leading)

    def __repr__(self) -> str:
        facts = f"{len(self.minima)} minima, {len(self.saddles)} saddles"
        constants = f"lipschitz={self.lipschitz:g}, convexity={self.convexity:g}"
        return f"<Landscape {self.name}: dim={self.dim}, {facts}, {constants}>"


def _machine_code(signature: Any, function: Callable) -> Any:
    in_catalogue = function.__module__ == Formula.__module__  # only these have a file to cache by
    return cfunc(signature, cache=in_catalogue, error_model="numpy")(function)


def _listed(name: str, points: ArrayLike, dim: int) -> np.ndarray:
    listed = _checks.array(name, points)
    if listed.size == 0 or (dim == 1 and listed.ndim == 1):
        listed = listed.reshape(-1, dim)
    return _checks.points(name, listed, dim)[0]


def sort_by_value(formula: Formula, params: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Points (n, d) in the order of increasing f; ties keep their order."""
    return points[np.argsort([formula.value(x, params) for x in points], kind="stable")]


@njit(cache=True)
def _evaluate(points, params, out, formula):
    for i in range(len(points)):
        out[i] = formula(points[i], params)


@njit(cache=True)
def _write(points, params, out, formula):
    for i in range(len(points)):
        formula(points[i], params, out[i])
