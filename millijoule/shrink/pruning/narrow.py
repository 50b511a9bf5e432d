"""Taking channels out of a network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from millijoule.graph import Graph, Node, Operator
from millijoule.model import Model
from millijoule.ops import BatchNorm, Dense, Pad, PRelu, Reshape, Scale, Slice, Subsample2d
from millijoule.ops.base import pair
from millijoule.ops.conv import Convolution
from millijoule.shrink.pruning.channels import Channels

PER_CHANNEL = (BatchNorm, Scale, PRelu, Subsample2d)


def narrow_graph(graph: Graph, channels: Channels, kept: np.ndarray) -> Graph:
    """The graph with the units of channels that are `kept`, bool (units,); every value must keep a channel."""
    stays = {value: kept[units] for value, units in channels.units.items()}
    nodes = tuple(replace(node, op=_narrow_operator(node, graph, stays)) for node in graph.nodes)
    return replace(graph, nodes=nodes)


def narrow(model: Model, channels: Channels, kept: np.ndarray) -> Model:
    """The float model with the units of channels that are `kept`, and their numbers."""
    graph = model.graph
    stays = {value: kept[units] for value, units in channels.units.items()}
    weights = {
        f"{node.name}.{name}": array[_kept_of_array(node, name, graph, stays)]
        for node in graph.nodes
        for name, array in model.node_weights(node).items()
    }
    return replace(model, graph=narrow_graph(graph, channels, kept), weights=weights)


def _narrow_operator(node: Node, graph: Graph, stays: Mapping[str, np.ndarray]) -> Operator:
    op, output = node.op, stays[node.name]
    channels = int(output.sum())
    if isinstance(op, Convolution):
        source = stays[node.inputs[0]]
        return replace(op, channels=channels, groups=int(source.sum()) if op.groups == len(source) else op.groups)
    if isinstance(op, Dense):
        return replace(op, features=channels)
    if isinstance(op, Pad):
        before, after = op.channels
        return replace(op, channels=(int(output[:before].sum()), int(output[len(output) - after :].sum())))
    if isinstance(op, Slice):
        begin = int(stays[node.inputs[0]][: op.begin[-1]].sum())
        return replace(op, begin=(*op.begin[:-1], begin), size=(*op.size[:-1], channels))
    if isinstance(op, Reshape):
        return replace(op, target=(*op.target[:-1], channels))
    return op


def _kept_of_array(node: Node, name: str, graph: Graph, stays: Mapping[str, np.ndarray]) -> Any:
    """What of an array of the node stays: an index of it."""
    op, output = node.op, np.flatnonzero(stays[node.name])
    if isinstance(op, PER_CHANNEL) or (isinstance(op, Convolution | Dense) and name == "bias"):
        return output
    if isinstance(op, Convolution):
        source = stays[node.inputs[0]]
        inputs = source[: len(source) // op.groups]  # each group has the same
        height, width = map(np.arange, pair(op.kernel))
        return np.ix_(output, height, width, np.flatnonzero(inputs) if len(inputs) > 1 else np.array([0]))
    if isinstance(op, Dense):
        positions = prod(graph.shapes[node.inputs[0]][:-1])
        return np.ix_(output, np.flatnonzero(np.tile(stays[node.inputs[0]], positions)))
    return slice(None)
