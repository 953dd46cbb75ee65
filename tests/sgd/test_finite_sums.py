"""Finite sums: gradients by differences, noise covariance, degeneracy, errors."""

import numpy as np
import pytest

from relaxlib.sgd import (
    from_example,
    least_squares,
    logistic,
    noise_covariance,
    noise_rank,
    quadratics,
)

RNG = np.random.default_rng(2)
INPUTS, LABELS = RNG.normal(size=(7, 3)), np.sign(RNG.normal(size=7))
SUMS = [
    least_squares(INPUTS, RNG.normal(size=7)),
    logistic(INPUTS, LABELS),
    quadratics([np.diag([1.0, 2.0, 3.0]) + k for k in range(4)], RNG.normal(size=(4, 3))),
]


@pytest.mark.parametrize("finite_sum", SUMS)
def test_gradients_are_those_of_the_losses(finite_sum):
    x = RNG.normal(size=3)
    shifts = 1e-6 * np.eye(3)
    slopes = [(finite_sum.losses(x + h) - finite_sum.losses(x - h)) / 2e-6 for h in shifts]
    np.testing.assert_allclose(finite_sum.gradients(x), np.transpose(slopes), atol=1e-7)
    np.testing.assert_allclose(finite_sum.grad(x), finite_sum.gradients(x).mean(axis=0))
    assert finite_sum.loss(x) == pytest.approx(finite_sum.losses(x).mean())


@pytest.mark.parametrize("finite_sum", [SUMS[0], SUMS[2]])
def test_quadratic_data_give_the_gradients(finite_sum):
    x = RNG.normal(size=3)
    matrices, vectors = finite_sum.quadratic
    np.testing.assert_allclose(matrices @ x - vectors, finite_sum.gradients(x), atol=1e-13)


def test_covariance_is_that_of_the_gradients():
    x = RNG.normal(size=3)
    expected = np.cov(SUMS[1].gradients(x).T, bias=True)
    np.testing.assert_allclose(noise_covariance(SUMS[1], x), expected, atol=1e-15)


def test_noise_vanishes_at_an_interpolating_minimum():
    inputs, targets = RNG.normal(size=(4, 6)), RNG.normal(size=4)
    fit = np.linalg.lstsq(inputs, targets)[0]
    wide = least_squares(inputs, targets)
    assert np.linalg.norm(noise_covariance(wide, fit)) < 1e-20
    assert noise_rank(wide, np.zeros(6)) == 3


def test_logistic_loss_never_overflows():
    steep = logistic([[1e4]], [-1])
    assert steep.loss([1.0]) == pytest.approx(1e4)
    assert steep.grad([-1.0])[0] == pytest.approx(0.0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: least_squares([1.0, 2.0], [1.0, 2.0]), r"inputs.shape = \(2,\): need inputs"),
        (lambda: least_squares([[1.0]], [1.0, 2.0]), "targets.shape"),
        (lambda: least_squares("a", [1.0]), "inputs = 'a': need an array of real numbers"),
        (lambda: least_squares([[1.0]], [1j]), r"targets = \[1j\]: need an array of real numbers"),
        (lambda: quadratics([], []), r"centers.shape = \(0, 1\): need centers \(n, m\); pass one"),
        (lambda: quadratics(["a"], [1.0]), r"matrices = \['a'\]: need an array of real numbers"),
        (lambda: from_example(abs, abs, [1.0]), r"rows.shape = \(1,\): need rows \(n, m\)"),
        (lambda: from_example(abs, abs, [[1.0]]), "dim = 0: need an integer >= 1"),
        (lambda: noise_rank("sum", [0.0]), "finite_sum = 'sum': need type FiniteSum; see relaxlib"),
        (lambda: noise_covariance("sum", [0.0]), "finite_sum = 'sum': need type FiniteSum; see"),
        (
            lambda: noise_covariance(SUMS[0], np.zeros((2, 3))),
            r"x.shape = \(2, 3\): need one point \(3,\); pass one at a time",
        ),
        (lambda: SUMS[0].gradients(np.zeros(2)), r"x.shape = \(2,\): need a trailing axis"),
        (lambda: SUMS[0].losses(np.zeros(2)), r"x.shape = \(2,\): need a trailing axis"),
        (lambda: least_squares([[np.nan]], [1.0]), "finite entries"),
        (lambda: logistic([[1.0]], [0.5]), "labels = 0.5: need labels -1 or 1"),
        (lambda: quadratics([1.0, 2.0], [1.0]), "matrices.shape"),
        (lambda: quadratics([[[1.0, 2.0], [0.0, 1.0]]], [[0.0, 0.0]]), "symmetric"),
        (lambda: SUMS[0].grad([1.0]), "x.shape"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
