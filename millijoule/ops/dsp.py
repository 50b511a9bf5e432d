"""Calls into kernels/dsp: the proofs that its kernels need, and their numbers laid out.

Every function answers None where a proof fails; the operator then takes the portable kernel.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from millijoule.fixedpoint import multiply_by_quantized_multiplier, wrap32
from millijoule.graph import Shape
from millijoule.model import OperatorQuantization
from millijoule.ops.base import Call, Pair, activation_range, pair
from millijoule.ops.steps import ACCUMULATOR_SCALE, dsp_lines, steps
from millijoule.target import Target

if TYPE_CHECKING:
    from millijoule.ops.conv import Conv2d
    from millijoule.ops.dense import Dense

INPUT_OFFSET = 127
"""What is subtracted from every second input before it is multiplied: see kernels/dsp/block.h."""

LARGEST_SHIFT = 22
UNROLLED = range(1, 11)
"""How many fours of inputs one turn of a block's loop may take: the functions that kernels/dsp/block.h defines."""
TAPS_UNROLLED, TAPS_TURNS = range(1, 9), range(1, 10)
"""How many fours of inputs, and how many places of a depthwise kernel, one turn may take in kernels/dsp/taps.h."""


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
    halves = padded[:, 0::2] + ACCUMULATOR_SCALE * padded[:, 1::2]
    if np.any(halves < -(2**15)):
        return None
    return halves.astype("<i2").view(np.int8).reshape(len(weight), fours, 4)


def widen_fours(weight: np.ndarray, fours: int) -> np.ndarray:
    """Wide weights for kernels/dsp/block.h: (channels, n) int8 → (channels, fours, 8) int8, filled up with zeros.

    The first and third of each four, then the second and fourth, as int16 256 times as large.
    """
    padded = np.zeros((len(weight), 4 * fours), "<i2")
    padded[:, : weight.shape[1]] = weight.astype(np.int16) * ACCUMULATOR_SCALE
    halves = padded.reshape(len(weight), fours, 2, 2).swapaxes(2, 3)
    return np.ascontiguousarray(halves).reshape(len(weight), fours, 4).view(np.int8)


