"""What the tests want to know of the house: its files, its doors and what they name."""

from __future__ import annotations

import ast
import importlib
from functools import cache
from pathlib import Path

import relaxlib

FOLDER = Path(relaxlib.__file__).parent
FILES = sorted(path.relative_to(FOLDER) for path in FOLDER.rglob("*.py"))


def tree(file: Path) -> ast.Module:
    """The syntax tree of a file of the house."""
    return ast.parse((FOLDER / file).read_text(encoding="utf-8"))


def module(file: Path) -> str:
    """The module that a file is, below relaxlib; empty for relaxlib itself."""
    parts = file.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def exists(name: str) -> bool:
    """Whether there is a module of this name below relaxlib."""
    place = FOLDER.joinpath(*name.split("."))
    return place.with_suffix(".py").exists() or (place / "__init__.py").exists()


def is_public(name: str) -> bool:
    """Whether no part of a module's name begins with an underscore."""
    return not any(part.startswith("_") for part in name.split("."))


@cache
def doors() -> dict[str, tuple[str, ...]]:
    """The public names of every door, by its module below relaxlib."""
    rooms = [name for file in FILES if (name := module(file)) and is_public(name)]
    found = {
        name: getattr(importlib.import_module(f"relaxlib.{name}"), "__all__", ()) for name in rooms
    }
    return {name: tuple(public) for name, public in found.items() if public}
