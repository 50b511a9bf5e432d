"""Proof of a plan that streams, by someone who did not make it.

Knows the graph, what each operator reads for one row or pixel of its result, and what it may overwrite; nothing of how
plans are made. Replays every action on an arena in which each byte carries the mark of what was last written there: a
read must find, byte by byte, the values that it wants.
"""

from __future__ import annotations

from math import prod

import numpy as np

from millijoule import ops
from millijoule.graph import Graph, Node, Operator, Shape
from millijoule.model import Model
from millijoule.plan.streaming.layout.timeline import Action, Kind
from millijoule.plan.streaming.network.kernels import scratch_bytes, state_bytes
from millijoule.plan.streaming.network.rows import WORD_BYTES, Grain, rows
from millijoule.plan.streaming.plan import RowBuffer, StreamPlan
from millijoule.plan.verify import PlanError

NOTHING, STATE = -1, -2
SPILLED: tuple[Kind, ...] = ("stored", "ring")
"""What may lie in the slow one of two memories."""
Area = tuple[range, range]
"""Lines and columns of a map; (0,) and (0,) of a value that is none."""


def verify_stream(model: Model | Graph, plan: StreamPlan) -> None:
    """Replay the network on the plan. Raises PlanError that names action and address if a byte would be wrong."""
    Replay(model, plan).run()


def area_read(op: Operator, x: tuple[Shape, ...], index: int, row: int, column: int | None) -> Area:
    """What of input `index` is read for one row of the result, or for one pixel: all between the first and the last
    line and column, without padding."""
    sides = (0, 1)[: 1 if column is None else 2]
    found = [_side_read(op, x, index, axis, (row, column or 0)[axis]) for axis in sides]
    return found[0], found[1] if column is not None else range(map_of(x[index])[1])


def _side_read(op: Operator, x: tuple[Shape, ...], index: int, axis: int, at: int) -> range:
    size = map_of(x[index])[axis]
    if isinstance(op, ops.Conv2d | ops.MaxPool2d | ops.AveragePool2d):
        window = op.window(x[0])
        begin = at * window.stride[axis] - window.padding[axis][0]
        reach = (window.kernel[axis] - 1) * window.dilation[axis] + 1
        return range(max(begin, 0), max(min(begin + reach, size), max(begin, 0)))
    if isinstance(op, ops.Slice) and op.takes_columns(x[0]):
        return range(at + op.begin[axis], at + op.begin[axis] + 1)
    if isinstance(op, ops.Pad):
        place = at - op.padding[axis][0]
        return range(place, place + 1) if 0 <= place < size else range(0)
    return range(at, at + 1) if _is_by_place(op, x, index, axis) else range(size)


def _is_by_place(op: Operator, x: tuple[Shape, ...], index: int, axis: int) -> bool:
    """Whether place `at` of the result is computed from the same place of an input."""
    by_place = ops.Concat | ops.ChannelShuffle | ops.BatchNorm | ops.Dropout | ops.PRelu
    return bool(op.in_place or isinstance(op, by_place)) and map_of(op.shape(*x))[axis] == map_of(x[index])[axis]


def needs_all(op: Operator, x: tuple[Shape, ...], index: int, axes: int) -> bool:
    """Whether all of input `index` is read for the first place of the result, along the first `axes` of its map."""
    if isinstance(op, ops.Conv2d | ops.MaxPool2d | ops.AveragePool2d | ops.Pad):
        return False
    by_columns = isinstance(op, ops.Slice) and op.takes_columns(x[0])
    return not by_columns and not all(_is_by_place(op, x, index, axis) for axis in range(axes))


def map_of(shape: Shape) -> Shape:
    """(height, width, channels); a value that is no map is one pixel."""
    return shape if len(shape) == 3 else (1, 1, prod(shape))


def lines_of(shape: Shape, grain: Grain) -> Shape:
    """What a step fires for: the lines of a map, or lines and columns."""
    return map_of(shape)[: 1 if grain == "row" else 2]


