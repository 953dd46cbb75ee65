"""Landscapes of a reader's own functions, and landscapes that travel between processes."""

import multiprocessing
import pickle
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from math import cos, sin

import numpy as np
import pytest
from numba import njit

from relaxlib.landscapes import Landscape, double_well, double_well_2d, mueller_brown


def ripple(x):
    return x * x / 2 + cos(3 * x)


def ripple_slope(x):
    return x - 3 * sin(3 * x)


def ripple_curvature(x):
    return 1 - 9 * cos(3 * x)


line = partial(Landscape.from_functions, dim=1, box=(-3.0, 3.0))
plane = partial(Landscape.from_functions, dim=2, box=((-2.0, -1.5), (2.0, 1.5)))


def wells(x):
    return (x[0] ** 2 - 1) ** 2 + x[1] ** 2


def wells_grad(x, out):
    out[0] = 4 * x[0] * (x[0] ** 2 - 1)
    out[1] = 2 * x[1]


def wells_hess(x, out):
    out[:] = 0.0
    out[0, 0] = 12 * x[0] ** 2 - 4
    out[1, 1] = 2.0


POINTS = np.random.default_rng(0).uniform(-2.0, 2.0, (50, 2))


def test_scalar_functions_make_a_landscape_on_the_line():
    landscape = line(ripple, ripple_slope, ripple_curvature)
    x = POINTS[:, :1]
    np.testing.assert_allclose(landscape.value(x), x[:, 0] ** 2 / 2 + np.cos(3 * x[:, 0]))
    np.testing.assert_allclose(landscape.grad(x), x - 3 * np.sin(3 * x), rtol=1e-14, atol=1e-14)
    np.testing.assert_allclose(landscape.hess(x)[:, 0], 1 - 9 * np.cos(3 * x), atol=1e-14)


def test_functions_of_points_make_the_catalogues_landscape():
    ours, theirs = plane(wells, wells_grad, wells_hess), double_well_2d()
    np.testing.assert_allclose(ours.value(POINTS), theirs.value(POINTS), rtol=1e-14)
    np.testing.assert_allclose(ours.grad(POINTS), theirs.grad(POINTS), rtol=1e-14)
    np.testing.assert_allclose(ours.hess(POINTS), theirs.hess(POINTS), rtol=1e-14)


def test_without_hess_differences_of_grad_are_good_to_nine_digits():
    for ours, exact in (
        (line(ripple, ripple_slope), line(ripple, ripple_slope, ripple_curvature)),
        (plane(wells, wells_grad), double_well_2d()),
    ):
        x = POINTS[:, : ours.dim]
        np.testing.assert_allclose(ours.hess(x), exact.hess(x), atol=1e-9 * 45)
        np.testing.assert_array_equal(ours.hess(x), np.swapaxes(ours.hess(x), -1, -2))


def test_difference_hessian_of_a_gradient_that_couples_all_coordinates():
    def value(x):
        return x[0] ** 2 + x[1] ** 2 / 2 + 3 * x[2] ** 2 / 2 + x[0] * x[1] / 2 - x[1] * x[2] / 3

    def grad(x, out):
        out[0] = 2 * x[0] + x[1] / 2
        out[1] = x[1] + x[0] / 2 - x[2] / 3
        out[2] = 3 * x[2] - x[1] / 3

    matrix = [[2.0, 0.5, 0.0], [0.5, 1.0, -1 / 3], [0.0, -1 / 3, 3.0]]
    landscape = Landscape.from_functions(value, grad, dim=3, box=((-1,) * 3, (1,) * 3))
    np.testing.assert_allclose(landscape.hess([0.3, -0.2, 5.0]), matrix, atol=1e-9)


def test_compiled_functions_are_taken_as_they_are():
    landscape = line(njit(ripple), njit(ripple_slope))
    assert landscape.value(0.0) == 1.0


def test_a_kink_is_no_wrong_gradient():
    landscape = line(lambda x: (abs(x) - 1) ** 2 / 2, lambda x: x - np.sign(x))
    assert landscape.grad(0.5) == -0.5
    assert landscape.floor == pytest.approx(0.0, abs=1e-6)


def test_a_loss_may_be_infinite_in_a_part_of_the_box():
    landscape = line(lambda x: np.inf if x < 0 else x, lambda x: 1.0)
    assert landscape.value([[-1.0], [1.0]]).tolist() == [np.inf, 1.0]


