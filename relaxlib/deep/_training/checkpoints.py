"""What training leaves behind: files of tensors, replaced at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from relaxlib._files import replace_file


def load(path: Path) -> dict[str, Any]:
    """What a file holds; nothing if there is none."""
    return torch.load(path, map_location="cpu") if path.exists() else {}


def save(path: Path, content: dict[str, Any]) -> None:
    """Write a file, and its folder; a kill leaves the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, lambda fresh: torch.save(content, fresh))
