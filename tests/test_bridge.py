"""The bridge from torch: per-example gradients against loops and differences."""

import numpy as np
import pytest
import torch

from relaxlib.deep.bridge import finite_sum, flat_weights
from relaxlib.finite_sums import noise_rank


def cross_entropy(outputs, targets):
    return torch.nn.functional.cross_entropy(outputs, targets)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Tanh(), torch.nn.Linear(3, 2))
    inputs = torch.randn(6, 4, dtype=torch.float64)
    return model.double(), inputs, torch.tensor([0, 1, 1, 0, 1, 0])


def test_gradients_agree_with_a_loop(network):
    model, inputs, targets = network
    x = flat_weights(model)
    gradients = finite_sum(model, cross_entropy, inputs, targets).gradients(x)
    for one, target, row in zip(inputs, targets, gradients, strict=True):
        model.zero_grad()
        cross_entropy(model(one[None]), target[None]).backward()
        expected = np.concatenate([p.grad.numpy().ravel() for p in model.parameters()])
        np.testing.assert_allclose(row, expected, atol=1e-15)


def test_losses_and_gradients_fit_together(network):
    total = finite_sum(network[0], cross_entropy, *network[1:])
    x = flat_weights(network[0])
    shift = 1e-6 * np.random.default_rng(0).normal(size=x.size)
    slope = (total.loss(x + shift) - total.loss(x - shift)) / 2
    assert slope == pytest.approx(total.grad(x) @ shift, rel=1e-6)
    assert noise_rank(total, x) <= 5


def test_bad_input_is_refused(network):
    model, inputs, targets = network
    with pytest.raises(ValueError, match=r"len\(targets\) = 5: need one per input, 6"):
        finite_sum(model, cross_entropy, inputs, targets[:5])
    with pytest.raises(ValueError, match=r"weight = torch.float32: need torch.float64 parameters"):
        finite_sum(torch.nn.Linear(4, 2), cross_entropy, inputs, targets)
