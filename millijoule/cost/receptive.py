"""What each position of a map sees of the network's input."""

from __future__ import annotations

from dataclasses import dataclass

from millijoule.graph import Graph, Node, Shape
from millijoule.ops import Attention, ConvTranspose2d, Dense, GlobalAveragePool, GlobalMaxPool, MatMul, Opaque, Resize2d
from millijoule.ops.base import pair

Span = tuple[float, float]


@dataclass(frozen=True)
class Field:
    """size: how many rows and columns of the input a position depends on, padding included. stride: how many rows and
    columns of the input lie between neighbouring positions."""

    size: Span
    stride: Span


def receptive_fields(graph: Graph) -> dict[str, Field | None]:
    """Value → its field; None for a value that comes from no map, or from all of it by attention and the like.

    A window adds (kernel - 1) * dilation * stride so far, and its stride multiplies; where paths meet, the largest
    field counts (Araujo et al., "Computing Receptive Fields of Convolutional Neural Networks", Distill, 2019).
    """
    fields: dict[str, Field | None] = {
        input.name: Field((1, 1), (1, 1)) if len(input.shape) == 3 else None for input in graph.inputs
    }
    for node in graph.nodes:
        fields[node.name] = _field(node, graph.input_shapes(node), [fields[name] for name in node.inputs])
    return fields


def _field(node: Node, shapes: tuple[Shape, ...], inputs: list[Field | None]) -> Field | None:
    known = [field for field in inputs if field is not None]
    if len(known) < len(inputs) or not known or isinstance(node.op, Attention | MatMul | Opaque):
        return None
    size = (max(field.size[0] for field in known), max(field.size[1] for field in known))
    stride = (max(field.stride[0] for field in known), max(field.stride[1] for field in known))
    op, x = node.op, shapes[0]
    if isinstance(op, ConvTranspose2d):
        # An output sees at most ceil(kernel / stride) inputs along each side.
        reach = [-(-kernel // step) for kernel, step in zip(pair(op.kernel), pair(op.stride), strict=True)]
        steps = [1 / step for step in pair(op.stride)]
    elif isinstance(op, Resize2d):
        reach = [2 if op.mode == "bilinear" else 1] * 2
        steps = [x[0] / op.size[0], x[1] / op.size[1]]
    elif isinstance(op, GlobalAveragePool | GlobalMaxPool) or (isinstance(op, Dense) and len(x) == 3):
        reach, steps = [x[0], x[1]], [1, 1]
    elif hasattr(op, "window") and len(x) == 3:
        window = op.window(x)
        reach = [(kernel - 1) * gap + 1 for kernel, gap in zip(window.kernel, window.dilation, strict=True)]
        steps = list(window.stride)
    elif len(x) == 3 and node.op.alias:
        # Flattened: every number beside all others.
        reach, steps = [x[0], x[1]], [1, 1]
    else:
        return Field(size, stride)
    grown = [have + (more - 1) * apart for have, more, apart in zip(size, reach, stride, strict=True)]
    apart = [have * by for have, by in zip(stride, steps, strict=True)]
    return Field((grown[0], grown[1]), (apart[0], apart[1]))
