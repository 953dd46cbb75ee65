"""Exit times by quadrature: references to all digits, low temperature, both doors, balls."""

import numpy as np
import pytest
from scipy.integrate import cumulative_trapezoid, quad

from relaxlib.diffusions import Diffusion, langevin, ornstein_uhlenbeck
from relaxlib.exit_times import interval_exit_time, radial_exit_time
from relaxlib.landscapes import double_well, double_well_2d, quadratic, rugged


def nested(f, x, upper, temperature, lower=-6.0):
    """The double integral of the one-sided exit time, by scipy."""

    def inner(z):
        return quad(lambda y: np.exp((f(z) - f(y)) / temperature), lower, z, epsabs=0, limit=400)[0]

    return quad(inner, x, upper, epsabs=0, epsrel=1e-9, limit=400)[0] / temperature


@pytest.mark.parametrize("temperature", [1.0, 0.2, 0.1])
def test_one_sided_against_nested_quadrature(temperature):
    def f(y):
        return (y**2 - 1) ** 2 / 4

    value = interval_exit_time(
        langevin(double_well(), temperature=temperature), -0.9, lower=-np.inf, upper=0.8
    )
    assert float(value) == pytest.approx(nested(f, -0.9, 0.8, temperature), rel=1e-7)


def test_two_sided_brownian_motion_with_drift():
    drift, x, spread = 0.7, 0.2, 0.4
    diffusion = Diffusion.from_functions(
        lambda x, t: 0.7 + 0.0 * x, np.array([[np.sqrt(0.8)]]), dim=1
    )

    def scale(y):
        return (1 - np.exp(-drift * y / spread)) * spread / drift

    hit = (scale(x) - scale(-1.0)) / (scale(2.0) - scale(-1.0))
    exact = (hit * 2.0 + (1 - hit) * -1.0 - x) / drift  # Wald's identity
    value = interval_exit_time(diffusion, x, lower=-1.0, upper=2.0)
    assert float(value) == pytest.approx(exact, rel=1e-10)


def test_mirrored_line():
    left = interval_exit_time(
        langevin(double_well(), temperature=0.05), [-1.0, -0.3], lower=-np.inf, upper=0.9
    )
    right = interval_exit_time(
        langevin(double_well(), temperature=0.05), [1.0, 0.3], lower=-0.9, upper=np.inf
    )
    np.testing.assert_allclose(left, right, rtol=1e-10)


def test_low_temperature_does_not_overflow():
    cold = langevin(double_well(), temperature=0.0005)
    value = interval_exit_time(cold, -1.0, lower=-np.inf, upper=1.0)
    law = np.pi * np.sqrt(2) * np.exp(500.0)
    assert value / law == pytest.approx(1 + 1.5 * 0.0005, abs=1e-5)


def test_starts_at_the_ends_leave_at_once():
    u = interval_exit_time(
        langevin(rugged(), temperature=0.3), [-1.0, 0.0, 1.0], lower=-1.0, upper=1.0
    )
    assert u[0] == u[2] == 0.0
    assert u[1] > 0.0


@pytest.mark.parametrize("dim", [1, 2, 5, 30])
def test_radial_brownian_motion(dim):
    still = ornstein_uhlenbeck(0.0, 1.0, temperature=0.5)
    u = radial_exit_time(still, [0.0, 0.5, 1.9], radius=2.0, dim=dim)
    np.testing.assert_allclose(u, (4.0 - np.array([0.0, 0.25, 3.61])) / dim, rtol=1e-9)


def test_radial_in_one_dimension_is_the_interval():
    diffusion = langevin(quadratic(), temperature=0.05)
    starts = [0.0, 0.4, 0.99]
    np.testing.assert_allclose(
        radial_exit_time(diffusion, starts, radius=1.0, dim=1),
        interval_exit_time(diffusion, starts, lower=-1.0, upper=1.0),
        rtol=1e-9,
    )


