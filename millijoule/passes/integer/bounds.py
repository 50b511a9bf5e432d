"""Interval arithmetic through an int8 network: what each number can be, whatever the input.

Every rule follows the operator's own integer semantics, rounding and saturation included, so a bound is a proof. Most
operators never decrease when an input grows: their `int8` of the least and of the largest inputs bounds the output.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from millijoule import ops
from millijoule.errors import ModelError
from millijoule.fixedpoint import INT32_MAX, INT32_MIN
from millijoule.graph import Node
from millijoule.model import Model
from millijoule.ops.activation import Unary
from millijoule.ops.base import activation_range

MOVES = (
    ops.Flatten,
    ops.Reshape,
    ops.Pad,
    ops.Concat,
    ops.Slice,
    ops.ChannelShuffle,
    ops.DepthToSpace,
    ops.SpaceToDepth,
    ops.Transpose,
)
GROWING = (*MOVES, ops.Resize2d, ops.Add, ops.MaxPool2d, ops.AveragePool2d, ops.GlobalMaxPool)
"""Operators whose output never decreases when an input grows."""


@dataclass(frozen=True, eq=False)
class Bounds:
    """The least and the largest that each number of a value can be: int8 arrays of the value's shape.

    sums: (least, largest) accumulator of each output channel of a convolution or dense layer, bias included; int64.
    """

    low: np.ndarray
    high: np.ndarray
    sums: tuple[np.ndarray, np.ndarray] | None = None

    @property
    def constant(self) -> np.ndarray:
        """bool (channels,): the channel is one number at every position, for every input."""
        axes = tuple(range(self.low.ndim - 1))
        return np.asarray(self.low.min(axis=axes) == self.high.max(axis=axes))

    @property
    def constants(self) -> np.ndarray:
        """int64 (channels,): that number; without meaning for a channel that is not constant."""
        return self.low.reshape(-1, self.low.shape[-1])[0].astype(np.int64)


def bounds(model: Model) -> dict[str, Bounds]:
    """The bounds of every value of an int8 model; a graph input may be anything.

    An operator without a rule (softmax, products of two values, …) is taken to give anything that fits into int8.
    Raises ModelError if the model is float or a node has no int8 form.
    """
    found: dict[str, Bounds] = {}
    for input in model.graph.inputs:
        found[input.name] = _anything(input.shape)
    for node in model.graph.nodes:
        try:
            found[node.name] = _bound(model, node, [found[name] for name in node.inputs])
        except ValueError as error:
            raise ModelError(f"node '{node.name}' ({type(node.op).__name__}): {error}") from None
    return found


def _bound(model: Model, node: Node, x: list[Bounds]) -> Bounds:
    if isinstance(node.op, ops.Conv2d | ops.ConvTranspose2d | ops.Dense):
        return _bound_sums(model, node, node.op, x[0])
    if isinstance(node.op, Unary):
        return _bound_table(model, node, x[0])
    if isinstance(node.op, GROWING) or _sum_stays_in_order(model, node):
        return Bounds(_run(model, node, [each.low for each in x]), _run(model, node, [each.high for each in x]))
    if isinstance(node.op, ops.Subtract):
        a, b = x
        return Bounds(_run(model, node, [a.low, b.high]), _run(model, node, [a.high, b.low]))
    if isinstance(node.op, ops.Multiply) and _product_stays_in_order(model, node, node.op):
        corners = [_run(model, node, [a, b]) for a in (x[0].low, x[0].high) for b in (x[1].low, x[1].high)]
        return Bounds(np.minimum.reduce(corners), np.maximum.reduce(corners))
    return _anything(model.graph.shapes[node.name])


def _anything(shape: tuple[int, ...]) -> Bounds:
    return Bounds(np.full(shape, -128, np.int8), np.full(shape, 127, np.int8))


def _run(model: Model, node: Node, x: list[np.ndarray]) -> np.ndarray:
    """The node's integer semantics for one sample."""
    batch = [array[None] for array in x]
    return node.op.int8(*batch, weights=model.node_weights(node), quantization=model.node_quantization(node))[0]


def _bound_sums(model: Model, node: Node, op: ops.Conv2d | ops.ConvTranspose2d | ops.Dense, x: Bounds) -> Bounds:
    """A sum is least where every input with a positive weight is least, and every other one largest."""
    quantization, weights = model.node_quantization(node), model.node_weights(node)
    zero_point = quantization.inputs[0].zero_point
    weight = weights["weight"].astype(np.int64) - quantization.weights["weight"].zero_point
    positive, negative = np.maximum(weight, 0), np.minimum(weight, 0)
    bias = weights.get("bias", np.zeros(len(weight), np.int32)).astype(np.int64)
    one, two = (
        [op.accumulate(array[None], part, zero_point)[0] for part in (positive, negative)] for array in (x.low, x.high)
    )
    least, largest = one[0] + two[1] + bias, two[0] + one[1] + bias
    low, high = op.requantize(least, quantization), op.requantize(largest, quantization)
    # Requantization grows with the sum as long as no sum leaves int32, before and after the shift to the left.
    left = np.maximum(op.multipliers(quantization)[1].astype(np.int64), 0)
    grows = ((least << left) >= INT32_MIN) & ((largest << left) <= INT32_MAX)
    unknown = ~grows & (least != largest)
    bottom, top = activation_range(op.activation, quantization.output)
    axes = tuple(range(least.ndim - 1))
    return Bounds(
        np.where(unknown, bottom, low).astype(np.int8),
        np.where(unknown, top, high).astype(np.int8),
        (least.min(axis=axes), largest.max(axis=axes)),
    )


def _bound_table(model: Model, node: Node, x: Bounds) -> Bounds:
    table = _run(model, node, [np.arange(-128, 128).astype(np.int8)])
    low, high = x.low.astype(np.int64) + 128, x.high.astype(np.int64) + 128
    least, largest = (np.full((256, 256), fill, np.int8) for fill in (127, -128))
    for start in range(256):
        least[start, start:] = np.minimum.accumulate(table[start:])
        largest[start, start:] = np.maximum.accumulate(table[start:])
    return Bounds(least[low, high], largest[low, high])


def _sum_stays_in_order(model: Model, node: Node) -> bool:
    """A mean grows with its inputs as long as their sum, shifted to the left, stays in int32."""
    if not isinstance(node.op, ops.GlobalAveragePool | ops.Mean):
        return False
    count = node.op.count(*model.graph.input_shapes(node))
    shift = node.op.multiplier(count, model.node_quantization(node))[1]
    return (255 * count) << max(shift, 0) <= INT32_MAX


def _product_stays_in_order(model: Model, node: Node, op: ops.Multiply) -> bool:
    """No product of two int8 numbers, 255 * 255 at most, leaves int32 when it is shifted to the left."""
    return op.multiplier(model.node_quantization(node))[1] <= 31 - 16
