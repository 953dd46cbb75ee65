"""Every fact that a landscape states about itself, against scans, descents and closed forms."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relaxlib import landscapes
from relaxlib.grid import Grid

CATALOGUE = {
    "quadratic": landscapes.quadratic(),
    "hilltop": landscapes.quadratic(-2.0, center=[0.5]),
    "bowl": landscapes.quadratic([[2.0, 0.5], [0.5, 1.0]], center=[1.0, -1.0]),
    "pass": landscapes.quadratic([[2.0, 0.0], [0.0, -1.0]]),
    "monkey": landscapes.quadratic(np.diag([-1.0, -3.0])),
    "trough": landscapes.quadratic(np.diag([1.0, 0.0])),
    "double_well": landscapes.double_well(),
    "lipschitz_double_well": landscapes.lipschitz_double_well(),
    "rugged": landscapes.rugged(),
    "wide_and_narrow": landscapes.wide_and_narrow(),
    "mueller_brown": landscapes.mueller_brown(),
    "double_well_2d": landscapes.double_well_2d(),
    "radial_power": landscapes.radial_power(),
    "cone": landscapes.radial_power(1.0),
    "radial_power 3/2": landscapes.radial_power(1.5, dim=1),
    "radial_power 2": landscapes.radial_power(2.0, dim=3),
    "exponential_ramp": landscapes.exponential_ramp(),
    "crossed_valleys": landscapes.crossed_valleys(),
}
NOT_MORSE = ("radial_power", "cone", "radial_power 3/2")
each = pytest.mark.parametrize("name", CATALOGUE)


def scan(landscape, factor=1.0):
    """Nodes of the box, enlarged about its middle by a factor: about 1e5 points."""
    (lower, upper), nodes = landscape.box, {1: 100001, 2: 321, 3: 47}[landscape.dim]
    middle, half = (lower + upper) / 2, factor * (upper - lower) / 2
    return Grid.box(middle - half, middle + half, (nodes,) * landscape.dim).nodes


def curvatures(landscape, x):
    """Eigenvalues of the Hessian at the points where it is finite."""
    hess = landscape.hess(x)
    return np.linalg.eigvalsh(hess[np.isfinite(hess).all(axis=(1, 2))])


@each
def test_listed_minima_and_saddles_have_zero_gradient_and_the_right_signature(name):
    landscape = CATALOGUE[name]
    for points, negative in ((landscape.minima, 0), (landscape.saddles, 1)):
        if not len(points):
            continue
        scale = 1.0 + np.abs(landscape.value(points)).max()
        assert np.abs(landscape.grad(points)).max() < 1e-13 * scale
        if name not in NOT_MORSE:
            assert ((curvatures(landscape, points) < 0).sum(axis=1) == negative).all()
            assert (curvatures(landscape, points) != 0).all()


@each
def test_minima_are_sorted_deepest_first_and_saddles_lowest_first(name):
    landscape = CATALOGUE[name]
    for points in (landscape.minima, landscape.saddles):
        assert points.shape == (len(points), landscape.dim)
        assert (np.diff(landscape.value(points)) >= 0).all()


@pytest.mark.parametrize("name", [n for n, f in CATALOGUE.items() if f.dim == 1])
def test_on_the_line_the_sign_changes_of_the_slope_are_the_listed_points(name):
    landscape = CATALOGUE[name]
    x = scan(landscape, factor=3.0)[:, 0] + 1e-7  # no node on a critical point
    sign = np.sign(landscape.grad(x[:, None])[:, 0])
    spacing = x[1] - x[0]
    for points, jump in ((landscape.minima, 2), (landscape.saddles, -2)):
        found = x[:-1][np.diff(sign) == jump] + spacing / 2
        np.testing.assert_allclose(np.sort(points[:, 0]), found, atol=spacing)


@pytest.mark.parametrize("name", ["bowl", "pass", "monkey", "mueller_brown", "double_well_2d"])
def test_in_the_plane_newton_from_everywhere_finds_the_listed_points_only(name):
    landscape = CATALOGUE[name]
    lower, upper = landscape.box
    x = Grid.box(lower, upper, (99, 98)).nodes  # no symmetry
    for _ in range(40):
        step = np.linalg.solve(landscape.hess(x), landscape.grad(x)[..., None])[..., 0]
        x = (x - step)[((x - step >= lower) & (x - step <= upper)).all(axis=1)]
    x = x[np.abs(landscape.grad(x)).max(axis=1) < 1e-9]
    found = np.unique(np.round(x, 5), axis=0)
    negative = (curvatures(landscape, found) < 0).sum(axis=1)
    for points, index in ((landscape.minima, 0), (landscape.saddles, 1)):
        ours = points[np.lexsort(points.T[::-1])]
        np.testing.assert_allclose(ours, found[negative == index], atol=2e-5)


def test_the_exponential_ramp_has_no_critical_point():
    ramp = CATALOGUE["exponential_ramp"]
    assert (ramp.grad(scan(ramp, 100.0))[:, 0] > 0).all()


FAR = {"mueller_brown": 3.0, "radial_power 3/2": 1e8}


@each
def test_lipschitz_and_convexity_are_the_extreme_eigenvalues_of_the_hessian(name):
    landscape = CATALOGUE[name]
    factors = (1e-4, 1.0, FAR.get(name, 30.0))
    seen = np.concatenate([curvatures(landscape, scan(landscape, f)) for f in factors])
    size = np.abs(seen).max(axis=1)
    if np.isinf(landscape.lipschitz):
        assert size.max() > 100.0
    else:
        assert size.max() == pytest.approx(landscape.lipschitz, rel=2e-4)
        assert size.max() <= landscape.lipschitz * (1 + 1e-13)
    if np.isinf(landscape.convexity):
        assert seen.min() < -100.0
    else:
        rounding = 1e-15 * size + 1e-13 * abs(landscape.convexity)
        assert seen.min() == pytest.approx(landscape.convexity, rel=2e-4, abs=1e-3)
        assert (seen[:, 0] >= landscape.convexity - rounding).all()


@each
def test_the_floor_is_the_infimum_of_f_plus_growth_times_square(name):
    landscape = CATALOGUE[name]
    for factor in (1.0, 10.0, 1e3):
        x = scan(landscape, factor)
        square = landscape.growth * ((x - landscape.center) ** 2).sum(axis=1)
        above = landscape.value(x) + square - landscape.floor
        assert (above >= -1e-14 * (1 + abs(landscape.floor) + square)).all()
        if name == "exponential_ramp":  # approached towards -infinity
            assert (above.min() < 1e-12) == (factor > 20.0)
    listed = np.concatenate([landscape.minima, landscape.center[None]])
    if name != "exponential_ramp":
        assert landscape.value(listed).min() == pytest.approx(landscape.floor, rel=1e-14)


@pytest.mark.parametrize("name", [n for n, f in CATALOGUE.items() if f.growth > 0])
def test_no_smaller_growth_would_do(name):
    landscape = CATALOGUE[name]
    direction = np.linalg.eigh(landscape.hess(landscape.center))[1][:, 0]
    y = landscape.center + 1e4 * direction
    assert landscape.value(y) + 0.999 * landscape.growth * 1e8 < landscape.floor - 1e4


def test_growth_of_a_quadratic_is_half_its_most_negative_eigenvalue():
    assert CATALOGUE["hilltop"].growth == 1.0
    assert CATALOGUE["monkey"].growth == 1.5
    assert CATALOGUE["bowl"].growth == 0.0


def test_mueller_brown_has_the_published_minima_and_saddles():
    landscape = landscapes.mueller_brown()
    minima = [(-0.558, 1.442), (0.623, 0.028), (-0.050, 0.467)]
    saddles = [(0.212, 0.293), (-0.822, 0.624)]
    np.testing.assert_allclose(landscape.minima, minima, atol=6e-4)
    np.testing.assert_allclose(landscape.saddles, saddles, atol=6e-4)
    np.testing.assert_allclose(landscape.value(minima), [-146.7, -108.2, -80.8], atol=0.05)
    np.testing.assert_allclose(landscape.value(saddles), [-72.2, -40.7], atol=0.06)


def test_the_running_example_has_the_numbers_of_the_claims():
    landscape = landscapes.lipschitz_double_well()
    np.testing.assert_allclose(landscape.minima.ravel(), [1.07302, -0.83030], atol=5e-6)
    np.testing.assert_allclose(landscape.saddles.ravel(), [-0.10285], atol=5e-6)
    np.testing.assert_allclose(landscape.value(landscape.minima), [-0.264854, -0.073734], atol=5e-7)


def test_sl_wide_valleys_the_narrow_well_is_the_deeper_one():
    landscape = landscapes.wide_and_narrow()
    np.testing.assert_allclose(landscape.value([[1.5], [-1.5]]), [-1.037504, -0.8875], atol=5e-7)
    assert abs(landscape.minima[0, 0] - 1.4995) < 5e-5
    assert abs(landscape.value(landscape.minima[0]) + 1.037539) < 5e-7


def test_bbi_example_1_fails_below_exponent_two():
    x = np.array([0.1, 0.0])
    slope = landscapes.radial_power(1.0).grad(x)[0] * x[0]
    assert slope == pytest.approx(0.1, abs=1e-15)  # BBI.Ex1: above Lambda x_1^2 = 0.01


def test_bbi_example_3_directional_derivative():
    x = np.array([[0.5, 2.0], [-1.0, 3.0]])
    slope = landscapes.crossed_valleys().grad(x)[:, 0] * x[:, 0]
    np.testing.assert_allclose(slope, x[:, 0] ** 2 * x[:, 1] ** 2, rtol=1e-15)


@each
@settings(deadline=None, max_examples=15, derandomize=True)
@given(st.integers(0, 2**32), st.floats(0.01, 3.0), st.floats(0.0, 50.0), st.floats(1e-6, 100.0))
def test_outside_the_reach_the_penalized_loss_is_above_f_by_the_excess(
    name, seed, gamma, excess, beyond
):
    landscape, rng = CATALOGUE[name], np.random.default_rng(seed)
    if landscape.growth:
        gamma *= 0.16 / landscape.growth  # below 0.48 / growth
    x = rng.uniform(*landscape.box)
    directions = rng.standard_normal((100, landscape.dim))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    distance = landscape.reach(x, gamma=gamma, excess=excess) + beyond
    penalized = landscape.value(x + distance * directions) + distance**2 / (2 * gamma)
    assert (penalized > landscape.value(x) + excess).all()


def test_the_reach_of_a_hilltop_is_sharp():
    hill, gamma, excess = landscapes.quadratic(-1.0), 0.8, 0.3
    x = np.array([[0.0], [1.5], [-4.0]])
    radius = hill.reach(x, gamma=gamma, excess=excess)
    y = x + np.where(x < 0, -1.0, 1.0) * radius[:, None]
    penalized = hill.value(y) + radius**2 / (2 * gamma)
    np.testing.assert_allclose(penalized, hill.value(x) + excess, rtol=1e-12)


def test_reach_refuses_a_diverging_gibbs_integral():
    hill = landscapes.quadratic(-1.0)
    message = (
        r"gamma = 1: need gamma < 1/\(2\*growth\) = 1; the Gibbs integral of "
        r"f\(y\) \+ \|x-y\|\^2/\(2 gamma\) diverges: take a smaller gamma"
    )
    with pytest.raises(ValueError, match=message):
        hill.reach(0.0, gamma=1.0, excess=1.0)
    assert hill.reach(0.0, gamma=0.999, excess=1.0) > 10.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"gamma": 0.0, "excess": 1.0}, "gamma = 0: need 0 < gamma < inf"),
        ({"gamma": 0.1, "excess": -1.0}, "excess = -1: need 0 <= excess < inf"),
    ],
)
def test_reach_rejects(arguments, message):
    with pytest.raises(ValueError, match=message):
        landscapes.double_well().reach(0.0, **arguments)


def test_shapes_follow_the_points_and_a_bare_float_is_a_point_on_the_line():
    line, plane = landscapes.double_well(), landscapes.double_well_2d()
    assert line.value(0.5).shape == line.reach(0.5, gamma=1.0, excess=1.0).shape == ()
    assert line.grad(0.5).shape == (1,)
    assert line.hess(0.5).shape == (1, 1)
    x = np.linspace(-1, 1, 12).reshape(2, 3, 2)
    assert plane.value(x).shape == plane.reach(x, gamma=1.0, excess=1.0).shape == (2, 3)
    assert plane.grad(x).shape == (2, 3, 2)
    assert plane.hess(x).shape == (2, 3, 2, 2)
    assert plane.grad(x)[1, 2].tolist() == plane.grad(x[1, 2]).tolist()
    assert plane.value(np.empty((0, 2))).shape == (0,)


def test_points_of_another_dimension_are_rejected():
    message = r"x.shape = \(3,\): need a trailing axis of length 2"
    for method in ("value", "grad", "hess"):
        with pytest.raises(ValueError, match=message):
            getattr(landscapes.mueller_brown(), method)([0.0, 1.0, 2.0])


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: landscapes.quadratic([[1, 2], [0, 1]]), r"\|hess - hess\^T\| = 2: need hess sym"),
        (lambda: landscapes.quadratic([[1, 2]]), r"hess.shape = \(1, 2\): need hess.shape"),
        (lambda: landscapes.quadratic(np.nan), r"hess\[0, 0\] = nan: need finite entries"),
        (lambda: landscapes.quadratic(1.0, center=[0, 1]), r"center.shape = \(2,\): need a trail"),
        (lambda: landscapes.quadratic("H"), "hess = 'H': need an array of real numbers"),
        (lambda: landscapes.quadratic([[1j]]), r"hess = \[\[1j\]\]: need an array of real numbers"),
        (
            lambda: landscapes.quadratic(1.0, center=[[0], [1]]),
            r"center.shape = \(2, 1\): need one",
        ),
        (lambda: landscapes.radial_power(0.5), r"exponent = 0.5: need exponent >= 1; take a conv"),
        (lambda: landscapes.radial_power(2.0, dim=0), r"dim = 0: need an integer >= 1"),
    ],
)
def test_constructors_reject(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_the_representation_is_one_short_line():
    shown = repr(landscapes.mueller_brown())
    facts = "dim=2, 3 minima, 2 saddles, lipschitz=inf, convexity=-2048.82"
    assert shown == f"<Landscape mueller_brown: {facts}>"


def test_a_fresh_process_loads_the_compiled_formulas_from_disk():
    command = (
        "from numba.core.event import install_recorder\n"
        "from relaxlib.landscapes import mueller_brown\n"
        "with install_recorder('numba:run_pass') as passes:\n"
        "    f = mueller_brown()\n"
        "    f.value(f.minima), f.grad(f.minima), f.hess(f.minima)\n"
        "print(len(passes.buffer))"
    )
    for _ in range(2):  # the first fills the cache
        answer = subprocess.run(
            [sys.executable, "-c", command], capture_output=True, text=True, check=True
        )
    assert answer.stdout.strip() == "0"
