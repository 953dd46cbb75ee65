"""Types are true: a reader's script that does what the docstrings show passes strict checks."""

import ast
import doctest
import importlib
import json
import os
import subprocess
import sys
import textwrap

import pytest
from house import FOLDER, doors

HEADER = "import numpy as np\nimport torch\nfrom torch import nn\n"
HOME = {name: door for door, names in doors().items() for name in names}
MYPY = ["-m", "mypy", "--strict", "--follow-imports=silent", "--config-file=", "script.py"]
PYRIGHT = ["-m", "basedpyright", "--level", "error", "--pythonpath", sys.executable]


def examples():
    """Name and source of every doctest of a public object, and of a public class's methods."""
    finder = doctest.DocTestFinder()
    for name, door in HOME.items():
        found = getattr(importlib.import_module(f"relaxlib.{door}"), name)
        for test in finder.find(found, name, module=False, globs={}) if callable(found) else ():
            if test.examples:
                yield name, "".join(example.source for example in test.examples)


def script():
    """All examples as functions, each with the imports that its module spares it."""
    parts = [HEADER]
    for k, (name, source) in enumerate(examples()):
        used = {node.id for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name)}
        needed = sorted((used | {name}) & HOME.keys())
        imports = "".join(f"from relaxlib.{HOME[word]} import {word}\n" for word in needed)
        body = textwrap.indent(imports + source, "    ")
        parts.append(f"def example_{k}_{name}() -> None:\n{body}")
    return "\n\n".join(parts)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where a reader keeps the script, with the library installed elsewhere."""
    folder = tmp_path_factory.mktemp("types")
    (folder / "script.py").write_text(script())
    settings = {"typeCheckingMode": "basic", "extraPaths": [str(FOLDER.parent)]}
    (folder / "pyrightconfig.json").write_text(json.dumps({"include": ["script.py"]} | settings))
    return folder


@pytest.mark.parametrize("checker", [MYPY, PYRIGHT], ids=["mypy", "pyright"])
def test_every_example_passes_strict_checks(folder, checker):
    answer = subprocess.run(
        [sys.executable, *checker],
        cwd=folder,
        env=os.environ | {"MYPYPATH": str(FOLDER.parent)},
        capture_output=True,
        text=True,
    )
    found = [line for line in answer.stdout.splitlines() if "error" in line]
    # torch has no types for the one method that every example of an optimizer calls
    found = [line for line in found if 'untyped function "backward"' not in line]
    assert [line for line in found if not line.startswith(("0 errors", "Found"))] == []
    assert answer.returncode in (0, 1), answer.stderr


def test_there_are_examples_of_most_public_names():
    assert len({name for name, _ in examples()}) > 100


def test_the_package_says_that_it_is_typed():
    assert (FOLDER / "py.typed").exists()