def may_be_summed(op: Operator) -> bool:
    """Whether the operator can read its input once, a part at a time, and keep sums only."""
    return isinstance(op, ops.Dense | ops.GlobalAveragePool | ops.AveragePool2d)


class Replay:
    def __init__(self, model: Model | Graph, plan: StreamPlan) -> None:
        self.graph, self.plan = model.graph if isinstance(model, Model) else model, plan
        graph = self.graph
        outside = sum(prod(input.shape) for input in graph.inputs) if plan.input == "read" else 0
        self.arena = np.full(plan.arena_bytes + outside, NOTHING, np.int64)
        self.source = {input.name: input.name for input in graph.inputs}
        for node in graph.nodes:
            self.source[node.name] = self.source[node.inputs[0]] if node.op.alias else node.name
        # Byte i of a value carries the mark first_mark + i; sums carry marks of their own, one for each state.
        self.first_mark: dict[str, int] = {}
        # Where each byte of a value lies; the lines of a value are those of the first view of it that is a map.
        self.address: dict[str, np.ndarray] = {}
        self.map: dict[str, Shape] = {}
        total = 0
        for value in dict.fromkeys(self.source.values()):
            size = prod(graph.shapes[value])
            self.first_mark[value], total = total, total + size
            self.address[value] = np.full(size, NOTHING, np.int64)
            views = [graph.shapes[name] for name, source in self.source.items() if source == value]
            self.map[value] = map_of(next((shape for shape in views if len(shape) == 3), views[0]))
        self.sums_mark = total
        grains = zip(plan.segments, plan.grains, strict=True)
        self.grain: dict[str, Grain] = {name: grain for names, grain in grains for name in names}
        self.scratch: dict[str, int] = {}
        if isinstance(model, Model) and model.is_int8:
            self.scratch = scratch_bytes(model, plan.targets, self.grain, plan.rings)
        self.done = dict.fromkeys(self.first_mark, 0)
        self.step, self.acting = "the start", ""
        self.state = slice(0)
        # Of two memories, the slow one begins at this address, and so many bytes were read and written there.
        self.slow_start, self.slow_traffic = plan.fast_bytes, 0
        if isinstance(model, Model) and model.is_int8 and plan.input == "push":
            self._place_state()

    def check_runs(self) -> None:
        """What needs all of an input at once, or sees other lines in it than its maker, is no part of a longer run, and
        what it computes, all at once, is stored."""
        for names, grain in zip(self.plan.segments, self.plan.grains, strict=True):
            for node in (self.graph.by_name[name] for name in names if name in self.graph.by_name):
                given = self.needed_at_once(node, grain)
                if given is None:
                    continue
                self.step = f"'{node.name}'"
                if len(names) > 1:
                    raise self.error(f"needs all of '{given}' at once; it cannot be streamed with other steps")
                if self.firings(node.name) > 1 and ("stored", node.name) not in self.plan.places:
                    raise self.error(f"computes all of its {self.firings(node.name)} {grain}s at once; none is stored")

    def needed_at_once(self, node: Node, grain: Grain) -> str | None:
        """The input of which a node needs all lines at once, or other lines than its maker's."""
        if ("sums", node.name) in self.plan.places:
            return None
        x, out = self.graph.input_shapes(node), self.graph.shapes[node.name]
        same = lines_of(out, grain) == lines_of(self.map[node.name], grain)
        for index, name in enumerate(node.inputs):
            lines = lines_of(self.map[self.source[name]], grain)
            at_once = prod(lines) > 1 and needs_all(node.op, x, index, len(lines))
            if at_once or not same or lines != lines_of(x[index], grain):
                return name
        return None

    def run(self) -> None:
        self.check_runs()
        if self.plan.input == "read":
            self.place_outside()
        elif self.plan.input != "push":
            for input in self.graph.inputs:
                for row in range(self.map[input.name][0]):
                    self.write(input.name, row, self.bytes(input.name, "row"), fresh=False)
        for action in self.plan.actions:
            if np.any(self.arena[self.state] != STATE):
                raise self.error(f"overwrites the state at {self.state.start} to {self.state.stop - 1}")
            self.step, self.acting = f"'{action.name}' ({action.do} {action.row})", action.name
            {"arrive": self.arrive, "rest": self.rest, "fire": self.fire}[action.do](action)
        self.step = "the end"
        for node in self.graph.nodes:
            if not node.op.alias and self.done[node.name] != self.firings(node.name):
                raise self.error(
                    f"{self.done[node.name]} of {self.firings(node.name)} {self.grain[node.name]}s of '{node.name}' "
                    "were computed"
                )
        kept = [input.name for input in self.graph.inputs] if self.plan.input == "keep" else []
        for name in (*self.graph.outputs, *kept):
            value = self.source[name]
            start, size = self.place("stored", value).offset, prod(self.map[value])
            if not np.array_equal(self.find(value, 0, size), np.arange(start, start + size)):
                raise self.error(f"'{value}' does not lie where it is stored")
        self.check_memories()

    def slow_bytes(self, addresses: np.ndarray) -> int:
        """How many of these addresses lie in the slow memory."""
        return int(np.count_nonzero((addresses >= self.slow_start) & (addresses < self.plan.arena_bytes)))

    def check_memories(self) -> None:
        """Each buffer lies in one of two memories, all that is not rows in the fast one, and the traffic is as said."""
        memories = self.plan.memories
        if memories is None:
            return
        if memories.fast_bytes + memories.slow_bytes != self.plan.arena_bytes:
            parts = f"{memories.fast_bytes} and {memories.slow_bytes} bytes"
            raise self.error(f"{parts} are no arena of {self.plan.arena_bytes}")
        for buffer in self.plan.buffers:
            if buffer.end > self.slow_start and (buffer.offset < self.slow_start or buffer.kind not in SPILLED):
                raise self.error(f"'{buffer.value}' ({buffer.kind}) does not lie in the fast memory alone")
        if self.slow_traffic != memories.traffic_bytes:
            raise self.error(f"the slow memory's traffic is {self.slow_traffic} bytes, not {memories.traffic_bytes}")

    def place_outside(self) -> None:
        """Inputs that lie outside of the arena: at addresses behind it, where nothing may be written."""
        at = self.plan.arena_bytes
        for input in self.graph.inputs:
            size, mark = prod(input.shape), self.first_mark[input.name]
            self.arena[at : at + size] = np.arange(mark, mark + size)
            self.address[input.name] = np.arange(at, at + size)
            at += size

    def _place_state(self) -> None:
        place = self.place("state", self.graph.inputs[0].name)
        size = state_bytes(rows(self.graph, max(self.plan.grains, key=("row", "pixel").index)), "push")
        if place.bytes != size or place.offset < 0 or place.end > self.plan.arena_bytes:
            raise self.error(f"has no {size} bytes of state in the arena")
        self.state = slice(place.offset, place.end)
        self.arena[self.state] = STATE

    def arrive(self, action: Action) -> None:
        if self.plan.input != "push" or action.row != self.done[action.name]:
            raise self.error("this row cannot arrive now")
        self.done[action.name] += 1
        size = self.bytes(action.name, "row")
        place = self.plan.places.get(("ring", action.name))
        parts = size // place.row_bytes if place and not action.fresh else 1
        for part in range(parts):
            self.write(action.name, action.row * parts + part, size // parts, action.fresh)

    def rest(self, action: Action) -> None:
        size = self.bytes(action.name, "row")
        self.find(action.name, action.row * size, (action.row + 1) * size)
        self.write(action.name, action.row, size, fresh=False)

    def fire(self, action: Action) -> None:
        node = self.graph.by_name.get(action.name)
        if node is None or node.op.alias:
            raise self.error("there is no such step")
        if ("sums", node.name) in self.plan.places:
            self.add(node, action)
            return
        if action.row != self.done[node.name]:
            raise self.error(f"{self.grain[node.name]} {action.row} is computed after {self.done[node.name]}")
        self.done[node.name] += 1
        read = [self.read(node, index, action.row) for index in range(len(node.inputs))]
        size = self.bytes(node.name, self.grain[node.name])
        start = self.target(node.name, action.row, size, action.fresh)
        for index, addresses in enumerate(read):
            in_place = np.array_equal(addresses, self._replaced(node, index, start, size))
            if np.any((addresses >= start) & (addresses < start + size)) and not in_place:
                raise self.error(
                    f"writes addresses {start} to {start + size - 1} over a row of '{node.inputs[index]}' while it "
                    "reads it"
                )
        if node.name in self.scratch:
            self.use_scratch(node, np.concatenate([*read, np.arange(start, start + size)]))
        self.compute(node, action, read)
        self.write(node.name, action.row, size, action.fresh)

    def _replaced(self, node: Node, index: int, start: int, size: int) -> np.ndarray:
        """The addresses, of those from `start` on that are written, at which the bytes of this input may lie."""
        shapes = self.graph.input_shapes(node)
        if isinstance(node.op, ops.Concat) and all(map_of(shape)[1] == 1 for shape in shapes):
            # Of maps of one column, each is one part of a line, and stays as it is.
            begin = start + sum(map_of(shape)[2] for shape in shapes[:index])
            return np.arange(begin, begin + map_of(shapes[index])[2])
        return np.arange(start, start + size if index in node.op.in_place else start)

    def add(self, node: Node, action: Action) -> None:
        """A row of the input goes into the sums of `node`; the last one gives the result."""
        source = self.source[node.inputs[0]]
        sums = self.place("sums", node.name)
        whole = slice(sums.offset, sums.offset + sums.bytes)
        if not may_be_summed(node.op) or sums.offset < 0 or sums.offset + sums.bytes > self.plan.arena_bytes:
            raise self.error("its sums have no place in the arena")
        size, result = self.bytes(source, self.grain[node.name]), prod(self.map[node.name])
        if sums.bytes != WORD_BYTES * result:
            raise self.error(f"has {sums.bytes} bytes for its sums, which take {WORD_BYTES * result}")
        addresses = self.find(source, action.row * size, (action.row + 1) * size)
        if action.row and np.any(self.arena[whole] != self.sums_mark + action.row - 1):
            raise self.error(f"finds its sums at {sums.offset} overwritten")
        if np.any((addresses >= whole.start) & (addresses < whole.stop)):
            raise self.error(f"keeps its sums at {sums.offset} over the row at {addresses[0]} that it reads")
        self.arena[whole] = self.sums_mark + action.row
        last = (action.row + 1) * size == prod(self.map[source])
        if last:
            start = self.target(node.name, 0, result, action.fresh)
            if start < whole.stop and whole.start < start + result:
                raise self.error(f"writes its result at {start} over its sums")
            self.done[node.name] += 1
        self.accumulate(node, action, addresses, last)
        if last:
            self.write(node.name, 0, result, action.fresh)

    def use_scratch(self, node: Node, needed: np.ndarray) -> None:
        """The kernel writes its working memory while it needs what lies at these addresses."""
        place = self.place("scratch", node.name)
        if place.row_bytes != self.scratch[node.name] or place.offset < 0 or place.end > self.plan.arena_bytes:
            raise self.error(f"has no {self.scratch[node.name]} bytes of working memory in the arena")
        hit = needed[(needed >= place.offset) & (needed < place.end)]
        if hit.size:
            raise self.error(
                f"keeps its working memory at {place.offset} to {place.end - 1} over address {hit[0]}, which it needs"
            )
        self.arena[place.offset : place.end] = NOTHING

    def compute(self, node: Node, action: Action, read: list[np.ndarray]) -> None:
        """What an executor does between reading and writing a row; read: for each input, the addresses."""

    def accumulate(self, node: Node, action: Action, addresses: np.ndarray, last: bool) -> None:
        """What an executor does with a row that goes into sums."""

    def area(self, node: Node, index: int, at: int) -> Area:
        """What firing `at` reads of input `index`."""
        width = self.map[node.name][1]
        row, column = (at, None) if self.grain[node.name] == "row" else divmod(at, width)
        return area_read(node.op, self.graph.input_shapes(node), index, row, column)

    def read(self, node: Node, index: int, at: int) -> np.ndarray:
        """The addresses of all that firing `at` reads of input `index`, line by line."""
        lines, columns = self.area(node, index, at)
        _, width, channels = map_of(self.graph.input_shapes(node)[index])
        source = self.source[node.inputs[index]]
        if len(columns) == width:
            return self.find(source, lines.start * width * channels, lines.stop * width * channels)
        begin, end = columns.start * channels, columns.stop * channels
        parts = [self.find(source, line * width * channels + begin, line * width * channels + end) for line in lines]
        return np.concatenate(parts) if parts else np.zeros(0, np.int64)

    def find(self, value: str, begin: int, end: int) -> np.ndarray:
        """The addresses of bytes `begin` to `end` - 1 of a value, which must be there."""
        addresses = self.address[value][begin:end]
        wrong = np.flatnonzero(self.arena[addresses] != np.arange(begin, end) + self.first_mark[value])
        if wrong.size:
            at = addresses[wrong[0]]
            what = "is not there yet" if at == NOTHING else f"is overwritten at address {at}"
            raise self.error(f"reads byte {begin + wrong[0]} of '{value}', which {what}")
        if self.step != "the end":
            self.moved(value, addresses, is_written=False)
        return addresses

    def target(self, value: str, at: int, size: int, fresh: bool) -> int:
        """The address at which a row or pixel is written, in the arena."""
        kind: Kind = "fresh" if fresh else "ring" if ("ring", value) in self.plan.places else "stored"
        place = self.place(kind, value)
        if kind != "stored" and place.row_bytes != size:
            raise self.error(f"writes {size} bytes of '{value}' where {place.row_bytes} have their place")
        if place.pitch and (kind != "stored" or place.row_bytes != size):
            raise self.error(
                f"writes {size} bytes of '{value}', whose rows of {place.row_bytes} do not lie side by side"
            )
        row = 0 if fresh else at % place.rows if kind == "ring" else at
        address = place.offset + row * (place.pitch or size)
        if address < 0 or address + size > self.plan.arena_bytes:
            arena = f"the arena of {self.plan.arena_bytes} bytes"
            raise self.error(f"uses address {address} for '{value}', outside {arena}")
        return address

    def write(self, value: str, at: int, size: int, fresh: bool) -> None:
        address, begin = self.target(value, at, size, fresh), at * size
        addresses = np.arange(address, address + size)
        if self.step != "the start":
            self.moved(value, addresses, is_written=True)
        self.arena[address : address + size] = np.arange(begin, begin + size) + self.first_mark[value]
        self.address[value][begin : begin + size] = addresses

    def moved(self, value: str, addresses: np.ndarray, is_written: bool) -> None:
        """An action reads or writes bytes of a value at these addresses."""
        self.slow_traffic += self.slow_bytes(addresses)

    def bytes(self, value: str, grain: Grain) -> int:
        """Bytes of a row, or a pixel, of a value."""
        _, width, channels = self.map[value]
        return channels if grain == "pixel" else width * channels

    def firings(self, name: str) -> int:
        if ("sums", name) in self.plan.places:
            return 1
        return prod(self.map[name]) // self.bytes(name, self.grain[name])

    def place(self, kind: Kind, value: str) -> RowBuffer:
        if (kind, value) not in self.plan.places:
            raise self.error(f"uses '{value}', which has no '{kind}' place in the arena")
        return self.plan.places[kind, value]

    def error(self, what: str) -> PlanError:
        return PlanError(f"plan of '{self.plan.model}': {self.step}: {what}")
