"""The form of the chapters: what a reader may rely on in each of them."""

import ast
import re

import nbformat
import pytest
from chapters_on_disk import ROOT, notebooks, toc_pages

CHAPTERS = [path for path in notebooks() if path.stem not in ("intro", "notation")]


@pytest.fixture(params=notebooks(), ids=lambda path: path.stem)
def page(request):
    return nbformat.read(request.param, as_version=4)


@pytest.fixture(params=CHAPTERS, ids=lambda path: path.stem)
def chapter(request):
    return nbformat.read(request.param, as_version=4)


def code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def prose(notebook):
    return "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


def test_every_page_of_the_contents_exists():
    for page in toc_pages():
        assert list(ROOT.glob(f"{page}.*")), f"{page} of _toc.yml has no file"


def test_every_cell_was_run_and_stores_no_image(page):
    assert {cell.execution_count for cell in code(page)} <= {1}
    stored = {mime for cell in code(page) for out in cell.outputs for mime in out.get("data", {})}
    assert not any(mime.startswith("image/") for mime in stored)


def test_cells_are_short(page):
    long = [cell.source for cell in code(page) if len(cell.source.splitlines()) > 15]
    assert not long


def test_figures_have_number_caption_and_description(page):
    for cell in code(page):
        if "plt.show()" in cell.source:
            assert cell.metadata["mystnb"]["figure"].keys() >= {"caption", "name"}, cell.source
            assert cell.metadata["mystnb"]["image"]["alt"], cell.source


def test_glued_names_are_glued_once_and_used(page):
    glued = [
        node.args[0].value
        for cell in code(page)
        for node in ast.walk(ast.parse(cell.source))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "glue"
    ]
    pasted = set(re.findall(r"\{glue:text\}`([^`:]+)", prose(page)))
    assert len(glued) == len(set(glued))
    assert set(glued) == pasted


def test_five_exercises_with_solutions(chapter):
    exercises = re.findall(r"\{exercise-start\}\n:label: (\S+)", prose(chapter))
    solutions = re.findall(r"\{solution-start\} (\S+)\n:class: dropdown", prose(chapter))
    assert len(exercises) == 5
    assert solutions == exercises


def test_chapters_close_with_what_to_take_away(chapter):
    headings = re.findall(r"^## (.+)$", prose(chapter), flags=re.M)
    assert headings[-1] == "What to take away"
