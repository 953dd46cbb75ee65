"""The house rules that imports and file lengths must keep."""

import ast
import graphlib
import subprocess
import sys
from pathlib import Path

import pytest

import relaxlib

FOLDER = Path(relaxlib.__file__).parent
LAYERS = (
    "_checks elementary envelopes formulas grid ledger log_convolution quadrature random regions",
    "blocks custom diffusion diffusions drifts finite_sums landscape landscapes slices",
    "black_box chains cut_cells euler exits exponentials hamilton_jacobi multigrid operators paths "
    "selling smoothing splitting",
    "action assumptions asymptotics control control_problem distances entropies exit_bounds "
    "exit_quadrature exit_times fokker_planck gaussian homogenization kramers_law learning_rates "
    "rare_events sgd sgd_moments steering time_averages",
    "deep plotting",
)
LAYER = {module: k for k, modules in enumerate(LAYERS) for module in modules.split()}
FILES = sorted(path.relative_to(FOLDER) for path in FOLDER.rglob("*.py"))
each = pytest.mark.parametrize("file", FILES, ids=str)


def imports(file):
    """Absolute names of the modules that a file imports, wherever in the file."""
    for node in ast.walk(ast.parse((FOLDER / file).read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file} has a relative import"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def module(file):
    """The module of the layer table that a file belongs to; None for the package itself."""
    return None if file == Path("__init__.py") else file.parts[0].removesuffix(".py")


def siblings(file):
    """Modules of the layer table that a file imports, without its own."""
    parts = (name.split(".") for name in imports(file))
    inside = {p[1] for p in parts if p[0] == "relaxlib" and len(p) > 1}
    return {name for name in inside if name in MODULES} - {module(file)}


MODULES = {module(file) for file in FILES} - {None}


def test_every_module_has_a_layer():
    assert sorted(MODULES - LAYER.keys()) == []


@each
def test_imports_go_down_or_sideways(file):
    if module(file):
        for name in siblings(file):
            assert LAYER[name] <= LAYER[module(file)], f"{file} imports {name} from above"


def test_imports_have_no_cycle():
    graph = {name: set() for name in MODULES}
    for file in FILES:
        graph.get(module(file), set()).update(siblings(file))
    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError with the cycle in it


@each
def test_the_lowest_layer_knows_only_the_checks_and_elementary_functions(file):
    if LAYER.get(module(file)) == 0:
        assert siblings(file) <= {"_checks", "elementary"}


@each
def test_only_plotting_draws_and_only_deep_trains(file):
    packages = {name.split(".")[0] for name in imports(file)}
    assert "matplotlib" not in packages or module(file) == "plotting"
    assert packages.isdisjoint({"torch", "torchvision"}) or module(file) == "deep"


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
    assert siblings(Path("__init__.py")) == set()
