"""Numbers laid out for the kernels of kernels/dsp, and the proofs that those kernels need.

Every function answers None where a proof fails; the operator then takes the portable kernel.
"""

from __future__ import annotations

import numpy as np

from millijoule.fixedpoint import multiply_by_quantized_multiplier

INPUT_OFFSET = 127
"""What is subtracted from every second input before it is multiplied: see kernels/dsp/block.h."""

PRODUCT_SCALE = 256
"""By how much an accumulator of a block is larger than the usual one."""

LARGEST_SHIFT = 22
UNROLLED = range(1, 11)
"""How many fours of inputs one turn of a block's loop may take: the functions that kernels/dsp/block.h defines."""


def accumulator_bounds(weight: np.ndarray, bias: np.ndarray, zero_point: int) -> tuple[np.ndarray, np.ndarray]:
    """The least and the greatest int32 accumulator of each channel, for any int8 input.

    weight: (channels, …). Padding is the zero point, which lies among the inputs: the bounds hold with it too.
    """
    flat = weight.reshape(len(weight), -1).astype(np.int64)
    positive, negative = np.maximum(flat, 0).sum(axis=1), np.minimum(flat, 0).sum(axis=1)
    lowest, highest = -128 - zero_point, 127 - zero_point
    low = bias + positive * lowest + negative * highest
    high = bias + positive * highest + negative * lowest
    return low, high


def scaling_table(
    low: np.ndarray, high: np.ndarray, multiplier: np.ndarray, shift: np.ndarray, zero_point: int, limit: int
) -> np.ndarray | None:
    """(channels, 3) int32: multiplier, offset and shift of mj_dsp_requantize, for accumulators from `low` to `high`.

    A channel whose result is the same for all of them gets that result. None if an accumulator may reach `limit` or a
    shift is not one that the six instructions are exact for.
    """

    def result(accumulator: np.ndarray) -> np.ndarray:
        return np.clip(multiply_by_quantized_multiplier(accumulator, multiplier, shift) + zero_point, -128, 127)

    if np.any(low < -(2**31)) or np.any(high >= 2**31):
        return None
    # The result grows with the accumulator, unless shifting left may wrap.
    constant = (result(low) == result(high)) & (shift <= 0)
    right = np.where(constant, 1, -shift)
    fits = (np.maximum(-low, high) < limit) & (right >= 1) & (right <= LARGEST_SHIFT)
    if not np.all(fits | constant):
        return None
    offset = np.where(constant, result(low), zero_point) * 2**right + 2 ** (right - 1)
    return np.stack([np.where(constant, 0, multiplier), offset, right], axis=1).astype(np.int32)


def pack_fours(weight: np.ndarray, fours: int) -> np.ndarray | None:
    """Words of weights for kernels/dsp/block.h: (channels, n) int8 → (channels, fours, 4) int8, filled up with zeros.

    None if 256 * b + a leaves int16 for two neighbours a, b.
    """
    padded = np.zeros((len(weight), 4 * fours), np.int64)
    padded[:, : weight.shape[1]] = weight
    halves = padded[:, 0::2] + PRODUCT_SCALE * padded[:, 1::2]
    if np.any(halves < -(2**15)):
        return None
    return halves.astype("<i2").view(np.int8).reshape(len(weight), fours, 4)


def block_bias(weight: np.ndarray, bias: np.ndarray, zero_point: int) -> np.ndarray:
    """int32 (channels,): what a block's sum starts from, for weight (channels, n) whose inputs are read as they are."""
    flat = weight.astype(np.int64)
    start = bias.astype(np.int64) - zero_point * flat.sum(axis=1) + INPUT_OFFSET * flat[:, 1::2].sum(axis=1)
    # Only the low 32 bits count: every sum wraps, and the last one fits.
    return (start * PRODUCT_SCALE).astype(np.uint64).astype(np.uint32).view(np.int32)


def pack_pairs(weight: np.ndarray, stride: int) -> np.ndarray:
    """Words of weights for kernels/dsp/depthwise.h: (channels, height, width) int8 → int16 (channels, height, n, 2).

    A kernel of 3 by 3, moved by one or two, becomes the pairs (w0, w1), (w1, w2) for each row; any other (w0, w1),
    (w2, w3), …, filled up with zero.
    """
    wide = weight.astype(np.int16)
    if weight.shape[1:] == (3, 3) and stride <= 2:
        return np.ascontiguousarray(np.stack([wide[:, :, 0:2], wide[:, :, 1:3]], axis=2))
    wide = np.pad(wide, ((0, 0), (0, 0), (0, weight.shape[2] % 2)))
    return np.ascontiguousarray(wide).reshape(*wide.shape[:2], -1, 2)


def unroll(fours: int) -> int:
    """How many fours one turn of the loop takes: the fewest instructions, those for filling up included."""
    return min(UNROLLED, key=lambda n: (-(-fours // n) * (23 * n + 3), -n))


def filled(array: np.ndarray, multiple: int) -> np.ndarray:
    """(channels, …) with channels of zeros behind them, up to a multiple."""
    return np.pad(array, ((0, -len(array) % multiple), *[(0, 0)] * (array.ndim - 1)))
