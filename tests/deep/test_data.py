"""Images: what is read, what is refused, and what preprocessing does to them."""

import gzip
import hashlib
import os
import struct

import numpy as np
import pytest
import torch
from scipy.stats import special_ortho_group

from relaxlib.deep import data
from relaxlib.deep.data import digits, global_contrast, mnist, zca

# The checksums of small files stand in for those that are published; contrast and whitening are
# asked by themselves, since the 3072 pixels of an image would take minutes.
needs_mnist = pytest.mark.skipif(
    "RELAXLIB_DATA" not in os.environ, reason="RELAXLIB_DATA names no folder with mnist/"
)


def test_digits_are_split_in_order():
    training, validation = digits()
    assert training.inputs.shape == (1280, 1, 8, 8)
    assert validation.inputs.shape == (517, 1, 8, 8)
    assert training.inputs.dtype == torch.float32
    assert training.targets.dtype == torch.int64
    assert training.inputs.min() == 0.0
    assert training.inputs.max() == 1.0
    assert training.targets[:10].tolist() == list(range(10))
    assert training.to("cpu").inputs.shape == training.inputs.shape


@needs_mnist
def test_mnist_is_read_as_published():
    training, validation = mnist()
    assert training.inputs.shape == (60_000, 1, 28, 28)
    assert validation.inputs.shape == (10_000, 1, 28, 28)
    assert training.targets[:8].tolist() == [5, 0, 4, 1, 9, 2, 1, 3]
    assert validation.targets[:8].tolist() == [7, 2, 1, 0, 4, 1, 4, 9]
    assert training.inputs.max() == 1.0
    assert training.inputs.double().mean().item() == pytest.approx(0.1306605, abs=1e-7)


def test_data_that_are_missing_are_named_with_their_source(monkeypatch, tmp_path):
    monkeypatch.delenv("RELAXLIB_DATA", raising=False)
    message = r"RELAXLIB_DATA = unset: need a folder .* mnist/train-images-idx3-ubyte, from http"
    with pytest.raises(ValueError, match=message):
        mnist()
    monkeypatch.setenv("RELAXLIB_DATA", str(tmp_path))
    message = "need the file mnist/train-images-idx3-ubyte, or train-images-idx3-ubyte.gz beside it"
    with pytest.raises(ValueError, match=message):
        mnist()
    with pytest.raises(ValueError, match=r"cifar-10-batches-py/data_batch_1, .* get it from http"):
        data.cifar10()


@pytest.fixture
def small_mnist(monkeypatch, tmp_path):
    """Two images to train on and one to validate, with checksums of their own."""
    parts = [
        struct.pack(">4B3I", 0, 0, 8, 3, 2, 1, 2) + bytes([0, 255, 51, 102]),
        struct.pack(">4BI", 0, 0, 8, 1, 2) + bytes([3, 9]),
        struct.pack(">4B3I", 0, 0, 8, 3, 1, 1, 2) + bytes([255, 0]),
        struct.pack(">4BI", 0, 0, 8, 1, 1) + bytes([7]),
    ]
    folder = tmp_path / "mnist"
    folder.mkdir()
    for name, part in zip(data.MNIST, parts, strict=True):
        (folder / name).write_bytes(part)
        monkeypatch.setitem(data.MNIST, name, hashlib.sha256(part).hexdigest())
    monkeypatch.setenv("RELAXLIB_DATA", str(tmp_path))
    return folder


def pack(path):
    path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()


def test_files_may_be_packed_or_not(small_mnist):
    plain = mnist()
    for name in data.MNIST:
        pack(small_mnist / name)
    for first, second in zip(plain, mnist(), strict=True):
        torch.testing.assert_close(first, second, rtol=0.0, atol=0.0)
    torch.testing.assert_close(plain.training.inputs.ravel(), torch.tensor([0.0, 1.0, 0.2, 0.4]))
    assert plain.training.targets.tolist() == [3, 9]
    assert plain.validation.targets.tolist() == [7]


def own_folder(path):
    content = path.read_bytes()
    path.unlink()
    path.mkdir()
    (path / path.name).write_bytes(content)


def unpacked_under_the_name_of_a_packed_one(path):
    path.rename(path.with_name(f"{path.name}.gz"))


def packed_without_its_suffix(path):
    path.write_bytes(gzip.compress(path.read_bytes()))


def dotted(path):
    path.rename(path.with_name(path.name.replace("-idx", ".idx")))


def dotted_in_a_folder(path):
    path = path.rename(path.with_name(path.name.replace("-idx", ".idx")))
    own_folder(path)


@pytest.mark.parametrize("raw", [False, True])
@pytest.mark.parametrize(
    "change",
    [own_folder, unpacked_under_the_name_of_a_packed_one, packed_without_its_suffix, dotted,
     dotted_in_a_folder, pack],
)  # fmt: skip
def test_files_are_known_by_their_other_names(small_mnist, change, raw):
    plain = mnist()
    for name in data.MNIST:
        change(small_mnist / name)
    if raw:
        (small_mnist.parent / "MNIST").mkdir(exist_ok=True)
        small_mnist.rename(small_mnist.parent / "MNIST" / "raw")
    for first, second in zip(plain, mnist(), strict=True):
        torch.testing.assert_close(first, second, rtol=0.0, atol=0.0)


def test_an_empty_folder_of_the_name_of_a_file_is_named(small_mnist):
    path = small_mnist / "train-labels-idx1-ubyte"
    path.unlink()
    path.mkdir()
    message = "beside it, or in the folder mnist/train-labels-idx1-ubyte; get it from http"
    with pytest.raises(ValueError, match=message):
        mnist()


