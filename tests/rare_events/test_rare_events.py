"""Splitting: mean exit times up to e^15, no bias however few the paths, bits, checkpoints."""

import json
import pathlib
import signal

import numba
import numpy as np
import pytest
from scipy.sparse.linalg import spsolve

from relaxlib.diffusions import Diffusion, langevin, ornstein_uhlenbeck
from relaxlib.grid import Grid
from relaxlib.landscapes import double_well, double_well_2d
from relaxlib.operators import kolmogorov
from relaxlib.rare_events import _splitting as splitting
from relaxlib.rare_events import exit_probability, mean_exit_time_splitting
from relaxlib.regions import Ball, Box

HALF_LINE, CORE = Box(-np.inf, 0.7), Box(-1.1, -0.9)
WARM = langevin(double_well(), temperature=0.1)
PLANE = ornstein_uhlenbeck(np.eye(2), np.eye(2), temperature=0.1)
RADIAL = Ball((0.0, 0.0), 1.2), Ball((0.0, 0.0), 0.3)


def quadrature(temperature, end=0.7):
    """Mean exit time of the double well from x = -1 through ``end``."""
    x = np.linspace(-4.0, end, 400_001)
    step, tilt = x[1] - x[0], (x**2 - 1) ** 2 / (4 * temperature)
    weight = np.exp(-tilt)
    inner = np.concatenate([[0.0], np.cumsum(weight[1:] + weight[:-1]) * step / 2])
    outer = np.where(x >= -1.0, inner * np.exp(np.where(x >= -1.0, tilt, 0.0)), 0.0)
    return step * (outer.sum() - outer[-1] / 2) / temperature


@pytest.mark.parametrize("temperature", [0.2, 0.1, 0.05, 0.025, 0.0167])
def test_mean_exit_times_on_the_line(temperature):
    diffusion = langevin(double_well(), temperature=temperature)
    options = {"dt": 0.01, "replicas": 200, "runs": 48, "rng": 1}
    result = mean_exit_time_splitting(diffusion, -1.0, HALF_LINE, CORE, **options)
    exact = quadrature(temperature)
    assert abs(result.mean - exact) < 3 * result.stderr + 0.01 * exact
    assert result.stderr < 0.06 * exact
    assert result.n == 48


def test_a_box_with_two_finite_sides():
    box, exact = Box(-2.5, 0.7), quadrature(0.05)
    cold = langevin(double_well(), temperature=0.05)
    options = {"dt": 0.01, "replicas": 200, "runs": 48, "rng": 2}
    result = mean_exit_time_splitting(cold, -1.0, box, CORE, **options)
    assert abs(result.mean - exact) < 3 * result.stderr + 0.01 * exact
    assert result.stderr < 0.1 * exact


def test_mean_exit_time_in_the_plane():
    diffusion = langevin(double_well_2d(), temperature=0.1)
    grid = Grid.box((-2.2, -1.6), (0.4, 1.6), (131, 81))
    inside = grid.nodes[:, 0] < 0.4 - 1e-9
    matrix = kolmogorov(diffusion, grid).matrix[inside][:, inside]
    times = spsolve(-matrix.tocsc(), np.ones(inside.sum()))
    exact = times[np.argmin(np.abs(grid.nodes[inside] - [-1.0, 0.0]).sum(axis=1))]
    region, core = Box((-np.inf, -np.inf), (0.4, np.inf)), Ball((-1.0, 0.0), 0.2)
    options = {"dt": 0.004, "replicas": 200, "runs": 48, "rng": 3}
    result = mean_exit_time_splitting(diffusion, (-1.0, 0.0), region, core, **options)
    assert abs(result.mean - exact) < 3 * result.stderr + 0.02 * exact
    assert result.stderr < 0.06 * exact


