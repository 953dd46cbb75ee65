"""The catalogue's formulas against the printed expressions, differentiated symbolically."""

import numpy as np
import pytest
import sympy

from relaxlib import landscapes

X, Y, Z = sympy.symbols("x y z", real=True)
HALF, TENTH = sympy.Rational(1, 2), sympy.Rational(1, 10)


def gaussian(place, width):
    return sympy.exp(-((X - sympy.Rational(place)) ** 2) / (2 * sympy.Rational(width) ** 2))


def mueller_brown():
    rows = zip(
        (-200, -100, -170, 15),
        (-1, -1, "-6.5", "0.7"),
        (0, 0, 11, "0.6"),
        (-10, -10, "-6.5", "0.7"),
        (1, 0, "-0.5", -1),
        (0, "0.5", "1.5", 1),
        strict=True,
    )
    total = 0
    for row in rows:
        height, a, b, c, x0, y0 = map(sympy.Rational, row)
        total += height * sympy.exp(a * (X - x0) ** 2 + b * (X - x0) * (Y - y0) + c * (Y - y0) ** 2)
    return total


NORM = sympy.sqrt(X**2 + Y**2)
PRINTED = {
    "quadratic": (landscapes.quadratic(1.5, center=[0.5]), sympy.Rational(3, 4) * (X - HALF) ** 2),
    "quadratic plane": (
        landscapes.quadratic([[2, -1], [-1, 0.5]], center=[1, 2]),
        (X - 1) ** 2 - (X - 1) * (Y - 2) + (Y - 2) ** 2 / 4,
    ),
    "quadratic space": (
        landscapes.quadratic(np.diag([1.0, 2.0, -3.0])),
        (X**2 + 2 * Y**2 - 3 * Z**2) / 2,
    ),
    "double_well": (landscapes.double_well(), (X**2 - 1) ** 2 / 4),
    "lipschitz_double_well": (
        landscapes.lipschitz_double_well(),
        X**2 / 2 - sympy.log(sympy.cosh(2 * X)) / 2 - X * TENTH,
    ),
    "rugged": (
        landscapes.rugged(),
        sympy.Rational("0.15") * X**2 + HALF * sympy.cos(4 * X + 1),
    ),
    "wide_and_narrow": (
        landscapes.wide_and_narrow(),
        X**2 / 20 - gaussian("-1.5", "0.6") - sympy.Rational("1.15") * gaussian("1.5", "0.06"),
    ),
    "mueller_brown": (landscapes.mueller_brown(), mueller_brown()),
    "double_well_2d": (landscapes.double_well_2d(), (X**2 - 1) ** 2 + Y**2),
    "radial_power line": (landscapes.radial_power(4.0, dim=1), X**4 / 4),
    "radial_power 1": (landscapes.radial_power(1.0), NORM),
    "radial_power 2": (landscapes.radial_power(2.0), NORM**2 / 2),
    "radial_power 4": (landscapes.radial_power(), NORM**4 / 4),
    "exponential_ramp": (landscapes.exponential_ramp(), sympy.exp(X) + Y**2 / 2),
    "crossed_valleys": (landscapes.crossed_valleys(), X**2 * Y**2 / 2),
}


def evaluate(expression, symbols, points):
    values = sympy.lambdify(symbols, expression, "numpy")(*points.T)
    return np.broadcast_to(np.asarray(values, float), len(points))


@pytest.mark.parametrize("name", PRINTED)
def test_value_gradient_and_hessian_are_those_of_the_printed_formula(name):
    landscape, expression = PRINTED[name]
    symbols = (X, Y, Z)[: landscape.dim]
    points = np.random.default_rng(1).uniform(*landscape.box, (200, landscape.dim))
    claimed = [landscape.value(points), landscape.grad(points), landscape.hess(points)]
    first = [sympy.diff(expression, s) for s in symbols]
    second = [[sympy.diff(e, s) for s in symbols] for e in first]
    expected = [
        evaluate(expression, symbols, points),
        np.stack([evaluate(e, symbols, points) for e in first], axis=-1),
        np.stack(
            [np.stack([evaluate(e, symbols, points) for e in row], axis=-1) for row in second],
            axis=-2,
        ),
    ]
    for ours, theirs in zip(claimed, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-13 * np.abs(theirs).max())


def test_log_cosh_does_not_overflow_far_out():
    landscape = landscapes.lipschitz_double_well()
    x = np.array([[-1e6], [1e6]])
    expected = x[:, 0] ** 2 / 2 - np.abs(x[:, 0]) + np.log(2.0) / 2 - 0.1 * x[:, 0]
    np.testing.assert_allclose(landscape.value(x), expected, rtol=1e-15)
    np.testing.assert_array_equal(landscape.hess(x).ravel(), [1.0, 1.0])


@pytest.mark.parametrize(
    ("exponent", "hess"),
    [
        (1.0, [[np.inf, 0.0], [0.0, np.inf]]),
        (1.5, [[np.inf, 0.0], [0.0, np.inf]]),
        (2.0, [[1.0, 0.0], [0.0, 1.0]]),
        (3.0, [[0.0, 0.0], [0.0, 0.0]]),
    ],
)
def test_radial_power_at_the_origin(exponent, hess):
    landscape = landscapes.radial_power(exponent)
    assert landscape.value([0.0, 0.0]) == 0.0
    assert landscape.grad([0.0, 0.0]).tolist() == [0.0, 0.0]
    assert landscape.hess([0.0, 0.0]).tolist() == hess


def test_the_plain_formulas_give_what_the_compiled_ones_give():
    for landscape, _ in PRINTED.values():
        x, d = np.random.default_rng(2).uniform(*landscape.box), landscape.dim
        grad, hess = np.empty(d), np.empty((d, d))
        landscape.formula.grad(x, landscape.params, grad)
        landscape.formula.hess(x, landscape.params, hess)
        value = landscape.formula.value(x, landscape.params)
        np.testing.assert_allclose(value, landscape.value(x), rtol=1e-13)
        np.testing.assert_allclose(grad, landscape.grad(x), rtol=1e-12)
        np.testing.assert_allclose(hess, landscape.hess(x), rtol=1e-12)
