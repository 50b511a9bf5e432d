"""Nodes of an int8 network that give back one of their inputs, byte for byte."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from millijoule import ops
from millijoule.graph import Graph, Node
from millijoule.model import Model, Quantization
from millijoule.ops.activation import Unary
from millijoule.passes.integer.bounds import Bounds


def identities(model: Model, bounds: Mapping[str, Bounds]) -> dict[str, str]:
    """Node → the input that it returns: same bytes, same quantization, for everything that its input can be.

    x ─▶ requantize ─▶ y   where every number that x can be stays as it is (so for any function of one number)
    x + zero ─▶ y          where zero is one constant, and adding it changes no number that x can be (so for products)

    One that stands between an input and an output of the graph is left out.
    """
    return {
        node.name: same
        for node in model.graph.nodes
        if (same := _returned(model, node, bounds)) is not None
        and not (node.name in model.graph.outputs and same not in model.graph.by_name)
    }


def _returned(model: Model, node: Node, bounds: Mapping[str, Bounds]) -> str | None:
    shape, quantization = model.graph.shapes[node.name], model.node_quantization(node)
    pairs: list[tuple[int, int | None]] = [(0, None)] if isinstance(node.op, Unary) else []
    pairs += [(0, 1), (1, 0)] if isinstance(node.op, ops.Add | ops.Multiply) else []
    for index, other in pairs:
        name = node.inputs[index]
        if model.graph.shapes[name] != shape or quantization.inputs[index] != quantization.output:
            continue
        numbers = np.arange(int(bounds[name].low.min()), int(bounds[name].high.max()) + 1).astype(np.int8)[None]
        x = {index: numbers}
        if other is not None:
            beside = bounds[node.inputs[other]]
            if beside.low.min() != beside.high.max():
                continue
            x[other] = np.full_like(numbers, beside.low.min())
        given = node.op.int8(*(x[i] for i in sorted(x)), weights={}, quantization=quantization)
        if np.array_equal(given, numbers):
            return name
    return None


def without(model: Model, returned: Mapping[str, str]) -> Model:
    """The model without those nodes, whose readers read what they return, and without what nothing reads any more."""

    def source(name: str) -> str:
        while name in returned:
            name = returned[name]
        return name

    graph = model.graph
    outputs = tuple(source(name) for name in graph.outputs)
    kept: list[Node] = []
    read = set(outputs)
    for node in reversed(graph.nodes):
        if node.name in read and node.name not in returned:
            kept.append(replace(node, inputs=tuple(source(name) for name in node.inputs)))
            read.update(kept[-1].inputs)
    graph = replace(graph, nodes=tuple(reversed(kept)), outputs=outputs)
    return with_graph(model, graph, model.weights, model.quantization or {})


def with_graph(
    model: Model, graph: Graph, weights: Mapping[str, np.ndarray], quantization: Mapping[str, Quantization]
) -> Model:
    """The model on `graph`; arrays and quantizations that belong to none of its nodes are left out."""
    params = graph.params()
    names = {*graph.shapes, *params}
    return model.with_graph(
        graph,
        weights={name: weights[name] for name in params},
        quantization={name: value for name, value in quantization.items() if name in names},
    )
