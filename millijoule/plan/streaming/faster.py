"""Faster kernels where the arena has room for their working memory while they run."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import replace

from millijoule.graph import Graph
from millijoule.model import Model
from millijoule.plan.streaming.kernels import firing
from millijoule.plan.streaming.layout import Piece
from millijoule.plan.streaming.plan import RowBuffer, StreamPlan
from millijoule.plan.streaming.rows import WORD_BYTES, Rows


def with_faster_kernels(model: Model | Graph, rows: Rows, plan: StreamPlan) -> StreamPlan:
    """The plan with kernels that take more working memory, for each step by rows where that fits beside the rest.

    The arena, the order of execution and the place of all rows stay. Of two memories, kernels work in the fast one.
    """
    if isinstance(model, Graph) or not model.is_int8:
        return plan
    by_row = {name for names, grain in zip(plan.segments, plan.grains, strict=True) if grain == "row" for name in names}
    targets, places = dict(plan.targets), dict(plan.places)
    times: dict[str, list[int]] = {}
    for time, action in enumerate(plan.actions):
        if action.do == "fire":
            times.setdefault(action.name, []).append(time)
    for step in rows.steps:
        if step.name not in by_row:
            continue
        target, key = replace(targets[step.name], frugal=False), ("scratch", step.value)
        needed = firing(model, rows, step, target).scratch_bytes
        others = [place for other, place in places.items() if other != key]
        offset = _room(others, times[step.name], needed, plan.fast_bytes)
        if offset is None:
            continue
        targets[step.name] = target
        if needed:
            pieces = _pieces(times[step.name], needed)
            places["scratch", step.value] = RowBuffer(
                "scratch", step.value, 1, needed, pieces[0].first, pieces[-1].last, offset, pieces
            )
    return replace(plan, targets=targets, buffers=tuple(places.values()))


def _room(buffers: Sequence[RowBuffer], times: Sequence[int], size: int, arena_bytes: int) -> int | None:
    """The lowest offset of `size` bytes that are free at all these times; None if there are none."""
    taken = sorted(
        (buffer.offset + piece.offset, buffer.offset + piece.offset + piece.bytes)
        for buffer in buffers
        for piece in buffer.pieces
        if (at := bisect_left(times, piece.first)) < len(times) and times[at] <= piece.last
    )
    offset = 0
    for begin, end in taken:
        if offset + size <= begin:
            break
        offset = max(offset, -(-end // WORD_BYTES) * WORD_BYTES)
    return offset if offset + size <= arena_bytes else None


def _pieces(times: Sequence[int], size: int) -> tuple[Piece, ...]:
    pieces: list[Piece] = []
    for time in times:
        if pieces and pieces[-1].last + 1 == time:
            pieces[-1] = pieces[-1]._replace(last=time)
        else:
            pieces.append(Piece(time, time, 0, size))
    return tuple(pieces)
