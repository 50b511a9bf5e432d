"""A PyTorch state dict's numbers in a network whose structure is known, as one of the zoo."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import zip_longest
from pathlib import Path

import numpy as np

from millijoule.errors import ModelError
from millijoule.graph import Graph, Node, Shape
from millijoule.load.names import identifier
from millijoule.model import Model
from millijoule.ops import Conv2d, ConvTranspose2d, Dense, Flatten

Arrays = Mapping[str, np.ndarray]

THEIR_NAMES = {"scale": "weight", "slope": "weight", "mean": "running_mean", "variance": "running_var"}
"""Our array → what torch calls it, where that differs."""
UNREAD = ("num_batches_tracked",)
MOST_NAMED = 12


def with_weights(graph: Graph, arrays: Arrays, file: str) -> Model:
    """The graph with the numbers of a state dict: `layer.array` → array in torch's layout, channels first.

    Layers are matched by their names if these are the graph's, else one after the other in the order of the file,
    which a note tells. Raises ModelError, with every layer that does not fit and both shapes.
    """
    theirs: dict[str, dict[str, np.ndarray]] = {}
    for name, array in arrays.items():
        layer, _, key = name.rpartition(".")
        if key not in UNREAD:
            theirs.setdefault(layer, {})[key] = array
    nodes = [node for node in graph.nodes if not node.shares and node.op.params(*graph.input_shapes(node))]
    by_name = {identifier(layer): layer for layer in theirs}
    named = len(by_name) == len(theirs) and by_name.keys() == {node.name for node in nodes}
    layers = [by_name[node.name] for node in nodes] if named else list(theirs)
    wrong = [
        _difference(graph, node, layer, theirs)
        for node, layer in zip_longest(nodes, layers)
        if node is None or layer is None or _shapes(theirs[layer]) not in _taken(graph, node)
    ]
    if wrong:
        more = f"; and {len(wrong) - MOST_NAMED} more" if len(wrong) > MOST_NAMED else ""
        raise ModelError(f"{file}: its arrays do not fit '{graph.name}': {'; '.join(wrong[:MOST_NAMED])}{more}")
    weights: dict[str, np.ndarray] = {}
    for node, layer in zip(nodes, layers, strict=True):
        for key, param in node.op.params(*graph.input_shapes(node)).items():
            array = np.asarray(theirs[layer][THEIR_NAMES.get(key, key)], np.float32)
            if not np.isfinite(array).all():
                raise ModelError(f"{file}: '{layer}' holds NaN or infinity: train or export the model again")
            array = _ours(graph, node, array) if key == "weight" else array
            weights[f"{node.name}.{key}"] = np.ascontiguousarray(array.reshape(param.shape))
    for node in graph.nodes:
        if node.shares:
            keys = node.op.params(*graph.input_shapes(node))
            weights |= {f"{node.name}.{key}": weights[f"{node.shares}.{key}"] for key in keys}
    note = f"the arrays of {Path(file).name} were put into the layers one after the other, as their names are others"
    return Model(graph, weights, notes=() if named else (note,))


def _taken(graph: Graph, node: Node) -> list[dict[str, Shape]]:
    """The shapes that a layer's arrays can have in torch, by torch's names; what is written first is the usual one."""
    (x, *_) = graph.input_shapes(node)
    shapes = {
        THEIR_NAMES.get(key, key): param.shape for key, param in node.op.params(*graph.input_shapes(node)).items()
    }
    if isinstance(node.op, Conv2d):
        channels, height, width, per_group = shapes["weight"]
        usual = shapes | {"weight": (channels, per_group, height, width)}
        return [usual, shapes | {"weight": (channels, per_group)}] if (height, width) == (1, 1) else [usual]
    if isinstance(node.op, ConvTranspose2d):
        channels, height, width, _ = shapes["weight"]
        return [shapes | {"weight": (x[2], channels // node.op.groups, height, width)}]
    if isinstance(node.op, Dense):
        # A last layer is a convolution in some networks.
        return [shapes, shapes | {"weight": (*shapes["weight"], 1, 1)}]
    return [shapes]


def _ours(graph: Graph, node: Node, weight: np.ndarray) -> np.ndarray:
    """A layer's weight in the layout of its operator."""
    if isinstance(node.op, Conv2d):
        return weight.reshape(*weight.shape[:2], *weight.shape[2:] or (1, 1)).transpose(0, 2, 3, 1)
    if isinstance(node.op, ConvTranspose2d):
        groups = np.split(weight, node.op.groups)
        return np.concatenate([group.transpose(1, 2, 3, 0) for group in groups])
    if isinstance(node.op, Dense) and (shape := flattened(graph, node)):
        height, width, channels = shape
        return weight.reshape(len(weight), channels, height, width).transpose(0, 2, 3, 1)
    return weight


def flattened(graph: Graph, node: Node) -> Shape | None:
    """The shape of the map that a dense layer reads as one row of numbers, which torch flattens channels first."""
    name = node.inputs[0]
    while len(graph.shapes[name]) != 3 and name in graph.by_name:
        maker = graph.by_name[name]
        (x, *_) = graph.input_shapes(maker)
        if not isinstance(maker.op, Flatten) and x != graph.shapes[name]:
            return None
        name = maker.inputs[0]
    return graph.shapes[name] if len(graph.shapes[name]) == 3 else None


def _shapes(arrays: Arrays) -> dict[str, Shape]:
    return {key: array.shape for key, array in arrays.items()}


def _difference(graph: Graph, node: Node | None, layer: str | None, theirs: Mapping[str, Arrays]) -> str:
    """What a layer takes, and what the file has there."""
    has = "the file has no more" if layer is None else f"'{layer}' has {_listed(_shapes(theirs[layer]))}"
    if node is None:
        return f"{has}, which no layer takes"
    return f"layer '{node.name}' takes {_listed(_taken(graph, node)[0])}, {has}"


def _listed(shapes: Mapping[str, Shape]) -> str:
    return " and ".join(f"{key} {shape}" for key, shape in shapes.items())
