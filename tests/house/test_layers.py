"""The house rules that imports, doors and file lengths must keep."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import relaxlib

FOLDER = Path(relaxlib.__file__).parent
ORDER = (  # each imports from lines above only
    "_checks",
    "gaussian grid ledger regions",
    "_lanes",
    "landscapes plotting",
    "diffusions hamilton_jacobi smoothing",
    "action operators paths",
    "control fokker_planck learning_rates multigrid rare_events sgd",
    "deep exit_times homogenization",
    "asymptotics",
)
LEVEL = {room: level for level, rooms in enumerate(ORDER) for room in rooms.split()}
OPEN = {"_checks", "_lanes"}  # rooms without a door, for the whole house
FILES = sorted(path.relative_to(FOLDER) for path in FOLDER.rglob("*.py"))
DOORS = [
    file for file in FILES if not any(part.startswith("_") for part in file.with_suffix("").parts)
]
DOORS += [file for file in FILES if file.name == "__init__.py" and file.parts[0] not in OPEN]
each = pytest.mark.parametrize("file", FILES, ids=str)


def tree(file):
    return ast.parse((FOLDER / file).read_text())


def dotted(file):
    """The name of a file's module, below relaxlib."""
    parts = file.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(file):
    """Pairs of module and name that a file imports from relaxlib, wherever in the file."""
    for node in ast.walk(tree(file)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names if alias.name.startswith("relaxlib")]
            assert not names, f"{file} imports {names} as a whole: write from ... import ..."
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file} has a relative import: name the whole module"
            if node.module.split(".")[0] == "relaxlib":
                for alias in node.names:
                    yield whole(node.module.removeprefix("relaxlib").lstrip("."), alias.name)


def whole(module, name):
    """A pair of module and name, with no name where it is a module itself."""
    inner = f"{module}.{name}".lstrip(".")
    place = FOLDER.joinpath(*inner.split("."))
    is_module = place.with_suffix(".py").exists() or (place / "__init__.py").exists()
    return (inner, None) if is_module else (module, name)


def packages(module):
    """The packages that a module lies in, the innermost last."""
    parts = module.split(".")
    return [".".join(parts[:k]) for k in range(1, len(parts))]


def room(module):
    return module.split(".")[0]


def public(module):
    return importlib.import_module(f"relaxlib.{module}").__all__


def test_every_room_has_its_place_in_the_order():
    rooms = {room(dotted(file)) for file in FILES} - {""}
    assert rooms == LEVEL.keys(), "write new rooms of relaxlib into ORDER, and drop old ones"


@each
def test_rooms_import_from_lines_above(file):
    here = room(dotted(file))
    for module, _ in imports(file):
        other = room(module)
        assert other == here or LEVEL[other] < LEVEL[here], (
            f"{file} imports {module}, which does not lie above {here} in ORDER: move what both "
            "need to a room above, or the code that needs it to a room below"
        )


@each
def test_a_package_is_entered_by_its_door(file):
    me = dotted(file)
    inside = {*packages(me), me if file.name == "__init__.py" else ""}
    for module, name in imports(file):
        if room(module) in OPEN:
            continue
        private = [part for part in module.split(".") if part.startswith("_")]
        owner = module.split("._")[0] if private else None
        assert not private or owner in inside, (
            f"{file} imports {module}, a private file of {owner}: import from relaxlib.{owner}, "
            "or split off what both need"
        )
        outside = not private and room(module) != room(me)
        assert not outside or name is None or name in public(module), (
            f"{file} imports {name} from {module}, which does not name it in __all__: it is no door"
        )


@each
def test_no_private_name_crosses_a_file(file):
    for module, name in imports(file):
        assert name is None or not name.startswith("_"), f"{file} imports {name} of {module}"


@each
def test_a_door_holds_nothing_but_names(file):
    if file.name != "__init__.py" or file.parent == Path():
        return
    body = [node for node in tree(file).body[1:] if not isinstance(node, ast.ImportFrom)]
    names = [getattr(node.targets[0], "id", "") for node in body if isinstance(node, ast.Assign)]
    assert len(names) == len(body), f"{file} holds code: move it to a file of the package"
    assert set(names) <= {"__all__"}, f"{file} assigns {names}: move it to a file of the package"


@pytest.mark.parametrize("file", sorted(set(DOORS)), ids=str)
def test_every_door_says_what_is_public(file):
    if file.parent != Path() or file.name != "__init__.py":
        holds = [node for node in tree(file).body[1:] if not isinstance(node, ast.ImportFrom)]
        names = {t.id for node in holds if isinstance(node, ast.Assign) for t in node.targets}
        rooms_only = not holds and not list(imports(file))
        assert rooms_only or "__all__" in names, f"{file} has no __all__"


def test_every_public_name_has_one_door_and_there_are_not_too_many():
    doors = {}
    for file in sorted(set(DOORS) - {Path("__init__.py")}):
        for name in getattr(importlib.import_module(f"relaxlib.{dotted(file)}"), "__all__", ()):
            doors.setdefault(name, []).append(dotted(file))
    assert {name: places for name, places in doors.items() if len(places) > 1} == {}
    assert len(doors) <= 160


@each
def test_only_plotting_draws_and_only_deep_trains(file):
    nodes = list(ast.walk(tree(file)))
    found = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    found |= {node.module for node in nodes if isinstance(node, ast.ImportFrom)}
    roots = {name.split(".")[0] for name in found}
    assert "matplotlib" not in roots or dotted(file) == "plotting"
    assert roots.isdisjoint({"torch", "torchvision"}) or room(dotted(file)) == "deep"


@each
def test_no_file_is_longer_than_350_lines(file):
    assert len((FOLDER / file).read_text().splitlines()) <= 350


def test_importing_relaxlib_costs_numpy_at_most():
    code = "import relaxlib, sys; print(*{name.split('.')[0] for name in sys.modules})"
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    heavy = {"numba", "scipy", "matplotlib", "torch", "yaml", "tqdm", "llvmlite"}
    assert heavy.isdisjoint(answer.stdout.split())


def test_the_package_itself_imports_no_module_of_its_own():
    assert list(imports(Path("__init__.py"))) == []
