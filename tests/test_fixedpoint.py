"""Fixed-point arithmetic: against exact fractions, against gemmlowp's own tests, and the Python against the C twin."""

from __future__ import annotations

import ctypes
import math
from fractions import Fraction
from importlib.resources import files

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from millijoule import fixedpoint
from millijoule.fixedpoint import INT32_MAX, INT32_MIN
from millijoule.run.host import build_host

int32 = st.integers(INT32_MIN, INT32_MAX)
multipliers = st.one_of(st.just(0), st.integers(2**30, INT32_MAX))
EDGES = (INT32_MIN, INT32_MIN + 1, -(2**30), -3, -2, -1, 0, 1, 2, 3, 2**30 - 1, 2**30, INT32_MAX - 1, INT32_MAX)

# C function: number of its int32 arguments.
TWINS = {
    "saturating_rounding_doubling_high_mul": 2,
    "rounding_divide_by_pot": 2,
    "multiply_by_quantized_multiplier": 3,
    "clamp": 3,
    "wrapping_add": 2,
}


@pytest.fixture(scope="module")
def c(tmp_path_factory):
    """The functions of kernels/fixedpoint.h, compiled for this computer."""
    folder = tmp_path_factory.mktemp("twins")
    (folder / "fixedpoint.h").write_text((files("millijoule") / "kernels" / "fixedpoint.h").read_text())
    lines = ['#include "fixedpoint.h"']
    for name, count in TWINS.items():
        lines.append(f"int32_t {name}({', '.join(f'int32_t x{i}' for i in range(count))});")
        lines.append(f"int32_t {name}({', '.join(f'int32_t x{i}' for i in range(count))})")
        lines.append(f"{{ return mj_{name}({', '.join(f'x{i}' for i in range(count))}); }}")
    (folder / "model.c").write_text("\n".join(lines) + "\n")
    library = ctypes.CDLL(str(build_host(folder, "twins")))
    for name, count in TWINS.items():
        function = getattr(library, name)
        function.argtypes, function.restype = [ctypes.c_int32] * count, ctypes.c_int32
    return library


def nearest(real: Fraction, tie_away_from_zero: bool) -> int:
    if tie_away_from_zero and real < 0:
        return -math.floor(-real + Fraction(1, 2))
    return math.floor(real + Fraction(1, 2))


@given(a=int32, b=int32)
@example(a=INT32_MIN, b=INT32_MIN)
@example(a=-1, b=2**30)
@example(a=1, b=2**30)
def test_doubling_high_mul_is_the_rounded_product(c, a, b):
    expected = min(nearest(Fraction(a * b, 2**31), tie_away_from_zero=False), INT32_MAX)
    assert int(fixedpoint.saturating_rounding_doubling_high_mul(np.array(a), b)) == expected
    assert c.saturating_rounding_doubling_high_mul(a, b) == expected


@given(x=int32, exponent=st.integers(0, 31))
@example(x=INT32_MIN, exponent=31)
@example(x=INT32_MAX, exponent=31)
@example(x=-1, exponent=1)
def test_division_by_a_power_of_two_rounds_ties_away_from_zero(c, x, exponent):
    expected = nearest(Fraction(x, 2**exponent), tie_away_from_zero=True)
    assert int(fixedpoint.rounding_divide_by_pot(np.array(x), exponent)) == expected
    assert c.rounding_divide_by_pot(x, exponent) == expected


@given(x=int32, multiplier=multipliers, shift=st.integers(-31, 30))
@example(x=INT32_MIN, multiplier=INT32_MAX, shift=30)
@example(x=INT32_MIN, multiplier=INT32_MAX, shift=-31)
@example(x=INT32_MIN, multiplier=2**30, shift=0)
def test_requantization_is_the_same_in_c(c, x, multiplier, shift):
    python = int(fixedpoint.multiply_by_quantized_multiplier(np.array(x), multiplier, shift))
    assert python == c.multiply_by_quantized_multiplier(x, multiplier, shift)


def test_twins_agree_on_all_edges(c):
    for x in EDGES:
        for y in EDGES:
            python = int(fixedpoint.saturating_rounding_doubling_high_mul(np.array(x), y))
            assert c.saturating_rounding_doubling_high_mul(x, y) == python
            assert c.wrapping_add(x, y) == int(fixedpoint.wrap32(np.array(x + y)))
        for exponent in range(32):
            python = int(fixedpoint.rounding_divide_by_pot(np.array(x), exponent))
            assert c.rounding_divide_by_pot(x, exponent) == python
        for shift in range(-31, 31):
            for multiplier in (0, 2**30, 1518500250, INT32_MAX):
                python = int(fixedpoint.multiply_by_quantized_multiplier(np.array(x), multiplier, shift))
                assert c.multiply_by_quantized_multiplier(x, multiplier, shift) == python
        for low, high in ((-128, 127), (0, 0), (-128, -128)):
            assert c.clamp(x, low, high) == int(fixedpoint.saturate_int8(np.array(x), low, high))


