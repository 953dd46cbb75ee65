"""The generator of a diffusion on a grid: a sparse Markov chain whose jumps are never negative."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import csr_array

from relaxlib import _checks
from relaxlib.diffusions import Diffusion
from relaxlib.grid import Grid
from relaxlib.operators._selling import decompose
from relaxlib.regions import Ball, Box

Tilt = Callable[[np.ndarray], np.ndarray]
Jumps = list[tuple[np.ndarray, np.ndarray]]

_GAUSS = np.polynomial.legendre.leggauss(3)
_SINGULAR = 1e-12  # eigenvalues below this share of the largest are zero


@dataclass(frozen=True, eq=False)
class KolmogorovOperator:
    r"""The generator :math:`Au = T\operatorname{tr}(Q\,D^2u) + b\cdot\nabla u` as a Markov chain.

    Functions on the grid obey :math:`u' = Mu`, the masses p of the nodes :math:`p' = M^\top p`.

    Parameters
    ----------
    matrix : (n, n) csr_array
        M: off-diagonal entries are rates of jumps, never negative; rows sum to zero, or to minus
        the rate of absorption.
    grid : Grid
    diffusion : Diffusion or None
        What was discretized, unless only a potential was given.
    boundary : {"reflecting", "absorbing", "periodic"}
    regularization : float
        Largest :math:`\delta` of the added diffusion :math:`\delta\operatorname{tr}(D)I`, D in
        units of the spacings, that keeps the jumps short; zero unless Q is nearly singular in a
        slanted direction.
    """

    matrix: csr_array
    grid: Grid
    diffusion: Diffusion | None
    boundary: str
    regularization: float = 0.0

    @property
    def volumes(self) -> np.ndarray:
        """Volume of the cell of each node, of shape ``grid.shape``: mass = density * volume."""
        if self.boundary == "reflecting":
            return self.grid.volumes
        return np.full(self.grid.shape, np.prod(self.grid.spacings))

    def inside(self, region: Ball | Box | np.ndarray) -> np.ndarray:
        """Flat mask (n,) of the nodes in a Ball, a Box or a boolean array, at least one of them."""
        if isinstance(region, Ball | Box):
            _checks.fits("region.dim", region.dim, "the grid's dim", self.grid.dim)
            mask = region.contains(self.grid.nodes)
        else:
            need = "a Ball, a Box or a boolean array"
            mask = _checks.mask("region", region, self.grid.shape, need).ravel()
        if not mask.any():
            fix = "refine the grid, or move the region"
            _checks.reject("nodes in region", 0, "at least one", fix)
        return mask


def kolmogorov(
    diffusion: Diffusion, grid: Grid, *, boundary: str = "reflecting"
) -> KolmogorovOperator:
    r"""Discretize the generator of a diffusion in one or two dimensions.

    With spacings H the matrix :math:`D = H^{-1}TQH^{-1}` is a sum of
    :math:`\lambda_k e_k e_k^\top` over integer vectors, and node i jumps by
    :math:`\pm e_k` at the rate

    .. math:: \lambda_k(x_i)\,B(\mp z_k), \qquad B(z) = \frac z{e^z - 1},

    where z_k is the integral of :math:`(TQ)^{-1}b` along the jump: for :math:`b = -\nabla f` and
    Q = qI exactly :math:`-(f_j - f_i)/(Tq)`, so that the chain is in detailed balance with
    :math:`e^{-f/(Tq)}`. Where Q has no noise in the direction of b, b moves upwind. Second order
    where diffusion dominates the drift across a cell, first order elsewhere.

    Parameters
    ----------
    diffusion : Diffusion
        Its coefficients are taken at t = 0.
    grid : Grid
        In one or two dimensions.
    boundary : {"reflecting", "absorbing", "periodic"}
        A jump that would leave the box is dropped, kills, or wraps around. Faces of a reflecting
        box have half cells. On a periodic axis the first node follows the last, so the period
        is one spacing longer than the box.

    Returns
    -------
    KolmogorovOperator

    Raises
    ------
    ValueError
        If the dimensions differ or exceed two, or a coefficient is not finite at a node.

    Notes
    -----
    The fluxes are those of Scharfetter & Gummel (1969), on the lattice of Selling's decomposition.

    Examples
    --------
    >>> from relaxlib.diffusions import ornstein_uhlenbeck
    >>> operator = kolmogorov(ornstein_uhlenbeck(1.0, 1.0, temperature=0.5), Grid.box(-4, 4, 81))
    >>> slope = operator.matrix @ operator.grid.nodes[:, 0]
    >>> f"A x = {slope[50]:.2f} at x = {operator.grid.nodes[50, 0]:.2f}"
    'A x = -1.00 at x = 1.00'
    """
    _checks.kind("diffusion", diffusion, Diffusion)
    _check_grid(grid, boundary)
    _checks.fits("grid.dim", grid.dim, "the diffusion's dim", diffusion.dim)
    drift, diffusivity = diffusion.drift_at(grid.nodes), diffusion.diffusivity_at(grid.nodes)
    _checks.finite("drift at the nodes", drift)
    _checks.finite("T Q at the nodes", diffusivity)
    scaled = diffusivity / np.multiply.outer(grid.spacings, grid.spacings)
    if np.all(diffusivity == diffusivity[0]):
        scaled = scaled[:1]
    offsets, weights, shift = _lattice(scaled)
    if shift.any():
        scaled = scaled + (shift * np.trace(scaled, axis1=1, axis2=2))[:, None, None] * np.eye(2)
    inverse = np.linalg.pinv(scaled, _SINGULAR, hermitian=True)
    speed = drift / grid.spacings
    push = np.einsum("nij,nj->ni", inverse, speed)
    leftover = speed - np.einsum("nij,nj->ni", scaled, push)
    leftover[np.abs(leftover) <= 1e-9 * np.abs(speed).max(axis=1, keepdims=True)] = 0.0
    tilt = _tilt(diffusion, grid, diffusivity, inverse, push)
    jumps = _diffusive_jumps(grid, offsets, weights, tilt) + _upwind_jumps(leftover)
    return _assemble(jumps, grid, diffusion, boundary, float(shift.max()))


def langevin_operator(
    grid: Grid, potential: ArrayLike, *, temperature: float, boundary: str = "reflecting"
) -> KolmogorovOperator:
    r"""The generator of :math:`dX = -\nabla f\,dt + \sqrt{2T}\,dW` from values of f on the grid.

    Parameters
    ----------
    grid : Grid
        In one or two dimensions.
    potential : array_like of shape ``grid.shape``
        Values of f.
    temperature : float
        T > 0.
    boundary : {"reflecting", "absorbing", "periodic"}
        As in `kolmogorov`.

    Returns
    -------
    KolmogorovOperator
        In detailed balance with :math:`e^{-f/T}`.

    Raises
    ------
    ValueError
        If the temperature is not positive or the values do not fit the grid.

    Examples
    --------
    >>> grid = Grid.box(-1, 1, 3)
    >>> langevin_operator(grid, [0.0, 0.0, 0.0], temperature=0.5).matrix.toarray().tolist()
    [[-1.0, 1.0, 0.0], [0.5, -1.0, 0.5], [0.0, 1.0, -1.0]]
    """
    _check_grid(grid, boundary)
    temperature = _checks.positive("temperature", temperature)
    values = _checks.values_on(grid.shape, potential, "potential").ravel()
    offsets, weights, _ = _lattice(np.diag(temperature / grid.spacings**2)[None])

    def tilt(step: np.ndarray) -> np.ndarray:
        target, inside = _targets(grid, step, boundary)
        return np.where(inside, values - values[target], 0.0) / temperature

    return _assemble(_diffusive_jumps(grid, offsets, weights, tilt), grid, None, boundary, 0.0)


def bernoulli(z: np.ndarray) -> np.ndarray:
    r"""Bernoulli's function :math:`B(z) = z/(e^z - 1)`, without cancellation or overflow.

    >>> bernoulli(np.array([-800.0, 0.0, 800.0])).tolist()
    [800.0, 1.0, 0.0]
    """
    small = np.abs(z) < 1e-5
    with np.errstate(over="ignore"):
        ratio = np.where(small, 1.0, z) / np.expm1(np.where(small, 1.0, z))
    return np.where(small, 1.0 - z / 2 + z**2 / 12, ratio)


def _check_grid(grid: Grid, boundary: str) -> None:
    _checks.kind("grid", grid, Grid)
    if grid.dim > 2:
        _checks.reject("grid.dim", grid.dim, "1 or 2", "simulate paths instead")
    _checks.choice("boundary", boundary, ("reflecting", "absorbing", "periodic"))


def _lattice(scaled: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Offsets (n, k, d), weights (n, k) and shifts (n,) of the matrices (n, d, d)."""
    if scaled.shape[1] == 1:
        count = len(scaled)
        return np.ones((count, 1, 1), np.int64), scaled[:, :, 0], np.zeros(count)
    return decompose(scaled)


