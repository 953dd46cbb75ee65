"""Entropies, their production, Poincaré's constant: closed forms, exact identities."""

import numpy as np
import pytest
from scipy.linalg import eigh

from relaxlib.diffusions import langevin, ornstein_uhlenbeck
from relaxlib.fokker_planck import (
    chi_square,
    entropy_production,
    evolve,
    fisher_information,
    free_energy,
    gibbs,
    poincare_constant,
    relative_entropy,
    spectral_gap,
    stationary,
)
from relaxlib.gaussian import chi_square_gaussian, stationary_covariance
from relaxlib.grid import Grid
from relaxlib.landscapes import double_well
from relaxlib.operators import kolmogorov, langevin_operator

LINE = Grid.box(-9, 9, 3601)
PLANE = Grid.box((-5, -5), (5, 5), (81, 81))
COARSE = Grid.box((-3, -3), (3, 3), (25, 25))
SHEARED = np.array([[1.0, 3.0], [0.0, 2.0]])
MIXED = np.array([[1.0, 0.2], [0.2, 0.5]])


def normal(mean, variance, grid=LINE):
    return gibbs(grid, (grid.axes[0] - mean) ** 2 / 2, temperature=variance)


def linear(drift, noise=((1.0, 0.0), (0.0, 1.0)), grid=PLANE):
    return kolmogorov(ornstein_uhlenbeck(drift, noise, temperature=0.4), grid)


def tilted(law, grid, direction):
    """A density of mass one whose ratio to the law is not constant."""
    ratio = 1 + 0.9 * np.tanh(grid.nodes @ direction).reshape(grid.shape)
    return law * ratio / (law * ratio * grid.volumes).sum()


def test_entropies_and_fisher_information_of_gaussians():
    rho, pi, s = normal(0.4, 0.49), normal(0.0, 1.0), 0.7
    kullback = 0.4**2 / 2 + (s * s - 1) / 2 - np.log(s)
    assert relative_entropy(rho, pi, LINE) == pytest.approx(kullback, rel=1e-6)
    exact = chi_square_gaussian(0.4, 0.49, 0.0, 1.0)
    assert chi_square(rho, pi, LINE) == pytest.approx(exact, rel=1e-6)
    fisher = 0.4**2 + (s - 1 / s) ** 2
    assert fisher_information(rho, pi, LINE) == pytest.approx(fisher, rel=1e-4)


def test_fisher_information_is_second_order_and_adds_up_over_coordinates():
    errors, parts = [], 0.4**2 + (0.7 - 1 / 0.7) ** 2 + 0.3**2
    for count in (61, 121, 241):
        grid = Grid.box((-6, -5), (6, 5), (count, count - 4))
        x, y = np.meshgrid(*grid.axes, indexing="ij")
        rho = gibbs(grid, (x - 0.4) ** 2 / 0.98 + (y + 0.3) ** 2 / 2, temperature=1.0)
        pi = gibbs(grid, (x**2 + y**2) / 2, temperature=1.0)
        errors.append(abs(fisher_information(rho, pi, grid) - parts))
    assert errors[-1] < 3e-3
    assert np.all(np.log2(np.array(errors[:-1]) / errors[1:]) > 1.9), errors


def test_fisher_information_counts_half_cells_of_a_flat_reference():
    grid = Grid.box((0, 0), (1, 2), (401, 7))
    wave = 1 + 0.5 * np.cos(np.pi * grid.nodes[:, 0]).reshape(grid.shape)
    x = np.linspace(0, 1, 100_001)
    exact = np.trapezoid((0.5 * np.pi * np.sin(np.pi * x)) ** 2 / (1 + 0.5 * np.cos(np.pi * x)), x)
    flat = np.full(grid.shape, 0.5)
    assert fisher_information(wave / 2, flat, grid) == pytest.approx(exact, rel=1e-5)


