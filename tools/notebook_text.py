"""Print a notebook as readable text: its cells with their metadata, sources and text outputs.

usage: python tools/notebook_text.py FILE

After `make dev` git compares notebooks by this text. So it is quick, needs nothing beyond Python,
and prints what is not a notebook as it stands.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

IMAGES = ("image/", "application/pdf")


def joined(text: str | list[str]) -> str:
    """A text of a notebook, which may be stored line by line."""
    return "".join(map(str, text)) if isinstance(text, list) else str(text)


def settings(metadata: dict, group: str = "") -> Iterator[str]:
    """Metadata as lines like `mystnb.figure.name: fig-wells`."""
    for name, value in metadata.items():
        if isinstance(value, dict):
            yield from settings(value, f"{group}{name}.")
        else:
            yield f"{group}{name}: {value}"


def block(title: str, metadata: dict, text: str | list[str]) -> str:
    """A title, the metadata, and the text below it."""
    return "\n".join([f"=== {title}", *settings(metadata), joined(text).rstrip("\n"), ""])


def output_texts(output: dict) -> Iterator[tuple[str, str | list[str]]]:
    """Name and text of what an output says: a stream, an error, or what is no image."""
    if "text" in output:
        yield output.get("name", "text"), output["text"]
    if "ename" in output:
        yield output["ename"], output.get("evalue", "")
    for mime, text in output.get("data", {}).items():
        if not mime.startswith(IMAGES):
            yield mime, text


def cell_blocks(cell: dict) -> Iterator[str]:
    """A cell and its outputs; the oldest notebooks call the source of code its input."""
    title = f"{cell['cell_type']} {cell.get('id', '')}".rstrip()
    yield block(title, cell.get("metadata", {}), cell.get("source", cell.get("input", "")))
    for output in cell.get("outputs", []):
        for name, text in output_texts(output):
            yield block(f"output {name}", output.get("metadata", {}), text)


def readable(stored: str) -> str:
    """The text of a notebook; what is no notebook comes back as it is."""
    try:
        notebook = json.loads(stored)
        sheets = notebook.get("worksheets", [notebook])
        cells = [cell for sheet in sheets for cell in sheet["cells"]]
        return "\n".join(text for cell in cells for text in cell_blocks(cell))
    except (AttributeError, KeyError, TypeError, ValueError):
        return stored


def main() -> None:
    stored = Path(sys.argv[1]).read_text(encoding="utf-8", errors="replace")
    sys.stdout.buffer.write(readable(stored).encode(errors="replace"))


if __name__ == "__main__":
    main()
