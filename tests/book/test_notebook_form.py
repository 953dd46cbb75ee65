"""The stored form of notebooks: a change of one cell shows as a change of that cell alone."""

import difflib
import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

TOOLS = Path(__file__).parents[2] / "tools"


def tool(name):
    spec = importlib.util.spec_from_file_location(name, TOOLS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


sync_notebooks = tool("sync_notebooks")
notebook_text = tool("notebook_text")


def ran(source, *outputs):
    """A code cell as JupyterLab leaves it."""
    return new_code_cell(source, execution_count=7, outputs=list(outputs))


def printed(text, name="stdout"):
    return new_output("stream", name=name, text=text)


def result(text):
    return new_output("execute_result", {"text/plain": text}, execution_count=7)


def drawn(kind):
    return new_output("display_data", {"text/plain": "<Figure>", kind: "iVBORw0KGgo="})


def glued(name, text):
    record = "application/papermill.record/"
    metadata = {"scrapbook": {"name": name, "mime_prefix": record}}
    return new_output("display_data", {f"{record}text/plain": text}, metadata=metadata)


@pytest.fixture
def cells():
    return [
        new_markdown_cell("# A page"),
        ran("x = 2"),
        ran("print(x)", printed("2\n")),
        ran("x", result("2")),
        new_markdown_cell("The end."),
    ]


@pytest.fixture
def stored(tmp_path):
    """Store cells in the form of the tool and return the file."""

    def store(cells):
        path = tmp_path / "page.ipynb"
        nbformat.write(new_notebook(cells=cells), path)
        sync_notebooks.form(path)
        return path

    return store


@pytest.fixture
def spoiled(stored, cells):
    """Store the page, change it behind the tool's back and return the file."""

    def spoil(change):
        path = stored(cells)
        notebook = nbformat.read(path, as_version=4)
        change(notebook)
        nbformat.write(notebook, path)
        return path

    return spoil


def stored_ids(text):
    return [cell["id"] for cell in json.loads(text)["cells"]]


def changes(before, after):
    """Lines taken from a file and lines added to it."""
    lines = list(difflib.unified_diff(before.splitlines(), after.splitlines(), n=0))[2:]
    return tuple([line[1:].strip() for line in lines if line[0] == sign] for sign in "-+")


@pytest.mark.parametrize("place", range(6))
@pytest.mark.parametrize("cell", [new_markdown_cell("## New"), ran("y = 3", printed("new"))])
def test_an_inserted_cell_only_adds_lines(stored, cells, cell, place):
    before = stored(cells).read_text()
    after = stored([*cells[:place], cell, *cells[place:]]).read_text()
    taken, added = changes(before, after)
    assert added
    assert not taken


def test_an_edited_cell_changes_its_id_and_the_edited_lines(stored, cells):
    before = stored(cells).read_text()
    old = stored_ids(before)[1]
    cells[1].source = "x = 1 + 1"
    after = stored(cells).read_text()
    new = stored_ids(after)[1]
    assert changes(before, after) == (
        [f'"id": "{old}",', '"x = 2"'],
        [f'"id": "{new}",', '"x = 1 + 1"'],
    )


def test_equal_cells_have_different_ids(stored, cells):
    before = stored(cells).read_text()
    again = [ran("x = 2"), new_markdown_cell("x = 2"), ran("x = 2")]
    after = stored(cells + again).read_text()
    second, prose, third = stored_ids(after)[-3:]
    first = stored_ids(after)[1]
    assert (second, third) == (f"{first}-2", f"{first}-3")
    assert not prose.startswith(first)
    assert not changes(before, after)[0]


def test_what_the_tool_stores_is_accepted_and_stays(stored, cells):
    cells.append(ran("plot()", drawn("image/png")))
    path = stored(cells)
    before = path.read_text()
    assert sync_notebooks.complaints(path) == []
    assert sync_notebooks.form(path) == []
    assert path.read_text() == before
    assert "image/png" not in before


def stale_id(notebook):
    notebook.cells[2].source = "print(x + 0)"


def running_count(notebook):
    notebook.cells[2].execution_count = 2


def running_result(notebook):
    notebook.cells[3].outputs[0].execution_count = 3


def image(notebook):
    notebook.cells[1].outputs = [drawn("image/svg+xml")]


def own_metadata(notebook):
    notebook.metadata["authors"] = []


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (stale_id, "cell {2} should have the id "),
        (running_count, "cell {2} has the execution count 2, not 1"),
        (running_result, "cell {3} has a result with the execution count 3, not 1"),
        (image, "cell {1} stores an image, image/svg+xml"),
        (own_metadata, "metadata or layout are not in order"),
    ],
)
def test_another_form_is_refused_by_name_and_mended_without_a_run(spoiled, change, complaint):
    path = spoiled(change)
    (found,) = sync_notebooks.complaints(path)
    assert complaint.format(*stored_ids(path.read_text())) in found
    assert "page.ipynb: " in found
    assert "run `make sync`, or " in found
    assert sync_notebooks.form(path) == []


