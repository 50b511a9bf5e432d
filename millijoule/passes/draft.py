"""What every pass does alike: visit the nodes in order, change some, return a new network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import numpy as np

from millijoule.errors import ModelError
from millijoule.graph import Graph, Node, Operator, Shape
from millijoule.model import Model

Network = TypeVar("Network", Graph, Model)
"""A pass takes and returns a Graph, or a float Model."""


class Draft:
    """A copy of a network that a pass changes. `weights` is None for a graph, which has no numbers."""

    def __init__(self, graph: Graph, weights: dict[str, np.ndarray] | None) -> None:
        self.graph = graph
        self.nodes = {node.name: node for node in graph.nodes}
        self.outputs = graph.outputs
        self.shapes = dict(graph.shapes)
        self.weights = weights
        # Value → the nodes that read it, once for each time they do: passes ask at every node.
        self.readers: dict[str, list[str]] = {name: [] for name in self.shapes}
        for node in graph.nodes:
            for name in node.inputs:
                self.readers[name].append(node.name)

    def input_shape(self, node: Node) -> Shape:
        return self.shapes[node.inputs[0]]

    def producer(self, node: Node) -> Node | None:
        """What makes the node's first input; None if that is an input of the graph."""
        return self.nodes.get(node.inputs[0])

    def is_read_once(self, value: str) -> bool:
        """Whether `value` is the input of one node, once, and not an output."""
        return value not in self.outputs and len(self.readers[value]) == 1

    def has_readers(self, value: str) -> bool:
        return bool(self.readers[value])

    def set_op(self, name: str, op: Operator) -> None:
        self.nodes[name] = replace(self.nodes[name], op=op)

    def insert_before(self, node: Node, new: Node) -> None:
        """Put `new`, which reads what `node` reads, in front of `node`, which then reads `new`."""
        self.shapes[new.name] = new.op.shape(*(self.shapes[name] for name in new.inputs))
        nodes = list(self.nodes.values())
        at = nodes.index(node)
        nodes[at : at + 1] = [new, replace(node, inputs=(new.name,))]
        self.nodes = {each.name: each for each in nodes}
        for name in node.inputs:
            self.readers[name] = [new.name if reader == node.name else reader for reader in self.readers[name]]
        self.readers[new.name] = [node.name]

    def remove(self, node: Node) -> None:
        """Take a node away; who read it reads its first input."""
        del self.nodes[node.name]
        stands_in = node.inputs[0]
        self.outputs = tuple(stands_in if name == node.name else name for name in self.outputs)
        for name in node.inputs:
            self.readers[name].remove(node.name)
        readers = self.readers.pop(node.name)
        self.readers[stands_in] += readers
        for reader in dict.fromkeys(readers):
            other = self.nodes[reader]
            inputs = tuple(stands_in if name == node.name else name for name in other.inputs)
            self.nodes[reader] = replace(other, inputs=inputs)

    def finished_graph(self) -> Graph:
        return replace(self.graph, nodes=tuple(self.nodes.values()), outputs=self.outputs)


Rule = Callable[[Draft, Node], None]


def apply(network: Network, rule: Rule, *, backwards: bool = False) -> Network:
    """The network after `rule(draft, node)` was called for every node, in execution order or backwards.

    Arrays of nodes that are gone are dropped. Raises ModelError for an int8 model, whose numbers are settled.
    """
    if isinstance(network, Graph):
        return _visit(Draft(network, None), rule, backwards).finished_graph()  # type: ignore[return-value]
    if network.is_int8:
        raise ModelError(f"model '{network.graph.name}' is int8; passes rewrite float models, before quantization")
    weights = dict(network.weights)
    graph = _visit(Draft(network.graph, weights), rule, backwards).finished_graph()
    return network.with_graph(graph, weights={name: weights[name] for name in graph.params()})


def _visit(draft: Draft, rule: Rule, backwards: bool) -> Draft:
    names = list(draft.nodes)
    for name in reversed(names) if backwards else names:
        rule(draft, draft.nodes[name])
    return draft
