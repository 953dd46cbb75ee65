"""SGD: batches by enumeration, exact moments, the diffusion that stands for it, streams, errors."""

import itertools

import numba
import numpy as np
import pytest

from relaxlib import sgd
from relaxlib.paths import simulate
from relaxlib.sgd import (
    FiniteSum,
    diffusion_moments,
    from_example,
    least_squares,
    logistic,
    noise_covariance,
    noise_rank,
    quadratics,
    sgd_diffusion,
    sgd_moments,
    sgd_paths,
    stationary_moments,
)

RNG = np.random.default_rng(0)
TWO = quadratics([0.5, 2.0], [1.0, -0.5])
PLANE = quadratics(
    [np.eye(2), [[2.0, 0.5], [0.5, 1.0]], [[1.0, -0.3], [-0.3, 3.0]], np.diag([0.2, 1.0])],
    RNG.normal(size=(4, 2)),
)


def one_step(finite_sum, x, lr, batches, noise_variance=0.0):
    """Mean and second moment after one step, by enumeration of the batches."""
    gradients = finite_sum.gradients(np.asarray(x))
    ends = np.array([x - lr * gradients[list(batch)].mean(axis=0) for batch in batches])
    second = np.einsum("ni,nj->ij", ends, ends) / len(ends)
    return ends.mean(axis=0), second + lr**2 * noise_variance * np.eye(len(x))


@pytest.mark.parametrize("batch_size", [1, 2, 3])
@pytest.mark.parametrize("replacement", [True, False])
def test_moments_of_one_step_by_enumeration(batch_size, replacement):
    batches = (
        itertools.product(range(4), repeat=batch_size)
        if replacement
        else itertools.combinations(range(4), batch_size)
    )
    x = np.array([0.3, -0.7])
    mean, second = one_step(PLANE, x, 0.2, list(batches), noise_variance=0.3)
    options = {"lr": 0.2, "batch_size": batch_size, "noise_variance": 0.3}
    means, seconds = sgd_moments(PLANE, x, steps=1, replacement=replacement, **options)
    np.testing.assert_allclose(means[1], mean, rtol=1e-14)
    np.testing.assert_allclose(seconds[1], second, rtol=1e-13)


def test_two_steps_by_enumeration():
    ends = []
    for i, j in itertools.product(range(4), repeat=2):
        x = np.array([0.3, -0.7])
        x = x - 0.3 * PLANE.gradients(x)[i]
        ends.append(x - 0.3 * PLANE.gradients(x)[j])
    means, seconds = sgd_moments(PLANE, [0.3, -0.7], lr=0.3, batch_size=1, steps=2)
    np.testing.assert_allclose(means[2], np.mean(ends, axis=0), rtol=1e-13)
    np.testing.assert_allclose(seconds[2], np.einsum("ni,nj->ij", ends, ends) / 16, rtol=1e-13)


def test_full_batch_without_replacement_has_no_noise():
    ensemble = sgd_paths(
        PLANE, [1.0, 1.0], lr=0.1, batch_size=4, steps=50, rng=0, paths=70, replacement=False
    )
    x = np.ones(2)
    for _ in range(50):
        x = x - 0.1 * PLANE.grad(x)
    np.testing.assert_allclose(ensemble.paths[0], np.tile(x, (70, 1)), rtol=1e-13)


@pytest.mark.parametrize("replacement", [True, False])
def test_simulated_moments_are_the_exact_ones(replacement):
    options = {"lr": 0.2, "batch_size": 2, "noise_variance": 0.1, "replacement": replacement}
    count = 100_000
    x = sgd_paths(PLANE, [1.0, 0.0], steps=15, rng=3, paths=count, **options).paths[0]
    means, seconds = sgd_moments(PLANE, [1.0, 0.0], steps=15, **options)
    assert np.all(np.abs(x.mean(axis=0) - means[-1]) < 4 * x.std(axis=0) / np.sqrt(count))
    products = x[:, :, None] * x[:, None, :]
    gap = np.abs(products.mean(axis=0) - seconds[-1])
    assert np.all(gap < 4 * products.std(axis=0) / np.sqrt(count))


def test_stationary_moments_are_a_fixed_point():
    options = {"lr": 0.3, "batch_size": 2, "noise_variance": 0.05, "replacement": False}
    mean, second = stationary_moments(PLANE, **options)
    means, seconds = sgd_moments(PLANE, [0.0, 0.0], steps=400, **options)
    np.testing.assert_allclose(means[-1], mean, atol=1e-12)
    np.testing.assert_allclose(seconds[-1], second, rtol=1e-12)