def test_mean_exit_time_from_a_ball():
    radius = np.linspace(1e-9, 1.2, 100_001)
    exact = np.trapezoid(np.expm1(radius**2 / 0.2) / radius, radius)
    options = {"dt": 0.005, "replicas": 200, "runs": 48, "rng": 4}
    result = mean_exit_time_splitting(PLANE, (0.0, 0.0), *RADIAL, **options)
    assert abs(result.mean - exact) < 3 * result.stderr + 0.01 * exact
    assert result.stderr < 0.06 * exact


def rows_in(path):
    """What a checkpoint keeps of each run."""
    return np.array(list(json.loads(path.read_text())["runs"].values()))


def time_from(means):
    """The formula of the docstring, from what a checkpoint keeps of each run, or means of it."""
    first, loop_time, loops, survived, left, last_time = np.moveaxis(means, -1, 0)
    p = left / survived
    return first + survived * ((1 - p) / p * loop_time / loops + last_time / left)


def test_the_time_does_not_depend_on_how_many_loops_are_simulated():
    p, first, loop, last = 0.3, 0.7, 2.0, 0.4
    for loops in (0, 1, 5):
        survived = (1 - p) ** loops
        returns = sum((1 - p) ** k for k in range(1, loops + 1))
        time = first + returns * loop + (1 - survived) * last
        row = np.array([time, 3 * loop, 3, survived, survived * p, survived * p * last])
        assert time_from(row) == pytest.approx(first + (1 - p) / p * loop + last)


@pytest.mark.parametrize("runs", [2, 9])
def test_the_result_is_the_formula_of_the_means_with_the_error_of_the_jackknife(tmp_path, runs):
    result = line(runs, checkpoint=tmp_path / "runs.json")
    rows = rows_in(tmp_path / "runs.json")
    assert result.mean == pytest.approx(time_from(rows.mean(axis=0)))
    without = np.array([time_from(np.delete(rows, k, axis=0).mean(axis=0)) for k in range(runs)])
    assert result.stderr == pytest.approx(np.sqrt((runs - 1) * without.var()))


def test_loops_last_as_long_in_both_halves_and_errors_are_those_of_batches(tmp_path):
    cold, path = langevin(double_well(), temperature=0.04), tmp_path / "runs.json"
    options = {"dt": 0.02, "replicas": 100, "runs": 120, "rng": 1, "checkpoint": path}
    result = mean_exit_time_splitting(cold, -1.0, HALF_LINE, CORE, **options)
    rows = rows_in(path)
    steps, late_steps, late_loops = rows[:, :3].mean(axis=0)
    assert 9.9 < late_loops <= 10.0
    assert 20.0 < steps * late_loops / late_steps < 20.8
    batches = time_from(rows.reshape(20, 6, 6).mean(axis=1))
    assert 0.6 < result.stderr / (batches.std(ddof=1) / np.sqrt(20)) < 1.6


def direct(starts, dt, count):
    """Exit probability and mean duration of the same chain on the line, by numpy alone."""
    rng = np.random.default_rng(0)
    x, left, steps, total, variance = rng.choice(starts, count), 0, 0, 0.0, 0.2 * dt
    while len(x):
        new = x - dt * x * (x**2 - 1) + np.sqrt(variance) * rng.standard_normal(len(x))
        room = np.maximum(0.7 - new, 0.0)
        crossed = rng.random(len(x)) < np.exp(-2 * (0.7 - x) * room / variance)
        left, steps = left + crossed.sum(), steps + 1
        total += crossed.sum() * (steps - 0.5) * dt
        x = new[~crossed & ((new <= -1.1) | (new >= -0.9))]
    return left / count, total / left


