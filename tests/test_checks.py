"""Every worded condition: what passes comes back as float64, what fails is named."""

import re

import numpy as np
import pytest

from relaxlib import _checks
from relaxlib.grid import Grid


def rejects(message):
    return pytest.raises(ValueError, match="^" + re.escape(message))


def test_reject_words_name_value_condition_and_fix():
    with rejects("gamma = -1: need gamma > 0; turn it around"):
        _checks.reject("gamma", -1, "gamma > 0", "turn it around")


def test_positive_and_nonnegative_return_floats():
    for number in (_checks.positive("dt", np.int32(2)), _checks.nonnegative("dt", 2)):
        assert type(number) is float
        assert number == 2.0
    assert _checks.nonnegative("t", 0) == 0.0


@pytest.mark.parametrize("bad", [0.0, -1.0, np.inf, np.nan])
def test_positive_rejects_what_is_not_in_the_open_half_line(bad):
    with rejects(f"dt = {bad:g}: need 0 < dt < inf; pass a positive number"):
        _checks.positive("dt", bad)


@pytest.mark.parametrize("bad", [-1e-300, np.inf, np.nan])
def test_nonnegative_rejects_what_is_not_in_the_closed_half_line(bad):
    with rejects(f"t = {bad:g}: need 0 <= t < inf; pass zero or a positive number"):
        _checks.nonnegative("t", bad)


@pytest.mark.parametrize("bad", ["much", None, [1.0], 1j])
def test_numbers_reject_what_is_no_real_number(bad):
    for check in (_checks.positive, _checks.nonnegative, _checks.count):
        with rejects(f"dt = {bad!r}: need a real number; pass dt as a float"):
            check("dt", bad)


def test_count_returns_an_int():
    assert _checks.count("steps", np.int64(3)) == 3
    assert type(_checks.count("steps", 3.0)) is int


@pytest.mark.parametrize("bad", [0, 2.5, -1, np.nan, np.inf])
def test_count_rejects_what_is_no_positive_integer(bad):
    with rejects(f"steps = {bad:g}: need an integer >= 1; pass a larger integer"):
        _checks.count("steps", bad)


def test_count_has_a_least_value():
    with rejects("shape = 1: need an integer >= 2"):
        _checks.count("shape", 1, least=2)


@pytest.mark.parametrize(
    ("x", "dim", "n", "leading"),
    [
        (0.5, 1, 1, ()),
        ([0.5], 1, 1, ()),
        ([[0.5], [1.0]], 1, 2, (2,)),
        ([1, 2], 2, 1, ()),
        (np.zeros((4, 3, 2)), 2, 12, (4, 3)),
        (np.zeros((0, 2)), 2, 0, (0,)),
    ],
)
def test_points_flatten_all_axes_but_the_last(x, dim, n, leading):
    points, shape = _checks.points("x", x, dim)
    assert points.shape == (n, dim)
    assert shape == leading
    assert points.dtype == np.float64
    assert points.flags.c_contiguous


def test_points_keep_their_order():
    x = np.arange(12.0).reshape(2, 3, 2)
    points, leading = _checks.points("x", x, 2)
    np.testing.assert_array_equal(points.reshape(*leading, 2), x)


@pytest.mark.parametrize(
    ("x", "dim", "message"),
    [
        ([1.0, 2.0], 1, "x.shape = (2,): need a trailing axis of length 1; put the 1 coordinates "
         "on the last axis, for example x[..., None]"),
        (1.0, 2, "x.shape = (): need a trailing axis of length 2; put the 2 coordinates"),
        (np.zeros((2, 3)), 2, "x.shape = (2, 3): need a trailing axis of length 2"),
        ([[0.0, 1.0], [2.0, np.nan]], 2, "x[1, 1] = nan: need finite entries; mend 1 of them"),
        (np.inf, 1, "x[0] = inf: need finite entries; mend 1 of them"),
    ],
)  # fmt: skip
def test_points_reject_wrong_axes_and_infinities(x, dim, message):
    with rejects(message):
        _checks.points("x", x, dim)


