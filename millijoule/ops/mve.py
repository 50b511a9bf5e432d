"""Calls into kernels/mve, and their numbers laid out; None where what they need does not hold."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from millijoule.fixedpoint import (
    multiply_by_quantized_multiplier,
    saturating_rounding_doubling_high_mul,
    wrap32,
)
from millijoule.graph import Shape
from millijoule.model import OperatorQuantization
from millijoule.ops.base import Call, Window, activation_range, run
from millijoule.ops.dsp import filled
from millijoule.target import Target

if TYPE_CHECKING:
    from millijoule.ops.conv import Conv2d
    from millijoule.ops.dense import Dense
    from millijoule.ops.elementwise import Multiply, _Sum

VECTOR_BYTES = 16
PATCH_SIDE = 4
ZEROS_BEFORE_TAPS = 8
GROUP = 8
LARGEST_COUNT = 4096
"""Of the numbers in a mean: all sums of so many are looked at in no time."""
INTERLEAVED = np.array([0, 2, 4, 6, 1, 3, 5, 7])
"""The order of the channels of a group of eight: two vectors that narrowing puts together."""
UNROLLED = range(1, 6)
"""How many steps one turn of a block's loop may take: the functions that kernels/mve/block.h defines."""


def unroll(steps: int) -> int:
    """The most steps in a turn that divide all."""
    return max(turn for turn in UNROLLED if steps % turn == 0)


def ties_away(low: int, zero_point: int, shift: np.ndarray) -> int | None:
    """Whether the rounding of ties matters; None if these shifts are none that kernels/mve rounds with.

    Negative numbers become at most the zero point, whichever way their ties are rounded: where the output's lowest
    number `low` is not below it, they are equal. A shift of 0 rounds nothing.
    """
    if low >= zero_point or np.all(shift == 0):
        return 0 if np.all(shift <= 0) else None
    return 1 if np.all(shift < 0) else None


