"""Figures of results; draws what it is given and computes nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.contour import QuadContourSet
from matplotlib.lines import Line2D

from relaxlib.grid import Grid

__all__ = ["LOSS", "plot_cloud", "plot_contours", "plot_minima", "plot_profile"]

#: Look of an unsmoothed loss, thin and gray.
LOSS: dict[str, Any] = {"color": "0.65", "lw": 1.4, "zorder": 1}


def plot_profile(ax: Axes, grid: Grid, values: np.ndarray, **style: Any) -> Line2D:
    """Draw values on a 1-d grid as a curve over x.

    Parameters
    ----------
    ax : matplotlib Axes
    grid : Grid
        One-dimensional.
    values : (n,) float64
    **style
        Passed to ``ax.plot``; `LOSS` is the thin gray of an unsmoothed loss.

    Returns
    -------
    Line2D
    """
    (line,) = ax.plot(grid.axes[0], values, **style)
    ax.set_xlabel("x")
    return line


def plot_cloud(
    ax: Axes, grid: Grid, density: np.ndarray, *, base: float, height: float, **style: Any
) -> PolyCollection:
    """Shade a 1-d density above the level ``base``, scaled so that its peak is ``height`` tall.

    Parameters
    ----------
    ax : matplotlib Axes
    grid : Grid
        One-dimensional.
    density : (n,) float64
        Nonnegative, not all zero.
    base, height : float
        In the units of the vertical axis.
    **style
        Passed to ``ax.fill_between``.

    Returns
    -------
    PolyCollection
    """
    top = base + height * density / density.max()
    return ax.fill_between(grid.axes[0], base, top, lw=0, **style)


def plot_contours(
    ax: Axes, grid: Grid, values: np.ndarray, *, levels: np.ndarray | int = 24
) -> QuadContourSet:
    """Draw values on a 2-d grid as filled contours, first axis to the right.

    Parameters
    ----------
    ax : matplotlib Axes
    grid : Grid
        Two-dimensional.
    values : (n, m) float64
    levels : int or increasing (k,) float64
        Number of levels, or the levels.

    Returns
    -------
    QuadContourSet
    """
    filled = ax.contourf(*grid.axes, values.T, levels=levels, extend="both")
    ax.contour(filled, colors="white", linewidths=0.4, alpha=0.5)
    ax.set_aspect("equal")
    ax.grid(visible=False)
    return filled


def plot_minima(ax: Axes, points: np.ndarray, **style: Any) -> Line2D:
    """Mark points (n, 2) of a landscape: white disks with a dark rim.

    Parameters
    ----------
    ax : matplotlib Axes
    points : (n, 2) float64
    **style
        Passed to ``ax.plot``.

    Returns
    -------
    Line2D
    """
    look: dict[str, Any] = {"marker": "o", "ls": "", "mfc": "white", "mec": "0.2", "ms": 6} | style
    (marks,) = ax.plot(*np.asarray(points).T, **look)
    return marks
