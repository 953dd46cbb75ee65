"""Boundary-value problems of a generator in the plane, in linear time."""

from relaxlib.multigrid._solve import solve

__all__ = ["solve"]
