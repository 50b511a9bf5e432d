"""Batch-norm and Scale are a factor and an offset for each channel: at inference they need no layer of their own."""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import replace
from math import prod

import numpy as np

from millijoule.graph import Node
from millijoule.ops import BatchNorm, Conv2d, Dense, Reshape, Scale
from millijoule.passes.draft import Draft, Network, apply


def fold_batch_norm(network: Network) -> Network:
    """Move every batch-norm, and every Scale, into the convolution or dense layer in front of it.

        conv ─▶ batch_norm ─▶        becomes   conv with bias ─▶
        anything else ─▶ batch_norm  becomes   anything else ─▶ depthwise 1x1 conv with bias

    The second where the layer in front has an activation or is read by others too, or is no such layer; around a value
    that is no map, reshapes are put. After it: no node is a BatchNorm or a Scale; outputs are equal up to rounding.
    """
    return apply(network, _fold)


def _fold(draft: Draft, node: Node) -> None:
    if not isinstance(node.op, BatchNorm | Scale):
        return
    producer = draft.producer(node)
    if (
        producer is not None
        and isinstance(producer.op, Conv2d | Dense)
        and producer.op.activation == "none"
        and draft.is_read_once(producer.name)
    ):
        if draft.weights is not None:
            _fold_arrays(draft.weights, node, producer)
        draft.set_op(producer.name, replace(producer.op, bias=True))
        draft.remove(node)
    else:
        _make_depthwise(draft, node)


def _fold_arrays(weights: MutableMapping[str, np.ndarray], node: Node, producer: Node) -> None:
    scale, offset = _scale_and_offset(weights, node)
    weight = weights[f"{producer.name}.weight"]
    bias = weights.get(f"{producer.name}.bias", np.zeros(len(weight)))
    per_output = scale.reshape(-1, *(1 for _ in weight.shape[1:]))
    weights[f"{producer.name}.weight"] = (weight * per_output).astype(np.float32)
    weights[f"{producer.name}.bias"] = (bias * scale + offset).astype(np.float32)


def _make_depthwise(draft: Draft, node: Node) -> None:
    shape = draft.input_shape(node)
    channels = shape[-1]
    if draft.weights is not None:
        scale, offset = _scale_and_offset(draft.weights, node)
        name = node.name if len(shape) == 3 else f"{node.name}.conv"
        draft.weights[f"{name}.weight"] = scale.reshape(channels, 1, 1, 1).astype(np.float32)
        draft.weights[f"{name}.bias"] = offset.astype(np.float32)
    convolution = Conv2d(channels=channels, kernel=1, groups=channels)
    if len(shape) == 3:
        draft.set_op(node.name, convolution)
        return
    reshape = Reshape(target=(prod(shape[:-1]), 1, channels))
    draft.insert_before(node, Node(f"{node.name}.map", reshape, node.inputs))
    draft.insert_before(draft.nodes[node.name], Node(f"{node.name}.conv", convolution, (f"{node.name}.map",)))
    draft.set_op(node.name, Reshape(target=shape))


def _scale_and_offset(weights: MutableMapping[str, np.ndarray], node: Node) -> tuple[np.ndarray, np.ndarray]:
    """float64: what the node computes of x is scale * x + offset."""
    if isinstance(node.op, Scale):
        factor = weights[f"{node.name}.weight"].astype(np.float64)
        return factor, weights.get(f"{node.name}.bias", np.zeros(len(factor))).astype(np.float64)
    assert isinstance(node.op, BatchNorm)
    scale, bias, mean, variance = (
        weights[f"{node.name}.{name}"].astype(np.float64) for name in ("scale", "bias", "mean", "variance")
    )
    factor = scale / np.sqrt(variance + node.op.epsilon)
    return factor, bias - mean * factor
