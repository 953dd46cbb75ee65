"""Every worded condition: what passes comes back as float64, what fails is named."""

import re

import numpy as np
import pytest

from relaxlib import _checks
from relaxlib.grid import Grid

GRID = Grid.box((0, 0), (1, 1), (2, 3))
NO_NUMBERS = ["a", "1.0", ["1.0"], None, [None], [[1.0], [1.0, 2.0]], {"x": 1}, [1j], abs]


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


@pytest.mark.parametrize("bad", ["much", "0.01", None, [1.0], 1j, True, np.array([1, 2])])
def test_numbers_reject_what_is_no_real_number(bad):
    checks = (_checks.positive, _checks.nonnegative, _checks.number, _checks.count)
    for check, sort in zip(checks, ("a float", "a float", "a float", "an int"), strict=True):
        with rejects(f"dt = {bad!r}: need a real number; pass dt as {sort}"):
            check("dt", bad)


def test_numbers_may_be_arrays_without_axes():
    assert _checks.number("dt", np.array(2)) == 2.0
    assert _checks.number("dt", np.float32(0.5)) == 0.5


def test_kind_names_the_type_and_where_it_lives():
    _checks.kind("grid", GRID, Grid)
    with rejects("grid = None: need type Grid; see relaxlib.grid"):
        _checks.kind("grid", None, Grid)
    with rejects("grid = 'line': need type Grid or int; see relaxlib.grid"):
        _checks.kind("grid", "line", Grid, int)


def test_long_values_are_shown_on_one_short_line():
    assert _checks.shown(np.eye(2)) == "array([[1., 0.], [0., 1.]])"
    assert len(_checks.shown(list(range(1000)))) <= 80


def test_choice_and_flag():
    _checks.choice("side", "left", ("left", "right"))
    for bad in ("up", None, np.array(["left", "right"])):
        with rejects(f"side = {bad!r}: need one of ('left', 'right'); choose one"):
            _checks.choice("side", bad, ("left", "right"))
    assert _checks.flag("swap", np.True_) is True
    for bad in ("False", None, 1):
        with rejects(f"swap = {bad!r}: need True or False; pass swap as a bool"):
            _checks.flag("swap", bad)


def test_arrays_are_float64():
    assert _checks.array("a", [[True, 2]]).tolist() == [[1.0, 2.0]]
    assert _checks.array("a", []).dtype == np.float64


@pytest.mark.parametrize("bad", NO_NUMBERS)
def test_arrays_reject_what_is_no_real_number(bad):
    with rejects(f"a = {_checks.shown(bad)}: need an array of real numbers; pass floats"):
        _checks.array("a", bad)


def test_rows_are_finite_and_not_empty():
    assert _checks.rows("a", [[1, 2]]).tolist() == [[1.0, 2.0]]
    for bad in ([1.0, 2.0], np.zeros((0, 2)), np.zeros((2, 0))):
        with rejects(f"a.shape = {np.shape(bad)}: need a (n, m); pass one row for each example"):
            _checks.rows("a", bad)
    with rejects("a[0, 1] = nan: need finite entries"):
        _checks.rows("a", [[0.0, np.nan]])


def test_one_point_has_no_leading_axes():
    assert _checks.point("x", 0.5, 1).tolist() == [0.5]
    assert _checks.point("x", [1, 2], 2).tolist() == [1.0, 2.0]
    for shape in ((2, 2), (1, 2), (0, 2)):
        with rejects(f"x.shape = {shape}: need one point (2,); pass one at a time"):
            _checks.point("x", np.zeros(shape), 2)


def test_starts_are_one_for_all_or_one_each():
    assert _checks.starts("x0", 1.0, 1, 3).tolist() == [[1.0]] * 3
    assert _checks.starts("x0", [[1.0], [2.0]], 1, None).tolist() == [[1.0], [2.0]]
    with rejects("paths = 3: need one start, or the 2 of x0; leave paths out"):
        _checks.starts("x0", [[1.0], [2.0]], 1, 3)
    for bad in ([[[0.0]]], np.zeros((0, 1))):
        with rejects(f"x0.shape = {np.shape(bad)}: need one start (d,) or starts (n, d)"):
            _checks.starts("x0", bad, 1, None)
    with rejects("x0 = None: need an array of real numbers; put the 1 coordinates"):
        _checks.starts("x0", None, 1, None)


def test_divisors():
    assert _checks.divisor("every", 2, "steps", 6) == 2
    assert _checks.divisor("every", None, "steps", 6) == 0
    with rejects("every = 4: need a divisor of steps = 6; change one of them"):
        _checks.divisor("every", 4, "steps", 6)


def test_fits_compares_dimensions():
    _checks.fits("region.dim", 2, "the grid's dim", 2)
    with rejects("region.dim = 1: need the grid's dim = 2; match them"):
        _checks.fits("region.dim", 1, "the grid's dim", 2)


