"""The beginning of a network in strips of its width: each is computed by itself, from overlapping columns of the input.

What a strip needs at once is as much narrower as it is; columns under the windows of two strips are computed twice.
"""

from __future__ import annotations

from dataclasses import replace

from millijoule import ops
from millijoule.errors import OptionError
from millijoule.graph import Graph, Node, Operator
from millijoule.model import Model
from millijoule.ops.activation import Unary
from millijoule.ops.base import Window

WINDOWS = (ops.Conv2d, ops.MaxPool2d, ops.AveragePool2d)
BY_PIXEL = (Unary, ops.PRelu, ops.BatchNorm, ops.Dropout, ops.Add, ops.Multiply, ops.Concat, ops.ChannelShuffle)
"""Operators whose output at a place is computed from their inputs at that place."""

Columns = tuple[int, int]
"""From the first column to the one behind the last."""


def strip_ends(graph: Graph) -> tuple[str, ...]:
    """The nodes with which a beginning in strips may end: maps that alone, beside nothing earlier, are read later."""
    if len(graph.inputs) != 1:
        return ()
    found = []
    last = {value: index for index, node in enumerate(graph.nodes) for value in node.inputs}
    last |= dict.fromkeys(graph.outputs, len(graph.nodes))
    open_until = 0
    for index, node in enumerate(graph.nodes):
        if not _may_be_in_strips(node, graph):
            break
        # Everything before this node was read for the last time by then.
        earlier = max((last.get(value, -1) for value in list(graph.shapes)[1 : 1 + index]), default=-1)
        open_until = max(open_until, earlier)
        if open_until <= index and last.get(graph.inputs[0].name, -1) <= index and last.get(node.name, -1) > index:
            found.append(node.name)
    return tuple(found)


def in_strips(network: Model | Graph, end: str, count: int) -> Model | Graph:
    """The network in which the nodes up to `end` are computed in `count` strips of its width, one after the other.

    The values of a strip are named `<node>.strip<number>`. Outputs are equal, bit for bit. Raises OptionError if `end`
    is none of `strip_ends`, or has fewer columns than `count`.
    """
    graph = network.graph if isinstance(network, Model) else network
    if end not in strip_ends(graph):
        raise OptionError(f"'{end}' does not end a beginning of '{graph.name}' that can be computed in strips")
    width = graph.shapes[end][1]
    if not 1 <= count <= width:
        raise OptionError(f"'{end}' has {width} columns; {count} strips cannot be made of it")
    draft = _drafted(graph, end, count)
    new = Graph(graph.name, graph.inputs, tuple(draft.nodes), graph.outputs)
    if isinstance(network, Graph):
        return new
    # Array → the array of the network that it is.
    arrays = {name: draft.arrays.get(name, name) for name in new.params()}
    quantization = network.quantization
    if quantization is not None:
        values = {name: draft.source.get(name, name) for name in new.shapes}
        known = (arrays | values).items()
        quantization = {name: quantization[source] for name, source in known if source in quantization}
    weights = {name: network.weights[source] for name, source in arrays.items()}
    return replace(network, graph=new, weights=weights, quantization=quantization)


def _drafted(graph: Graph, end: str, count: int) -> _Draft:
    at, width = 1 + [node.name for node in graph.nodes].index(end), graph.shapes[end][1]
    draft = _Draft(graph, graph.nodes[:at])
    for number in range(count):
        draft.add_strip(number, _strip(width, number, count))
    draft.join(end, count)
    draft.nodes += graph.nodes[at:]
    return draft


def _strip(width: int, number: int, count: int) -> Columns:
    return width * number // count, width * (number + 1) // count


