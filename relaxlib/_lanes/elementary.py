"""Logarithm, sine, cosine and hyperbolic tangent without a branch, for loops over many paths.

numba's wheels carry no vector mathematics library: a call of libm in a loop over 64 lanes would
stop LLVM from using vector registers. Polynomial coefficients are those of Sun's fdlibm.
"""

from __future__ import annotations

from math import factorial

import numpy as np
from numba import njit, types
from numba.extending import intrinsic

from relaxlib._lanes.compilation import OPTIONS

_ONE = np.uint64(0x3FF0000000000000)  # bits of 1.0
_MANTISSA = np.uint64(0x000FFFFFFFFFFFFF)
_ROOT_HALF = np.uint64(0x3FE6A09E00000000)  # bits of 0.7071
_TWO_52 = np.uint64(0x4330000000000000)  # bits of 2**52
_TAYLOR = tuple(1 / factorial(k) for k in range(13, 0, -1))  # of expm1, its last term first
_LOG_2 = 6.93147180369123816490e-01, 1.90821492927058770002e-10  # log 2 in two parts


@njit(**OPTIONS)
def logarithm(u):
    """log u for 0 < u < inf: u = 2^k m with m near 1, log m = 2 atanh((m-1)/(m+1))."""
    shifted = as_bits(u) + (_ONE - _ROOT_HALF)
    exponent = as_float((shifted >> np.uint64(52)) | _TWO_52) - (2.0**52 + 1023.0)
    f = as_float((shifted & _MANTISSA) + _ROOT_HALF) - 1.0
    s = f / (2.0 + f)
    z = s * s
    tail = z * (
        6.666666666666735130e-01 + z * (
            3.999999999940941908e-01 + z * (
                2.857142874366239149e-01 + z * (
                    2.222219843214978396e-01 + z * (
                        1.818357216161805012e-01 + z * (
                            1.531383769920937332e-01 + z * 1.479819860511658591e-01
                        )))))
    )  # fmt: skip
    half = 0.5 * f * f
    return exponent * _LOG_2[0] - ((half - (s * (half + tail) + exponent * _LOG_2[1])) - f)


@njit(**OPTIONS)
def sine(x):
    """sin x for abs(x) <= pi/4."""
    z = x * x
    return x + x * z * (
        -1.66666666666666324348e-01 + z * (
            8.33333333332248946124e-03 + z * (
                -1.98412698298579493134e-04 + z * (
                    2.75573137070700676789e-06 + z * (
                        -2.50507602534068634195e-08 + z * 1.58969099521155010221e-10
                    ))))
    )  # fmt: skip


@njit(**OPTIONS)
def cosine(x):
    """cos x for abs(x) <= pi/4."""
    z = x * x
    return 1.0 - 0.5 * z + z * z * (
        4.16666666666666019037e-02 + z * (
            -1.38888888888741095749e-03 + z * (
                2.48015872894767294178e-05 + z * (
                    -2.75573143513906633035e-07 + z * (
                        2.08757232129817482790e-09 - z * 1.13596475577881948265e-11
                    ))))
    )  # fmt: skip


@njit(**OPTIONS)
def tanh(x):
    r"""tanh x for any x: with :math:`e = \mathrm{expm1}(-2|x|)` it is :math:`\mp e/(2 + e)`.

    :math:`-2|x| = k\log 2 + r` with integer k and small r;
    :math:`e = 2^k(\mathrm{expm1}(r) + 1) - 1`.
    """
    y = -2.0 * min(abs(x), 20.0)
    shifted = y * 1.4426950408889634 + 6755399441055744.0  # 1.5 * 2**52 rounds to an integer
    k = shifted - 6755399441055744.0
    r = (y - k * _LOG_2[0]) - k * _LOG_2[1]
    series = r * _TAYLOR[0]
    for coefficient in _TAYLOR[1:]:
        series = (series + coefficient) * r
    scale = as_float((as_bits(shifted) + np.uint64(1023)) << np.uint64(52))
    e = scale * series + (scale - 1.0)
    size = -e / (2.0 + e)
    return size if x >= 0.0 else -size


def reinterpretation(source, target):
    """A compiled function that takes the bits of a number of one numba type for another's."""

    @intrinsic
    def reinterpret(typing, number):
        def code(context, builder, signature, arguments):
            return builder.bitcast(arguments[0], context.get_value_type(target))

        return target(source), code

    return reinterpret


as_float = reinterpretation(types.uint64, types.float64)
as_bits = reinterpretation(types.float64, types.uint64)