def _tilt(
    diffusion: Diffusion, grid: Grid, diffusivity: np.ndarray, inverse: np.ndarray, push: np.ndarray
) -> Tilt:
    """The function that gives z, the integral of (TQ)^{-1} b along a jump (n, d) from each node."""
    nodes, spacings, landscape = grid.nodes, grid.spacings, diffusion.landscape
    constant, level = len(inverse) == 1, diffusivity[0, 0, 0]
    isotropic = constant and np.all(diffusivity[0] == level * np.eye(grid.dim))
    if landscape and isotropic and level > 0.0:
        values = landscape.value(nodes)
        return lambda step: (values - landscape.value(nodes + step * spacings)) / level
    if constant:
        return lambda step: _along(
            lambda x: diffusion.drift_at(x) / spacings @ inverse[0], grid, step
        )
    if grid.dim == 1 and np.all(diffusivity > 0.0):

        def slope(x: np.ndarray) -> np.ndarray:
            with np.errstate(divide="ignore", invalid="ignore"):
                return diffusion.drift_at(x) / diffusion.diffusivity_at(x)[:, 0] * spacings

        return lambda step: np.nan_to_num(_along(slope, grid, step))
    return lambda step: (step * push).sum(axis=1)


def _along(field: Callable[[np.ndarray], np.ndarray], grid: Grid, step: np.ndarray) -> np.ndarray:
    """Integral of field . step along the jumps ``step`` from all nodes (Gauss, 3 points)."""
    total = np.zeros(len(step))
    for place, weight in zip(*_GAUSS, strict=True):
        middle = grid.nodes + (1 + place) / 2 * (step * grid.spacings)
        total += weight / 2 * (field(middle) * step).sum(axis=1)
    return total


