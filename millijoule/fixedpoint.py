"""Fixed-point arithmetic of TFLite's int8 specification, as TFLM computes it (double rounding).

The C twin is kernels/fixedpoint.h; tests hold the two equal. Arrays are int64 that carry int32 values.

Sources: Jacob et al. 2018, "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
Inference", section 2.3; gemmlowp fixedpoint.h for the rounding.
"""

from __future__ import annotations

import math

import numpy as np

INT32_MIN, INT32_MAX = -(2**31), 2**31 - 1


def quantize_multiplier(real: float) -> tuple[int, int]:
    """`real` as (multiplier, shift): real ≈ multiplier / 2**31 * 2**shift, multiplier in [2**30, 2**31)."""
    if real == 0.0:
        return 0, 0
    fraction, shift = math.frexp(real)
    multiplier = math.floor(fraction * (1 << 31) + 0.5) if fraction >= 0 else math.ceil(fraction * (1 << 31) - 0.5)
    if multiplier == 1 << 31:
        multiplier //= 2
        shift += 1
    if shift < -31:
        return 0, 0
    if shift > 30:
        return INT32_MAX, 30
    return multiplier, shift


def wrap32(x: np.ndarray) -> np.ndarray:
    """The int32 that two's complement leaves of x."""
    return np.asarray(x, np.int64).astype(np.int32).astype(np.int64)


def saturating_rounding_doubling_high_mul(a: np.ndarray, b: np.ndarray | int) -> np.ndarray:
    """round(a * b / 2**31), ties upwards; the one overflow saturates."""
    a, b = np.asarray(a, np.int64), np.asarray(b, np.int64)
    return np.minimum((a * b + (1 << 30)) >> 31, INT32_MAX)


def rounding_divide_by_pot(x: np.ndarray, exponent: np.ndarray | int) -> np.ndarray:
    """round(x / 2**exponent), ties away from zero."""
    x, exponent = np.asarray(x, np.int64), np.asarray(exponent, np.int64)
    rounded = x + ((np.int64(1) << exponent) >> 1)
    rounded -= (x < 0) & (exponent > 0)
    rounded >>= exponent
    return rounded


def multiply_by_quantized_multiplier(
    x: np.ndarray, multiplier: np.ndarray | int, shift: np.ndarray | int
) -> np.ndarray:
    """x * multiplier / 2**31 * 2**shift, rounded twice; multiplier and shift broadcast against x."""
    shift = np.asarray(shift, np.int64)
    left = np.maximum(shift, 0)
    right = np.maximum(-shift, 0)
    doubled = wrap32(np.asarray(x, np.int64) << left)
    return rounding_divide_by_pot(saturating_rounding_doubling_high_mul(doubled, multiplier), right)


def saturate_int8(x: np.ndarray, low: int = -128, high: int = 127) -> np.ndarray:
    return np.clip(x, low, high).astype(np.int8)


def saturating_shift_left(x: np.ndarray, exponent: int) -> np.ndarray:
    return np.clip(np.asarray(x, np.int64) << exponent, INT32_MIN, INT32_MAX)


def exp_on_negative_values(x: np.ndarray, integer_bits: int) -> np.ndarray:
    """exp(x) in Q0.31 for x <= 0 in Q<integer_bits>.<31 - integer_bits> (gemmlowp exp_on_negative_values)."""
    multiply = saturating_rounding_doubling_high_mul
    x = np.asarray(x, np.int64)
    fraction_bits = 31 - integer_bits
    quarter = 1 << (fraction_bits - 2)
    remainder_below = (x & (quarter - 1)) - quarter
    # exp on (-1/4, 0): Taylor expansion around -1/8.
    a = saturating_shift_left(remainder_below, integer_bits) + (1 << 28)
    square = multiply(a, a)
    cube = multiply(square, a)
    fourth = rounding_divide_by_pot(multiply(square, square), 2)
    tail = rounding_divide_by_pot(multiply(fourth + cube, 715827883) + square, 1)
    result = 1895147668 + multiply(a + tail, 1895147668)
    remainder = remainder_below - x
    for exponent, factor in enumerate((1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242), start=-2):
        if integer_bits > exponent:
            bit = 1 << (fraction_bits + exponent)
            result = np.where(remainder & bit, multiply(result, factor), result)
    if integer_bits > 5:
        result = np.where(x < -(1 << (fraction_bits + 5)), 0, result)
    return np.where(x == 0, INT32_MAX, result)


def _newton_raphson(x: np.ndarray) -> np.ndarray:
    """2 / (1 + x) in Q2.29 for x in [0, 1] in Q0.31, by three steps (gemmlowp one_over_one_plus_x_for_x_in_0_1)."""
    multiply = saturating_rounding_doubling_high_mul
    half_denominator = (np.asarray(x, np.int64) + INT32_MAX + 1) // 2
    y = 1515870810 + multiply(half_denominator, -1010580540)
    for _ in range(3):
        y = y + saturating_shift_left(multiply(y, (1 << 29) - multiply(half_denominator, y)), 2)
    return y


def one_over_one_plus_x(x: np.ndarray) -> np.ndarray:
    """1 / (1 + x) in Q0.31 for x in [0, 1] in Q0.31."""
    return saturating_shift_left(_newton_raphson(x), 1)


def reciprocal(x: np.ndarray, integer_bits: int) -> tuple[np.ndarray, np.ndarray]:
    """1 / x as (Q0.31, number of bits over one unit) for x > 0 in Q<integer_bits> (TFLite GetReciprocal)."""
    x = np.asarray(x, np.int64)
    leading_zeros = 32 - np.frexp(x.astype(np.float64))[1]
    return one_over_one_plus_x((x << leading_zeros) - (1 << 31)), integer_bits - leading_zeros


def logistic(x: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x)) in Q0.31 for x in Q4.27 (gemmlowp logistic)."""
    x = np.asarray(x, np.int64)
    positive = one_over_one_plus_x(exp_on_negative_values(-np.abs(x), 4))
    return np.where(x == 0, 1 << 30, np.where(x > 0, positive, INT32_MAX - positive))


def tanh(x: np.ndarray) -> np.ndarray:
    """tanh(x) in Q0.31 for x in Q4.27 (gemmlowp tanh)."""
    x = np.asarray(x, np.int64)
    # Doubling Q4 is reading it as Q5.
    negative = saturating_shift_left(_newton_raphson(exp_on_negative_values(-np.abs(x), 5)) - (1 << 29), 2)
    return np.where(x == 0, 0, np.where(x < 0, -negative, negative))