@pytest.mark.parametrize(("replicas", "runs"), [(2, 1500), (3, 1200), (7, 800), (20, 500)])
def test_there_is_no_bias_however_few_the_paths(replicas, runs):
    starts, dt, count = [-0.6, -0.3], 0.1, 200_000
    options = {"dt": dt, "replicas": replicas, "runs": runs, "rng": 5}
    points = np.array(starts)[:, None]
    result = exit_probability(WARM, points, HALF_LINE, CORE, **options)
    exact, _ = direct(starts, dt, count)
    assert abs(result.mean - exact) < 3.5 * np.hypot(result.stderr, np.sqrt(exact / count))
    assert result.stderr < 0.08 * exact


def test_paths_that_leave_take_as_long_as_directly(tmp_path):
    options = {"dt": 0.1, "replicas": 100, "runs": 60, "rng": 6, "checkpoint": tmp_path / "runs"}
    result = exit_probability(WARM, -0.3, HALF_LINE, CORE, **options)
    left, last_time = rows_in(tmp_path / "runs")[:, 4:].mean(axis=0)
    assert left == pytest.approx(result.mean)
    assert last_time / left == pytest.approx(direct([-0.3], 0.1, 200_000)[1], rel=0.05)


def test_noise_as_a_function_is_the_same_diffusion():
    cubic = Diffusion.from_functions(
        lambda x, t: x - x**3, lambda x, t: np.sqrt(0.2) + 0.0 * x, dim=1
    )
    options = {"dt": 0.02, "replicas": 100, "runs": 20, "rng": 6}
    first, second = (exit_probability(d, -0.8, HALF_LINE, CORE, **options) for d in (cubic, WARM))
    assert abs(first.mean - second.mean) < 3.5 * np.hypot(first.stderr, second.stderr)


def line(runs=9, **options):
    options = {"dt": 0.02, "replicas": 50, "rng": 7} | options
    return mean_exit_time_splitting(WARM, -1.0, HALF_LINE, CORE, runs=runs, **options)


def ball(runs=9, **options):
    options = {"dt": 0.02, "replicas": 50, "rng": 7} | options
    return exit_probability(PLANE, (0.4, 0.0), *RADIAL, runs=runs, **options)


def bits(result):
    return result.mean, result.stderr, result.n


@pytest.mark.parametrize("run", [line, ball])
def test_bits_do_not_depend_on_the_number_of_threads(run):
    before, results = numba.get_num_threads(), set()
    try:
        for threads in {1, min(2, before), before}:
            numba.set_num_threads(threads)
            results.add(bits(run()))
    finally:
        numba.set_num_threads(before)
    assert len(results) == 1


@pytest.mark.parametrize("run", [line, ball])
def test_bits_do_not_depend_on_the_size_of_the_tables(run, monkeypatch):
    reference = bits(run())
    monkeypatch.setattr(splitting, "_COLUMNS", 3)
    assert bits(run()) == reference


def test_seeds_give_other_paths_and_generators_move_on(tmp_path):
    rng, times = np.random.default_rng(0), set()
    for k, seed in enumerate((7, 8, rng, rng)):
        line(rng=seed, checkpoint=tmp_path / f"{k}.json")
        times.update(rows_in(tmp_path / f"{k}.json")[:, 0])  # of the loops of nine runs
    assert len(times) == 4 * 9


@pytest.fixture
def written(monkeypatch):
    """How many runs a checkpoint held at each time that it was replaced; Ctrl-C comes at four."""
    replace, counts = pathlib.Path.replace, []

    def interrupted(fresh, path):
        replace(fresh, path)
        counts.append(len(rows_in(path)))
        if len(counts) == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr(pathlib.Path, "replace", interrupted)
    return counts


@pytest.mark.parametrize("run", [line, ball])
def test_an_interrupted_call_goes_on(run, written, tmp_path):
    path = tmp_path / "runs.json"
    with pytest.raises(KeyboardInterrupt):
        run(checkpoint=path)
    assert written == [1, 2, 3, 4]
    assert bits(run(checkpoint=path)) == bits(run())
    assert written[4:] == [5, 6, 7, 8, 9]
    assert bits(run(checkpoint=path)) == bits(run())
    assert len(written) == 9
    assert bits(run(checkpoint=path, runs=11)) == bits(run(runs=11))
    assert bits(run(checkpoint=str(path), runs=5)) == bits(run(runs=5))
    assert [file.name for file in tmp_path.iterdir()] == ["runs.json"]


