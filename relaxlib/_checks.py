"""Input errors, worded in one place: argument, value, condition, fix."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np
from numpy.typing import ArrayLike


def reject(name: str, value: object, condition: str, fix: str) -> NoReturn:
    """Raise the one ValueError of the library: ``name = value: need condition; fix``."""
    raise ValueError(f"{name} = {value}: need {condition}; {fix}")


def kind(name: str, value: object, *classes: type) -> None:
    """Reject a value that is of none of these classes."""
    if not isinstance(value, classes):
        wanted = " or ".join(entry.__name__ for entry in classes)
        door = classes[0].__module__.partition("._")[0]
        reject(name, shown(value), f"type {wanted}", f"see {door}")


def choice(name: str, value: str, options: Sequence[str]) -> None:
    """Reject what is not one of the words ``options``."""
    if not (isinstance(value, str) and value in options):
        reject(name, shown(value), f"one of {tuple(options)}", "choose one")


def flag(name: str, value: bool) -> bool:
    """Return ``value`` as a bool, or reject it unless it is one."""
    if not isinstance(value, bool | np.bool_):
        reject(name, shown(value), "True or False", f"pass {name} as a bool")
    return bool(value)


def function(name: str, value: object, arguments: str) -> None:
    """Reject what cannot be called."""
    if not callable(value):
        reject(name, shown(value), f"a function of {arguments}", "pass a def or a lambda")


def number(name: str, value: float, fix: str | None = None) -> float:
    """Return ``value`` as a float, or reject it unless it is one real number."""
    scalar = _plain(value)
    if scalar is None or scalar.ndim or scalar.dtype.kind == "b":
        reject(name, shown(value), "a real number", fix or f"pass {name} as a float")
    return float(scalar)


def positive(name: str, value: float, fix: str = "pass a positive number") -> float:
    """Return ``value`` as a float, or reject it unless 0 < value < inf."""
    scalar = number(name, value)
    if not 0.0 < scalar < np.inf:
        reject(name, f"{scalar:g}", f"0 < {name} < inf", fix)
    return scalar


def positives(**values: float) -> list[float]:
    """Return positive numbers, given by name, as floats."""
    return [positive(name, value) for name, value in values.items()]


def nonnegative(name: str, value: float, fix: str = "pass zero or a positive number") -> float:
    """Return ``value`` as a float, or reject it unless 0 <= value < inf."""
    scalar = number(name, value)
    if not 0.0 <= scalar < np.inf:
        reject(name, f"{scalar:g}", f"0 <= {name} < inf", fix)
    return scalar


def fraction(name: str, value: float, fix: str = "pass a fraction") -> float:
    """Return ``value`` as a float, or reject it unless 0 <= value < 1."""
    scalar = number(name, value, fix)
    if not 0.0 <= scalar < 1.0:
        reject(name, value, f"0 <= {name} < 1", fix)
    return scalar


def count(name: str, value: int, least: int = 1) -> int:
    """Return ``value`` as an int, or reject it unless it is an integer >= ``least``."""
    scalar = number(name, value, f"pass {name} as an int")
    if not (scalar.is_integer() and scalar >= least):
        reject(name, f"{scalar:g}", f"an integer >= {least}", "pass a larger integer")
    return int(scalar)


def array(name: str, value: object, fix: str = "pass floats") -> np.ndarray:
    """Return ``value`` as a float64 array, or reject it unless its entries are real numbers."""
    found = _plain(value)
    if found is None:
        reject(name, shown(value), "an array of real numbers", fix)
    return found.astype(np.float64, copy=False)


def _plain(value: object) -> np.ndarray | None:
    """An array of booleans, integers or floats, else None: also for numbers in quotes."""
    try:
        found = np.asarray(value)
    except (TypeError, ValueError, RuntimeError):  # ragged lists, tensors with a history
        return None
    return found if found.dtype.kind in "biuf" else None


def shown(value: object) -> str:
    """The repr of a value, cut to one line."""
    return textwrap.shorten(repr(value), 80, placeholder=" ...")


def point(name: str, x: object, dim: int) -> np.ndarray:
    """Return one finite point as a float64 array (dim,); in one dimension a float will do."""
    found, leading = points(name, x, dim)
    if leading:
        reject(f"{name}.shape", (*leading, dim), f"one point ({dim},)", "pass one at a time")
    return found[0]


def points(name: str, x: object, dim: int) -> tuple[np.ndarray, tuple[int, ...]]:
    """Return finite points as a float64 array (n, dim) and the leading shape of ``x``.

    The last axis of ``x`` holds the coordinates; in one dimension a bare float is a point.
    """
    fix = f"put the {dim} coordinates on the last axis"
    found = array(name, x, fix)
    if found.ndim == 0 and dim == 1:
        found = found[None]
    if found.ndim == 0 or found.shape[-1] != dim:
        if dim == 1:
            fix += f", for example {name}[..., None]"
        reject(f"{name}.shape", found.shape, f"a trailing axis of length {dim}", fix)
    finite(name, found)
    return np.ascontiguousarray(found.reshape(-1, dim)), found.shape[:-1]


def starts(name: str, x: ArrayLike, dim: int, paths: int | None) -> np.ndarray:
    """Return the starts (n, dim) of n paths, given one for all of them or one for each."""
    found, leading = points(name, x, dim)
    if len(leading) > 1 or not len(found):
        reject(f"{name}.shape", np.shape(x), "one start (d,) or starts (n, d)", "reshape it")
    if paths is None:
        return found
    paths = count("paths", paths)
    if len(found) not in (1, paths):
        need = f"one start, or the {len(found)} of {name}"
        reject("paths", paths, need, "leave paths out")
    return np.broadcast_to(found, (paths, dim))


def divisor(name: str, value: int | None, whole: str, total: int) -> int:
    """Return a divisor of ``total``, the value of ``whole``, as an int; zero for None."""
    if value is None:
        return 0
    part = count(name, value)
    if total % part:
        reject(name, part, f"a divisor of {whole} = {total}", "change one of them")
    return part


def rows(name: str, value: object) -> np.ndarray:
    """Return a finite float64 array (n, m) that is not empty."""
    found = array(name, value)
    if found.ndim != 2 or not found.size:
        reject(f"{name}.shape", found.shape, f"{name} (n, m)", "pass one row for each example")
    finite(name, found)
    return np.ascontiguousarray(found)


def finite(name: str, values: np.ndarray) -> None:
    """Reject an array with a NaN or an infinite entry, and say where the first one is."""
    bad = ~np.isfinite(values)
    if bad.any():
        first = tuple(int(i) for i in np.argwhere(bad)[0])
        place = f"{name}{list(first)}" if first else name
        reject(place, values[first], "finite entries", f"mend {bad.sum()} of them")


def values_on(expected: tuple[int, ...], values: object, name: str = "values") -> np.ndarray:
    """Return finite values on the nodes of a grid as a contiguous float64 array of its shape."""
    found = np.ascontiguousarray(array(name, values, "for a function f pass grid.sample(f)"))
    shape(name, found, expected, f"reshape {name}, or compute it on this grid")
    finite(name, found)
    return found


def nonnegative_on(shape: tuple[int, ...], values: object, name: str) -> np.ndarray:
    """Return nonnegative values on a grid as `values_on` does."""
    found = values_on(shape, values, name)
    if found.min() < 0.0:
        reject(f"min {name}", f"{found.min():g}", f"{name} >= 0", "clip it, then divide")
    return found


def density_on(volumes: np.ndarray, values: object, name: str, owner: str) -> np.ndarray:
    """Return a nonnegative density of mass one in cells of these volumes."""
    found = nonnegative_on(volumes.shape, values, name)
    total = float((found * volumes).sum())
    if abs(total - 1.0) > 1e-6:
        fix = f"divide by ({name} * {owner}.volumes).sum()"
        reject(f"mass of {name}", f"{total:.8g}", f"mass 1 in the {owner}'s cells", fix)
    return found


def mask(
    name: str, values: object, expected: tuple[int, ...], need: str = "a boolean array"
) -> np.ndarray:
    """Return a contiguous boolean array of the shape of a grid."""
    found = np.ascontiguousarray(values)
    if found.dtype != np.bool_:
        reject(name, shown(values), need, "compare values with a level")
    shape(name, found, expected)
    return found


def keeps_mass(boundary: str, fix: str) -> None:
    """Reject walls that absorb."""
    if boundary == "absorbing":
        reject("operator", "absorbing", "a chain that keeps its mass", fix)


def fits(name: str, dim: int, other: str, expected: int) -> None:
    """Reject two dimensions that differ."""
    if dim != expected:
        reject(name, dim, f"{other} = {expected}", "match them")


def increasing_times(name: str, t: object) -> np.ndarray:
    """Return one time or increasing times as a float64 array (k,), nonnegative and finite."""
    times = np.atleast_1d(array(name, t))
    finite(name, times)
    if times.ndim != 1 or not len(times):
        reject(f"{name}.shape", times.shape, "one time or a sequence of times", "flatten it")
    if times[0] < 0.0:
        reject(name, f"{times[0]:g}", f"{name} >= 0", "start at zero or later")
    if not np.all(np.diff(times) > 0.0):
        reject(name, times.tolist(), "strictly increasing times", "sort them, drop repetitions")
    return times


def even_times(name: str, times: np.ndarray) -> float:
    """Return the step of evenly spaced times (k,), at least two of them."""
    gaps = np.diff(times)
    if not (len(gaps) and np.ptp(gaps) <= 1e-9 * gaps.max()):
        reject(name, len(times), "2 or more even times", "solve for them")
    return float(gaps[0])


def stable_step(dt: float, bounds: np.ndarray, places: np.ndarray) -> None:
    """Reject a step that is not below Euler's bounds (n,) at the starts (n, d)."""
    least = int(np.argmin(bounds))
    bound, place = bounds[least], f"at the start {places[least].tolist()}"
    if bound == 0.0:
        reject("drift", "nan or inf", f"a finite drift {place}", "move the start")
    if dt >= bound:
        need = f"dt < {bound:.3g}, the stability bound of Euler's step {place}"
        reject("dt", f"{dt:g}", need, "take a smaller dt")


