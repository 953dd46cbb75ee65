"""What `pip install .` promises: dependencies, extras, data, one version everywhere."""

import ast
import re
import sys
import tomllib
from pathlib import Path

import nbformat
import pytest
import yaml
from chapters_on_disk import ROOT, notebooks
from packaging.requirements import Requirement

import relaxlib

SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = SETTINGS["project"]
EXTRAS = PROJECT["optional-dependencies"]
FOLDER = ROOT / "relaxlib"
FILES = set(FOLDER.rglob("*.py"))
PLOTTING, DEEP = {FOLDER / "plotting.py"}, set((FOLDER / "deep").rglob("*.py"))
PIP_NAMES = {"yaml": "pyyaml", "sklearn": "scikit-learn", "myst_nb": "myst-nb"}


def imported(source: str) -> set[str]:
    """Packages of others that some code imports, as pip names them."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module.split(".")[0])
    return {PIP_NAMES.get(name, name) for name in names - sys.stdlib_module_names - {"relaxlib"}}


def imported_by(files: set[Path]) -> set[str]:
    return set().union(*(imported(file.read_text(encoding="utf-8")) for file in files))


def names(requirements: list[str]) -> set[str]:
    return {Requirement(text).name for text in requirements}


def pins(file: str) -> dict[str, str]:
    """Version of each package that a file of requirements pins."""
    pinned = re.findall(r"^([\w.-]+)==(\S+)", (ROOT / file).read_text(encoding="utf-8"), flags=re.M)
    return {name.lower().replace("_", "-"): version for name, version in pinned}


CORE = names(PROJECT["dependencies"])


def test_core_dependencies_are_what_the_core_imports():
    assert imported_by(FILES - PLOTTING - DEEP) == CORE


@pytest.mark.parametrize("extra", ["plot", "deep"])
def test_extras_are_what_their_parts_import(extra):
    files = {"plot": PLOTTING, "deep": DEEP}[extra]
    assert imported_by(files) - CORE == names(EXTRAS[extra])


def test_the_book_needs_its_extra_only():
    whole = next(need for text in EXTRAS["book"] if (need := Requirement(text)).name == "relaxlib")
    assert whole.extras == EXTRAS.keys() - {"book"}
    needs = CORE.union(*map(names, EXTRAS.values()))
    for path in notebooks():
        cells = nbformat.read(path, as_version=4).cells
        code = "\n".join(cell.source for cell in cells if cell.cell_type == "code")
        assert imported(code) <= needs, path.name


def test_bounds_admit_what_the_book_is_built_with():
    locked = pins("constraints.txt")
    for text in sum(EXTRAS.values(), PROJECT["dependencies"]):
        need = Requirement(text)
        if need.name != "relaxlib":
            assert [bound.operator for bound in need.specifier] == [">="], text
            assert need.specifier.contains(locked[need.name]), text


@pytest.mark.parametrize("file", ["requirements.txt", "requirements-dev.txt"])
def test_pins_agree_with_the_lock(file):
    assert pins(file).items() <= pins("constraints.txt").items()


def test_the_build_back_end_is_the_locked_one():
    version = pins("constraints.txt")["setuptools"]
    assert SETTINGS["build-system"]["requires"] == [f"setuptools=={version}"]


def test_every_data_file_is_in_the_package():
    shipped = {
        path
        for package, patterns in SETTINGS["tool"]["setuptools"]["package-data"].items()
        for pattern in patterns
        for path in ROOT.joinpath(*package.split(".")).glob(pattern)
    }
    found = {
        path
        for path in FOLDER.rglob("*")
        if path.is_file() and path.suffix != ".py" and "__pycache__" not in path.parts
    }
    assert found == shipped | {ROOT / PROJECT["readme"]}


def test_the_readme_of_the_package_has_no_picture_and_no_relative_link():
    text = (ROOT / PROJECT["readme"]).read_text(encoding="utf-8")
    assert not re.findall(r"!\[|<img|\]\((?!https?:)", text)


def test_the_version_is_the_same_everywhere():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert citation["version"] == relaxlib.__version__
    assert re.search(r"^## (\S+)", changes, flags=re.M)[1] == relaxlib.__version__


def test_the_authors_are_the_same_everywhere():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["authors"] == PROJECT["authors"]
    assert citation["license"] == PROJECT["license"]
