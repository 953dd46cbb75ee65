"""The house rules that imports, doors and file lengths must keep."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from house import FILES, FOLDER, doors, imports, is_public, module, room, tree

ORDER = (  # each room imports from lines above its own only
    "_checks",
    "gaussian grid ledger regions",
    "_files _lanes",
    "landscapes plotting",
    "diffusions hamilton_jacobi smoothing",
    "action operators paths",
    "control fokker_planck learning_rates multigrid rare_events sgd",
    "deep exit_times homogenization",
    "asymptotics",
)
LEVEL = {room: level for level, rooms in enumerate(ORDER) for room in rooms.split()}
WITHOUT_A_DOOR = {"_checks", "_files", "_lanes"}  # open to the whole house, and to nobody else
TOP = Path("__init__.py")
each = pytest.mark.parametrize("file", FILES, ids=str)


def statements(file):
    """What a file holds besides its docstring and its imports."""
    imported = (ast.Import, ast.ImportFrom)
    return [node for node in tree(file).body[1:] if not isinstance(node, imported)]


def test_every_room_has_its_place_in_the_order():
    rooms = {room(module(file)) for file in FILES} - {""}
    assert rooms == LEVEL.keys(), "write new rooms of relaxlib into ORDER, and drop old ones"


@each
def test_rooms_import_from_lines_above(file):
    here = room(module(file))
    for source, _ in imports(file):
        assert room(source) == here or LEVEL[room(source)] < LEVEL[here], (
            f"{file} imports {source}, which does not lie above {here} in ORDER: move what both "
            "need to a room above, or this code to a room below"
        )


@each
def test_a_package_is_entered_by_its_door(file):
    me = module(file)
    for source, name in imports(file):
        if room(source) in WITHOUT_A_DOOR:
            continue
        package = source.partition("._")[0]
        at_home = f"{me}.".startswith(f"{package}.")
        assert is_public(source) or at_home, (
            f"{file} imports {source}, a private file: enter by relaxlib.{package}, or move what "
            "both need to a room above"
        )
        assert room(source) == room(me) or name is None or name in doors().get(source, ()), (
            f"{file} imports {name} of {source}, which is not in its __all__: it is no door"
        )


@each
def test_imports_name_whole_modules(file):
    for node in ast.walk(tree(file)):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file} has a relative import: name the whole module"
        if isinstance(node, ast.Import):
            whole = [alias.name for alias in node.names if alias.name.startswith("relaxlib")]
            assert not whole, f"{file} imports {whole}: write from ... import ..."


@each
def test_no_private_name_crosses_a_file(file):
    for source, name in imports(file):
        assert not (name or "").startswith("_"), f"{file} imports {name} of {source}: rename it"


@each
def test_a_package_file_holds_names_only(file):
    if file.name == "__init__.py" and file != TOP:
        held = [node for node in statements(file) if not isinstance(node, ast.Assign)]
        held += [n for n in statements(file) if n not in held and n.targets[0].id != "__all__"]
        assert not held, f"{file} holds code: move it to a file of the package"


@each
def test_every_public_file_says_what_is_public(file):
    if is_public(module(file)) and file != TOP and (statements(file) or list(imports(file))):
        assert module(file) in doors(), f"{file} has no __all__: name what is public"


def test_every_public_name_has_one_door():
    homes = {}
    for door, names in doors().items():
        for name in names:
            homes.setdefault(name, []).append(door)
    double = {name: places for name, places in homes.items() if len(places) > 1}
    assert not double, f"names with two doors: {double}; leave each in one __all__"


def test_public_names_are_few_enough_to_know():
    count = sum(map(len, doors().values()))
    assert count <= 160, f"{count} public names, more than 160: take one away for each new one"


@each
def test_only_plotting_draws_and_only_deep_trains(file):
    nodes = list(ast.walk(tree(file)))
    found = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    found |= {node.module for node in nodes if isinstance(node, ast.ImportFrom)}
    packages = {name.split(".")[0] for name in found}
    assert "matplotlib" not in packages or module(file) == "plotting"
    assert packages.isdisjoint({"torch", "torchvision"}) or room(module(file)) == "deep"


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
    assert list(imports(TOP)) == []
