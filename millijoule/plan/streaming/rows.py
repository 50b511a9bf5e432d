"""A network as a machine that streams sees it: which rows of which values each row of a result reads.

A map's rows are its lines; a value without lines is one row. Reshapes are the value that they reshape.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod

from millijoule import ops
from millijoule.graph import Graph, Node, Shape
from millijoule.ops.activation import Unary
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
    in_place: the values whose row the written row may replace. target, scratch_bytes: what its
    kernel is chosen for, and the working memory of that while it fires.
    """

    name: str
    value: str
    reads: tuple[Read, ...]
    firings: int
    accumulator_bytes: int = 0
    whole: bool = False
    in_place: tuple[str, ...] = ()
    target: Target = SCALAR
    scratch_bytes: int = 0


@dataclass(frozen=True)
class Rows:
    """The steps of a network, and how many rows of how many bytes each value has.

    source: every value of the graph → the value whose bytes it is, itself if it is not a reshape.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    steps: tuple[Step, ...]
    count: dict[str, int]
    bytes: dict[str, int]
    source: dict[str, str] = field(repr=False)

    def size(self, value: str) -> int:
        return self.count[value] * self.bytes[value]


def rows(graph: Graph) -> Rows:
    """The rows of a graph and the steps between them; int8, one byte a number."""
    source = {input.name: input.name for input in graph.inputs}
    for node in graph.nodes:
        source[node.name] = source[node.inputs[0]] if node.op.alias else node.name
    count, size = {}, {}
    for value in dict.fromkeys(source.values()):
        views = [graph.shapes[name] for name, base in source.items() if base == value]
        lines = next((shape[0] for shape in views if len(shape) == 3), 1)
        count[value], size[value] = lines, prod(views[0]) // lines
    steps = tuple(_step(graph, node, source, count) for node in graph.nodes if not node.op.alias)
    outputs = tuple(dict.fromkeys(source[name] for name in graph.outputs))
    return Rows(tuple(input.name for input in graph.inputs), outputs, steps, count, size, source)


def _step(graph: Graph, node: Node, source: dict[str, str], count: dict[str, int]) -> Step:
    op, x = node.op, graph.input_shapes(node)
    values = [source[name] for name in node.inputs]
    firings = count[node.name]
    everything = tuple(_all(value, count[value], firings) for value in dict.fromkeys(values))
    whole = Step(node.name, node.name, everything, firings, whole=True)
    lines = [count[value] for value in values]
    if any(_lines(shape) != n for shape, n in zip(x, lines, strict=True)) and not isinstance(op, ops.Dense):
        return whole
    accumulators = _accumulators(op, x[0], lines[0])
    if accumulators:
        return Step(node.name, node.name, (_one_by_one(values[0], lines[0]),), lines[0], accumulators)
    if isinstance(op, ops.Dense | ops.GlobalAveragePool | ops.GlobalMaxPool) and lines[0] == 1:
        return Step(node.name, node.name, (_one_by_one(values[0], 1),), 1)
    if isinstance(op, WINDOWS):
        window = op.window(x[0])
        reach = (window.kernel[0] - 1) * window.dilation[0]
        first = [row * window.stride[0] - window.padding[0][0] for row in range(firings)]
        return Step(node.name, node.name, (_read(values[0], lines[0], first, [row + reach for row in first]),), firings)
    if isinstance(op, ops.Pad):
        first = [row - op.padding[0][0] for row in range(firings)]
        return Step(node.name, node.name, (_read(values[0], lines[0], first, first),), firings)
    if isinstance(op, ROW_BY_ROW):
        reads = tuple(
            _one_by_one(value, n) if n == firings else _all(value, n, firings)
            for value, n in dict(zip(values, lines, strict=True)).items()
        )
        return Step(node.name, node.name, reads, firings, in_place=tuple(values[index] for index in op.in_place))
    return whole


def _lines(shape: Shape) -> int:
    return shape[0] if len(shape) == 3 else 1


def _accumulators(op: object, x: Shape, lines: int) -> int:
    """Bytes of the sums of an operator that reads its input once, row by row, and keeps nothing of it; 0 for others."""
    if lines == 1:
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


def _read(value: str, count: int, first: list[int], last: list[int]) -> Read:
    """Windows from row `first` to row `last` of a map, rows outside it left out."""
    reached: list[int] = []
    kept: list[int] = []
    for row in last:
        reached.append(max(reached[-1] if reached else 0, min(max(row, 0), count - 1)))
    for row in first[1:]:
        kept.append(min(max(row, 0), count))
    return Read(value, tuple(reached), (*kept, count))
