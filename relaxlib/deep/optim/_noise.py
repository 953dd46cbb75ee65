r"""White noise for tensors, as a function of a key and a count.

There is no state: a number's place determines it, so that a run goes on bit for bit from a seed
and a count of steps. On the CPU the bits are Threefry-2x32 with 13 rounds (Salmon, Moraes, Dror &
Shaw 2011), turned into normals by the method of Box and Muller in single precision, all in one
vectorized loop; elsewhere it is torch's own generator, started anew by key and count.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numba import njit, types

from relaxlib._lanes.compilation import INLINE, LOOP
from relaxlib._lanes.elementary import reinterpretation

SCALARS = {torch.float32: np.float32, torch.float64: np.float64}
WORDS = 2**32  # numbers that a part of a key, or a count, can be
_PARITY = np.uint32(0x1BD11BDA)
_ODD, _EVEN = (13, 15, 26, 6), (17, 29, 16, 24)  # bits by which rounds turn a word
_ONE = np.uint32(0x3F800000)  # bits of 1.0
_ROOT_HALF = np.uint32(0x3F3504F3)  # bits of 0.7071
_TWO_23 = np.uint32(0x4B000000)  # bits of 2**23
_LOG_2 = np.float32(6.9313812256e-01), np.float32(9.0580006145e-06)  # log 2 in two parts
_LOG = tuple(np.array([0.66666662693, 0.40000972152, 0.28498786688, 0.24279078841], np.float32))
_SIN = tuple(np.array([-1.6666654611e-1, 8.3321608736e-3, 1.9515295891e-4], np.float32))
_COS = tuple(np.array([4.1666645683e-2, -1.3887316255e-3, 2.4433157118e-5], np.float32))
_HALF_PI = np.float32(np.pi / 2)


def add_normals_(tensor: torch.Tensor, scale: float, *, key: tuple[int, int], count: int) -> None:
    r"""Add white noise in place, :math:`y \leftarrow y + s\,\xi` with :math:`\xi \sim N(0, I)`.

    Parameters
    ----------
    tensor : torch.Tensor
        Real numbers of any precision and shape, up to :math:`2^{33}` of them.
    scale : float
        The standard deviation s.
    key : tuple of int
        Two numbers in :math:`[0, 2^{32})`: another key, other noise.
    count : int
        A third one: another count, other noise.

    Notes
    -----
    :math:`|\xi| < 5.7` on the CPU, where a uniform number has 23 bits.

    Examples
    --------
    >>> y = torch.zeros(3)
    >>> add_normals_(y, 1.0, key=(7, 0), count=0)
    >>> add_normals_(y, -1.0, key=(7, 0), count=0)
    >>> y.tolist()
    [0.0, 0.0, 0.0]
    """
    if tensor.device.type == "cpu" and tensor.is_contiguous() and tensor.dtype in SCALARS:
        entries = tensor.detach().view(-1).numpy()
        add_own(*(np.uint32(word) for word in (*key, count)), SCALARS[tensor.dtype](scale), entries)
    else:
        add_torch(tensor, scale, key, count)


def add_torch(tensor: torch.Tensor, scale: float, key: tuple[int, int], count: int) -> None:
    """The same with the generator of the tensor's device."""
    first, second = threefry(*(np.uint32(word) for word in (*key, count, 0)))
    generator = torch.Generator(tensor.device).manual_seed(int(first) * WORDS + int(second))
    noise = torch.empty(tensor.shape, device=tensor.device, dtype=torch.float32)
    tensor.add_(noise.normal_(generator=generator), alpha=scale)


@njit(**LOOP)
def add_own(key0, key1, count, scale, entries):
    """Add the normals of key and count, times ``scale``, to ``entries`` (n,)."""
    half = len(entries) // 2
    for i in range(half):
        first, second = _normal_pair(key0, key1, np.uint32(i), count)
        entries[i] += scale * first
        entries[half + i] += scale * second
    if len(entries) % 2:
        entries[-1] += scale * _normal_pair(key0, key1, np.uint32(half), count)[0]