def test_minima_and_saddles_are_sorted_and_on_the_line_may_be_plain_numbers():
    landscape = line(lambda x: (x**2 - 1) ** 2 - x / 5, lambda x: 4 * x**3 - 4 * x - 0.2,
                     minima=(-0.97, 1.02), saddles=[[-0.05]])  # fmt: skip
    assert landscape.minima.tolist() == [[1.02], [-0.97]]
    assert landscape.saddles.tolist() == [[-0.05]]


def test_the_floor_is_scanned_unless_given():
    scanned, given = line(ripple, ripple_slope), line(ripple, ripple_slope, floor=-1.0)
    x = np.linspace(-3, 3, 60001)
    assert scanned.floor == pytest.approx(np.min(x**2 / 2 + np.cos(3 * x)), abs=1e-5)
    assert given.floor == -1.0
    hill = line(lambda x: -x * x, lambda x: -2 * x, growth=1.0, center=0.0)
    assert hill.floor == pytest.approx(0.0, abs=1e-14)
    assert hill.center.tolist() == [0.0]


def test_facts_arrive_and_unknown_ones_are_infinite():
    landscape = line(ripple, ripple_slope, name="ripple", lipschitz=10, convexity=-8)
    assert repr(landscape) == (
        "<Landscape ripple: dim=1, 0 minima, 0 saddles, lipschitz=10, convexity=-8>"
    )
    unknown = line(ripple, ripple_slope)
    assert (unknown.lipschitz, unknown.convexity, unknown.growth) == (np.inf, -np.inf, 0.0)
    assert unknown.center.tolist() == [0.0]


def nothing(x):
    return helper(x)  # noqa: F821


def unsupported(x):
    with open("a") as file:
        return float(file.read())


def misspelled(x):
    return np.cosine(x)


@pytest.mark.parametrize(
    ("functions", "message"),
    [
        ((nothing, ripple_slope),
         r"value = nothing \(test_landscape.py, line \d+\): need Python that numba compiles; "
         r"NameError: name 'helper' is not defined: use floats, loops, math and numpy"),
        ((ripple, unsupported), r"grad = unsupported \(test_landscape.py, line \d+\): need Python"),
        ((misspelled, ripple_slope), r"module 'numpy' has no attribute 'cosine'"),
        ((lambda x: x[0], ripple_slope), r"value = <lambda> \(test_landscape.py, line \d+\)"),
        ((ripple, lambda x: None), r"grad = <lambda> .* No conversion from none to float64"),
        ((ripple, ripple_slope, nothing), r"hess = nothing \(test_landscape.py, line \d+\)"),
        ((np.cos, ripple_slope), r"value = <ufunc 'cos'>: need a Python function; wrap it in a"),
        ((ripple, wells_grad), r"grad = wells_grad: need the arguments \(x\); see from_functions"),
        ((ripple, lambda x: x), r"grad\(\[.*\]\)\[0\] = \S+: need \S+, the central difference of "
         r"value; mend grad or value"),
        ((ripple, lambda x: np.nan), r"grad\(\[.*\]\)\[0\] = nan: need"),
        ((ripple, ripple_slope, lambda x: 1.0), r"hess\(\[.*\]\)\[0, 0\] = 1: need \S+, the "
         r"central difference of grad; mend hess or grad"),
        ((lambda x: np.sqrt(x), lambda x: 0.5 / np.sqrt(x)), r"value\(\[-.*\]\) = nan: need a nu"),
        ((lambda x: np.log(abs(round(x))), lambda x: 1 / x), r"value\(.*\) = -inf: need a number"),
        ((lambda x: np.inf, lambda x: 0.0), r"min value = inf: need a finite value in the box"),
    ],
)  # fmt: skip
def test_bad_functions_are_rejected_on_the_line(functions, message):
    with pytest.raises(ValueError, match=message):
        line(*functions)


def test_the_line_of_an_error_is_that_of_the_offending_statement():
    def value(x):
        y = 2.0 * x
        return y[0]

    place = value.__code__.co_firstlineno + 2
    with pytest.raises(ValueError, match=rf"value \(test_landscape.py, line {place}\)"):
        line(value, ripple_slope)


@pytest.mark.parametrize(
    ("functions", "message"),
    [
        ((wells, lambda x: x), r"grad = <lambda>: need the arguments \(x, out\)"),
        ((wells, lambda x, out: wells(x)), r"grad = <lambda> \(test_landscape.py, line \d+\)"),
        ((wells, lambda x, out: None), r"grad\(\[.*, .*\]\)\[\d\] = \S+: need \S+, the central"),
    ],
)
def test_bad_functions_are_rejected_in_the_plane(functions, message):
    with pytest.raises(ValueError, match=message):
        plane(*functions)


