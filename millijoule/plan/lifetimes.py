"""Which memory is needed from when to when, and which values share it."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod

from millijoule.graph import Graph, Node
from millijoule.model import Model
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
    """Memory of `bytes`, held from step `first` to step `last`, both included, for `values` one after the other."""

    values: tuple[str, ...]
    bytes: int
    first: int
    last: int


def lifetimes(model: Model | Graph, target: Target = SCALAR) -> tuple[Lifetime, ...]:
    """The memory that a network needs, executed layer by layer in the graph's order; int8, one byte a number.

    Step 0 is the input's arrival, step i the i-th node. Inputs are held from step 0, outputs to the last step, every
    other value from the node that writes it to the last node that reads it. An alias is its input's memory. The result
    of an operator that works in place takes the memory of an input of the same size that nothing needs afterwards.
    Working memory of a node on `target`, `<node>.scratch`, is held in the node's step only.
    """
    graph = model.graph if isinstance(model, Model) else model
    scratch = scratch_bytes(model, target)
    last_step = len(graph.nodes)
    last_read = _last_reads(graph)
    memories: list[_Memory] = []
    memory_of: dict[str, _Memory] = {}

    def hold(value: str, size: int, first: int) -> None:
        memory_of[value] = _Memory(size, first, first, [value])
        memories.append(memory_of[value])

    for input in graph.inputs:
        hold(input.name, prod(input.shape), 0)
    for step, node in enumerate(graph.nodes, start=1):
        for name in node.inputs:
            memory_of[name].last = step
        size = prod(graph.shapes[node.name])
        shared = _shared_memory(node, size, step, memory_of, last_read)
        if shared is None:
            hold(node.name, size, step)
        else:
            shared.values.append(node.name)
            memory_of[node.name] = shared
        if node.name in scratch:
            hold(f"{node.name}.scratch", scratch[node.name], step)
    for output in graph.outputs:
        memory_of[output].last = last_step
    return tuple(Lifetime(tuple(memory.values), memory.bytes, memory.first, memory.last) for memory in memories)


def _shared_memory(
    node: Node, size: int, step: int, memory_of: dict[str, _Memory], last_read: dict[str, int]
) -> _Memory | None:
    """The memory of an input that the node's output takes; None if it needs its own."""
    if node.op.alias:
        return memory_of[node.inputs[0]]
    # Memory that the node also reads through an input that it may not overwrite is out of the question.
    kept = [memory_of[name] for index, name in enumerate(node.inputs) if index not in node.op.in_place]
    for index in node.op.in_place:
        memory = memory_of[node.inputs[index]]
        dies = all(last_read[value] <= step for value in memory.values)
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