def shape(name: str, values: np.ndarray, expected: Sequence[int], fix: str = "reshape it") -> None:
    """Reject an array whose shape is not ``expected``."""
    if values.shape != tuple(expected):
        reject(f"{name}.shape", values.shape, f"{name}.shape = {tuple(expected)}", fix)


def corners(lower: object, upper: object) -> tuple[np.ndarray, np.ndarray]:
    """Return the opposite corners of a box as float64 arrays (d,), lower < upper."""
    first, last = np.atleast_1d(array("lower", lower), array("upper", upper))
    if first.ndim != 1 or first.shape != last.shape or not first.size:
        sizes = f"{first.shape}, {last.shape}"
        reject("lower, upper", f"shapes {sizes}", "two corners (d,)", "give d entries in each")
    if not np.all(first < last):
        boxes = f"{first.tolist()}, {last.tolist()}"
        reject("lower, upper", boxes, "lower < upper on every axis", "swap them")
    return first, last


def box(name: str, value: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the corners (d,) of a finite box, given as a pair (lower, upper)."""
    try:
        lower, upper = value
    except (TypeError, ValueError):
        reject(name, shown(value), "two corners (lower, upper)", "pass a pair")
    first, last = corners(lower, upper)
    finite(name, np.array([first, last]))
    return first, last


def square(name: str, matrix: object, dim: int | None = None) -> np.ndarray:
    """Return a finite float64 array (d, d); a float is one of (1, 1)."""
    found = np.atleast_2d(array(name, matrix))
    shape(name, found, (dim or len(found) or 1,) * 2, "pass a square matrix (d, d)")
    finite(name, found)
    return found


def covariance(name: str, matrix: object, dim: int | None = None) -> np.ndarray:
    """Return a symmetric float64 array (d, d) without negative eigenvalues, up to rounding."""
    found = square(name, matrix, dim)
    symmetric(name, found)
    lowest, highest = np.linalg.eigvalsh(found)[[0, -1]]
    if lowest < -1e-12 * abs(highest):
        reject(f"least eigenvalue of {name}", f"{lowest:.3g}", f"{name} >= 0", "it is a covariance")
    return found


def symmetric(name: str, matrix: np.ndarray) -> None:
    """Reject a matrix that is not square, finite and symmetric."""
    if matrix.ndim != 2 or not matrix.size:
        reject(f"{name}.shape", matrix.shape, "a square matrix (d, d)", "reshape it")
    shape(name, matrix, (len(matrix), len(matrix)))
    finite(name, matrix)
    gap = np.abs(matrix - matrix.T).max()
    if gap > 1e-12 * np.abs(matrix).max():
        fix = "average it with its transpose"
        reject(f"|{name} - {name}^T|", f"{gap:g}", f"{name} symmetric", fix)