@njit(**INLINE)
def _normal_pair(key0, key1, counter0, counter1):
    """Two independent standard normals."""
    first, second = threefry(key0, key1, counter0, counter1)
    radius = math.sqrt(np.float32(-2.0) * _logarithm(np.float32(2.0) - _unit(first)))
    quarter = second >> np.uint32(30)
    angle = _HALF_PI * (_unit(second << np.uint32(2)) - np.float32(1.5))
    near, far = _cosine_and_sine(angle)
    swap = (quarter & np.uint32(1)) != np.uint32(0)
    cosine, sine = (far * radius, near * radius) if swap else (near * radius, far * radius)
    return _flip(cosine, quarter ^ (quarter >> np.uint32(1))), _flip(sine, quarter >> np.uint32(1))


@njit(**INLINE)
def threefry(key0, key1, counter0, counter1):
    """Two words of 32 bits, uniform, from four."""
    key2 = _PARITY ^ key0 ^ key1
    x, y = np.uint32(counter0 + key0), np.uint32(counter1 + key1)
    x, y = _four_rounds(x, y, _ODD, key1, key2, np.uint32(1))
    x, y = _four_rounds(x, y, _EVEN, key2, key0, np.uint32(2))
    x, y = _four_rounds(x, y, _ODD, key0, key1, np.uint32(3))
    return _round(x, y, _EVEN[0])


@njit(**INLINE)
def _four_rounds(x, y, turns, key0, key1, block):
    x, y = _round(x, y, turns[0])
    x, y = _round(x, y, turns[1])
    x, y = _round(x, y, turns[2])
    x, y = _round(x, y, turns[3])
    return np.uint32(x + key0), np.uint32(y + key1 + block)


@njit(**INLINE)
def _round(x, y, bits):
    total = np.uint32(x + y)
    turned = np.uint32(y << np.uint32(bits)) | (y >> np.uint32(32 - bits))
    return total, turned ^ total


@njit(**INLINE)
def _unit(bits):
    """A number in [1, 2) from the upper 23 bits."""
    return _as_float((np.uint32(bits) >> np.uint32(9)) | _ONE)


@njit(**INLINE)
def _logarithm(u):
    """log u for 0 < u < inf, as in `relaxlib._lanes.elementary`, in single precision."""
    shifted = np.uint32(_as_bits(u) + (_ONE - _ROOT_HALF))
    exponent = _as_float((shifted >> np.uint32(23)) | _TWO_23) - np.float32(2.0**23 + 127.0)
    f = _as_float(np.uint32((shifted & np.uint32(0x7FFFFF)) + _ROOT_HALF)) - np.float32(1.0)
    s = f / (np.float32(2.0) + f)
    z = s * s
    tail = z * (_LOG[0] + z * (_LOG[1] + z * (_LOG[2] + z * _LOG[3])))
    half = np.float32(0.5) * f * f
    return exponent * _LOG_2[0] - ((half - (s * (half + tail) + exponent * _LOG_2[1])) - f)


@njit(**INLINE)
def _cosine_and_sine(x):
    """Both for abs(x) <= pi/4, by the polynomials of Cephes."""
    z = x * x
    cosine = np.float32(1.0) - np.float32(0.5) * z + z * z * (_COS[0] + z * (_COS[1] + z * _COS[2]))
    return cosine, x + x * z * (_SIN[0] + z * (_SIN[1] - z * _SIN[2]))


@njit(**INLINE)
def _flip(x, sign):
    """x, or -x if the lowest bit of ``sign`` is one."""
    return _as_float(_as_bits(x) ^ np.uint32(np.uint32(sign) << np.uint32(31)))


_as_float = reinterpretation(types.uint32, types.float32)
_as_bits = reinterpretation(types.float32, types.uint32)
