"""A network of the zoo without its classifier: the maps that heads read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from millijoule import zoo
from millijoule.errors import ModelError
from millijoule.graph import Graph
from millijoule.ops import Conv2d
from millijoule.ops.activation import Unary
from millijoule.ops.norm import BatchNorm
from millijoule.passes import remove_unread


def backbone(name: str, image: tuple[int, int], strides: Sequence[int]) -> Graph:
    """The network `name`, or NAME-WIDTH, cut so that its outputs are one map for each stride, finest first.

    name: mobilenet_v2-0.35 is the zoo's mobilenet_v2 with width 0.35. image: (height, width) of the input, with three
    channels. strides: pixels of the input from one cell of a map to the next, ascending.

    The map of a stride is the last one of its size that everything later is computed from. Of the last map, a final
    1x1 convolution to more channels is left out: it sees no neighbours, and serves the classifier.

    Raises ModelError if there is no such network, or if it has no such maps.
    """
    coarsest = max(strides)
    for size in image:
        if size % coarsest:
            near = max(1, round(size / coarsest)) * coarsest
            raise ModelError(
                f"an image of {image[0]}×{image[1]} has no whole cells of {coarsest} pixels: choose {near} in place of "
                f"{size}"
            )
    graph = _whole(name, image)
    maps = [_map_of(graph, name, image, stride) for stride in strides]
    maps[-1] = _without_widening(graph, maps[-1])
    return remove_unread(replace(graph, outputs=tuple(maps)))


def _whole(name: str, image: tuple[int, int]) -> Graph:
    known = {entry.name: entry.arguments for entry in zoo.entries()}
    base, dash, width = name.rpartition("-")
    if name in known or not dash:
        base, width = name, ""
    if "input_shape" not in known.get(base, ("input_shape",)):
        raise ModelError(f"backbone '{base}' takes images of one size only; it cannot carry a detector")
    arguments: dict[str, float] = {}
    if width:
        try:
            arguments = {"width": float(width)}
        except ValueError:
            raise ModelError(f"backbone '{name}': '{width}' is no width, as in mobilenet_v2-0.35") from None
        if base in known and "width" not in known[base]:
            raise ModelError(f"backbone '{name}': network '{base}' has no width; give '{base}'")
    return zoo.get(base, input_shape=(*image, 3), **arguments)


def _map_of(graph: Graph, name: str, image: tuple[int, int], stride: int) -> str:
    """The last map of `stride` that everything later is computed from."""
    rows, columns = image[0] // stride, image[1] // stride
    position = {value: index for index, value in enumerate(graph.shapes)}
    first, found = len(graph.nodes), None
    for node in reversed(graph.nodes):
        shape = graph.shapes[node.name]
        if len(shape) == 3 and shape[:2] == (rows, columns) and first >= position[node.name]:
            found = node.name
            break
        first = min(first, *(position[each] for each in node.inputs))
    if found is None:
        maps = dict.fromkeys(shape[:2] for shape in graph.shapes.values() if len(shape) == 3 and shape[0] > 1)
        there = ", ".join(f"{height}×{width}" for height, width in maps)
        raise ModelError(
            f"backbone '{name}' has no map of {rows}×{columns}, stride {stride}, for an image of "
            f"{image[0]}×{image[1]}; it has {there or 'none'}: choose other strides, or another network"
        )
    return found


def _without_widening(graph: Graph, value: str) -> str:
    """What a final 1x1 convolution reads, if it has more channels than that; else the value."""
    node = graph.by_name[value]
    while isinstance(node.op, BatchNorm | Unary) and node.inputs[0] in graph.by_name:
        node = graph.by_name[node.inputs[0]]
    if not isinstance(node.op, Conv2d) or node.op.kernel != (1, 1) or node.op.groups != 1:
        return value
    (x,) = graph.input_shapes(node)
    return node.inputs[0] if node.op.channels > x[2] and node.inputs[0] in graph.by_name else value
