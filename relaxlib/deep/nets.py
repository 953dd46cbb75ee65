r"""The three networks of DR, with the numbers of parameters that it prints, and small twins.

============ ================================================ ========= ==================
network      layers                                           printed   here
============ ================================================ ========= ==================
`mnist_fc`   784-1024-1024-10                                 1.86 M    1,867,786
`lenet`      5x5 convolutions to 20 and 50, 200-500-10        131,220   131,220
`all_cnn`    3x3 convolutions 96,96,96,192,192,192,192,192,10 1.67 M    1,667,146
============ ================================================ ========= ==================

One rule yields all three printed numbers: biases everywhere, and batch normalization behind the
hidden convolutions only. The text normalizes the dense layers too; `mnist_fc` obeys the text
unless told otherwise, `lenet` the printed number.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple, TypeVar

from torch import nn

from relaxlib import _checks
from relaxlib.deep._small_network import small_network

__all__ = ["NETWORKS", "all_cnn", "lenet", "mnist_fc", "parameter_counts", "small_network"]

Number = TypeVar("Number", int, float)


class Network(NamedTuple):
    """How to build a network, and the name of the data that it is trained on."""

    build: Callable[[], nn.Module]
    data: str


def mnist_fc(
    *, inputs: int = 784, width: int = 1024, dropout: float = 0.2, normalize: bool = True
) -> nn.Sequential:
    r"""A fully connected network of two hidden layers, for ten classes.

    .. math:: \text{input}_{784} \to \text{drop}_{0.2}
       \to (\text{fc}_{1024} \to \text{drop}_{0.2})^2 \to \text{fc}_{10}

    Parameters
    ----------
    inputs : int
        Number of pixels of an image.
    width : int
        Units in each hidden layer.
    dropout : float
        Probability p in [0, 1) that an activation is zeroed while training; the others are
        multiplied by 1/(1 - p).
    normalize : bool
        Whether batch normalization follows each hidden layer.

    Returns
    -------
    torch.nn.Sequential
        From images (n, ...) of `inputs` pixels in all to logits (n, 10).

    Raises
    ------
    ValueError
        If a size is no positive integer or `dropout` is outside [0, 1).

    Notes
    -----
    DR, Section 8.2.1. 1,861,632 weights, 2058 biases and 4096 parameters of normalization:
    1,867,786. The printed 1.86 million is what weights and biases round to, 1,863,690
    (``normalize=False``); with the normalization of the text it comes out only by truncation.
    A hidden layer is matrix, ReLU, normalization, in the order of the text; the reference code
    has ReLU last. The last layer is a matrix alone, its softmax part of the loss.

    Examples
    --------
    >>> parameter_counts(mnist_fc())
    ParameterCounts(weights=1861632, biases=2058, normalization=4096)
    """
    inputs, width = _checks.count("inputs", inputs), _checks.count("width", width)
    dropout, normalize = _checks.fraction("dropout", dropout), _checks.flag("normalize", normalize)
    layers: list[nn.Module] = [nn.Flatten(), nn.Dropout(dropout)]
    for fan_in in (inputs, width):
        layers += [nn.Linear(fan_in, width), nn.ReLU()]
        layers += [*[nn.BatchNorm1d(width)] * normalize, nn.Dropout(dropout)]
    return nn.Sequential(*layers, nn.Linear(width, 10))


def lenet(
    *,
    side: int = 28,
    channels: tuple[int, int] = (20, 50),
    kernel: int = 5,
    pools: tuple[int, int] = (3, 2),
    width: int = 500,
    dropout: float = 0.25,
) -> nn.Sequential:
    r"""Two convolutions with maxima over patches and one hidden layer, for ten classes.

    .. math:: \text{input}_{28\times28} \to \text{conv}_{20,5,3} \to \text{drop}_{0.25}
       \to \text{conv}_{50,5,2} \to \text{drop}_{0.25} \to \text{fc}_{500} \to \text{drop}_{0.25}
       \to \text{fc}_{10}

    Parameters
    ----------
    side : int
        Height and width of an image in pixels.
    channels : tuple of int
        Output channels of the convolutions.
    kernel : int
        Side of their patches.
    pools : tuple of int
        Sides of the patches whose maxima are kept.
    width : int
        Units in the hidden layer.
    dropout : float
        Probability in [0, 1) that an activation is zeroed while training.

    Returns
    -------
    torch.nn.Sequential
        From images (n, 1, side, side) to logits (n, 10).

    Raises
    ------
    ValueError
        If a size is no positive integer, nothing of the image is left for the hidden layer, or
        `dropout` is outside [0, 1).

    Notes
    -----
    DR, Section 8.2.2. The printed 131,220 is met exactly by convolutions without padding
    (28 - 24 - 8 - 4 - 2 pixels), biases everywhere, and batch normalization behind the
    convolutions only: 130,500 + 580 + 140. The text would normalize the hidden layer too, which
    adds 1000. With padding by 2 the hidden layer sees 800 numbers and not 200: 431,220.

    Examples
    --------
    >>> sum(parameter_counts(lenet()))
    131220
    """
    side, kernel = _checks.count("side", side), _checks.count("kernel", kernel)
    width, dropout = _checks.count("width", width), _checks.fraction("dropout", dropout)
    layers: list[nn.Module] = []
    fans, sizes = _pair("channels", channels, _checks.count), _pair("pools", pools, _checks.count)
    left, fan_in = side, 1
    for fan_out, pool in zip(fans, sizes, strict=True):
        layers += [nn.Conv2d(fan_in, fan_out, kernel), nn.ReLU(), nn.BatchNorm2d(fan_out)]
        layers += [nn.MaxPool2d(pool), nn.Dropout(dropout)]
        left, fan_in = (left - kernel + 1) // pool, fan_out
        if left < 1:
            _checks.reject("side", side, "pixels left behind both pools", "use larger images")
    layers += [nn.Flatten(), nn.Linear(fan_in * left**2, width), nn.ReLU(), nn.Dropout(dropout)]
    return nn.Sequential(*layers, nn.Linear(width, 10))


def all_cnn(
    *,
    colors: int = 3,
    widths: tuple[int, int] = (96, 192),
    dropouts: tuple[float, float] = (0.2, 0.5),
) -> nn.Sequential:
    r"""Convolutions alone, the last averaged over the image, for ten classes.

    .. math:: \text{input}_{3\times32\times32} &\to \text{drop}_{0.2} \to \text{block}_{96,3}
       \to \text{block}_{192,3} \\
       &\to (\text{conv}_{192,3})^2 \to \text{conv}_{10} \to \text{mean-pool}_{10}

    Here :math:`\text{block}_{d,3} = \text{conv}_{d,3}\to\text{conv}_{d,3}\to\text{conv}^*_{d,3}
    \to\text{drop}_{0.5}`, and :math:`\text{conv}^*` keeps every second pixel.

    Parameters
    ----------
    colors : int
        Channels of an image.
    widths : tuple of int
        Output channels of the convolutions of the two blocks.
    dropouts : tuple of float
        Probability in [0, 1) that a pixel of the image, and an activation behind a block, is
        zeroed while training.

    Returns
    -------
    torch.nn.Sequential
        From images (n, colors, height, width) of any size to logits (n, 10).

    Raises
    ------
    ValueError
        If a size is no positive integer or a dropout is outside [0, 1).

    Notes
    -----
    DR, Section 8.3. The printed 1.67 million is met by 3x3 patches with padding 1, 1x1 in
    the last layer, biases everywhere and batch normalization behind all but the last:
    1,663,392 + 1258 + 2496 = 1,667,146. Without normalization it would round to 1.66. All-CNN-C
    of Springenberg et al., which the text names as the model, has 1x1 patches in the second of
    the two convolutions behind the blocks, hence 1,372,234 parameters.

    Examples
    --------
    >>> sum(parameter_counts(all_cnn()))
    1667146
    """
    first, second = _pair("widths", widths, _checks.count)
    image, hidden = _pair("dropouts", dropouts, _checks.fraction)
    fans = (_checks.count("colors", colors), *[first] * 3, *[second] * 5)
    layers: list[nn.Module] = [nn.Dropout(image)]
    for k, (fan_in, fan_out) in enumerate(pairwise(fans)):
        thins = k in (2, 5)
        layers.append(nn.Conv2d(fan_in, fan_out, 3, stride=1 + thins, padding=1))
        layers += [nn.ReLU(), nn.BatchNorm2d(fan_out), *[nn.Dropout(hidden)] * thins]
    return nn.Sequential(*layers, nn.Conv2d(second, 10, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())


def small_fc() -> nn.Sequential:
    """The twin of `mnist_fc` for digits of 8 x 8 pixels: 64-32-32-10, 3594 parameters."""
    return mnist_fc(inputs=64, width=32)


def small_lenet() -> nn.Sequential:
    """The twin of `lenet` for digits of 8 x 8 pixels (8 - 6 - 3 - 1): 2170 parameters."""
    return lenet(side=8, channels=(8, 16), kernel=3, pools=(2, 1), width=32)


def small_all_cnn() -> nn.Sequential:
    """The twin of `all_cnn` for digits of 8 x 8 pixels (8 - 4 - 2): 12,074 parameters."""
    return all_cnn(colors=1, widths=(8, 16))


#: The networks by name, each with how to build it and the name of its data.
NETWORKS = {
    "mnist_fc": Network(mnist_fc, "mnist"),
    "lenet": Network(lenet, "mnist"),
    "all_cnn": Network(all_cnn, "cifar10"),
    "small_fc": Network(small_fc, "digits"),
    "small_lenet": Network(small_lenet, "digits"),
    "small_all_cnn": Network(small_all_cnn, "digits"),
}


class ParameterCounts(NamedTuple):
    """The parameters of a network by kind."""

    weights: int
    biases: int
    normalization: int


def parameter_counts(model: nn.Module) -> ParameterCounts:
    """Count weights, biases, and the parameters of batch normalization.

    Parameters
    ----------
    model : torch.nn.Module
        Of matrices, convolutions and batch normalization.

    Returns
    -------
    ParameterCounts
        Whose sum is the number of all parameters.

    Raises
    ------
    ValueError
        If `model` is no module.

    Examples
    --------
    >>> parameter_counts(nn.Linear(3, 2))
    ParameterCounts(weights=6, biases=2, normalization=0)
    """
    _checks.kind("model", model, nn.Module)
    counts = {"weights": 0, "biases": 0, "normalization": 0}
    for layer in model.modules():
        normalizes = isinstance(layer, nn.modules.batchnorm._BatchNorm)
        for name, entry in layer.named_parameters(recurse=False):
            kind = "biases" if name == "bias" else "weights"
            counts["normalization" if normalizes else kind] += entry.numel()
    return ParameterCounts(**counts)


def _pair(name: str, values: object, check: Callable[[str, Any], Number]) -> list[Number]:
    """Two numbers, each as ``check(name, number)`` returns it."""
    found = _checks.array(name, values)
    _checks.shape(name, found, (2,), f"pass two numbers as {name}")
    return [check(f"{name}[{k}]", entry) for k, entry in enumerate(found)]
