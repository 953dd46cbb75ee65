"""Point formulas drift(x, t, params, out) and noise(x, t, params, out), of a loss or a reader.

They know their dimension as a constant, so that their loops unroll and blocks of paths vectorize.
The same loss gives the same function, which is then compiled once for all temperatures.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numba import njit

from relaxlib._lanes.compilation import (
    MATRIX,
    MATRIX_IN_TIME,
    SCALAR,
    SCALAR_IN_TIME,
    VECTOR_IN_TIME,
    compile_own,
    compiled,
)
from relaxlib._lanes.factors import pivoted_factor


def drift_formula(drift: Callable, dim: int) -> Callable:
    """Point formula of drift(x, t, out), in one dimension of the scalar function b(x, t)."""
    if dim > 1:
        vector = compile_own("drift", drift, VECTOR_IN_TIME)
        return lambda x, t, params, out: vector(x, t, out)
    scalar = compile_own("drift", drift, SCALAR_IN_TIME)

    def on_the_line(x, t, params, out):
        out[0] = scalar(x[0], t)

    return on_the_line


def noise_formula(noise: Callable, dim: int) -> Callable:
    """Point formula of noise(x, t, out), in one dimension of the scalar function S(x, t)."""
    if dim > 1:
        matrix = compile_own("noise", noise, MATRIX_IN_TIME)
        return lambda x, t, params, out: matrix(x, t, out)
    scalar = compile_own("noise", noise, SCALAR_IN_TIME)

    def on_the_line(x, t, params, out):
        out[0, 0] = scalar(x[0], t)

    return on_the_line


def covariance_formula(noise_cov: Callable, dim: int) -> Callable:
    """covariance(x, out) of noise_cov(x, out), in one dimension of the scalar function Q(x)."""
    if dim > 1:
        return compile_own("noise_cov", noise_cov, MATRIX).py_func
    scalar = compile_own("noise_cov", noise_cov, SCALAR)

    def on_the_line(x, out):
        out[0, 0] = scalar(x[0])

    return on_the_line


@lru_cache(maxsize=64)
def linear_drift(dim: int) -> Callable:
    def drift(x, t, params, out):
        for i in range(dim):
            total = 0.0
            for j in range(dim):
                total -= params[i * dim + j] * x[j]
            out[i] = total

    return drift


@lru_cache(maxsize=64)
def downhill_drift(grad: Callable, dim: int) -> Callable:
    grad = compiled(grad)

    def drift(x, t, params, out):
        grad(x, params, out)
        for i in range(dim):
            out[i] = -out[i]

    return drift


@lru_cache(maxsize=64)
def two_scale_drift(grad: Callable, n: int) -> Callable:
    grad = compiled(grad)

    def drift(x, t, params, out):
        gamma, epsilon = params[0], params[1]
        grad(x[n:], params[2:], out[n:])
        for i in range(n):
            spring = (x[i] - x[n + i]) / gamma
            out[i] = -spring
            out[n + i] = (spring - out[n + i]) / epsilon

    return drift


@lru_cache(maxsize=64)
def underdamped_drift(grad: Callable, n: int) -> Callable:
    grad = compiled(grad)

    def drift(x, t, params, out):
        friction = params[0]
        grad(x[:n], params[1:], out[n:])
        for i in range(n):
            out[i] = x[n + i]
            out[n + i] = -out[n + i] - friction * x[n + i]

    return drift


def noise_of_covariance(covariance: Callable, scale: float, dim: int) -> Callable:
    """The noise ``scale`` times a factor of covariance(x, out)."""
    covariance = njit(error_model="numpy")(covariance)

    def on_the_line(x, t, params, out):
        covariance(x, out)
        out[0, 0] = scale * np.sqrt(max(out[0, 0], 0.0))

    def in_space(x, t, params, out):
        matrix = np.empty((dim, dim))
        covariance(x, matrix)
        pivoted_factor(matrix, out)
        for i in range(dim):
            for j in range(dim):
                out[i, j] *= scale

    return on_the_line if dim == 1 else in_space
