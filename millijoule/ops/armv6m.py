"""Numbers laid out for the kernels of kernels/armv6m: answers None where what they need cannot be proven."""

from __future__ import annotations

import numpy as np

from millijoule.ops.dsp import accumulator_bounds, filled, scaling_table

WEIGHT_OFFSET = 128
LARGEST_COUNT = 2**15
"""So many products of a byte and an int8 stay far below 2**31."""


def pack(
    weight: np.ndarray,
    bias: np.ndarray,
    input_zero_point: int,
    output_zero_point: int,
    multipliers: tuple[np.ndarray, np.ndarray],
) -> tuple[np.ndarray, np.ndarray] | None:
    """(weights, table) of kernels/armv6m/conv.h for int8 weights (channels, n), of one group.

    Weights: uint8 (fours of channels, n, 4). Table: int32 (channels filled up to four, 4), of mj_armv6m_channel.
    """
    if weight.shape[1] > LARGEST_COUNT:
        return None
    bounds = accumulator_bounds(weight, bias, input_zero_point)
    scaling = scaling_table(*bounds, *multipliers, output_zero_point, 2**30)
    if scaling is None:
        return None
    start = bias.astype(np.int64) - input_zero_point * weight.astype(np.int64).sum(axis=1)
    # A channel of one result needs no bias, which might be too large.
    start[scaling[:, 0] == 0] = 0
    table = filled(np.column_stack([start, scaling]).astype(np.int32), 4)
    words = filled((weight.astype(np.int16) + WEIGHT_OFFSET).astype(np.uint8), 4)
    return words.reshape(-1, 4, weight.shape[1]).swapaxes(1, 2), table