def _diffusive_jumps(grid: Grid, offsets: np.ndarray, weights: np.ndarray, tilt: Tilt) -> Jumps:
    """Pairs of steps (n, d) and rates (n,)."""
    jumps = []
    for offset, weight in zip(np.moveaxis(offsets, 1, 0), weights.T, strict=True):
        if not weight.any():
            continue
        for sign in (1, -1):
            step = np.broadcast_to(sign * offset, grid.nodes.shape)
            jumps.append((step, weight * bernoulli(-tilt(step))))
    return jumps


def _upwind_jumps(speed: np.ndarray) -> Jumps:
    """Steps along the axes and rates for a drift (n, d) in units of the spacings."""
    jumps = []
    for along, unit in zip(speed.T, np.eye(speed.shape[1], dtype=np.int64), strict=True):
        for sign in (1, -1):
            rate = np.maximum(sign * along, 0.0)
            if rate.any():
                jumps.append((np.broadcast_to(sign * unit, speed.shape), rate))
    return jumps


def _targets(grid: Grid, step: np.ndarray, boundary: str) -> tuple[np.ndarray, np.ndarray]:
    """Flat index of the node after a step from each node, and whether there is one."""
    places = np.stack(np.unravel_index(np.arange(len(grid.nodes)), grid.shape), axis=1) + step
    if boundary == "periodic":
        places %= grid.shape
    inside = ((places >= 0) & (places < grid.shape)).all(axis=1)
    clipped = np.clip(places, 0, np.array(grid.shape) - 1)
    return np.ravel_multi_index(tuple(clipped.T), grid.shape), inside


def _assemble(
    jumps: Jumps, grid: Grid, diffusion: Diffusion | None, boundary: str, regularization: float
) -> KolmogorovOperator:
    """The chain with these jumps; half cells at reflecting faces."""
    count = len(grid.nodes)
    faces = np.ones((count, grid.dim))
    if boundary == "reflecting":
        first, last = grid.nodes[[0, -1]]
        faces[(grid.nodes == first) | (grid.nodes == last)] = 0.5
    source, total = np.arange(count), np.zeros(count)
    entries = []  # rows, columns, rates
    for step, rate in jumps:
        target, inside = _targets(grid, step, boundary)
        scaled = rate / np.where(step == 0, 1.0, faces).prod(axis=1)
        kept = inside & (scaled > 0.0)
        entries.append((source[kept], target[kept], scaled[kept]))
        total += scaled if boundary == "absorbing" else np.where(inside, scaled, 0.0)
    entries.append((source, source, -total))
    rows, columns, rates = map(np.concatenate, zip(*entries, strict=True))
    matrix = csr_array((rates, (rows, columns)), shape=(count, count))
    return KolmogorovOperator(matrix, grid, diffusion, boundary, regularization)
