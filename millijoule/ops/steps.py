"""Requantization seen as steps: at which accumulators TFLite's result changes, and lines that change there too.

Between its ends the result of an accumulator, rounded twice and clamped, is a staircase of at most 255 steps. Whatever
else has the same steps is equal to it, so a kernel may round once, or multiply by fewer bits, where the steps prove it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from millijoule.fixedpoint import multiply_by_quantized_multiplier, wrap32
from millijoule.ops.base import Pair

FRACTION_BITS = 12
"""Bits behind the point of a sum of kernels/dsp that has been multiplied: see mj_dsp_line."""

ACCUMULATOR_SCALE = 256
"""By how much such a sum is larger than the usual accumulator."""

LARGEST_REACH = 2**20
"""Between how many accumulators the results of a line of kernels/armv6m may lie."""


@dataclass(frozen=True, eq=False)
class Steps:
    """The staircase of each output channel.

    low, high: int64 (channels,), the least and the greatest accumulator. bottom: the result of `low`; constant: it is
    the result of all. results: the n results above the least one that the activation allows. first: int64 (channels,
    n), the least accumulator of at least that result: `low` where all have it, `high` + 1 where none has.
    """

    low: np.ndarray
    high: np.ndarray
    bottom: np.ndarray
    constant: np.ndarray
    results: np.ndarray
    first: np.ndarray


def steps(
    low: np.ndarray,
    high: np.ndarray,
    multipliers: tuple[np.ndarray, np.ndarray],
    zero_point: int,
    activation: Pair,
) -> Steps | None:
    """The steps of results in the range `activation`, for accumulators from `low` to `high` (channels,).

    None if an accumulator may leave int32, or a shift to the left might wrap: then the result need not grow with it.
    """
    multiplier, shift = multipliers
    if np.any(low < -(2**31)) or np.any(high >= 2**31) or np.any(shift > 0):
        return None

    def result(accumulator: np.ndarray) -> np.ndarray:
        scaled = multiply_by_quantized_multiplier(accumulator, multiplier[:, None], shift[:, None])
        return np.clip(scaled + zero_point, *activation)

    low, high = low.astype(np.int64), high.astype(np.int64)
    results = np.arange(activation[0] + 1, activation[1] + 1)
    below = np.repeat(low[:, None], len(results), axis=1)
    above = np.repeat(high[:, None] + 1, len(results), axis=1)
    while np.any(below < above):
        middle = (below + above) >> 1
        reached = result(middle) >= results
        open = below < above
        below, above = np.where(open & ~reached, middle + 1, below), np.where(open & reached, middle, above)
    bottom, top = result(low[:, None])[:, 0], result(high[:, None])[:, 0]
    return Steps(low, high, bottom, bottom == top, results, below)


def dsp_lines(found: Steps, multipliers: tuple[np.ndarray, np.ndarray], zero_point: int) -> np.ndarray | None:
    """(channels, 3) int32 of each channel's mj_dsp_line: what is added to 256 times the bias, multiplier, offset.

    Proven by the steps: the line reaches each result with the step's first accumulator and not with the one before.
    None if for some channel there is no such line, or a sum may leave int32. Results at both sides of the zero point
    have none as a rule, for ties are rounded away from it.
    """
    multiplier, shift = multipliers
    one = 2**FRACTION_BITS
    exact = np.rint(multiplier * np.exp2(FRACTION_BITS - 7.0 + shift)).astype(np.int64)
    lines = np.stack([np.zeros_like(exact), np.zeros_like(exact), found.bottom * one], axis=1)
    open = np.flatnonzero(~found.constant)
    for change in (0, 1, -1, 2, -2):
        for more in range(64):
            if not open.size:
                break
            slope, offset = exact[open] + change, zero_point * one + one // 2 + more
            needed = -(((offset - found.results * one) << 32) // np.maximum(slope, 1)[:, None])
            needed = needed - ACCUMULATOR_SCALE * found.first[open]
            exists, before = found.first[open] <= found.high[open, None], found.first[open] > found.low[open, None]
            least = np.where(exists, needed, -(2**62)).max(axis=1)
            most = np.where(before, needed + ACCUMULATOR_SCALE, 2**62).min(axis=1) - 1
            ends = (ACCUMULATOR_SCALE * end[open] + least for end in (found.low, found.high))
            fits = [(abs(sum) < 2**31) & (abs((sum * slope >> 32) + offset) < 2**31) for sum in ends]
            right = (least <= most) & (slope > 0) & (slope < 2**31) & np.logical_and.reduce(fits)
            if np.any(least - most > ACCUMULATOR_SCALE // 4):
                # The tries differ by far less than that: none will do.
                return None
            lines[open[right]] = np.stack([least, slope, np.full_like(least, offset)], axis=1)[right]
            open = open[~right]
    return None if open.size else lines.astype(np.int32)


def armv6m_lines(found: Steps, multipliers: tuple[np.ndarray, np.ndarray]) -> np.ndarray | None:
    """(channels, 5) int32 of each channel's struct mj_armv6m_line, for sums that are the accumulator.

    Proven by the steps, as in `dsp_lines`. None if for some channel there is no such line, or its results change over
    more accumulators than products of 32 bits allow.
    """
    multiplier, shift = multipliers
    if np.any(found.high - found.low >= 2**31 - 1):
        return None
    exact = np.rint(multiplier * np.exp2(9.0 + shift)).astype(np.int64)
    first = found.first if found.results.size else found.low[:, None]
    start = np.where(found.constant, -found.low, -first[:, 0])
    end = np.where(found.constant, found.high - found.low + 1, first[:, -1] + start)
    zeros = np.zeros_like(start)
    lines = np.stack([start, end, zeros, zeros, found.bottom << 24], axis=1)
    open = np.flatnonzero(~found.constant)
    if np.any(end[open] > LARGEST_REACH):
        return None
    for change in (0, 1, -1, 2, -2):
        if not open.size:
            break
        line = exact[open] + change
        slope, fraction = line >> 16, line & 0xFFFF

        def rise(x: np.ndarray, slope: np.ndarray = slope, fraction: np.ndarray = fraction) -> np.ndarray:
            return x * slope[:, None] + (x // 16 * fraction[:, None] >> 12)

        # Where `end` is inside the bounds, the line must be at the highest result there, and not above it.
        x, last = found.first[open] + start[open, None], end[open, None]
        reached = found.first[open] <= found.high[open, None]
        result = found.results << 24
        least = np.where(reached, result - rise(x), -(2**62)).max(axis=1)
        most = np.where(x > 0, result - rise(x - 1), 2**62).min(axis=1) - 1
        most = np.minimum(
            most, np.where(reached[:, -1:], ((found.results[-1] + 1) << 24) - rise(last), 2**62)[:, 0] - 1
        )
        # Below the first step the result is one less than at it.
        most = np.minimum(most, np.where(found.first[open, 0] > found.low[open], (result[0] + 2**24) - 1, 2**62))
        right = (least <= most) & (line > 0) & (line < 2**48)
        offset = least + (np.minimum(most, least + 2**24) - least) // 2
        # Added to what wraps at 32 bits.
        lines[open[right]] = np.stack([start[open], end[open], slope, fraction, offset], axis=1)[right]
        open = open[~right]
    return None if open.size else wrap32(lines).astype(np.int32)