def test_control_c_answers_in_the_middle_of_a_run():
    def ring(*_):
        raise KeyboardInterrupt

    motion = ornstein_uhlenbeck(0.0, 1.0, temperature=0.5)
    far = Box(-1e6, 1e6)  # no path will be at an end for years
    options = {"dt": 0.01, "replicas": 200, "runs": 8, "rng": 0}
    exit_probability(motion, 1.1, Box(-2.0, 2.0), Box(-1.0, 1.0), **options)  # compiles
    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, 1.0)
    try:
        with pytest.raises(KeyboardInterrupt):
            exit_probability(motion, 1e4, far, Box(-1.0, 1.0), **options)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rng": 8}, "need seed = 7 as in that file, not 8"),
        ({"dt": 0.01}, "need dt = 0.02 as in that file, not 0.01"),
        ({"replicas": 51}, "need replicas = 50 as in that file, not 51"),
        ({"starts": (0.5, 0.0)}, "need start = "),
        ({"region": Ball((0.0, 0.0), 1.3)}, r"need region = \['Ball', \[-1.2, -1.2\]"),
        ({"core": Ball((0.0, 0.0), 0.31)}, r"need core = \['Ball', \[-0.3, -0.3\]"),
        (
            {"diffusion": ornstein_uhlenbeck(np.eye(2), np.diag([1.0, 1.1]), temperature=0.1)},
            "need diffusion = ",
        ),
    ],
)
def test_a_checkpoint_of_other_arguments_is_refused(change, message, tmp_path):
    arguments = dict(zip(("region", "core"), RADIAL, strict=True)) | {
        "diffusion": PLANE, "starts": (0.4, 0.0), "dt": 0.02, "replicas": 50, "runs": 2, "rng": 7,
        "checkpoint": tmp_path / "runs.json",
    }  # fmt: skip
    exit_probability(**arguments)
    with pytest.raises(ValueError, match=message):
        exit_probability(**arguments | change)


def test_a_checkpoint_of_the_other_function_is_refused(tmp_path):
    path = tmp_path / "runs.json"
    line(2, checkpoint=path)
    options = {"dt": 0.02, "replicas": 50, "runs": 2, "rng": 7, "checkpoint": path}
    with pytest.raises(ValueError, match="need loops before splitting = 20 as in that file, not 0"):
        exit_probability(WARM, -1.0 + 0.2, HALF_LINE, CORE, **options)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"arguments": {}, "runs": {}}'])
def test_a_foreign_file_is_refused_and_kept(text, tmp_path):
    path = tmp_path / "notes.json"
    path.write_text(text)
    with pytest.raises(ValueError, match="need a file of this function; name another file"):
        line(checkpoint=path)
    assert path.read_text() == text


def test_a_path_that_is_not_finite_is_named():
    def drift(x, t):
        return 1e3 if x < 1.0 else np.nan

    cliff = Diffusion.from_functions(drift, lambda x, t: 0.1, dim=1)
    region, core = Box(-1.0, 1e9), Box(-0.8, -0.6)
    message = r"path \d+ is not finite after step \d+, from x = \[.*\]"
    for call, start in ((exit_probability, 0.0), (mean_exit_time_splitting, -0.7)):
        with pytest.raises(ArithmeticError, match=message):
            call(cliff, start, region, core, dt=0.1, replicas=2, runs=2, rng=0)


def test_coefficients_beyond_the_boundary_are_never_used():
    def drift(x, t):
        return x - x**3 if x < 0.7 else np.nan

    inner = Diffusion.from_functions(drift, WARM.noise, dim=1)
    assert bits(probability(inner, runs=9)) == pytest.approx(bits(probability(runs=9)))