def errors(order=1, noise_variance=0.0):
    """Errors of mean and second moment at t = 1 for steps 0.1 / 2^k."""
    result = []
    for k in range(5):
        lr = 0.1 / 2**k
        options = {"lr": lr, "batch_size": 1, "noise_variance": noise_variance}
        means, seconds = sgd_moments(TWO, [1.5], steps=round(1 / lr), **options)
        mean, second = diffusion_moments(TWO, [1.5], t=1.0, order=order, **options)
        result.append([means[-1, 0] - mean[0], seconds[-1, 0, 0] - second[0, 0]])
    return np.array(result).T


def test_weak_order_is_one():
    mean, second = errors()
    for error in (mean, second):
        assert np.log2(error[-2] / error[-1]) == pytest.approx(1.0, abs=0.05)


def test_modified_loss_gives_order_two_for_the_mean():
    expected = [-0.00322668, -0.000799307, -0.000198982, -0.0000496443, -0.0000123987]
    np.testing.assert_allclose(errors(order=2)[0], expected, rtol=1e-5)


def test_noisy_sgd_second_moment_errors():
    expected = [-0.0155519, -0.00944851, -0.00510426, -0.00264280, -0.00134355]
    np.testing.assert_allclose(errors(noise_variance=0.3)[1], expected, rtol=1e-5)


def test_diffusion_moments_are_those_of_its_paths():
    sde = sgd_diffusion(PLANE, lr=0.4, batch_size=2, noise_variance=0.1)
    x = simulate(sde, [1.0, 0.0], dt=0.002, steps=500, rng=1, paths=50_000).paths[0]
    mean, second = diffusion_moments(
        PLANE, [1.0, 0.0], lr=0.4, batch_size=2, noise_variance=0.1, t=1.0
    )
    np.testing.assert_allclose(x.mean(axis=0), mean, atol=5e-3)
    np.testing.assert_allclose(x.T @ x / len(x), second, atol=8e-3)


@pytest.mark.parametrize(
    "finite_sum",
    [
        least_squares(RNG.normal(size=(9, 3)), RNG.normal(size=9)),
        logistic(RNG.normal(size=(9, 3)), np.sign(RNG.normal(size=9))),
        quadratics([np.diag([1.0, 2.0, 3.0])] * 5, RNG.normal(size=(5, 3))),
    ],
)
def test_diffusion_has_the_sums_gradient_and_covariance(finite_sum):
    x = np.array([0.1, -0.4, 0.8])
    sde = sgd_diffusion(finite_sum, lr=0.3, batch_size=4, noise_variance=0.2)
    np.testing.assert_allclose(sde.drift_at(x), -finite_sum.grad(x), rtol=1e-12)
    expected = 0.3 / 2 * (noise_covariance(finite_sum, x) / 4 + 0.2 * np.eye(3))
    np.testing.assert_allclose(sde.diffusivity_at(x), expected, rtol=1e-12)
    assert sde.temperature == pytest.approx(0.3 / 8)


def test_the_first_name_of_the_diffusion_stays():
    assert sgd.diffusion is sgd_diffusion


def run(paths, threads):
    before = numba.get_num_threads()
    numba.set_num_threads(threads)
    try:
        return sgd_paths(
            PLANE, [1.0, 0.0], lr=0.2, batch_size=2, noise_variance=0.1, steps=33, rng=5,
            paths=paths, save_every=11, replacement=False,
        ).paths  # fmt: skip
    finally:
        numba.set_num_threads(before)


def test_bits_do_not_depend_on_threads_or_on_the_other_paths():
    reference = run(200, 1)
    for threads in range(1, numba.config.NUMBA_NUM_THREADS + 1):
        np.testing.assert_array_equal(run(200, threads), reference)
    np.testing.assert_array_equal(run(70, 1), reference[:, :70])


def test_diverging_paths_stop_with_place_and_bound():
    with pytest.raises(ArithmeticError, match=r"path \d+ is not finite after step \d+, from x = "):
        sgd_paths(quadratics([1.0], [0.0]), 1.0, lr=9.0, batch_size=1, steps=5000, rng=0)


FLAT = least_squares(np.ones((4, 2)), np.arange(4.0))


@pytest.mark.parametrize("value", [2.0, 0.5])
def test_moments_that_overflow_name_the_step(value):
    one = quadratics([value], [1.0])
    with pytest.raises(ArithmeticError, match=r"moments overflow at step \d+; take a smaller lr"):
        sgd_moments(one, [0.0], lr=10.0, batch_size=1, steps=2000)


@pytest.mark.parametrize("t", [1e4, 1e306])
def test_moments_that_overflow_name_the_time(t):
    options = {"lr": 10.0, "batch_size": 1, "t": t}
    with pytest.raises(ArithmeticError, match=r"moments overflow at t = 1.*; take a smaller"):
        diffusion_moments(quadratics([-1.0, 3.0], [0.0, 1.0]), [0.0], **options)


