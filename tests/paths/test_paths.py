"""Paths: exact laws, orders, streams that depend on seed and path alone, exits, errors."""

from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np
import pytest

from relaxlib.diffusions import Diffusion, langevin, ornstein_uhlenbeck, two_scale, underdamped
from relaxlib.landscapes import double_well, lipschitz_double_well, quadratic
from relaxlib.paths import Estimate, ExitSample, estimate, first_exits, simulate
from relaxlib.regions import Ball, Box

OU = ornstein_uhlenbeck(1.0, 1.0, temperature=0.5)
PLANE = ornstein_uhlenbeck([[1.0, 2.0], [-2.0, 1.0]], [[1.0, 0.3], [0.3, 0.5]], temperature=0.5)
MOTION = ornstein_uhlenbeck(np.zeros((2, 2)), np.eye(2), temperature=0.5)


def test_recursion_is_eulers():
    shift, steps = 0.1, 7
    decay = ornstein_uhlenbeck(1.0, 0.0, temperature=0.5)
    x = simulate(decay, 2.0, dt=shift, steps=steps, rng=0).paths
    assert x.shape == (1, 1, 1)
    assert x[0, 0, 0] == pytest.approx(2 * (1 - shift) ** steps, rel=1e-14)


def test_law_of_eulers_scheme_is_exact_for_linear_drift():
    dt, steps, count = 0.1, 20, 200_000
    x = simulate(PLANE, [1.0, -1.0], dt=dt, steps=steps, rng=1, paths=count).paths[0]
    step = np.eye(2) - dt * np.array([[1.0, 2.0], [-2.0, 1.0]])
    mean, cov = np.array([1.0, -1.0]), np.zeros((2, 2))
    for _ in range(steps):
        mean = step @ mean
        cov = step @ cov @ step.T + dt * np.array([[1.0, 0.3], [0.3, 0.5]])
    assert np.all(np.abs(x.mean(axis=0) - mean) < 4 * np.sqrt(np.diag(cov) / count))
    np.testing.assert_allclose(np.cov(x.T), cov, atol=4 * 2 * cov.max() / np.sqrt(count))


def test_state_dependent_noise_has_its_exact_variance():
    geometric = Diffusion.from_functions(lambda x, t: 0.0, lambda x, t: 0.5 * x, dim=1)
    x = simulate(geometric, 1.0, dt=0.1, steps=10, rng=2, paths=200_000).paths.ravel()
    exact = (1 + 0.25 * 0.1) ** 10
    assert abs((x**2).mean() - exact) < 4 * (x**2).std() / np.sqrt(x.size)


def test_drift_in_time_sees_the_clock():
    clock = Diffusion.from_functions(lambda x, t: t, [[0.0]], dim=1)
    x = simulate(clock, 0.0, dt=0.5, steps=700, rng=0).paths[0, 0, 0]
    assert x == pytest.approx(0.25 * 700 * 699 / 2)


@pytest.mark.parametrize(("scheme", "exact"), [("euler", 0.5 / 0.75), ("leimkuhler-matthews", 0.5)])
def test_averaged_noise_has_the_exact_stationary_variance(scheme, exact):
    x = simulate(OU, 0.0, dt=0.5, steps=100, rng=3, paths=200_000, scheme=scheme).paths.ravel()
    assert abs(x.var() - exact) < 4 * exact * np.sqrt(2 / x.size)


def test_saved_positions_are_those_of_shorter_runs():
    whole = simulate(PLANE, [1.0, 0.0], dt=0.01, steps=1200, rng=4, paths=70, save_every=300)
    np.testing.assert_allclose(whole.times, [0.0, 3.0, 6.0, 9.0, 12.0])
    assert whole.paths.shape == (5, 70, 2)
    np.testing.assert_array_equal(whole.paths[0], np.tile([1.0, 0.0], (70, 1)))
    part = simulate(PLANE, [1.0, 0.0], dt=0.01, steps=300, rng=4, paths=70)
    np.testing.assert_array_equal(part.paths[0], whole.paths[1])


def on_threads(threads, run):
    before = numba.get_num_threads()
    numba.set_num_threads(threads)
    try:
        return run()
    finally:
        numba.set_num_threads(before)


