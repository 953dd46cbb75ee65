"""Grids: nodes, volumes, sampling; value functions: multilinear interpolation in space-time."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relaxlib.grid import DensityFlow, Grid, ValueFunction

GRID = Grid.box((-1.0, 0.0), (1.0, 3.0), (5, 4))


def test_end_points_are_nodes_and_the_last_axis_runs_fastest():
    assert GRID.nodes.shape == (20, 2)
    assert GRID.nodes[0].tolist() == [-1.0, 0.0]
    assert GRID.nodes[1].tolist() == [-1.0, 1.0]
    assert GRID.nodes[-1].tolist() == [1.0, 3.0]
    np.testing.assert_allclose(np.diff(GRID.axes[0]), GRID.spacings[0], rtol=1e-15)


def test_one_dimensional_grids_take_scalars():
    grid = Grid.box(0, 1, 3)
    assert grid.dim == 1
    assert grid.shape == (3,)
    assert grid.nodes.tolist() == [[0.0], [0.5], [1.0]]
    assert grid.axes[0].dtype == np.float64


def test_volumes_are_the_trapezoidal_weights_in_three_dimensions():
    grid = Grid.box((0, 0, -1), (1, 2, 1), (3, 4, 5))
    values = grid.sample(lambda x: (1 + x[:, 0]) * (2 - x[:, 1]) * (3 + x[:, 2]))
    by_axis = values
    for axis in reversed(grid.axes):
        by_axis = np.trapezoid(by_axis, axis)
    assert grid.volumes.shape == grid.shape
    assert abs((values * grid.volumes).sum() - by_axis) < 1e-13
    assert abs(by_axis - 1.5 * 2.0 * 6.0) < 1e-13  # exact for multilinear functions


def test_end_cells_have_half_volume_and_corners_a_quarter():
    assert GRID.volumes[2, 1] == 0.5
    assert GRID.volumes[0, 1] == GRID.volumes[2, 0] == 0.25
    assert GRID.volumes[-1, -1] == 0.125


def test_shares_of_cells_add_up_to_the_box():
    shares = GRID.shares((-0.3, -np.inf), (0.6, 1.75))
    assert (shares * GRID.volumes).sum() == pytest.approx(0.9 * 1.75, rel=1e-14)
    assert GRID.shares((-1, 0), (1, 3)).tolist() == np.ones(GRID.shape).tolist()
    assert not GRID.shares((2, 0), (3, 3)).any()
    with pytest.raises(ValueError, match=r"lower, upper.shape = \(2, 1\): need .* = \(2, 2\)"):
        GRID.shares([0.0], [1.0])


def test_sample_puts_values_where_the_nodes_are():
    values = GRID.sample(lambda x: 10 * x[:, 0] + x[:, 1])
    assert values[3, 2] == 10 * GRID.axes[0][3] + GRID.axes[1][2]


@pytest.mark.parametrize(
    ("lower", "upper", "shape", "message"),
    [
        (1, 0, 3, r"lower, upper = \[1.0\], \[0.0\]: need lower < upper on every axis; swap them"),
        ((0, 0), (1, 1), 3, r"shape = \(3,\): need 2 entries, one per axis; match the corners"),
        ((0, 0), (1,), (3, 3), r"lower, upper = shapes \(2,\), \(1,\): need two corners"),
        (0, 1, 1, r"shape = 1: need an integer >= 2"),
        (0, 1, 3.5, r"shape = 3.5: need an integer >= 2"),
        (0, np.inf, 3, r"upper\[0\] = inf: need finite entries"),
        (-np.inf, 0, 3, r"lower\[0\] = -inf: need finite entries"),
        ([], [], [], r"lower, upper = shapes \(0,\), \(0,\): need two corners"),
        ("a", 1, 3, "lower = 'a': need an array of real numbers"),
        (0, 1, True, "shape = .*True.*: need a real number; pass shape as an int"),
    ],
)
def test_box_rejects(lower, upper, shape, message):
    with pytest.raises(ValueError, match=message):
        Grid.box(lower, upper, shape)


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        (5, r"axes = 5: need one axis or more; use Grid.box"),
        (None, r"axes = None: need one axis or more; use Grid.box"),
        ((), r"axes = \(\): need one axis or more; use Grid.box"),
        (([0.0],), r"axis.shape = \(1,\): need two or more nodes \(n,\); use Grid.box"),
        (([[0.0, 1.0]],), r"axis.shape = \(1, 2\): need two or more nodes"),
        (([0.0, np.inf],), r"axis\[1\] = inf: need finite entries"),
        (([0.0, 1.0, 3.0],), "steps of an axis = 1 to 2: need one positive step; use Grid.box"),
        (([0.0, 1.0], [1.0, 0.5, 0.0]), "steps of an axis = -0.5 to -0.5: need one positive"),
        ((["a", "b"],), r"axis = \['a', 'b'\]: need an array of real numbers"),
    ],
)
def test_axes_that_are_not_evenly_spaced_are_refused(axes, message):
    with pytest.raises(ValueError, match=message):
        Grid(axes)


@pytest.mark.parametrize(("lower", "width"), [(0.1, 0.3), (1e6, 1.0), (-1e9, 1e-3), (0, 1e-200)])
def test_rounding_of_evenly_spaced_axes_is_accepted(lower, width):
    Grid((np.linspace(lower, lower + width, 1001 if abs(lower) < 1e7 else 11),))
    assert Grid([[0, 1, 2]]).axes[0].dtype == np.float64


def test_sample_rejects_a_function_that_does_not_give_one_value_per_node():
    need = r"function\(nodes\).shape = \(20, 2\): need one value at each of the 20 nodes"
    with pytest.raises(ValueError, match=need):
        GRID.sample(lambda x: x)
    with pytest.raises(ValueError, match=r"function\(nodes\) = .*: need an array of real numbers"):
        GRID.sample(lambda x: 1j * x[:, 0])


def multilinear(x, t):
    return (2 - x[:, 0]) * (1 + 3 * x[:, 1]) * (1 - t)


TIMES = np.array([0.0, 0.5, 2.0])
VALUES = np.stack([GRID.sample(lambda x, t=t: multilinear(x, t)) for t in TIMES])
FUNCTION = ValueFunction(GRID, TIMES, VALUES)


@settings(deadline=None, max_examples=50, derandomize=True)
@given(st.floats(-1.0, 1.0), st.floats(0.0, 3.0), st.floats(0.0, 2.0))
def test_interpolation_is_exact_for_multilinear_functions_of_space_and_time(x, y, t):
    point = np.array([[x, y]])
    assert abs(FUNCTION.interpolate(point, t=t) - multilinear(point, t)) < 1e-12


def test_interpolation_returns_the_stored_values_at_nodes_and_times():
    for t, values in zip(TIMES, VALUES, strict=True):
        np.testing.assert_allclose(
            FUNCTION.interpolate(GRID.nodes, t=t), values.ravel(), rtol=1e-14
        )
    np.testing.assert_array_equal(FUNCTION.interpolate(GRID.nodes), VALUES[-1].ravel())


def test_interpolation_keeps_leading_axes_and_takes_a_bare_float_on_the_line():
    assert FUNCTION.interpolate(np.zeros((2, 3, 2)), t=1.0).shape == (2, 3)
    line = ValueFunction(Grid.box(0, 1, 2), np.array([0.0]), np.array([[0.0, 4.0]]))
    assert line.interpolate(0.25) == 1.0


@pytest.mark.parametrize("outside", [(1.5, 1.0), (0.0, -0.1)])
def test_interpolation_rejects_points_outside_the_box(outside):
    message = r"points = \[.*\]: need a position in \[\[-1.0, 0.0\], \[1.0, 3.0\]\]; enlarge"
    with pytest.raises(ValueError, match=message):
        FUNCTION.interpolate(outside)


@pytest.mark.parametrize("t", [-0.1, 2.5, np.nan])
def test_interpolation_rejects_other_times(t):
    message = rf"t = {t}: need a time in \[0, 2\]; solve over a longer time"
    with pytest.raises(ValueError, match=message):
        FUNCTION.interpolate((0.0, 1.0), t=t)


@pytest.mark.parametrize("kind", [ValueFunction, DensityFlow])
def test_times_and_arrays_belong_together(kind):
    line, name = Grid.box(0, 1, 2), "values" if kind is ValueFunction else "densities"
    assert kind(line, [0, 1], [[0, 4], [1, 2]]).times.tolist() == [0.0, 1.0]
    for arguments, message in (
        ((None, [0.0], [[0.0, 4.0]]), "grid = None: need type Grid"),
        ((line, 0.0, [[0.0, 4.0]]), r"times.shape = \(\): need times.shape = \(1,\)"),
        ((line, [0.0], [0.0, 4.0]), rf"{name}.shape = \(2,\): need {name}.shape = \(1, 2\)"),
        ((line, [0.0], [["a", "b"]]), f"{name} = .*: need an array of real numbers"),
    ):
        with pytest.raises(ValueError, match="^" + message):
            kind(*arguments)
