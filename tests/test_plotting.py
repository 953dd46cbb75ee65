"""Figures draw what they are given, where it belongs."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from relaxlib.grid import Grid
from relaxlib.plotting import LOSS, plot_cloud, plot_contours, plot_minima, plot_profile


@pytest.fixture
def ax():
    with plt.rc_context({"backend": "agg"}):
        plt.style.use("relaxlib.book")
        fig, ax = plt.subplots()
        yield ax
        plt.close(fig)


def test_profile_runs_over_the_axis_and_names_it(ax):
    grid = Grid.box(-1, 1, 5)
    line = plot_profile(ax, grid, grid.axes[0] ** 2, **LOSS)
    assert line.get_xydata().tolist() == [[x, x * x] for x in grid.axes[0]]
    assert line.get_color() == LOSS["color"]
    assert ax.get_xlabel() == "x"


def test_cloud_peaks_at_the_given_height_above_its_base(ax):
    grid = Grid.box(-3, 3, 61)
    cloud = plot_cloud(ax, grid, np.exp(-(grid.axes[0] ** 2)), base=-1.0, height=0.5)
    heights = cloud.get_paths()[0].vertices[:, 1]
    assert (heights.min(), heights.max()) == (-1.0, -0.5)


def test_contours_put_the_first_axis_to_the_right(ax):
    grid = Grid.box((0, 0), (4, 1), (41, 11))
    filled = plot_contours(
        ax, grid, grid.sample(lambda x: x[:, 0]), levels=np.array([0.0, 2.0, 4.0])
    )
    left, right = (path.vertices for path in filled.get_paths()[1:3])
    assert left[:, 0].max() <= 2.0 <= right[:, 0].min()
    assert ax.get_aspect() == 1.0


def test_minima_are_marked_where_they_are(ax):
    points = np.array([[0.0, 1.0], [2.0, 3.0]])
    marks = plot_minima(ax, points, ms=3)
    assert marks.get_xydata().tolist() == points.tolist()
    assert marks.get_markersize() == 3
