"""What training leaves behind: files of tensors, replaced at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from relaxlib import _checks
from relaxlib._files import replace_file


def load(path: Path) -> dict[str, Any]:
    """What a file holds; nothing if there is none."""
    if not path.exists():
        return {}
    need, fix = "a complete checkpoint", "move the file away to start anew, or name another one"
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever torch raises over damaged bytes
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        _checks.reject(str(path), f"damaged ({_checks.shown(reason)})", need, fix)
    if not isinstance(content, dict):
        _checks.reject(str(path), f"a {type(content).__name__}", need, fix)
    return content


def save(path: Path, content: dict[str, Any]) -> None:
    """Write a file, and its folder; a kill leaves the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, lambda fresh: torch.save(content, fresh))
