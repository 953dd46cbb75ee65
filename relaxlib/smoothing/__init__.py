"""Smoothed losses: local entropy with its gradient and Gibbs moments, and heat smoothing."""

from relaxlib.smoothing._local_entropy import (
    Moments,
    gibbs_moments,
    heat_smoothing,
    local_entropy,
    local_entropy_grad,
)
from relaxlib.smoothing._on_grid import local_entropy_on_grid

__all__ = [
    "Moments",
    "gibbs_moments",
    "heat_smoothing",
    "local_entropy",
    "local_entropy_grad",
    "local_entropy_on_grid",
]
