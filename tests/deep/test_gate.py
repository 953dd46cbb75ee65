"""Entropy-SGD with a gate before the step of the weights."""

import pytest
import torch

from relaxlib.deep.optim import EntropySGD, GatedEntropySGD

QUIET = {"gamma": 0.5, "lr": 0.25, "temperature": 0.0, "inner_lr": 0.1, "inner_steps": 3}


def descend(optimizer, loss, steps):
    for _ in range(steps):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()


def parameter(*entries):
    return torch.nn.Parameter(torch.tensor(entries, dtype=torch.float64))


@pytest.mark.parametrize("averaging", [0.0, 0.75, "mean"])
def test_an_open_gate_changes_nothing(averaging):
    steps = {}
    for method in (EntropySGD, GatedEntropySGD):
        x = parameter(1.0, -2.0)
        optimizer = method([x], averaging=averaging, **QUIET)
        descend(optimizer, lambda x=x: (x**2).sum() / 2, 9)
        steps[method] = x.detach().clone()
    assert torch.equal(*steps.values())
    assert optimizer.param_groups[0]["opened"] == 3


def prediction(x, curvature, averaging):
    """Delta and the step on f = curvature x^2 / 2, by hand."""
    return predicted(x, lambda y: curvature * y, averaging)


def predicted(x, gradient, averaging):
    """The same for three gradients in a row."""
    y = mean = x
    slopes = []
    for _ in range(3):
        slopes.append(gradient(y))
        y = y - 0.1 * (slopes[-1] + (y - x) / 0.5)
        mean = averaging * mean + (1 - averaging) * y
    slope = slopes[0]
    for entry in slopes:
        slope = averaging * slope + (1 - averaging) * entry
    step = 0.5 * (mean - x)
    return step * (0.75 * slopes[0] + 0.25 * slope), step


@pytest.mark.parametrize("curvature", [1.0, 9.0, -1.0])
def test_a_step_is_that_of_entropy_sgd_or_none(curvature):
    x = parameter(1.3)
    optimizer = GatedEntropySGD([x], averaging=0.75, **QUIET)
    descend(optimizer, lambda: curvature * (x**2).sum() / 2, 3)
    delta, step = prediction(1.3, curvature, 0.75)
    assert x.item() == pytest.approx(1.3 + step * (delta < 0), rel=1e-12)


def test_the_gate_opens_where_the_formula_is_negative():
    """For three random slopes in a row, whatever their loss: in half of all cases or so."""
    slopes = torch.randn(400, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    opened = []
    for row in slopes.tolist():
        x, once, again = parameter(0.0), iter(row), iter(row)
        optimizer = GatedEntropySGD([x], averaging=0.75, **QUIET)
        descend(optimizer, lambda x=x, once=once: next(once) * x.sum(), 3)
        delta, _ = predicted(0.0, lambda y, again=again: next(again), 0.75)
        opened.append(optimizer.param_groups[0]["opened"] == 1)
        assert opened[-1] == (delta < 0.0)
    assert 100 < sum(opened) < 390


def test_a_closed_gate_leaves_the_weights_where_they_are():
    """Batches that contradict the first: y goes up the slope that the first has seen."""
    x = parameter(1.0)
    signs = iter([1.0, -5.0, -5.0])
    optimizer = GatedEntropySGD([x], averaging=0.0, **QUIET)
    descend(optimizer, lambda: next(signs) * x.sum(), 3)
    # m - x = 0.836; g = 1, mean slope -5: Delta is positive only without the second term
    assert x.item() > 1.0
    signs = iter([1.0, -1.0, -5.0])
    x.data.fill_(1.0)
    optimizer = GatedEntropySGD([x], averaging=0.0, **QUIET | {"lr": 0.05})
    descend(optimizer, lambda: next(signs) * x.sum(), 3)
    assert x.item() == 1.0
    assert optimizer.param_groups[0]["opened"] == 0
    assert optimizer.synchronized


def test_each_group_has_a_gate():
    x, y = parameter(1.0), parameter(1.0)
    signs = iter([1.0, -1.0, -5.0])
    quiet = QUIET | {"lr": 0.05}
    optimizer = GatedEntropySGD([{"params": [x]}, {"params": [y]}], averaging=0.0, **quiet)
    descend(optimizer, lambda: (next(signs) * x + y).sum(), 3)
    assert (x.item() == 1.0, y.item() < 1.0) == (True, True)
    assert [group["opened"] for group in optimizer.param_groups] == [0, 1]


def test_steps_are_counted_from_the_start_in_each_group():
    optimizer = GatedEntropySGD([parameter(1.0)])
    optimizer.add_param_group({"params": [parameter(1.0)]})
    assert [group["opened"] for group in optimizer.param_groups] == [0, 0]
    with pytest.raises(ValueError, match="state_dict = without opened: need the settings of Gated"):
        optimizer.load_state_dict(EntropySGD([parameter(1.0)]).state_dict())


def test_there_is_no_momentum_of_x():
    with pytest.raises(TypeError, match="momentum"):
        GatedEntropySGD([parameter(1.0)], momentum=0.9)