def test_what_is_off_the_reference_is_infinitely_far():
    grid = Grid.box(0, 1, 3)
    for distance in (relative_entropy, chi_square, fisher_information):
        assert distance([1.0, 1.0, 1.0], [2.0, 1.0, 0.0], grid) == np.inf
    assert relative_entropy([2.0, 1.0, 0.0], [1.0, 1.0, 1.0], grid) == pytest.approx(np.log(2) / 2)
    assert chi_square([2.0, 1.0, 0.0], [1.0, 1.0, 1.0], grid) == pytest.approx(0.5)
    assert chi_square([2.0, 1.0, 0.0], [2.0, 1.0, 0.0], grid) == 0.0
    assert fisher_information([2.0, 1.0, 0.0], [2.0, 1.0, 0.0], grid) == 0.0


def test_a_reference_that_nearly_underflows_is_finitely_far():
    grid = Grid.box(0, 1, 3)
    assert relative_entropy([1.0, 1.0, 1.0], [1.0, 1.0, 1e-310], grid) == pytest.approx(
        310 * np.log(10) / 4
    )


def test_free_energy_is_entropy_and_both_fall_at_the_rate_of_fisher_information():
    grid = Grid.box(-2.5, 2.5, 1001)
    potential = grid.sample(double_well().value)
    operator = langevin_operator(grid, potential, temperature=0.2)
    law = gibbs(grid, potential, temperature=0.2)
    times = [0.0, 0.3, 0.301, 0.302]
    flow = evolve(operator, gibbs(grid, (grid.axes[0] + 0.5) ** 2, temperature=0.1), times)
    entropies = [relative_entropy(rho, law, grid) for rho in flow.densities]
    energies = [free_energy(rho, potential, grid, temperature=0.2) for rho in flow.densities]
    constant = np.array(energies) - 0.2 * np.array(entropies)
    np.testing.assert_allclose(constant, constant[0], rtol=1e-9)
    slope = (entropies[3] - entropies[1]) / 0.002
    fisher = fisher_information(flow.densities[2], law, grid)
    assert slope == pytest.approx(-0.2 * fisher, rel=1e-4)


@pytest.mark.parametrize("drift", [np.eye(2), SHEARED, np.array([[0.0, -1.0], [1.0, 1.0]])])
def test_production_is_minus_the_derivative_of_the_entropy_with_and_without_balance(drift):
    operator = linear(drift, MIXED, COARSE)
    law = stationary(operator)
    flow = evolve(operator, tilted(law, COARSE, [0.3, -2.0]), [0.0, 1e-3, 2e-3])
    entropies = [chi_square(rho, law, COARSE) / 2 for rho in flow.densities]
    slope = (entropies[2] - entropies[0]) / 2e-3
    assert slope == pytest.approx(-entropy_production(operator, flow.densities[1]), rel=1e-4)


def test_production_where_equilibrium_has_no_mass():
    grid = Grid.box(-1, 1, 201)
    steep = langevin_operator(grid, 1e4 * grid.axes[0] ** 2, temperature=1.0)
    assert entropy_production(steep, np.full(201, 0.5)) == np.inf
    assert entropy_production(steep, stationary(steep)) < 1e-100


@pytest.mark.parametrize("temperature", [0.05, 0.4, 3.0])
def test_poincare_constant_of_a_gaussian_is_its_convexity(temperature):
    grid = Grid.box(-9 * np.sqrt(temperature), 9 * np.sqrt(temperature), 1001)
    operator = langevin_operator(grid, 1.5 * grid.axes[0] ** 2 / 2, temperature=temperature)
    assert poincare_constant(operator) == pytest.approx(1.5, rel=1e-3)
    assert poincare_constant(operator) == spectral_gap(operator)