@given(x=st.integers(-(2**24), 2**24), real=st.floats(2.0**-20, 2.0**6))
def test_requantization_is_the_real_product_within_its_two_roundings(x, real):
    multiplier, shift = fixedpoint.quantize_multiplier(real)
    found = int(fixedpoint.multiply_by_quantized_multiplier(np.array(x), multiplier, shift))
    # Half a step, half a step of the finer rounding before it, and what 31 bits leave of the multiplier.
    bound = 0.5 + 2.0 ** (-max(-shift, 0) - 1) * (shift < 0) + abs(x) * real * 2.0**-31
    assert abs(found - x * real) <= bound + 1e-9


@given(real=st.floats(2.0**-31, 2.0**30, exclude_max=True))
def test_a_multiplier_has_31_bits(real):
    multiplier, shift = fixedpoint.quantize_multiplier(real)
    assert 2**30 <= multiplier <= INT32_MAX
    assert abs(Fraction(multiplier) * Fraction(2) ** (shift - 31) / Fraction(real) - 1) <= Fraction(1, 2**31)


# real, (multiplier, shift): TFLite, quantization_util_test.cc, QuantizeMultiplierSmallerThanOneExp, …GreaterThanOne
# and …Arbitrary, whose fractions are those of 2**31; and what is out of range.
QUANTIZED = [
    (0.25, (2**30, -1)),
    (0.5 - 5e-9, (2147483627, -1)),
    (0.5 - 1e-10, (2**30, 0)),
    (0.5, (2**30, 0)),
    (0.75, (1610612736, 0)),
    (1 - 1e-9, (2147483646, 0)),
    (1 - 1e-10, (2**30, 1)),
    (1.0, (2**30, 1)),
    (1 + 1e-9, (1073741825, 1)),
    (1.25, (1342177280, 1)),
    (1.5, (1610612736, 1)),
    (2.0, (2**30, 2)),
    (4.0, (2**30, 3)),
    (0.0, (0, 0)),
    (2.0**-32, (2**30, -31)),
    (2.0**-33, (0, 0)),
    (2.0**30, (INT32_MAX, 30)),
    (2.0**29, (2**30, 30)),
    (-0.75, (-1610612736, 0)),
]


@pytest.mark.parametrize(("real", "expected"), QUANTIZED)
def test_known_multipliers(real, expected):
    assert fixedpoint.quantize_multiplier(real) == expected


def test_wrapping_is_that_of_int32():
    values = np.array([2**31, -(2**31) - 1, 2**32, 5 - 2**32, INT32_MAX, INT32_MIN])
    np.testing.assert_array_equal(fixedpoint.wrap32(values), values.astype(np.int32))


def q(real, integer_bits: int) -> np.ndarray:
    """Reals as raw fixed-point numbers with `integer_bits` bits before the point, saturated to int32."""
    raw = np.round(np.asarray(real, np.float64) * 2.0 ** (31 - integer_bits))
    return np.clip(raw, INT32_MIN, INT32_MAX).astype(np.int64)


# What a polynomial of degree 4 and three steps of Newton's method leave of 31 bits.
CURVES = [
    (fixedpoint.logistic, 4, np.linspace(-15.9, 15.9, 4001), lambda x: 1 / (1 + np.exp(-x)), 3e-7),
    (fixedpoint.tanh, 4, np.linspace(-15.9, 15.9, 4001), np.tanh, 1e-6),
    (lambda x: fixedpoint.exp_on_negative_values(x, 5), 5, np.linspace(-31.9, 0, 4001), np.exp, 3e-7),
    (lambda x: fixedpoint.exp_on_negative_values(x, 0), 0, np.linspace(-1, 0, 4001), np.exp, 3e-7),
    (fixedpoint.one_over_one_plus_x, 0, np.linspace(0, 1, 4001), lambda x: 1 / (1 + x), 1e-7),
]


@pytest.mark.parametrize(
    ("curve", "integer_bits", "x", "real", "bound"), CURVES, ids=["logistic", "tanh", "exp5", "exp0", "reciprocal"]
)
def test_curves_are_the_real_ones(curve, integer_bits, x, real, bound):
    raw = q(x, integer_bits)
    exact = real(raw * 2.0 ** (integer_bits - 31))
    assert np.abs(curve(raw) * 2.0**-31 - exact).max() <= bound


def test_curves_at_their_ends():
    zero = np.array(0)
    assert int(fixedpoint.logistic(zero)) == 2**30
    assert int(fixedpoint.tanh(zero)) == 0
    assert int(fixedpoint.exp_on_negative_values(zero, 5)) == INT32_MAX
    assert int(fixedpoint.one_over_one_plus_x(zero)) == INT32_MAX
    far = q(15.9, 4)
    assert int(fixedpoint.tanh(-far)) == -int(fixedpoint.tanh(far))
    assert int(fixedpoint.logistic(far)) + int(fixedpoint.logistic(-far)) == INT32_MAX


@given(x=st.integers(1, INT32_MAX))
def test_reciprocal(x):
    """1 / x for x in Q12.19: the reciprocal of x's leading 1… bits, and how many bits lie over one unit."""
    raw, over = fixedpoint.reciprocal(np.array(x), 12)
    assert math.isclose(int(raw) * 2.0**-31 * 2.0 ** -int(over), 2.0**19 / x, rel_tol=3e-7)
