"""Noise that is alike in all directions."""

from __future__ import annotations

import numpy as np


def isotropy(matrices: np.ndarray) -> tuple[float, bool]:
    """The level c of matrices (..., d, d), and whether they all are c I, c > 0, up to rounding."""
    level = float(matrices.flat[0])
    gap = float(np.abs(matrices - level * np.eye(matrices.shape[-1])).max())
    return level, level > 0.0 and gap <= 1e-12 * level
