"""Padding costs nothing where a convolution pads for itself."""

from __future__ import annotations

from dataclasses import replace

from millijoule.graph import Graph, Node
from millijoule.model import Model
from millijoule.ops import Conv2d, Pad
from millijoule.passes.integer.identities import with_graph


def fold_pads(model: Model) -> Model:
    """The int8 model with Pads moved into the convolutions that read them; outputs are equal, bit for bit.

        x ─▶ pad ─▶ conv   becomes   x ─▶ conv with padding

    Both pad with the zero point of x. A Pad stays that is an output, that something else reads too, or that
    requantizes.
    """
    graph = model.graph
    folded = {node.name: node for node in graph.nodes if _can_fold(model, node)}
    nodes = tuple(_padded(graph, node, folded) for node in graph.nodes if node.name not in folded)
    return with_graph(model, replace(graph, nodes=nodes), model.weights, model.quantization or {}) if folded else model


def _can_fold(model: Model, node: Node) -> bool:
    if not isinstance(node.op, Pad) or any(node.op.channels) or node.name in model.graph.outputs:
        return False
    quantization = model.quantization or {}
    readers = [other for other in model.graph.nodes if node.name in other.inputs]
    same = quantization[node.name] == quantization[node.inputs[0]]
    return same and all(isinstance(other.op, Conv2d) for other in readers)


def _padded(graph: Graph, node: Node, folded: dict[str, Node]) -> Node:
    """A convolution with the padding of the Pad that it reads, and its own around that."""
    pad = folded.get(node.inputs[0]) if node.inputs else None
    if pad is None or not isinstance(node.op, Conv2d) or not isinstance(pad.op, Pad):
        return node
    (top, bottom), (left, right) = node.op.window(*graph.input_shapes(node)).padding
    (above, below), (before, after) = pad.op.padding
    padding = ((above + top, bottom + below), (before + left, right + after))
    return replace(node, op=replace(node.op, padding=padding), inputs=pad.inputs)
