"""Calls into kernels/armv6m, and their numbers laid out; None where what they need cannot be proven."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from millijoule.graph import Shape
from millijoule.model import OperatorQuantization
from millijoule.ops.base import Call, activation_range
from millijoule.ops.dsp import accumulator_bounds, filled, scaling_table
from millijoule.target import Target

if TYPE_CHECKING:
    from millijoule.ops.conv import Conv2d
    from millijoule.ops.dense import Dense

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


def conv2d(
    op: Conv2d, x: Shape, weights: Mapping[str, np.ndarray], quantization: OperatorQuantization, target: Target
) -> tuple[Call, ...] | None:
    """The call into kernels/armv6m, or None where what it needs cannot be proven."""
    weight = weights["weight"].reshape(op.channels, -1)
    bias = weights["bias"] if op.bias else np.zeros(op.channels, np.int32)
    if quantization.weights["weight"].zero_point != 0 or 1 < op.groups == x[2] == op.channels:
        return None
    zero_point, output = quantization.inputs[0].zero_point, quantization.output
    multiplier, shift = op.multipliers(quantization)
    parts = [np.split(array, op.groups) for array in (weight, bias, multiplier, shift)]
    packed = [
        pack(part, part_bias, zero_point, output.zero_point, pair)
        for part, part_bias, *pair in zip(*parts, strict=True)
    ]
    if any(part is None for part in packed):
        return None
    words, tables = zip(*packed, strict=True)
    low, high = activation_range(op.activation, output)
    parameters = {
        **op.window(x).parameters(),
        "input_channels": x[2],
        "output_channels": op.channels,
        "groups": op.groups,
        "input_zero_point": zero_point,
        "output_low": low,
        "output_high": high,
    }
    data = {"weight": np.stack(words), "table": np.stack(tables)}
    return (Call("mj_armv6m_conv2d", "armv6m/conv.h", parameters, data=data, scratch_bytes=weight.shape[1]),)


def dense(
    op: Dense, x: Shape, weights: Mapping[str, np.ndarray], quantization: OperatorQuantization
) -> tuple[Call, ...] | None:
    """The call into kernels/armv6m, or None where what it needs cannot be proven."""
    if quantization.weights["weight"].zero_point != 0:
        return None
    bias = weights["bias"] if op.bias else np.zeros(op.features, np.int32)
    zero_point, output = quantization.inputs[0].zero_point, quantization.output
    packed = pack(weights["weight"], bias, zero_point, output.zero_point, op.multipliers(quantization))
    if packed is None:
        return None
    low, high = activation_range(op.activation, output)
    parameters = {"inputs": prod(x), "outputs": op.features, "output_low": low, "output_high": high}
    data = dict(zip(("weight", "table"), packed, strict=True))
    return (Call("mj_armv6m_dense", "armv6m/dense.h", parameters, data=data),)
