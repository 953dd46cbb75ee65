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
