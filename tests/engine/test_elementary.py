"""Elementary functions without branches, against long doubles."""

import numpy as np
import pytest
from numba import njit

from relaxlib._lanes.elementary import as_bits, as_float, cosine, logarithm, sine, tanh

RANDOM = np.random.default_rng(1)
ULP = np.finfo(float).eps


def values(function, x):
    return np.array([function(entry) for entry in x])


@pytest.mark.parametrize(
    ("ours", "exact", "x"),
    [
        (logarithm, np.log, np.concatenate([RANDOM.random(9999), 1 - np.logspace(-15, -1, 999)])),
        (logarithm, np.log, 2.0 ** np.arange(-1000.0, 1000.0, 7.0)[np.arange(286) != 143]),
        (tanh, np.tanh, np.concatenate([RANDOM.normal(size=9999), np.logspace(-300, 2, 999)])),
        (tanh, np.tanh, -np.logspace(-3, 3, 999)),
    ],
)
def test_relative_error_is_two_units_in_the_last_place(ours, exact, x):
    expected = exact(x.astype(np.longdouble))
    assert np.max(np.abs(values(ours, x) / expected - 1)) < 2 * ULP


@pytest.mark.parametrize(("ours", "exact"), [(sine, np.sin), (cosine, np.cos)])
def test_circle_within_one_unit(ours, exact):
    x = np.linspace(-np.pi / 4, np.pi / 4, 10001)
    assert np.max(np.abs(values(ours, x) - exact(x.astype(np.longdouble)))) < ULP


def test_special_values():
    assert logarithm(1.0) == 0.0
    assert tanh(0.0) == 0.0
    assert tanh(1e300) == 1.0
    assert np.isnan(tanh(np.nan))


def test_bits_round_trip():
    @njit
    def round_trip(x):
        return as_float(as_bits(x))

    assert round_trip(-1.5) == -1.5
