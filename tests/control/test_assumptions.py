"""Assumptions that hold are let through with their constants; each of them can fail."""

from dataclasses import replace

import numpy as np
import pytest

from relaxlib.control import ControlProblem, check_assumptions
from relaxlib.landscapes import double_well, double_well_2d, lipschitz_double_well

MODEL = ControlProblem.relaxation(lipschitz_double_well(), gamma=0.5, temperature=1 / 3)


def findings(**changes):
    return check_assumptions(replace(MODEL, **changes)).findings


def test_the_model_passes_with_its_constants():
    report = check_assumptions(MODEL)
    assert report.passed
    found = report.findings
    assert list(found) == ["A1", "A2", "A3", "A4", "B", "C"]
    assert 2.9 <= found["A1"].constant <= np.hypot(3.0, 2.0)  # b in both variables
    assert found["A3"].constant == pytest.approx(1 / 3)
    assert 1.0 - 1e-6 < found["A4"].constant < 1.001  # 1/gamma - L
    assert str(report).splitlines()[3].startswith("(A4)  holds  kappa = 1")


def test_the_square_of_the_slow_noise_is_looked_at_along_every_coordinate():
    model = ControlProblem.relaxation(double_well_2d(), gamma=0.1, temperature=1.0)
    for rough in (0, 1):
        bent = replace(model, noise=lambda x, y, u, k=rough: np.sqrt(np.abs(x))[:, :, None] * (
            np.arange(2) == k)[:, None])  # fmt: skip
        assert not check_assumptions(bent).findings["C"].holds


def test_two_dimensions():
    report = check_assumptions(
        ControlProblem.relaxation(double_well_2d(), gamma=0.1, temperature=1.0)
    )
    assert not report.findings["A1"].holds
    assert report.findings["A4"].constant == pytest.approx(6.0, abs=0.1)


def test_a_loss_whose_gradient_is_not_lipschitz_fails_a1_and_b():
    found = check_assumptions(
        ControlProblem.relaxation(double_well(), gamma=0.5, temperature=1.0)
    ).findings
    assert not found["A1"].holds
    assert found["A1"].reason == "b grows with the distance from the box"
    assert found["A1"].constant > 1e3
    assert found["B"].reason == "g grows faster than a square"


def test_the_slow_noise_must_converge_on_bounded_sets():
    found = findings(noise=lambda x, y, u: 0 * y[:, :, None],
                     noise_along=lambda e, x, y, u: np.sqrt(e) * y[:, :, None])  # fmt: skip
    assert found["A2"].holds
    assert found["A2"].constant == pytest.approx(3e-3, rel=0.01)
    stuck = findings(noise=lambda x, y, u: 0 * y[:, :, None],
                     noise_along=lambda e, x, y, u: (1 + e) * y[:, :, None])["A2"]  # fmt: skip
    assert stuck.reason == "sup over the box does not vanish with epsilon"
    kinked = findings(noise=lambda x, y, u: np.sign(y)[:, :, None],
                      noise_along=lambda e, x, y, u: np.tanh(y / e)[:, :, None])  # fmt: skip
    assert not kinked["A2"].holds
    assert not kinked["A1"].holds


def test_a_wandering_phase_does_not_converge():
    found = findings(noise=lambda x, y, u: 0 * y[:, :, None],
                     noise_along=lambda e, x, y, u: np.sin(y + 1 / e)[:, :, None])  # fmt: skip
    assert found["A1"].holds
    assert found["A2"].reason == "sup over the box does not vanish with epsilon"


def test_the_slow_noise_must_be_lipschitz_uniformly_in_epsilon():
    found = findings(
        noise=lambda x, y, u: 0 * y[:, :, None],
        noise_along=lambda e, x, y, u: e**0.18 * np.tanh(y / e**0.28)[:, :, None],
    )
    assert found["A1"].reason == "sigma at u = 0.0 is the steeper the smaller epsilon"
    assert found["A1"].constant == pytest.approx(10**0.6, rel=0.05)
    assert found["A2"].holds


def test_the_fast_noise_must_be_isotropic_and_nonzero():
    assert findings(fast_noise=[[0.6, 0.8]])["A3"].constant == pytest.approx(1.0)
    assert not findings(fast_noise=[[0.0]])["A3"].holds
    assert not findings(fast_noise=np.diag([1.0, 2.0]))["A3"].holds


