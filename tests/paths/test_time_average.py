"""Time averages: the stationary mean, its standard error, and the fluctuation."""

import numpy as np
import pytest

from relaxlib.diffusions import Diffusion, ornstein_uhlenbeck
from relaxlib.paths import time_average

FAST = ornstein_uhlenbeck(3.0, 1.0, temperature=0.5)
HOW = {"t": 40.0, "burn_in": 4.0, "dt": 0.02, "rng": 2, "paths": 4000}


def first(y):
    return y[..., 0]


def test_mean_and_fluctuation_of_an_ornstein_uhlenbeck_process():
    found = time_average(FAST, lambda y: np.stack([y[..., 0], y[..., 0] ** 2], -1), 1.0, **HOW)
    assert np.all(np.abs(found.mean - [0, 1 / 6]) < 4 * found.stderr + [0, 2e-4])
    # T/kappa^2 and Var(y^2)/(2 kappa), less the finite time
    np.testing.assert_allclose(found.fluctuation, [1 / 18, 1 / 108], rtol=0.08)
    assert np.all(found.stderr < 2e-3)


def test_the_standard_error_is_that_of_independent_runs():
    how = {**HOW, "paths": 50, "t": 5.0}
    runs = [time_average(FAST, first, 0.0, **{**how, "rng": seed}) for seed in range(100)]
    spread = np.std([run.mean for run in runs], ddof=1)
    assert spread == pytest.approx(np.mean([run.stderr for run in runs]), rel=0.25)


def test_the_start_is_forgotten_in_the_burn_in_only():
    short = {**HOW, "t": 1.0, "rng": 3}
    assert time_average(FAST, first, 1.0, **{**short, "burn_in": 0.0}).mean > 0.25
    assert abs(time_average(FAST, first, 1.0, **short).mean) < 0.03


def test_averages_over_fewer_states_and_from_several_starts():
    starts = np.linspace(-1, 1, 400)[:, None]
    how = {**HOW, "paths": None, "save_every": 4}
    found = time_average(FAST, first, starts, **how)
    assert abs(found.mean) < 4 * found.stderr
    assert found.fluctuation == pytest.approx(1 / 18, rel=0.3)


def test_a_time_shorter_than_a_step_is_one_step():
    found = time_average(FAST, first, 1.0, **{**HOW, "t": 1e-12, "burn_in": 0.0})
    assert found.mean == pytest.approx(1 - 3 * 0.02, abs=0.02)


def test_a_process_that_turns():
    spiral = ornstein_uhlenbeck([[1.0, -2.0], [2.0, 1.0]], np.eye(2), temperature=0.5)
    found = time_average(spiral, lambda y: y, [0.0, 0.0], **{**HOW, "t": 60.0})
    np.testing.assert_allclose(found.fluctuation, 0.1, rtol=0.08)  # T / (1 + 2^2)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"t": 0.0}, "t = 0: need 0 < t < inf"),
        ({"burn_in": -1.0}, "burn_in = -1: need 0 <= burn_in < inf"),
        ({"dt": 0.0}, "dt = 0: need 0 < dt < inf"),
        ({"dt": 0.7}, "dt = 0.7: need dt < 0.667, the stability bound"),
        ({"paths": 1}, "number of paths = 1: need an integer >= 2"),
        ({"save_every": 0}, "save_every = 0: need an integer >= 1"),
        ({"observable": np.mean}, r"shape of observable = \(\): need \(1,\) or \(1, m\)"),
        ({"observable": 3}, "observable = 3: need a function of states"),
        ({"diffusion": "fast"}, "diffusion = 'fast': need type Diffusion"),
    ],
)
def test_time_average_checks_its_arguments(kwargs, message):
    with pytest.raises(ValueError, match=message):
        time_average(**{"diffusion": FAST, "observable": first, "x0": 0.0, **HOW, **kwargs})


def test_noise_that_depends_on_the_state_is_refused():
    colored = Diffusion.from_functions(lambda y, t: -y, lambda y, t: 1 + y * y, dim=1)
    with pytest.raises(ValueError, match="need constant noise for averaged increments"):
        time_average(colored, first, 0.0, **HOW)
