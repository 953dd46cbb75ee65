"""White noise of optimizers, from keys and counts: published bits, moments, layouts."""

import numpy as np
import pytest
import torch
from scipy import stats
from small_training import normals

from relaxlib.deep.optim import EntropySGD

KEY = {"seed": 1, "number": 2, "count": 3}


def threefry(key, counter):
    """Threefry-2x32 with 13 rounds of Salmon et al., word by word in exact integers."""
    mask, keys = 2**32 - 1, [*key, 0x1BD11BDA ^ key[0] ^ key[1]]
    x, y = (counter[0] + keys[0]) & mask, (counter[1] + keys[1]) & mask
    for number in range(13):
        bits = (13, 15, 26, 6, 17, 29, 16, 24)[number % 8]
        x = (x + y) & mask
        y = ((y << bits) & mask | y >> (32 - bits)) ^ x
        if number % 4 == 3:
            block = number // 4 + 1
            x, y = (x + keys[block % 3]) & mask, (y + keys[(block + 1) % 3] + block) & mask
    return x, y


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((0x00000000, 0x00000000, 0x00000000, 0x00000000), (0x9D1C5EC6, 0x8BD50731)),
        ((0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF), (0xFD36D048, 0x2D17272C)),
        ((0x13198A2E, 0x03707344, 0x243F6A88, 0x85A308D3), (0xBA3E4725, 0xF27D669E)),
    ],
)
def test_the_reference_has_the_bits_that_its_authors_publish(words, expected):
    assert threefry(words[:2], words[2:]) == expected


def pair(key, counter):
    """Two normals by Box and Muller from 23 bits of each word, in double precision."""
    first, second = threefry(key, counter)
    radius = np.sqrt(-2.0 * np.log(1.0 - (first >> 9) / 2**23))
    angle = np.pi / 2 * ((second >> 30) + (second % 2**30 >> 7) / 2**23 - 0.5)
    return radius * np.cos(angle), radius * np.sin(angle)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("key", [KEY, {"seed": 2**32 - 1, "number": 0, "count": 2**32 - 1}])
def test_normals_are_those_of_box_and_muller(dtype, key):
    """Of the bits of place, key and count: the cosines first, then the sines, for an odd size."""
    words = key["seed"], key["number"]
    pairs = [pair(words, (place, key["count"])) for place in range(501)]
    expected = np.concatenate([np.array(pairs)[:500].T.ravel(), pairs[500][:1]])
    found = normals(torch.zeros(1001, dtype=dtype), **key)
    np.testing.assert_allclose(found, expected, rtol=0.0, atol=2e-6)


def test_moments_and_distribution_are_standard_normal():
    found = normals(1_000_001, **KEY).numpy()
    for power, moment, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        error = np.mean(found**power) - moment
        assert abs(error) < 4 * np.sqrt(variance / len(found)), power
    assert stats.kstest(found, "norm").pvalue > 1e-3
    assert 4.0 < abs(found).max() < 5.7


def test_both_normals_of_a_pair_are_independent():
    first, second = normals(1_000_000, **KEY).numpy().reshape(2, -1)
    for power, variance in ((1, 1.0), (2, 8.0)):
        error = np.mean(first**power * second**power) - (power == 2)
        assert abs(error) < 4 * np.sqrt(variance / len(first)), power


@pytest.mark.parametrize("other", [{"seed": 2}, {"number": 3}, {"count": 4}])
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_another_seed_parameter_or_count_is_other_noise(other, dtype):
    zeros = torch.zeros(100_000, dtype=dtype)
    one, two = normals(zeros, **KEY).double(), normals(zeros, **KEY | other).double()
    assert abs((one * two).mean()) < 4 / np.sqrt(100_000)


def test_it_is_added_with_its_scale():
    """The deviation is sqrt(2 h T), here 2."""
    x = torch.nn.Parameter(torch.zeros(3, 5, dtype=torch.float64))
    optimizer = EntropySGD([x], inner_lr=0.2, temperature=10.0, seed=1)
    x.grad = torch.zeros_like(x)
    optimizer.step()
    torch.testing.assert_close(x.detach(), 2.0 * normals((3, 5), seed=1))


def strided(rows):
    return torch.zeros(2, rows).t()


@pytest.mark.parametrize("tensor", [strided(50_000), torch.zeros(100_000, dtype=torch.bfloat16)])
def test_other_layouts_and_precisions_get_noise_too(tensor):
    found = normals(tensor, **KEY)
    assert abs(found.float().std() - 1.0) < 4 / np.sqrt(200_000)
    assert torch.equal(normals(tensor, **KEY), found)


def test_the_default_precision_of_torch_does_not_matter():
    found = []
    for precision in (torch.float32, torch.float64):
        torch.set_default_dtype(precision)
        try:
            found.append(normals(torch.zeros(2, 500, dtype=torch.float32).t(), **KEY).double())
        finally:
            torch.set_default_dtype(torch.float32)
    assert torch.equal(*found)


@pytest.mark.parametrize("shape", [(), (0,), (1,), (3, 0)])
def test_single_numbers_and_empty_tensors(shape):
    found = normals(shape, **KEY)
    assert found.shape == shape
    assert torch.equal(found, normals(shape, **KEY))
    assert (found != 0.0).all()


def test_a_count_beyond_its_words_is_an_error():
    with pytest.raises(OverflowError):
        normals(3, seed=1, count=2**32)