def slots(channels: int) -> np.ndarray:
    """The channels in the order of kernels/mve/block.h, in fours; the last one stands again where none is left."""
    groups = []
    for first in range(0, channels, GROUP):
        left = channels - first
        groups.append(first + (INTERLEAVED if left > GROUP // 2 else np.arange(GROUP // 2)))
    return np.minimum(np.concatenate(groups), channels - 1)


def pack(
    weight: np.ndarray, bias: np.ndarray, zero_point: int, multipliers: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """(weights, table) of kernels/mve/block.h for int8 weights (channels, n), of one group.

    Weights: int8 (pairs, steps, 2, 16). Table: int32 (groups of eight, 3, 8): biases, in which the input's zero point
    is folded modulo 2**32, multipliers and shifts.
    """
    order = slots(len(weight))
    steps = -(-weight.shape[1] // VECTOR_BYTES)
    wide = np.zeros((len(order), steps * VECTOR_BYTES), np.int8)
    wide[:, : weight.shape[1]] = weight[order]
    words = wide.reshape(-1, 2, steps, VECTOR_BYTES).swapaxes(1, 2)
    start = wrap32(bias - zero_point * weight.astype(np.int64).sum(axis=1))
    table = np.stack([start, *multipliers], axis=1)[order].astype(np.int32)
    return words, filled(table, GROUP).reshape(-1, GROUP, 3).swapaxes(1, 2)


def conv2d(
    op: Conv2d, x: Shape, weights: Mapping[str, np.ndarray], quantization: OperatorQuantization, target: Target
) -> tuple[Call, ...] | None:
    """The call into kernels/mve, or None where what it needs does not hold."""
    multipliers = _multipliers(op, quantization)
    common = _common(op, quantization, multipliers[1])
    if common is None:
        return None
    bias = weights["bias"] if op.bias else np.zeros(op.channels, np.int32)
    if 1 < op.groups == x[2] == op.channels:
        return (_depthwise(op, x, weights["weight"][..., 0], bias, multipliers, quantization, common, target),)
    return (_blocks(op.window(x), op.groups, weights["weight"], bias, multipliers, quantization, common, target),)


def dense(
    op: Dense, x: Shape, weights: Mapping[str, np.ndarray], quantization: OperatorQuantization, target: Target
) -> tuple[Call, ...] | None:
    """The call into kernels/mve, or None where what it needs does not hold."""
    inputs, multipliers = prod(x), _multipliers(op, quantization)
    common = _common(op, quantization, multipliers[1])
    if common is None:
        return None
    bias = weights["bias"] if op.bias else np.zeros(op.features, np.int32)
    if inputs % VECTOR_BYTES:
        # A convolution of one pixel copies its inputs, so that nothing behind them is read.
        window = Window.over((1, 1, inputs), (1, 1), (1, 1), (1, 1), "valid")
        weight = weights["weight"].reshape(op.features, 1, 1, inputs)
        return (_blocks(window, 1, weight, bias, multipliers, quantization, common, target),)
    words, table = pack(weights["weight"], bias, quantization.inputs[0].zero_point, multipliers)
    steps = inputs // VECTOR_BYTES
    parameters = {"steps": steps, "unroll": unroll(steps), "outputs": op.features, **common}
    return (Call("mj_mve_dense", "mve/dense.h", parameters, data={"weight": words, "table": table}),)


def _depthwise(
    op: Conv2d,
    x: Shape,
    weight: np.ndarray,
    bias: np.ndarray,
    multipliers: tuple[np.ndarray, np.ndarray],
    quantization: OperatorQuantization,
    common: Mapping[str, int],
    target: Target,
) -> Call:
    """The call of one kernel for each channel; weight: (channels, height, width)."""
    window, zero_point = op.window(x), quantization.inputs[0].zero_point
    pixels = {"channels": x[2], "input_pixel": x[2], "output_pixel": x[2]}
    parameters = {**window.parameters(), **pixels, "input_zero_point": zero_point, **common}
    if target.frugal or max(window.kernel) > PATCH_SIDE or window.dilation != (1, 1):
        table = filled(np.stack([bias, *multipliers], axis=1).astype(np.int32), 4)
        data = {
            "weight": np.ascontiguousarray(weight.transpose(1, 2, 0)),
            "table": np.ascontiguousarray(table.reshape(-1, 4, 3).swapaxes(1, 2)),
        }
        return Call("mj_mve_depthwise_any", "mve/depthwise.h", parameters, data=data)
    del parameters["dilation_height"], parameters["dilation_width"]
    height, width = window.output
    squares = (window.kernel, window.stride) == ((3, 3), (1, 1)) and min(height, width) > 1 and not target.by_row
    last = width if squares else -(-width // PATCH_SIDE) * PATCH_SIDE
    columns = max((last - 1) * window.stride[1] + (3 if squares else PATCH_SIDE), window.padding[1][0])
    taps = np.zeros((x[2], PATCH_SIDE, PATCH_SIDE), np.int8)
    taps[:, : window.kernel[1], : window.kernel[0]] = weight.swapaxes(1, 2)
    start = wrap32(bias - zero_point * weight.astype(np.int64).sum(axis=(1, 2)))
    data = {
        "taps": np.concatenate([np.zeros(ZEROS_BEFORE_TAPS, np.int8), taps.ravel()]),
        "table": np.stack([start, *multipliers], axis=1).astype(np.int32),
    }
    parameters |= {"columns": columns, "squares": int(squares)}
    scratch = columns * PATCH_SIDE * VECTOR_BYTES
    return Call("mj_mve_depthwise_conv2d", "mve/depthwise.h", parameters, data=data, scratch_bytes=scratch)


def _multipliers(op: Conv2d | Dense, quantization: OperatorQuantization) -> tuple[np.ndarray, np.ndarray]:
    """Those of the operator; a multiplier of 0 gives 0 with any shift, and gets one that is rounded with."""
    multiplier, shift = op.multipliers(quantization)
    return multiplier, np.where(multiplier == 0, -1, shift)


def _common(
    op: Conv2d | Dense | _Sum | Multiply, quantization: OperatorQuantization, shift: np.ndarray
) -> dict[str, int] | None:
    """The parameters of the output, or None where kernels/mve do not compute it."""
    low, high = activation_range(op.activation, quantization.output)
    away = ties_away(low, quantization.output.zero_point, shift)
    if away is None or any(weight.zero_point != 0 for weight in quantization.weights.values()):
        return None
    zero_point = quantization.output.zero_point
    return {"output_zero_point": zero_point, "output_low": low, "output_high": high, "ties_away": away}


def _blocks(
    window: Window,
    groups: int,
    weight: np.ndarray,
    bias: np.ndarray,
    multipliers: tuple[np.ndarray, np.ndarray],
    quantization: OperatorQuantization,
    common: Mapping[str, int],
    target: Target,
) -> Call:
    """The call of a convolution by blocks; weight: (channels, height, width, inputs of a group)."""
    zero_point = quantization.inputs[0].zero_point
    flat = weight.reshape(len(weight), -1)
    parts = [np.split(array, groups) for array in (flat, bias, *multipliers)]
    packed = [pack(part, part_bias, zero_point, pair) for part, part_bias, *pair in zip(*parts, strict=True)]
    words, tables = (np.stack(arrays) for arrays in zip(*packed, strict=True))
    steps = words.shape[2]
    parameters = {
        **window.parameters(),
        "input_channels": weight.shape[3] * groups,
        "output_channels": len(weight),
        "groups": groups,
        "steps": steps,
        "unroll": unroll(steps),
        "input_pixel": weight.shape[3] * groups,
        "output_pixel": len(weight),
        "input_zero_point": zero_point,
        **common,
    }
    data = {"weight": words, "table": tables}
    copies = windows_copied(window, groups, weight.shape[3], target)
    return Call(
        "mj_mve_conv2d",
        "mve/conv.h",
        parameters,
        data=data,
        scratch_bytes=copies * VECTOR_BYTES * steps,
        only_read_bytes=VECTOR_BYTES * steps - flat.shape[1] if copies else 0,
        without_scratch=not copies,
    )


def windows_copied(window: Window, groups: int, inputs: int, target: Target) -> int:
    """How many places kernels/mve/conv.h needs for copies of windows: it takes up to three pixels at a time.

    A window of one pixel is read where it lies, if whole vectors of it can be. inputs: of a group.
    """
    if target.by_pixel:
        return int(window.kernel != (1, 1) or inputs % VECTOR_BYTES > 0 or any(map(any, window.padding)))
    y, x = np.indices(window.output)
    place, copied = x if target.by_row else y * window.output[1] + x, np.ones(window.output, bool)
    if window.kernel == (1, 1):
        y, x = y * window.stride[0] - window.padding[0][0], x * window.stride[1] - window.padding[1][0]
        (height, width), inside = window.input, (y >= 0) & (x >= 0) & (y < window.input[0]) & (x < window.input[1])
        pixels = width - x if target.by_row else height * width - y * width - x
        # What can be read of the last group's inputs on, behind which there is least.
        behind = (pixels - 1) * groups * inputs + inputs
        copied = ~inside | (behind < -(-inputs // VECTOR_BYTES) * VECTOR_BYTES)
    return int(np.max(place[copied] % 3, initial=-1)) + 1


def look_up(x: Shape, table: np.ndarray) -> tuple[Call, ...]:
    """The call into kernels/mve; table: int8 (256,), the output for each input from -128 to 127."""
    return (Call("mj_mve_look_up", "mve/activation.h", run(x), data={"table": np.roll(table, 128)}),)


def add(op: _Sum, x: Shape, quantization: OperatorQuantization) -> tuple[Call, ...] | None:
    """The call into kernels/mve for two values of shape x, or None where what it needs does not hold."""
    from millijoule.ops.elementwise import ADD_LEFT_SHIFT

    *inputs, (multiplier, shift) = op.multipliers(quantization)
    common = _common(op, quantization, np.array([shift]))
    if common is None:
        return None
    parameters = {**op.walk(x, x), "b_sign": op.sign, "output_multiplier": multiplier, "output_shift": shift, **common}
    every = np.arange(-128, 128, dtype=np.int64)
    for name, given, pair in zip(("a", "b"), quantization.inputs, inputs, strict=True):
        ties = _ties_of((every - given.zero_point) << ADD_LEFT_SHIFT, *pair)
        values = {"zero_point": given.zero_point, "multiplier": pair[0], "shift": pair[1], "ties": ties}
        parameters |= {f"{name}_{key}": value for key, value in values.items()}
    return (Call("mj_mve_add", "mve/elementwise.h", parameters, inputs=(0, 1)),)


def multiply(op: Multiply, x: Shape, quantization: OperatorQuantization) -> tuple[Call, ...] | None:
    """The call into kernels/mve for two values of shape x, or None where what it needs does not hold."""
    multiplier, shift = op.multiplier(quantization)
    common = _common(op, quantization, np.array([shift]))
    if common is None:
        return None
    zero_points = {f"{name}_zero_point": q.zero_point for name, q in zip(("a", "b"), quantization.inputs, strict=True)}
    parameters = {**op.walk(x, x), **zero_points, "multiplier": multiplier, "shift": shift, **common}
    return (Call("mj_mve_multiply", "mve/elementwise.h", parameters, inputs=(0, 1)),)


def max_pool(parameters: Mapping[str, int]) -> tuple[Call, ...]:
    """The call into kernels/mve with the parameters of the portable kernel."""
    return (Call("mj_mve_max_pool2d", "mve/pool.h", parameters),)


def average_pool(window: Window, parameters: Mapping[str, int]) -> tuple[Call, ...] | None:
    """The call into kernels/mve with the parameters of the portable kernel, or None where what it needs does not hold.

    Division is a multiplication: whether it is exact, all sums that a window can have tell.
    """
    count = prod(window.kernel)
    if not window.pads_nothing or count > LARGEST_COUNT:
        return None
    bits = (count - 1).bit_length() - 1
    multiplier = -(-(2 ** (31 + bits)) // count)
    left = 31 - (128 * count).bit_length()
    sums = np.arange(-128 * count, 127 * count + 1, dtype=np.int64)
    mean = np.sign(sums) * ((np.abs(sums) + count // 2) // count)
    if left < -bits or np.any(multiply_by_quantized_multiplier(sums << left, multiplier, -left - bits) != mean):
        return None
    given = {name: value for name, value in parameters.items() if not name.startswith("padding")}
    rescaled = {"start": 0, "left": left, "multiplier": multiplier, "shift": -left - bits}
    ties = {"ties_away": _ties_of(sums << left, multiplier, -left - bits), "output_zero_point": 0}
    return (Call("mj_mve_average_pool2d", "mve/pool.h", {**given, **rescaled, **ties}),)


def mean(
    rows: int, positions: int, channels: int, multipliers: tuple[int, int], quantization: OperatorQuantization
) -> tuple[Call, ...] | None:
    """The call into kernels/mve: an average pool over the positions of each row; or None as above."""
    multiplier, shift = multipliers
    zero_point = quantization.output.zero_point
    away = ties_away(-128, zero_point, np.array([shift]))
    if away is None or positions > LARGEST_COUNT:
        return None
    window = Window.over((rows, positions, channels), (1, positions), (1, 1), (1, 1), "valid").parameters()
    parameters = {
        **{name: value for name, value in window.items() if not name.startswith(("padding", "dilation"))},
        "channels": channels,
        "input_pixel": channels,
        "output_pixel": channels,
        "start": -quantization.inputs[0].zero_point * positions,
        "left": 0,
        "multiplier": multiplier,
        "shift": shift,
        "ties_away": away,
        "output_zero_point": zero_point,
        "output_low": -128,
        "output_high": 127,
    }
    return (Call("mj_mve_average_pool2d", "mve/pool.h", parameters),)


def _ties_of(values: np.ndarray, multiplier: int, shift: int) -> int:
    """Whether ties that are rounded upwards differ for any of these values; shift: 0 or less."""
    product = saturating_rounding_doubling_high_mul(values, multiplier)
    upwards = (product + ((1 << -shift) >> 1)) >> -shift
    return int(np.any(upwards != multiply_by_quantized_multiplier(values, multiplier, shift)))