def test_a_wide_spring_fails_the_recurrence():
    problem = ControlProblem.relaxation(lipschitz_double_well(), gamma=1.5, temperature=1 / 3)
    found = check_assumptions(problem)
    assert not found.passed
    assert found.findings["A4"].constant == pytest.approx(-1 / 3, abs=1e-3)


def test_costs_must_be_lipschitz_in_y():
    assert not findings(terminal=lambda x, y: y[:, 0] ** 2)["B"].holds
    jump = findings(running_cost=lambda s, x, y, u: (u - (y[:, 0] > 0)) ** 2)["B"]
    assert jump.reason == "l at u = 0.0 grows as points approach"
    smooth = findings(running_cost=lambda s, x, y, u: (u - np.tanh(2 * y[:, 0])) ** 2)["B"]
    assert smooth.holds
    assert not findings(terminal=lambda x, y: x[:, 0] ** 3)["B"].holds


def test_condition_c_asks_for_one_of_two_simplicities():
    slow = findings(noise=lambda x, y, u: (x / np.sqrt(1 + x**2))[:, :, None])["C"]
    assert slow.holds
    assert slow.constant == pytest.approx(2.0, rel=0.01)
    coupled = findings(noise=lambda x, y, u: y[:, :, None])["C"]
    assert coupled.reason == "sigma depends on y or u, and b on x"
    free = findings(noise=lambda x, y, u: y[:, :, None], fast_drift=lambda x, y: -y)["C"]
    assert free.reason.startswith("b = b(y)")
    assert not findings(noise=lambda x, y, u: np.sqrt(np.abs(x))[:, :, None])["C"].holds


REFUSED = (
    ({"drift": 3.0}, "drift = 3.0: need a function of points x"),
    ({"noise_along": "n"}, "noise_along = 'n': need a function of points x"),
    ({"running_cost": None}, "running_cost = None: need a function"),
    ({"horizon": 0.0}, "horizon = 0: need 0 < horizon < inf"),
    ({"controls": [0.0, np.nan]}, r"controls\[1\] = nan: need finite"),
    ({"box": 3}, "box = 3: need a box of x and one of y; pass a pair"),
    ({"box": ((0.0, 1.0), 2.0)}, r"box\[1\] = 2.0: need two corners"),
    ({"fast_noise": [[np.inf]]}, r"fast_noise\[0, 0\] = inf: need finite"),
    ({"drift": lambda x, y, u: x[:, 0]}, r"drift\(...\).shape = \(3,\): need .* = \(3, 1\)"),
    ({"fast_drift": lambda x, y: 1.0}, r"fast_drift\(...\).shape = \(\): need"),
    ({"noise": lambda x, y, u: 0 * x}, r"noise\(...\).shape = \(3, 1\): need .* = \(3, 1, 1\)"),
    ({"terminal": lambda x, y: x}, r"terminal\(...\).shape = \(3, 1\): need .* = \(3,\)"),
    ({"running_cost": lambda s, x, y, u: 0.0}, r"running_cost\(...\).shape = \(\): need"),
    ({"noise_along": lambda e, x, y, u: e}, r"noise_along\(...\).shape = \(\): need"),
)


def test_what_overflows_or_is_not_defined_does_not_pass():
    with np.errstate(over="ignore", invalid="ignore"):
        steep = findings(terminal=lambda x, y: np.exp(y[:, 0] ** 2))["B"]
        half = findings(fast_drift=lambda x, y: np.sqrt(x) - y)
    assert steep.reason == "g overflows or is not defined everywhere"
    assert not half["A1"].holds
    assert half["A1"].constant == np.inf
    assert half["A4"].reason == "kappa = -inf: copies of Y need not approach"


def test_refusals_are_named():
    with pytest.raises(ValueError, match=r"^problem = 3: need type ControlProblem"):
        check_assumptions(3)
    with pytest.raises(ValueError, match=r"^controls = .*: need at least one control"):
        findings(controls=[])
    with pytest.raises(ValueError, match=r"need lower < upper on every axis"):
        findings(box=(((1.0,), (0.0,)), ((0.0,), (1.0,))))
    for changes, message in REFUSED:
        with pytest.raises(ValueError, match="^" + message):
            findings(**changes)
    with pytest.raises(ValueError, match=r"^landscape = 3: need type Landscape"):
        ControlProblem.relaxation(3, gamma=0.5, temperature=1.0)
    for bad in ({"gamma": 0.0, "temperature": 1.0}, {"gamma": 1.0, "temperature": -1.0}):
        with pytest.raises(ValueError, match="need 0 < "):
            ControlProblem.relaxation(lipschitz_double_well(), **bad)
