"""Signed distances of balls and boxes against brute force over their boundaries."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relaxlib.regions import Ball, Box

examples = settings(deadline=None, max_examples=50, derandomize=True)
coordinates = st.floats(-3.0, 3.0)


def test_ball_distance_is_the_radius_at_the_center():
    ball = Ball((1.0, -2.0, 0.5), 0.75)
    assert ball.distance(ball.center) == -0.75
    assert ball.distance((1.0, -2.0, 1.25)) == 0.0


def boundary(box, n):
    """Points on the sides of a plane box, n on each."""
    (a, b), (c, d) = box.lower, box.upper
    x, y = np.linspace(a, c, n), np.linspace(b, d, n)
    sides = [(x, 0 * x + b), (x, 0 * x + d), (0 * y + a, y), (0 * y + c, y)]
    return np.concatenate([np.stack(side, axis=-1) for side in sides])


@examples
@given(coordinates, coordinates)
def test_box_distance_is_the_distance_to_the_nearest_boundary_point(x, y):
    box = Box((-1.0, -0.5), (2.0, 0.5))
    nearest = np.linalg.norm(boundary(box, 3001) - (x, y), axis=1).min()
    assert abs(abs(box.distance((x, y))) - nearest) < 1e-3
    inside = -1.0 < x < 2.0 and -0.5 < y < 0.5
    assert bool(box.contains((x, y))) == inside


@pytest.mark.parametrize("region", [Ball((0.2, 0.1), 0.9), Box((-1.0, -0.5), (2.0, 0.5))])
@examples
@given(coordinates, coordinates, coordinates, coordinates)
def test_signed_distance_is_one_lipschitz(region, a, b, c, d):
    change = abs(region.distance((a, b)) - region.distance((c, d)))
    assert change <= np.hypot(a - c, b - d) + 1e-14


def test_an_infinite_side_of_a_box_is_open():
    strip = Box((-1.0, -np.inf), (1.0, np.inf))
    np.testing.assert_array_equal(strip.distance([[0.25, 1e9], [3.0, -7.0]]), [-0.75, 2.0])


def test_boundary_points_are_not_contained():
    assert not Ball(0.0, 1.0).contains(1.0)
    assert not Box(-1.0, 1.0).contains(-1.0)


@pytest.mark.parametrize("region", [Ball((0.0, 0.0), 1.0), Box((-1.0, -1.0), (1.0, 1.0))])
def test_leading_axes_are_kept(region):
    x = np.linspace(-2, 2, 24).reshape(3, 4, 2)
    distance = region.distance(x)
    assert distance.shape == (3, 4)
    assert region.contains(x).dtype == bool
    assert distance[1, 2] == region.distance(x[1, 2])


def test_one_dimensional_regions_take_bare_floats():
    assert Ball(1.0, 0.5).distance(0.0) == 0.5
    assert Box(-1.0, 2.0).distance(0.0) == -1.0


def test_ball_rejects_radius_and_center():
    with pytest.raises(ValueError, match=r"radius = 0: need 0 < radius < inf"):
        Ball(0.0, 0.0)
    with pytest.raises(ValueError, match=r"center\[1\] = nan: need finite entries"):
        Ball((0.0, np.nan), 1.0)
    with pytest.raises(ValueError, match=r"center.shape = \(1, 2\): need center.shape = \(2,\)"):
        Ball([[0.0, 1.0]], 1.0)
    with pytest.raises(ValueError, match=r"center.shape = \(0,\): need center.shape = \(1,\)"):
        Ball([], 1.0)
    with pytest.raises(ValueError, match=r"center = \['a'\]: need an array of real numbers"):
        Ball(["a"], 1.0)


def test_box_rejects_disordered_corners():
    with pytest.raises(ValueError, match=r"lower, upper = \[1.0\], \[0.0\]: need lower < upper"):
        Box(1.0, 0.0)
    with pytest.raises(ValueError, match=r"shapes \(0,\), \(0,\): need two corners"):
        Box([], [])
    with pytest.raises(ValueError, match="upper = 'a': need an array of real numbers"):
        Box(0.0, "a")


def test_dimensions():
    assert Ball((0.0, 0.0, 1.0), 1.0).dim == 3
    assert Box(0.0, 1.0).dim == 1


def test_points_of_another_dimension_are_rejected():
    for region in (Ball((0.0, 0.0), 1.0), Box((-1.0, -1.0), (1.0, 1.0))):
        with pytest.raises(ValueError, match=r"points.shape = \(3,\): need a trailing axis"):
            region.distance([0.0, 0.0, 0.0])
