"""Kramers' law: the mean time from a well over a saddle at low temperature."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import root
from scipy.sparse import csr_array
from scipy.sparse.csgraph import breadth_first_order, minimum_spanning_tree

from relaxlib import _checks
from relaxlib.diffusions import Diffusion, langevin
from relaxlib.grid import Grid
from relaxlib.landscapes import Landscape

_RESOLUTION = 401  # nodes along each axis of the grid on which a saddle is sought
_LARGEST = 700.0  # logarithms beyond which floats overflow
_ON_PATH, _PATH_WEIGHTS = np.polynomial.legendre.leggauss(64)


@dataclass(frozen=True, eq=False)
class Saddle:
    """The lowest pass between two points.

    Parameters
    ----------
    point : (d,) float64
    height : float
        f there: the communication height.
    """

    point: np.ndarray
    height: float


def kramers(
    landscape: Landscape,
    minimum: ArrayLike,
    saddle: ArrayLike,
    *,
    temperature: float,
    noise_cov: ArrayLike | Callable | None = None,
    event: str = "transition",
) -> float:
    r"""Mean time of :math:`dX = -\nabla f\,dt + \sqrt{2T}\,Q(X)^{1/2}dW` from a well over a saddle.

    If :math:`\nabla\Phi = Q^{-1}\nabla f` is a gradient, then as :math:`T\to0`

    .. math:: E\tau = \frac{2\pi}{|\lambda_1(z)|}\,\frac{\rho(x)}{\rho(z)}
                      \sqrt{\frac{|\det D^2\Phi(z)|}{\det D^2\Phi(x)}}\;
                      e^{(\Phi(z)-\Phi(x))/T}\,(1 + O(T)),

    with :math:`\lambda_1` the negative eigenvalue of :math:`D^2f` at the saddle and
    :math:`\rho = 1/q` where Q = qI, a constant where Q is one. On the line that is
    :math:`\frac{2\pi}{\sqrt{f''(x)|f''(z)|}}\sqrt{Q(z)/Q(x)}\,e^{\Delta\Phi/T}`.

    Parameters
    ----------
    landscape : Landscape
    minimum, saddle : (d,) array_like
        x and z, critical points of f; z has one negative eigenvalue.
    temperature : float
        T > 0.
    noise_cov : (d, d) array_like or function, optional
        Q as in `langevin`: constant, or a multiple of the identity at every point.
    event : {"transition", "reach_saddle"}
        To reach the other well, or the ridge through the saddle, the boundary of the basin, which
        takes half as long: up to :math:`O(\sqrt T)`, or O(T) where f is symmetric about it.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If x is not a minimum or z not a saddle of index one, D^2 f is singular at one of them, Q
        degenerates, or :math:`Q^{-1}\nabla f` is not a gradient (then the barrier
        is half of `minimum_action`).
    ArithmeticError
        If the time exceeds e^700.

    Notes
    -----
    BBI (66), (67) for Q = I; the factor for Q(x) follows from the same computation.

    Examples
    --------
    >>> from relaxlib.landscapes import double_well
    >>> law = kramers(double_well(), -1.0, 0.0, temperature=0.05)
    >>> f"{law:.2f}"  # pi sqrt(2) exp(5)
    '659.38'
    """
    _checks.kind("landscape", landscape, Landscape)
    temperature = _checks.positive("temperature", temperature)
    _checks.choice("event", event, ("transition", "reach_saddle"))
    bottom = _checks.point("minimum", minimum, landscape.dim)
    top = _checks.point("saddle", saddle, landscape.dim)
    need, fix = "it must be a critical point of f", "polish it: relevant_saddle"
    check_critical(landscape, "minimum", bottom, need, fix)
    check_critical(landscape, "saddle", top, need, fix)
    hessians = landscape.hess(np.array([bottom, top]))
    curvatures = np.linalg.eigvalsh(hessians)
    negative = (curvatures < 0.0).sum(axis=1)
    if negative[0]:
        _checks.reject("minimum", bottom.tolist(), "a minimum of f", "pass a local minimum")
    if negative[1] != 1:
        need = f"one negative eigenvalue there (found {negative[1]})"
        _checks.reject("saddle", top.tolist(), need, "pass a saddle of index one")
    sizes = np.abs(curvatures)
    if np.any(sizes.min(axis=1) <= 1e-12 * sizes.max(axis=1)):
        need = "none that is zero, for the law has another power of T there"
        fix = "use mean_exit_time or interval_exit_time"
        _checks.reject("eigenvalues of D^2 f at the two points", curvatures.tolist(), need, fix)
    noise = langevin(landscape, temperature=1.0, noise_cov=noise_cov)
    matrices = _noise_at(noise, np.linspace(bottom, top, 4001))[[0, -1]]
    path = bottom + (0.5 + 0.5 * _ON_PATH[:, None]) * (top - bottom)
    _check_gradient(landscape, noise, path)
    barrier = _PATH_WEIGHTS / 2 @ (_force(landscape, noise, path) @ (top - bottom))
    flat, curved = np.linalg.det(np.linalg.solve(matrices, hessians))
    ratio, rate = matrices[1, 0, 0] / matrices[0, 0, 0], np.abs(curvatures[1, 0])
    prefactor = 2 * np.pi / rate * ratio * np.sqrt(abs(curved) / flat)
    logarithm = barrier / temperature + np.log(prefactor)
    if not logarithm < _LARGEST:
        raise ArithmeticError(
            f"mean time e^{logarithm:.6g} overflows; raise the temperature, or work with this "
            "logarithm"
        )
    time = prefactor * np.exp(barrier / temperature)
    return float(time if event == "transition" else time / 2)


def relevant_saddle(landscape: Landscape, start: ArrayLike, end: ArrayLike) -> Saddle:
    r"""The pass of least height between two points in one or two dimensions.

    .. math:: H(x, y) = \inf_{\varphi: x\to y}\ \sup_t f(\varphi(t)).

    The lowest path on a grid of 401 nodes along each axis of the landscape's box, its highest
    point then polished by Newton's method on the gradient.

    Parameters
    ----------
    landscape : Landscape
    start, end : (d,) array_like
        Points of the landscape's box.

    Returns
    -------
    Saddle
        An end point itself where the path only descends from it.

    Raises
    ------
    ValueError
        If d > 2 or a point lies outside the box.
    ArithmeticError
        If the polished point is farther than two spacings away.

    Notes
    -----
    BBI appendix C.

    Examples
    --------
    >>> from relaxlib.landscapes import mueller_brown
    >>> wells = mueller_brown().minima
    >>> round(relevant_saddle(mueller_brown(), wells[0], wells[1]).height, 2)
    -40.66
    """
    _checks.kind("landscape", landscape, Landscape)
    if landscape.dim > 2:
        _checks.reject("landscape.dim", landscape.dim, "1 or 2", "pass the saddle that you know")
    grid = Grid.box(*landscape.box, [_RESOLUTION] * landscape.dim)
    ends = [_node(grid, name, x) for name, x in (("start", start), ("end", end))]
    values = grid.sample(landscape.value).ravel()
    highest = _highest_on_lowest_path(grid.shape, values, *ends)
    if highest in ends:
        point = np.atleast_1d(np.asarray(start if highest == ends[0] else end, np.float64))
        return Saddle(point, float(landscape.value(point)))
    rough = grid.nodes[highest]
    point = root(landscape.grad, rough, jac=landscape.hess, tol=1e-13).x
    far = np.abs((point - rough) / grid.spacings).max()
    if not far <= 2.0:
        raise ArithmeticError(
            f"saddle near {rough.tolist()}: Newton's method went {far:.3g} spacings away; "
            "take a landscape with a smaller box"
        )
    return Saddle(point, float(landscape.value(point)))


def check_critical(landscape: Landscape, name: str, point: np.ndarray, need: str, fix: str) -> None:
    """Reject a point (d,) at which grad f is not zero."""
    steepness = float(np.linalg.norm(landscape.grad(point)))
    if steepness > 1e-6 * (1.0 + np.abs(landscape.hess(point)).max()):
        _checks.reject(f"|grad f({name})|", f"{steepness:g}", f"zero: {need}", fix)


def _noise_at(noise: Diffusion, x: np.ndarray) -> np.ndarray:
    """Q at points (n, d), as (n, d, d): constant or a positive multiple of the identity."""
    matrices = noise.diffusivity_at(x)
    least = np.linalg.eigvalsh(matrices)[:, 0]
    if not least.min() > max(1e-12 * np.abs(matrices).max(), 1e-6 * least.max()):
        need = "Q > 0 on the way, for noise to reach all directions"
        _checks.reject("least eigenvalue of Q", f"{least.min():g}", need, "use mean_exit_time")
    scaled = matrices / matrices[:, :1, :1]
    if callable(noise.noise) and np.abs(scaled - np.eye(noise.dim)).max() > 1e-9:
        need = "a constant matrix or a multiple of the identity"
        _checks.reject("noise_cov", matrices[-1].tolist(), need, "take half of minimum_action")
    return matrices


def _force(landscape: Landscape, noise: Diffusion, x: np.ndarray) -> np.ndarray:
    """Q^{-1} grad f at points (n, d)."""
    return np.linalg.solve(_noise_at(noise, x), landscape.grad(x)[..., None])[..., 0]


def _check_gradient(landscape: Landscape, noise: Diffusion, path: np.ndarray) -> None:
    """Reject unless the Jacobian of Q^{-1} grad f is symmetric along the path."""
    jacobian, width = np.empty((len(path), landscape.dim, landscape.dim)), 1e-5
    for k, shift in enumerate(width * np.eye(landscape.dim)):
        ahead, behind = (_force(landscape, noise, x) for x in (path + shift, path - shift))
        jacobian[:, :, k] = (ahead - behind) / (2 * width)
    curl = np.abs(jacobian - np.swapaxes(jacobian, 1, 2)).max()
    if curl > 1e-5 * (1.0 + np.abs(jacobian).max()):
        need = "zero, for a potential Phi to exist"
        _checks.reject("curl of Q^-1 grad f", f"{curl:g}", need, "take half of minimum_action")


def _node(grid: Grid, name: str, x: ArrayLike) -> int:
    """Flat index of the node nearest to a point of the box."""
    point = _checks.point(name, x, grid.dim)
    first, last = grid.nodes[[0, -1]]
    if np.any((point < first) | (point > last)):
        need = f"a point in [{first.tolist()}, {last.tolist()}]"
        _checks.reject(name, point.tolist(), need, "move it into the landscape's box")
    places = np.rint((point - first) / grid.spacings).astype(int)
    return int(np.ravel_multi_index(tuple(places), grid.shape))


def _highest_on_lowest_path(
    shape: tuple[int, ...], values: np.ndarray, start: int, end: int
) -> int:
    """The node where the path of least maximum between two nodes is highest.

    That path lies in the minimum spanning tree whose edges weigh the rank of their higher end.
    """
    rank = 1 + np.argsort(np.argsort(values, kind="stable"))
    index = np.arange(len(values)).reshape(shape)
    pairs = [[np.delete(index, k, axis).ravel() for k in (-1, 0)] for axis in range(len(shape))]
    sides = zip(*pairs, strict=True)
    rows, columns = (np.concatenate(side).astype(np.int32) for side in sides)
    weights = np.maximum(rank[rows], rank[columns]).astype(np.float64)
    graph = csr_array((weights, (rows, columns)), shape=(len(values), len(values)))
    _, parents = breadth_first_order(minimum_spanning_tree(graph), start, directed=False)
    path = [end]
    while path[-1] != start:
        path.append(int(parents[path[-1]]))
    return path[int(np.argmax(rank[path]))]
