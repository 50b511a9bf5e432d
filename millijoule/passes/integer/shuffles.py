"""A channel shuffle costs nothing where the numbers of a layer can be put into another order instead."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from millijoule import ops
from millijoule.graph import Graph, Node
from millijoule.model import Model, Quantization
from millijoule.passes.integer.identities import with_graph, without
from millijoule.passes.integer.twins import is_by_channel, is_depthwise


def fold_shuffles(model: Model) -> Model:
    """The int8 model with channel shuffles in the weights before or behind them; outputs are equal, bit for bit.

        x ─▶ shuffle ─▶ conv   becomes   x ─▶ conv whose weights have their inputs in the order of x
        conv ─▶ shuffle ─▶ y   becomes   conv whose outputs are in the order of y ─▶ y

    Depthwise convolutions, pools and functions of one number may stand between. A shuffle stays behind a grouped
    convolution or a concatenation unless all that reads it in the end is dense, and before a split or a sum; and where
    layers share numbers, for they would share them no longer.
    """
    if any(node.shares for node in model.graph.nodes):
        return model
    for node in model.graph.nodes:
        if isinstance(node.op, ops.ChannelShuffle):
            order = np.arange(model.graph.shapes[node.name][-1]).reshape(node.op.groups, -1).T.ravel()
            behind, before = _behind(model.graph, node.name), _before(model.graph, node)
            if behind is not None:
                model = _reordered(model, behind, np.argsort(order), is_read=True)
            elif before is not None:
                model = _reordered(model, before, order, is_read=False)
            else:
                continue
            model = without(model, {node.name: node.inputs[0]})
    return model


def _behind(graph: Graph, value: str) -> list[Node] | None:
    """Every node that the order of a value's channels matters to; None if not all of them can do with another one."""
    if value in graph.outputs:
        return None
    found = []
    for node in graph.readers[value]:
        found.append(node)
        if _is_dense(node):
            continue
        rest = _behind(graph, node.name) if _keeps_channels(graph, node) else None
        if rest is None:
            return None
        found += rest
    return found


def _before(graph: Graph, shuffle: Node) -> list[Node] | None:
    """The nodes that can give a shuffle's input in another order, back to a dense one; None if there is none."""
    found, value = [], shuffle.inputs[0]
    while value in graph.by_name and len(graph.readers[value]) == 1 and value not in graph.outputs:
        node = graph.by_name[value]
        found.append(node)
        if _is_dense(node):
            return found
        if not _keeps_channels(graph, node) or isinstance(node.op, ops.Flatten):
            return None
        value = node.inputs[0]
    return None


def _is_dense(node: Node) -> bool:
    return isinstance(node.op, ops.Dense) or (isinstance(node.op, ops.Conv2d) and node.op.groups == 1)


def _keeps_channels(graph: Graph, node: Node) -> bool:
    """Whether channel c of the output is made of channel c of the one input, and of numbers of that channel."""
    if isinstance(node.op, ops.Conv2d):
        return is_depthwise(node.op, graph.input_shapes(node)[0][-1])
    return len(node.inputs) == 1 and (is_by_channel(node.op) or isinstance(node.op, ops.PRelu | ops.Flatten))


def _reordered(model: Model, nodes: Iterable[Node], order: np.ndarray, is_read: bool) -> Model:
    """The model with the numbers of nodes in another order of channels: number i is what number order[i] was.

    is_read: of a dense layer, those that it reads; else those that it gives.
    """
    weights, quantization = dict(model.weights), dict(model.quantization or {})
    for node in nodes:
        for name, array in model.node_weights(node).items():
            key = f"{node.name}.{name}"
            if _is_dense(node) and is_read:
                # Of a map that was flattened, each position's channels lie side by side.
                parts = array.reshape(*array.shape[:-1], -1, len(order)) if name == "weight" else None
                weights[key] = array if parts is None else parts[..., order].reshape(array.shape)
                continue
            weights[key] = array.reshape(-1, len(order), *array.shape[1:])[:, order].reshape(array.shape)
            if key in quantization and quantization[key].scales.size > 1:
                old = quantization[key]
                quantization[key] = Quantization(old.scales[order], old.zero_point)
    return with_graph(model, model.graph, weights, quantization)