def test_state_dependent_noise_on_the_line():
    diffusion = langevin(double_well(), temperature=0.025, noise_cov=lambda x: 1 + 0.4 * np.tanh(x))
    there = interval_exit_time(diffusion, -1.0, lower=-np.inf, upper=1.0)
    back = interval_exit_time(diffusion, 1.0, lower=-1.0, upper=np.inf)
    np.testing.assert_allclose([there, back], [1344912.2082, 19028.760997], rtol=1e-9)


WELL = langevin(double_well(), temperature=0.1)


@pytest.mark.parametrize(
    ("diffusion", "x", "ends", "message"),
    [
        (WELL, 3.0, (-1, 1), r"x = 3.0: need -1 <= x <= 1; start inside the interval"),
        (WELL, np.nan, (-1, 1), r"x = nan: need finite entries"),
        (WELL, 0.0, (1, -1), r"\(lower, upper\) = \(1, -1\): need lower < upper"),
        (WELL, 0.0, (-np.inf, np.inf), r"one of them finite"),
        (langevin(double_well_2d(), temperature=1.0), 0.0, (-1, 1), "diffusion.dim = 2: need 1"),
        (ornstein_uhlenbeck(-1.0, 1.0, temperature=1.0), 0.0, (-np.inf, 1), "give a finite end"),
        (ornstein_uhlenbeck(1.0, 0.0, temperature=1.0), 0.0, (-1, 1), r"need T Q > 0"),
    ],
)
def test_bad_intervals(diffusion, x, ends, message):
    with pytest.raises(ValueError, match=message):
        interval_exit_time(diffusion, x, lower=ends[0], upper=ends[1])


@pytest.mark.parametrize(
    ("distance", "radius", "dim", "message"),
    [
        (2.0, 1.0, 2, "distance = 2.0: need 0 <= distance <= 1"),
        (0.0, -1.0, 2, "radius = -1"),
        (0.0, 1.0, 0, "dim = 0: need an integer >= 1"),
    ],
)
def test_bad_balls(distance, radius, dim, message):
    with pytest.raises(ValueError, match=message):
        radial_exit_time(WELL, distance, radius=radius, dim=dim)


@pytest.mark.parametrize(
    ("height", "center", "width"), [(5, 0.5, 0.01), (5, 0.503, 0.003), (10, 0.37, 0.001)]
)
def test_a_narrow_bump_is_not_overlooked(height, center, width):
    def drift(x, t):
        z = (x - center) / width
        return 0.5 * height * z / width * np.exp(-(z**2) / 2)

    bump = Diffusion.from_functions(drift, np.ones((1, 1)), dim=1)
    x = np.linspace(-1, 1, 2_000_001)
    log_scale = height * np.exp(-(((x - center) / width) ** 2) / 2)
    scale = cumulative_trapezoid(np.exp(log_scale), x, initial=0.0)
    speed = 2 * np.exp(-log_scale)
    hit, below = scale[1_000_000] / scale[-1], slice(0, 1_000_001)
    exact = (1 - hit) * np.trapezoid((scale * speed)[below], x[below])
    above = slice(1_000_000, None)
    exact += hit * np.trapezoid(((scale[-1] - scale) * speed)[above], x[above])
    u = interval_exit_time(bump, 0.0, lower=-1.0, upper=1.0)
    assert float(u) == pytest.approx(exact, rel=1e-6)


def test_times_that_overflow_and_starts_too_far_out_are_refused():
    frozen = langevin(double_well(), temperature=1e-4)
    with pytest.raises(ArithmeticError, match="overflows; raise the temperature"):
        interval_exit_time(frozen, -1.0, lower=-np.inf, upper=1.0)
    steep = ornstein_uhlenbeck(1.0, 1.0, temperature=1.0)
    with pytest.raises(ArithmeticError, match="more than 200000 panels"):
        interval_exit_time(steep, -1e4, lower=-np.inf, upper=1.0)
