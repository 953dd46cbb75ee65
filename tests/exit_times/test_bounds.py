"""Bounds of exit times: true, equal where they should be, refused where a hypothesis fails."""

import numpy as np
import pytest

from relaxlib.diffusions import langevin, ornstein_uhlenbeck
from relaxlib.exit_times import (
    exit_time_bounds,
    exit_time_lower_bound,
    exit_time_upper_bound,
    mean_exit_time,
)
from relaxlib.grid import Grid
from relaxlib.landscapes import double_well, quadratic, radial_power
from relaxlib.operators import kolmogorov
from relaxlib.regions import Ball, Box

DISC = Ball((0.0, 0.0), 1.0)


def bowl(temperature=0.2, hess=(1.0, 3.0), cov=(1.0, 0.2)):
    return langevin(quadratic(np.diag(hess)), temperature=temperature, noise_cov=np.diag(cov))


@pytest.mark.parametrize("temperature", [1.0, 0.2, 0.1])
@pytest.mark.parametrize("start", [(0.0, 0.0), (0.5, 0.1), (-0.2, 0.7)])
def test_bounds_hold_and_are_ordered(temperature, start):
    diffusion = bowl(temperature)
    grid = Grid.box((-1, -1), (1, 1), (201, 201))
    u = mean_exit_time(kolmogorov(diffusion, grid), DISC)
    truth = u[tuple(np.rint((np.array(start) + 1) * 100).astype(int))]
    low, high = {"noise_ceiling": 1.0, "convexity": 1.0}, {"direction": [1, 0], "slope": 1.0}
    lower, upper = (
        [bound(diffusion, start, DISC, **facts, sharp=sharp) for sharp in (False, True)]
        for bound, facts in ((exit_time_lower_bound, low), (exit_time_upper_bound, high))
    )
    assert lower[0] <= lower[1] < truth < upper[1] <= upper[0]
    for k, sharp in enumerate((False, True)):
        both = exit_time_bounds(diffusion, start, DISC, **low, **high, sharp=sharp)
        assert (both.lower, both.upper) == (lower[k], upper[k])


def test_equality_for_the_isotropic_bowl_and_the_strip():
    grid = Grid.box((-1, -1), (1, 1), (201, 201))
    round_bowl = bowl(hess=(1.0, 1.0), cov=(1.0, 1.0))
    u = mean_exit_time(kolmogorov(round_bowl, grid), DISC)[100, 100]
    low = exit_time_lower_bound(round_bowl, (0, 0), DISC, noise_ceiling=1.0, convexity=1.0)
    assert u == pytest.approx(low, rel=2e-4)
    strip = bowl(0.5, hess=(1.0, 1.0), cov=(1.0, 0.0))
    u = mean_exit_time(kolmogorov(strip, grid), Box((-1, -1), (1, 1)))[100, 150]
    box = Box((-1, -1), (1, 1))
    high = exit_time_upper_bound(strip, (0, 0.5), box, direction=[2, 0], slope=1.0)
    assert u == pytest.approx(high, rel=2e-4)


def test_a_slanted_direction():
    v = np.array([1.0, 2.0]) / np.sqrt(5)
    diffusion = langevin(quadratic(np.eye(2)), temperature=0.2, noise_cov=np.outer(v, v))
    start = 0.3 * v + 0.5 * np.array([-v[1], v[0]])
    facts = {"direction": [1, 2], "slope": 1.0}
    sharp = exit_time_upper_bound(diffusion, start, DISC, **facts)
    plain = exit_time_upper_bound(diffusion, start, DISC, **facts, sharp=False)
    assert float(sharp) == pytest.approx(6.9867142, rel=1e-7)
    assert float(plain) == pytest.approx(21.86034, rel=1e-6)


@pytest.mark.parametrize("sharp", [True, False])
@pytest.mark.parametrize("shape", [(), (3,), (2, 3)])
def test_leading_axes_are_kept(shape, sharp):
    starts = np.random.default_rng(0).uniform(-0.5, 0.5, (*shape, 2))
    low = exit_time_lower_bound(bowl(), starts, DISC, noise_ceiling=1.0, sharp=sharp)
    high = exit_time_upper_bound(bowl(), starts, DISC, direction=[1, 0], slope=1.0, sharp=sharp)
    assert low.shape == high.shape == shape
    assert np.all(low < high)


def test_nothing_assumed_nothing_said():
    bounds = exit_time_bounds(bowl(), [(0, 0), (0.5, 0)], DISC)
    assert bounds.lower.tolist() == [0.0, 0.0]
    assert bounds.upper.tolist() == [np.inf, np.inf]


