"""Execute the chapters in parallel and build the HTML, never from an old number.

usage: python tools/build_book.py

Executed notebooks are kept in `_build/.jupyter_cache` by their code cells. What the cells call is
not part of that key, so a change in the library, the results or the pins empties the cache here.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jupyter_cache import get_cache
from jupyter_cache.executors import load_executor
from sync_notebooks import ROOT, notebooks

BUILD = ROOT / "_build"
CACHE = BUILD / ".jupyter_cache"
STAMP = BUILD / "inputs.sha256"
INPUTS = ("relaxlib", "results", "_extensions", "requirements.txt", "constraints.txt")
THREADS = ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def fingerprint() -> str:
    """Hash of everything that a cell's output depends on, besides the cell."""
    digest = hashlib.sha256(sys.version.encode())
    for name in INPUTS:
        top = ROOT / name
        for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
            if path.is_file() and "__pycache__" not in path.parts:
                digest.update(str(path.relative_to(ROOT)).encode())
                digest.update(path.read_bytes())
    return digest.hexdigest()


def forget_old_numbers() -> None:
    """Empty the cache and Sphinx's memory when an input has changed."""
    current = fingerprint()
    if not STAMP.exists() or STAMP.read_text() != current:
        shutil.rmtree(BUILD, ignore_errors=True)
        BUILD.mkdir()
        STAMP.write_text(current)


@contextmanager
def stderr_to(path: Path) -> Iterator[None]:
    """Send this process's stderr, and its children's, to a file for a while."""
    sys.stderr.flush()
    terminal = os.dup(2)
    with path.open("w") as log:
        os.dup2(log.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(terminal, 2)
        os.close(terminal)


def execute(paths: list[Path]) -> bool:
    """Run the notebooks that are not in the cache; print the seconds each took."""
    cache = get_cache(CACHE)
    for path in paths:
        cache.add_nb_to_project(str(path))
    cores = os.cpu_count() or 1
    threads = max(1, cores // max(1, len(cache.list_unexecuted())))
    os.environ.update(dict.fromkeys(THREADS, str(threads)))
    os.environ.pop("MPLBACKEND", None)  # with another backend no figure would reach its page
    print(f"executing {len(cache.list_unexecuted())} of {len(paths)} notebooks ...", flush=True)
    executor = load_executor("local-parallel", cache, logging.getLogger("book"))
    with stderr_to(BUILD / "kernels.log"):
        result = executor.run_and_cache(filter_uris=[str(p) for p in paths], timeout=300)
    for uri in result.excepted + result.errored:
        print(cache.get_project_record(uri).traceback, file=sys.stderr)
    for path in paths:
        record = cache.get_cached_project_nb(str(path))
        if record is not None:
            seconds = f"{record.data['execution_seconds']:6.1f} s"
            fresh = "" if str(path) in result.succeeded else "  (unchanged)"
            print(f"{seconds}  {path.relative_to(ROOT)}{fresh}", flush=True)
    return not (result.excepted or result.errored)


def main() -> int:
    start = time.perf_counter()
    forget_old_numbers()
    if not execute(notebooks()):
        return 1
    command = [Path(sys.executable).with_name("jupyter-book"), "build", ROOT]
    code = subprocess.run([*command, "-n", "-W", "--keep-going", "--quiet"]).returncode
    if code == 0:
        page = BUILD / "html" / "index.html"
        print(f"{time.perf_counter() - start:6.1f} s  in all; open {page}")
    return code


if __name__ == "__main__":
    sys.exit(main())
