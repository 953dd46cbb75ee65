"""Trapezoidal rules on cubes in at most three dimensions: Gibbs integrals and Gaussian averages.

For analytic integrands that vanish at the ends the rule converges faster than any power of the
spacing: when it and its even nodes alone agree to 1e-11, it is exact to rounding.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit, prange

TOLERANCE = 1e-11
CUTOFF = 46.0  # exp(-46) = 1e-20
_EPS = np.finfo(np.float64).eps
_SCANNED = (512, 48, 24)  # intervals per axis, by dimension: to find the window,
_COARSEST = (512, 64, 48)  # in the first rule,
_FINEST = (2**20, 2**10, 3 * 2**6)  # and in the last one before giving up
_ROUNDS = 60  # of scanning
_TAIL = 12.0  # half-width of the window of a Gaussian average in standard deviations


@njit(cache=True, parallel=True, error_model="numpy")
def gibbs_integrals(points, reaches, params, gamma, temperature, value):
    """Integrals of exp(-Phi/T), Phi(y) = f(y) + |x-y|^2/(2 gamma), for every point x.

    Returns about the minima of Phi, ``lowest`` (n,); ``log_mass`` (n,), the logarithms of the
    integrals of exp((lowest - Phi)/T); mean (n, d) and covariance (n, d, d) of the law; and the
    residuals (n,): the difference between the last two rules over what `TOLERANCE` and rounding
    allow. The first window around a point has half-width ``reaches`` (n,).
    """
    count, dim = points.shape
    lowest, log_mass, residuals = np.empty(count), np.empty(count), np.full(count, np.inf)
    mean, cov = np.empty((count, dim)), np.empty((count, dim, dim))
    for k in prange(count):
        lower, upper = points[k] - reaches[k], points[k] + reaches[k]
        lowest[k] = _find_window(points[k], lower, upper, params, gamma, temperature, value)
        intervals = _COARSEST[dim - 1]
        while math.isfinite(lowest[k]) and intervals <= _FINEST[dim - 1] and residuals[k] > 1.0:
            lowest[k], log_mass[k], residuals[k] = _gibbs_rule(
                points[k], lower, upper, intervals, params, gamma, temperature, value, lowest[k],
                mean[k], cov[k],
            )  # fmt: skip
            intervals *= 2
    return lowest, log_mass, mean, cov, residuals


@njit(cache=True, parallel=True, error_model="numpy")
def gaussian_averages(points, deviation, params, value):
    """The averages E f(x + deviation Z), Z normal, at points x (n, d), and their residuals (n,)."""
    count, dim = points.shape
    means, residuals = np.empty(count), np.full(count, np.inf)
    for k in prange(count):
        intervals = _COARSEST[dim - 1]
        while intervals <= _FINEST[dim - 1] and residuals[k] > 1.0:
            means[k], residuals[k] = _gaussian_rule(points[k], deviation, intervals, params, value)
            intervals *= 2
    return means, residuals


@njit(cache=True, error_model="numpy")
def _place(flat, intervals, lower, upper, y):
    """Write the node of this flat index to y; tell whether all of its indices are even."""
    even = True
    for axis in range(len(y)):
        flat, index = divmod(flat, intervals + 1)
        y[axis] = lower[axis] + (upper[axis] - lower[axis]) * (index / intervals)
        even = even and index % 2 == 0
    return even


@njit(cache=True, error_model="numpy")
def _potential(x, y, params, gamma, value):
    square = 0.0
    for axis in range(len(y)):
        square += (x[axis] - y[axis]) ** 2
    return value(y, params) + square / (2.0 * gamma)


@njit(cache=True, error_model="numpy")
def _find_window(x, lower, upper, params, gamma, temperature, value):
    """Fit the window to where Phi < min Phi + CUTOFF T; return the minimum, or NaN on failure.

    A window grows while its boundary matters and shrinks while much of it does not.
    """
    dim = len(x)
    intervals = _SCANNED[dim - 1]
    phi, y = np.empty((intervals + 1) ** dim), np.empty(dim)
    first, last = np.empty(dim, np.int64), np.empty(dim, np.int64)
    for _ in range(_ROUNDS):
        for flat in range(len(phi)):
            _place(flat, intervals, lower, upper, y)
            phi[flat] = _potential(x, y, params, gamma, value)
        lowest = phi.min()
        if not math.isfinite(lowest):
            return np.nan
        _box_of_low_nodes(phi, lowest + CUTOFF * temperature, intervals, first, last)
        width, at_lower, at_upper = upper - lower, first == 0, last == intervals
        if np.any(at_lower) or np.any(at_upper):
            lower -= 0.25 * width * at_lower
            upper += 0.25 * width * at_upper
        elif np.any(last - first + 2 < 0.7 * intervals):
            upper[:] = lower + width * ((last + 1) / intervals)
            lower += width * ((first - 1) / intervals)
        else:
            return lowest
    return np.nan


@njit(cache=True, error_model="numpy")
def _box_of_low_nodes(phi, threshold, intervals, first, last):
    """Range of indices, per axis, of the nodes around which Phi may lie below the threshold.

    Phi at a node less the bend at one of its neighbors extrapolates from the node's other side; two
    such lines bound a convex Phi between nodes from below, and the higher one counts.
    """
    first[:], last[:] = intervals, 0
    for flat in range(len(phi)):
        dip, stride, rest = 0.0, 1, flat
        for _ in range(len(first)):
            rest, index = divmod(rest, intervals + 1)
            if 1 < index < intervals - 1:
                dip += min(_bend(phi, flat - stride, stride), _bend(phi, flat + stride, stride))
            elif index == 0 or index == intervals:
                dip = -np.inf  # on the boundary only Phi itself counts
            stride *= intervals + 1
        if phi[flat] - max(dip, 0.0) < threshold:
            rest = flat
            for axis in range(len(first)):
                rest, index = divmod(rest, intervals + 1)
                first[axis], last[axis] = min(first[axis], index), max(last[axis], index)


@njit(cache=True, error_model="numpy")
def _bend(phi, flat, stride):
    """Second difference; none where Phi is infinite."""
    bend = abs(phi[flat + stride] - 2.0 * phi[flat] + phi[flat - stride])
    return bend if math.isfinite(bend) else 0.0


@njit(cache=True, error_model="numpy")
def _gibbs_rule(x, lower, upper, intervals, params, gamma, temperature, value, lowest, mean, cov):
    """One rule; fill mean and cov, return the lowest Phi, the logarithm of the mass, the residual.

    Row 0 of each sum holds all nodes, row 1 those with even indices: the rule twice as coarse.
    """
    dim = len(x)
    y, middle = np.empty(dim), (lower + upper) / 2.0
    mass, moment, square = np.zeros(2), np.zeros((2, dim)), np.zeros((2, dim, dim))
    for flat in range((intervals + 1) ** dim):
        even = _place(flat, intervals, lower, upper, y)
        phi = _potential(x, y, params, gamma, value)
        if phi > lowest + CUTOFF * temperature:
            continue
        if phi < lowest:
            factor = math.exp((phi - lowest) / temperature)
            mass *= factor
            moment *= factor
            square *= factor
            lowest = phi
        weight = math.exp((lowest - phi) / temperature)
        for row in range(2 if even else 1):
            mass[row] += weight
            for a in range(dim):
                moment[row, a] += weight * (y[a] - middle[a])
                for b in range(a + 1):
                    square[row, a, b] += weight * (y[a] - middle[a]) * (y[b] - middle[b])
    change = abs(math.log(mass[0] / (mass[1] * 2.0**dim)))
    rounding, radius = abs(lowest) / temperature, (upper - lower) / 2.0
    for a in range(dim):
        rounding += (abs(middle[a]) + radius[a]) / radius[a]
        mean[a] = moment[0, a] / mass[0]
        change = max(change, abs(mean[a] - moment[1, a] / mass[1]) / radius[a])
        for b in range(a + 1):
            coarse = square[1, a, b] / mass[1] - moment[1, a] * moment[1, b] / mass[1] ** 2
            cov[a, b] = cov[b, a] = square[0, a, b] / mass[0] - mean[a] * mean[b]
            change = max(change, abs(cov[a, b] - coarse) / (radius[a] * radius[b]))
    mean += middle
    log_mass = math.log(mass[0] * np.prod(2.0 * radius / intervals))
    return lowest, log_mass, change / (TOLERANCE + 100.0 * _EPS * rounding)


@njit(cache=True, error_model="numpy")
def _gaussian_rule(x, deviation, intervals, params, value):
    """One rule for E f(x + deviation Z): the average and its residual."""
    dim = len(x)
    z, y = np.empty(dim), np.empty(dim)
    lower, upper = np.full(dim, -_TAIL), np.full(dim, _TAIL)
    mass, total, size = np.zeros(2), np.zeros(2), 0.0
    for flat in range((intervals + 1) ** dim):
        even = _place(flat, intervals, lower, upper, z)
        exponent = 0.0
        for axis in range(dim):
            exponent += z[axis] ** 2 / 2.0
            y[axis] = x[axis] + deviation * z[axis]
        weight, f = math.exp(-exponent), value(y, params)
        size += weight * abs(f)
        for row in range(2 if even else 1):
            mass[row] += weight
            total[row] += weight * f
    average = total[0] / mass[0]
    change = abs(average - total[1] / mass[1])
    return average, change / (TOLERANCE * max(size / mass[0], 1e-300))
