"""What a network that is trained takes over from a trained one."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np

from millijoule.errors import ModelError, OptionError
from millijoule.graph import Graph, Operator
from millijoule.model import Model
from millijoule.ops import Conv2d, Dense, Reshape


def taken_over(trained: Model, graph: Graph, source: str, *, part: bool = False) -> dict[str, np.ndarray]:
    """The arrays of a trained float model that `graph` has too, by their names.

    Layers that end the graph, which depend on the classes, may have other shapes; then they are left out.
    source: where the model is from. part: the graph may have more layers than the model.
    Raises OptionError if another layer is missing or has another shape, or nothing is common.
    """
    if trained.is_int8:
        raise OptionError(f"'{source}' is int8; training begins with the numbers of a float model")
    params, last = graph.params(), last_layers(graph)
    taken = {}
    for name, array in trained.weights.items():
        if name not in params:
            continue
        if array.shape == params[name].shape:
            taken[name] = array
        elif name.rpartition(".")[0] not in last:
            raise OptionError(
                f"array '{name}' of '{trained.graph.name}' in '{source}' has shape {array.shape}; '{graph.name}' needs "
                f"{params[name].shape}: give a network of the same structure and width"
            )
    lacking = [] if part else [name for name in params if name not in taken and name.rpartition(".")[0] not in last]
    if taken and lacking:
        raise OptionError(
            f"'{trained.graph.name}' in '{source}' lacks {len(lacking)} arrays of '{graph.name}', first "
            f"'{lacking[0]}': give a network of the same structure and width"
        )
    if not taken:
        raise OptionError(
            f"'{trained.graph.name}' in '{source}' has no array in common with '{graph.name}': give a network of the "
            "same structure and width"
        )
    return taken


def with_classes(graph: Graph, classes: int) -> Graph:
    """A classifier's graph with another number of outputs: its last layer, and what gives its output a shape, changed.

    The graph itself where it has that many, or does not end in one dense layer or convolution.
    """
    now = prod(graph.shapes[graph.outputs[0]])
    last = [graph.by_name[name].op for name in last_layers(graph)]
    if len(graph.outputs) > 1 or now == classes or len(last) != 1 or not isinstance(last[0], Dense | Conv2d):
        return graph
    behind = list(graph.outputs)
    nodes = dict(graph.by_name)
    while behind:
        node = nodes[behind.pop()]
        op = node.op
        if isinstance(op, Dense):
            changed: Operator = replace(op, features=classes)
        elif isinstance(op, Conv2d):
            changed = replace(op, channels=classes)
        else:
            behind += node.inputs
            if not isinstance(op, Reshape):
                continue
            changed = replace(op, target=tuple(classes if size == now else size for size in op.target))
        nodes[node.name] = replace(node, op=changed)
    try:
        return replace(graph, nodes=tuple(nodes.values()))
    except ModelError:
        return graph


def last_layers(graph: Graph) -> set[str]:
    """The nodes with arrays that are not followed by others on some way to an output."""
    found: set[str] = set()
    ways = list(graph.outputs)
    while ways:
        node = graph.by_name.get(ways.pop())
        if node is None:
            continue
        if node.op.params(*graph.input_shapes(node)):
            found.add(node.name)
        else:
            ways.extend(node.inputs)
    return found
