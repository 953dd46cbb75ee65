"""The house of relaxlib as its files tell it: rooms, doors, public names, imports."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "relaxlib"
FILES = sorted(path.relative_to(FOLDER) for path in FOLDER.rglob("*.py"))


@cache
def tree(file: Path) -> ast.Module:
    """The syntax tree of a file of the house."""
    return ast.parse((FOLDER / file).read_text(encoding="utf-8"))


def module(file: Path) -> str:
    """The module that a file is, below relaxlib; empty for relaxlib itself."""
    parts = file.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room(name: str) -> str:
    """The package or flat module at the top that a module belongs to."""
    return name.partition(".")[0]


def exists(name: str) -> bool:
    """Whether there is a module of this name below relaxlib."""
    place = FOLDER.joinpath(*name.split("."))
    return place.with_suffix(".py").exists() or (place / "__init__.py").exists()


def is_public(name: str) -> bool:
    """Whether no part of a module's name begins with an underscore."""
    return not any(part.startswith("_") for part in name.split("."))


def imports(file: Path) -> Iterator[tuple[str, str | None]]:
    """Pairs (module, name) that a file imports from relaxlib; no name where it is a module."""
    for node in ast.walk(tree(file)):
        if isinstance(node, ast.ImportFrom) and node.module:
            top, _, source = node.module.partition(".")
            for alias in node.names if top == "relaxlib" else ():
                inner = f"{source}.{alias.name}".lstrip(".")
                yield (inner, None) if exists(inner) else (source, alias.name)


def public_names(file: Path) -> list[str]:
    """What the `__all__` of a file holds."""
    for node in tree(file).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
            return ast.literal_eval(node.value)
    return []


@cache
def doors() -> dict[str, list[str]]:
    """The public names of every door, by its module below relaxlib."""
    found = {module(file): public_names(file) for file in FILES if is_public(module(file))}
    return {name: public for name, public in found.items() if public}


def room_imports() -> dict[str, set[str]]:
    """Which rooms every room imports, itself left out."""
    graph: dict[str, set[str]] = {room(module(file)): set() for file in FILES if module(file)}
    for file in FILES:
        here = room(module(file))
        if here:
            graph[here] |= {room(source) for source, _ in imports(file)} - {here}
    return graph
