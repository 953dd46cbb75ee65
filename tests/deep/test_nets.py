"""The networks: numbers of parameters as printed, shapes on the way, and the small twins."""

import pytest
import torch
from torch import nn

from relaxlib.deep.nets import NETWORKS, all_cnn, lenet, mnist_fc, parameter_counts

SHAPES = {"mnist": (1, 28, 28), "cifar10": (3, 32, 32), "digits": (1, 8, 8)}


def size(model):
    return sum(entry.numel() for entry in model.parameters())


def test_one_rule_yields_the_three_printed_numbers():
    assert size(mnist_fc(normalize=False)) == 1_863_690
    assert round(1_863_690 / 1e6, 2) == 1.86
    assert size(lenet()) == 131_220
    assert size(all_cnn()) == 1_667_146
    assert round(1_667_146 / 1e6, 2) == 1.67


@pytest.mark.parametrize(
    ("build", "counts"),
    [
        (mnist_fc, (1_861_632, 2058, 4096)),
        (lenet, (130_500, 580, 140)),
        (all_cnn, (1_663_392, 1258, 2496)),
    ],
)
def test_parameters_by_kind(build, counts):
    assert parameter_counts(build()) == counts
    assert sum(counts) == size(build())


@pytest.mark.parametrize("name", NETWORKS)
def test_images_become_ten_logits(name):
    network = NETWORKS[name]
    images = torch.zeros(2, *SHAPES[network.data])
    assert network.build()(images).shape == (2, 10)


@pytest.mark.parametrize(
    ("name", "parameters"), [("small_fc", 3594), ("small_lenet", 2170), ("small_all_cnn", 12_074)]
)
def test_twins_are_small_and_have_the_layers_of_the_large(name, parameters):
    twins = {"small_fc": "mnist_fc", "small_lenet": "lenet", "small_all_cnn": "all_cnn"}
    small, large = NETWORKS[name].build(), NETWORKS[twins[name]].build()
    assert size(small) == parameters
    assert [type(layer) for layer in small] == [type(layer) for layer in large]
    written = NETWORKS[name].build.__doc__.replace(",", "")
    assert f"{parameters} parameters" in written


def sides(model, side, channels):
    """Side and channels of the images behind each convolution or pool."""
    images, found = torch.zeros(2, channels, side, side), []
    for layer in model:
        images = layer(images)
        if isinstance(layer, nn.Conv2d | nn.MaxPool2d):
            found.append((images.shape[-1], images.shape[1]))
    return found


def test_lenet_loses_pixels_as_the_count_needs():
    assert sides(lenet(), 28, 1) == [(24, 20), (8, 20), (4, 50), (2, 50)]


def test_all_cnn_averages_ten_images_of_eight_by_eight():
    expected = [(32, 96)] * 2 + [(16, 96)] + [(16, 192)] * 2 + [(8, 192)] * 3 + [(8, 10)]
    assert sides(all_cnn(), 32, 3) == expected


def test_layers_come_in_the_order_of_the_text():
    hidden = [nn.Linear, nn.ReLU, nn.BatchNorm1d, nn.Dropout]
    expected = [nn.Flatten, nn.Dropout, *hidden, *hidden, nn.Linear]
    assert [type(layer) for layer in mnist_fc()] == expected
    block = [nn.Conv2d, nn.ReLU, nn.BatchNorm2d, nn.MaxPool2d, nn.Dropout]
    dense = [nn.Flatten, nn.Linear, nn.ReLU, nn.Dropout, nn.Linear]
    assert [type(layer) for layer in lenet()] == [*block, *block, *dense]


def dropouts(model):
    return [layer.p for layer in model if isinstance(layer, nn.Dropout)]


def test_dropout_is_as_printed():
    assert dropouts(mnist_fc()) == [0.2] * 3
    assert dropouts(lenet()) == [0.25] * 3
    assert dropouts(all_cnn()) == [0.2, 0.5, 0.5]
    assert dropouts(mnist_fc(dropout=0.0)) == [0.0] * 3


def test_strides_thin_the_third_convolution_of_a_block():
    strides = [layer.stride[0] for layer in all_cnn() if isinstance(layer, nn.Conv2d)]
    assert strides == [1, 1, 2, 1, 1, 2, 1, 1, 1]


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: mnist_fc(inputs=0), "inputs = 0: need an integer >= 1"),
        (lambda: mnist_fc(width=1.5), "width = 1.5: need an integer >= 1"),
        (lambda: mnist_fc(dropout=1.0), "dropout = 1.0: need 0 <= dropout < 1; pass a"),
        (lambda: mnist_fc(dropout=-0.1), "dropout = -0.1: need 0 <= dropout < 1"),
        (lambda: mnist_fc(normalize=1), "normalize = 1: need True or False"),
        (lambda: lenet(side=21), "side = 21: need pixels left behind both pools; use larger"),
        (lambda: lenet(side=4), "side = 4: need pixels left"),
        (lambda: lenet(kernel=0), "kernel = 0: need an integer >= 1"),
        (lambda: lenet(channels=20), r"channels.shape = \(\): need channels.shape = \(2,\)"),
        (lambda: lenet(pools=(3, 0)), r"pools\[1\] = 0: need an integer >= 1"),
        (lambda: lenet(width=-1), "width = -1: need an integer >= 1"),
        (lambda: lenet(dropout=2.0), "dropout = 2.0: need 0 <= dropout < 1"),
        (lambda: all_cnn(colors=0), "colors = 0: need an integer >= 1"),
        (lambda: all_cnn(widths=(96, 1.5)), r"widths\[1\] = 1.5: need an integer >= 1"),
        (lambda: all_cnn(dropouts=0.2), r"dropouts.shape = \(\): need .*; pass two numbers"),
        (lambda: all_cnn(dropouts=(0.2, 1.0)), r"dropouts\[1\] = 1.0: need 0 <= dropouts\[1\] < 1"),
        (lambda: parameter_counts("lenet"), "model = 'lenet': need type Module"),
    ],
)
def test_bad_input_is_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_the_smallest_image_that_lenet_takes():
    assert lenet(side=22)(torch.zeros(2, 1, 22, 22)).shape == (2, 10)