def walk(paths=333, executor=None):
    start = np.linspace(-1, 1, paths)[:, None]
    diffusion = langevin(double_well(), temperature=0.1)
    options = {"dt": 0.01, "steps": 301, "rng": 5, "executor": executor}
    return simulate(diffusion, start, **options).paths


def leave(paths=333, executor=None):
    options = {"dt": 0.01, "max_steps": 500, "rng": 5, "paths": paths, "executor": executor}
    sample = first_exits(MOTION, [0.1, 0.0], Ball((0.0, 0.0), 1.0), **options)
    return np.column_stack([sample.times, sample.points, sample.censored])


@pytest.mark.parametrize("run", [walk, leave])
def test_bits_do_not_depend_on_the_number_of_threads(run):
    reference = on_threads(1, run)
    for threads in range(2, numba.config.NUMBA_NUM_THREADS + 1):
        np.testing.assert_array_equal(on_threads(threads, run), reference)


@pytest.mark.parametrize("run", [walk, leave])
def test_bits_do_not_depend_on_an_executor(run, monkeypatch):
    monkeypatch.setattr("relaxlib.paths._simulate._GROUP", 64)
    with ThreadPoolExecutor(2) as pool:
        np.testing.assert_array_equal(run(executor=pool), run())


def test_a_path_does_not_depend_on_the_others():
    np.testing.assert_array_equal(leave(64), leave(333)[:64])
    few = simulate(OU, 0.0, dt=0.1, steps=33, rng=6, paths=3).paths
    many = simulate(OU, 0.0, dt=0.1, steps=33, rng=6, paths=130).paths
    np.testing.assert_array_equal(few, many[:, :3])


def test_the_same_seed_drives_two_diffusions_alike():
    cold = two_scale(lipschitz_double_well(), gamma=0.5, temperature=0.3, epsilon=0.1)
    warm = two_scale(quadratic(), gamma=0.5, temperature=0.3, epsilon=0.1)
    moves = [simulate(d, [0.0, 0.0], dt=1e-6, steps=1, rng=7).paths[0, 0, 1] for d in (cold, warm)]
    assert moves[0] == pytest.approx(moves[1], abs=1e-5)


def test_a_generator_is_advanced():
    rng = np.random.default_rng(0)
    first, second = (simulate(OU, 0.0, dt=0.1, steps=2, rng=rng).paths for _ in range(2))
    assert first != second


def test_hamiltonian_flow_turns():
    flow = underdamped(quadratic(), temperature=0.0, friction=0.0)
    x = simulate(flow, [1.0, 0.0], dt=1e-4, steps=10_000, rng=0).paths[0, 0]
    np.testing.assert_allclose(x, [np.cos(1), -np.sin(1)], atol=1e-4)


@pytest.mark.parametrize("dt", [0.1, 0.02])
def test_exit_times_from_an_interval_have_no_root_dt_bias(dt):
    line = ornstein_uhlenbeck(0.0, 1.0, temperature=0.5)
    sample = first_exits(line, 0.0, Box(-1.0, 1.0), dt=dt, max_steps=10_000, rng=8, paths=100_000)
    result = sample.mean()
    assert abs(result.mean - 1.0) < 4 * result.stderr + 0.05 * dt
    assert set(sample.points.ravel()) == {-1.0, 1.0}
    up = np.mean(sample.points > 0)
    assert abs(up - 0.5) < 4 * 0.5 / np.sqrt(100_000)


def test_exit_from_a_disc_and_from_a_box():
    options = {"dt": 0.01, "max_steps": 10_000, "rng": 9, "paths": 50_000}
    disc = first_exits(MOTION, [0.0, 0.0], Ball((0.0, 0.0), 1.0), **options)
    assert abs(disc.mean().mean - 0.5) < 4 * disc.mean().stderr + 1e-3
    np.testing.assert_allclose(np.linalg.norm(disc.points, axis=1), 1.0, rtol=1e-12)
    square = first_exits(MOTION, [0.0, 0.0], Box((-1.0, -1.0), (1.0, 1.0)), **options)
    assert abs(square.mean().mean - 0.5893709) < 4 * square.mean().stderr + 1e-3
    assert np.all(np.abs(square.points).max(axis=1) == 1.0)


def test_half_space_may_be_infinite_and_noise_may_vanish():
    falling = Diffusion.from_functions(lambda x, t: -1.0, [[0.0]], dim=1)
    sample = first_exits(falling, 1.0, Box(0.0, np.inf), dt=0.01, max_steps=500, rng=0, paths=65)
    np.testing.assert_allclose(sample.times, 0.995)
    np.testing.assert_array_equal(sample.points, 0.0)


