"""Input errors, worded in one place: argument, value, condition, fix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

import numpy as np


def reject(name: str, value: object, condition: str, fix: str) -> NoReturn:
    """Raise the one ValueError of the library: ``name = value: need condition; fix``."""
    raise ValueError(f"{name} = {value}: need {condition}; {fix}")


def positive(name: str, value: float, fix: str = "pass a positive number") -> float:
    """Return ``value`` as a float, or reject it unless 0 < value < inf."""
    number = _number(name, value)
    if not 0.0 < number < np.inf:
        reject(name, f"{number:g}", f"0 < {name} < inf", fix)
    return number


def nonnegative(name: str, value: float, fix: str = "pass zero or a positive number") -> float:
    """Return ``value`` as a float, or reject it unless 0 <= value < inf."""
    number = _number(name, value)
    if not 0.0 <= number < np.inf:
        reject(name, f"{number:g}", f"0 <= {name} < inf", fix)
    return number


def count(name: str, value: int, least: int = 1) -> int:
    """Return ``value`` as an int, or reject it unless it is an integer >= ``least``."""
    number = _number(name, value)
    if not (number.is_integer() and number >= least):
        reject(name, f"{number:g}", f"an integer >= {least}", "pass a larger integer")
    return int(number)


def _number(name: str, value: float) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        reject(name, repr(value), "a real number", f"pass {name} as a float")


def points(name: str, x: object, dim: int) -> tuple[np.ndarray, tuple[int, ...]]:
    """Return finite points as a float64 array (n, dim) and the leading shape of ``x``.

    The last axis of ``x`` holds the coordinates; in one dimension a bare float is a point.
    """
    try:
        array = np.asarray(x, dtype=np.float64)
    except (TypeError, ValueError):
        reject(name, repr(x), "an array of numbers", f"put the {dim} coordinates on the last axis")
    if array.ndim == 0 and dim == 1:
        array = array[None]
    if array.ndim == 0 or array.shape[-1] != dim:
        fix = f"put the {dim} coordinates on the last axis"
        if dim == 1:
            fix += f", for example {name}[..., None]"
        reject(f"{name}.shape", array.shape, f"a trailing axis of length {dim}", fix)
    finite(name, array)
    return np.ascontiguousarray(array.reshape(-1, dim)), array.shape[:-1]


def finite(name: str, array: np.ndarray) -> None:
    """Reject an array with a NaN or an infinite entry, and say where the first one is."""
    bad = ~np.isfinite(array)
    if bad.any():
        first = tuple(int(i) for i in np.argwhere(bad)[0])
        place = f"{name}{list(first)}" if first else name
        reject(place, array[first], "finite entries", f"mend {bad.sum()} of them")


def values_on(grid: object, values: object, name: str = "values") -> np.ndarray:
    """Return finite grid values as a contiguous float64 array of shape ``grid.shape``."""
    array = np.ascontiguousarray(values, dtype=np.float64)
    shape(name, array, grid.shape, f"reshape {name}, or compute it on this grid")
    finite(name, array)
    return array


def increasing_times(name: str, t: object) -> np.ndarray:
    """Return one time or increasing times as a float64 array (k,), nonnegative and finite."""
    times = np.atleast_1d(np.asarray(t, dtype=np.float64))
    finite(name, times)
    if times.ndim != 1 or not len(times):
        reject(f"{name}.shape", times.shape, "one time or a sequence of times", "flatten it")
    if times[0] < 0.0:
        reject(name, f"{times[0]:g}", f"{name} >= 0", "start at zero or later")
    if not np.all(np.diff(times) > 0.0):
        reject(name, times.tolist(), "strictly increasing times", "sort them, drop repetitions")
    return times


def shape(name: str, array: np.ndarray, expected: Sequence[int], fix: str = "reshape it") -> None:
    """Reject an array whose shape is not ``expected``."""
    if array.shape != tuple(expected):
        reject(f"{name}.shape", array.shape, f"{name}.shape = {tuple(expected)}", fix)


def corners(lower: object, upper: object) -> tuple[np.ndarray, np.ndarray]:
    """Return the opposite corners of a box as float64 arrays (d,), lower < upper."""
    first, last = (np.atleast_1d(np.asarray(corner, np.float64)) for corner in (lower, upper))
    if first.ndim != 1 or first.shape != last.shape:
        sizes = f"{first.shape}, {last.shape}"
        reject("lower, upper", f"shapes {sizes}", "two corners (d,)", "give d entries in each")
    if not np.all(first < last):
        boxes = f"{first.tolist()}, {last.tolist()}"
        reject("lower, upper", boxes, "lower < upper on every axis", "swap them")
    return first, last


def symmetric(name: str, matrix: np.ndarray) -> None:
    """Reject a matrix that is not square, finite and symmetric."""
    shape(name, matrix, (len(matrix), len(matrix)))
    finite(name, matrix)
    gap = np.abs(matrix - matrix.T).max()
    if gap > 1e-12 * np.abs(matrix).max():
        reject(
            f"|{name} - {name}^T|", f"{gap:g}", f"{name} symmetric", "average it with its transpose"
        )
