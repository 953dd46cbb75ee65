"""Execute the chapters and store their text outputs, or check the stored form.

usage: python tools/sync_notebooks.py [--check] [notebook ...]

Stored are counts 1..n and text outputs; never images, which a fresh run draws again.
"""

from __future__ import annotations

import argparse
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
import yaml
from nbclient import NotebookClient
from tqdm import tqdm

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ("image/png", "image/jpeg", "image/svg+xml", "application/pdf")
CELL_METADATA = ("tags", "mystnb")
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


def normalize(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Keep what nbval compares and a reader needs; drop images and everything that changes."""
    notebook.metadata = nbformat.from_dict(METADATA)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for count, cell in enumerate(code, start=1):
        cell.execution_count = count
        for output in cell.outputs:
            if output.output_type == "execute_result":
                output.execution_count = count
            if output.output_type == "error":
                output.traceback = []
            for mime in IMAGES:
                output.get("data", {}).pop(mime, None)
            if "metadata" in output:
                output.metadata = nbformat.from_dict(
                    {k: v for k, v in output.metadata.items() if k == "scrapbook"}
                )
    for cell in notebook.cells:
        kept = {key: cell.metadata[key] for key in CELL_METADATA if key in cell.metadata}
        cell.metadata = nbformat.from_dict(kept)
    return notebook


def complaints(path: Path) -> list[str]:
    """What keeps the stored notebook from being validated."""
    notebook = nbformat.read(path, as_version=4)
    stored = nbformat.writes(notebook)
    found = []
    for cell in (cell for cell in notebook.cells if cell.cell_type == "code"):
        if cell.execution_count is None:
            found.append(f"cell {cell.id} has no execution count, so nothing would be compared")
        for output in cell.outputs:
            if output.get("name") == "stderr":
                found.append(f"cell {cell.id} wrote to stderr: {output.text.strip()[:200]}")
    if not found and nbformat.writes(normalize(notebook)) != stored:
        found.append("counts, images or metadata are not as `make sync` leaves them")
    return [f"{path.relative_to(ROOT)}: {text}" for text in found]


def sync(path: Path) -> list[str]:
    """Execute, normalize and write one notebook; return its complaints."""
    nbformat.write(normalize(execute(path)), path)
    return complaints(path)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="look at the stored form only")
    parser.add_argument("notebooks", nargs="*", type=Path, help="default: all of _toc.yml")
    arguments = parser.parse_args()
    paths = [path.resolve() for path in arguments.notebooks] or notebooks()
    with ThreadPoolExecutor(2) as pool:
        work = pool.map(complaints if arguments.check else sync, paths)
        found = [text for texts in tqdm(work, total=len(paths), disable=None) for text in texts]
    print("\n".join(found), file=sys.stderr, end="\n" if found else "")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
