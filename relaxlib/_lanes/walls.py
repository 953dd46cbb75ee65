"""Faces of balls and boxes, and whether a path has met them between two steps."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from relaxlib._lanes.compilation import LOOP
from relaxlib.regions import Ball, Box


class Faces(NamedTuple):
    """A ball as center and radius, or a box as its corners (then the radius is negative)."""

    lower: np.ndarray  # (d,) or the center
    upper: np.ndarray  # (d,)
    radius: float


def faces_of(region: Ball | Box) -> Faces:
    """The faces of a region as compiled loops see them."""
    if isinstance(region, Ball):
        return Faces(region.center, region.center, region.radius)
    return Faces(region.lower, region.upper, -1.0)


@njit(**LOOP)
def distance(x, lane, faces):
    """Signed distance to a sphere, or to the nearest face of a box; negative inside."""
    if faces.radius >= 0.0:
        square = 0.0
        for i in range(len(x)):
            square += (x[i, lane] - faces.lower[i]) ** 2
        return np.sqrt(square) - faces.radius
    farthest = -np.inf
    for i in range(len(x)):
        farthest = max(farthest, faces.lower[i] - x[i, lane], x[i, lane] - faces.upper[i])
    return farthest


@njit(**LOOP)
def has_left(x, before, lane, faces, dt, chance, factors, place):
    """Whether a path left in this step, at it or by a Brownian bridge; ``place`` is then where."""
    if faces.radius >= 0.0:
        return _left_ball(x, before, lane, faces, dt, chance, factors, place)
    return _left_box(x, before, lane, faces, dt, chance, factors, place)


@njit(**LOOP)
def _crossing(before, after, variance):
    """Probability that a Brownian bridge between two distances to a face has met it."""
    if after <= 0.0:
        return 1.0
    exponent = 2.0 * before * after
    if exponent > 40.0 * variance:  # the chance is below 1e-17, or there is no noise
        return 0.0
    return np.exp(-exponent / variance)


@njit(**LOOP)
def _left_ball(x, before, lane, faces, dt, chance, factors, place):
    """Whether a path left the ball in this step; writes the exit point to ``place``."""
    dim, rank = factors.shape[:2]
    inner, outer = 0.0, 0.0
    for i in range(dim):
        inner += (before[i, lane] - faces.lower[i]) ** 2
        outer += (x[i, lane] - faces.lower[i]) ** 2
    inner, outer = np.sqrt(inner), np.sqrt(outer)
    variance = 0.0
    for k in range(rank):
        along = 0.0
        for i in range(dim):
            along += (x[i, lane] - faces.lower[i]) * factors[i, k, lane]
        variance += (along / outer) ** 2 * dt if outer > 0.0 else 0.0
    if chance > _crossing(faces.radius - inner, faces.radius - outer, variance):
        return False
    share = 1.0 if outer >= faces.radius else 0.5
    length = 0.0
    for i in range(dim):
        place[i] = share * x[i, lane] + (1.0 - share) * before[i, lane] - faces.lower[i]
        length += place[i] ** 2
    for i in range(dim):
        place[i] = faces.lower[i] + place[i] * faces.radius / np.sqrt(length)
    return True


@njit(**LOOP)
def _left_box(x, before, lane, faces, dt, chance, factors, place):
    """Whether a path left the box in this step; writes the exit point to ``place``."""
    dim, rank = factors.shape[:2]
    stay, likeliest, face, side = 1.0, -1.0, 0, 0.0
    for i in range(dim):
        variance = 0.0
        for k in range(rank):
            variance += factors[i, k, lane] ** 2 * dt
        low = _crossing(before[i, lane] - faces.lower[i], x[i, lane] - faces.lower[i], variance)
        high = _crossing(faces.upper[i] - before[i, lane], faces.upper[i] - x[i, lane], variance)
        stay *= (1.0 - low) * (1.0 - high)
        if max(low, high) > likeliest:
            likeliest, face = max(low, high), i
            side = faces.lower[i] if low > high else faces.upper[i]
    if chance > 1.0 - stay:
        return False
    for i in range(dim):
        middle = 0.5 * (x[i, lane] + before[i, lane])
        place[i] = min(max(middle, faces.lower[i]), faces.upper[i])
    place[face] = side
    return True