PLAIN = FiniteSum(losses=np.sum, gradients=np.sum, size=3, dim=1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sgd_paths(PLAIN, 0.0, lr=1, batch_size=1, steps=1, rng=0), "formulas of one"),
        (lambda: sgd_diffusion(PLAIN, lr=1.0, batch_size=1), "formulas of one example"),
        (lambda: sgd_paths(TWO, 0.0, lr=0, batch_size=1, steps=1, rng=0), "lr = 0"),
        (
            lambda: sgd_paths(TWO, 0.0, lr=1, batch_size=3, steps=1, rng=0, replacement=False),
            "batch_size = 3: need batch_size <= 2 examples without replacement",
        ),
        (
            lambda: sgd_paths(TWO, 0.0, lr=1, batch_size=1, steps=5, rng=0, save_every=2),
            "save_every = 2: need a divisor",
        ),
        (
            lambda: sgd_paths(TWO, [[0.0], [1.0]], lr=1, batch_size=1, steps=5, rng=0, paths=3),
            "paths = 3: need one start, or the 2 of x0",
        ),
        (
            lambda: sgd_paths(TWO, [[[0.0]]], lr=1, batch_size=1, steps=5, rng=0),
            "x0.shape",
        ),
        (
            lambda: stationary_moments(FLAT, lr=0.1, batch_size=1),
            "least curvature = .*: need .* 1e-08, for the curvature vanishes in some direc",
        ),
        (lambda: stationary_moments(quadratics([1.0], [0.0]), lr=2.0, batch_size=1), "lr = 2 .rad"),
        (lambda: stationary_moments(TWO, lr="0.1", batch_size=1), "lr = '0.1': need a real number"),
        (
            lambda: sgd_moments(TWO, [0.0], lr=0.1, batch_size="1", steps=1),
            "batch_size = '1': need a real number; pass batch_size as an int",
        ),
        (
            lambda: diffusion_moments(TWO, [0.0], lr=0.1, batch_size=1, t=1.0, noise_variance="1"),
            "noise_variance = '1': need a real number",
        ),
        (
            lambda: diffusion_moments(TWO, [[0.0], [1.0]], lr=0.1, batch_size=1, t=1.0),
            r"start.shape = \(2, 1\): need one point \(1,\); pass one at a time",
        ),
        (
            lambda: sgd_moments(TWO, [[0.0], [1.0]], lr=0.1, batch_size=1, steps=1),
            r"start.shape = \(2, 1\): need one point",
        ),
        (
            lambda: sgd_moments(TWO, np.zeros((0, 1)), lr=0.1, batch_size=1, steps=1),
            r"start.shape = \(0, 1\): need one point",
        ),
        (
            lambda: sgd_paths(TWO, 0.0, lr=1, batch_size=1, steps=1, rng=0, replacement="False"),
            "replacement = 'False': need True or False; pass replacement as a bool",
        ),
        (
            lambda: sgd_moments(TWO, [0.0], lr=1, batch_size=1, steps=1, replacement=None),
            "replacement = None: need True or False",
        ),
        (
            lambda: sgd_paths("sum", 0.0, lr=1, batch_size=1, steps=1, rng=0),
            "finite_sum = 'sum': need type FiniteSum; see relaxlib.sgd$",
        ),
        (
            lambda: sgd_diffusion(None, lr=1.0, batch_size=1),
            "finite_sum = None: need type FiniteSum",
        ),
        (
            lambda: stationary_moments("sum", lr=1.0, batch_size=1),
            "finite_sum = 'sum': need type FiniteSum",
        ),
        (
            lambda: diffusion_moments(TWO, [0.0], lr=1.0, batch_size=1, t=1.0, order=True),
            "order = True: need a real number",
        ),
        (
            lambda: diffusion_moments(
                TWO, [0.0], lr=1.0, batch_size=1, t=1.0, order=np.array([1, 2])
            ),
            r"order = array\(\[1, 2\]\): need a real number",
        ),
        (lambda: stationary_moments(TWO, lr=3.0, batch_size=1), "lr = 3 .radius .*below 1"),
        (
            lambda: sgd_moments(logistic([[1.0]], [1]), [0.0], lr=1, batch_size=1, steps=1),
            "quadratic losses",
        ),
        (
            lambda: diffusion_moments(TWO, [0.0], lr=1.0, batch_size=1, t=1.0, order=3),
            "order = 3: need 1 or 2",
        ),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_rank_is_at_most_one_less_than_the_examples():
    for count, rank in [(4, 3), (9, 6)]:
        finite_sum = least_squares(RNG.normal(size=(count, 6)), RNG.normal(size=count))
        assert noise_rank(finite_sum, RNG.normal(size=6)) == rank


def test_from_example_takes_own_formulas():
    def loss(x, row):
        return row[0] * x[0] ** 4 / 4

    def gradient(x, row, out):
        out[0] = row[0] * x[0] ** 3

    quartic = from_example(loss, gradient, [[1.0], [3.0]], dim=1)
    assert quartic.loss([2.0]) == pytest.approx(8.0)
    np.testing.assert_allclose(quartic.grad([2.0]), 16.0)
