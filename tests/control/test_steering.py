"""The logarithmic transform, the system it solves, and the feedback it gives."""

import numpy as np
import pytest
from scipy.linalg import expm

from relaxlib.control import cole_hopf, feedback, forward_backward, steered
from relaxlib.diffusions import langevin, ornstein_uhlenbeck
from relaxlib.fokker_planck import evolve
from relaxlib.grid import Grid, ValueFunction
from relaxlib.landscapes import double_well, double_well_2d, quadratic
from relaxlib.operators import kolmogorov
from relaxlib.paths import estimate, simulate

LINE = Grid.box(-6, 6, 481)
X = LINE.axes[0]
BOWL = langevin(quadratic(), temperature=1 / 3)
START = np.exp(-((X - 1.2) ** 2) / 0.002)


def test_cole_hopf_has_the_closed_form_of_the_parabola():
    value = cole_hopf(BOWL, LINE, X**2, horizon=0.8, steps=8)
    assert float(value.interpolate(1.2, t=0.0)) == pytest.approx(0.357265, abs=3e-4)
    assert float(value.interpolate(1.2, t=0.3)) == pytest.approx(0.487869, abs=3e-4)


def test_cole_hopf_is_the_exponential_of_the_chain_to_relative_rounding():
    grid = Grid.box(-2.5, 2.5, 101)
    cold = langevin(double_well(), temperature=0.02)
    loss = double_well().value(grid.nodes)
    value = cole_hopf(cold, grid, loss, horizon=1e-3, steps=3)
    psi = np.exp(-loss / 0.04)
    chain = kolmogorov(cold, grid).matrix.toarray()
    shifted = expm(1e-3 * (chain - chain.min() * np.eye(101)) / 64)  # no cancellation
    shifted *= np.exp(1e-3 * chain.min() / 64)
    direct = np.linalg.matrix_power(shifted, 64) @ psi
    assert direct.min() < 1e-25
    assert np.abs(value.values[0] + 0.04 * np.log(direct)).max() < 1e-9


def test_the_steered_flow_is_the_reweighted_law():
    """DR.Eq26: mean .385400 and variance .190153 from x = 1.2."""
    grid = Grid.box(-6, 6, 1201)
    point = np.where(np.arange(1201) == 720, 1.0, 0.0)
    system = forward_backward(BOWL, grid, grid.axes[0] ** 2 / 2, point, horizon=0.8, steps=4)
    law = system.flow.densities[-1] * grid.volumes
    law /= law.sum()
    mean = law @ grid.axes[0]
    assert mean == pytest.approx(0.385400, abs=1e-4)
    assert law @ (grid.axes[0] - mean) ** 2 == pytest.approx(0.190153, abs=1e-4)
    masses = (system.flow.densities * grid.volumes).sum(axis=1)
    assert np.ptp(masses) < 1e-12 * masses[0]


def test_steps_may_be_a_float_that_is_whole():
    system = forward_backward(BOWL, LINE, X**2, START, horizon=0.8, steps=2.0)
    assert system.flow.densities.shape == system.free.densities.shape == (3, 481)


def test_the_gain_is_the_effort_spent_and_the_effort_spared():
    """DR.Thm12: .2378740 and .5567655, efforts .1193911 and .1995004, from x = 1.2."""
    point = np.where(np.arange(481) == 288, 1.0, 0.0) / LINE.volumes
    system = forward_backward(BOWL, LINE, X**2, point, horizon=0.8, steps=200)
    assert system.ends == pytest.approx([0.2378740, 0.5567655], abs=5e-4)
    assert system.efforts == pytest.approx([0.1193911, 0.1995004], abs=5e-4)
    assert system.ends[1] - system.ends[0] == pytest.approx(system.efforts.sum(), abs=1e-4)
    assert system.powers.shape == (2, 201)
    assert system.powers[0, 0] == system.powers[1, 0] > 0


def test_the_gain_in_the_plane_is_the_sum_over_independent_axes():
    plane = Grid.box((-3, -3), (3, 3), (31, 31))
    flat = langevin(quadratic(np.eye(2)), temperature=0.4)
    line = Grid.box(-3, 3, 31)
    bump = np.exp(-((line.axes[0] - 1) ** 2))
    bump /= (bump * line.volumes).sum()
    square = line.axes[0] ** 2
    one = forward_backward(
        langevin(quadratic(), temperature=0.4), line, square, bump, horizon=0.5, steps=5
    )
    two = forward_backward(
        flat, plane, np.add.outer(square, square), np.multiply.outer(bump, bump),
        horizon=0.5, steps=5,
    )  # fmt: skip
    assert two.ends == pytest.approx(2 * one.ends, rel=1e-9)
    assert two.efforts == pytest.approx(2 * one.efforts, rel=1e-9)


