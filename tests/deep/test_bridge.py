"""The bridge from torch: per-example gradients against loops and differences."""

import numpy as np
import pytest
import torch
from torch.nn.utils import parameters_to_vector

from relaxlib.deep.bridge import finite_sum
from relaxlib.sgd import noise_rank


def cross_entropy(outputs, targets):
    return torch.nn.functional.cross_entropy(outputs, targets)


def flat_weights(model):
    return parameters_to_vector(model.parameters()).detach().numpy()


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


def test_still_layers_are_accepted(network):
    layers = torch.nn.Linear(4, 2), torch.nn.BatchNorm1d(2), torch.nn.Dropout(0.5)
    model = torch.nn.Sequential(*layers).double().eval()
    total = finite_sum(model, cross_entropy, *network[1:])
    assert total.gradients(flat_weights(model)).shape == (6, 14)


def layered(layer):
    return torch.nn.Sequential(torch.nn.Linear(4, 2), layer).double()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": None}, "model = None: need type Module; see torch.nn"),
        ({"model": "net"}, "model = 'net': need type Module"),
        ({"model": torch.nn.Tanh()}, "number of parameters = 0: need an integer >= 1"),
        (
            {"model": layered(torch.nn.Dropout(0.5))},
            r"1 = Dropout\(.*\): need examples that do not mix; call model.eval\(\)",
        ),
        ({"model": layered(torch.nn.BatchNorm1d(2))}, r"1 = BatchNorm1d\(.*call model.eval"),
        (
            {"model": torch.nn.Linear(3, 2).double()},
            "loss of one example = .*shapes.*: need a scal",
        ),
        ({"loss": str}, "loss of one example = .*: need a scalar that torch can differentiate"),
        ({"loss": None}, "loss of one example = 'NoneType' object is not callable: need a scalar"),
        (
            {"loss": torch.nn.CrossEntropyLoss(reduction="none")},
            "loss of one example = .*return a scalar.*: need a scalar",
        ),
        ({"inputs": torch.zeros(6, 4)}, "inputs = torch.float32: need torch.float64 inputs; pass"),
        ({"inputs": np.zeros((6, 4))}, "inputs = array.*: need type Tensor"),
        ({"inputs": torch.full((6, 4), torch.nan).double()}, r"inputs\[0, 0\] = nan: need finite"),
        ({"inputs": torch.zeros(0, 4)}, r"len\(inputs\) = 0: need an integer >= 1"),
        ({"targets": torch.tensor(1)}, r"len\(targets\) = 0: need an integer >= 1"),
        ({"targets": torch.zeros(6)}, "loss of one example = .*: need a scalar"),
        ({"targets": torch.tensor([0, 1, 1, 0, 1, 2])}, "loss of one example = .*: need a scalar"),
    ],
)
def test_what_torch_cannot_evaluate_is_refused(network, change, message):
    model, inputs, targets = network
    arguments = {"model": model, "loss": cross_entropy, "inputs": inputs, "targets": targets}
    with pytest.raises(ValueError, match=message):
        finite_sum(**(arguments | change))


def test_weights_of_another_size_are_refused(network):
    total = finite_sum(network[0], cross_entropy, *network[1:])
    with pytest.raises(ValueError, match=r"x.shape = \(3,\): need a trailing axis of length 23"):
        total.gradients(np.zeros(3))


def test_bad_input_is_refused(network):
    model, inputs, targets = network
    with pytest.raises(ValueError, match=r"len\(targets\) = 5: need one per input, 6"):
        finite_sum(model, cross_entropy, inputs, targets[:5])
    with pytest.raises(ValueError, match=r"weight = torch.float32: need torch.float64 parameters"):
        finite_sum(torch.nn.Linear(4, 2), cross_entropy, inputs, targets)
