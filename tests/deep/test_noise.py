"""White noise from keys and counts: published bits, moments, independence, layouts."""

import numpy as np
import pytest
import torch
from scipy import stats

from relaxlib.deep.optim._noise import add_normals_, add_torch, threefry


def noise(size, *, key=(1, 2), count=3, dtype=torch.float32):
    found = torch.zeros(size, dtype=dtype)
    add_normals_(found, 1.0, key=key, count=count)
    return found


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((0x00000000, 0x00000000, 0x00000000, 0x00000000), (0x9D1C5EC6, 0x8BD50731)),
        ((0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF), (0xFD36D048, 0x2D17272C)),
        ((0x13198A2E, 0x03707344, 0x243F6A88, 0x85A308D3), (0xBA3E4725, 0xF27D669E)),
    ],
)
def test_bits_are_those_that_its_authors_publish(words, expected):
    assert threefry(*(np.uint32(word) for word in words)) == expected


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_normals_are_those_of_box_and_muller(dtype):
    """Of the bits of place, key and count: the cosines first, then the sines, for an odd size."""
    pairs = []
    for place in range(501):
        first, second = threefry(*(np.uint32(word) for word in (1, 2, place, 3)))
        radius = np.sqrt(-2.0 * np.log(1.0 - (int(first) >> 9) / 2**23))
        angle = np.pi / 2 * ((int(second) >> 30) + (int(second) % 2**30 >> 7) / 2**23 - 0.5)
        pairs.append((radius * np.cos(angle), radius * np.sin(angle)))
    expected = np.concatenate([np.array(pairs)[:500].T.ravel(), pairs[500][:1]])
    np.testing.assert_allclose(noise(1001, dtype=dtype), expected, rtol=0.0, atol=2e-6)


def test_moments_and_distribution_are_standard_normal():
    found = noise(1_000_001, dtype=torch.float64).numpy()
    for power, moment, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        error = np.mean(found**power) - moment
        assert abs(error) < 4 * np.sqrt(variance / len(found)), power
    assert stats.kstest(found, "norm").pvalue > 1e-3
    assert 4.0 < abs(found).max() < 5.7


def test_both_normals_of_a_pair_are_independent():
    first, second = noise(1_000_000, dtype=torch.float64).numpy().reshape(2, -1)
    for power, variance in ((1, 1.0), (2, 8.0)):
        error = np.mean(first**power * second**power) - (power == 2)
        assert abs(error) < 4 * np.sqrt(variance / len(first)), power


@pytest.mark.parametrize("other", [{"key": (2, 2)}, {"key": (1, 3)}, {"count": 4}])
def test_another_key_or_count_is_other_noise(other):
    one, two = noise(100_000), noise(100_000, **other)
    assert abs((one * two).mean()) < 4 / np.sqrt(100_000)


def test_it_is_added_with_its_scale_and_again_the_same():
    start = torch.full((3, 5), 7.0, dtype=torch.float64)
    twice = start.clone()
    add_normals_(twice, 0.5, key=(1, 2), count=3)
    torch.testing.assert_close(twice, start + 0.5 * noise((3, 5), dtype=torch.float64))


def strided(rows):
    return torch.zeros(2, rows).t()


@pytest.mark.parametrize("tensor", [strided(50_000), torch.zeros(100_000, dtype=torch.bfloat16)])
def test_other_layouts_and_precisions_get_noise_too(tensor):
    add_normals_(tensor, 2.0, key=(1, 2), count=3)
    assert abs(tensor.float().std() / 2.0 - 1.0) < 4 / np.sqrt(200_000)
    again = torch.zeros_like(tensor)
    add_torch(again, 2.0, (1, 2), 3)
    assert torch.equal(again, tensor)
    add_torch(again, -2.0, (1, 2), 4)
    assert not torch.equal(again, torch.zeros_like(again))


def test_the_default_precision_of_torch_does_not_matter():
    found = []
    for precision in (torch.float32, torch.float64):
        torch.set_default_dtype(precision)
        try:
            found.append(strided(500).double())
            add_normals_(found[-1], 1.0, key=(1, 2), count=3)
        finally:
            torch.set_default_dtype(torch.float32)
    assert torch.equal(*found)


@pytest.mark.parametrize("shape", [(), (0,), (1,), (3, 0)])
def test_single_numbers_and_empty_tensors(shape):
    found = noise(shape)
    assert found.shape == shape
    assert torch.equal(found, noise(shape))
    assert (found != 0.0).all()


def test_a_count_beyond_its_words_is_an_error():
    with pytest.raises(OverflowError):
        noise(3, count=2**32)
