"""Point formulas of the catalogue: f, its gradient and its Hessian at one point, written once.

Every function takes a point ``x`` (d,) and ``params`` (k,), both float64, and stays inside the
Python that numba compiles; a gradient (d,) and a Hessian (d, d) are written to ``out``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from relaxlib._lanes.elementary import tanh


class Formula(NamedTuple):
    """Point formulas of f: value(x, params), grad(x, params, out) and hess(x, params, out)."""

    value: Callable
    grad: Callable
    hess: Callable


# (x - c)^T H (x - c) / 2, params = the rows of H, then c


def quadratic_value(x, params):
    d = len(x)
    total = 0.0
    for i in range(d):
        for j in range(d):
            total += params[i * d + j] * (x[i] - params[d * d + i]) * (x[j] - params[d * d + j])
    return total / 2


def quadratic_grad(x, params, out):
    d = len(x)
    for i in range(d):
        out[i] = 0.0
        for j in range(d):
            out[i] += params[i * d + j] * (x[j] - params[d * d + j])


def quadratic_hess(x, params, out):
    d = len(x)
    for i in range(d):
        for j in range(d):
            out[i, j] = params[i * d + j]


# (x^2 - 1)^2 / 4


def double_well_value(x, params):
    return (x[0] * x[0] - 1.0) ** 2 / 4


def double_well_grad(x, params, out):
    out[0] = x[0] * (x[0] * x[0] - 1.0)


def double_well_hess(x, params, out):
    out[0, 0] = 3.0 * x[0] * x[0] - 1.0


# x^2/2 - log(cosh 2x)/2 - 0.1 x


def lipschitz_double_well_value(x, params):
    log_cosh = abs(2.0 * x[0]) + math.log1p(math.exp(-abs(4.0 * x[0]))) - math.log(2.0)
    return x[0] * x[0] / 2 - log_cosh / 2 - 0.1 * x[0]


def lipschitz_double_well_grad(x, params, out):
    out[0] = x[0] - tanh(2.0 * x[0]) - 0.1


def lipschitz_double_well_hess(x, params, out):
    out[0, 0] = 2.0 * tanh(2.0 * x[0]) ** 2 - 1.0


# 0.15 x^2 + 0.5 cos(4x + 1)


def rugged_value(x, params):
    return 0.15 * x[0] * x[0] + 0.5 * math.cos(4.0 * x[0] + 1.0)


def rugged_grad(x, params, out):
    out[0] = 0.3 * x[0] - 2.0 * math.sin(4.0 * x[0] + 1.0)


def rugged_hess(x, params, out):
    out[0, 0] = 0.3 - 8.0 * math.cos(4.0 * x[0] + 1.0)


# c x^2 - sum over wells of depth exp(-((x - place)/width)^2 / 2), params = c, then the wells


def gaussian_wells_value(x, params):
    total = params[0] * x[0] * x[0]
    for k in range(1, len(params), 3):
        z = (x[0] - params[k + 1]) / params[k + 2]
        total -= params[k] * math.exp(-z * z / 2)
    return total


def gaussian_wells_grad(x, params, out):
    out[0] = 2.0 * params[0] * x[0]
    for k in range(1, len(params), 3):
        z = (x[0] - params[k + 1]) / params[k + 2]
        out[0] += params[k] * z / params[k + 2] * math.exp(-z * z / 2)


def gaussian_wells_hess(x, params, out):
    out[0, 0] = 2.0 * params[0]
    for k in range(1, len(params), 3):
        z = (x[0] - params[k + 1]) / params[k + 2]
        out[0, 0] += params[k] * (1.0 - z * z) / params[k + 2] ** 2 * math.exp(-z * z / 2)


# sum over rows (A, a, b, c, u, v) of params: A exp(a X^2 + b X Y + c Y^2), X = x - u, Y = y - v


def mueller_brown_value(x, params):
    total = 0.0
    for k in range(0, len(params), 6):
        u, v = x[0] - params[k + 4], x[1] - params[k + 5]
        exponent = params[k + 1] * u * u + params[k + 2] * u * v + params[k + 3] * v * v
        total += params[k] * math.exp(exponent)
    return total


def mueller_brown_grad(x, params, out):
    out[:] = 0.0
    for k in range(0, len(params), 6):
        a, b, c = params[k + 1], params[k + 2], params[k + 3]
        u, v = x[0] - params[k + 4], x[1] - params[k + 5]
        term = params[k] * math.exp(a * u * u + b * u * v + c * v * v)
        out[0] += term * (2.0 * a * u + b * v)
        out[1] += term * (b * u + 2.0 * c * v)


def mueller_brown_hess(x, params, out):
    out[:] = 0.0
    for k in range(0, len(params), 6):
        a, b, c = params[k + 1], params[k + 2], params[k + 3]
        u, v = x[0] - params[k + 4], x[1] - params[k + 5]
        term = params[k] * math.exp(a * u * u + b * u * v + c * v * v)
        p, q = 2.0 * a * u + b * v, b * u + 2.0 * c * v
        out[0, 0] += term * (p * p + 2.0 * a)
        out[0, 1] += term * (p * q + b)
        out[1, 1] += term * (q * q + 2.0 * c)
    out[1, 0] = out[0, 1]


# (x^2 - 1)^2 + y^2


def double_well_2d_value(x, params):
    return (x[0] * x[0] - 1.0) ** 2 + x[1] * x[1]


def double_well_2d_grad(x, params, out):
    out[0] = 4.0 * x[0] * (x[0] * x[0] - 1.0)
    out[1] = 2.0 * x[1]


def double_well_2d_hess(x, params, out):
    out[0, 0] = 12.0 * x[0] * x[0] - 4.0
    out[0, 1] = out[1, 0] = 0.0
    out[1, 1] = 2.0


# |x|^p / p, params = p; at the origin the gradient is 0, and a singular Hessian infinite


def radial_power_value(x, params):
    square = 0.0
    for i in range(len(x)):
        square += x[i] * x[i]
    return square ** (params[0] / 2) / params[0]


def radial_power_grad(x, params, out):
    square = 0.0
    for i in range(len(x)):
        square += x[i] * x[i]
    for i in range(len(x)):
        out[i] = square ** (params[0] / 2 - 1.0) * x[i] if square > 0.0 else 0.0


def radial_power_hess(x, params, out):
    square = 0.0
    for i in range(len(x)):
        square += x[i] * x[i]
    tangential = square ** (params[0] / 2 - 1.0)
    for i in range(len(x)):
        for j in range(len(x)):
            out[i, j] = 0.0
            if square > 0.0:
                out[i, j] = (params[0] - 2.0) * tangential * (x[i] * x[j] / square)
        out[i, i] += tangential


# e^x + y^2/2


def exponential_ramp_value(x, params):
    return math.exp(x[0]) + x[1] * x[1] / 2


def exponential_ramp_grad(x, params, out):
    out[0] = math.exp(x[0])
    out[1] = x[1]


def exponential_ramp_hess(x, params, out):
    out[0, 0] = math.exp(x[0])
    out[0, 1] = out[1, 0] = 0.0
    out[1, 1] = 1.0


# x^2 y^2 / 2


def crossed_valleys_value(x, params):
    return x[0] * x[0] * x[1] * x[1] / 2


def crossed_valleys_grad(x, params, out):
    out[0] = x[0] * x[1] * x[1]
    out[1] = x[0] * x[0] * x[1]


def crossed_valleys_hess(x, params, out):
    out[0, 0] = x[1] * x[1]
    out[0, 1] = out[1, 0] = 2.0 * x[0] * x[1]
    out[1, 1] = x[0] * x[0]


QUADRATIC = Formula(quadratic_value, quadratic_grad, quadratic_hess)
DOUBLE_WELL = Formula(double_well_value, double_well_grad, double_well_hess)
LIPSCHITZ_DOUBLE_WELL = Formula(
    lipschitz_double_well_value, lipschitz_double_well_grad, lipschitz_double_well_hess
)
RUGGED = Formula(rugged_value, rugged_grad, rugged_hess)
GAUSSIAN_WELLS = Formula(gaussian_wells_value, gaussian_wells_grad, gaussian_wells_hess)
MUELLER_BROWN = Formula(mueller_brown_value, mueller_brown_grad, mueller_brown_hess)
DOUBLE_WELL_2D = Formula(double_well_2d_value, double_well_2d_grad, double_well_2d_hess)
RADIAL_POWER = Formula(radial_power_value, radial_power_grad, radial_power_hess)
EXPONENTIAL_RAMP = Formula(exponential_ramp_value, exponential_ramp_grad, exponential_ramp_hess)
CROSSED_VALLEYS = Formula(crossed_valleys_value, crossed_valleys_grad, crossed_valleys_hess)