def test_multiplicative_noise_leaves_by_its_own_bridge():
    wide = Diffusion.from_functions(lambda x, t: 0.0, lambda x, t: 1.0 + 0.0 * x, dim=1)
    sample = first_exits(wide, 0.0, Box(-1.0, 1.0), dt=0.05, max_steps=5000, rng=1, paths=50_000)
    assert abs(sample.mean().mean - 1.0) < 4 * sample.mean().stderr + 3e-3


def test_censored_paths_are_reported():
    sample = first_exits(OU, 0.0, Box(-3.0, 3.0), dt=0.1, max_steps=20, rng=0, paths=100)
    assert sample.censored.sum() > 90
    assert np.all(sample.times[sample.censored] == 2.0)
    assert np.all(np.abs(sample.points[sample.censored]) < 3.0)
    with pytest.raises(ValueError, match=r"censored paths = \d+: need every path"):
        sample.mean()


def test_estimates_print_as_many_digits_as_they_have():
    assert str(Estimate(1.28419, 0.00583, 20000)) == "1.284 +/- 0.006 (n=20000)"
    assert str(Estimate(123.4, 20.0, 10)) == "123 +/- 20 (n=10)"
    assert str(Estimate(1.0, 0.0, 10)) == "1 +/- 0 (n=10)"
    samples = np.array([1.0, 2.0, 4.0])
    assert estimate(samples).stderr == pytest.approx(samples.std(ddof=1) / np.sqrt(3))


def test_step_bound_is_eulers():
    steep = ornstein_uhlenbeck(4.0, 1.0, temperature=1.0)
    assert steep.step_bound(np.zeros(1)) == pytest.approx(0.5)
    assert MOTION.step_bound(np.zeros(2)) == np.inf
    well = langevin(double_well(), temperature=0.1)
    np.testing.assert_allclose(well.step_bound([[0.0], [1.0]]), [np.inf, 1.0])
    oscillator = underdamped(quadratic(), temperature=1.0, friction=1.0)
    assert oscillator.step_bound(np.zeros(2)) == pytest.approx(1.0, rel=1e-6)


@pytest.mark.parametrize("save_every", [None, 1])
def test_a_path_that_is_not_finite_is_named(save_every):
    hot = langevin(double_well(), temperature=30.0)
    options = {"dt": 0.3, "steps": 1000, "rng": 0, "paths": 200, "save_every": save_every}
    message = r"path \d+ is not finite after step \d+, from x = \[.*\], where the drift is not"
    with pytest.raises(ArithmeticError, match=message):
        simulate(hot, 0.0, **options)


def test_a_path_that_blows_up_slowly_is_named_with_its_bound():
    late = Diffusion.from_functions(lambda x, t: -x if t < 50.0 else 1e200 * x, [[0.0]], dim=1)
    with pytest.raises(ArithmeticError, match=r"where Euler's step is stable for dt < 2; take"):
        simulate(late, 1.0, dt=0.5, steps=200, rng=0)


def test_many_starts_are_checked_by_sample():
    starts = np.linspace(-1.0, 1.0, 5000)[:, None]
    assert simulate(OU, starts, dt=0.1, steps=1, rng=0).paths.shape == (1, 5000, 1)


def test_an_exit_path_that_is_not_finite_is_named():
    def drift(x, t):
        return 1.0 / (1.0 - x) ** 3 if x < 1.0 else np.nan

    cliff = Diffusion.from_functions(drift, lambda x, t: 0.1, dim=1)
    with pytest.raises(ArithmeticError, match="path 0 is not finite"):
        first_exits(cliff, 0.0, Box(-1.0, 1e9), dt=0.1, max_steps=1000, rng=0)


