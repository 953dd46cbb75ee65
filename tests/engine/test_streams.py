"""Random streams: their law, and that a path's numbers depend on seed and path alone."""

import numpy as np
import pytest
from numba import njit
from scipy import stats

from relaxlib._lanes.streams import LANES, normal_pair, seed_blocks, seed_of, uniforms


@njit
def fill(streams, cosines, sines):
    for b in range(len(streams)):
        for k in range(cosines.shape[1]):
            normal_pair(streams[b], cosines[b, k], sines[b, k])


@njit
def fill_uniforms(stream, out):
    for k in range(len(out)):
        uniforms(stream, out[k])


def normals(seed, first_path, blocks, pairs):
    """Normals (2, blocks * 64, pairs): the two of every pair, path by path."""
    out = np.empty((2, blocks, pairs, LANES))
    fill(seed_blocks(np.uint64(seed), first_path, blocks), *out)
    return out.transpose(0, 1, 3, 2).reshape(2, -1, pairs)


@pytest.fixture(scope="module")
def many():
    return normals(5, 0, 25, 3125)  # 1e7 draws


def test_ten_million_draws_are_normal(many):
    sample = many.ravel()
    assert sample.size == 10_000_000
    assert stats.kstest(sample[::10], "norm").pvalue > 1e-3
    counts, _ = np.histogram(sample, stats.norm.ppf(np.linspace(0, 1, 1001)))
    assert stats.chisquare(counts).pvalue > 1e-3
    for power, moment, variance in [(1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96), (6, 15, 10170)]:
        error = (sample**power).mean() - moment
        assert abs(error) < 4 * np.sqrt(variance / sample.size)


def test_tails_reach_as_far_as_they_should(many):
    beyond = np.count_nonzero(np.abs(many) > 5)
    expected = many.size * 2 * stats.norm.sf(5)
    assert abs(beyond - expected) < 4 * np.sqrt(expected)


def test_the_two_of_a_pair_are_independent(many):
    angle = np.arctan2(many[1], many[0]).ravel()
    radius = (many**2).sum(axis=0).ravel()
    assert stats.kstest(angle[::7], "uniform", (-np.pi, 2 * np.pi)).pvalue > 1e-3
    assert stats.kstest(radius[::7], "expon", (0, 2)).pvalue > 1e-3
    assert abs(np.corrcoef(radius, np.cos(4 * angle))[0, 1]) < 4 / np.sqrt(radius.size)


@pytest.mark.parametrize("lag", [1, 2, 3, 64])
def test_no_correlation_in_time(many, lag):
    for draws in (many[0], many[0] ** 2):
        centered = draws - draws.mean()
        product = centered[:, lag:] * centered[:, :-lag]
        assert abs(product.mean()) < 4 * product.std() / np.sqrt(product.size)


@pytest.mark.parametrize("lag", [1, 4, 64])
def test_no_correlation_between_paths(many, lag):
    product = many[0][lag:] * many[0][:-lag]
    assert abs(product.mean()) < 4 * product.std() / np.sqrt(product.size)


@pytest.mark.parametrize(("one", "other"), [(0, 1), (1, 2), (7, 2**63 + 7), (3, 3 << 32)])
def test_seeds_are_uncorrelated(one, other):
    first, second = normals(one, 0, 16, 200), normals(other, 0, 16, 200)
    product = first * second
    assert abs(product.mean()) < 4 / np.sqrt(product.size)


def test_a_path_depends_on_its_number_alone():
    together = normals(3, 0, 4, 10)
    np.testing.assert_array_equal(normals(3, 64, 1, 10), together[:, 64:128])
    np.testing.assert_array_equal(normals(3, 130, 1, 10), together[:, 130:194])


def test_all_states_differ():
    words = seed_blocks(np.uint64(0), 0, 1000)
    assert len(np.unique(words)) == words.size


def test_uniforms_are_positive_and_flat():
    out = np.empty((20_000, LANES))
    fill_uniforms(seed_blocks(np.uint64(9), 0, 1)[0], out)
    assert out.min() > 0.0
    assert out.max() <= 1.0
    assert stats.kstest(out.ravel(), "uniform").pvalue > 1e-3


def xoshiro(state):
    """Raw draws of xoshiro256+, by the book."""
    while True:
        yield (state[0] + state[3]) % 2**64
        shifted = state[1] << 17
        state[2] ^= state[0]
        state[3] ^= state[1]
        state[1] ^= state[2]
        state[0] ^= state[3]
        state[2] ^= shifted % 2**64
        state[3] = (state[3] << 45 | state[3] >> 19) % 2**64


def test_raw_draws_are_those_of_xoshiro():
    stream = seed_blocks(np.uint64(1), 0, 1)[0]
    draws = xoshiro([int(word) for word in stream[:, 5]])
    out = np.empty((3, LANES))
    fill_uniforms(stream, out)
    for k in range(3):
        assert out[k, 5] == 1.0 - (next(draws) >> 12) / 2**52


def test_a_pair_is_that_of_box_and_muller():
    stream = seed_blocks(np.uint64(1), 0, 1)
    draws = xoshiro([int(word) for word in stream[0, :, 5]])
    cosines, sines = np.empty((2, 1, 20, LANES))
    fill(stream, cosines, sines)
    for k in range(20):
        radius = np.sqrt(-2.0 * np.log(1.0 - (next(draws) >> 12) / 2**52))
        angle = 2 * np.pi * next(draws) / 2**64 - np.pi / 4
        expected = radius * np.array([np.cos(angle), np.sin(angle)])
        np.testing.assert_allclose([cosines[0, k, 5], sines[0, k, 5]], expected, rtol=1e-12)


def test_a_generator_is_advanced_by_one_draw():
    one, other = np.random.default_rng(4), np.random.default_rng(4)
    assert seed_of(one) == seed_of(other)
    assert seed_of(one) != seed_of(np.random.default_rng(4))


@pytest.mark.parametrize("rng", [None, 1.5, -1, True, "0", 2**64])
def test_what_is_no_seed_is_refused(rng):
    with pytest.raises(ValueError, match=r"rng = .*: need an int in \[0, 2\*\*64\)"):
        seed_of(rng)
