"""Proof of a plan that streams, by someone who did not make it.

Knows the graph, what each operator reads for one row of its result, and what it may overwrite; nothing of how plans
are made. Replays every action on an arena in which each byte carries the mark of what was last written there: a read
must find, byte by byte, the row that it wants.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

import numpy as np

from millijoule import ops
from millijoule.graph import Graph, Node, Operator, Shape
from millijoule.model import Model
from millijoule.plan.streaming.kernels import scratch_bytes
from millijoule.plan.streaming.plan import RowBuffer, StreamPlan
from millijoule.plan.streaming.timeline import Action, Kind
from millijoule.plan.verify import PlanError

NOTHING = -1


def verify_stream(model: Model | Graph, plan: StreamPlan) -> None:
    """Replay the network on the plan. Raises PlanError that names action and address if a byte would be wrong."""
    Replay(model, plan).run()


def lines_read(op: Operator, x: tuple[Shape, ...], index: int, row: int) -> range:
    """The lines of input `index` from the first to the last that one row of the result reads, without padding."""
    lines = lines_of(x[index])
    if isinstance(op, ops.Conv2d | ops.MaxPool2d | ops.AveragePool2d):
        window = op.window(x[0])
        top = row * window.stride[0] - window.padding[0][0]
        reach = (window.kernel[0] - 1) * window.dilation[0] + 1
        return range(max(top, 0), max(min(top + reach, lines), max(top, 0)))
    if isinstance(op, ops.Pad):
        line = row - op.padding[0][0]
        return range(line, line + 1) if 0 <= line < lines else range(0)
    by_line = ops.Concat | ops.ChannelShuffle | ops.BatchNorm | ops.Dropout | ops.PRelu
    if (op.in_place or isinstance(op, by_line)) and lines_of(op.shape(*x)) == lines:
        return range(row, row + 1)
    return range(lines)


def lines_of(shape: Shape) -> int:
    return shape[0] if len(shape) == 3 else 1


def may_be_summed(op: Operator) -> bool:
    """Whether the operator can read its input once, a part at a time, and keep sums only."""
    return isinstance(op, ops.Dense | ops.GlobalAveragePool | ops.AveragePool2d)


class Replay:
    def __init__(self, model: Model | Graph, plan: StreamPlan) -> None:
        self.graph, self.plan = model.graph if isinstance(model, Model) else model, plan
        self.scratch: dict[str, int] = {}
        if isinstance(model, Model) and model.is_int8:
            self.scratch = scratch_bytes(model, plan.targets)
        graph = self.graph
        self.arena = np.full(plan.arena_bytes, NOTHING, np.int64)
        self.source = {input.name: input.name for input in graph.inputs}
        for node in graph.nodes:
            self.source[node.name] = self.source[node.inputs[0]] if node.op.alias else node.name
        # Byte i of a value carries the mark first_mark + i; sums carry marks of their own, one for each state.
        self.first_mark: dict[str, int] = {}
        total = 0
        for value in dict.fromkeys(self.source.values()):
            self.first_mark[value] = total
            total += prod(graph.shapes[value])
        self.sums_mark = total
        self.address: dict[tuple[str, int], int] = {}
        self.row_bytes: dict[str, int] = {}
        for buffer in plan.buffers:
            if buffer.kind not in ("sums", "scratch"):
                self.row_bytes[buffer.value] = buffer.row_bytes
        self.done = dict.fromkeys(self.first_mark, 0)
        self.step = "the start"

    def run(self) -> None:
        if self.plan.input != "push":
            for input in self.graph.inputs:
                for row in range(self.rows(input.name)):
                    self.write(input.name, row, fresh=False)
        for action in self.plan.actions:
            self.step = f"'{action.name}' ({action.do} {action.row})"
            {"arrive": self.arrive, "rest": self.rest, "fire": self.fire}[action.do](action)
        self.step = "the end"
        for node in self.graph.nodes:
            if not node.op.alias and self.done[node.name] != self.rows(node.name):
                raise self.error(
                    f"{self.done[node.name]} of {self.rows(node.name)} rows of '{node.name}' were computed"
                )
        kept = [input.name for input in self.graph.inputs] if self.plan.input == "keep" else []
        for name in (*self.graph.outputs, *kept):
            value = self.source[name]
            start = self.place("stored", value).offset
            for row in range(self.rows(value)):
                if self.find(value, row) != start + row * self.row_bytes[value]:
                    raise self.error(f"row {row} of '{value}' does not lie where it is stored")

    def arrive(self, action: Action) -> None:
        if self.plan.input != "push" or action.row != self.done[action.name]:
            raise self.error("this row cannot arrive now")
        self.done[action.name] += 1
        self.write(action.name, action.row, action.fresh)

    def rest(self, action: Action) -> None:
        self.find(action.name, action.row)
        self.write(action.name, action.row, fresh=False)

    def fire(self, action: Action) -> None:
        node = self.graph.by_name.get(action.name)
        if node is None or node.op.alias:
            raise self.error("there is no such step")
        if ("sums", node.name) in self.plan.places:
            self.add(node, action)
            return
        if action.row != self.done[node.name]:
            raise self.error(f"row {action.row} is computed after {self.done[node.name]} rows")
        self.done[node.name] += 1
        read = [list(self.read(node, index, action.row)) for index in range(len(node.inputs))]
        start, size = self.target(node.name, action.row, action.fresh), self.row_bytes[node.name]
        needed = [(start, size)]
        for index, addresses in enumerate(read):
            length = self.row_bytes[self.source[node.inputs[index]]]
            for _, address in addresses:
                needed.append((address, length))
                in_place = index in node.op.in_place and address == start and length == size
                if address < start + size and start < address + length and not in_place:
                    raise self.error(
                        f"writes addresses {start} to {start + size - 1} over a row of '{node.inputs[index]}' at "
                        f"{address} while it reads it"
                    )
        if node.name in self.scratch:
            self.use_scratch(node, needed)
        self.compute(node, action, read)
        self.write(node.name, action.row, action.fresh)

    def add(self, node: Node, action: Action) -> None:
        """A row of the input goes into the sums of `node`; the last one gives the result."""
        source = self.source[node.inputs[0]]
        sums = self.place("sums", node.name)
        whole = slice(sums.offset, sums.offset + sums.bytes)
        if not may_be_summed(node.op) or sums.offset < 0 or sums.offset + sums.bytes > len(self.arena):
            raise self.error("its sums have no place in the arena")
        address = self.find(source, action.row)
        if action.row and np.any(self.arena[whole] != self.sums_mark + action.row - 1):
            raise self.error(f"finds its sums at {sums.offset} overwritten")
        if address < whole.stop and whole.start < address + self.row_bytes[source]:
            raise self.error(f"keeps its sums at {sums.offset} over the row at {address} that it reads")
        self.arena[whole] = self.sums_mark + action.row
        last = action.row + 1 == self.rows(source)
        if last:
            start = self.target(node.name, 0, action.fresh)
            if start < whole.stop and whole.start < start + self.row_bytes[node.name]:
                raise self.error(f"writes its result at {start} over its sums")
            self.done[node.name] += 1
        self.accumulate(node, action, address, last)
        if last:
            self.write(node.name, 0, action.fresh)

    def use_scratch(self, node: Node, needed: list[tuple[int, int]]) -> None:
        """The kernel writes its working memory while it needs these places: (address, bytes)."""
        place = self.place("scratch", node.name)
        if place.row_bytes != self.scratch[node.name] or place.offset < 0 or place.end > len(self.arena):
            raise self.error(f"has no {self.scratch[node.name]} bytes of working memory in the arena")
        for address, size in needed:
            if address < place.end and place.offset < address + size:
                raise self.error(
                    f"keeps its working memory at {place.offset} to {place.end - 1} over {size} bytes at {address} "
                    "that it needs"
                )
        self.arena[place.offset : place.end] = NOTHING

    def compute(self, node: Node, action: Action, read: list[list[tuple[int, int]]]) -> None:
        """What an executor does between reading and writing a row; read: for each input, (row, address)."""

    def accumulate(self, node: Node, action: Action, address: int, last: bool) -> None:
        """What an executor does with a row that goes into sums."""

    def read(self, node: Node, index: int, row: int) -> Iterator[tuple[int, int]]:
        """(row, address) of all rows of input `index` that hold lines which the node reads for `row`."""
        shapes = self.graph.input_shapes(node)
        lines = lines_read(node.op, shapes, index, row)
        source = self.source[node.inputs[index]]
        line_bytes = prod(shapes[index]) // lines_of(shapes[index])
        begin, end = lines.start * line_bytes, lines.stop * line_bytes
        size = self.row_bytes.get(source, 1)
        for wanted in range(begin // size, -(-end // size)):
            yield wanted, self.find(source, wanted)

    def find(self, value: str, row: int) -> int:
        """The address of a row that must be there, byte by byte."""
        if (value, row) not in self.address:
            raise self.error(f"reads row {row} of '{value}', which is not there yet")
        address, size = self.address[value, row], self.row_bytes[value]
        wanted = np.arange(size) + self.first_mark[value] + row * size
        wrong = np.flatnonzero(self.arena[address : address + size] != wanted)
        if wrong.size:
            raise self.error(f"reads row {row} of '{value}' at address {address} and finds it overwritten")
        return address

    def target(self, value: str, row: int, fresh: bool) -> int:
        """The address at which a row is written, in the arena."""
        if fresh:
            address = self.place("fresh", value).offset
        elif ("ring", value) in self.plan.places:
            ring = self.place("ring", value)
            address = ring.offset + row % ring.rows * ring.row_bytes
        else:
            address = self.place("stored", value).offset + row * self.row_bytes[value]
        if address < 0 or address + self.row_bytes[value] > len(self.arena):
            raise self.error(f"uses address {address} for '{value}', outside the arena of {len(self.arena)} bytes")
        return address

    def write(self, value: str, row: int, fresh: bool) -> None:
        address, size = self.target(value, row, fresh), self.row_bytes[value]
        self.arena[address : address + size] = np.arange(size) + self.first_mark[value] + row * size
        self.address[value, row] = address

    def rows(self, value: str) -> int:
        if value not in self.row_bytes:
            raise self.error(f"uses '{value}', which has no place in the arena")
        return prod(self.graph.shapes[value]) // self.row_bytes[value]

    def place(self, kind: Kind, value: str) -> RowBuffer:
        if (kind, value) not in self.plan.places:
            raise self.error(f"uses '{value}', which has no '{kind}' place in the arena")
        return self.plan.places[kind, value]

    def error(self, what: str) -> PlanError:
        return PlanError(f"plan of '{self.plan.model}': {self.step}: {what}")
