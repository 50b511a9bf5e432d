"""Proof of a plan by someone who did not make it.

Knows the graph, which inputs an operator may overwrite, and how much working memory its kernel needs; nothing of how
plans are made. Replays every node on an arena in which each byte carries the mark of what was last written there: a
read must find, byte by byte, the value it wants.
"""

from __future__ import annotations

from math import prod

import numpy as np

from millijoule.errors import ModelError
from millijoule.graph import Graph, Node
from millijoule.model import Model
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
        # Byte i of a value carries the mark first_mark + i; no two bytes of a network carry the same one. An alias is
        # its input's bytes, so it has its input's marks.
        self.first_mark: dict[str, int] = {}
        self.values: list[tuple[int, str]] = []
        total = 0
        for value in graph.shapes:
            node = graph.by_name.get(value)
            if node is not None and node.op.alias:
                self.first_mark[value] = self.first_mark[node.inputs[0]]
            else:
                self.first_mark[value] = total
                self.values.append((total, value))
                total += self.sizes[value]

    def execute(self, node: Node) -> None:
        for name in node.inputs:
            self.read(name, node.name)
        if node.op.alias:
            self.read(node.name, node.name)
            return
        if node.name in self.scratch:
            # Kernels write their working memory while they read inputs and write the output.
            working = f"{node.name}.scratch"
            for name in (*node.inputs, node.name):
                self.must_not_overlap(working, name, node.name)
            self.arena[self.place(working, node.name)] = NOTHING
        for index, name in enumerate(node.inputs):
            same_place = self.place(name, node.name) == self.place(node.name, node.name)
            if not (index in node.op.in_place and same_place):
                self.must_not_overlap(node.name, name, node.name)
        self.write(node.name, node.name)

    def read(self, value: str, step: str) -> None:
        place = self.place(value, step)
        wanted = np.arange(self.sizes[value]) + self.first_mark[value]
        wrong = np.flatnonzero(self.arena[place] != wanted)
        if wrong.size:
            byte = int(wrong[0])
            address = place.start + byte
            raise self.error(
                step,
                f"reads byte {byte} of '{value}' at address {address} and finds {self.owner(int(self.arena[address]))}",
            )

    def write(self, value: str, step: str) -> None:
        self.arena[self.place(value, step)] = np.arange(self.sizes[value]) + self.first_mark[value]

    def must_not_overlap(self, written: str, other: str, step: str) -> None:
        """`other` is still being read or written while `written` is."""
        one, two = self.place(written, step), self.place(other, step)
        if one.start < two.stop and two.start < one.stop:
            raise self.error(
                step,
                f"writes '{written}' at {one.start} to {one.stop - 1} over '{other}' at {two.start} to {two.stop - 1} "
                f"while it needs it, from address {max(one.start, two.start)}",
            )

    def place(self, value: str, step: str) -> slice:
        """The addresses of a value, all of them in the arena."""
        if value not in self.plan.offsets:
            raise self.error(step, f"uses '{value}', which has no place in the arena")
        start, size = self.plan.offsets[value], self.sizes[value]
        if start < 0 or start + size > self.plan.arena_bytes:
            raise self.error(
                step,
                f"uses '{value}' at address {start} to {start + size - 1}, outside the arena of "
                f"{self.plan.arena_bytes} bytes",
            )
        return slice(start, start + size)

    def owner(self, mark: int) -> str:
        if mark == NOTHING:
            return "nothing that a value left there"
        first, value = max(entry for entry in self.values if entry[0] <= mark)
        return f"byte {mark - first} of '{value}'"

    def error(self, step: str, what: str) -> PlanError:
        return PlanError(f"plan of '{self.plan.model}': step '{step}' {what}")
