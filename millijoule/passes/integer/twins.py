"""Which channels of a value hold the same numbers as another one, for every input."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from millijoule import ops
from millijoule.graph import Node, Operator
from millijoule.model import Model
from millijoule.ops.activation import Unary

BY_CHANNEL = (
    Unary,
    ops.Add,
    ops.Subtract,
    ops.Multiply,
    ops.MaxPool2d,
    ops.AveragePool2d,
    ops.GlobalAveragePool,
    ops.GlobalMaxPool,
    ops.Pad,
    ops.Resize2d,
)
"""Operators that compute channel c of the output from channel c of the inputs, each channel in the same way."""


def is_by_channel(op: Operator) -> bool:
    """Whether an operator is one of BY_CHANNEL; Pad is if it adds no channels."""
    return isinstance(op, BY_CHANNEL) and not (isinstance(op, ops.Pad) and any(op.channels))


def is_depthwise(op: ops.Conv2d, channels: int) -> bool:
    """One kernel for each of the input's `channels`."""
    return op.groups == op.channels == channels


def twins(model: Model) -> dict[str, np.ndarray]:
    """For every value, int64 (channels,): the first channel that holds the same numbers; itself where it is the first.

    Two channels of a convolution or dense layer are the same if their weights on equal inputs, their biases and their
    multipliers are; of an operator that treats each channel alike, if those of its inputs are.
    """
    first: dict[str, np.ndarray] = {}
    for input in model.graph.inputs:
        first[input.name] = np.arange(input.shape[-1])
    for node in model.graph.nodes:
        keys = _keys(model, node, [first[name] for name in node.inputs])
        seen: dict[Any, int] = {}
        count = model.graph.shapes[node.name][-1]
        first[node.name] = np.array([seen.setdefault(key, c) for c, key in enumerate(keys or range(count))])
    return first


def _keys(model: Model, node: Node, x: list[np.ndarray]) -> list[Any]:
    """One hashable key for each output channel; equal keys mean equal channels. Empty where nothing is known."""
    shapes = model.graph.input_shapes(node)
    channels = model.graph.shapes[node.name][-1]
    if isinstance(node.op, ops.Dense | ops.Conv2d):
        return _keys_of_sums(model, node, node.op, x[0])
    if is_by_channel(node.op):
        return [tuple(each[c] for each in x) for c in range(channels)]
    if isinstance(node.op, ops.Concat):
        # Twins within one input; the same value given twice would make more.
        return [(name, c) for name, each in enumerate(x) for c in each]
    if isinstance(node.op, ops.Flatten | ops.Reshape) and prod(shapes[0][:-1]) == 1 and channels == shapes[0][-1]:
        return list(x[0])
    return []


def _keys_of_sums(model: Model, node: Node, op: ops.Conv2d | ops.Dense, x: np.ndarray) -> list[Any]:
    weights, quantization = model.node_weights(node), model.node_quantization(node)
    weight = weights["weight"].astype(np.int64) - quantization.weights["weight"].zero_point
    bias = weights.get("bias", np.zeros(len(weight), np.int32))
    multiplier, shift = op.multipliers(quantization)
    rest = list(zip(bias.tolist(), multiplier.tolist(), shift.tolist(), strict=True))
    if isinstance(op, ops.Conv2d) and is_depthwise(op, len(x)):
        return [(x[c], weight[c].tobytes(), rest[c]) for c in range(len(weight))]
    if isinstance(op, ops.Conv2d) and op.groups > 1:
        return []
    if weight.shape[-1] != len(x):
        x = np.arange(weight.shape[-1])
    # The weights of equal inputs add up.
    added = np.zeros_like(weight)
    np.add.at(np.moveaxis(added, -1, 0), x, np.moveaxis(weight, -1, 0))
    return [(added[c].tobytes(), rest[c]) for c in range(len(weight))]
