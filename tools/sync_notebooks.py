"""Execute the chapters and store their text outputs, or look after the stored form only.

usage: python tools/sync_notebooks.py [--form | --check] [notebook ...]

Stored are text outputs; never images, which a fresh run draws again. Who changes one cell changes
its lines and no others: a cell's id is a hash of its content, and each execution count is 1, since
running numbers would change in every cell behind an inserted one. A count is never null, for nbval
compares nothing in a cell that has none. `--form` is for an edit of prose: it puts ids, counts and
metadata in order and keeps the outputs. Whether these are right, `make validate` says.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import nbformat
import yaml
from nbclient import NotebookClient
from tqdm import tqdm

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ("image/png", "image/jpeg", "image/svg+xml", "application/pdf")
CELL_METADATA = ("tags", "mystnb")
FIX = "run `make sync`, or `python tools/sync_notebooks.py --form`, which executes nothing"
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python", "file_extension": ".py", "mimetype": "text/x-python"},
}


def notebooks() -> list[Path]:
    """The notebooks of `_toc.yml`, in reading order."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text())
    pages = [toc["root"]]
    pages += [chapter["file"] for part in toc["parts"] for chapter in part["chapters"]]
    return [path for page in pages if (path := ROOT / f"{page}.ipynb").exists()]


def execute(path: Path) -> nbformat.NotebookNode:
    """Run a notebook in its own folder and return it; a cell that raises stops it."""
    notebook = nbformat.read(path, as_version=4)
    place = {"metadata": {"path": path.parent}}
    return NotebookClient(notebook, timeout=300, coalesce_streams=True, resources=place).execute()


def content_ids(notebook: nbformat.NotebookNode) -> list[str]:
    """Ids of the cells: a short hash of type and source; a repeated cell gets -2, -3, ..."""
    seen: Counter[str] = Counter()
    ids = []
    for cell in notebook.cells:
        content = f"{cell.cell_type}\n{cell.source}"
        short = hashlib.sha256(content.encode()).hexdigest()[:8]
        seen[short] += 1
        ids.append(f"{short}-{seen[short]}" if seen[short] > 1 else short)
    return ids


def normalize(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Keep what nbval compares and a reader needs; drop images and everything that changes."""
    notebook.nbformat_minor = 5
    notebook.metadata = nbformat.from_dict(METADATA)
    for cell, identity in zip(notebook.cells, content_ids(notebook), strict=True):
        cell.id = identity
        kept = {key: cell.metadata[key] for key in CELL_METADATA if key in cell.metadata}
        cell.metadata = nbformat.from_dict(kept)
        if cell.cell_type == "code":
            normalize_outputs(cell)
    return notebook


def normalize_outputs(cell: nbformat.NotebookNode) -> None:
    """Keep the text of a code cell's outputs; every count is 1, but a cell never run has none."""
    if cell.execution_count is not None:
        cell.execution_count = 1
    for output in cell.outputs:
        if output.output_type == "execute_result":
            output.execution_count = 1
        if output.output_type == "error":
            output.traceback = []
        for mime in IMAGES:
            output.get("data", {}).pop(mime, None)
        if "metadata" in output:
            output.metadata = nbformat.from_dict(
                {k: v for k, v in output.metadata.items() if k == "scrapbook"}
            )


def text(notebook: nbformat.NotebookNode) -> str:
    """What the file of a notebook contains."""
    return nbformat.writes(notebook) + "\n"


def cell_complaints(cell: nbformat.NotebookNode, identity: str) -> Iterator[str]:
    """What keeps a stored cell from being reviewed."""
    if not cell.source.strip():
        yield "is empty: delete it"
    elif cell.get("id") != identity:
        yield f"should have the id {identity}: {FIX}"
    if cell.cell_type == "code":
        yield from code_complaints(cell)


def code_complaints(cell: nbformat.NotebookNode) -> Iterator[str]:
    """What keeps a stored code cell from being validated."""
    if cell.execution_count is None:
        yield "has no execution count, so nothing would be compared: run `make sync`"
    elif cell.execution_count != 1:
        yield f"has the execution count {cell.execution_count}, not 1: {FIX}"
    for output in cell.outputs:
        if output.output_type == "execute_result" and output.execution_count != 1:
            yield f"has a result with the execution count {output.execution_count}, not 1: {FIX}"
        if output.get("name") == "stderr":
            yield f"wrote to stderr: {output.text.strip()[:200]}"
        for mime in IMAGES:
            if mime in output.get("data", {}):
                yield f"stores an image, {mime}: {FIX}"


def complaints(path: Path) -> list[str]:
    """What keeps the stored notebook from being validated and reviewed."""
    notebook = nbformat.read(path, as_version=4)
    found = [
        f"cell {cell.get('id')} {complaint}"
        for cell, identity in zip(notebook.cells, content_ids(notebook), strict=True)
        for complaint in cell_complaints(cell, identity)
    ]
    if not found and text(normalize(notebook)) != path.read_text(encoding="utf-8"):
        found.append(f"metadata or layout are not in order: {FIX}")
    return [f"{os.path.relpath(path)}: {complaint}" for complaint in found]


def store(notebook: nbformat.NotebookNode, path: Path) -> list[str]:
    """Normalize and write one notebook; return its complaints."""
    path.write_text(text(normalize(notebook)), encoding="utf-8")
    return complaints(path)


def form(path: Path) -> list[str]:
    """Bring the stored form of one notebook in order and execute nothing."""
    return store(nbformat.read(path, as_version=4), path)


def sync(path: Path) -> list[str]:
    """Execute one notebook and store its outputs."""
    return store(execute(path), path)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    modes = parser.add_mutually_exclusive_group()
    mode = partial(modes.add_argument, dest="work", action="store_const", default=sync)
    mode("--form", const=form, help="bring the stored form in order, execute nothing")
    mode("--check", const=complaints, help="look at the stored form, change nothing")
    parser.add_argument("notebooks", nargs="*", type=Path, help="default: all of _toc.yml")
    arguments = parser.parse_args()
    paths = [path.resolve() for path in arguments.notebooks] or notebooks()
    with ThreadPoolExecutor(2) as pool:
        work = pool.map(arguments.work, paths)
        found = [line for lines in tqdm(work, total=len(paths), disable=None) for line in lines]
    print("\n".join(found), file=sys.stderr, end="\n" if found else "")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
