"""Stochastic gradient descent itself, run many times on a finite sum."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import ArrayLike

from relaxlib import _checks
from relaxlib._lanes.blocks import pack, unpack
from relaxlib._lanes.compilation import OPTIONS
from relaxlib._lanes.progress import in_spans, over_threads, threads
from relaxlib._lanes.steps import draw, first_failure, first_flaw
from relaxlib._lanes.streams import LANES, seed_blocks, seed_of, uniforms
from relaxlib.paths import Ensemble
from relaxlib.sgd._finite_sums import FiniteSum, check_formulas
from relaxlib.sgd._moments import check_batch


class Settings(NamedTuple):
    """Numbers of one run."""

    lr: float
    batch_size: int
    noise_deviation: float
    replacement: bool
    every: int
    count: int


class Blocks(NamedTuple):
    """Where the paths stand, in blocks of 64 lanes."""

    x: np.ndarray  # (b, d, 64)
    stream: np.ndarray  # (b, 4, 64)
    spare: np.ndarray  # (b, d, 64)
    order: np.ndarray  # (b, 64, N) a permutation of the examples per path, for drawing subsets
    failures: np.ndarray  # (b, 2) step and lane that left the finite numbers, else -1


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
    check_formulas(finite_sum)
    points = _checks.starts("x0", x0, finite_sum.dim, paths)
    lr, steps = _checks.positive("lr", lr), _checks.count("steps", steps)
    deviation = np.sqrt(_checks.nonnegative("noise_variance", noise_variance))
    replacement = _checks.flag("replacement", replacement)
    batch = check_batch(finite_sum, batch_size, replacement)
    every = _checks.divisor("save_every", save_every, "steps", steps)
    settings = Settings(lr, batch, deviation, replacement, every, len(points))
    times = lr * np.arange(0, steps + 1, every) if every else np.array([lr * steps])
    return Ensemble(times, _march(finite_sum, points, settings, steps, seed_of(rng)))


def _march(
    finite_sum: FiniteSum, points: np.ndarray, settings: Settings, steps: int, seed: np.uint64
) -> np.ndarray:
    """Positions (k, n, d) at the saved steps, or the last."""
    x = pack(points)
    rows = finite_sum.example.rows
    indices = 0 if settings.replacement else len(rows)
    order = np.broadcast_to(np.arange(indices), (len(x), LANES, indices)).copy()
    failures = np.full((len(x), 2), -1)
    state = Blocks(x, seed_blocks(seed, 0, len(x)), np.empty_like(x), order, failures)
    saved = np.empty((steps // settings.every + 1 if settings.every else 0, *x.shape))
    saved[:1] = x
    with threads() as pool:
        for span in in_spans(steps, "step"):
            kernel = partial(
                _advance, state, saved, rows, settings, finite_sum.compiled_gradient, span
            )
            over_threads(pool, kernel, len(x))
            failure = first_failure(x, failures, 0)
            if failure is not None:
                failure.stop(": SGD on a curvature h is stable for lr < 2/h; take a smaller lr")
    return unpack(saved if settings.every else x[None], settings.count)


@njit(**OPTIONS)
def _advance(state, saved, rows, settings, gradient, steps, first, last):
    """Take the blocks from ``first`` to ``last`` through the ``steps`` = (first, last)."""
    dim = state.x.shape[1]
    slope, total, place = np.empty(dim), np.empty((dim, LANES)), np.empty(dim)
    chances, normals = np.empty(LANES), np.zeros((dim, LANES))
    for b in range(first, last):
        x, before = state.x[b], state.x[b].copy()
        used = min(LANES, settings.count - b * LANES)
        for n in range(steps[0], steps[1]):
            if state.failures[b, 0] >= 0:
                break
            before[:] = x
            total[:] = 0.0
            for k in range(settings.batch_size):
                uniforms(state.stream[b], chances)
                for lane in range(LANES):
                    i = _pick(
                        chances[lane], k, len(rows), settings.replacement, state.order[b, lane]
                    )
                    place[:] = x[:, lane]
                    gradient(place, rows[i], slope)
                    total[:, lane] += slope
            if settings.noise_deviation > 0.0:
                draw(state.stream[b], n, normals, state.spare[b])
            for i in range(dim):
                for lane in range(LANES):
                    kick = settings.noise_deviation * normals[i, lane]
                    x[i, lane] += settings.lr * (kick - total[i, lane] / settings.batch_size)
            if settings.every > 0 and (n + 1) % settings.every == 0:
                saved[(n + 1) // settings.every, b] = x
            flaw = first_flaw(x, used)
            if flaw >= 0:
                x[:] = before
                state.failures[b, 0], state.failures[b, 1] = n, flaw


@njit(**OPTIONS)
def _pick(chance, k, size, replacement, order):
    """Index of the k-th example of a batch; without replacement by a step of Fisher and Yates."""
    if replacement:
        return min(int((1.0 - chance) * size), size - 1)
    swap = k + min(int((1.0 - chance) * (size - k)), size - k - 1)
    chosen = order[swap]
    order[swap] = order[k]
    order[k] = chosen
    return chosen
