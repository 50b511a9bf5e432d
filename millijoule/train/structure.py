"""A graph as plain values, so that a run's folder can keep it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from millijoule import ops
from millijoule.errors import DataError, ModelError
from millijoule.graph import Graph, Input, Node, Operator


def to_plain(graph: Graph) -> dict[str, Any]:
    """The graph as JSON can hold it: every operator by its name, with the attributes that it was made with."""
    return {
        "name": graph.name,
        "inputs": {input.name: list(input.shape) for input in graph.inputs},
        "nodes": [_plain_node(node) for node in graph.nodes],
        "outputs": list(graph.outputs),
    }


def from_plain(plain: Mapping[str, Any]) -> Graph:
    """The inverse of `to_plain`. JSON has turned tuples into lists. Raises DataError if it is no graph."""
    try:
        inputs = tuple(Input(name, tuple(shape)) for name, shape in plain["inputs"].items())
        nodes = tuple(_node(each) for each in plain["nodes"])
        return Graph(plain["name"], inputs, nodes, tuple(plain["outputs"]))
    except (AttributeError, KeyError, TypeError, ValueError, ModelError) as error:
        raise DataError(f"the graph that is kept is none ({error}): train the network again") from None


def _plain_node(node: Node) -> dict[str, Any]:
    attributes = {field.name: getattr(node.op, field.name) for field in fields(node.op)}  # type: ignore[arg-type]
    plain = {"name": node.name, "operator": type(node.op).__name__, "attributes": attributes}
    more = {"blocks": node.blocks, "out_of_place": node.out_of_place, "shares": node.shares}
    return {**plain, "inputs": node.inputs, **{name: value for name, value in more.items() if value}}


def _node(plain: Mapping[str, Any]) -> Node:
    known = {name: getattr(ops, name) for name in ops.__all__}
    operator: type[Operator] = known[plain["operator"]]
    more = {name: _tuple(plain[name]) for name in ("blocks", "out_of_place", "shares") if name in plain}
    attributes = {name: _tuple(value) for name, value in plain["attributes"].items()}
    return Node(plain["name"], operator(**attributes), _tuple(plain["inputs"]), **more)


def _tuple(value: Any) -> Any:
    return tuple(map(_tuple, value)) if isinstance(value, list | tuple) else value