def test_a_small_loss_needs_a_right_gradient_too():
    with pytest.raises(ValueError, match=r"grad\(\[.*\]\)\[0\] = \S+: need"):
        line(lambda x: 1e-8 * x * x, lambda x: 1e-8 * x)


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"dim": 2}, r"box = \[-3.0\], \[3.0\]: need corners with dim = 2 entries; match them"),
        ({"dim": 0}, r"dim = 0: need an integer >= 1"),
        ({"box": (1.0, 0.0)}, r"lower, upper = \[1.0\], \[0.0\]: need lower < upper"),
        ({"box": 5}, r"box = 5: need two corners \(lower, upper\); pass a pair"),
        ({"box": (0.0, 1.0, 2.0)}, r"box = \(0.0, 1.0, 2.0\): need two corners \(lower, upper\)"),
        ({"box": (0.0, np.inf)}, r"box\[1, 0\] = inf: need finite entries"),
        ({"growth": -1.0}, r"growth = -1: need 0 <= growth < inf"),
        ({"minima": [[0.0, 1.0]]}, r"minima.shape = \(1, 2\): need a trailing axis of length 1"),
        ({"saddles": [np.nan]}, r"saddles\[0, 0\] = nan: need finite entries"),
        ({"center": [0.0, 1.0]}, r"center.shape = \(2,\): need a trailing axis of length 1"),
        ({"floor": 0.5}, r"floor = 0.5: need floor <= -0.5069.*, which f \+ growth\*\|x - cent"),
        ({"floor": -np.inf}, r"floor = -inf: need floor <= -0.5069"),
        ({"floor": "low"}, r"floor = 'low': need a real number; pass floor as a float"),
        ({"lipschitz": "L"}, r"lipschitz = 'L': need a real number"),
        ({"minima": ["a"]}, r"minima = \['a'\]: need an array of real numbers; pass floats"),
        ({"center": [[0.0], [1.0]]}, r"center.shape = \(2, 1\): need one point \(1,\)"),
        ({"box": ("a", 1.0)}, r"lower = 'a': need an array of real numbers"),
        ({"floor": np.nan}, r"floor = nan: need floor <= -0.5069"),
    ],
)
def test_bad_facts_are_rejected(facts, message):
    with pytest.raises(ValueError, match=message):
        line(ripple, ripple_slope, **facts)


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"box": 5}, r"box = 5: need two corners \(lower, upper\); pass a pair"),
        ({"box": (0.0, 1.0, 2.0)}, r"box = \(0.0, 1.0, 2.0\): need two corners \(lower, upper\)"),
        ({"box": (0.0, np.inf)}, r"box\[1, 0\] = inf: need finite entries"),
        ({"center": [0.0, 1.0]}, r"center.shape = \(2,\): need a trailing axis of length 1"),
        ({"params": "p"}, r"params = 'p': need an array of real numbers"),
        ({"growth": None}, r"growth = None: need a real number"),
    ],
)
def test_bad_facts_about_formulas_are_rejected(facts, message):
    known = {"name": "ripple", "formula": double_well().formula, "box": (-1, 1), "floor": 0.0}
    with pytest.raises(ValueError, match=message):
        Landscape(**(known | facts))


def test_a_pickled_landscape_keeps_formula_params_and_facts():
    for landscape in (mueller_brown(), plane(wells, wells_grad), line(ripple, ripple_slope)):
        landscape.value(np.zeros(landscape.dim))
        copy = pickle.loads(pickle.dumps(landscape))
        assert "compiled" in landscape.__dict__
        assert "compiled" not in copy.__dict__
        x = POINTS[:, : landscape.dim]
        np.testing.assert_array_equal(copy.value(x), landscape.value(x))
        np.testing.assert_array_equal(copy.hess(x), landscape.hess(x))
        assert repr(copy) == repr(landscape)
        assert copy.floor == landscape.floor
        np.testing.assert_array_equal(copy.minima, landscape.minima)


def test_closures_travel_to_another_process():
    depth = 3.0
    bowl = line(lambda x: depth * x * x, lambda x: 2 * depth * x)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        values = [pool.submit(landscape.value, 2.0) for landscape in (bowl, double_well())]
        assert [float(v.result()) for v in values] == [12.0, 2.25]
