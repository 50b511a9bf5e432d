"""Calls into kernels/host, and their numbers laid out. They are right for every layer: nothing must be proven."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from millijoule.graph import Shape
from millijoule.model import OperatorQuantization
from millijoule.ops.base import Call, Window, activation_range
from millijoule.ops.dsp import filled
from millijoule.target import Target

if TYPE_CHECKING:
    from millijoule.ops.conv import Conv2d
    from millijoule.ops.dense import Dense

LANES = 16
"""MJ_LANES of kernels/host/vector.h."""


def conv2d(
    op: Conv2d, x: Shape, weights: Mapping[str, np.ndarray], quantization: OperatorQuantization, target: Target
) -> tuple[Call, ...] | None:
    """The call into kernels/host; None for rows one at a time or little working memory."""
    if target.by_row or target.frugal:
        return None
    window, weight = op.window(x), _weight(weights, quantization)
    parameters = _parameters(op, window, quantization)
    table = _table(op, weights, quantization)
    # A product of an input less its zero point and such a weight fits int16.
    if 1 < op.groups == x[2] == op.channels and np.abs(weight).max() <= 128:
        pixel = -(-x[2] // LANES) * LANES
        blocks = filled(weight[..., 0], LANES).reshape(-1, LANES, *window.kernel)
        data = {"weight": np.moveaxis(blocks, 1, -1), "table": _blocks(table)}
        function, parameters = "mj_host_depthwise_conv2d", parameters | {"channels": x[2], "pixel": pixel}
        parameters |= {"input_pixel": x[2], "output_pixel": x[2]}
        return _call(function, window, pixel, parameters, data)
    return _conv2d(window, x, weight, table, op.groups, parameters)


def dense(
    op: Dense, x: Shape, weights: Mapping[str, np.ndarray], quantization: OperatorQuantization, target: Target
) -> tuple[Call, ...]:
    """The call into kernels/host: a convolution over one position."""
    pixel = (1, 1, prod(x))
    window = Window.over(pixel, (1, 1), (1, 1), (1, 1), "valid")
    weight = _weight(weights, quantization)[:, None, None]
    table = _table(op, weights, quantization)
    return _conv2d(window, pixel, weight, table, 1, _parameters(op, window, quantization))


def _conv2d(
    window: Window, x: Shape, weight: np.ndarray, table: np.ndarray, groups: int, parameters: dict[str, int]
) -> tuple[Call, ...]:
    pairs = -(-weight.shape[3] // 2)
    even = np.pad(weight, ((0, 0), (0, 0), (0, 0), (0, weight.shape[3] % 2)))
    parts = [filled(part, LANES) for part in np.split(even, groups)]
    blocks = np.stack([part.reshape(-1, LANES, *window.kernel, pairs, 2) for part in parts])
    parameters |= {"input_channels": x[2], "output_channels": len(weight), "groups": groups, "pairs": pairs}
    parameters |= {"input_pixel": x[2], "output_pixel": len(weight)}
    data = {
        "weight": np.moveaxis(blocks, 2, -2),
        "table": np.stack([_blocks(part) for part in np.split(table, groups)]),
    }
    return _call("mj_host_conv2d", window, groups * 2 * pairs, parameters, data)


def _call(
    function: str, window: Window, pixel: int, parameters: dict[str, int], data: dict[str, np.ndarray]
) -> tuple[Call, ...]:
    """pixel: the numbers of one position of the kept lines, of which there are as many as a window reaches over."""
    reach = (window.kernel[0] - 1) * window.dilation[0] + 1
    scratch_bytes = 2 * reach * parameters["line"] * pixel
    return (Call(function, "host/conv.h", parameters, data=data, scratch_bytes=scratch_bytes),)


def _parameters(op: Conv2d | Dense, window: Window, quantization: OperatorQuantization) -> dict[str, int]:
    low, high = activation_range(op.activation, quantization.output)
    return {
        **window.parameters(),
        "line": (window.output[1] - 1) * window.stride[1] + (window.kernel[1] - 1) * window.dilation[1] + 1,
        "input_zero_point": quantization.inputs[0].zero_point,
        "output_zero_point": quantization.output.zero_point,
        "output_low": low,
        "output_high": high,
    }


def _weight(weights: Mapping[str, np.ndarray], quantization: OperatorQuantization) -> np.ndarray:
    return np.subtract(weights["weight"], quantization.weights["weight"].zero_point, dtype=np.int16)


def _table(op: Conv2d | Dense, weights: Mapping[str, np.ndarray], quantization: OperatorQuantization) -> np.ndarray:
    """int32 (channels, 3): bias, multiplier and shift."""
    multiplier, shift = op.multipliers(quantization)
    bias = weights["bias"] if op.bias else np.zeros_like(multiplier)
    return np.column_stack([bias, multiplier, shift]).astype(np.int32)


def _blocks(table: np.ndarray) -> np.ndarray:
    """(channels, 3) as (blocks of LANES, 3, LANES)."""
    return filled(table, LANES).reshape(-1, LANES, 3).swapaxes(1, 2)