def test_fractions_are_below_one():
    assert _checks.fraction("share", 0) == 0.0
    for bad in (1.0, -0.1, np.nan):
        with rejects(f"share = {bad}: need 0 <= share < 1; pass a fraction"):
            _checks.fraction("share", bad)


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
    values = _checks.values_on((2, 3), np.ones((3, 2), int).T)
    assert values.dtype == np.float64
    assert values.flags.c_contiguous
    assert values.shape == (2, 3)


def test_values_on_a_grid_reject_wrong_shape_and_nan():
    fix = "reshape density, or compute it on this grid"
    with rejects(f"density.shape = (3, 2): need density.shape = (2, 3); {fix}"):
        _checks.values_on((2, 3), np.ones((3, 2)), "density")
    with rejects("values[1, 2] = nan: need finite entries"):
        _checks.values_on((2, 3), [[0, 0, 0], [0, 0, np.nan]])
    with pytest.raises(ValueError, match=r"numbers; for a function f pass grid.sample\(f\)$"):
        _checks.values_on((2, 3), lambda x: x)
    with pytest.raises(ValueError, match="need an array of real numbers"):
        _checks.values_on((2, 3), np.ones((2, 3)) * (1 + 1j))


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
        ([], [], "lower, upper = shapes (0,), (0,): need two corners (d,)"),
        ("a", 1, "lower = 'a': need an array of real numbers; pass floats"),
        (0, 1j, "upper = 1j: need an array of real numbers; pass floats"),
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
    for empty in (np.zeros((0, 0)), np.zeros(0), np.array(1.0)):
        with rejects(f"hess.shape = {empty.shape}: need a square matrix (d, d); reshape it"):
            _checks.symmetric("hess", empty)
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
        ("soon", "t = 'soon': need an array of real numbers; pass floats"),
    ],
)
def test_increasing_times_reject(t, message):
    with rejects(message):
        _checks.increasing_times("t", t)


@pytest.mark.parametrize("x", NO_NUMBERS)
def test_points_that_are_no_numbers_are_refused(x):
    with pytest.raises(ValueError, match="need an array of real numbers; put the 1 coordinates"):
        _checks.points("x", x, 1)


def test_functions_can_be_called():
    _checks.function("h", len, "states")
    with rejects("h = 3: need a function of states; pass a def or a lambda"):
        _checks.function("h", 3, "states")


def test_even_times_have_a_step():
    assert _checks.even_times("times", np.linspace(1, 2, 5)) == 0.25
    for bad in ([1.0], [0.0, 1.0, 3.0]):
        with rejects(f"times = {len(bad)}: need 2 or more even times; solve for them"):
            _checks.even_times("times", np.array(bad))


def test_boxes_are_pairs_of_finite_corners():
    lower, upper = _checks.box("box", ((0, 1), (2, 3)))
    assert lower.tolist() == [0.0, 1.0]
    assert upper.tolist() == [2.0, 3.0]
    for bad in (5, None, (1, 2, 3), ()):
        with rejects(f"box = {bad!r}: need two corners (lower, upper); pass a pair"):
            _checks.box("box", bad)
    with rejects("box[0, 0] = -inf: need finite entries; mend 1 of them"):
        _checks.box("box", (-np.inf, 1.0))


def test_covariances_are_square_symmetric_and_nonnegative():
    assert _checks.covariance("q", 2).tolist() == [[2.0]]
    assert _checks.covariance("q", [[1, 1], [1, 1]]).dtype == np.float64
    with rejects("q.shape = (1, 2): need q.shape = (1, 1); pass a square matrix (d, d)"):
        _checks.square("q", [[1.0, 2.0]])
    with rejects("q.shape = (0, 0): need q.shape = (1, 1); pass a square matrix (d, d)"):
        _checks.square("q", np.zeros((0, 0)))
    with rejects("q.shape = (1, 1): need q.shape = (2, 2); pass a square matrix (d, d)"):
        _checks.covariance("q", 1.0, 2)
    with rejects("q[0, 0] = nan: need finite entries"):
        _checks.square("q", [[np.nan]])
    with rejects("|q - q^T| = 1: need q symmetric"):
        _checks.covariance("q", [[1.0, 1.0], [0.0, 1.0]])
    with rejects("least eigenvalue of q = -1: need q >= 0; it is a covariance"):
        _checks.covariance("q", np.diag([1.0, -1.0]))


def test_densities_on_grids_are_nonnegative():
    assert _checks.nonnegative_on((2, 3), np.ones((2, 3)), "rho").shape == (2, 3)
    with rejects("min rho = -1: need rho >= 0; clip it, then divide"):
        _checks.nonnegative_on((2, 3), -np.ones((2, 3)), "rho")