def test_finite_says_where_the_first_bad_entry_is_and_how_many():
    _checks.finite("a", np.ones((2, 2)))
    with rejects("a[0, 1] = inf: need finite entries; mend 2 of them"):
        _checks.finite("a", np.array([[0.0, np.inf], [np.nan, 0.0]]))
    with rejects("a = nan: need finite entries; mend 1 of them"):
        _checks.finite("a", np.array(np.nan))


def test_values_on_a_grid_come_back_contiguous():
    grid = Grid.box((0, 0), (1, 1), (2, 3))
    values = _checks.values_on(grid, np.ones((3, 2), int).T)
    assert values.dtype == np.float64
    assert values.flags.c_contiguous
    assert values.shape == grid.shape


def test_values_on_a_grid_reject_wrong_shape_and_nan():
    grid = Grid.box((0, 0), (1, 1), (2, 3))
    fix = "reshape density, or compute it on this grid"
    with rejects(f"density.shape = (3, 2): need density.shape = (2, 3); {fix}"):
        _checks.values_on(grid, np.ones((3, 2)), "density")
    with rejects("values[1, 2] = nan: need finite entries"):
        _checks.values_on(grid, [[0, 0, 0], [0, 0, np.nan]])


def test_shape_rejects_and_says_reshape():
    _checks.shape("m", np.ones((2, 2)), [2, 2])
    with rejects("m.shape = (2,): need m.shape = (3,); reshape it"):
        _checks.shape("m", np.ones(2), (3,))


def test_corners_are_arrays():
    lower, upper = _checks.corners(0, 1)
    assert lower.tolist() == [0.0]
    assert upper.tolist() == [1.0]
    assert _checks.corners((0, -np.inf), (1, np.inf))[1].tolist() == [1.0, np.inf]


@pytest.mark.parametrize(
    ("lower", "upper", "message"),
    [
        ((0, 0), (1, 0), "lower, upper = [0.0, 0.0], [1.0, 0.0]: need lower < upper on every axis"),
        (0, np.nan, "lower, upper = [0.0], [nan]: need lower < upper on every axis; swap them"),
        ((0, 0), 1, "lower, upper = shapes (2,), (1,): need two corners (d,); give d entries"),
        ([[0]], [[1]], "lower, upper = shapes (1, 1), (1, 1): need two corners (d,)"),
    ],
)
def test_corners_reject_disorder_and_other_shapes(lower, upper, message):
    with rejects(message):
        _checks.corners(lower, upper)


def test_symmetric_accepts_rounding_and_rejects_the_rest():
    _checks.symmetric("hess", np.array([[1.0, 0.1], [0.1 + 1e-16, 2.0]]))
    _checks.symmetric("hess", np.zeros((2, 2)))
    with rejects("|hess - hess^T| = 0.5: need hess symmetric; average it with its transpose"):
        _checks.symmetric("hess", np.array([[1.0, 0.5], [0.0, 2.0]]))
    with rejects("hess.shape = (2, 3): need hess.shape = (2, 2)"):
        _checks.symmetric("hess", np.ones((2, 3)))
    with rejects("hess[0, 0] = nan: need finite entries"):
        _checks.symmetric("hess", np.full((2, 2), np.nan))


def test_increasing_times_are_an_array():
    assert _checks.increasing_times("t", 2).tolist() == [2.0]
    assert _checks.increasing_times("t", (0, 0.5, 2)).tolist() == [0.0, 0.5, 2.0]


@pytest.mark.parametrize(
    ("t", "message"),
    [
        (-1.0, "t = -1: need t >= 0; start at zero or later"),
        ([1.0, 1.0], "t = [1.0, 1.0]: need strictly increasing times; sort them, drop rep"),
        ([], "t.shape = (0,): need one time or a sequence of times; flatten it"),
        ([[0.0, 1.0]], "t.shape = (1, 2): need one time or a sequence of times; flatten it"),
        ([0.0, np.nan], "t[1] = nan: need finite entries"),
    ],
)
def test_increasing_times_reject(t, message):
    with rejects(message):
        _checks.increasing_times("t", t)


@pytest.mark.parametrize("x", ["a", [[1.0], [1.0, 2.0]], {"x": 1}])
def test_points_that_are_no_numbers_are_refused(x):
    with pytest.raises(ValueError, match="need an array of numbers; put the 1 coordinates"):
        _checks.points("x", x, 1)
