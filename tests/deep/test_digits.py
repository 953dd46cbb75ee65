"""The small network: trained well, and the same every time."""

import pytest
import torch

from relaxlib.deep.bridge import finite_sum, flat_weights
from relaxlib.deep.digits import small_network


def test_training_fits_most_digits_and_leaves_the_global_stream_alone():
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    model, inputs, targets = small_network()
    assert torch.rand(1) == expected
    assert (model(inputs).argmax(dim=1) == targets).double().mean() > 0.97


def test_training_reaches_the_same_weights_again():
    first, second = (small_network(examples=60, steps=5) for _ in range(2))
    assert (flat_weights(first.model) == flat_weights(second.model)).all()


@pytest.mark.parametrize("change", [{"examples": 0}, {"steps": -1}])
def test_bad_input_is_refused(change):
    ((name, value),) = change.items()
    with pytest.raises(ValueError, match=f"{name} = {value}: need an integer"):
        small_network(**change)


def test_loss_of_the_bridge_is_the_training_loss():
    model, inputs, targets = small_network(examples=60, steps=5)
    loss = torch.nn.functional.cross_entropy
    total = finite_sum(model, loss, inputs, targets)
    assert abs(total.loss(flat_weights(model)) - loss(model(inputs), targets).item()) < 1e-12