def test_too_few_exits_are_reported():
    cold = langevin(double_well(), temperature=0.0167)
    options = {"dt": 0.02, "replicas": 2, "runs": 2, "rng": 0}
    with pytest.raises(ArithmeticError, match="in fewer than two runs: take more replicas"):
        mean_exit_time_splitting(cold, -1.0, HALF_LINE, CORE, **options)
    hot = ornstein_uhlenbeck(0.0, 1.0, temperature=50.0)
    with pytest.raises(ArithmeticError, match="or first_exits if exits are not rare"):
        mean_exit_time_splitting(hot, 0.0, Box(-1.0, 1.0), Box(-0.6, 0.6), **options)


def probability(diffusion=WARM, starts=-0.8, region=HALF_LINE, core=CORE, **options):
    options = {"dt": 0.02, "replicas": 10, "runs": 2, "rng": 0} | options
    return exit_probability(diffusion, starts, region, core, **options)


def mean_time(diffusion=WARM, x0=-1.0, region=HALF_LINE, core=CORE, **options):
    options = {"dt": 0.02, "replicas": 10, "runs": 2, "rng": 0} | options
    return mean_exit_time_splitting(diffusion, x0, region, core, **options)


STILL = langevin(double_well(), temperature=0.0)
both = pytest.mark.parametrize("call", [probability, mean_time])


@both
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dt": 0.0}, "dt = 0: need 0 < dt"),
        ({"dt": 3.0}, "dt = 3: need dt < .*, the stability bound"),
        ({"replicas": 1}, "replicas = 1: need an integer >= 2"),
        ({"runs": 1}, "runs = 1: need an integer >= 2"),
        ({"rng": None}, "rng = None: need an int"),
        ({"region": 0.7}, "region = 0.7: need type Ball or Box"),
        ({"core": "well"}, "core = 'well': need type Ball or Box"),
        ({"region": RADIAL[0]}, "region.dim = 2: need the diffusion's dim = 1"),
        ({"core": RADIAL[1]}, "core.dim = 2: need the diffusion's dim = 1"),
        ({"core": Box(-np.inf, -0.9)}, r"sides of the core\[0, 0\] = -inf: need finite entries"),
        ({"core": Box(-1.1, 0.7)}, "need a core inside the region; take a smaller core"),
        ({"core": Ball(-1.0, 1.7)}, "need a core inside the region"),
        ({"region": Ball(-1.0, 0.1)}, "need a core inside the region"),
        ({"region": Ball(-1.0, 0.1), "core": Ball(-1.0, 0.1)}, "need a core inside the region"),
        ({"diffusion": STILL}, "noise at the start = 0: need noise that drives paths out"),
        ({"checkpoint": "no/such/folder/runs.json"}, "need a folder that exists; make it"),
    ],
)
def test_bad_input_is_refused(call, change, message):
    with pytest.raises(ValueError, match=message):
        call(**change)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: probability(starts=-1.0), r"starts = \[-1.0\]: need starts in the region but not"),
        (lambda: probability(starts=[[-0.5], [0.7]]), r"starts = \[0.7\]: need starts in the reg"),
        (lambda: probability(starts=np.empty((0, 1))), "number of starts = 0"),
        (lambda: probability(starts=[-0.5, 0.0]), "starts.shape"),
        (lambda: probability(starts=np.nan), "starts.* = nan: need finite entries"),
        (lambda: mean_time(x0=-0.8), r"x0 = \[-0.8\]: need a start in the core"),
        (lambda: mean_time(x0=[[-1.0], [-1.0]]), r"x0.shape = \(2, 1\): need one start \(1,\)"),
        (lambda: mean_time(core=Box(-1.9, 0.6)), "need a core that 1.5 times as large is inside"),
    ],
)
def test_bad_starts_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
