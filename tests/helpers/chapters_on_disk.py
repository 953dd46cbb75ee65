"""What the tests want to know of the notebooks."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]


def toc_pages() -> list[str]:
    """Pages of `_toc.yml` in reading order, without suffix."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text())
    return [toc["root"], *(c["file"] for part in toc["parts"] for c in part["chapters"])]


def notebooks() -> list[Path]:
    """The pages that are notebooks."""
    return [path for page in toc_pages() if (path := ROOT / f"{page}.ipynb").exists()]


def checked_ids(source: str) -> Iterator[str]:
    """Literal ids given to `check` in a code cell."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and getattr(node.func, "id", None) == "check":
            claim_id = node.args[0]
            assert isinstance(claim_id, ast.Constant), "the id given to check must be a literal"
            yield claim_id.value
