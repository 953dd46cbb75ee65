"""A reader's own functions as point formulas: compiled early, and their derivatives checked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import FunctionType

import numpy as np
from numba import float64, njit, void

from relaxlib import _checks
from relaxlib.landscapes._formulas import Formula

_STEP = np.finfo(np.float64).eps ** (1 / 3)
_SCALAR = float64(float64)
_POINT = float64(float64[:])
_VECTOR = void(float64[:], float64[:])
_MATRIX = void(float64[:], float64[:, :])
_SCALAR_IN_TIME = float64(float64, float64)
_VECTOR_IN_TIME = void(float64[:], float64, float64[:])
_MATRIX_IN_TIME = void(float64[:], float64, float64[:, :])
_CONTROL = float64(float64, float64[:], float64[:])
_ARGUMENTS = {
    _SCALAR: "x",
    _POINT: "x",
    _VECTOR: "x, out",
    _MATRIX: "x, out",
    _SCALAR_IN_TIME: "x, t",
    _VECTOR_IN_TIME: "x, t, out",
    _MATRIX_IN_TIME: "x, t, out",
    _CONTROL: "t, x, y",
}
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
    if dim == 1:
        f, slope = _compile("value", value, _SCALAR), _compile("grad", grad, _SCALAR)
        curvature = None if hess is None else _compile("hess", hess, _SCALAR)
        return _on_the_line(f, slope, curvature)
    f, gradient = _compile("value", value, _POINT), _compile("grad", grad, _VECTOR)
    hessian = _differences(gradient) if hess is None else _compile("hess", hess, _MATRIX)
    return Formula(
        lambda x, params: f(x),
        lambda x, params, out: gradient(x, out),
        lambda x, params, out: hessian(x, out),
    )


def drift_formula(drift: Callable, dim: int) -> Callable:
    """Point formula of drift(x, t, out), in one dimension of the scalar function b(x, t)."""
    if dim > 1:
        vector = _compile("drift", drift, _VECTOR_IN_TIME)
        return lambda x, t, params, out: vector(x, t, out)
    scalar = _compile("drift", drift, _SCALAR_IN_TIME)

    def on_the_line(x, t, params, out):
        out[0] = scalar(x[0], t)

    return on_the_line


def noise_formula(noise: Callable, dim: int) -> Callable:
    """Point formula of noise(x, t, out), in one dimension of the scalar function S(x, t)."""
    if dim > 1:
        matrix = _compile("noise", noise, _MATRIX_IN_TIME)
        return lambda x, t, params, out: matrix(x, t, out)
    scalar = _compile("noise", noise, _SCALAR_IN_TIME)

    def on_the_line(x, t, params, out):
        out[0, 0] = scalar(x[0], t)

    return on_the_line


def covariance_formula(noise_cov: Callable, dim: int) -> Callable:
    """covariance(x, out) of noise_cov(x, out), in one dimension of the scalar function Q(x)."""
    if dim > 1:
        return _compile("noise_cov", noise_cov, _MATRIX).py_func
    scalar = _compile("noise_cov", noise_cov, _SCALAR)

    def on_the_line(x, out):
        out[0, 0] = scalar(x[0])

    return on_the_line


def control_formula(control: Callable) -> Callable:
    """The function control(t, x, y) -> float of points x and y, known to compile."""
    return _compile("control", control, _CONTROL).py_func


def _compile(name: str, function: Callable, signature: object) -> Callable:
    plain = getattr(function, "py_func", function)
    if not isinstance(plain, FunctionType):
        _checks.reject(name, repr(function), "a Python function", "wrap it in a def")
    if plain.__code__.co_argcount != len(signature.args):
        needed = f"the arguments ({_ARGUMENTS[signature]})"
        _checks.reject(name, plain.__name__, needed, "see from_functions")
    try:
        return njit(signature, error_model="numpy")(plain)
    except Exception as error:  # numba raises NumbaError, AttributeError and others
        reason = next(line for line in str(error).splitlines() if not line.startswith("Failed in"))
        line = getattr(getattr(error, "loc", None), "line", plain.__code__.co_firstlineno)
        place = f"{plain.__name__} ({Path(plain.__code__.co_filename).name}, line {line})"
        fix = f"{reason.rstrip('.')}: use floats, loops, math and numpy, and njit what it calls"
        _checks.reject(name, place, "Python that numba compiles", fix)


def _on_the_line(f: Callable, slope: Callable, curvature: Callable | None) -> Formula:
    def value(x, params):
        return f(x[0])

    def grad(x, params, out):
        out[0] = slope(x[0])

    def hess(x, params, out):
        out[0, 0] = curvature(x[0])

    def slope_difference(x, params, out):
        step = _STEP * max(1.0, abs(x[0]))
        out[0, 0] = (slope(x[0] + step) - slope(x[0] - step)) / (2.0 * step)

    return Formula(value, grad, slope_difference if curvature is None else hess)


def _differences(gradient: Callable) -> Callable:
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

    _compare(("value", value), ("grad", grad), places)
    _compare(("grad", grad), ("hess", hess), places)


def _compare(known: tuple[str, Callable], claim: tuple[str, Callable], places: np.ndarray) -> None:
    (known_name, function), (name, derivative) = known, claim
    claimed = np.array([derivative(x) for x in places])
    expected, scale = np.empty_like(claimed), 0.0
    for x, row in zip(places, expected, strict=True):
        for k, step in enumerate(_STEP * np.maximum(1.0, np.abs(x))):
            shift = step * np.eye(x.size)[k]
            ahead, behind = function(x + shift), function(x - shift)
            with np.errstate(invalid="ignore"):  # an infinite loss has no derivative to compare
                row[k] = (ahead - behind) / (2.0 * step)
            scale = max(scale, np.max(np.abs(ahead), initial=0.0, where=np.isfinite(ahead)))
    largest = np.max(np.abs(expected), initial=0.0, where=np.isfinite(expected))
    tolerance = 1e-4 * largest + 100.0 * _STEP**2 * scale
    wrong = np.isfinite(expected) & ~(np.abs(claimed - expected) <= tolerance)
    if wrong.any():
        place, *entry = (int(i) for i in np.argwhere(wrong)[0])
        index = (place, *entry)
        need = f"{expected[index]:.6g}, the central difference of {known_name}"
        where = f"{name}({places[place].tolist()}){entry}"
        _checks.reject(where, f"{claimed[index]:.6g}", need, f"mend {name} or {known_name}")


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
