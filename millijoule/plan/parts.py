"""Which values are parts of larger pixels: what is written, or read, where another value lies, needs no copy.

A concatenation has nothing to do where the kernels of its inputs write into its pixels, and a slice of channels where
its readers read from the pixels of its input: `output_pixel` and `input_pixel` of kernels/conv.h.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from math import prod

from millijoule.graph import Graph, Node
from millijoule.ops.rearrange import Slice
from millijoule.ops.shape import Concat


@dataclass(frozen=True)
class Place:
    """Where a value lies: from byte `offset` on in each pixel of `whole`; alone if that is the value itself."""

    whole: str
    offset: int = 0


def parts(graph: Graph, apart: Collection[str] = ()) -> dict[str, Place]:
    """The values that are parts, and of what, none of it a part itself. apart: values that are not to be any.

    - an input of a concatenation; of several the largest; not where another one in whose memory it would lie reads it;
    - a concatenation of values that lie side by side already;
    - a slice of channels.

    All of them only if the kernel that writes them and those that read them can leave other bytes between pixels, and
    if they are no inputs or outputs of the graph.
    """
    free = {node.name for node in graph.nodes if node.name not in apart and _is_read_as_part(graph, node)}
    found: dict[str, Place] = {}

    def place(value: str) -> Place:
        return found.get(value, Place(value))

    concats = [node for node in graph.nodes if isinstance(node.op, Concat)]
    for node in sorted(concats, key=lambda node: -prod(graph.shapes[node.name])):
        first = place(node.inputs[0])
        beside = [Place(first.whole, first.offset + offset) for offset in _offsets(graph, node)]
        if node.name in free and node.name not in found and [place(name) for name in node.inputs] == beside:
            found[node.name] = first
            continue
        whole = place(node.name)
        for name, offset in zip(node.inputs, _offsets(graph, node), strict=True):
            is_free = name in free and name not in found and _can_write_parts(graph, graph.by_name[name])
            wanted_elsewhere = any(
                isinstance(reader.op, Concat) and reader is not node and place(reader.name).whole == whole.whole
                for reader in graph.readers[name]
            )
            if is_free and node.inputs.count(name) == 1 and not wanted_elsewhere:
                found[name] = Place(whole.whole, whole.offset + offset)
    for node in graph.nodes:
        taken = _channels_taken(graph, node)
        if taken and node.name in free:
            whole = place(node.inputs[0])
            found[node.name] = Place(whole.whole, whole.offset + taken[0])
    return found


def joined(graph: Graph, places: Mapping[str, Place]) -> frozenset[str]:
    """The concatenations and slices that have nothing to do: what they give lies where they read it."""

    def has_nothing_to_do(node: Node) -> bool:
        own, given = places[node.name], [places[name] for name in node.inputs]
        taken = _channels_taken(graph, node)
        if taken:
            return own == Place(given[0].whole, given[0].offset + taken[0])
        beside = [Place(own.whole, own.offset + offset) for offset in _offsets(graph, node)]
        return isinstance(node.op, Concat) and given == beside

    return frozenset(node.name for node in graph.nodes if has_nothing_to_do(node))


def _offsets(graph: Graph, concat: Node) -> Iterator[int]:
    """Where in a pixel of a concatenation each of its inputs lies."""
    offset = 0
    for *_, channels in graph.input_shapes(concat):
        yield offset
        offset += channels


def _is_read_as_part(graph: Graph, node: Node) -> bool:
    """Whether everything that reads a node's output can read it as a part."""
    one_pixel = _is_one_pixel(graph, node)
    return node.name not in graph.outputs and all(
        not reader.op.alias and not isinstance(reader.op, Slice) and (one_pixel or reader.op.reads_parts)
        for reader in graph.readers[node.name]
    )


def _can_write_parts(graph: Graph, node: Node) -> bool:
    if node.op.alias or _channels_taken(graph, node):
        return False
    return node.op.writes_parts or _is_one_pixel(graph, node)


def _is_one_pixel(graph: Graph, node: Node) -> bool:
    """Then there is nothing between pixels: every kernel will do."""
    return prod(graph.shapes[node.name][:-1]) == 1


def _channels_taken(graph: Graph, node: Node) -> tuple[int, int] | None:
    """From where to where the channels go that a slice takes, neighbours, of every pixel; None for any other node."""
    if not isinstance(node.op, Slice):
        return None
    (*sizes, _), *_ = graph.input_shapes(node)
    *others, first = node.op.begin
    *taken, count = node.op.size
    is_every_pixel = not any(others) and taken == sizes
    is_one_by_one = node.op.step is None or set(node.op.step) == {1}
    return (first, first + count) if is_every_pixel and is_one_by_one else None
