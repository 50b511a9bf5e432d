"""Faster kernels where the arena has room for their working memory while they run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from millijoule.graph import Graph
from millijoule.model import Model
from millijoule.plan.streaming.layout.addresses import Piece
from millijoule.plan.streaming.layout.timeline import Key
from millijoule.plan.streaming.network.kernels import firing
from millijoule.plan.streaming.network.rows import WORD_BYTES, Rows
from millijoule.plan.streaming.plan import RowBuffer, StreamPlan


def with_faster_kernels(model: Model | Graph, rows: Rows, plan: StreamPlan) -> StreamPlan:
    """The plan with kernels that take more working memory, for each step by rows where that fits beside the rest.

    The arena, the order of execution and the place of all rows stay. Of two memories, kernels work in the fast one.
    """
    if isinstance(model, Graph) or not model.is_int8:
        return plan
    by_row = {name for names, grain in zip(plan.segments, plan.grains, strict=True) if grain == "row" for name in names}
    targets, places = dict(plan.targets), dict(plan.places)
    taken = {key: _taken(place) for key, place in places.items()}
    times: dict[str, list[int]] = {}
    for time, action in enumerate(plan.actions):
        if action.do == "fire":
            times.setdefault(action.name, []).append(time)
    for step in rows.steps:
        if step.name not in by_row:
            continue
        target = replace(targets[step.name], frugal=False)
        key: Key = ("scratch", step.value)
        needed = firing(model, rows, step, target).scratch_bytes
        others = np.concatenate([each for other, each in taken.items() if other != key])
        offset = _room(others, times[step.name], needed, plan.fast_bytes)
        if offset is None:
            continue
        targets[step.name] = target
        if needed:
            pieces = _pieces(times[step.name], needed)
            places[key] = RowBuffer("scratch", step.value, 1, needed, pieces[0].first, pieces[-1].last, offset, pieces)
            taken[key] = _taken(places[key])
    return replace(plan, targets=targets, buffers=tuple(places.values()))


def _taken(buffer: RowBuffer) -> np.ndarray:
    """(first, last, begin, end) of each piece: times and addresses."""
    first, last, offset, size = np.array(buffer.pieces, np.int64).reshape(-1, 4).T
    return np.column_stack([first, last, buffer.offset + offset, buffer.offset + offset + size])


def _room(others: np.ndarray, times: Sequence[int], size: int, arena_bytes: int) -> int | None:
    """The lowest offset of `size` bytes that are free at all these times; None if there are none."""
    hit = np.searchsorted(times, others[:, 0]) < np.searchsorted(times, others[:, 1], "right")
    taken = sorted(set(map(tuple, others[hit, 2:].tolist())))
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
