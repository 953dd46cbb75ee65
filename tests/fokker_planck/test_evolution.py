"""Fokker–Planck: exact Gaussians, conservation, equilibrium, masses, spectra, errors."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relaxlib.diffusions import langevin, ornstein_uhlenbeck
from relaxlib.fokker_planck import (
    backward,
    eigenvalues,
    evolve,
    expectation,
    gibbs,
    mass,
    spectral_gap,
    stationary,
)
from relaxlib.grid import Grid
from relaxlib.landscapes import double_well, double_well_2d, quadratic
from relaxlib.operators import kolmogorov, langevin_operator
from relaxlib.regions import Ball, Box


def gaussian(x, mean, variance):
    return np.exp(-((x - mean) ** 2) / (2 * variance)) / np.sqrt(2 * np.pi * variance)


def on_the_line(count, temperature=0.2):
    grid = Grid.box(-2.5, 2.5, count)
    operator = kolmogorov(langevin(double_well(), temperature=temperature), grid)
    start = gaussian(grid.axes[0], -0.5, 0.02)
    return grid, operator, start / (start * grid.volumes).sum()


def test_ornstein_uhlenbeck_law_is_second_order():
    errors = []
    for count in (101, 201, 401):
        grid = Grid.box(-5, 5, count)
        x = grid.axes[0]
        ou = kolmogorov(ornstein_uhlenbeck(1.0, 1.0, temperature=0.5), grid)
        start = gaussian(x, 1.0, 0.1)
        flow = evolve(ou, start / (start * grid.volumes).sum(), [0.0, 0.7])
        decay = np.exp(-0.7)
        exact = gaussian(x, decay, 0.1 * decay**2 + 0.5 * (1 - decay**2))
        errors.append((np.abs(flow.densities[1] - exact) * grid.volumes).sum())
    assert np.all(np.log2(np.array(errors[:-1]) / errors[1:]) > 1.9), errors
    assert errors[-1] < 1e-3


def test_error_in_time_is_negligible():
    _, operator, start = on_the_line(301)
    at_once = evolve(operator, start, [0.0, 3.0]).densities[-1]
    in_steps = evolve(operator, start, np.linspace(0, 3, 31)).densities[-1]
    assert (np.abs(at_once - in_steps) * operator.volumes).sum() < 1e-11


def test_mass_gibbs_state_and_sign_are_kept():
    grid, operator, start = on_the_line(1000)
    flow = evolve(operator, start, [0.0, 1e-4, 0.1, 10.0, 1e4])
    assert flow.densities.min() >= 0.0
    np.testing.assert_allclose((flow.densities * grid.volumes).sum(axis=1), 1.0, rtol=1e-12)
    equilibrium = gibbs(grid, grid.sample(double_well().value), temperature=0.2)
    kept = evolve(operator, equilibrium, [0.0, 7.0]).densities[1]
    assert (np.abs(kept - equilibrium) * grid.volumes).sum() < 1e-12
    assert (np.abs(flow.densities[-1] - equilibrium) * grid.volumes).sum() < 1e-9


def test_a_gap_of_a_ten_millionth_needs_no_million_steps():
    grid = Grid.box(-1.8, 1.8, 1001)
    loss = (grid.axes[0] ** 2 - 1) ** 2 / 4
    operator = langevin_operator(grid, loss, temperature=0.0175)
    gap = spectral_gap(operator)
    assert gap == pytest.approx(2.734e-7, rel=1e-3)
    start = gibbs(grid, (grid.axes[0] + 1) ** 2, temperature=0.0175)
    flow = evolve(operator, start, [0.0, 1 / gap, 3 / gap, 1e3 / gap])
    across = [mass(grid, density, Box(0, 2)) for density in flow.densities]
    np.testing.assert_allclose(across, -np.expm1(-gap * flow.times) / 2, atol=2e-6)


def test_two_dimensions_keep_the_same():
    grid = Grid.box(*double_well_2d().box, (40, 41))
    operator = kolmogorov(langevin(double_well_2d(), temperature=0.3), grid)
    equilibrium = gibbs(grid, grid.sample(double_well_2d().value), temperature=0.3)
    np.testing.assert_allclose(stationary(operator), equilibrium, rtol=1e-10)
    kept = evolve(operator, equilibrium, [0.0, 2.0]).densities[1]
    assert (np.abs(kept - equilibrium) * grid.volumes).sum() < 1e-12


def test_backward_is_dual_to_forward():
    grid, operator, start = on_the_line(200)
    indicator = (grid.axes[0] > 0).astype(float)
    forward = expectation(grid, evolve(operator, start, [0.0, 4.0]).densities[1], indicator)
    u = backward(operator, indicator, [0.0, 4.0]).values[1]
    assert forward == pytest.approx(expectation(grid, start, u), abs=1e-12)


def test_absorbing_walls_lose_mass_at_the_first_eigenvalue():
    grid = Grid.box(-0.99, 0.99, 199)
    motion = ornstein_uhlenbeck(0.0, 1.0, temperature=0.5)
    operator = kolmogorov(motion, grid, boundary="absorbing")
    start = np.cos(np.pi * grid.axes[0] / 2)
    start /= (start * operator.volumes).sum()
    lost = evolve(operator, start, [0.0, 1.0]).densities[1]
    rate = -eigenvalues(operator, 1)[0]
    assert rate == pytest.approx(np.pi**2 / 8, rel=1e-4)
    np.testing.assert_allclose(lost, start * np.exp(-rate), rtol=1e-8)


def test_spectrum_of_ornstein_uhlenbeck_is_the_integers():
    grid = Grid.box(-6, 6, 1201)
    ou = kolmogorov(ornstein_uhlenbeck(1.0, 1.0, temperature=0.5), grid)
    np.testing.assert_allclose(eigenvalues(ou, 4), -np.arange(4.0), atol=1e-3)
    assert spectral_gap(ou) == pytest.approx(1.0, abs=1e-4)


def test_stationary_covariance_of_a_turning_drift():
    grid = Grid.box((-4, -4), (4, 4), (61, 61))
    turning = kolmogorov(ornstein_uhlenbeck([[1, 2], [-2, 1]], np.eye(2), temperature=0.5), grid)
    density = stationary(turning)
    assert expectation(grid, density, grid.nodes[:, 0] ** 2) == pytest.approx(0.5, rel=0.02)
    first = eigenvalues(turning, 3)
    np.testing.assert_allclose(first[1:], [-1 - 2j, -1 + 2j], atol=0.05)


def test_stationary_density_of_a_range_of_thousands():
    grid = Grid.box(-1, 1, 401)
    potential = 1500 * grid.axes[0] ** 2
    operator = langevin_operator(grid, potential, temperature=0.5)
    np.testing.assert_allclose(
        stationary(operator), gibbs(grid, potential, temperature=0.5), rtol=1e-9, atol=1e-300
    )


@given(st.floats(-1.4, 0.9), st.floats(0.01, 1.4))
@settings(deadline=None, max_examples=50, derandomize=True)
def test_mass_in_an_interval_counts_fractions_of_cells(low, width):
    grid = Grid.box(-1, 1, 21)
    inside = min(low + width, 1.0) - max(low, -1.0)
    exact = max(inside, 0.0) / 2
    assert mass(grid, np.full(21, 0.5), Box(low, low + width)) == pytest.approx(exact, abs=1e-14)
    ball = Ball(low + width / 2, width / 2)
    assert mass(grid, np.full(21, 0.5), ball) == pytest.approx(exact, abs=1e-13)


def test_mass_in_a_disc_around_a_node_is_no_division_by_zero():
    grid = Grid.box((-1, -1), (1, 1), (11, 11))
    with np.errstate(all="raise"):
        inner = mass(grid, np.ones(grid.shape), Ball((0.0, 0.0), 0.1))
        whole = mass(grid, np.ones(grid.shape), Ball((0.0, 0.0), 0.2))
    assert inner == pytest.approx(0.04)  # a cell of 0.2, its boundary at the sphere
    assert 0.04 < whole < 0.2


def test_mass_in_a_disc_is_second_order():
    errors = []
    for count in (41, 81, 161, 321):
        grid = Grid.box((-1, -1), (1, 1), (count, count))
        errors.append(abs(mass(grid, np.ones(grid.shape), Ball((0.1, 0.0), 0.6)) - 0.36 * np.pi))
    assert errors[-1] < 4e-5
    assert errors[-1] < errors[0] / 20


def test_masks_and_boxes_in_the_plane():
    grid = Grid.box((0, 0), (1, 2), (11, 21))
    density = np.full(grid.shape, 0.5)
    assert mass(grid, density, Box((0.25, 0.5), (0.5, 1.5))) == pytest.approx(0.125)
    assert mass(grid, density, np.ones(grid.shape, bool)) == pytest.approx(1.0)


GRID, OPERATOR, START = on_the_line(21)
ABSORBING = kolmogorov(langevin(double_well(), temperature=1.0), GRID, boundary="absorbing")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: evolve(OPERATOR, -START, [0, 1]), "min density = .*: need density >= 0"),
        (lambda: evolve(OPERATOR, 2 * START, [0, 1]), "mass of density = 2: need mass 1"),
        (
            lambda: evolve(ABSORBING, START + 1.0, [0, 1]),
            r"mass 1 in the operator's cells; divide by \(density \* operator.volumes\)",
        ),
        (lambda: evolve(OPERATOR, "flat", [0, 1]), "density = 'flat': need an array of real numb"),
        (lambda: evolve(OPERATOR, START + 0j, [0, 1]), "density = .*: need an array of real"),
        (lambda: evolve(OPERATOR, START, "soon"), "times = 'soon': need an array of real numbers"),
        (lambda: evolve("A", START, [0, 1]), "operator = 'A': need type KolmogorovOperator"),
        (lambda: backward(GRID, START, [0, 1]), "operator = Grid.*: need type KolmogorovOperator"),
        (lambda: backward(OPERATOR, "v", [0, 1]), "values = 'v': need an array of real numbers"),
        (lambda: stationary("A"), "operator = 'A': need type KolmogorovOperator; see relaxlib.op"),
        (lambda: spectral_gap(None), "operator = None: need type KolmogorovOperator"),
        (lambda: eigenvalues(None, 2), "operator = None: need type KolmogorovOperator"),
        (
            lambda: spectral_gap(ABSORBING),
            r"operator = absorbing: need a chain that .*; take -eigenvalues\(operator, 1\)\[0\]",
        ),
        (lambda: gibbs(None, START, temperature=1.0), "grid = None: need type Grid; see"),
        (lambda: expectation(None, START, START), "grid = None: need type Grid"),
        (
            lambda: expectation(GRID, START, START[:-1]),
            r"values.shape = \(20,\): need values.shape = \(21,\)",
        ),
        (lambda: mass(None, START, Box(0, 1)), "grid = None: need type Grid"),
        (lambda: mass(GRID, START, Box((0, 0), (1, 1))), "region.dim = 2: need the grid's dim = 1"),
        (lambda: mass(GRID, START, Ball((0, 0), 1)), "region.dim = 2: need the grid's dim = 1"),
        (lambda: evolve(OPERATOR, START[:-1], [0, 1]), "density.shape"),
        (lambda: evolve(OPERATOR, START, [1, 0]), "strictly increasing"),
        (lambda: backward(OPERATOR, np.full(21, np.nan), [0, 1]), "finite entries"),
        (lambda: stationary(ABSORBING), "operator = absorbing"),
        (lambda: eigenvalues(OPERATOR, 20), "count = 20: need count <= 19"),
        (lambda: gibbs(GRID, np.zeros(21), temperature=0.0), "temperature = 0"),
        (lambda: mass(GRID, START, np.ones(21)), "region = array.*: need a Ball, a Box or"),
        (lambda: mass(GRID, START, np.ones(20, bool)), "region.shape"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_gap_below_rounding_is_refused():
    wells = langevin(double_well(), temperature=0.005)
    with pytest.raises(ArithmeticError, match=r"spectral gap: .*e-.* <= .*e-.*; raise the temper"):
        spectral_gap(kolmogorov(wells, Grid.box(-2, 2, 201)))
    nothing = kolmogorov(ornstein_uhlenbeck(0.0, 0.0, temperature=1.0), GRID)
    with pytest.raises(ArithmeticError, match=r"spectral gap: 0.0e"):
        spectral_gap(nothing)
    np.testing.assert_array_equal(eigenvalues(nothing, 2), 0.0)


def test_a_gap_just_above_rounding_keeps_two_digits():
    gaps = []
    for temperature in (0.0105, 0.011, 0.0115):
        wells = langevin(double_well(), temperature=temperature)
        gaps.append(spectral_gap(kolmogorov(wells, Grid.box(-2, 2, 201))))
    slope = np.diff(np.log(gaps)) / np.diff(1 / np.array([0.0105, 0.011, 0.0115]))
    np.testing.assert_allclose(slope, -0.25, rtol=0.02)  # Arrhenius: the barrier is 1/4


@pytest.mark.parametrize("temperature", [0.0, 1e-4, 1e-3])
def test_cold_stationary_densities_sit_at_the_minimum(temperature):
    line, plane = Grid.box(-2, 2, 101), Grid.box((-2, -2), (2, 2), (41, 41))
    turning = ornstein_uhlenbeck([[1, 1], [-1, 1]], np.eye(2), temperature=temperature)
    for grid, diffusion in (
        (line, langevin(quadratic(), temperature=temperature)),
        (plane, turning),
    ):
        density = stationary(kolmogorov(diffusion, grid))
        masses = (density * grid.volumes).ravel()
        assert masses.sum() == pytest.approx(1.0)
        assert np.all(grid.nodes[np.argmax(masses)] == 0.0)