@pytest.mark.parametrize(("drift", "noise"), [(SHEARED, np.eye(2)), (SHEARED, MIXED)])
def test_poincare_constant_without_balance_is_below_the_gap(drift, noise):
    spread = stationary_covariance(drift, noise, temperature=1.0)
    exact, errors = eigh(noise, spread, eigvals_only=True)[0], []
    for grid in (Grid.box((-5, -5), (5, 5), (41, 41)), PLANE):
        operator = linear(drift, noise, grid)
        errors.append(abs(poincare_constant(operator) - exact))
    assert errors[1] < 0.02 * exact
    assert errors[0] / errors[1] > 3.5
    assert exact < 0.6 < 0.98 < spectral_gap(operator) < 1.01


def test_poincare_inequality_holds_on_the_grid_and_is_sharp_for_its_eigenfunction():
    operator = linear(SHEARED)
    law, best = stationary(operator), poincare_constant(operator)
    quotients = []
    for direction in np.random.default_rng(0).normal(size=(20, 2)):
        rho = tilted(law, PLANE, direction)
        quotients.append(entropy_production(operator, rho) / chi_square(rho, law, PLANE))
    assert min(quotients) > best
    spread = stationary_covariance(SHEARED, np.eye(2), temperature=1.0)
    slow = eigh(np.eye(2), spread)[1][:, 0]
    wave = np.maximum(law * (1 + 0.05 * (PLANE.nodes @ slow).reshape(PLANE.shape)), 0.0)
    wave /= (wave * PLANE.volumes).sum()
    sharp = entropy_production(operator, wave) / chi_square(wave, law, PLANE)
    assert sharp == pytest.approx(best, rel=2e-3)


def test_a_constant_below_rounding_is_refused():
    wells = langevin(double_well(), temperature=0.005)
    with pytest.raises(ArithmeticError, match=r"Poincaré constant: .*e-.* <= .*e-.*; raise the t"):
        poincare_constant(kolmogorov(wells, Grid.box(-2, 2, 201)))


SHORT = Grid.box(-2, 2, 21)
ABSORBING = kolmogorov(langevin(double_well(), temperature=1.0), SHORT, boundary="absorbing")
REFLECTING = kolmogorov(langevin(double_well(), temperature=1.0), SHORT)
FLAT = np.full(21, 0.25)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: relative_entropy(-FLAT, FLAT, SHORT), "min density = -.*: need density >= 0"),
        (lambda: chi_square(FLAT, -FLAT, SHORT), "min reference = -.*: need reference >= 0"),
        (lambda: fisher_information(FLAT, FLAT[1:], SHORT), "reference.shape"),
        (lambda: fisher_information(FLAT, FLAT, None), "grid = None: need type Grid"),
        (lambda: chi_square(FLAT, FLAT, 3), "grid = 3: need type Grid"),
        (lambda: relative_entropy(FLAT, FLAT, "g"), "grid = 'g': need type Grid"),
        (lambda: free_energy(FLAT, FLAT, "g", temperature=1.0), "grid = 'g': need type Grid"),
        (
            lambda: free_energy(-FLAT, FLAT, SHORT, temperature=1.0),
            "min density = -.*: need density >= 0; clip it",
        ),
        (
            lambda: free_energy(FLAT, FLAT[:4], SHORT, temperature=1.0),
            r"potential.shape = \(4,\): need potential.shape = \(21,\)",
        ),
        (lambda: free_energy(FLAT, FLAT, SHORT, temperature=-1), "temperature = -1: need 0 <="),
        (lambda: entropy_production("A", FLAT), "operator = 'A': need type KolmogorovOperator"),
        (lambda: entropy_production(REFLECTING, 2 * FLAT), "mass of density = 2: need mass 1"),
        (lambda: entropy_production(ABSORBING, FLAT), "operator = absorbing: need a chain that"),
        (lambda: poincare_constant(None), "operator = None: need type KolmogorovOperator"),
        (lambda: poincare_constant(ABSORBING), "operator = absorbing: need a chain that keeps"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(ValueError, match="^" + message):
        call()
