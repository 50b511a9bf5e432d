"""Which channels of an int8 network must be computed, and which its outputs can do without."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np

from millijoule import ops
from millijoule.fixedpoint import INT32_MAX, INT32_MIN
from millijoule.graph import Node
from millijoule.model import Model
from millijoule.passes.integer.bounds import Bounds
from millijoule.passes.integer.twins import is_by_channel, is_depthwise

Masks = dict[str, np.ndarray]
"""Value → bool (channels,)."""


def needed_channels(model: Model, bounds: dict[str, Bounds], twins: dict[str, np.ndarray]) -> Masks:
    """For every value, the channels that must be computed so that the outputs stay as they are.

    Starts from the outputs, of which every channel is needed, and adds what is needed for that until nothing is added:
    the fewest channels. A value keeps one channel at least.
    """
    needed = {value: np.zeros(shape[-1], bool) for value, shape in model.graph.shapes.items()}
    for value in (*(input.name for input in model.graph.inputs), *model.graph.outputs):
        needed[value][:] = True
    while _spread(model, bounds, twins, needed) or _keep_least(model, needed):
        pass
    return needed


def _keep_least(model: Model, needed: Masks) -> bool:
    """Add a channel to values that have none; False if every one has some."""
    empty = [needed[node.name] for node in model.graph.nodes if not needed[node.name].any()]
    for mask in empty:
        mask[0] = True
    return bool(empty)


def _spread(model: Model, bounds: dict[str, Bounds], twins: dict[str, np.ndarray], needed: Masks) -> bool:
    """Add what each node needs of its inputs for what is needed of its output; False if that was there already."""
    before = sum(int(mask.sum()) for mask in needed.values())
    for node in reversed(model.graph.nodes):
        op, output = node.op, needed[node.name]
        shape = model.graph.shapes[node.name]
        x = model.graph.input_shapes(node)
        if isinstance(op, ops.Conv2d | ops.Dense) and not (isinstance(op, ops.Conv2d) and op.groups > 1):
            source = node.inputs[0]
            needed[source] |= by_feature_to_channel(
                sources(model, node, bounds[source], twins[source], output).needed, x[0]
            )
        elif is_by_channel(op) or (isinstance(op, ops.Conv2d) and is_depthwise(op, x[0][-1])):
            together = np.logical_or.reduce([output, *(needed[name] for name in node.inputs)])
            for name in (node.name, *node.inputs):
                needed[name] |= together
        elif isinstance(op, ops.Concat):
            start = 0
            for name, each in zip(node.inputs, x, strict=True):
                part = slice(start, start + each[-1])
                needed[name] |= output[part]
                output[part] |= needed[name]
                start += each[-1]
        elif isinstance(op, ops.Flatten | ops.Reshape) and _keeps_channels(x[0], shape):
            together = needed[node.inputs[0]] | output.reshape(-1, x[0][-1]).any(axis=0)
            needed[node.inputs[0]] |= together
            output |= np.tile(together, len(output) // len(together))
        else:
            for name in (node.name, *node.inputs):
                needed[name][:] = True
    return sum(int(mask.sum()) for mask in needed.values()) > before


def _keeps_channels(x: tuple[int, ...], output: tuple[int, ...]) -> bool:
    """Channel c of the input is the numbers c, c + channels, … of the output's last axis."""
    return output[-1] == x[-1] or len(output) == 1 or prod(output[:-1]) == 1


def by_feature_to_channel(features: np.ndarray, x: tuple[int, ...]) -> np.ndarray:
    """A dense layer reads a map flat: the channels of which any number is marked."""
    return np.asarray(features.reshape(-1, x[-1]).any(axis=0))


@dataclass(frozen=True, eq=False)
class Sources:
    """What a convolution or dense layer needs of its input, and how it does without the rest.

    weight: int64, without zero point: 0 for constants that went into the bias; those of equal inputs gathered on one
    of them. bias: int64 (outputs,), the constants included. needed: bool (inputs,).
    """

    weight: np.ndarray
    bias: np.ndarray
    needed: np.ndarray


def sources(model: Model, node: Node, x: Bounds, twins: np.ndarray, outputs: np.ndarray) -> Sources:
    """`Sources` of a node, of whose outputs those in the mask `outputs` are computed.

    A constant goes into the bias only where that is exact: a convolution that reads padding sees the zero point there
    instead, so then the constant must be the zero point.
    """
    op = node.op
    assert isinstance(op, ops.Conv2d | ops.Dense)
    quantization, weights = model.node_quantization(node), model.node_weights(node)
    zero_point = quantization.inputs[0].zero_point
    offset = quantization.weights["weight"].zero_point
    weight = weights["weight"].astype(np.int64) - offset
    bias = weights.get("bias", np.zeros(len(weight), np.int32)).astype(np.int64)
    if isinstance(op, ops.Dense):
        # Every number of the input has weights of its own, so it may be a constant of its own.
        constant, value = x.low.reshape(-1) == x.high.reshape(-1), x.low.reshape(-1).astype(np.int64)
        if len(twins) != len(constant):
            twins = np.arange(len(constant))
        exact = constant
    else:
        constant, value = x.constant, x.constants
        exact = constant & (op.window(x.low.shape).pads_nothing | (value == zero_point))
    step = np.where(exact, value - zero_point, 0)
    per_input = weight.reshape(len(weight), -1, weight.shape[-1]).sum(axis=1)
    folded_bias = bias + per_input @ step
    if folded_bias[outputs].size and not (
        folded_bias[outputs].min() >= INT32_MIN and folded_bias[outputs].max() <= INT32_MAX
    ):
        exact, folded_bias = constant & (value == zero_point), bias
    weight[..., exact] = 0
    _gather(weight, np.where(exact, -1, twins), outputs, offset)
    return Sources(weight, folded_bias, np.any(weight[outputs] != 0, axis=tuple(range(weight.ndim - 1))))


def _gather(weight: np.ndarray, twins: np.ndarray, outputs: np.ndarray, offset: int) -> None:
    """Add the weights of equal inputs up on one of them, where the sums fit into int8; twins: -1 for none."""
    least, most = (-127, 127) if offset == 0 else (-128 - offset, 127 - offset)
    firsts, counts = np.unique(twins, return_counts=True)
    for first in firsts[(counts > 1) & (firsts >= 0)]:
        same = np.flatnonzero(twins == first)
        total = weight[..., same].sum(axis=-1)
        if total[outputs].size and least <= total[outputs].min() and total[outputs].max() <= most:
            weight[..., same] = 0
            weight[..., same[0]] = total
