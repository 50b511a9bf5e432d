"""Execution row by row through rings, so that no large map is ever stored: planned, placed, proven, executed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from millijoule.errors import OptionError
from millijoule.graph import Graph
from millijoule.model import Model
from millijoule.plan.lifetimes import lifetimes
from millijoule.plan.placement import most_live
from millijoule.plan.streaming.bound import floor_bytes
from millijoule.plan.streaming.execute import execute
from millijoule.plan.streaming.kernels import with_kernels
from millijoule.plan.streaming.layout import lay_out
from millijoule.plan.streaming.picture import stream_picture
from millijoule.plan.streaming.plan import RowBuffer, StreamPlan
from millijoule.plan.streaming.rows import rows
from millijoule.plan.streaming.schedule import Contract, Network, Segment
from millijoule.plan.streaming.segments import Cutter, segments_used, streamed_steps
from millijoule.plan.streaming.timeline import timeline
from millijoule.plan.streaming.verify import verify_stream
from millijoule.target import SCALAR, Target

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


def stream_plan(
    model: Model | Graph, input: str = "overwrite", *, target: Target = SCALAR, alignment: int = 1
) -> StreamPlan:
    """The plan that needs least RAM when any run of layers may be streamed row by row through rings.

    Nothing is computed twice. Segments are cut so that the largest needs least, for the order of firing that is used:
    the deepest step that can fire, does. Addresses are then searched for all memory at once; of several cuts the one
    whose arena is smallest is taken.

    input: `overwrite`: the input lies in the arena and its rows may be overwritten once they are read; `keep`: it lies
    there and stays; `push`: its rows arrive one at a time, and there is no frame buffer. target: what the kernels are
    chosen for; of an int8 model, the working memory that they need is planned too. alignment: of every buffer.
    Raises OptionError for any other `input`; ModelError if a node of an int8 model has no kernel.
    """
    return _smallest(model, _network(model, input, target), alignment)


def frontier(
    model: Model | Graph, input: str = "overwrite", *, target: Target = SCALAR, alignment: int = 1, points: int = 8
) -> tuple[StreamPlan, ...]:
    """Plans from the least RAM to every layer by itself, each streaming fewer steps than the one before."""
    network = _network(model, input, target)
    cutter = Cutter(network, moments=True)
    found = [_smallest(model, network, alignment)]
    least, most = cutter.least, max(segment.bytes for segment in cutter.stored)
    for point in range(points + 1):
        limit = round(least * (most / least) ** (point / points))
        planned = _planned(model, network, cutter.within(limit, streamed_steps), alignment)
        if planned.streamed_steps < found[-1].streamed_steps and planned.arena_bytes > found[-1].arena_bytes:
            found.append(planned)
    return tuple(found)


def _smallest(model: Model | Graph, network: Network, alignment: int) -> StreamPlan:
    """The best of two ways to cut: each suits the search for addresses where the other does not."""
    few, short = Cutter(network, moments=True), Cutter(network, moments=False)
    cuts = few.within(few.least, streamed_steps), short.within(short.least, segments_used)
    plans = [_planned(model, network, segments, alignment) for segments in cuts]
    return min(plans, key=lambda planned: (planned.arena_bytes, planned.streamed_steps))


def _network(model: Model | Graph, input: str, target: Target) -> Network:
    found = rows(model.graph if isinstance(model, Model) else model)
    if isinstance(model, Model) and model.is_int8:
        by_row = replace(target, by_row=True, frugal=True)
        found = with_kernels(model, found, {step.name: by_row for step in found.steps})
    for contract in CONTRACTS:
        if contract == input:
            return Network(found, contract)
    raise OptionError(f"input is {input!r}; it must be one of {', '.join(map(repr, CONTRACTS))}")


def _planned(model: Model | Graph, network: Network, segments: Sequence[Segment], alignment: int) -> StreamPlan:
    graph = model.graph if isinstance(model, Model) else model
    happens = timeline(network, segments, alignment)
    layout = lay_out(list(happens.items.values()))
    offsets = dict(zip(happens.items, layout.offsets, strict=True))
    names = network.rows
    buffers = []
    for key in (*happens.items, *happens.shared):
        kind, value = key
        pieces = happens.pieces[key]
        rows = {"stored": names.count[value], "ring": happens.slots.get(value, 0)}.get(kind, 1)
        step = names.steps[network.maker[value]] if value in network.maker else None
        size = names.bytes[value]
        if step and kind in ("sums", "scratch"):
            size = step.accumulator_bytes if kind == "sums" else step.scratch_bytes
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
        targets={step.name: step.target for step in names.steps},
    )
