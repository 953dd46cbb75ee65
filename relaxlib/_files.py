"""Files that are written as a whole or not at all."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path


def replace_file(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` make a fresh file beside ``path`` that takes its place in one move.

    Whatever happens meanwhile, there is the old file or the new one. The name of the fresh file
    cannot be guessed, so that nobody and no other process has put something there.
    """
    fresh = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    try:
        write(fresh)
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)
