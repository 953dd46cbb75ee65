"""Minimum action paths: heights, rotating drift, state-dependent noise, legs."""

import numpy as np
import pytest

from relaxlib.action import minimum_action
from relaxlib.diffusions import Diffusion, langevin, ornstein_uhlenbeck
from relaxlib.landscapes import double_well, double_well_2d, mueller_brown


def rotating(x, t, out):
    """Minus the gradient of the double well plus a field along its level lines."""
    slope, other = 4 * x[0] * (x[0] ** 2 - 1), 2 * x[1]
    out[0] = -slope + other
    out[1] = -other - slope


def test_gradient_drift_pays_twice_the_height():
    diffusion = langevin(double_well(), temperature=0.1)
    errors = [minimum_action(diffusion, -1.0, 0.0, images=n).action - 0.5 for n in (26, 51, 101)]
    np.testing.assert_allclose(np.array(errors[:-1]) / errors[1:], 4.0, rtol=0.1)
    down = minimum_action(diffusion, -1.0, 1.0).action  # the descent is free
    assert down == pytest.approx(0.5, abs=2e-4)


def test_a_turning_drift_does_not_change_the_price_but_the_path():
    diffusion = Diffusion.from_functions(rotating, np.sqrt(0.2) * np.eye(2), dim=2, temperature=0.1)
    path = minimum_action(diffusion, (-1, 0), (0, 0))
    assert path.action == pytest.approx(2.0, abs=1e-3)
    assert np.abs(path.points[:, 1]).max() > 0.1
    straight = minimum_action(langevin(double_well_2d(), temperature=0.1), (-1, 0), (0, 0))
    assert np.abs(straight.points[:, 1]).max() < 1e-3


def test_state_dependent_noise_changes_the_barrier():
    diffusion = langevin(double_well(), temperature=0.1, noise_cov=lambda x: 1 + 0.4 * np.tanh(x))
    there, back = (minimum_action(diffusion, start, 0.0).action / 2 for start in (-1.0, 1.0))
    assert there == pytest.approx(0.310083, abs=5e-5)
    assert back == pytest.approx(0.211101, abs=5e-5)


def test_a_curved_valley_is_followed_to_its_pass():
    landscape = mueller_brown()
    saddle = landscape.saddles[1]
    path = minimum_action(langevin(landscape, temperature=10.0), landscape.minima[0], saddle)
    height = landscape.value(saddle) - landscape.value(landscape.minima[0])
    assert path.action / 2 == pytest.approx(height, rel=5e-4)
    steps = np.linalg.norm(np.diff(path.points, axis=0), axis=1)
    assert steps.max() / steps.min() < 1.05


def test_the_ends_are_kept():
    path = minimum_action(ornstein_uhlenbeck(np.eye(3), np.eye(3), temperature=1.0), *np.eye(3)[:2])
    assert path.points.shape == (101, 3)
    np.testing.assert_array_equal(path.points[[0, -1]], np.eye(3)[:2])


@pytest.mark.parametrize(
    ("start", "end", "options", "message"),
    [
        (-1.0, -1.0, {}, r"\|end - start\| = 0.*pass two different points"),
        (-1.0, 0.0, {"images": 3}, "images = 3: need an integer >= 5"),
        (np.nan, 0.0, {}, r"start\[0\] = nan|start = nan"),
    ],
)
def test_bad_input(start, end, options, message):
    with pytest.raises(ValueError, match=message):
        minimum_action(langevin(double_well(), temperature=0.1), start, end, **options)


def test_degenerate_noise_is_refused():
    diffusion = langevin(double_well_2d(), temperature=0.1, noise_cov=np.diag([1.0, 0.0]))
    with pytest.raises(ValueError, match="need Q > 0, so that any path has a finite action"):
        minimum_action(diffusion, (-1, 0), (0, 0))


def test_noise_that_vanishes_between_the_images_is_seen():
    diffusion = langevin(double_well(), temperature=0.1, noise_cov=lambda x: (x + 0.51234) ** 2)
    with pytest.raises(ValueError, match="need Q > 0"):
        minimum_action(diffusion, -1.0, 0.0)


# --- a straight line that symmetry holds fast -------------------------------------------------


def maier_stein(x, t, out):
    out[0] = x[0] - x[0] ** 3 - 10 * x[0] * (x[1] ** 2 + x[-1] ** 2 * (len(x) - 2))
    out[1], out[-1] = -(1 + x[0] ** 2) * x[1], -(1 + x[0] ** 2) * x[-1]


@pytest.mark.parametrize("dim", [2, 3])
def test_the_path_of_maier_and_stein_leaves_the_axis(dim):
    noise = 0.3 * np.eye(dim)
    diffusion = Diffusion.from_functions(maier_stein, noise, dim=dim, temperature=0.045)
    ends = -np.eye(dim)[0], np.zeros(dim)
    path = minimum_action(diffusion, *ends, images=16)
    assert path.action == pytest.approx(0.3375, abs=0.01)  # Heymann & Vanden-Eijnden (2008)
    assert np.linalg.norm(path.points[:, 1:], axis=1).max() > 0.3


def around_the_hill(x, t, out):
    """Half of the turned and the whole of the plain slope of (|x|^2 - 1)^2 + x_1^2 / 10."""
    hill = 4 * (x[0] ** 2 + x[1] ** 2 - 1)
    slope, other = hill * x[0], hill * x[1] + 0.2 * x[1]
    out[0], out[1] = -slope - other / 2, -other + slope / 2


def test_a_path_goes_around_a_hill_and_stays_where_the_reader_asks():
    diffusion = Diffusion.from_functions(around_the_hill, np.eye(2), dim=2, temperature=0.5)
    path = minimum_action(diffusion, (-1, 0), (1, 0), images=16)
    assert path.action == pytest.approx(2 * 0.0975, rel=5e-3)  # of the pass at x_1^2 = 0.95
    asked = [(-1, 0), (0, np.copysign(1.0, -path.points[8, 1])), (1, 0)]
    other = minimum_action(diffusion, (-1, 0), (1, 0), images=16, initial=asked)
    assert other.action == pytest.approx(2 * 0.0975, rel=5e-3)
    assert other.points[8, 1] * path.points[8, 1] < 0.0


def test_an_initial_path_must_join_the_ends():
    diffusion = langevin(double_well_2d(), temperature=0.1)
    with pytest.raises(ValueError, match=r"initial ends = .*need a path that begins at start"):
        minimum_action(diffusion, (-1, 0), (0, 0), initial=[(-1, 0), (0, 1)])
    with pytest.raises(ValueError, match=r"initial.shape = \(1, 2\): need .*points \(m, d\)"):
        minimum_action(diffusion, (-1, 0), (0, 0), initial=[(-1, 0)])
