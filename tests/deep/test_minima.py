"""Curvature and second-order local entropy of the minima that training finds."""

import numpy as np
import pytest
import torch

from relaxlib.deep.bridge import finite_sum
from relaxlib.deep.data import Examples
from relaxlib.deep.minima import loss_derivatives, second_order_local_entropy
from relaxlib.landscapes import quadratic
from relaxlib.smoothing import local_entropy


def small_model() -> torch.nn.Sequential:
    torch.manual_seed(1)
    layers = torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.BatchNorm1d(4), torch.nn.Dropout(0.5)
    return torch.nn.Sequential(*layers, torch.nn.Linear(4, 10))


def data() -> Examples:
    rng = np.random.default_rng(2)
    inputs = torch.as_tensor(rng.standard_normal((20, 3)), dtype=torch.float32)
    return Examples(inputs, torch.as_tensor(rng.integers(10, size=20)))


def test_derivatives_agree_with_differences():
    model, examples = small_model(), data()
    gradient, hessian = loss_derivatives(model, examples)
    double = small_model().double().eval()
    loss = finite_sum(
        double, torch.nn.functional.cross_entropy, examples.inputs.double(), examples.targets
    )
    x = torch.nn.utils.parameters_to_vector(double.parameters()).detach().numpy()
    np.testing.assert_allclose(gradient, loss.grad(x), atol=1e-12)
    step = 1e-5
    for k in (0, 13, len(x) - 1):
        shift = step * np.eye(len(x))[k]
        row = (loss.grad(x + shift) - loss.grad(x - shift)) / (2 * step)
        np.testing.assert_allclose(hessian[k], row, atol=1e-8)


def test_the_model_is_left_as_it_was():
    model = small_model()
    model[3].eval()
    before = {name: entry.clone() for name, entry in model.state_dict().items()}
    loss_derivatives(model, data())
    assert model.training
    assert not model[3].training
    for name, entry in model.state_dict().items():
        assert torch.equal(entry, before[name])


def test_large_networks_are_refused():
    with pytest.raises(ValueError, match=r"number of parameters = 10100: need 1 <= d <= 10000"):
        loss_derivatives(torch.nn.Linear(100, 100), data())
    with pytest.raises(ValueError, match="model = "):
        loss_derivatives(lambda x: x, data())


def test_derivatives_need_examples():
    for examples, message in (
        (tuple(data()), "need type Examples"),
        (none(), "examples = 0: need"),
    ):
        with pytest.raises(ValueError, match=message):
            loss_derivatives(small_model(), examples)


def none() -> Examples:
    return Examples(*(part[:0] for part in data()))


def test_local_entropy_is_exact_for_a_quadratic():
    hessian = np.array([[2.0, 0.3], [0.3, 0.5]])
    landscape = quadratic(hessian, center=[0.1, -0.2])
    x = np.array([0.7, 0.4])
    exact = local_entropy(landscape, x, gamma=0.8, temperature=0.3)
    found = second_order_local_entropy(
        landscape.value(x), hessian @ (x - [0.1, -0.2]), hessian, gamma=0.8, temperature=0.3
    )
    assert found == pytest.approx(float(exact), abs=1e-10)


def test_no_local_entropy_beyond_a_hill():
    with pytest.raises(ValueError, match=r"gamma = 2: need gamma < 1, where I \+ gamma H"):
        second_order_local_entropy(0.0, [0.0], [[-1.0]], gamma=2.0, temperature=1.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"loss": np.nan}, "loss = nan"),
        ({"gradient": [0.0, 1.0]}, "gradient"),
        ({"hessian": [[1.0, 2.0]]}, "hessian"),
        ({"gamma": 0.0}, "gamma = 0"),
        ({"temperature": -1.0}, "temperature = -1"),
    ],
)
def test_bad_input_is_named(change, message):
    arguments = {"loss": 0.0, "gradient": [0.0], "hessian": [[1.0]], "gamma": 1.0}
    with pytest.raises(ValueError, match=message):
        second_order_local_entropy(**(arguments | {"temperature": 1.0} | change))