def test_other_content_is_refused(small_mnist):
    path = small_mnist / "t10k-labels-idx1-ubyte"
    path.write_bytes(path.read_bytes()[:-1] + b"\x08")
    with pytest.raises(ValueError, match=r"t10k-labels-idx1-ubyte = sha256 .*: need the published"):
        mnist()


def test_half_a_download_is_refused(small_mnist):
    path = small_mnist / "train-labels-idx1-ubyte"
    pack(path)
    packed = path.with_name(f"{path.name}.gz")
    packed.write_bytes(packed.read_bytes()[:-9])
    with pytest.raises(ValueError, match=r"ubyte.gz = damaged: need a complete gzip file; get it"):
        mnist()


def python2(value):
    """Pickle opcodes as Python 2 wrote them, strings of bytes included."""
    if isinstance(value, dict):
        return b"}(" + b"".join(python2(k) + python2(v) for k, v in value.items()) + b"u"
    if isinstance(value, list):
        return b"](" + b"".join(map(python2, value)) + b"e"
    if isinstance(value, int):
        return b"K" + bytes([value])
    if isinstance(value, str):
        return b"U" + bytes([len(value)]) + value.encode("latin1")
    shape = b"".join(b"J" + struct.pack("<i", length) for length in value.shape)
    empty = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85U\x01b\x87R"
    dtype = (
        b"cnumpy\ndtype\nU\x02u1K\0K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb"
    )
    entries = b"T" + struct.pack("<i", value.size) + value.tobytes()
    return empty + b"(K\x01" + shape + b"\x86" + dtype + b"\x89" + entries + b"tb"


@pytest.fixture
def small_cifar(monkeypatch, tmp_path):
    """Two images in each batch, in the format that is published."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    pixels = rng.integers(0, 256, (12, 3072), np.uint8)
    labels = rng.integers(0, 10, 12).tolist()
    for k, name in enumerate(data.CIFAR10):
        part = slice(2 * k, 2 * k + 2)
        batch = {
            "batch_label": f"training batch {k + 1} of 5",
            "labels": labels[part],
            "data": pixels[part],
            "filenames": ["camion_s_000148.png", "cur_s_000170.png"],
        }
        content = b"\x80\x02" + python2(batch) + b"."
        (folder / name).write_bytes(content)
        monkeypatch.setitem(data.CIFAR10, name, hashlib.md5(content).hexdigest())
    monkeypatch.setenv("RELAXLIB_DATA", str(tmp_path))
    return folder, pixels, labels


def test_cifar_is_contrast_normalized_and_whitened(small_cifar, monkeypatch):
    folder, pixels, labels = small_cifar
    monkeypatch.setattr(data, "zca", narrow_zca)
    training, validation = data.cifar10()
    assert training.targets.tolist() + validation.targets.tolist() == labels
    images = global_contrast(pixels)
    expected = (images - images[:10].mean(axis=0)) * 2.0
    found = torch.cat([training.inputs, validation.inputs])
    assert found.shape == (12, 3, 32, 32)
    np.testing.assert_allclose(found.reshape(12, -1), expected, atol=1e-7)
    (folder / "test_batch").write_bytes(b"\x80")
    with pytest.raises(ValueError, match=r"test_batch = md5 .*: need the published content"):
        data.cifar10()


def narrow_zca(images, *, regularization):
    """A stand-in without the eigenvalues of 3072 pixels: only the training images, twice."""
    assert images.shape == (10, 3072)
    assert regularization == pytest.approx(3.306e-5, rel=1e-3)
    return images.mean(axis=0), 2.0 * np.eye(3072)


@pytest.fixture(scope="module")
def correlated():
    rng = np.random.default_rng(0)
    return rng.normal(size=(2000, 48)) @ rng.normal(size=(48, 48)) + rng.normal(size=48)


def test_contrast_normalization_gives_mean_zero_and_norm_one(correlated):
    images = global_contrast(correlated)
    assert np.abs(images.mean(axis=1)).max() < 1e-12
    assert np.abs(np.linalg.norm(images, axis=1) - 1.0).max() < 1e-12
    np.testing.assert_allclose(global_contrast(3.0 * correlated + 2.0), images, atol=1e-12)


@pytest.mark.parametrize("regularization", [0.0, 0.01])
def test_covariance_behind_zca(correlated, regularization):
    """DR, Section 8.1.1: the identity without regularization, U diag(w/(w+r)) U^T with it."""
    mean, matrix = zca(correlated, regularization=regularization)
    white = (correlated - mean) @ matrix
    values, vectors = np.linalg.eigh(np.cov(correlated.T, bias=True))
    expected = (vectors * values / (values + regularization)) @ vectors.T
    np.testing.assert_allclose(np.cov(white.T, bias=True), expected, atol=1e-9)
    assert (np.abs(expected - np.eye(48)).max() < 1e-9) == (regularization == 0.0)
    restored = np.linalg.solve(matrix, white.T).T + mean
    np.testing.assert_allclose(restored, correlated, atol=1e-10)


def test_zca_moves_the_images_least(correlated):
    mean, matrix = zca(correlated, regularization=0.0)
    shifted = correlated - mean
    white = shifted @ matrix
    least = np.linalg.norm(white - shifted)
    _, vectors = np.linalg.eigh(np.cov(correlated.T))
    others = [vectors, *special_ortho_group.rvs(48, size=10, random_state=0)]
    assert all(np.linalg.norm(white @ turn - shifted) > 1.1 * least for turn in others)
