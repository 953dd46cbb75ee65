"""Networks in one sweep are the same networks as one by one."""

import copy

import pytest
import torch
from torch import nn

from relaxlib.deep._training.stack import Stack
from relaxlib.deep.nets import NETWORKS, lenet, mnist_fc


def networks(build, count=3):
    torch.manual_seed(0)
    return [build() for _ in range(count)]


BUILDS = {
    "dense": lambda: mnist_fc(inputs=64, width=8, dropout=0.0).double(),
    "convolutions": lambda: lenet(
        side=8, channels=(2, 3), kernel=3, pools=(2, 1), width=5, dropout=0.0
    ).double(),
}


@pytest.mark.parametrize("build", BUILDS.values(), ids=BUILDS)
def test_logits_gradients_and_batch_statistics_are_those_of_each_network(build):
    models = networks(build)
    stack = Stack(models)
    inputs = torch.rand(3, 7, 1, 8, 8, dtype=torch.float64)
    for scale in (1.0, 3.0):
        logits = stack(scale * inputs)
        expected = [model(scale * batch) for model, batch in zip(models, inputs, strict=True)]
        torch.testing.assert_close(logits, torch.stack(expected))
    logits.square().sum().backward()
    sum(part.square().sum() for part in expected).backward()
    for k, model in enumerate(models):
        for name, entry in model.named_parameters():
            torch.testing.assert_close(stack.weights[name].grad[k], entry.grad)
        for name, entry in model.named_buffers():
            torch.testing.assert_close(stack.buffers[name][k], entry)
            assert "tracked" not in name or entry == 2


@pytest.mark.parametrize("name", ["small_fc", "small_lenet", "small_all_cnn"])
def test_networks_come_out_as_they_went_in(name):
    models = networks(NETWORKS[name].build)
    before = copy.deepcopy([model.state_dict() for model in models])
    stack = Stack(models)
    for found, expected in zip(stack.networks(), before, strict=True):
        assert found.state_dict().keys() == expected.keys()
        assert all(torch.equal(found.state_dict()[key], expected[key]) for key in expected)
    stack(torch.rand(3, 4, 1, 8, 8)).sum().backward()
    for model, expected in zip(models, before, strict=True):
        assert all(torch.equal(model.state_dict()[key], expected[key]) for key in expected)


def test_dropout_differs_from_network_to_network():
    stack = Stack([nn.Sequential(nn.Dropout(0.5))] * 2)
    first, second = stack(torch.ones(2, 100, 1))
    assert set(first.flatten().tolist()) == {0.0, 2.0}
    assert not torch.equal(first, second)


def test_a_state_is_restored_in_place():
    stack, other = (Stack(networks(BUILDS["dense"], count)) for count in (2, 2))
    state = {name: entry + 1 for name, entry in stack.state_dict().items()}
    parameters = other.parameters()
    other.load_state_dict(state)
    assert all(torch.equal(entry, state[name]) for name, entry in other.state_dict().items())
    assert all(old is new for old, new in zip(parameters, other.parameters(), strict=True))


def test_an_empty_stack_is_refused():
    with pytest.raises(ValueError, match="models = empty: need at least one network; pass some"):
        Stack([])


@pytest.mark.parametrize(("models", "name"), [(None, "models"), ([nn.Linear(1, 1), "a"], "model")])
def test_what_is_no_network_is_refused(models, name):
    with pytest.raises(ValueError, match=f"^{name} = .*: need type"):
        Stack(models)
