"""A file that keeps the finished runs of a call, for a call that goes on from there."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from relaxlib import _checks
from relaxlib._files import replace_file


def read_runs(path: Path, arguments: dict[str, Any]) -> dict[int, list[float]]:
    """The finished runs by number; none if there is no such file yet.

    A file that was written by a call with other arguments is rejected.
    """
    if path.is_dir():
        _checks.reject("checkpoint", path, "a file, not a folder", "add a file name")
    if not path.parent.is_dir():
        _checks.reject("checkpoint", path, "a folder that exists", "make it")
    if not path.exists():
        return {}
    try:
        stored = json.loads(path.read_text())
        theirs = [stored["arguments"][name] for name in arguments]
        done = {int(run): row for run, row in stored["runs"].items()}
    except (ValueError, LookupError, TypeError, AttributeError):
        _checks.reject("checkpoint", path, "a file of this function", "name another file")
    for (name, value), other in zip(arguments.items(), theirs, strict=True):
        if other != value:
            need = f"{name} = {other} as in that file, not {value}"
            _checks.reject("checkpoint", path, need, "pass the same, or name another file")
    return done


def write_runs(path: Path, arguments: dict[str, Any], done: dict[int, list[float]]) -> None:
    """Replace the file in one move, so that an interruption leaves the old one."""
    content = json.dumps({"arguments": arguments, "runs": done})
    replace_file(path, lambda fresh: fresh.write_text(content))


def digest(*arrays: np.ndarray) -> str:
    """A short name that tells whether arrays are the same."""
    return hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()[:16]
