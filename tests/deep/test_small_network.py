"""The small network: trained well, and the same every time."""

import pytest
import torch

from relaxlib.deep.bridge import finite_sum
from relaxlib.deep.data import digits
from relaxlib.deep.nets import small_network


def test_training_fits_most_digits_and_leaves_the_global_stream_alone():
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    model, inputs, targets = small_network()
    assert torch.rand(1) == expected
    assert (model(inputs).argmax(dim=1) == targets).double().mean() > 0.97


def test_training_reaches_the_same_weights_again():
    first, second = (small_network(examples=60, steps=5) for _ in range(2))
    assert first.weights.dtype == "float64"
    assert (first.weights == second.weights).all()


def test_weights_are_the_parameters_in_their_order():
    network = small_network(examples=9, steps=1)
    flat = torch.cat([entry.detach().flatten() for entry in network.model.parameters()])
    assert (network.weights == flat.numpy()).all()
    network.weights[:] = 0.0  # a copy
    assert (network.weights == flat.numpy()).all()


def test_examples_are_the_first_digits_in_double_precision():
    network, (training, validation) = small_network(examples=1300, steps=0), digits()
    images = torch.cat([training.inputs, validation.inputs[:20]]).flatten(1)
    assert torch.equal(network.inputs, images.double())
    assert torch.equal(network.targets[1280:], validation.targets[:20])


@pytest.mark.parametrize("change", [{"examples": 0}, {"steps": -1}])
def test_bad_input_is_refused(change):
    ((name, value),) = change.items()
    with pytest.raises(ValueError, match=f"{name} = {value}: need an integer"):
        small_network(**change)


def test_loss_of_the_bridge_is_the_training_loss():
    network = small_network(examples=60, steps=5)
    loss = torch.nn.functional.cross_entropy
    total = finite_sum(network.model, loss, network.inputs, network.targets)
    expected = loss(network.model(network.inputs), network.targets).item()
    assert abs(total.loss(network.weights) - expected) < 1e-12
