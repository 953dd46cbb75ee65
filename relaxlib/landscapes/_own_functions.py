"""A reader's own functions as point formulas: compiled early, and their derivatives checked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit

from relaxlib import _checks
from relaxlib._lanes.compilation import MATRIX, POINT, SCALAR, VECTOR, compile_own
from relaxlib.landscapes._formulas import Formula

_STEP = np.finfo(np.float64).eps ** (1 / 3)
_NO_PARAMS = np.empty(0)


def point_formulas(value: Callable, grad: Callable, hess: Callable | None, *, dim: int) -> Formula:
    """Point formulas from functions without parameters, in one dimension from scalar functions.

    Parameters
    ----------
    value, grad, hess : function
        value(x) -> float, grad(x, out) and hess(x, out) at x (d,); for ``dim`` = 1 the scalar
        functions f, f' and f''. Without ``hess``, central differences of ``grad``.
    dim : int

    Returns
    -------
    Formula

    Raises
    ------
    ValueError
        If numba cannot compile a function.
    """
    on_the_line = dim == 1
    f = compile_own("value", value, SCALAR if on_the_line else POINT)
    slope = compile_own("grad", grad, SCALAR if on_the_line else VECTOR)
    curvature = hess and compile_own("hess", hess, SCALAR if on_the_line else MATRIX)
    return _on_the_line(f, slope, curvature) if on_the_line else _in_space(f, slope, curvature)


def _on_the_line(f: Any, slope: Any, curvature: Any) -> Formula:
    def value(x, params):
        return f(x[0])

    def grad(x, params, out):
        out[0] = slope(x[0])

    def hess(x, params, out):
        out[0, 0] = curvature(x[0])

    def slope_difference(x, params, out):  # compiles and runs many times faster than `_differences`
        step = _STEP * max(1.0, abs(x[0]))
        out[0, 0] = (slope(x[0] + step) - slope(x[0] - step)) / (2.0 * step)

    return Formula(value, grad, hess if curvature else slope_difference)


def _in_space(f: Any, gradient: Any, hessian: Any) -> Formula:
    hessian = hessian or _differences(gradient)
    return Formula(
        lambda x, params: f(x),
        lambda x, params, out: gradient(x, out),
        lambda x, params, out: hessian(x, out),
    )


def _differences(gradient: Any) -> Any:
    """Return the symmetrized central differences of a gradient, hess(x, out)."""

    @njit(error_model="numpy")
    def hessian(x, out):
        moved, ahead, behind = x.copy(), np.empty_like(x), np.empty_like(x)
        for k in range(len(x)):
            step = _STEP * max(1.0, abs(x[k]))
            moved[k] = x[k] + step
            gradient(moved, ahead)
            moved[k] = x[k] - step
            gradient(moved, behind)
            moved[k] = x[k]
            for i in range(len(x)):
                out[k, i] = (ahead[i] - behind[i]) / (2.0 * step)
        for k in range(len(x)):
            for i in range(k):
                out[k, i] = out[i, k] = (out[k, i] + out[i, k]) / 2.0

    return hessian


def check_derivatives(formula: Formula, places: np.ndarray) -> None:
    """Reject a gradient or a Hessian that central differences contradict at ``places`` (n, d)."""

    def value(x):
        return formula.value(x, _NO_PARAMS)

    def grad(x):
        out = np.empty(x.size)
        formula.grad(x, _NO_PARAMS, out)
        return out

    def hess(x):
        out = np.empty((x.size, x.size))
        formula.hess(x, _NO_PARAMS, out)
        return out

    _compare(value, grad, places)
    _compare(grad, hess, places)


def _compare(function: Callable, derivative: Callable, places: np.ndarray) -> None:
    values, claimed = (np.array([f(x) for x in places]) for f in (function, derivative))
    steps = _STEP * np.maximum(1.0, np.abs(places))
    shifts = steps[:, :, None] * np.eye(places.shape[1])
    with np.errstate(invalid="ignore"):  # an infinite loss has no derivative to compare
        gaps = [
            [function(x + shift) - function(x - shift) for shift in row]
            for x, row in zip(places, shifts, strict=True)
        ]
    expected = (np.array(gaps).T / (2.0 * steps).T).T
    finite = np.isfinite(expected)
    largest = np.max(np.abs(expected), initial=0.0, where=finite)
    scale = np.max(np.abs(values), initial=0.0, where=np.isfinite(values))
    wrong = finite & ~(np.abs(claimed - expected) <= 1e-4 * largest + 100.0 * _STEP**2 * scale)
    if wrong.any():
        place, *entry = index = tuple(int(i) for i in np.argwhere(wrong)[0])
        name, known = derivative.__name__, function.__name__
        need = f"{expected[index]:.6g}, the central difference of {known}"
        where = f"{name}({places[place].tolist()}){entry}"
        _checks.reject(where, f"{claimed[index]:.6g}", need, f"mend {name} or {known}")


def lower_bound(formula: Formula, places: np.ndarray, growth: float, center: np.ndarray) -> float:
    """Smallest f + growth |x - center|^2 over the ``places`` (n, d); reject NaN and -inf."""
    values = np.array([formula.value(x, _NO_PARAMS) for x in places])
    bad = np.isnan(values) | (values == -np.inf)
    if bad.any():
        x = places[bad][0].tolist()
        _checks.reject(f"value({x})", values[bad][0], "a number above -inf", "mend it in the box")
    lowest = np.min(values + growth * ((places - center) ** 2).sum(axis=1))
    if lowest == np.inf:
        _checks.reject("min value", lowest, "a finite value in the box", "move the box")
    return float(lowest)
