"""Value functions against closed forms, brute force and each other."""

import numpy as np
import pytest

from relaxlib.control import cole_hopf, solve_hjb
from relaxlib.diffusions import Diffusion, langevin, ornstein_uhlenbeck
from relaxlib.grid import Grid
from relaxlib.landscapes import double_well, quadratic

LINE = Grid.box(-6, 6, 241)
X = LINE.axes[0]
STILL = ornstein_uhlenbeck(0.0, 1.0, temperature=0.5)
BOWL = langevin(quadratic(), temperature=1 / 3)


def drifting(speed, temperature=0.0):
    noise = [[np.sqrt(2 * temperature)]]
    return Diffusion.from_functions(lambda x, t: speed + 0.0 * x, noise, dim=1)


def bowl_value(x, t, temperature=1 / 3, horizon=0.8):
    """f = x^2/2 and V = x^2: the value of the controlled descent (DR.Eq24)."""
    decay = np.exp(-(horizon - t))
    q = 1 + 1 - decay**2
    return (x * decay) ** 2 / q + temperature * np.log(q)


def test_controlled_descent_on_a_parabola_has_its_closed_form():
    value = solve_hjb(BOWL, LINE, X**2, horizon=0.8, steps=400, push=np.inf)
    for t, expected in ((0.0, 0.357265), (0.3, 0.487869)):
        assert bowl_value(1.2, t) == pytest.approx(expected, abs=1e-6)
        assert float(value.interpolate(1.2, t=t)) == pytest.approx(expected, abs=2e-3)


def test_first_order_in_time():
    errors = []
    for steps in (50, 100):
        value = solve_hjb(BOWL, Grid.box(-6, 6, 961), np.linspace(-6, 6, 961) ** 2,
                          horizon=0.8, steps=steps, push=np.inf)  # fmt: skip
        errors.append(float(value.interpolate(1.2, t=0.0)) - bowl_value(1.2, 0.0))
    assert errors[0] / errors[1] == pytest.approx(2.0, abs=0.1)


def test_second_order_in_space_where_the_noise_allows():
    well = langevin(double_well(), temperature=0.25)
    gaps = []
    for count in (21, 41):
        grid = Grid.box(-2, 2, count)
        loss = double_well().value(grid.nodes)
        fine = [f(well, grid, loss, horizon=0.5, steps=1000, **more).values[0]
                for f, more in ((solve_hjb, {"push": np.inf}), (cole_hopf, {}))]  # fmt: skip
        inner = np.abs(grid.axes[0]) < 1.5
        gaps.append(np.abs(fine[0] - fine[1])[inner].max())
    assert gaps[0] / gaps[1] > 3.0


def test_without_noise_the_scheme_is_upwind_and_finds_the_hopf_lax_formula():
    still = ornstein_uhlenbeck(0.0, 1.0, temperature=0.0)
    value = solve_hjb(still, LINE, np.abs(X), horizon=1.0, steps=100, push=np.inf)
    exact = np.where(np.abs(X) < 1, X**2 / 2, np.abs(X) - 0.5)
    assert np.abs(value.values[0] - exact).max() < 0.05


def test_a_limited_push_is_kept():
    still = ornstein_uhlenbeck(0.0, 1.0, temperature=0.0)
    value = solve_hjb(still, LINE, 10.0 * X, horizon=1.0, steps=100, push=0.5)
    middle = np.abs(X) < 3
    expected = 10 * X - (10 * 0.5 - 0.125)
    assert np.abs(value.values[0] - expected)[middle].max() < 1e-2


def test_two_controls_take_the_cheaper_row():
    value = solve_hjb([drifting(-1.0), drifting(1.0)], LINE, np.abs(X), horizon=1.0, steps=100)
    expected = np.maximum(np.abs(X) - 1, 0)
    assert np.abs(value.values[0] - expected).max() < 0.12
    dear = solve_hjb([drifting(-1.0), drifting(1.0)], LINE, np.abs(X), horizon=1.0, steps=100,
                     running_cost=[np.zeros(241), np.full(241, 9.0)])  # fmt: skip
    alone = solve_hjb(drifting(-1.0), LINE, np.abs(X), horizon=1.0, steps=100)
    inside = X > 0.5
    assert np.abs(dear.values[0] - alone.values[0])[inside].max() < 1e-9


