"""Regions of space and their signed distances."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from relaxlib import _checks

__all__ = ["Ball", "Box"]


@dataclass(frozen=True, eq=False, init=False)
class Ball:
    r"""The ball :math:`|x - c| < r`.

    Parameters
    ----------
    center : (d,) array_like
    radius : float
        Positive.

    Examples
    --------
    >>> Ball((0.0, 0.0), 2.0).distance([[3.0, 4.0], [0.0, 1.0]]).tolist()
    [3.0, -1.0]
    """

    center: np.ndarray
    radius: float

    def __init__(self, center: ArrayLike, radius: float) -> None:
        place = np.atleast_1d(_checks.array("center", center))
        _checks.shape("center", place, (max(place.size, 1),))
        _checks.finite("center", place)
        vars(self).update(center=place, radius=_checks.positive("radius", radius))

    @property
    def dim(self) -> int:
        """Dimension d."""
        return len(self.center)

    def distance(self, points: ArrayLike) -> np.ndarray:
        """Signed distance to the sphere, negative inside: (..., d) -> (...)."""
        x, leading = _checks.points("points", points, self.dim)
        return (np.linalg.norm(x - self.center, axis=1) - self.radius).reshape(leading)

    def crossing(self, points: ArrayLike, steps: np.ndarray) -> np.ndarray:
        """Fraction of steps (n, d) from inner points (n, d) at which they meet the sphere, (n,).

        Above one where a step ends inside.

        >>> Ball((0.0, 0.0), 2.0).crossing([[1.0, 0.0]], np.array([[4.0, 0.0]])).tolist()
        [0.25]
        """
        x, _ = _checks.points("points", points, self.dim)
        away = x - self.center
        along, length = (away * steps).sum(axis=1), (steps**2).sum(axis=1)
        room = self.radius**2 - (away**2).sum(axis=1)
        return room / (along + np.sqrt(along**2 + length * room))

    def contains(self, points: ArrayLike) -> np.ndarray:
        """True at interior points: (..., d) -> (...) bool, a mask when given a grid's nodes."""
        return self.distance(points) < 0


@dataclass(frozen=True, eq=False, init=False)
class Box:
    r"""The open box :math:`\ell_k < x_k < u_k`.

    Parameters
    ----------
    lower, upper : (d,) array_like
        Opposite corners, lower < upper in every coordinate; an infinite side is open.

    Examples
    --------
    >>> Box((-1.0, -1.0), (1.0, 1.0)).distance([[4.0, 5.0], [0.5, 0.0]]).tolist()
    [5.0, -0.5]
    """

    lower: np.ndarray
    upper: np.ndarray

    def __init__(self, lower: ArrayLike, upper: ArrayLike) -> None:
        first, last = _checks.corners(lower, upper)
        vars(self).update(lower=first, upper=last)

    @property
    def dim(self) -> int:
        """Dimension d."""
        return len(self.lower)

    def distance(self, points: ArrayLike) -> np.ndarray:
        """Signed distance to the boundary, negative inside: (..., d) -> (...)."""
        x, leading = _checks.points("points", points, self.dim)
        beyond = np.maximum(self.lower - x, x - self.upper)
        outside = np.linalg.norm(np.maximum(beyond, 0.0), axis=1)
        inside = np.minimum(beyond.max(axis=1), 0.0)
        return (outside + inside).reshape(leading)

    def crossing(self, points: ArrayLike, steps: np.ndarray) -> np.ndarray:
        """Fraction of steps (n, d) from inner points (n, d) at which they meet a face, (n,).

        Above one where a step ends inside, infinite for no step at all.

        >>> Box((-1.0, -1.0), (1.0, 1.0)).crossing([[0.5, 0.0]], np.array([[1.0, 1.0]])).tolist()
        [0.5]
        """
        x, _ = _checks.points("points", points, self.dim)
        faces = np.where(steps > 0.0, self.upper, self.lower)
        with np.errstate(divide="ignore", invalid="ignore"):
            fractions = np.where(steps != 0.0, (faces - x) / steps, np.inf)
        return fractions.min(axis=1)

    def contains(self, points: ArrayLike) -> np.ndarray:
        """True at interior points: (..., d) -> (...) bool, a mask when given a grid's nodes."""
        return self.distance(points) < 0
