"""Kramers' law and the relevant saddle."""

import numpy as np
import pytest

from relaxlib.diffusions import langevin
from relaxlib.exit_times import interval_exit_time, kramers, mean_exit_time, relevant_saddle
from relaxlib.grid import Grid
from relaxlib.landscapes import (
    Landscape,
    double_well,
    double_well_2d,
    mueller_brown,
    quadratic,
    rugged,
)
from relaxlib.operators import kolmogorov
from relaxlib.regions import Ball

WELL = double_well()


@pytest.mark.parametrize("noise_cov", [None, lambda x: 1 + 0.4 * np.tanh(x)])
def test_error_is_of_order_temperature_on_the_line(noise_cov):
    errors = []
    for temperature in (0.0125, 0.00625):
        diffusion = langevin(WELL, temperature=temperature, noise_cov=noise_cov)
        exact = interval_exit_time(diffusion, -1.0, lower=-np.inf, upper=1.0)
        law = kramers(WELL, -1.0, 0.0, temperature=temperature, noise_cov=noise_cov)
        errors.append(exact / law - 1)
    assert errors[0] / errors[1] == pytest.approx(2.0, rel=0.05)
    assert abs(errors[1]) < 2 * 0.00625


def test_reaching_the_saddle_takes_half():
    whole = kramers(WELL, -1.0, 0.0, temperature=0.1)
    assert kramers(WELL, -1.0, 0.0, temperature=0.1, event="reach_saddle") == whole / 2


def test_two_dimensions_against_the_operator():
    def value(x):
        return (x[0] ** 2 - 1) ** 2 / 4 + x[1] ** 2 / 2 + 0.3 * x[0] * x[1]

    def grad(x, out):
        out[0] = x[0] ** 3 - x[0] + 0.3 * x[1]
        out[1] = x[1] + 0.3 * x[0]

    a = np.sqrt(1.09)
    landscape = Landscape.from_functions(value, grad, dim=2, box=((-2.4, -2.4), (2.4, 2.4)))
    wells = np.array([[-a, 0.3 * a], [a, -0.3 * a]])
    law = kramers(landscape, wells[0], (0.0, 0.0), temperature=0.05)
    grid = Grid.box((-2.4, -2.4), (2.4, 2.4), (121, 121))
    far = ~Ball(wells[1], 0.3).contains(grid.nodes).reshape(grid.shape)
    u = mean_exit_time(kolmogorov(langevin(landscape, temperature=0.05), grid), far)
    nearest = np.argmin(((grid.nodes - wells[0]) ** 2).sum(axis=1))
    assert u.ravel()[nearest] / law == pytest.approx(1.084, abs=0.01)


@pytest.mark.parametrize("cov", [np.diag([1.0, 0.2]), 2.0 * np.eye(2)])
def test_constant_noise_that_commutes_only_rescales(cov):
    law = kramers(double_well_2d(), (-1, 0), (0, 0), temperature=0.1, noise_cov=cov)
    q = cov[0, 0]
    line = 2 * np.pi / np.sqrt(8 * 4) * np.exp(1 / (0.1 * q))  # x decides, y is a bystander
    assert law == pytest.approx(line, rel=1e-9)


def test_noise_that_follows_the_loss():
    def noise(x, out):
        out[0, 0] = out[1, 1] = 1.0 + (x[0] ** 2 - 1.0) ** 2 + x[1] ** 2
        out[0, 1] = out[1, 0] = 0.0

    law = kramers(double_well_2d(), (-1, 0), (0, 0), temperature=0.1, noise_cov=noise)
    barrier = np.log(2.0)  # of Phi = log(1 + f)
    prefactor = 2 * np.pi / 4 * 2.0 * np.sqrt((4 / 2) * (2 / 2) / (8 * 2))
    assert law == pytest.approx(prefactor * np.exp(barrier / 0.1), rel=1e-6)