def test_the_discount_runs_from_the_time_of_the_cost_back_to_the_start():
    """BK (1.10): 1 - 2/e with the right weight e^(t-s), 1/e with the printed one."""
    value = solve_hjb(STILL, LINE, 0 * X, horizon=1.0, steps=1000, discount=1.0,
                      running_cost=lambda t: t)  # fmt: skip
    assert value.values[0, 120] == pytest.approx(1 - 2 / np.e, abs=6e-4)


def test_values_grow_with_their_terminal_cost():
    low, high = np.cos(X), np.cos(X) + np.where(X > 0, 1.0, 0.0)
    pair = [solve_hjb(BOWL, LINE, g, horizon=0.5, steps=20, push=2.0).values for g in (low, high)]
    assert (pair[1] - pair[0]).min() > -1e-10


def test_two_dimensions_agree_with_the_line_when_the_axes_are_independent():
    plane = Grid.box((-3, -3), (3, 3), (31, 41))
    both = langevin(quadratic(np.eye(2)), temperature=0.4)
    one = langevin(quadratic(), temperature=0.4)
    terminal = (plane.nodes[:, 0] ** 2 + np.abs(plane.nodes[:, 1])).reshape(plane.shape)
    value = solve_hjb(both, plane, terminal, horizon=0.5, steps=10, push=np.inf)
    parts = [
        solve_hjb(one, Grid.box(-3, 3, n), g(np.linspace(-3, 3, n)), horizon=0.5, steps=10,
                  push=np.inf).values for n, g in ((31, np.square), (41, np.abs))
    ]  # fmt: skip
    sums = parts[0][:, :, None] + parts[1][:, None, :]
    assert np.abs(value.values - sums).max() < 1e-8


@pytest.mark.parametrize("push", [0.0, 0.5, np.inf])
@pytest.mark.parametrize("temperature", [0.01, 1.0])
def test_every_policy_is_a_markov_chain(temperature, push):
    """A step of a chain keeps constants and order, wherever the terminal cost is raised."""
    bowl = langevin(quadratic(), temperature=temperature)
    how = {"horizon": 0.1, "steps": 1, "push": push}
    terminal = 40 * np.sin(3 * X)
    value = solve_hjb(bowl, LINE, terminal, **how).values[0]
    assert np.abs(solve_hjb(bowl, LINE, terminal + 7, **how).values[0] - 7 - value).max() < 1e-9
    for node in range(0, 241, 8):
        bump = 1e-3 * (np.arange(241) == node)
        raised = solve_hjb(bowl, LINE, terminal + bump, **how).values[0] - value
        assert raised.min() >= -1e-10
        assert raised.max() <= 1e-3 + 1e-10


def test_policies_that_do_not_settle_say_so():
    still = ornstein_uhlenbeck(0.0, 1.0, temperature=0.0)
    rough = 1e3 * np.random.default_rng(0).random(241)
    with pytest.raises(ArithmeticError, match="policy iteration: the value still changes by"):
        solve_hjb(still, LINE, rough, horizon=1e3, steps=1, push=1.0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"diffusion": []}, "diffusion = .*: need at least one control"),
        ({"diffusion": None}, "diffusion = None: need type Diffusion or Sequence"),
        ({"diffusion": [BOWL, 3]}, "diffusion = 3: need type Diffusion"),
        ({"grid": 3}, "grid = 3: need type Grid"),
        ({"terminal": X[1:]}, "terminal.shape = "),
        ({"horizon": 0.0}, "horizon = 0: need 0 < horizon"),
        ({"steps": 0}, "steps = 0: need an integer >= 1"),
        ({"push": -1.0}, "push = -1: need push >= 0"),
        ({"push": np.nan}, "push = nan: need push >= 0"),
        ({"discount": -1.0}, "discount = -1: need 0 <= discount"),
        ({"running_cost": np.zeros(3)}, r"running_cost.shape = \(3,\): need"),
        ({"running_cost": np.zeros((2, 241))}, r"running_cost.shape = \(2, 241\): need"),
        ({"running_cost": lambda t: np.nan}, "running_cost = nan: need finite"),
    ],
)
def test_bad_input_is_named(changes, message):
    arguments = {"diffusion": BOWL, "grid": LINE, "terminal": X**2, "horizon": 1.0, "steps": 2}
    arguments |= changes
    places = [arguments.pop(name) for name in ("diffusion", "grid", "terminal")]
    with pytest.raises(ValueError, match="^" + message):
        solve_hjb(*places, **arguments)