LINE = ornstein_uhlenbeck(0.0, 1.0, temperature=0.5)
SEGMENT = Box(-1.0, 1.0)
SAMPLE = ExitSample(np.ones(1), np.ones((1, 1)), np.ones(1, bool))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: simulate(OU, 0.0, dt=0.0, steps=1, rng=0), "dt = 0: need 0 < dt"),
        (lambda: simulate(OU, 0.0, dt=2.0, steps=1, rng=0), "dt = 2: need dt < 2, the stability"),
        (lambda: simulate(OU, 0.0, dt=0.1, steps=0, rng=0), "steps = 0"),
        (lambda: simulate(OU, 0.0, dt=0.1, steps=1, rng=None), "rng = None"),
        (lambda: simulate(OU, [0.0, 0.0], dt=0.1, steps=1, rng=0), "x0.shape"),
        (lambda: simulate(OU, [[[0.0]]], dt=0.1, steps=1, rng=0), "one start"),
        (lambda: simulate(OU, np.nan, dt=0.1, steps=1, rng=0), "finite entries"),
        (lambda: simulate(OU, [[0.0], [1.0]], dt=0.1, steps=1, rng=0, paths=3), "paths = 3"),
        (lambda: simulate(OU, 0.0, dt=0.1, steps=5, rng=0, save_every=2), "a divisor of steps = 5"),
        (lambda: simulate(OU, 0.0, dt=0.1, steps=5, rng=0, scheme="heun"), "scheme = 'heun'"),
        (
            lambda: simulate(
                Diffusion.from_functions(lambda x, t: -x, lambda x, t: x, dim=1),
                0.0, dt=0.1, steps=5, rng=0, scheme="leimkuhler-matthews",
            ),
            "constant noise",
        ),
        (
            lambda: first_exits(OU, 2.0, Box(-1.0, 1.0), dt=0.1, max_steps=5, rng=0),
            r"x0 = \[2.0\]: need a start inside the region",
        ),
        (
            lambda: first_exits(OU, 0.0, np.ones(3, bool), dt=0.1, max_steps=5, rng=0),
            "need type Ball or Box; see relaxlib.regions",
        ),
        (lambda: simulate(OU, None, dt=0.1, steps=1, rng=0), "x0 = None: need an array of real"),
        (lambda: simulate(OU, 0.0, dt="0.1", steps=1, rng=0), "dt = '0.1': need a real number"),
        (lambda: simulate(OU, 0.0, dt=0.1, steps=True, rng=0), "steps = True: need a real number"),
        (
            lambda: simulate(OU, 0.0, dt=0.1, steps=1, rng=0, paths="x"),
            "paths = 'x': need a real number; pass paths as an int",
        ),
        (lambda: simulate("ou", 0.0, dt=0.1, steps=1, rng=0), "diffusion = 'ou': need type Diffu"),
        (
            lambda: first_exits(double_well(), 0.0, SEGMENT, dt=0.1, max_steps=5, rng=0),
            "diffusion = <Landscape double_well.*: need type Diffusion; see relaxlib.diffusion",
        ),
        (
            lambda: simulate(OU, 0.0, dt=0.1, steps=1, rng=0, executor=4),
            "executor = 4: need type Executor; see concurrent.futures",
        ),
        (
            lambda: simulate(langevin(double_well(), temperature=0.1), [[0.0], [9.0]],
                             dt=0.1, steps=1, rng=0),
            r"dt = 0.1: need dt < 0.00826, the stability bound .* at the start \[9.0\]",
        ),
        (
            lambda: simulate(Diffusion.from_functions(lambda x, t: 1 / x, [[1.0]], dim=1), 1e-5,
                             dt=0.1, steps=1, rng=0),
            r"drift = nan or inf: need a finite drift at the start \[1e-05\]; move the start",
        ),
        (
            lambda: first_exits(OU, 0.0, Ball((0.0, 0.0), 1.0), dt=0.1, max_steps=5, rng=0),
            "region.dim = 2: need the diffusion's dim = 1",
        ),
        (
            lambda: first_exits(LINE, 0.0, SEGMENT, dt=100.0, max_steps=5, rng=0),
            "dt = 100: need dt <= 0.25, for the noise of one step to be small beside the region",
        ),
        (
            lambda: first_exits(MOTION, [0.0, 0.0], Ball((0.0, 0.0), 1.0), dt=0.13, max_steps=5,
                                rng=0),
            "dt = 0.13: need dt <= 0.125, for the noise",
        ),
        (lambda: estimate([1.0]), "number of samples = 1"),
        (lambda: estimate([1j, 2]), r"samples = \[1j, 2\]: need an array of real numbers"),
        (lambda: estimate("ab"), "samples = 'ab': need an array of real numbers"),
        (lambda: estimate([1.0, np.inf]), "finite entries"),
    ],
)  # fmt: skip
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
