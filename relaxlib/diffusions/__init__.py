"""Diffusions dX = b dt + S dW with S S^T = 2 T Q: Langevin, Ornstein–Uhlenbeck, two-scale, ..."""

from relaxlib.diffusions._catalogue import langevin, ornstein_uhlenbeck, two_scale, underdamped
from relaxlib.diffusions._diffusion import Diffusion

__all__ = ["Diffusion", "langevin", "ornstein_uhlenbeck", "two_scale", "underdamped"]
