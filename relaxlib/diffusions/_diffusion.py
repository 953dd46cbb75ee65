"""The type of a diffusion dX = b dt + S dW: its formulas, their machine code, their values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from relaxlib import _checks
from relaxlib._lanes.blocks import DRIFT, NOISE, compile_block, no_noise, over_blocks, pack, unpack
from relaxlib._lanes.records import FormulaRecord
from relaxlib._lanes.steps import Equation
from relaxlib._lanes.streams import LANES
from relaxlib.diffusions._formulas import drift_formula, noise_formula
from relaxlib.landscapes import Landscape


@dataclass(frozen=True, eq=False, repr=False, init=False)
class Diffusion(FormulaRecord):
    r"""The Itô equation :math:`dX = b(X, t)\,dt + S(X, t)\,dW` with :math:`SS^\top = 2TQ`.

    Its generator is :math:`Au = \tfrac12\operatorname{tr}(SS^\top D^2u) + b\cdot\nabla u`.

    Parameters
    ----------
    drift : function
        Point formula of b: drift(x, t, params, out) with x and out (d,).
    noise : (d, r) float64 or function
        S as a constant, or its point formula noise(x, t, params, out) with out (d, r).
    dim, rank : int
        d, and the number r of Brownian motions.
    params : (k,) float64
        Passed to the formulas.
    temperature : float
        T in :math:`SS^\top = 2TQ`.
    landscape : Landscape, optional
        The loss f when b = -grad f.
    """

    drift: Callable
    noise: np.ndarray | Callable
    dim: int
    rank: int
    params: np.ndarray
    temperature: float
    landscape: Landscape | None

    def __init__(
        self,
        *,
        drift: Callable,
        noise: ArrayLike | Callable,
        dim: int,
        rank: int,
        params: ArrayLike = (),
        temperature: float,
        landscape: Landscape | None = None,
    ) -> None:
        if not callable(noise):
            noise = np.ascontiguousarray(_checks.array("noise", noise))
            _checks.shape("noise", noise, (dim, rank), "pass a (d, r) matrix")
            _checks.finite("noise", noise)
        vars(self).update(
            drift=drift,
            noise=noise,
            dim=dim,
            rank=rank,
            params=_checks.array("params", params),
            temperature=temperature,
            landscape=landscape,
        )

    @classmethod
    def from_functions(
        cls,
        drift: Callable,
        noise: Callable | ArrayLike,
        *,
        dim: int,
        rank: int | None = None,
        temperature: float = 1.0,
    ) -> Diffusion:
        r"""Diffusion of your own functions, compiled at once.

        Parameters
        ----------
        drift : function
            drift(x, t, out) at x (d,), in Python that numba compiles; for ``dim`` = 1 the
            scalar function b(x, t).
        noise : function or (d, r) array_like
            noise(x, t, out) with out (d, r), for ``dim`` = 1 the scalar function S(x, t); or
            the constant matrix S.
        dim, rank : int
            d, and the number r of Brownian motions; r = d when left out.
        temperature : float
            T in :math:`SS^\top = 2TQ`; it only says what is called Q.

        Returns
        -------
        Diffusion

        Raises
        ------
        ValueError
            If numba cannot compile a function, or a constant matrix is not finite (d, r).

        Examples
        --------
        >>> geometric = Diffusion.from_functions(lambda x, t: -x, lambda x, t: 0.5 * x, dim=1)
        >>> geometric.drift_at(2.0).tolist(), geometric.diffusivity_at(2.0).tolist()
        ([-2.0], [[0.5]])
        """
        dim = _checks.count("dim", dim)
        temperature = _checks.positive("temperature", temperature)
        factor: np.ndarray | Callable
        if callable(noise):
            rank = dim if rank is None else _checks.count("rank", rank)
            if dim == 1 and rank > 1:
                _checks.reject("rank", rank, "rank 1 on the line", "add up the variances")
            factor = noise_formula(noise, dim)
        else:
            matrix = _checks.array("noise", noise)
            factor = matrix[:, None] if matrix.shape == (dim,) else np.atleast_2d(matrix)
            rank = factor.shape[-1] if rank is None else _checks.count("rank", rank)
        drift = drift_formula(drift, dim)
        return cls(drift=drift, noise=factor, dim=dim, rank=rank, temperature=temperature)

    @cached_property
    def equation(self) -> Equation:
        """Drift and noise as the compiled engine of paths takes them."""
        compiled = partial(compile_block, dim=self.dim, count=len(self.params))
        if additive := not callable(self.noise):
            noise, matrix = no_noise, self.noise
        else:
            noise, matrix = compiled(self.noise, NOISE), np.empty((0, 0))
        entries = np.ascontiguousarray(np.argwhere(matrix))
        weights = matrix[tuple(entries.T)]
        return Equation(compiled(self.drift, DRIFT), noise, self.params, additive, entries, weights)

    def drift_at(self, x: ArrayLike, t: float = 0.0) -> np.ndarray:
        """b at points (..., d), as (..., d); in one dimension a bare float will do."""
        points, leading = _checks.points("x", x, self.dim)
        return self._at(points, t, self.equation.drift, self.dim).reshape(*leading, self.dim)

    def noise_at(self, x: ArrayLike, t: float = 0.0) -> np.ndarray:
        """S at points (..., d), as (..., d, r)."""
        points, leading = _checks.points("x", x, self.dim)
        shape = (*leading, self.dim, self.rank)
        if not callable(self.noise):
            return np.broadcast_to(self.noise, shape).copy()
        return self._at(points, t, self.equation.noise, self.dim, self.rank).reshape(shape)

    def _at(self, points: np.ndarray, t: float, function: Any, *shape: int) -> np.ndarray:
        """A compiled function at points (n, d), as (n, *shape)."""
        blocks = pack(points)
        out = np.empty((len(blocks), *shape, LANES))
        over_blocks(blocks, float(t), self.params, out, function)
        return unpack(out.reshape(len(blocks), -1, LANES), len(points)).reshape(-1, *shape)

    def diffusivity_at(self, x: ArrayLike, t: float = 0.0) -> np.ndarray:
        r"""The matrix :math:`TQ = SS^\top/2` at points (..., d), as (..., d, d)."""
        noise = self.noise_at(x, t)
        return noise @ np.swapaxes(noise, -1, -2) / 2

    def step_bound(self, x: ArrayLike) -> np.ndarray:
        r"""The stability bounds of Euler's step at points (..., d), as (...).

        With eigenvalues :math:`\lambda` of Db(x), the least of
        :math:`-2\operatorname{Re}\lambda/|\lambda|^2` over those that decay; zero where the drift
        is not finite.
        """
        points, leading = _checks.points("x", x, self.dim)
        shifts = 1e-5 * np.maximum(1.0, np.abs(points))[:, None] * np.eye(self.dim)
        ahead, behind = (
            self._at(near.reshape(-1, self.dim), 0.0, self.equation.drift, self.dim)
            for near in (points[:, None] + shifts, points[:, None] - shifts)
        )
        with np.errstate(over="ignore", invalid="ignore"):
            slopes = (ahead - behind).reshape(shifts.shape) / (
                2 * shifts.sum(axis=-1, keepdims=True)
            )
            finite = np.isfinite(slopes).all(axis=(-2, -1))
            rates = np.linalg.eigvals(np.where(finite[:, None, None], slopes, 0.0))
            decaying = rates.real < -1e-6 * np.abs(rates)
            squares = np.where(decaying, np.abs(rates) ** 2, 1.0)
            bounds = np.where(decaying, -2 * rates.real / squares, np.inf).min(axis=-1)
        return np.where(finite, bounds, 0.0).reshape(leading)

    def __repr__(self) -> str:
        kind = "additive" if not callable(self.noise) else "multiplicative"
        name = f" on {self.landscape.name}" if self.landscape else ""
        return (
            f"<Diffusion{name}: dim={self.dim}, rank={self.rank}, {kind}, T={self.temperature:g}>"
        )
