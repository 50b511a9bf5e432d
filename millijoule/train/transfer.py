"""What a network that is trained takes over from a trained one."""

from __future__ import annotations

import numpy as np

from millijoule.errors import OptionError
from millijoule.graph import Graph
from millijoule.model import Model


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
