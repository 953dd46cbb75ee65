"""Parameter groups of an inner loop, settings good and bad, and parameters that rest."""

import math
from inspect import signature
from itertools import pairwise

import pytest
import torch
from small_training import METHODS, Training, every_method, one_weight, rejected
from torch import nn

from relaxlib.deep.optim import HJ, ElasticSGD, EntropySGD, Replicas

pytestmark = pytest.mark.usefixtures("one_thread")


@every_method
def test_parameters_without_gradient_rest(method):
    """From the start, and also with the momentum of former steps, and beside an empty group."""
    training = Training(method)
    if method != "replicas":  # whose groups are the workers
        training.optimizer.add_param_group({"params": []})
    for _ in range(2):
        before = training.weights()
        for model in training.models:
            model[2].requires_grad_(False)
        training.optimizer.step(training.closure)
        training.micro_steps(training.inner_steps)
        moved = (training.weights() != before).any(dim=0).nonzero().flatten()
        assert moved.tolist() == list(range(20))
        for model in training.models:
            model[2].requires_grad_(True)
        training.optimizer.step(training.closure)
        assert (training.weights() != before)[:, 20:].all()


@pytest.mark.parametrize("averaging", [0.5, "mean"])
@pytest.mark.parametrize("beside", [False, True])
def test_a_missing_gradient_is_a_pause_of_the_inner_variable(averaging, beside):
    """The mean goes on, with or without other gradients in the group."""
    x, other = (nn.Parameter(torch.zeros(1, dtype=torch.float64)) for _ in range(2))
    settings = {"lr": 1.0, "gamma": 1.0, "temperature": 0.0, "averaging": averaging}
    optimizer = EntropySGD([x, other] if beside else [x], inner_steps=3, **settings)
    for gradient in (None, torch.ones(1, dtype=torch.float64), None):
        x.grad, other.grad = gradient, torch.ones_like(other)
        optimizer.step()
    weights = {"mean": 2 / 3, 0.5: 0.5 + 0.5 * 0.5}  # of y_2 = y_3 = -0.1
    assert x.item() == pytest.approx(-0.1 * weights[averaging], rel=1e-14)


def test_groups_may_differ_in_gamma():
    groups = [{"params": [nn.Parameter(torch.ones(1))], "gamma": gamma} for gamma in (1.0, 2.0)]
    optimizer = HJ(groups, lr=1.0, inner_steps=400)
    for _ in range(400):
        for group in optimizer.param_groups:
            group["params"][0].grad = group["params"][0].detach().clone()
        optimizer.step()
    for group, gamma in zip(optimizer.param_groups, (1.0, 2.0), strict=True):
        assert group["params"][0].item() == pytest.approx(1 - 1 / (1 + gamma), rel=1e-5)


def test_a_later_group_joins_the_count():
    _, optimizer = one_weight(inner_steps=1)
    optimizer.step()
    optimizer.add_param_group({"params": [nn.Parameter(torch.ones(1))], "outer_step": 7})
    optimizer.step()
    for name in ("outer_step", "back_propagations"):
        assert [group[name] for group in optimizer.param_groups] == [2, 2]


def test_a_later_group_is_moved_by_both_doors():
    weights = []
    for by_closure in (True, False):
        training = Training()
        training.optimizer.param_groups.pop()
        training.optimizer.step(training.closure)
        training.optimizer.add_param_group({"params": training.model[2].parameters(), "gamma": 2})
        if by_closure:
            training.optimizer.step(training.closure)
        else:
            training.micro_steps(4)
        weights.append(training.weights())
    assert torch.equal(*weights)
    assert (weights[0] != Training().weights()).all()