def test_a_constant_terminal_cost_steers_nothing():
    system = forward_backward(BOWL, LINE, np.full(481, 3.0), START, horizon=1.0, steps=2)
    assert np.abs(system.value.values - 3.0).max() < 1e-10
    start = START / (START * LINE.volumes).sum()
    free = evolve(kolmogorov(BOWL, LINE), start, system.flow.times)
    ratio = (START * LINE.volumes).sum()
    assert np.abs(system.flow.densities / ratio - free.densities).max() < 1e-9
    assert np.abs(system.free.densities / ratio - free.densities).max() < 1e-9


def test_the_feedback_of_a_parabola_is_linear():
    value = ValueFunction(LINE, np.array([0.0, 1.0]), np.stack([X**2, 2 * X**2]))
    assert feedback(value).shape == (2, 481, 1)
    assert np.abs(feedback(value)[1, :, 0] - 4 * X).max() < 1e-9


def test_steered_paths_follow_the_steered_flow():
    system = forward_backward(BOWL, LINE, X**2 / 2, START, horizon=0.8, steps=160)
    paths = simulate(steered(BOWL, system.value), 1.2, dt=0.005, steps=160, rng=3, paths=20_000)
    seen = estimate(paths.paths[-1, :, 0])
    assert abs(seen.mean - 0.385400) < 4 * seen.stderr + 2e-3


def test_the_table_is_interpolated_in_time_and_in_the_plane():
    plane = Grid.box((-1, -1), (1, 2), (5, 7))
    x, y = plane.nodes.T.reshape(2, *plane.shape)
    value = ValueFunction(plane, np.array([0.0, 0.5]), np.stack([x * y, 3 * x * y]))
    plain = langevin(double_well_2d(), temperature=0.5)
    pushed = steered(plain, value)
    places = np.array([[0.3, 1.1], [-0.9, -0.2]])
    for t, factor in ((0.0, 1.0), (0.25, 2.0), (9.0, 3.0)):
        extra = pushed.drift_at(places, t) - plain.drift_at(places, t)
        assert np.abs(extra + factor * places[:, ::-1]).max() < 1e-12
    outside = pushed.drift_at([5.0, 0.5]) - plain.drift_at([5.0, 0.5])
    assert outside.tolist() == pytest.approx([-0.5, -1.0])


def test_refusals_are_named():
    slanted = ornstein_uhlenbeck(np.eye(2), [[2.0, 0.0], [0.0, 1.0]], temperature=0.5)
    plane = Grid.box((-1, -1), (1, 1), 5 * np.ones(2, int))
    with pytest.raises(ValueError, match="need noise sqrt"):
        cole_hopf(slanted, plane, np.zeros((5, 5)), horizon=1.0, steps=1)
    frozen = langevin(quadratic(), temperature=0.0)
    with pytest.raises(ValueError, match="T > 0; use solve_hjb"):
        cole_hopf(frozen, LINE, X, horizon=1.0, steps=1)
    with pytest.raises(ValueError, match="range of V/2T = 5400: need at most 600"):
        cole_hopf(BOWL, LINE, 100 * X**2, horizon=1.0, steps=1)
    with pytest.raises(ValueError, match="density = 0 to 0: need density >= 0 and not zero"):
        forward_backward(BOWL, LINE, X**2, 0 * X, horizon=1.0, steps=1)
    with pytest.raises(ValueError, match="density = -1 to"):
        forward_backward(BOWL, LINE, X**2, X.clip(-1), horizon=1.0, steps=1)
    with pytest.raises(ValueError, match=r"^horizon = -1: need 0 < horizon"):
        cole_hopf(BOWL, LINE, X**2, horizon=-1.0, steps=1)
    with pytest.raises(ValueError, match=r"^steps = 0: need an integer >= 1"):
        cole_hopf(BOWL, LINE, X**2, horizon=1.0, steps=0)
    with pytest.raises(ValueError, match="nodes of an axis = 2: need 3 or more"):
        feedback(ValueFunction(Grid.box(0, 1, 2), np.zeros(1), np.zeros((1, 2))))
    with pytest.raises(ValueError, match="value = 0: need type ValueFunction"):
        feedback(0)
    with pytest.raises(ValueError, match=r"value.times = 1: need 2 or more even times"):
        steered(BOWL, ValueFunction(LINE, np.zeros(1), X[None]))
    with pytest.raises(
        ValueError, match=r"diffusion.dim = 2: need the dim of the value's grid = 1"
    ):
        steered(slanted, ValueFunction(LINE, np.arange(2.0), np.stack([X, X])))
