"""Stochastic gradient descent itself, run many times on a finite sum."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import numpy as np
from numba import cfunc, float64, njit, void
from numpy.typing import ArrayLike

from relaxlib import _checks
from relaxlib._lanes.compilation import OPTIONS
from relaxlib._lanes.failures import first_flaw
from relaxlib._lanes.runs import run, saved_times
from relaxlib._lanes.steps import draw
from relaxlib._lanes.streams import LANES, seed_of, uniforms
from relaxlib.paths import Ensemble
from relaxlib.sgd._descent import descent
from relaxlib.sgd._finite_sums import FiniteSum, formulas_of

_EXAMPLE_GRADIENT = void(float64[::1], float64[::1], float64[::1])


def sgd_paths(
    finite_sum: FiniteSum,
    x0: ArrayLike,
    *,
    lr: float,
    batch_size: int,
    noise_variance: float = 0.0,
    steps: int,
    rng: int | np.random.Generator,
    paths: int | None = None,
    save_every: int | None = None,
    replacement: bool = True,
) -> Ensemble:
    r"""Run SGD many times,
    :math:`x_{k+1} = x_k - \frac\eta b\sum_{i\in B_k}\nabla L_i(x_k) + \eta Z_k`.

    Parameters
    ----------
    finite_sum : FiniteSum
        With an example's formulas: `least_squares`, `logistic`, `quadratics`, `from_example`.
    x0 : (d,) or (n, d) array_like
        One start for all paths, or one each.
    lr : float
        Step :math:`\eta`.
    batch_size : int
        Size b of the batches :math:`B_k`.
    noise_variance : float
        :math:`\delta` of the additional noise :math:`Z_k \sim N(0, \delta I)`.
    steps, rng, paths, save_every
        As in `paths.simulate`; times count :math:`\eta` per step.
    replacement : bool
        Whether a batch may hold an example twice.

    Returns
    -------
    Ensemble
        The same bits for any number of threads; path i does not depend on how many run.

    Raises
    ------
    ValueError
        If an argument is out of range.
    ArithmeticError
        If a path leaves the finite numbers; the message names path, step and position.

    Notes
    -----
    BBI (SGD) and (NSGD), DR (7).

    Examples
    --------
    >>> from relaxlib.sgd import quadratics
    >>> two = quadratics([1.0, 1.0], [-1.0, 1.0])
    >>> ensemble = sgd_paths(two, 0.0, lr=0.5, batch_size=1, steps=200, rng=0, paths=20_000)
    >>> bool(abs(ensemble.paths.var() - 1 / 3) < 0.01)
    True
    """
    example = formulas_of(finite_sum)
    points = _checks.starts("x0", x0, finite_sum.dim, paths)
    numbers = descent(finite_sum.size, lr, batch_size, noise_variance, replacement)
    steps = _checks.count("steps", steps)
    every = _checks.divisor("save_every", save_every, "steps", steps)
    blocks, indices = -(-len(points) // LANES), 0 if numbers.replacement else finite_sum.size
    spare = np.empty((blocks, finite_sum.dim, LANES))
    order = np.broadcast_to(np.arange(indices), (blocks, LANES, indices)).copy()
    gradient = _compiled(example.gradient)
    advance = partial(_advance, gradient, example.rows, numbers, spare, order)
    positions, failure = run(points, 0, steps, every, seed_of(rng), advance)
    if failure is not None:
        failure.stop(": SGD on a curvature h is stable for lr < 2/h; take a smaller lr")
    return Ensemble(saved_times(numbers.lr, steps, every), positions)


@lru_cache(maxsize=64)
def _compiled(gradient: Callable) -> Any:
    return cfunc(_EXAMPLE_GRADIENT, error_model="numpy")(gradient)


@njit(**OPTIONS)
def _advance(gradient, rows, numbers, spare, order, blocks, steps, first, last):
    """Take the blocks from ``first`` to ``last`` through the ``steps`` = (start, stop).

    ``order`` (b, 64, N) holds a permutation of the examples per path, for drawing subsets.
    """
    dim = blocks.x.shape[1]
    slope, total, place = np.empty(dim), np.empty((dim, LANES)), np.empty(dim)
    chances, normals = np.empty(LANES), np.zeros((dim, LANES))
    deviation = np.sqrt(numbers.noise_variance)
    for b in range(first, last):
        x, before = blocks.x[b], blocks.x[b].copy()
        used = min(LANES, blocks.paths - b * LANES)
        for n in range(steps[0], steps[1]):
            if blocks.failures[b, 0] >= 0:
                break
            before[:] = x
            total[:] = 0.0
            for k in range(numbers.batch_size):
                uniforms(blocks.stream[b], chances)
                for lane in range(LANES):
                    i = _pick(chances[lane], k, len(rows), numbers.replacement, order[b, lane])
                    place[:] = x[:, lane]
                    gradient(place, rows[i], slope)
                    total[:, lane] += slope
            if deviation > 0.0:
                draw(blocks.stream[b], n, normals, spare[b])
            for i in range(dim):
                for lane in range(LANES):
                    kick = deviation * normals[i, lane]
                    x[i, lane] += numbers.lr * (kick - total[i, lane] / numbers.batch_size)
            if blocks.every > 0 and (n + 1) % blocks.every == 0:
                blocks.saved[(n + 1) // blocks.every, b] = x
            flaw = first_flaw(x, used)
            if flaw >= 0:
                x[:] = before
                blocks.failures[b, 0], blocks.failures[b, 1] = n, flaw


@njit(**OPTIONS)
def _pick(chance, k, size, replacement, order):
    """Index of the k-th example of a batch; without replacement by a step of Fisher and Yates."""
    if replacement:
        return min(int((1.0 - chance) * size), size - 1)
    swap = k + min(int((1.0 - chance) * (size - k)), size - k - 1)
    order[k], order[swap] = order[swap], order[k]
    return order[k]
