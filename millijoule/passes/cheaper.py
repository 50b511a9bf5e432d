"""Rewrites that make an architecture cheaper: Graph → Graph, to be trained anew. Outputs are not those of before.

Each raises ModelError, with the reason, for a graph to which it does not apply.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from millijoule.errors import ModelError
from millijoule.graph import Graph, Input, Node, Operator, Shape
from millijoule.ops import Conv2d, Dense, GlobalAveragePool, Pad, Resize2d, Slice
from millijoule.ops.base import pair
from millijoule.passes.draft import Draft, apply

CHANNEL_UNIT = 8
"""Scaled channel counts are multiples of it, from LEAST_FOR_UNIT channels on (as in MobileNetV2's reference code)."""
LEAST_FOR_UNIT = 32
BOTTLENECK = 4
"""A bottleneck has a quarter of the channels, as in ResNet-50 (He et al. 2016, figure 5)."""


def pool_instead_of_dense(graph: Graph) -> Graph:
    """One global average pool and the last dense layer instead of all dense layers on a flattened map.

        map ─▶ flatten ─▶ dense ─▶ … ─▶ dense ─▶   becomes   map ─▶ global average pool ─▶ dense ─▶

    Lin et al., "Network In Network", ICLR 2014, section 3.2.
    """
    dense = [node for node in graph.nodes if isinstance(node.op, Dense)]
    if not dense:
        raise ModelError("it has no dense layer")
    last = dense[-1]
    # From the last dense layer back to the map, along a chain of nodes that one node reads.
    chain, value = [last], last.inputs[0]
    while value in graph.by_name and len(graph.shapes[value]) != 3:
        node = graph.by_name[value]
        if len(node.inputs) != 1 or sum(value in other.inputs for other in graph.nodes) != 1:
            raise ModelError("its dense layers are no chain behind one map")
        chain.append(node)
        value = node.inputs[0]
    shape = graph.shapes[value]
    pooled = any(isinstance(node.op, GlobalAveragePool) for node in chain)
    if value not in graph.by_name or len(shape) != 3 or shape[0] * shape[1] == 1 or pooled:
        raise ModelError("no dense layer reads a flattened map of features")
    pool = Node("global_pool", GlobalAveragePool(), (value,))
    gone = {node.name for node in chain}
    nodes = []
    for node in graph.nodes:
        if node.name == last.name:
            nodes += [pool, replace(node, inputs=(pool.name,))]
        elif node.name not in gone:
            nodes.append(node)
    return replace(graph, nodes=tuple(nodes))


def separate_convolutions(graph: Graph) -> Graph:
    """Every convolution with a larger kernel than 1x1 as a depthwise one and a 1x1 one.

        conv kxk ─▶   becomes   depthwise kxk ─▶ conv 1x1 ─▶

    Howard et al., "MobileNets: efficient convolutional neural networks for mobile vision applications", 2017, 3.1.
    Convolutions of the input image and those in groups stay.
    """

    def rule(draft: Draft, node: Node) -> None:
        op = node.op
        if _is_wide(draft, node) and isinstance(op, Conv2d):
            channels = draft.input_shape(node)[2]
            depthwise = replace(op, channels=channels, groups=channels, bias=False, activation="none")
            draft.insert_before(node, Node(f"{node.name}_depthwise", depthwise, node.inputs, node.blocks))
            draft.set_op(node.name, _pointwise(op, op.channels))

    return _changed(graph, apply(graph, rule), "it has no full convolution with a larger kernel than 1x1")


def add_bottlenecks(graph: Graph) -> Graph:
    """Every convolution with a larger kernel than 1x1 on a quarter of the channels, between two 1x1 ones.

        conv kxk ─▶   becomes   conv 1x1 ─▶ conv kxk ─▶ conv 1x1 ─▶

    Convolutions of the input image, those in groups and those of fewer than 64 channels stay.
    """

    def rule(draft: Draft, node: Node) -> None:
        op = node.op
        if not (_is_wide(draft, node) and isinstance(op, Conv2d)):
            return
        channels = min(draft.input_shape(node)[2], op.channels)
        if channels < 64:
            return
        inner = channels // BOTTLENECK
        squeeze = Conv2d(channels=inner, kernel=1, bias=op.bias)
        draft.insert_before(node, Node(f"{node.name}_squeeze", squeeze, node.inputs, node.blocks))
        spatial = replace(op, channels=inner, activation="none")
        draft.insert_before(
            draft.nodes[node.name], Node(f"{node.name}_spatial", spatial, (f"{node.name}_squeeze",), node.blocks)
        )
        draft.set_op(node.name, _pointwise(op, op.channels))

    return _changed(graph, apply(graph, rule), "it has no full convolution of 64 channels or more")


def scale_width(graph: Graph, factor: float) -> Graph:
    """`factor` of the channels and features of every layer but the last ones (Howard et al. 2017, section 3.3)."""
    final = _final_layers(graph)

    def scaled(count: int, groups: int) -> int:
        unit = CHANNEL_UNIT * groups if count >= LEAST_FOR_UNIT * groups else groups
        return max(unit, round(count * factor / unit) * unit)

    def refit(node: Node, old: Shape, new: Shape) -> Operator:
        op = node.op
        if isinstance(op, Conv2d) and op.groups == old[-1]:
            return replace(op, channels=new[-1] * (op.channels // old[-1]), groups=new[-1])
        if isinstance(op, Conv2d) and node.name not in final:
            return replace(op, channels=scaled(op.channels, op.groups))
        if isinstance(op, Dense) and node.name not in final:
            return replace(op, features=scaled(op.features, 1))
        return _refit(op, old, new)

    return _rebuilt(graph, graph.inputs, refit)


def scale_resolution(graph: Graph, factor: float) -> Graph:
    """`factor` of the input's height and width (Howard et al. 2017, section 3.4)."""
    if any(len(input.shape) != 3 for input in graph.inputs):
        raise ModelError("its input is no map")
    inputs = tuple(
        replace(input, shape=(*(max(1, round(size * factor)) for size in input.shape[:2]), input.shape[2]))
        for input in graph.inputs
    )
    return on_inputs(graph, inputs)


def on_inputs(graph: Graph, inputs: tuple[Input, ...]) -> Graph:
    """The graph on inputs of other sizes; operators that name sizes of what they read follow."""
    return _rebuilt(graph, inputs, lambda node, old, new: _refit(node.op, old, new))


def _is_wide(draft: Draft, node: Node) -> bool:
    """Whether the node is a full convolution, larger than 1x1, of something else than an image."""
    op = node.op
    if not isinstance(op, Conv2d) or op.groups != 1 or pair(op.kernel) == (1, 1):
        return False
    return draft.producer(node) is not None and draft.input_shape(node)[2] > 3


def _pointwise(op: Conv2d, channels: int) -> Conv2d:
    return Conv2d(channels=channels, kernel=1, bias=op.bias, activation=op.activation)


def _changed(before: Graph, after: Graph, reason: str) -> Graph:
    if after == before:
        raise ModelError(reason)
    return after


def _final_layers(graph: Graph) -> set[str]:
    """The layers with weights behind which there are none: their outputs are the classes."""
    final: set[str] = set()
    before_weights: set[str] = set()
    for node in reversed(graph.nodes):
        weighted = bool(node.op.params(*graph.input_shapes(node)))
        if weighted and node.name not in before_weights:
            final.add(node.name)
        if weighted or node.name in before_weights:
            before_weights |= set(node.inputs)
    return final


def _refit(op: Operator, old: Shape, new: Shape) -> Operator:
    """An operator whose attributes name sizes of its input, for an input of other sizes."""
    if isinstance(op, Slice):
        begin = tuple(at * now // was for at, was, now in zip(op.begin, old, new, strict=True))
        end = [(at + size) * now // was for at, size, was, now in zip(op.begin, op.size, old, new, strict=True)]
        return replace(op, begin=begin, size=tuple(high - low for high, low in zip(end, begin, strict=True)))
    if isinstance(op, Pad):
        before, after = (more * new[-1] // old[-1] for more in op.channels)
        return replace(op, channels=(before, after))
    if isinstance(op, Resize2d):
        return replace(op, size=(op.size[0] * new[0] // old[0], op.size[1] * new[1] // old[1]))
    return op


def _rebuilt(graph: Graph, inputs: tuple[Input, ...], refit: Callable[[Node, Shape, Shape], Operator]) -> Graph:
    """The graph on other inputs, each node's operator replaced by refit(node, old input shape, new input shape)."""
    shapes = {input.name: input.shape for input in inputs}
    nodes = []
    for node in graph.nodes:
        try:
            op = refit(node, graph.shapes[node.inputs[0]], shapes[node.inputs[0]])
            shapes[node.name] = op.shape(*(shapes[name] for name in node.inputs))
        except ValueError as error:
            raise ModelError(f"at '{node.name}': {error}") from None
        nodes.append(replace(node, op=op))
    return replace(graph, inputs=inputs, nodes=tuple(nodes))


__all__ = [
    "add_bottlenecks",
    "on_inputs",
    "pool_instead_of_dense",
    "scale_resolution",
    "scale_width",
    "separate_convolutions",
]
