"""Scoping: a pure function of the count of steps of the weights."""

import pytest
import torch

from relaxlib.deep.optim import HJ, EntropySGD, Heat, Scoping

pytestmark = pytest.mark.usefixtures("one_thread")


def weights():
    return torch.nn.Parameter(torch.ones(2))


def run(optimizer, scoping, calls):
    for _ in range(calls):
        for group in optimizer.param_groups:
            for entry in group["params"]:
                entry.grad = torch.ones_like(entry)
        optimizer.step()
        scoping.step()


def test_gamma_shrinks_once_per_step_of_the_weights():
    optimizer = HJ([weights()], gamma=2.0, inner_steps=4)
    scoping = Scoping(optimizer)
    values = []
    for _ in range(9):
        run(optimizer, scoping, 1)
        values += scoping.get_last_value()
    assert values == pytest.approx([2.0] * 3 + [2.0 * 0.999] * 4 + [2.0 * 0.999**2] * 2, rel=1e-14)


def test_a_second_call_changes_nothing():
    optimizer = HJ([weights()], gamma=2.0, inner_steps=1)
    scoping = Scoping(optimizer, factor=0.5)
    run(optimizer, scoping, 1)
    scoping.step()
    assert scoping.get_last_value() == [1.0]


def test_nothing_changes_within_a_loop():
    optimizer = HJ([weights()], gamma=2.0, inner_steps=2)
    scoping, silent = Scoping(optimizer, factor=0.5), Scoping(optimizer, factor=1.0)
    run(optimizer, silent, 3)
    scoping.step()
    assert scoping.get_last_value() == [2.0]
    run(optimizer, scoping, 1)
    assert scoping.get_last_value() == [0.5]


def test_the_count_begins_where_it_is_made():
    optimizer = HJ([weights()], gamma=2.0, inner_steps=1)
    run(optimizer, Scoping(optimizer, factor=1.0), 5)
    scoping = Scoping(optimizer, factor=0.5)
    run(optimizer, scoping, 1)
    assert scoping.get_last_value() == [1.0]


@pytest.mark.parametrize(
    ("settings", "options", "last"),
    [
        ({"gamma": 1.0}, {}, 0.1),  # the inner learning rate
        ({"gamma": 0.08}, {}, 0.08),
        ({"gamma": 1.0}, {"minimum": 0.3}, 0.3),
    ],
)
def test_gamma_stops_where_the_inner_loop_is_stable(settings, options, last):
    optimizer = HJ([weights()], inner_steps=1, **settings)
    scoping = Scoping(optimizer, factor=0.1, **options)
    run(optimizer, scoping, 3)
    assert scoping.get_last_value() == [last]


def test_each_group_has_its_own_start():
    groups = [{"params": [weights()], "gamma": 1.0}, {"params": [weights()], "gamma": 4.0}]
    optimizer = EntropySGD(groups, inner_steps=1)
    scoping = Scoping(optimizer, factor=0.5)
    optimizer.add_param_group({"params": [weights()], "gamma": 7.0})
    run(optimizer, scoping, 2)
    assert scoping.get_last_value() == [0.25, 1.0, 7.0]


def test_variance_of_heat_shrinks_to_zero():
    optimizer = Heat([weights()], variance=1.0, inner_steps=1)
    scoping = Scoping(optimizer, "variance", factor=0.1)
    run(optimizer, scoping, 5)
    assert scoping.get_last_value() == pytest.approx([1e-5])


def test_it_goes_on_from_its_state():
    optimizer = HJ([weights()], gamma=8.0, inner_steps=2)
    scoping = Scoping(optimizer, factor=0.5)
    run(optimizer, scoping, 3)
    fresh = HJ([weights()], gamma=3.0, inner_steps=2)
    fresh.load_state_dict(optimizer.state_dict())
    resumed = Scoping(fresh)
    resumed.load_state_dict(scoping.state_dict())
    run(optimizer, scoping, 3)
    run(fresh, resumed, 3)
    assert scoping.get_last_value() == resumed.get_last_value() == [1.0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"key": "beta"}, "key = 'beta': need one of ('lr', 'gamma'"),
        ({"key": "seed"}, "key = 'seed': need one of ('lr', 'gamma'"),
        ({"key": "inner_steps"}, "key = 'inner_steps': need one of ('lr', 'gamma'"),
        ({"key": "temperature"}, "temperature = 0: need 0 < temperature < inf"),
        ({"factor": 1.5}, "factor = 1.5: need 0 < factor <= 1"),
        ({"minimum": 2.0}, "minimum = 2.0: need minimum <= gamma = 1; lower it"),
        ({"minimum": -1.0}, "minimum = -1: need 0 <= minimum < inf"),
        ({"optimizer": torch.optim.SGD([weights()])}, "need type InnerLoop"),
    ],
)
def test_bad_input_is_rejected(options, message):
    options = {"optimizer": HJ([weights()])} | options
    with pytest.raises(ValueError) as error:
        Scoping(**options)
    assert message in str(error.value)
