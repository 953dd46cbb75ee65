"""Sphinx extension: the built pages need no network.

Equations render with the MathJax of sphinx-mathjax-offline, copied from disk. The live-code
launcher that jupyter-book always adds, and which would load its parts from elsewhere, is left out.
"""

from __future__ import annotations

import shutil
from importlib.metadata import files
from pathlib import Path

from sphinx.application import Sphinx


def copy_mathjax(app: Sphinx, exception: Exception | None) -> None:
    """Put MathJax's single-file SVG build where `mathjax_path` expects it."""
    if exception is None and app.builder.format == "html":
        script = next(f for f in files("sphinx-mathjax-offline") if f.name == "tex-svg.js")
        shutil.copyfile(script.locate(), Path(app.outdir) / "_static" / "tex-svg.js")


def drop_launcher(app: Sphinx) -> None:
    """Keep sphinx-thebe, which jupyter-book always loads, from writing its scripts."""
    for event in ("env-before-read-docs", "doctree-resolved"):
        for listener in list(app.events.listeners[event]):
            if listener.handler.__module__ == "sphinx_thebe":
                app.disconnect(listener.id)


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("build-finished", copy_mathjax)
    app.connect("builder-inited", drop_launcher)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
