"""Where every value lies, and when: lifetimes, placement, verification, picture."""

from __future__ import annotations

from millijoule.errors import OptionError
from millijoule.graph import Graph
from millijoule.model import Model
from millijoule.plan.lifetimes import lifetimes
from millijoule.plan.parts import Place, joined
from millijoule.plan.picture import picture
from millijoule.plan.placement import place
from millijoule.plan.plan import Buffer, Plan
from millijoule.plan.verify import PlanError, verify
from millijoule.target import SCALAR, Target

__all__ = ["Buffer", "Plan", "PlanError", "picture", "plan", "verify"]

ALIGNMENTS = (1, 2, 4, 8, 16)
"""Up to that of the emitted arena itself."""


def plan(model: Model | Graph, *, target: Target = SCALAR, alignment: int = 4) -> Plan:
    """One arena for the values of a network executed layer by layer, input and output included.

    A value takes one byte a number (int8). The placement is the smallest for the graph's order, or as near to
    `lower_bound_bytes` as was found; see `lifetimes` for what shares memory.

    target: the instructions that the kernels are chosen for; the working memory they need depends on it.
    alignment: every offset is a multiple of it. With 4, kernels may read words and keep int32 working memory on every
    core, Cortex-M0+ included; it costs at most 3 bytes for each live value.

    Raises OptionError for an alignment other than 1, 2, 4, 8 or 16; ModelError if a node of an int8 model has no
    kernel.
    """
    if alignment not in ALIGNMENTS:
        raise OptionError(f"alignment is {alignment}; it must be one of {', '.join(map(str, ALIGNMENTS))}")
    graph = model.graph if isinstance(model, Model) else model
    held = lifetimes(model, target)
    places = {value: Place(memory.values[0]) for memory in held for value in memory.values}
    places |= {part.value: Place(memory.values[0], part.offset) for memory in held for part in memory.parts}
    placed = place([(memory.first, memory.last, memory.bytes) for memory in held], alignment)
    return Plan(
        model=graph.name,
        target=target,
        steps=("input", *(node.name for node in graph.nodes)),
        buffers=tuple(
            Buffer(memory.values, memory.bytes, memory.first, memory.last, offset, memory.parts)
            for memory, offset in zip(held, placed.offsets, strict=True)
        ),
        arena_bytes=placed.total,
        lower_bound_bytes=placed.lower_bound,
        notes=(placed.note,) if placed.note else (),
        joined=joined(graph, places),
    )
