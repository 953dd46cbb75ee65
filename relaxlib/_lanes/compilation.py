"""How functions are compiled: numba's options, and a reader's own functions, refused in words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import FunctionType
from typing import Any, NamedTuple

from numba import float64, njit, void

from relaxlib import _checks

FASTMATH = {"contract", "nsz", "arcp"}  # never True: integer bits are taken for floats and back
FORMULA: dict[str, Any] = {"error_model": "numpy", "fastmath": FASTMATH}
OPTIONS = FORMULA | {"nogil": True, "cache": True}
LOOP = OPTIONS | {"_nrt": False}  # of a loop that allocates nothing: without counting references
INLINE = LOOP | {"inline": "always"}  # of a step in such a loop


class Signature(NamedTuple):
    """Types of a compiled function, and the names of its arguments."""

    types: Any
    arguments: str


SCALAR = Signature(float64(float64), "x")
POINT = Signature(float64(float64[:]), "x")
VECTOR = Signature(void(float64[:], float64[:]), "x, out")
MATRIX = Signature(void(float64[:], float64[:, :]), "x, out")
SCALAR_IN_TIME = Signature(float64(float64, float64), "x, t")
VECTOR_IN_TIME = Signature(void(float64[:], float64, float64[:]), "x, t, out")
MATRIX_IN_TIME = Signature(void(float64[:], float64, float64[:, :]), "x, t, out")


def compiled(formula: Callable) -> Any:
    """A formula for use in others: it allocates nothing, so that blocks of paths vectorize."""
    return njit(**FORMULA | {"_nrt": False})(formula)


def compile_own(name: str, function: Callable, signature: Signature) -> Any:
    """Compile a reader's function at once, or reject it with the line that numba names."""
    plain = getattr(function, "py_func", function)
    if not isinstance(plain, FunctionType):
        _checks.reject(name, repr(function), "a Python function", "wrap it in a def")
    if plain.__code__.co_argcount != len(signature.types.args):
        needed = f"the arguments ({signature.arguments})"
        _checks.reject(name, plain.__name__, needed, "see from_functions")
    try:
        return njit(signature.types, error_model="numpy")(plain)
    except Exception as error:  # numba raises NumbaError, AttributeError and others
        reason = next(line for line in str(error).splitlines() if not line.startswith("Failed in"))
        line = getattr(getattr(error, "loc", None), "line", plain.__code__.co_firstlineno)
        place = f"{plain.__name__} ({Path(plain.__code__.co_filename).name}, line {line})"
        fix = f"{reason.rstrip('.')}: use floats, loops, math and numpy, and njit what it calls"
        _checks.reject(name, place, "Python that numba compiles", fix)