@pytest.mark.parametrize(
    ("landscape", "start", "end", "height"),
    [
        (WELL, -1.0, 1.0, 0.25),
        (double_well_2d(), (-1, 0), (1, 0), 1.0),
        (mueller_brown(), mueller_brown().minima[2], mueller_brown().minima[1], -72.248940),
        (mueller_brown(), mueller_brown().minima[0], mueller_brown().minima[1], -40.664844),
    ],
)
def test_saddles(landscape, start, end, height):
    saddle = relevant_saddle(landscape, start, end)
    assert saddle.height == pytest.approx(height, abs=1e-6)
    assert np.abs(landscape.grad(saddle.point)).max() < 1e-6


def test_the_pass_of_many_barriers_is_the_highest_of_them():
    landscape = rugged()
    x = np.linspace(*(float(c[0]) for c in landscape.box), 200_001)
    left, right = landscape.minima.min(), landscape.minima.max()
    exact = landscape.value(x[(x > left) & (x < right), None]).max()
    assert relevant_saddle(landscape, left, right).height == pytest.approx(exact, abs=1e-8)


def test_a_path_that_only_descends_has_its_start_as_pass():
    saddle = relevant_saddle(WELL, -0.5, -1.0)
    assert saddle.point.tolist() == [-0.5]


SLANTED = [[1.0, 0.5], [0.5, 1.0]]


@pytest.mark.parametrize(
    ("landscape", "minimum", "saddle", "options", "message"),
    [
        (WELL, -1.0, 0.0, {"event": "hop"}, r"event = 'hop': need one of \('transition'"),
        (WELL, -1.0, 0.0, {"temperature": 0.0}, "temperature = 0"),
        (WELL, -0.9, 0.0, {}, r"\|grad f\(minimum\)\| = .*polish it"),
        (WELL, 0.0, 0.0, {}, r"minimum = \[0.0\]: need a minimum of f"),
        (WELL, -1.0, 1.0, {}, r"need one negative eigenvalue there \(found 0\)"),
        (double_well_2d(), (-1, 0), (0, 0), {"noise_cov": np.diag([1, 0])}, "need Q > 0"),
        (double_well_2d(), (-1, 0), (0, 0), {"noise_cov": SLANTED}, "take half of minimum_action"),
    ],
)
def test_bad_input(landscape, minimum, saddle, options, message):
    with pytest.raises(ValueError, match=message):
        kramers(landscape, minimum, saddle, **({"temperature": 0.1} | options))


def test_saddles_are_sought_in_the_box_and_in_two_dimensions_at_most():
    with pytest.raises(ValueError, match=r"end = \[9.0\]: need a point in"):
        relevant_saddle(WELL, -1.0, 9.0)
    with pytest.raises(ValueError, match=r"landscape.dim = 3: need 1 or 2"):
        relevant_saddle(quadratic(np.eye(3)), np.zeros(3), np.ones(3))


def test_noise_that_vanishes_on_the_way_is_seen():
    with pytest.raises(ValueError, match="need Q > 0 on the way"):
        kramers(WELL, -1.0, 0.0, temperature=1e3, noise_cov=lambda x: (x + 0.51234) ** 2)


def test_a_time_beyond_floats_is_refused_with_its_logarithm():
    with pytest.raises(ArithmeticError, match=r"mean time e\^2501.49 overflows; raise the temp"):
        kramers(WELL, -1.0, 0.0, temperature=1e-4)  # pi sqrt(2) exp(2500)
    assert np.isfinite(kramers(WELL, -1.0, 0.0, temperature=0.25 / 698))


def test_a_well_without_curvature_is_refused():
    landscape = Landscape.from_functions(
        lambda x: x**4 / 4 - x**6 / 6,
        lambda x: x**3 - x**5,
        lambda x: 3 * x**2 - 5 * x**4,
        dim=1,
        box=(-0.5, 1.5),
    )
    with pytest.raises(ValueError, match=r"eigenvalues of D\^2 f at the two points = .*need none"):
        kramers(landscape, 0.0, 1.0, temperature=0.1)
