"""Execution row by row through rings, so that no large map is ever stored: planned, placed, proven, executed."""

from __future__ import annotations

from collections.abc import Sequence

from millijoule.errors import OptionError
from millijoule.graph import Graph
from millijoule.model import Model
from millijoule.plan.lifetimes import lifetimes
from millijoule.plan.placement import most_live
from millijoule.plan.streaming.bound import floor_bytes
from millijoule.plan.streaming.execute import execute
from millijoule.plan.streaming.layout import lay_out
from millijoule.plan.streaming.picture import stream_picture
from millijoule.plan.streaming.plan import RowBuffer, StreamPlan
from millijoule.plan.streaming.rows import rows
from millijoule.plan.streaming.schedule import Contract, Network, Segment
from millijoule.plan.streaming.segments import Cutter, segments_used, streamed_steps
from millijoule.plan.streaming.timeline import timeline
from millijoule.plan.streaming.verify import verify_stream

__all__ = [
    "CONTRACTS",
    "RowBuffer",
    "StreamPlan",
    "execute",
    "frontier",
    "stream_picture",
    "stream_plan",
    "verify_stream",
]

CONTRACTS: tuple[Contract, ...] = ("overwrite", "keep", "push")


def stream_plan(model: Model | Graph, input: str = "overwrite", *, alignment: int = 1) -> StreamPlan:
    """The plan that needs least RAM when any run of layers may be streamed row by row through rings.

    Nothing is computed twice. Segments are cut so that the largest needs least (exact for the order of firing that is
    used: the deepest step that can fire, does). Addresses are then searched for all memory at once, so that rings may
    lie where rows of a stored value have died; of several cuts the one whose arena is smallest is taken.

    input: `overwrite`: the input lies in the arena and its rows may be overwritten once they are read; `keep`: it lies
    there and stays; `push`: its rows arrive one at a time, and there is no frame buffer. alignment: of every buffer.
    Raises OptionError for any other `input`.
    """
    network = _network(model, input)
    return _smallest(model, Cutter(network), alignment)


def frontier(
    model: Model | Graph, input: str = "overwrite", *, alignment: int = 1, points: int = 8
) -> tuple[StreamPlan, ...]:
    """Plans from the least RAM to every layer by itself, each streaming fewer steps than the one before."""
    cutter = Cutter(_network(model, input))
    found = [_smallest(model, cutter, alignment)]
    least, most = cutter.least, max(segment.bytes for segment in cutter.stored)
    for point in range(points + 1):
        limit = round(least * (most / least) ** (point / points))
        planned = _planned(model, cutter, cutter.within(limit, streamed_steps), alignment)
        if planned.streamed_steps < found[-1].streamed_steps and planned.arena_bytes > found[-1].arena_bytes:
            found.append(planned)
    return tuple(found)


def _smallest(model: Model | Graph, cutter: Cutter, alignment: int) -> StreamPlan:
    cuts = [cutter.within(cutter.least, cost) for cost in (streamed_steps, segments_used)]
    whole = cutter.segment(0, len(cutter.steps), 2 * cutter.least)
    best: StreamPlan | None = None
    for segments in (*cuts, [whole] if whole else []):
        if segments and (best is None or best.arena_bytes > cutter.least):
            planned = _planned(model, cutter, segments, alignment)
            if best is None or planned.arena_bytes < best.arena_bytes:
                best = planned
    assert best is not None
    return best


def _network(model: Model | Graph, input: str) -> Network:
    for contract in CONTRACTS:
        if contract == input:
            return Network(rows(model.graph if isinstance(model, Model) else model), contract)
    raise OptionError(f"input is {input!r}; it must be one of {', '.join(map(repr, CONTRACTS))}")


def _planned(model: Model | Graph, cutter: Cutter, segments: Sequence[Segment], alignment: int) -> StreamPlan:
    graph, network = model.graph if isinstance(model, Model) else model, cutter.network
    happens = timeline(network, segments, alignment)
    layout = lay_out(list(happens.items.values()))
    offsets = dict(zip(happens.items, layout.offsets, strict=True))
    names = network.rows
    buffers = []
    for key in (*happens.items, *happens.shared):
        kind, value = key
        pieces = happens.pieces[key]
        rows = {"stored": names.count[value], "ring": happens.slots.get(value, 0)}.get(kind, 1)
        size = names.steps[network.maker[value]].accumulator_bytes if kind == "sums" else names.bytes[value]
        first, last = min(piece.first for piece in pieces), max(piece.last for piece in pieces)
        offset = offsets[happens.shared.get(key, key)]
        buffers.append(RowBuffer(kind, value, rows, size, first, last, offset, pieces))
    return StreamPlan(
        model=graph.name,
        input=network.contract,
        segments=tuple(tuple(step.name for step in names.steps[each.first : each.stop]) for each in segments),
        buffers=tuple(buffers),
        actions=tuple(happens.actions),
        arena_bytes=layout.total,
        lower_bound_bytes=layout.lower_bound,
        floor_bytes=floor_bytes(network),
        stored_bytes=most_live([(memory.first, memory.last, memory.bytes) for memory in lifetimes(graph)]),
    )
