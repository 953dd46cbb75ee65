"""Install the wheel of dist/ into empty environments, and use it there.

usage: python tools/try_wheel.py [python ...]    (default: the Python that runs this)

Each environment holds the wheel and its core dependencies, nothing else, and lies in a temporary
folder, away from the sources. This file runs there once more, and needs only what is installed.
"""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import re
import subprocess
import sys
import tempfile
import time
from importlib.metadata import metadata, version
from importlib.util import find_spec
from pathlib import Path

DIST = Path(__file__).resolve().parent.parent / "dist"
NEEDS = {"plotting": "matplotlib", "deep.optim": "torch"}  # the parts that extras are for
CLAIMS = 225


def attempt(python: str, wheel: Path) -> bool:
    """Install the wheel for one Python and use it there; say how long it took."""
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        inside = Path(folder, "bin", "python")
        steps = (
            [python, "-m", "venv", folder],
            [inside, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", wheel],
            [inside, "-I", __file__, "--inside"],
        )
        passed = all(subprocess.run(step, cwd=folder).returncode == 0 for step in steps)
    verdict = "passes" if passed else "FAILS"
    print(f"{time.perf_counter() - start:6.1f} s  {wheel.name} {verdict} with {python}", flush=True)
    return passed


def use() -> None:
    """Import what needs no extra, read the claims, run the lines of the README."""
    import relaxlib

    assert Path(relaxlib.__file__).is_relative_to(sys.prefix), relaxlib.__file__
    rooms = {room.name for room in pkgutil.iter_modules(relaxlib.__path__)}
    for room in sorted(rooms - {name.split(".")[0] for name in NEEDS}):
        importlib.import_module(f"relaxlib.{room}")
    for part, package in NEEDS.items():
        assert find_spec(package) is None, f"{package} is installed"
        assert package in missing(f"relaxlib.{part}")
    from relaxlib.ledger import claims

    assert len(claims()) == CLAIMS, len(claims())
    folder = Path(relaxlib.__file__).parent
    assert (folder / "py.typed").exists()
    assert (folder / "book.mplstyle").exists()
    readme = metadata("relaxlib").get_payload()
    exec(re.search(r"```python\n(.*?)```", readme, flags=re.DOTALL)[1], {})
    packages = ", ".join(f"{name} {version(name)}" for name in ("numpy", "scipy", "numba"))
    print(f"relaxlib {version('relaxlib')} with {packages}: {len(rooms)} rooms, {CLAIMS} claims")


def missing(module: str) -> str:
    """The package for want of which a module cannot be imported."""
    try:
        importlib.import_module(module)
    except ImportError as error:
        return str(error)
    raise AssertionError(f"{module} was imported without its extra")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("pythons", nargs="*", default=[sys.executable], metavar="python")
    arguments = parser.parse_args()
    if arguments.inside:
        use()
        return 0
    (wheel,) = DIST.glob("*.whl")
    failed = [python for python in arguments.pythons if not attempt(python, wheel)]
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
