r"""Labeled images to train on: scikit-learn's digits, MNIST and CIFAR-10.

The digits come with scikit-learn. MNIST and CIFAR-10 are read from the folder that the
environment variable RELAXLIB_DATA names, as published, after their checksums have been verified:

| ``mnist/``               four IDX files such as ``train-images-idx3-ubyte``, packed or not
| ``cifar-10-batches-py/`` the six batches of the Python version

MNIST may also be in ``MNIST/raw/``, with names such as ``train-images.idx3-ubyte``, or each file in
a folder of its own name; whether a file is packed its content says, not its name.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import pickle
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from sklearn.datasets import load_digits

from relaxlib import _checks

__all__ = ["Examples", "cifar10", "digits", "mnist"]

MNIST = {  # SHA-256 of the unpacked file, whatever packed it
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
CIFAR10 = {  # MD5, the sums that are published
    "data_batch_1": "c99cafc152244af753f735de768cd75f",
    "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    "test_batch": "40351d587109b95175f43aff81a1287e",
}
MNIST_SOURCE = "https://storage.googleapis.com/cvdf-datasets/mnist/"
CIFAR10_SOURCE = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
PACKED = b"\x1f\x8b"  # what a gzip file begins with
REGULARIZATION = 0.1 / 55**2  # the usual 0.1 for images of norm 55, here of norm 1


class Examples(NamedTuple):
    """Images with their labels."""

    inputs: torch.Tensor  # (N, channels, height, width) float32
    targets: torch.Tensor  # (N,) int64 in 0, ..., 9

    def to(self, device: torch.device) -> Examples:
        """The same on another device."""
        return Examples(self.inputs.to(device), self.targets.to(device))


class ImageData(NamedTuple):
    """What a network is trained on, and what its error is measured on."""

    training: Examples
    validation: Examples


def digits() -> ImageData:
    """scikit-learn's digits of 8 x 8 pixels in [0, 1]: 1280 to train on, 517 to validate.

    Returns
    -------
    ImageData
        The validation images are the last of the data set.

    Examples
    --------
    >>> [tuple(part.inputs.shape) for part in digits()]
    [(1280, 1, 8, 8), (517, 1, 8, 8)]
    """
    pixels, labels = load_digits(return_X_y=True)
    return _split(pixels.reshape(-1, 1, 8, 8) / 16.0, labels, 1280)


def mnist() -> ImageData:
    """MNIST, 60,000 and 10,000 images of 28 x 28 pixels, without preprocessing.

    Returns
    -------
    ImageData
        Pixels in [0, 1].

    Raises
    ------
    ValueError
        If RELAXLIB_DATA is not set, or a file is missing or differs from the published one.
    """
    files = [idx_array(file) for file in _verified("mnist", MNIST, "sha256", MNIST_SOURCE)]
    images, labels = np.concatenate(files[::2]), np.concatenate(files[1::2])
    return _split(images[:, None] / np.float32(255.0), labels, len(files[0]))


def cifar10() -> ImageData:
    """CIFAR-10, 50,000 and 10,000 images of 3 x 32 x 32, contrast normalized and whitened.

    Returns
    -------
    ImageData
        Without augmentation; mean and whitening matrix are those of the training images.

    Raises
    ------
    ValueError
        If RELAXLIB_DATA is not set, or a file is missing or differs from the published one.

    Notes
    -----
    DR, Section 8.1.1, which prints no constants. The whitening takes about half a minute and
    5 GB of memory.
    """
    files = _verified("cifar-10-batches-py", CIFAR10, "md5", CIFAR10_SOURCE)
    batches = [pickle.loads(file, encoding="latin1") for file in files]
    images = global_contrast(np.concatenate([batch["data"] for batch in batches]))
    labels = np.concatenate([batch["labels"] for batch in batches])
    training = len(images) - len(batches[-1]["labels"])
    mean, matrix = zca(images[:training], regularization=REGULARIZATION)
    return _split(((images - mean) @ matrix).reshape(-1, 3, 32, 32), labels, training)


DATA = {"digits": digits, "mnist": mnist, "cifar10": cifar10}


def idx_array(content: bytes) -> np.ndarray:
    """Read an array of bytes in the IDX format.

    Parameters
    ----------
    content : bytes
        Two zeros, the code 8 of unsigned bytes, the number of axes, their lengths as big-endian
        32-bit integers, then the entries.

    Returns
    -------
    numpy.ndarray
        Of that shape, uint8.

    Examples
    --------
    >>> idx_array(bytes([0, 0, 8, 1, 0, 0, 0, 2, 5, 7])).tolist()
    [5, 7]
    """
    shape = np.frombuffer(content, ">u4", count=content[3], offset=4).astype(int)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * len(shape)).reshape(shape)


def global_contrast(images: np.ndarray) -> np.ndarray:
    r"""Shift and scale each image to mean zero and norm one.

    .. math:: a \mapsto \frac{a - \bar a}{\lVert a - \bar a\rVert}

    Parameters
    ----------
    images : numpy.ndarray
        One image in each row, (N, d); none is constant.

    Returns
    -------
    numpy.ndarray
        (N, d) float64.

    Notes
    -----
    Coates, Lee & Ng 2010, without their constant in the denominator.

    Examples
    --------
    >>> global_contrast(np.array([[1.0, 1.0, 3.0, 3.0]])).tolist()
    [[-0.5, -0.5, 0.5, 0.5]]
    """
    shifted = images - images.mean(axis=1, keepdims=True)
    return shifted / np.linalg.norm(shifted, axis=1, keepdims=True)


def zca(images: np.ndarray, *, regularization: float) -> tuple[np.ndarray, np.ndarray]:
    r"""Mean and matrix of the whitening that moves the images least.

    .. math:: W = U(\Lambda + \varrho)^{-1/2}U^T, \quad \operatorname{Cov} = U\Lambda U^T,
       \quad a \mapsto W(a - \bar a)

    Parameters
    ----------
    images : numpy.ndarray
        One image in each row, (N, d).
    regularization : float
        The number :math:`\varrho \ge 0` that keeps small eigenvalues from being blown up;
        positive where the covariance is singular.

    Returns
    -------
    mean : numpy.ndarray
        Mean image (d,) float64.
    matrix : numpy.ndarray
        Symmetric whitening matrix (d, d) float64.

    Notes
    -----
    Krizhevsky 2009.

    Examples
    --------
    >>> corners = np.array([[0.0, 0.0], [4.0, 0.0], [0.0, 2.0], [4.0, 2.0]])
    >>> mean, matrix = zca(corners, regularization=0.0)
    >>> mean.tolist(), matrix.tolist()
    ([2.0, 1.0], [[0.5, 0.0], [0.0, 1.0]])
    """
    mean = images.mean(axis=0)
    shifted = images - mean
    values, vectors = np.linalg.eigh(shifted.T @ shifted / len(images))
    scaled = vectors / np.sqrt(np.maximum(values, 0.0) + regularization)
    return mean, scaled @ vectors.T


def _split(images: np.ndarray, labels: np.ndarray, training: int) -> ImageData:
    """The first of the images to train on, the others to validate."""
    inputs = torch.as_tensor(np.ascontiguousarray(images, np.float32))
    targets = torch.as_tensor(np.asarray(labels, np.int64))
    halves = (part.tensor_split([training]) for part in (inputs, targets))
    return ImageData(*map(Examples, *halves))


def _verified(folder: str, sums: dict[str, str], algorithm: str, source: str) -> Iterator[bytes]:
    """The unpacked contents of files in the data folder, each with its checksum verified."""
    if not (home := os.environ.get("RELAXLIB_DATA")):
        fix = f"name a folder that holds {folder}/{next(iter(sums))}, from {source}"
        _checks.reject("RELAXLIB_DATA", "unset", "a folder of data sets", fix)
    for name, digest in sums.items():
        path = _found(Path(home), folder, name, source)
        content = _unpacked(path, source)
        if (found := hashlib.new(algorithm, content).hexdigest()) != digest:
            need = f"the published content, {algorithm} {digest[:8]}..."
            _checks.reject(str(path), f"{algorithm} {found[:8]}...", need, f"get it from {source}")
        yield content


def _found(home: Path, folder: str, name: str, source: str) -> Path:
    """Where a file is, under one of the names that others give it."""
    for place in (home / folder, home / folder.upper() / "raw"):
        for spelled in (name, name.replace("-idx", ".idx")):
            for path in (place / spelled, place / f"{spelled}.gz"):
                inside = (path / spelled, path / f"{spelled}.gz", path)  # in a folder of its name
                for candidate in inside:
                    if candidate.is_file():
                        return candidate
    need = f"the file {folder}/{name}, or {name}.gz beside it"
    if (home / folder / name).is_dir():
        need += f", or in the folder {folder}/{name}"
    return _checks.reject("RELAXLIB_DATA", home, need, f"get it from {source}")


def _unpacked(path: Path, source: str) -> bytes:
    """The content of a file that is packed or not."""
    content = path.read_bytes()
    if not content.startswith(PACKED):
        return content
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error):
        _checks.reject(str(path), "damaged", "a complete gzip file", f"get it from {source}")
