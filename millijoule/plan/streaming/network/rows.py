"""A network as a machine that streams sees it: which rows of which values each row of a result reads.

A map's rows are its lines; at pixel grain, its pixels from left to right, line by line. A value that is no map is one
row. Reshapes are the value that they reshape.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import accumulate
from math import prod
from typing import Literal

from millijoule import ops
from millijoule.graph import Graph, Node, Shape
from millijoule.ops.activation import Unary
from millijoule.ops.base import Window
from millijoule.target import SCALAR, Target

ROW_BY_ROW = (
    Unary,
    ops.PRelu,
    ops.BatchNorm,
    ops.Dropout,
    ops.Softmax,
    ops.Add,
    ops.Multiply,
    ops.Subtract,
    ops.Concat,
    ops.ChannelShuffle,
)
"""Operators whose output row r reads row r of each input, or the one row of an input that has one number a channel."""
WINDOWS = (ops.Conv2d, ops.MaxPool2d, ops.AveragePool2d)
WORD_BYTES = 4
"""Of the input: it lies in the arena and its rows may be overwritten once they were read; it lies there and stays; or
its rows arrive one at a time."""
Grain = Literal["row", "pixel"]
"""What one firing computes: a line of a map, or the channels of one pixel."""


@dataclass(frozen=True)
class Read:
    """What the firings of a step read of one value.

    last: for each firing, the last row that it, or one before it, reads. kept: for each firing, the first row that is
    still read afterwards; the number of rows where none is.
    """

    value: str
    last: tuple[int, ...]
    kept: tuple[int, ...]


@dataclass(frozen=True)
class Step:
    """One operator, executed firing by firing.

    A firing computes one row of `value`; where `accumulator_bytes` is not 0, it consumes one row of the input, and the
    last one writes the value. whole: every firing needs all rows of the inputs, so there is nothing to stream.
    joins: the lines of its inputs, put side by side, are the lines of its value: where all of them are stored, nothing
    is moved. in_place: the values whose row the written row may replace. target: what its kernel is chosen for.
    scratch_bytes: working memory while it fires, at most: `own_bytes` of the kernel, and room for a copy of a line
    under the window `copied` that the end of a ring divides.
    """

    name: str
    value: str
    reads: tuple[Read, ...]
    firings: int
    accumulator_bytes: int = 0
    whole: bool = False
    joins: bool = False
    in_place: tuple[str, ...] = ()
    target: Target = SCALAR
    scratch_bytes: int = 0
    own_bytes: int = 0
    copied: Window | None = None


@dataclass(frozen=True)
class Rows:
    """The steps of a network, and how many rows of how many bytes each value has.

    across: rows that make a line of a map: 1, or its width at pixel grain. widest: value → columns of the widest window
    that reads it. source: every value of the graph → the value whose bytes it is, itself if it is not a reshape.
    state_bytes: what is remembered between the arrivals of two rows: how far every step is.
    """

    grain: Grain
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    steps: tuple[Step, ...]
    count: dict[str, int]
    bytes: dict[str, int]
    across: dict[str, int]
    widest: dict[str, int]
    source: dict[str, str] = field(repr=False)
    state_bytes: int = 0

    def size(self, value: str) -> int:
        return self.count[value] * self.bytes[value]


def rows(graph: Graph, grain: Grain = "row") -> Rows:
    """The rows of a graph and the steps between them; int8, one byte a number."""
    source = {input.name: input.name for input in graph.inputs}
    for node in graph.nodes:
        source[node.name] = source[node.inputs[0]] if node.op.alias else node.name
    joined = {node.name for node in graph.nodes if _joins(graph, node, source)}
    count, size, across = {}, {}, {}
    for value in dict.fromkeys(source.values()):
        views = [graph.shapes[name] for name, base in source.items() if base == value]
        shape = next((shape for shape in views if len(shape) == 3), views[0])
        if value in joined:
            shape = max((view for view in views if len(view) == 3), key=lambda view: view[1])
        count[value] = _count(shape, grain)
        size[value] = prod(shape) // count[value]
        across[value] = _across(shape, grain)
    steps = tuple(_step(graph, node, source, count, across, grain) for node in graph.nodes if not node.op.alias)
    widest = dict.fromkeys(count, 1)
    for node in graph.nodes:
        if isinstance(node.op, WINDOWS):
            window = node.op.window(*graph.input_shapes(node))
            value = source[node.inputs[0]]
            widest[value] = max(widest[value], columns_under(window))
    inputs = tuple(input.name for input in graph.inputs)
    outputs = tuple(dict.fromkeys(source[name] for name in graph.outputs))
    return Rows(grain, inputs, outputs, steps, count, size, across, widest, source)


def working_memory(copied: int, own: int) -> int:
    """Bytes of a copied line and, behind it from a whole word on, of a kernel's own."""
    return -(-copied // WORD_BYTES) * WORD_BYTES + own if own else copied


def columns_under(window: Window) -> int:
    """The columns from the first to the last under a window."""
    return (window.kernel[1] - 1) * window.dilation[1] + 1


def _step(
    graph: Graph, node: Node, source: dict[str, str], count: dict[str, int], across: dict[str, int], grain: Grain
) -> Step:
    op, x = node.op, graph.input_shapes(node)
    values = [source[name] for name in node.inputs]
    firings = count[node.name]
    everything = tuple(_all(value, count[value], firings) for value in dict.fromkeys(values))
    whole = Step(node.name, node.name, everything, firings, whole=True)
    counts = [count[value] for value in values]
    if _count(graph.shapes[node.name], grain) != firings:
        return whole
    if not isinstance(op, ops.Dense) and any(
        (_count(shape, grain), _across(shape, grain)) != (count[value], across[value])
        for shape, value in zip(x, values, strict=True)
    ):
        return whole
    accumulators = _accumulators(op, x[0], counts[0])
    if accumulators:
        return Step(node.name, node.name, (_one_by_one(values[0], counts[0]),), counts[0], accumulators)
    if isinstance(op, ops.Dense | ops.GlobalAveragePool | ops.GlobalMaxPool) and counts[0] == 1:
        return Step(node.name, node.name, (_one_by_one(values[0], 1),), 1)
    if isinstance(op, (*WINDOWS, ops.Pad)):
        one = (1, 1)
        window = op.window(x[0]) if isinstance(op, WINDOWS) else Window.over(x[0], one, one, one, op.padding)
        return Step(node.name, node.name, (_read(values[0], window, grain),), firings)
    if isinstance(op, ops.Slice) and op.takes_columns(x[0]):
        return Step(node.name, node.name, (_read(values[0], window_of_slice(op, x[0]), grain),), firings)
    if isinstance(op, ROW_BY_ROW):
        reads = tuple(
            _one_by_one(value, n) if n == firings else _all(value, n, firings)
            for value, n in dict(zip(values, counts, strict=True)).items()
        )
        # Once, where a value is added to itself.
        in_place = tuple(dict.fromkeys(values[index] for index in op.in_place))
        return Step(node.name, node.name, reads, firings, joins=_joins(graph, node, source), in_place=in_place)
    return whole


def _joins(graph: Graph, node: Node, source: dict[str, str]) -> bool:
    """Whether a node puts whole lines side by side: columns of several maps, each seen as one, become one map."""
    shapes = graph.input_shapes(node)
    if not isinstance(node.op, ops.Concat) or any(len(shape) != 3 or shape[1] != 1 for shape in shapes):
        return False
    values = [source[name] for name in node.inputs]
    maps = [graph.shapes[value] for value in values]
    lines = all(len(x) == 3 and x[0] == shape[0] for x, shape in zip(maps, shapes, strict=True))
    return lines and len({*values}) == len(values) and any(x[1] > 1 for x in maps)


def window_of_slice(op: ops.Slice, x: Shape) -> Window:
    """A slice of columns as a window of one pixel whose padding leaves the other columns out."""
    left, columns = op.begin[1], op.size[1]
    outside = ((0, 0), (-left, left + columns - x[1]))
    return Window((1, 1), (1, 1), (1, 1), outside, (x[0], x[1]), (x[0], columns))


def _count(shape: Shape, grain: Grain) -> int:
    if len(shape) != 3:
        return 1
    return shape[0] if grain == "row" else shape[0] * shape[1]


def _across(shape: Shape, grain: Grain) -> int:
    return _count(shape, grain) // _count(shape, "row")


def _accumulators(op: object, x: Shape, count: int) -> int:
    """Bytes of the sums of an operator that reads its input once, row by row, and keeps nothing of it; 0 for others."""
    if count == 1:
        return 0
    if isinstance(op, ops.Dense):
        return WORD_BYTES * op.features
    if isinstance(op, ops.GlobalAveragePool):
        return WORD_BYTES * x[-1]
    if isinstance(op, ops.AveragePool2d) and op.window(x).output == (1, 1) and op.window(x).kernel == x[:2]:
        return WORD_BYTES * x[-1]
    return 0


def _one_by_one(value: str, count: int) -> Read:
    return Read(value, tuple(range(count)), tuple(range(1, count + 1)))


def _all(value: str, count: int, firings: int) -> Read:
    return Read(value, (count - 1,) * firings, (*(0,) * (firings - 1), count))


def _read(value: str, window: Window, grain: Grain) -> Read:
    """The rows, or pixels, under a window moved over a map, those outside of the map left out."""
    sides = [_side(window, axis) for axis in ((0, 1) if grain == "pixel" else (0,))]
    (first, last), width = sides[0], 1
    if grain == "pixel":
        (left, right), width = sides[1], window.input[1]
        first = [min(row, window.input[0] - 1) * width + min(column, width - 1) for row in first for column in left]
        last = [row * width + column for row in last for column in right]
    count = window.input[0] * width
    # What a firing still needs, a later one may need more of: windows at the right end of a line reach less far back.
    kept = list(accumulate((count, *reversed(first[1:])), min))[::-1]
    return Read(value, tuple(accumulate(last, max)), tuple(kept))


def _side(window: Window, axis: int) -> tuple[list[int], list[int]]:
    """The first and last row, or column, of the map under each position of the window along an axis."""
    size, reach = window.input[axis], (window.kernel[axis] - 1) * window.dilation[axis]
    first = [at * window.stride[axis] - window.padding[axis][0] for at in range(window.output[axis])]
    return [min(max(at, 0), size) for at in first], [min(max(at + reach, 0), size - 1) for at in first]