def test_no_noise_comes_twice_when_the_loops_change_their_length():
    """4 + 4 micro-steps, then 2 + 2, with nothing but noise: twelve different steps."""
    x = nn.Parameter(torch.zeros(1, dtype=torch.float64))
    optimizer = EntropySGD([x], lr=1e9, gamma=1e9, averaging=0.0, inner_steps=4.0, seed=1)
    x.grad, places = torch.zeros_like(x), [0.0]
    for length in (4, 4, 2, 2):
        optimizer.param_groups[0]["inner_steps"] = length
        for _ in range(length):
            optimizer.step()
            places.append(x.item())
    steps = [round((new - old) / math.sqrt(2e-9), 6) for old, new in pairwise(places)]
    assert len(set(steps)) == 12 == optimizer.back_propagations


def test_a_number_of_steps_may_be_a_whole_float():
    training = Training()
    for group in training.optimizer.param_groups:
        group["inner_steps"] = 4.0
    training.optimizer.step(training.closure)
    assert training.drawn == 4


@pytest.mark.parametrize(
    ("group", "message"),
    [
        ({"inner_steps": 7}, "inner_steps = 7: need 5 as in the first group"),
        ({"seed": 1}, "seed = 1: need 0 as in the first group"),
        ({"gamma": 0.01}, "inner_lr/gamma = 10: need"),
        ({"params": [torch.zeros(1, dtype=torch.complex64)]}, "dtype = torch.complex64: need"),
    ],
)
def test_a_group_that_does_not_fit_is_left_out(group, message):
    _, optimizer = one_weight()
    rejected(message, optimizer.add_param_group, {"params": [torch.ones(1)]} | group)
    assert len(optimizer.param_groups) == 1


def test_groups_that_no_longer_agree_are_rejected():
    training = Training()
    training.optimizer.param_groups[1]["inner_steps"] = 5
    rejected("inner_steps = 5: need 4 as in the first group", training.optimizer.step)


BAD = [
    ("lr", -1.0, "lr = -1: need 0 <= lr < inf"),
    ("weight_decay", -1.0, "weight_decay = -1: need 0 <= weight_decay < inf"),
    ("maximize", 1, "maximize = 1: need True or False"),
    ("inner_steps", 0, "inner_steps = 0: need an integer >= 1"),
    ("momentum", -0.1, "momentum = -0.1: need 0 <= momentum < 1; pass a fraction"),
    ("inner_momentum", 1.0, "inner_momentum = 1.0: need 0 <= inner_momentum < 1"),
    ("gamma", 0.0, "gamma = 0: need 0 < gamma < inf"),
    (
        "gamma",
        1e-4,
        "inner_lr/gamma = 1000: need inner_lr/gamma < 2, else the inner variable runs away "
        "from x; take gamma > 0.05",
    ),
    ("inner_lr", 1.0, "inner_lr/gamma = 2: need inner_lr/gamma < 2"),
    ("inner_lr", -0.1, "inner_lr = -0.1: need 0 < inner_lr < inf"),
    ("temperature", -1.0, "temperature = -1: need 0 <= temperature < inf"),
    ("averaging", 1.0, "averaging = 1.0: need 0 <= averaging < 1"),
    ("averaging", "sum", "averaging = 'sum': need a real number; pass a fraction or \"mean\""),
    ("variance", -1.0, "variance = -1: need 0 <= variance < inf"),
    ("seed", -1, "seed = -1: need an integer >= 0"),
    ("seed", 2**32, "seed = 4294967296: need seed < 2**32"),
]


def takes(method, name):
    kind, _ = METHODS[method]
    return name in signature(ElasticSGD if kind is Replicas else kind).parameters


@pytest.mark.parametrize(
    ("method", "name", "value", "message"),
    [(method, *bad) for method in METHODS for bad in BAD if takes(method, bad[0])],
)
def test_bad_settings_are_rejected(method, name, value, message):
    """As arguments, and in a group that comes later."""
    rejected(message, lambda: Training(method, **{name: value}))
    training = Training(method)
    groups = len(training.optimizer.param_groups)
    late = {"params": list(training.network().parameters()), name: value}
    if method == "replicas":  # which must not differ, whatever the value
        message = f"{name} = "
    rejected(message, training.optimizer.add_param_group, late)
    assert len(training.optimizer.param_groups) == groups