def test_the_slack_admits_more_landscapes():
    cone = langevin(radial_power(1.0), temperature=0.5)
    facts = {"direction": [1, 0], "slope": 1.0}
    with pytest.raises(ValueError, match=r"need \(v.grad f\)\(v.x\) <= slope"):
        exit_time_upper_bound(cone, (0, 0), DISC, **facts)
    assert exit_time_upper_bound(cone, (0, 0), DISC, **facts, sharp=False) < np.inf


@pytest.mark.parametrize(
    ("diffusion", "x", "region", "facts", "message"),
    [
        (bowl(), (0, 0), DISC, {"noise_ceiling": 0.5}, "need Q <= noise_ceiling"),
        (bowl(), (0, 0), DISC, {"noise_ceiling": 1.0, "convexity": 2.0}, "need hess f >= convex"),
        (bowl(), (0.5, 0), Ball((0.5, 0), 0.3), {"noise_ceiling": 1.0}, "center must be a minimum"),
        (bowl(), (0, 0), Box((-1, -1), (1, 1)), {"noise_ceiling": 1.0}, "need type Ball; see"),
        (bowl(), (0, 0), DISC, {"direction": [0, 1], "slope": 3.0}, "need v.Qv >= noise_floor"),
        (bowl(), (0, 0), DISC, {"direction": [1, 0], "slope": 0.5}, "raise slope"),
        (bowl(), (0, 0), DISC, {"direction": [1, 0]}, "slope = None: need a Lambda > 0"),
        (bowl(), (0, 0), DISC, {"direction": [0, 0], "slope": 1.0}, "pass a vector that is not"),
        (bowl(), (2, 0), DISC, {}, r"x = \[2.0, 0.0\]: need a point in the region"),
        (bowl(), (0, 0), Box((-1, -np.inf), (1, np.inf)), {}, "need finite corners"),
        (ornstein_uhlenbeck(1.0, 1.0, temperature=1.0), 0.0, Ball(0.0, 1.0), {}, "need Langevin"),
        (langevin(double_well(), temperature=0.1), 0.0, Ball(0.0, 0.9), {"noise_ceiling": 1.0},
         "take a ball on which f is convex"),
        (bowl(), (0, 0), DISC, {"convexity": 1.0}, "noise_ceiling = None: need a sigma > 0"),
        (bowl(), (0, 0), DISC, {"slope": 1.0}, "direction = None: need a vector v with slope"),
        (bowl(), (0, 0), DISC, {"sharp": None}, "sharp = None: need True or False"),
        (None, (0, 0), DISC, {}, "diffusion = None: need type Diffusion"),
        (bowl(), (0, 0), np.ones(3, bool), {}, "region = array.*: need type Ball or Box"),
        (bowl(), (0, 0), Ball(0.0, 1.0), {}, "region.dim = 1: need the diffusion's dim = 2"),
    ],
)  # fmt: skip
def test_refusals(diffusion, x, region, facts, message):
    with pytest.raises(ValueError, match=message):
        exit_time_bounds(diffusion, x, region, **facts)
    if "noise_ceiling" in facts:
        with pytest.raises(ValueError, match=message):
            exit_time_lower_bound(diffusion, x, region, **facts)
    if {"direction", "slope"} <= facts.keys():
        with pytest.raises(ValueError, match=message):
            exit_time_upper_bound(diffusion, x, region, **facts)


@pytest.mark.parametrize(
    ("bound", "facts", "message"),
    [
        (
            exit_time_lower_bound,
            {"noise_ceiling": 0.0},
            "noise_ceiling = 0: need 0 <",
        ),
        (exit_time_lower_bound, {"noise_ceiling": 1.0, "convexity": -1.0}, "convexity = -1: need"),
        (exit_time_upper_bound, {"direction": [1, 0], "slope": 0.0}, "slope = 0: need 0 < slope"),
        (exit_time_upper_bound, {"direction": [1, 0], "slope": None}, "slope = None: need a real"),
        (exit_time_upper_bound, {"direction": [1], "slope": 1.0}, "direction.shape = "),
        (
            exit_time_upper_bound,
            {"direction": [1, 0], "slope": 1.0, "noise_floor": -1.0},
            "noise_floor = -1: need 0 < noise_floor",
        ),
    ],
)
def test_each_bound_checks_its_own_numbers(bound, facts, message):
    with pytest.raises(ValueError, match=message):
        bound(bowl(), (0, 0), DISC, **facts)
