"""Sphinx extension: equations render from disk, with the MathJax of sphinx-mathjax-offline."""

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


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("build-finished", copy_mathjax)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