class _Draft:
    """source: new value → the value of the graph that it is a part of. arrays: new array → the array that it is."""

    def __init__(self, graph: Graph, head: tuple[Node, ...]) -> None:
        self.graph, self.head = graph, head
        self.nodes: list[Node] = []
        self.source: dict[str, str] = {}
        self.arrays: dict[str, str] = {}

    def add_strip(self, number: int, columns: Columns) -> None:
        needed = needed_columns(self.graph, self.head, columns)
        parts: dict[tuple[str, Columns], str] = {}
        for node in (each for each in self.head if each.name in needed):
            inputs = []
            for value, wanted in zip(node.inputs, columns_read(self.graph, node, needed[node.name]), strict=True):
                inputs.append(self._part(value, needed[value], wanted, number, parts))
            op = _of_columns(self.graph, node, needed[node.name])
            shares = "" if number == 0 and not node.shares else _named(node.shares or node.name, 0)
            name = _named(node.name, number)
            self._add(replace(node, name=name, op=op, inputs=tuple(inputs), shares=shares), node.name)
            params = node.op.params(*self.graph.input_shapes(node))
            self.arrays |= {f"{name}.{key}": f"{node.name}.{key}" for key in params}

    def join(self, end: str, count: int) -> None:
        """Lines of the strips, one after the other, are a line of the map."""
        height, width, channels = self.graph.shapes[end]
        lines = []
        for number in range(count):
            name, (first, stop) = _named(end, number), _strip(width, number, count)
            lines.append(f"{name}.lines")
            self._add(Node(lines[-1], ops.Reshape(target=(height, 1, (stop - first) * channels)), (name,)), end)
        if count == 1:
            joined = lines[0]
        else:
            joined = f"{end}.strips"
            self._add(Node(joined, ops.Concat(), tuple(lines)), end)
        self._add(Node(end, ops.Reshape(target=(height, width, channels)), (joined,)), end)

    def _part(
        self, value: str, there: Columns, wanted: Columns, number: int, parts: dict[tuple[str, Columns], str]
    ) -> str:
        """The name of the wanted columns of a value of which this strip has `there`; all of an input are there."""
        is_input = value not in self.graph.by_name
        first, stop = (0, self.graph.shapes[value][1]) if is_input else there
        name = value if is_input else _named(value, number)
        if wanted == (first, stop):
            return name
        if (value, wanted) not in parts:
            part = f"{_named(value, number)}.columns{wanted[0]}to{wanted[1]}"
            height, _, channels = self.graph.shapes[value]
            op = ops.Slice(begin=(0, wanted[0] - first, 0), size=(height, wanted[1] - wanted[0], channels))
            self._add(Node(part, op, (name,)), value)
            parts[value, wanted] = part
        return parts[value, wanted]

    def _add(self, node: Node, source: str) -> None:
        self.nodes.append(node)
        self.source[node.name] = source


def needed_columns(graph: Graph, head: tuple[Node, ...], columns: Columns) -> dict[str, Columns]:
    """The columns of every value of the beginning that the last one's `columns` are computed from."""
    needed = {head[-1].name: columns}
    for node in reversed(head):
        if node.name not in needed:
            continue  # nothing reads it
        for value, (first, stop) in zip(node.inputs, columns_read(graph, node, needed[node.name]), strict=True):
            before = needed.get(value, (first, stop))
            needed[value] = (min(first, before[0]), max(stop, before[1]))
    return needed


def columns_read(graph: Graph, node: Node, columns: Columns) -> tuple[Columns, ...]:
    """The columns of each input that these columns of a node's output are computed from."""
    window = _window(graph, node)
    if window is None:
        return (columns,) * len(node.inputs)
    first, stop = _under(window, columns)
    return ((max(first, 0), min(stop, window.input[1])),)


def _of_columns(graph: Graph, node: Node, columns: Columns) -> Operator:
    """The operator that computes these columns from those that it reads for them."""
    window = _window(graph, node)
    if window is None:
        return node.op
    first, stop = _under(window, columns)
    sides = (max(-first, 0), max(stop - window.input[1], 0))
    assert isinstance(node.op, WINDOWS)
    return replace(node.op, padding=(window.padding[0], sides))


def _under(window: Window, columns: Columns) -> Columns:
    """The columns under a window at these positions, those outside of the map included."""
    reach = (window.kernel[1] - 1) * window.dilation[1] + 1
    first, last = (at * window.stride[1] - window.padding[1][0] for at in (columns[0], columns[1] - 1))
    return first, last + reach


def _window(graph: Graph, node: Node) -> Window | None:
    return node.op.window(*graph.input_shapes(node)) if isinstance(node.op, WINDOWS) else None


def _may_be_in_strips(node: Node, graph: Graph) -> bool:
    """Whether columns of its output are computed from columns of its inputs, some of them inside the map."""
    shapes = [graph.shapes[node.name], *graph.input_shapes(node)]
    if any(len(shape) != 3 for shape in shapes):
        return False
    window = _window(graph, node)
    if window is not None:
        ends = (_under(window, (at, at + 1)) for at in (0, window.output[1] - 1))
        return all(first < window.input[1] and stop > 0 for first, stop in ends)
    return isinstance(node.op, BY_PIXEL) and all(shape[:2] == shapes[0][:2] for shape in shapes)


def _named(name: str, number: int) -> str:
    return f"{name}.strip{number}"