def fours_first(kernel: Pair, inputs: int) -> np.ndarray:
    """In which order kernels/dsp/conv.h reads a window (height, width, inputs): int64 (height * width * inputs,).

    As many fours of each row as there are, then what is left of every row.
    """
    run = kernel[1] * inputs
    order = np.arange(kernel[0] * run).reshape(kernel[0], run)
    return np.concatenate([order[:, : run // 4 * 4].ravel(), order[:, run // 4 * 4 :].ravel()])


def block_bias(weight: np.ndarray, bias: np.ndarray, zero_point: int, wide: bool) -> np.ndarray:
    """int32 (channels,): what a block's sum starts from, for weight (channels, n) whose inputs are read as they are."""
    flat = weight.astype(np.int64)
    start = bias.astype(np.int64) - zero_point * flat.sum(axis=1)
    if not wide:
        start += INPUT_OFFSET * flat[:, 1::2].sum(axis=1)
    return wrap32(start * ACCUMULATOR_SCALE).astype(np.int32)


def words_of(weight: np.ndarray, fours: int, wide: bool) -> tuple[np.ndarray, bool]:
    """Weights (channels, n) as `pack_fours` lays them out, or `widen_fours` if asked or needed; and whether wide."""
    packed = None if wide else pack_fours(weight, fours)
    return (widen_fours(weight, fours), True) if packed is None else (packed, False)


def stream(words: np.ndarray, table: np.ndarray, together: int = 2) -> np.ndarray:
    """What is read of channels that are computed together, int32: their starts, their weights by turns, their scalings.

    words: (channels, …) of `words_of` or `pack_places`. table: (channels, n), the start and n - 1 numbers of the
    scaling.
    """
    weights, numbers = filled(words.view("<i4").reshape(len(words), -1), together), filled(table, together)
    blocks = len(weights) // together
    weights = weights.reshape(blocks, together, -1).swapaxes(1, 2).reshape(blocks, -1)
    starts, scaling = numbers[:, 0].reshape(blocks, -1), numbers[:, 1:].reshape(blocks, -1)
    return np.concatenate([starts, weights, scaling], axis=1).astype(np.int32)


def channel_table(
    start: np.ndarray,
    bounds: tuple[np.ndarray, np.ndarray],
    multipliers: tuple[np.ndarray, np.ndarray],
    zero_point: int,
    activation: Pair,
) -> tuple[np.ndarray, bool] | None:
    """struct mj_dsp_channel of each channel, int32 (channels, 4), and whether it is requantized by lines.

    start: (channels,) what a sum of 256 times the accumulator starts from; only the low 32 bits count, for every sum
    wraps and the last one fits. None if no kind of requantization is proven.
    """
    wide = (array.astype(np.int64).tobytes() for array in (*bounds, *multipliers))
    lines = _lines(*wide, zero_point, activation)
    if lines is not None:
        start = wrap32(start.astype(np.int64) + lines[:, 0])
        return np.column_stack([start, lines[:, 1:], np.zeros(len(lines))]).astype(np.int32), True
    scaling = scaling_table(*bounds, *multipliers, zero_point, 2**31 // ACCUMULATOR_SCALE)
    return None if scaling is None else (np.column_stack([wrap32(start), scaling]).astype(np.int32), False)


@lru_cache(maxsize=1024)
def _lines(
    low: bytes, high: bytes, multiplier: bytes, shift: bytes, zero_point: int, activation: Pair
) -> np.ndarray | None:
    """`dsp_lines` of int64 arrays: remembered, for a planner asks for the same layer by rows and by pixels."""
    least, most, *multipliers = (np.frombuffer(each, np.int64) for each in (low, high, multiplier, shift))
    found = steps(least, most, (multipliers[0], multipliers[1]), zero_point, activation)
    return None if found is None else dsp_lines(found, (multipliers[0], multipliers[1]), zero_point)


def pack_pairs(weight: np.ndarray, stride: int) -> np.ndarray:
    """Words of weights for kernels/dsp/depthwise.h: (channels, height, width) int8 → int16 (channels, height, n, 2),
    256 times as large.

    A kernel of 3 by 3, moved by one or two, becomes the pairs (w0, w1), (w1, w2) for each row; any other (w0, w1),
    (w2, w3), …, filled up with zero.
    """
    wide = weight.astype(np.int16) * ACCUMULATOR_SCALE
    if weight.shape[1:] == (3, 3) and stride <= 2:
        return np.ascontiguousarray(np.stack([wide[:, :, 0:2], wide[:, :, 1:3]], axis=2))
    wide = np.pad(wide, ((0, 0), (0, 0), (0, weight.shape[2] % 2)))
    return np.ascontiguousarray(wide).reshape(*wide.shape[:2], -1, 2)


def pack_places(weight: np.ndarray, turn: int) -> np.ndarray:
    """Words of weights for kernels/dsp/taps.h: (channels, places) int8 → int16 (channels, turns, n, 2), 256 times as
    large, each turn filled up with zero to pairs.
    """
    wide = weight.astype(np.int16).reshape(len(weight), -1, turn) * ACCUMULATOR_SCALE
    wide = np.pad(wide, ((0, 0), (0, 0), (0, turn % 2)))
    return np.ascontiguousarray(wide).reshape(*wide.shape[:2], -1, 2)


def fours_in_a_turn(fours: int) -> int:
    """How many fours one turn of the loop takes: the fewest instructions, those for filling up included."""
    return min(UNROLLED, key=lambda n: (-(-fours // n) * (23 * n + 3), -n))


def filled(array: np.ndarray, multiple: int) -> np.ndarray:
    """(channels, …) with channels of zeros behind them, up to a multiple."""
    return np.pad(array, ((0, -len(array) % multiple), *[(0, 0)] * (array.ndim - 1)))


def longest_turn(count: int, turns: range) -> int:
    """The most of `count` that one turn of a loop may take, so that it divides them."""
    return max(turn for turn in turns if count % turn == 0)


def conv2d(
    op: Conv2d, x: Shape, weights: Mapping[str, np.ndarray], quantization: OperatorQuantization, target: Target
) -> tuple[Call, ...] | None:
    """The call into kernels/dsp, or None where what it needs cannot be proven."""
    if quantization.weights["weight"].zero_point != 0:
        return None
    zero_point, weight = quantization.inputs[0].zero_point, weights["weight"].reshape(op.channels, -1)
    bias = weights["bias"] if op.bias else np.zeros(op.channels, np.int32)
    if 1 < op.groups == x[2] == op.channels:
        return _depthwise(op, x, weight, bias, quantization, target)
    weight = weight[:, fours_first(pair(op.kernel), x[2] // op.groups)]
    fours, taps = -(-weight.shape[1] // 4), target.frugal and op.groups == 1 and x[2] % 4 == 0
    unroll = longest_turn(x[2] // 4, TAPS_UNROLLED) if taps else fours_in_a_turn(fours)
    quads = -(-fours // unroll) * unroll
    words, wide = words_of(weight, quads, target.wide_weights)
    found = _requantized(op, x, weight, bias, block_bias(weight, bias, zero_point, wide), quantization)
    if found is None:
        return None
    table, parameters = found
    table = table[:, : 3 if parameters["by_line"] else 4]
    parameters |= {"input_channels": x[2], "output_channels": op.channels, "unroll": unroll, "wide": int(wide)}
    if taps:
        return _taps("mj_dsp_taps_conv2d", parameters, stream(words, table, 4), x[2], zero_point)
    numbers = zip(np.split(words, op.groups), np.split(table, op.groups), strict=True)
    data = {"stream": np.stack([stream(group, channels) for group, channels in numbers])}
    in_place = op.groups == 1 and pair(op.dilation)[1] == 1 and op.window(x).pads_nothing
    patch = 0 if in_place else weight.shape[1]
    pixels = 1 if target.frugal or parameters["output_width"] < 4 else 4
    parameters |= {"groups": op.groups, "quads": quads, "pixels": pixels, "input_zero_point": zero_point}
    parameters |= {"input_pixel": x[2], "output_pixel": op.channels}
    scratch, zeros = 8 * quads * pixels + patch, 0 if patch else 8 * (quads - fours) * pixels
    call = Call("mj_dsp_conv2d", "dsp/conv.h", parameters, data=data, scratch_bytes=scratch, only_read_bytes=zeros)
    return (call,)


def _requantized(
    op: Conv2d,
    x: Shape,
    weight: np.ndarray,
    bias: np.ndarray,
    start: np.ndarray,
    quantization: OperatorQuantization,
) -> tuple[np.ndarray, dict[str, int]] | None:
    """`channel_table` and the parameters of every kernel; weight: (channels, n)."""
    low, high = activation_range(op.activation, quantization.output)
    found = channel_table(
        start,
        accumulator_bounds(weight, bias, quantization.inputs[0].zero_point),
        op.multipliers(quantization),
        quantization.output.zero_point,
        (low, high),
    )
    if found is None:
        return None
    table, by_line = found
    return table, {**op.window(x).parameters(), "by_line": int(by_line), "output_low": low, "output_high": high}


def _taps(
    function: str, parameters: Mapping[str, int], stream: np.ndarray, channels: int, zero_point: int
) -> tuple[Call, ...]:
    data = {"outside": np.full(channels, zero_point, np.int8), "stream": stream}
    return (Call(function, "dsp/taps.h", parameters, data=data, by_pixel=True),)


def _depthwise(
    op: Conv2d, x: Shape, weight: np.ndarray, bias: np.ndarray, quantization: OperatorQuantization, target: Target
) -> tuple[Call, ...] | None:
    if x[2] < 4 or (op.dilation != (1, 1) and not target.frugal):
        return None
    zero_point = quantization.inputs[0].zero_point
    # Inputs are read as they are where they are not spread.
    start = bias.astype(np.int64) - (zero_point * weight.astype(np.int64).sum(axis=1) if target.frugal else 0)
    found = _requantized(op, x, weight, bias, start * ACCUMULATOR_SCALE, quantization)
    if found is None:
        return None
    table, parameters = found
    parameters |= {"channels": x[2]}
    if target.frugal:
        turn = longest_turn(weight.shape[1], TAPS_TURNS)
        order = np.concatenate([np.arange(4) + min(first, x[2] - 4) for first in range(0, x[2], 4)])
        words, table = pack_places(weight, turn)[order], table[order, : 3 if parameters["by_line"] else 4]
        parameters["turn"] = turn
        return _taps("mj_dsp_taps_depthwise_conv2d", parameters, stream(words, table, 4), x[2], zero_point)
    del parameters["dilation_height"], parameters["dilation_width"]
    parameters["input_zero_point"] = zero_point
    for side, width in (("input", x[1]), ("output", parameters["output_width"])):
        parameters |= {f"{side}_pixel": x[2], f"{side}_row": width * x[2]}
    kernels = weight.reshape(x[2], *pair(op.kernel))
    if parameters["output_height"] > parameters["output_width"] and not target.by_row:
        # By columns, for four outputs are computed at a time: the last ones of a short row cost as much.
        kernels, parameters = kernels.swapaxes(1, 2), _by_columns(parameters)
    outputs = -(-parameters["output_width"] // 4) * 4
    line = (outputs - 1) * parameters["stride_width"] + parameters["kernel_width"] + 1
    line += line % 2
    words = pack_pairs(kernels, parameters["stride_width"]).view(np.int32).reshape(x[2], -1)
    call = Call(
        "mj_dsp_depthwise_conv2d",
        "dsp/depthwise.h",
        parameters | {"line": line},
        data={"table": np.column_stack([words, table]).astype(np.int32)},
        scratch_bytes=parameters["kernel_height"] * 8 * line,
    )
    return (call,)


def dense(
    op: Dense, x: Shape, weights: Mapping[str, np.ndarray], quantization: OperatorQuantization, target: Target
) -> tuple[Call, ...] | None:
    """The call into kernels/dsp, or None where what it needs cannot be proven."""
    weight, inputs, zero_point = weights["weight"], prod(x), quantization.inputs[0].zero_point
    bias = weights["bias"] if op.bias else np.zeros(op.features, np.int32)
    if quantization.weights["weight"].zero_point != 0 or inputs % 4:
        return None
    bounds = accumulator_bounds(weight, bias, zero_point)
    scaling = scaling_table(
        *bounds, *op.multipliers(quantization), quantization.output.zero_point, 2**31 // ACCUMULATOR_SCALE
    )
    if scaling is None:
        return None
    words, wide = words_of(weight, inputs // 4, target.wide_weights)
    uniform = bool(np.all(scaling == scaling[0]))
    low, high = activation_range(op.activation, quantization.output)
    parameters = {
        "inputs": inputs,
        "outputs": op.features,
        "unroll": next(unroll for unroll in (4, 2, 1) if inputs % (4 * unroll) == 0),
        "wide": int(wide),
        "scaling_step": 0 if uniform else 3,
        "output_low": low,
        "output_high": high,
    }
    data = {
        "weight": filled(words, 4).reshape(-1, 4, inputs // (2 if wide else 4), 4).swapaxes(1, 2),
        "bias": filled(block_bias(weight, bias, zero_point, wide), 4),
        "scaling": scaling[0] if uniform else scaling,
    }
    return (Call("mj_dsp_dense", "dsp/dense.h", parameters, data=data),)


def _by_columns(parameters: Mapping[str, int]) -> dict[str, int]:
    """The same map with height and width, row and pixel, top and left exchanged."""
    pairs = {"height": "width", "row": "pixel", "top": "left"}
    swap = pairs | {other: name for name, other in pairs.items()}
    names = {name: name.rsplit("_", 1) for name in parameters}
    return {
        name: parameters[f"{start}_{swap[end[0]]}"] if end and end[0] in swap else parameters[name]
        for name, (start, *end) in names.items()
    }
