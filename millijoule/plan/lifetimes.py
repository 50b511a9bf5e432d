"""Which memory is needed from when to when, and which values share it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from math import prod

from millijoule.graph import Graph, Node
from millijoule.model import Model
from millijoule.plan.parts import Place, parts
from millijoule.plan.plan import Part
from millijoule.plan.scratch import scratch_bytes
from millijoule.target import SCALAR, Target


@dataclass
class _Memory:
    """Memory while it is being followed along the steps."""

    bytes: int
    first: int
    last: int
    values: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Lifetime:
    """Memory of `bytes`, held from step `first` to step `last`, both included, for `values` one after the other.

    parts: of the values, those that lie in it beside each other.
    """

    values: tuple[str, ...]
    bytes: int
    first: int
    last: int
    parts: tuple[Part, ...] = ()


def lifetimes(model: Model | Graph, target: Target = SCALAR) -> tuple[Lifetime, ...]:
    """The memory that a network needs, executed layer by layer in the graph's order; int8, one byte a number.

    Step 0 is the input's arrival, step i the i-th node. Inputs are held from step 0, outputs to the last step, every
    other value from the node that writes it to the last node that reads it. An alias is its input's memory. The result
    of an operator that works in place takes the memory of an input of the same size that nothing needs afterwards.
    What can be a part of larger pixels (`parts`) is one: their memory is held from the first part that is written to
    the last that is read. Where that would make the most bytes that are live at one step more, it is none.
    Working memory of a node on `target`, `<node>.scratch`, is held in the node's step only.
    """
    graph = model.graph if isinstance(model, Model) else model
    scratch = scratch_bytes(model, target)
    apart: tuple[str, ...] = ()
    held = _held(graph, scratch, parts(graph))
    while True:
        # A part can only be in the way where its memory is live when most is.
        fullest = _live_bytes(held).index(_most_live(held)[0])
        beside = [
            tuple(part.value for part in memory.parts) for memory in held if memory.first <= fullest <= memory.last
        ]
        choices = [*((name,) for names in beside for name in names), *beside]
        tried = [(_held(graph, scratch, parts(graph, (*apart, *names))), names) for names in choices]
        best, names = min(tried, key=lambda each: _most_live(each[0]), default=(held, ()))
        if _most_live(best) >= _most_live(held):
            copied = _held(graph, scratch, {})
            return copied if _most_live(copied)[0] < _most_live(held)[0] else held
        held, apart = best, (*apart, *names)


def _most_live(held: Sequence[Lifetime]) -> tuple[int, int]:
    """The most bytes that are live at one step, and at how many."""
    live = _live_bytes(held)
    return max(live), live.count(max(live))


def _live_bytes(held: Sequence[Lifetime]) -> list[int]:
    """Bytes that are live at each step."""
    changes = [0] * (max((memory.last for memory in held), default=0) + 2)
    for memory in held:
        changes[memory.first] += memory.bytes
        changes[memory.last + 1] -= memory.bytes
    return list(accumulate(changes))[:-1]


def _held(graph: Graph, scratch: Mapping[str, int], places: Mapping[str, Place]) -> tuple[Lifetime, ...]:
    """The memory with these values as parts."""
    last_step = len(graph.nodes)
    last_read = _last_reads(graph)
    memories: list[_Memory] = []
    memory_of: dict[str, _Memory] = {}

    def hold(value: str, size: int, first: int) -> None:
        memory_of[value] = _Memory(size, first, first)
        memories.append(memory_of[value])

    def size_of(value: str) -> int:
        return prod(graph.shapes[value])

    for input in graph.inputs:
        hold(input.name, size_of(input.name), 0)
        memory_of[input.name].values.append(input.name)
    for step, node in enumerate(graph.nodes, start=1):
        for name in node.inputs:
            memory_of[name].last = step
        whole = places[node.name].whole if node.name in places else node.name
        if whole not in memory_of:
            shared = _shared_memory(node, size_of(node.name), step, memory_of, last_read, places)
            if shared is None:
                hold(whole, size_of(whole), step)
            else:
                memory_of[whole] = shared
        memory_of[node.name] = memory = memory_of[whole]
        memory.values.append(node.name)
        memory.last = step
        if node.name in scratch:
            hold(f"{node.name}.scratch", scratch[node.name], step)
            memories[-1].values.append(f"{node.name}.scratch")
    for output in graph.outputs:
        memory_of[output].last = last_step
    return tuple(
        Lifetime(tuple(memory.values), memory.bytes, memory.first, memory.last, _parts(graph, memory.values, places))
        for memory in memories
    )


def _parts(graph: Graph, values: Sequence[str], places: Mapping[str, Place]) -> tuple[Part, ...]:
    return tuple(
        Part(value, places[value].offset, graph.shapes[places[value].whole][-1]) for value in values if value in places
    )


def _shared_memory(
    node: Node,
    size: int,
    step: int,
    memory_of: dict[str, _Memory],
    last_read: dict[str, int],
    places: Mapping[str, Place],
) -> _Memory | None:
    """The memory of an input that the node's output takes; None if it needs its own."""
    if node.op.alias:
        return memory_of[node.inputs[0]]
    if node.name in places:
        return None
    # Memory that the node also reads through an input that it may not overwrite is out of the question.
    kept = [memory_of[name] for index, name in enumerate(node.inputs) if index not in node.op.in_place]
    for index in node.op.in_place:
        memory = memory_of[node.inputs[index]]
        dies = node.inputs[index] not in places and all(last_read[value] <= step for value in memory.values)
        if dies and memory.bytes == size and all(memory is not other for other in kept):
            return memory
    return None


def _last_reads(graph: Graph) -> dict[str, int]:
    """The last step that reads each value; outputs are read after the end."""
    last = dict.fromkeys(graph.shapes, 0)
    for step, node in enumerate(graph.nodes, start=1):
        for name in node.inputs:
            last[name] = step
    return last | dict.fromkeys(graph.outputs, len(graph.nodes) + 1)
