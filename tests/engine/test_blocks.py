"""Blocks of lanes: compiled formulas against the same formulas in plain Python."""

import numpy as np
import pytest

from relaxlib.diffusions import Diffusion
from relaxlib.paths import simulate

DIMS = [3, 45, 128]  # in place, and twice by tiles
POINTS = 77  # more than a block, and not a whole tile


def coupled(x, t, params, out):
    for i in range(len(x)):
        out[i] = params[0] * x[i - 1] + t * x[i] * x[len(x) - 1 - i] + params[-1] * i


def through_a_copy(x, t, params, out):
    shifted = x + params[0]
    for i in range(len(x)):
        out[i] = t * shifted[i - 1] + params[-1]


def chain(x, t, params, out):
    out[0] = params[0] * t - x[0] ** 3
    for i in range(1, len(x)):
        out[i] = x[i - 1] - x[i]


def crossed(x, t, params, out):
    for i in range(len(x)):
        for k in range(out.shape[1]):
            out[i, k] = params[0] * x[i] + t * k * x[k] + params[-1]


def diffusion(drift, dim, *, count=1, noise=crossed, rank=2):
    params = np.linspace(0.1, 0.7, count)
    return Diffusion(drift=drift, noise=noise, dim=dim, rank=rank, params=params, temperature=1.0)


def in_python(formula, points, t, params, shape):
    out = np.empty((len(points), *shape))
    for x, row in zip(points, out, strict=True):
        formula(x, t, params, row)
    return out


@pytest.mark.parametrize("dim", DIMS)
@pytest.mark.parametrize(("drift", "count"), [(coupled, 1), (coupled, 20), (through_a_copy, 1)])
def test_drift_is_the_formula_in_every_lane(drift, count, dim):
    system = diffusion(drift, dim, count=count)
    points = np.random.default_rng(dim).normal(size=(POINTS, dim))
    plain = in_python(drift, points, 0.3, system.params, (dim,))
    np.testing.assert_allclose(system.drift_at(points, 0.3), plain, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("dim", DIMS)
def test_noise_is_the_formula_in_every_lane(dim):
    system = diffusion(coupled, dim)
    points = np.random.default_rng(dim).normal(size=(POINTS, dim))
    plain = in_python(crossed, points, 0.3, system.params, (dim, 2))
    np.testing.assert_allclose(system.noise_at(points, 0.3), plain, rtol=1e-13, atol=1e-14)


def test_a_chain_moves_alike_however_long_it_is():
    start = np.linspace(-1, 1, 128)
    runs = {"dt": 0.01, "steps": 50, "rng": 3, "paths": POINTS}
    chains = [
        simulate(diffusion(chain, dim, noise=np.eye(dim, 1), rank=1), start[:dim], **runs).paths[0]
        for dim in DIMS
    ]
    for longer in chains[1:]:
        np.testing.assert_allclose(longer[:, :3], chains[0], rtol=1e-12)
