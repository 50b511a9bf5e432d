"""Proof of a plan by someone who did not make it.

Knows the graph, which inputs an operator may overwrite, which values its kernel can read or write with other bytes
between their pixels, and how much working memory it needs; nothing of how plans are made. Replays every node on an
arena in which each byte carries the mark of what was last written there: a read must find, byte by byte, the value it
wants.
"""

from __future__ import annotations

from math import prod

import numpy as np

from millijoule.errors import ModelError
from millijoule.graph import Graph, Node
from millijoule.model import Model
from millijoule.ops.rearrange import Slice
from millijoule.ops.shape import Concat
from millijoule.plan.plan import Plan
from millijoule.plan.scratch import scratch_bytes

NOTHING = -1


class PlanError(ModelError):
    """A plan on which a network would read wrong bytes: a mistake of the planner, never of the user."""


def verify(model: Model | Graph, plan: Plan) -> None:
    """Replay the network on the plan. Raises PlanError that names value, step and address if a byte would be wrong."""
    graph = model.graph if isinstance(model, Model) else model
    replay = _Replay(graph, scratch_bytes(model, plan.target), plan)
    for input in graph.inputs:
        replay.write(input.name, "input")
    for node in graph.nodes:
        replay.execute(node)
    for output in graph.outputs:
        replay.read(output, "the end")


class _Replay:
    def __init__(self, graph: Graph, scratch: dict[str, int], plan: Plan) -> None:
        self.graph, self.scratch, self.plan = graph, scratch, plan
        self.arena = np.full(plan.arena_bytes, NOTHING, np.int64)
        self.sizes = {value: prod(shape) for value, shape in graph.shapes.items()}
        self.sizes |= {f"{node}.scratch": size for node, size in scratch.items()}
        # Every byte that is computed carries a mark of its own, those of a value from its first one on.
        self.first_mark: dict[str, int] = {}
        total = 0
        for value in graph.shapes:
            self.first_mark[value] = total
            total += self.sizes[value]

    def execute(self, node: Node) -> None:
        for name in node.inputs:
            self.read(name, node.name)
        if node.op.alias or node.name in self.plan.joined:
            # Nothing is executed: the bytes must lie there.
            self.read(node.name, node.name)
            return
        for name in (*node.inputs, node.name):
            can = node.op.writes_parts if name == node.name else node.op.reads_parts
            if name in self.plan.pixel_bytes and not can and prod(self.graph.shapes[name][:-1]) > 1:
                raise self.error(node.name, f"cannot leave other bytes between the pixels of '{name}'")
        if node.name in self.scratch:
            # Kernels write their working memory while they read inputs and write the output.
            working = f"{node.name}.scratch"
            for name in (*node.inputs, node.name):
                self.must_not_overlap(working, name, node.name)
            self.arena[self.place(working, node.name)] = NOTHING
        for index, name in enumerate(node.inputs):
            if not self.may_overlap(node, index):
                self.must_not_overlap(node.name, name, node.name)
        self.write(node.name, node.name)

    def may_overlap(self, node: Node, index: int) -> bool:
        """Whether the output may lie over this input where it does: in the very same place, or, of a concatenation,
        where the input belongs."""
        if not isinstance(node.op, Concat) and index not in node.op.in_place:
            return False
        own, given = (self.place(name, node.name) for name in (node.name, node.inputs[index]))
        if not isinstance(node.op, Concat):
            return np.array_equal(own, given)
        first = sum(self.graph.shapes[name][-1] for name in node.inputs[:index])
        channels = self.graph.shapes[node.inputs[index]][-1]
        there = own.reshape(-1, self.graph.shapes[node.name][-1])[:, first : first + channels]
        return np.array_equal(there.ravel(), given)

    def marks(self, value: str) -> np.ndarray:
        """What the bytes of a value carry. What only moves bytes leaves them their marks."""
        node = self.graph.by_name.get(value)
        if node is None or not (node.op.alias or isinstance(node.op, Concat | Slice)):
            return np.arange(self.sizes[value]) + self.first_mark[value]
        given = [self.marks(name).reshape(self.graph.shapes[name]) for name in node.inputs]
        if isinstance(node.op, Concat):
            return np.concatenate(given, axis=-1).ravel()
        if isinstance(node.op, Slice):
            steps = node.op.step or (1,) * len(node.op.size)
            cut = zip(node.op.begin, node.op.size, steps, strict=True)
            return given[0][tuple(slice(at, at + count * step, step) for at, count, step in cut)].ravel()
        return given[0].ravel()

    def read(self, value: str, step: str) -> None:
        place = self.place(value, step)
        wrong = np.flatnonzero(self.arena[place] != self.marks(value))
        if wrong.size:
            byte = int(wrong[0])
            address = int(place[byte])
            raise self.error(
                step,
                f"reads byte {byte} of '{value}' at address {address} and finds {self.owner(int(self.arena[address]))}",
            )

    def write(self, value: str, step: str) -> None:
        self.arena[self.place(value, step)] = self.marks(value)

    def must_not_overlap(self, written: str, other: str, step: str) -> None:
        """`other` is still being read or written while `written` is."""
        one, two = self.place(written, step), self.place(other, step)
        if one[0] > two[-1] or two[0] > one[-1]:
            return
        is_written = np.zeros(self.plan.arena_bytes, bool)
        is_written[one] = True
        both = two[is_written[two]]
        if both.size:
            raise self.error(
                step,
                f"writes '{written}' at {one[0]} to {one[-1]} over '{other}' at {two[0]} to {two[-1]} "
                f"while it needs it, from address {both[0]}",
            )

    def place(self, value: str, step: str) -> np.ndarray:
        """The addresses of a value's bytes, in their order, all of them in the arena."""
        if value not in self.plan.offsets:
            raise self.error(step, f"uses '{value}', which has no place in the arena")
        if value in self.plan.pixel_bytes:
            *sizes, channels = self.graph.shapes[value]
            pixels = np.arange(prod(sizes)) * self.plan.pixel_bytes[value]
            place = (pixels[:, None] + np.arange(channels)).ravel() + self.plan.offsets[value]
        else:
            place = np.arange(self.sizes[value]) + self.plan.offsets[value]
        if place[0] < 0 or place[-1] >= self.plan.arena_bytes:
            raise self.error(
                step,
                f"uses '{value}' at address {place[0]} to {place[-1]}, outside the arena of "
                f"{self.plan.arena_bytes} bytes",
            )
        return place

    def owner(self, mark: int) -> str:
        if mark == NOTHING:
            return "nothing that a value left there"
        first, value = max((first, value) for value, first in self.first_mark.items() if first <= mark)
        return f"byte {mark - first} of '{value}'"

    def error(self, step: str, what: str) -> PlanError:
        return PlanError(f"plan of '{self.plan.model}': step '{step}' {what}")
