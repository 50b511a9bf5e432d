"""Calls into kernels/armv6m, and their numbers laid out; None where what they need cannot be proven."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from millijoule.fixedpoint import wrap32
from millijoule.graph import Shape
from millijoule.model import OperatorQuantization
from millijoule.ops.base import Call, Pair, activation_range
from millijoule.ops.dsp import accumulator_bounds, filled, scaling_table
from millijoule.ops.steps import armv6m_lines, steps
from millijoule.target import Target

if TYPE_CHECKING:
    from millijoule.ops.conv import Conv2d
    from millijoule.ops.dense import Dense

OFFSET = 128
"""What inputs and weights are stored with, so that they are unsigned bytes."""

LARGEST_COUNT = 2**15
"""So many products of two bytes stay below 2**31."""


def channel_table(
    start: np.ndarray,
    bounds: tuple[np.ndarray, np.ndarray],
    multipliers: tuple[np.ndarray, np.ndarray],
    zero_point: int,
    activation: Pair,
) -> tuple[np.ndarray, bool] | None:
    """(table, by_line): int32 (channels, 5) of struct mj_armv6m_line, or (channels, 4) of struct mj_armv6m_rounded.

    start: (channels,) what makes a sum the accumulator. None if no kind of requantization is proven.
    """
    found = steps(*bounds, multipliers, zero_point, activation)
    lines = None if found is None else armv6m_lines(found, multipliers)
    if lines is not None:
        lines[:, 0] = wrap32(lines[:, 0] + start)
        return lines, True
    scaling = scaling_table(*bounds, *multipliers, zero_point, 2**30)
    if scaling is None:
        return None
    # A channel of one result needs no start, which might be too large.
    return np.column_stack([np.where(scaling[:, 0] == 0, 0, start), scaling]).astype(np.int32), False


def pack(weight: np.ndarray) -> np.ndarray:
    """uint8 weights of kernels/armv6m/conv.h from int8 (channels, n): by groups of eight channels, the last of 4 or 8.

    In a group, the weights of all its channels for one input lie side by side; n is filled up to four.
    """
    inputs = -(-weight.shape[1] // 4) * 4
    stored = np.zeros((len(weight), inputs), np.int16)
    stored[:, : weight.shape[1]] = weight
    stored = (stored + OFFSET).astype(np.uint8)
    parts = np.split(stored, range(8, len(stored), 8))
    return np.concatenate([filled(part, 4 if len(part) <= 4 else 8).T.ravel() for part in parts])


def conv2d(
    op: Conv2d, x: Shape, weights: Mapping[str, np.ndarray], quantization: OperatorQuantization, target: Target
) -> tuple[Call, ...] | None:
    """The call into kernels/armv6m, or None where what it needs cannot be proven."""
    weight = weights["weight"].reshape(op.channels, -1)
    bias = weights["bias"] if op.bias else np.zeros(op.channels, np.int32)
    zero_point = quantization.inputs[0].zero_point
    if quantization.weights["weight"].zero_point != 0 or weight.shape[1] > LARGEST_COUNT:
        return None
    if 1 < op.groups == x[2] == op.channels:
        return _depthwise(op, x, weight, bias, quantization)
    found = _table(op, weight, bias, quantization, OFFSET)
    if found is None:
        return None
    table, by_line = found
    groups = [pack(part) for part in np.split(weight, op.groups)]
    low, high = activation_range(op.activation, quantization.output)
    count = -(-weight.shape[1] // 4) * 4
    parameters = {
        **op.window(x).parameters(),
        "input_channels": x[2],
        "output_channels": op.channels,
        "groups": op.groups,
        "by_line": int(by_line),
        "count": count,
        "group_weights": len(groups[0]),
        "input_pixel": x[2],
        "output_pixel": op.channels,
        "input_zero_point": zero_point,
        "output_low": low,
        "output_high": high,
    }
    data = {"weight": np.stack(groups), "table": table}
    return (Call("mj_armv6m_conv2d", "armv6m/conv.h", parameters, data=data, scratch_bytes=count),)


def dense(
    op: Dense, x: Shape, weights: Mapping[str, np.ndarray], quantization: OperatorQuantization, target: Target
) -> tuple[Call, ...] | None:
    """The call into kernels/armv6m, or None where what it needs cannot be proven."""
    weight = weights["weight"]
    bias = weights["bias"] if op.bias else np.zeros(op.features, np.int32)
    if quantization.weights["weight"].zero_point != 0 or weight.shape[1] > LARGEST_COUNT:
        return None
    found = _table(op, weight, bias, quantization, OFFSET)
    if found is None:
        return None
    table, by_line = found
    low, high = activation_range(op.activation, quantization.output)
    count = -(-prod(x) // 4) * 4
    parameters = {
        "inputs": prod(x),
        "count": count,
        "outputs": op.features,
        "by_line": int(by_line),
        "output_low": low,
        "output_high": high,
    }
    data = {"weight": pack(weight), "table": table}
    return (Call("mj_armv6m_dense", "armv6m/dense.h", parameters, data=data, scratch_bytes=count),)


def _depthwise(
    op: Conv2d, x: Shape, weight: np.ndarray, bias: np.ndarray, quantization: OperatorQuantization
) -> tuple[Call, ...] | None:
    zero_point = quantization.inputs[0].zero_point
    found = _table(op, weight, bias, quantization, -zero_point)
    if found is None or op.dilation != (1, 1):
        return None
    table, by_line = found
    low, high = activation_range(op.activation, quantization.output)
    parameters = op.window(x).parameters() | {"channels": x[2]}
    del parameters["dilation_height"], parameters["dilation_width"]
    sums = parameters["output_width"] + parameters["output_width"] % 2
    line = (sums - 1) * parameters["stride_width"] + parameters["kernel_width"]
    parameters |= {
        "line": line,
        "sums": sums,
        "by_line": int(by_line),
        "input_pixel": x[2],
        "output_pixel": x[2],
        "input_zero_point": zero_point,
        "output_low": low,
        "output_high": high,
    }
    words = parameters["kernel_height"] * line + sums + weight.shape[1]
    call = Call(
        "mj_armv6m_depthwise_conv2d",
        "armv6m/depthwise.h",
        parameters,
        data={"weight": weight, "table": table},
        scratch_bytes=4 * words,
    )
    return (call,)


def _table(
    op: Conv2d | Dense, weight: np.ndarray, bias: np.ndarray, quantization: OperatorQuantization, offset: int
) -> tuple[np.ndarray, bool] | None:
    """`channel_table` for sums of weights (channels, n) times inputs plus `offset`."""
    zero_point = quantization.inputs[0].zero_point
    return channel_table(
        bias.astype(np.int64) - (zero_point + offset) * weight.astype(np.int64).sum(axis=1),
        accumulator_bounds(weight, bias, zero_point),
        op.multipliers(quantization),
        quantization.output.zero_point,
        activation_range(op.activation, quantization.output),
    )