def no_count(notebook):
    notebook.cells[2].execution_count = None


def stderr(notebook):
    notebook.cells[1].outputs = [printed("careful", "stderr")]


def no_source(notebook):
    notebook.cells[4].source = " "


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (no_count, "has no execution count, so nothing would be compared: run `make sync`"),
        (stderr, "wrote to stderr: careful"),
        (no_source, "is empty: delete it"),
    ],
)
def test_what_only_a_run_or_an_author_mends_is_still_refused(spoiled, change, complaint):
    path = spoiled(change)
    for look in (sync_notebooks.complaints, sync_notebooks.form):
        (found,) = look(path)
        assert found.endswith(complaint)


def test_nbval_compares_every_cell_although_all_counts_are_one(stored):
    path = stored(
        [
            ran("from myst_nb import glue"),
            ran("print(2)", printed("2\n")),
            ran("print(2)", printed("3\n")),
            ran("glue('two', 2, display=False)", glued("two", "2")),
            ran("glue('two', 2, display=False)", glued("two", "3")),
        ]
    )
    command = [sys.executable, "-m", "pytest", "--nbval", "--nbval-current-env", path.name]
    run = subprocess.run(command, cwd=path.parent, capture_output=True, text=True)
    assert "page.ipynb ..F.F " in run.stdout


def test_a_notebook_reads_as_text(stored, cells):
    cells[2].metadata["mystnb"] = {"figure": {"name": "fig-two"}}
    cells.append(ran("plot()", drawn("image/jpeg"), glued("two", "2"), printed("café")))
    path = stored(cells[2:])
    command = [sys.executable, TOOLS / "notebook_text.py", path]
    shown = subprocess.run(command, capture_output=True, check=True).stdout.decode()
    prints, x, end, plot = stored_ids(path.read_text())
    assert (
        shown
        == f"""\
=== code {prints}
mystnb.figure.name: fig-two
print(x)

=== output stdout
2

=== code {x}
x

=== output text/plain
2

=== markdown {end}
The end.

=== code {plot}
plot()

=== output text/plain
<Figure>

=== output application/papermill.record/text/plain
scrapbook.mime_prefix: application/papermill.record/
scrapbook.name: two
2

=== output stdout
café
"""
    )


def test_an_old_notebook_reads_as_text():
    output = {"output_type": "pyout", "text": ["2"], "png": "iVBORw0KGgo="}
    error = {"output_type": "pyerr", "ename": "NameError", "evalue": "y", "traceback": []}
    cell = {"cell_type": "code", "input": ["x\n", "y"], "outputs": [output, error]}
    shown = notebook_text.readable(json.dumps({"worksheets": [{"cells": [cell]}]}))
    assert shown == "=== code\nx\ny\n\n=== output text\n2\n\n=== output NameError\ny\n"


@pytest.mark.parametrize("broken", ["", "<<<<<<< HEAD", "[]", "{}", '{"cells": [{}]}', "3"])
def test_what_is_no_notebook_is_shown_as_it_is(broken):
    assert notebook_text.readable(broken) == broken
