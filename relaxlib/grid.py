"""Arrays on the nodes of a box, and such arrays in time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.interpolate import RegularGridInterpolator

from relaxlib import _checks

__all__ = ["DensityFlow", "Grid", "ValueFunction"]


@dataclass(frozen=True, eq=False, init=False)
class Grid:
    """Uniform nodes in a box, end points included; the end cells have half volume.

    Parameters
    ----------
    axes : sequence of (n_k,) array_like
        Node coordinates along each axis, as `Grid.box` makes them: increasing, evenly spaced.

    Raises
    ------
    ValueError
        If an axis is not such.

    Examples
    --------
    >>> grid = Grid.box((-1, 0), (1, 3), (5, 4))
    >>> grid.dim, grid.shape, grid.spacings.tolist()
    (2, (5, 4), [0.5, 1.0])
    >>> float(grid.volumes.sum())
    6.0
    """

    axes: tuple[np.ndarray, ...]

    def __init__(self, axes: Iterable[ArrayLike]) -> None:
        found = tuple(map(_axis, axes)) if np.iterable(axes) else ()
        if not found:
            _checks.reject("axes", _checks.shown(axes), "one axis or more", "use Grid.box")
        vars(self).update(axes=found)

    @classmethod
    def box(cls, lower: ArrayLike, upper: ArrayLike, shape: int | Sequence[int]) -> Grid:
        """Grid of ``shape`` nodes between the corners ``lower`` and ``upper``.

        Parameters
        ----------
        lower, upper : float or (d,) array_like
            Opposite corners, lower < upper in every coordinate.
        shape : int or sequence of d ints
            Number of nodes along each axis, at least 2.

        Raises
        ------
        ValueError
            If the corners are not ordered, or an axis has a single node.
        """
        first, last = _checks.corners(lower, upper)
        _checks.finite("lower", first)
        _checks.finite("upper", last)
        counts = [_checks.count("shape", n, least=2) for n in np.atleast_1d(shape)]
        if len(counts) != len(first):
            need = f"{len(first)} entries, one per axis"
            _checks.reject("shape", tuple(counts), need, "match the corners")
        return cls(tuple(map(np.linspace, first, last, counts)))

    @property
    def dim(self) -> int:
        """Number of axes, d."""
        return len(self.axes)

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """Number of nodes along each axis; the shape of arrays on the grid."""
        return tuple(len(axis) for axis in self.axes)

    @cached_property
    def spacings(self) -> np.ndarray:
        """Distance h between neighboring nodes along each axis, (d,)."""
        return np.array([(axis[-1] - axis[0]) / (len(axis) - 1) for axis in self.axes])

    @cached_property
    def nodes(self) -> np.ndarray:
        """All nodes, (n, d), last axis fastest."""
        return np.stack(np.meshgrid(*self.axes, indexing="ij"), axis=-1).reshape(-1, self.dim)

    @cached_property
    def edges(self) -> tuple[np.ndarray, ...]:
        """Ends (n_k + 1,) of the cells along each axis, midway between nodes or walls."""
        return tuple(np.r_[axis[0], (axis[1:] + axis[:-1]) / 2, axis[-1]] for axis in self.axes)

    @cached_property
    def volumes(self) -> np.ndarray:
        """Cell volumes, the weights of the trapezoidal rule, of shape ``shape``."""
        cells = np.ones(())
        for axis, spacing in zip(self.axes, self.spacings, strict=True):
            lengths = np.full(len(axis), spacing)
            lengths[[0, -1]] /= 2
            cells = np.multiply.outer(cells, lengths)
        return cells

    def shares(self, lower: ArrayLike, upper: ArrayLike) -> np.ndarray:
        """Share of every cell that lies between two corners (d,), of shape ``shape``.

        >>> Grid.box(0, 1, 3).shares([0.5], [np.inf]).tolist()
        [0.0, 0.5, 1.0]
        """
        corners, shares = _checks.array("lower, upper", [lower, upper]), np.ones(())
        _checks.shape("lower, upper", corners, (2, self.dim))
        for edges, low, high in zip(self.edges, *corners, strict=True):
            overlap = np.minimum(edges[1:], high) - np.maximum(edges[:-1], low)
            shares = np.multiply.outer(shares, np.maximum(overlap, 0.0) / np.diff(edges))
        return shares

    def sample(self, function: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """Values of ``function`` at the nodes, of shape ``shape``.

        >>> Grid.box(0, 1, 3).sample(lambda x: x[:, 0] ** 2).tolist()
        [0.0, 0.25, 1.0]
        """
        values = _checks.array("function(nodes)", function(self.nodes))
        if values.size != len(self.nodes):
            need = f"one value at each of the {len(self.nodes)} nodes"
            _checks.reject("function(nodes).shape", values.shape, need, "map (n, d) to (n,)")
        return values.reshape(self.shape)


def _axis(coordinates: ArrayLike) -> np.ndarray:
    """Coordinates that are finite, increasing and, to rounding, evenly spaced."""
    axis = _checks.array("axis", coordinates)
    if axis.ndim != 1 or len(axis) < 2:
        _checks.reject("axis.shape", axis.shape, "two or more nodes (n,)", "use Grid.box")
    _checks.finite("axis", axis)
    steps, spacing = np.diff(axis), (axis[-1] - axis[0]) / (len(axis) - 1)
    rounding = 1e-9 * spacing + 4 * np.spacing(np.abs(axis).max())
    if not (steps.min() > 0.0 and np.abs(steps - spacing).max() <= rounding):
        extremes = f"{steps.min():g} to {steps.max():g}"
        _checks.reject("steps of an axis", extremes, "one positive step", "use Grid.box")
    return axis


@dataclass(frozen=True, eq=False, init=False)
class ValueFunction:
    """A function of time and position, known at the nodes of a grid.

    Parameters
    ----------
    grid : Grid
    times : (k,) array_like
        Increasing times.
    values : (k, *grid.shape) array_like

    Raises
    ------
    ValueError
        If times and values do not belong together.

    Examples
    --------
    >>> grid = Grid.box(0, 1, 2)
    >>> ValueFunction(grid, [0, 1], [[0, 2], [4, 6]]).interpolate([[0.5]], t=0.25).tolist()
    [2.0]
    """

    grid: Grid
    times: np.ndarray
    values: np.ndarray

    def __init__(self, grid: Grid, times: ArrayLike, values: ArrayLike) -> None:
        vars(self).update(_in_time(grid, times, "values", values))

    def interpolate(self, points: ArrayLike, t: float | None = None) -> np.ndarray:
        """Multilinear interpolation in space and time.

        Parameters
        ----------
        points : (..., d) array_like
            Positions inside the grid's box; in one dimension a bare float will do.
        t : float, optional
            A time between the first and the last; the last when left out.

        Returns
        -------
        (...) float64

        Raises
        ------
        ValueError
            If a point lies outside the box or ``t`` outside the stored times.
        """
        positions, leading = _checks.points("points", points, self.grid.dim)
        first, last = (np.array([axis[end] for axis in self.grid.axes]) for end in (0, -1))
        outside = ((positions < first) | (positions > last)).any(axis=1)
        if outside.any():
            box = f"a position in [{first.tolist()}, {last.tolist()}]"
            _checks.reject("points", positions[outside][0].tolist(), box, "enlarge the grid")
        return RegularGridInterpolator(self.grid.axes, self._at(t))(positions).reshape(leading)

    def _at(self, t: float | None) -> np.ndarray:
        """Values at time ``t``, linear between the stored times."""
        if t is None or t == self.times[-1]:
            return self.values[-1]
        if not self.times[0] <= t < self.times[-1]:
            span = f"a time in [{self.times[0]:g}, {self.times[-1]:g}]"
            _checks.reject("t", t, span, "solve over a longer time")
        after = int(np.searchsorted(self.times, t, side="right"))
        step = (t - self.times[after - 1]) / (self.times[after] - self.times[after - 1])
        return (1 - step) * self.values[after - 1] + step * self.values[after]


@dataclass(frozen=True, eq=False, init=False)
class DensityFlow:
    """Densities on the nodes of a grid at increasing times.

    Parameters
    ----------
    grid : Grid
    times : (k,) array_like
    densities : (k, *grid.shape) array_like

    Raises
    ------
    ValueError
        If times and densities do not belong together.
    """

    grid: Grid
    times: np.ndarray
    densities: np.ndarray

    def __init__(self, grid: Grid, times: ArrayLike, densities: ArrayLike) -> None:
        vars(self).update(_in_time(grid, times, "densities", densities))


def _in_time(grid: Grid, times: ArrayLike, name: str, values: ArrayLike) -> dict[str, Any]:
    """The fields of arrays on a grid in time, if they belong together.

    The library's own results pass as well: shapes are compared, no entry is looked at.
    """
    _checks.kind("grid", grid, Grid)
    instants, arrays = _checks.array("times", times), _checks.array(name, values)
    _checks.shape("times", instants, (instants.size,), "pass times (k,)")
    _checks.shape(name, arrays, (len(instants), *grid.shape), "pass one array for each time")
    return {"grid": grid, "times": instants, name: arrays}
