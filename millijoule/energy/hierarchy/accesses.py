"""What a plan's buffers imply: bytes that an inference reads and writes at each level of memory.

Each row of a result (of a plan that streams by pixels, each pixel) reads the rows under its window once and is written
once, where the plan has them: what arithmetic keeps while it makes a row is not in it. Addresses of the arena below a
limit lie on the chip, those above it in DRAM, as in a plan for two memories.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass
from math import prod
from typing import TYPE_CHECKING

from millijoule.graph import Graph, Node
from millijoule.plan import Plan
from millijoule.plan.streaming import StreamPlan
from millijoule.plan.streaming.check.verify import Replay, area_read, map_of
from millijoule.plan.streaming.layout.timeline import Action

if TYPE_CHECKING:
    import numpy as np


@dataclass
class Moved:
    """Bytes of activations that a layer reads and writes on the chip and in DRAM."""

    chip_reads: int = 0
    chip_writes: int = 0
    dram_reads: int = 0
    dram_writes: int = 0

    def read(self, below: int, above: int) -> None:
        self.chip_reads += below
        self.dram_reads += above

    def write(self, below: int, above: int) -> None:
        self.chip_writes += below
        self.dram_writes += above


def total(moved: Iterable[Moved]) -> Moved:
    """Of all layers together."""
    columns = zip(*(astuple(each) for each in moved), strict=True)
    return Moved(*map(sum, columns))


def count(graph: Graph, plan: Plan | StreamPlan, chip_bytes: int, number_bytes: int) -> Mapping[str, Moved]:
    """Node → what it moves. chip_bytes: of the arena, so many lie on the chip. number_bytes: of one number; the plan
    has a byte for each.

    Sums of a streamed step are int32, read and written for each row that is added. The input's arrival is not in it.
    Raises PlanError if a streamed plan is none of this graph.
    """
    limit = chip_bytes // number_bytes
    if isinstance(plan, StreamPlan):
        return _streamed(graph, plan, min(limit, plan.fast_bytes), number_bytes)
    return _stored(graph, plan, min(limit, plan.arena_bytes), number_bytes)


def _stored(graph: Graph, plan: Plan, limit: int, number_bytes: int) -> dict[str, Moved]:
    found = {node.name: Moved() for node in graph.nodes}

    def split(value: str, begin: int, end: int) -> tuple[int, int]:
        # What the caller owns has no place in the arena.
        below = min(max(limit - plan.offsets.get(value, limit), begin), end)
        return (below - begin) * number_bytes, (end - below) * number_bytes

    for node in graph.nodes:
        if node.op.alias:
            continue
        shapes, rows = graph.input_shapes(node), map_of(graph.shapes[node.name])[0]
        for index, (name, shape) in enumerate(zip(node.inputs, shapes, strict=True)):
            line = prod(shape) // map_of(shape)[0]
            for row in range(rows):
                lines, _ = area_read(node.op, shapes, index, row, None)
                found[node.name].read(*split(name, lines.start * line, lines.stop * line))
        found[node.name].write(*split(node.name, 0, prod(graph.shapes[node.name])))
    return found


def _streamed(graph: Graph, plan: StreamPlan, limit: int, number_bytes: int) -> dict[str, Moved]:
    """By the verifier's replay, which knows the address of every byte that an action reads and writes."""
    import numpy as np

    class Counter(Replay):
        def __init__(self) -> None:
            super().__init__(graph, plan)
            self.found = {node.name: Moved() for node in graph.nodes}

        def moved(self, value: str, addresses: np.ndarray, is_written: bool) -> None:
            super().moved(value, addresses, is_written)
            self.count(addresses, number_bytes, is_written)

        def accumulate(self, node: Node, action: Action, addresses: np.ndarray, last: bool) -> None:
            sums = self.place("sums", node.name)
            for is_written in (False, True) if action.row else (True,):
                self.count(np.arange(sums.offset, sums.offset + sums.bytes), 1, is_written)

        def count(self, addresses: np.ndarray, size: int, is_written: bool) -> None:
            if self.acting in self.found:  # no layer moves the rows of an input that arrives
                below = int(np.count_nonzero(addresses < limit))
                moved = self.found[self.acting]
                (moved.write if is_written else moved.read)(below * size, (len(addresses) - below) * size)

    counter = Counter()
    counter.run()
    return counter.found
