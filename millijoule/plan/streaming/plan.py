"""A plan that streams: one arena, the rings in it, and everything that happens, in order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from itertools import accumulate
from typing import Any

import numpy as np

from millijoule.plan.streaming.layout.addresses import Piece
from millijoule.plan.streaming.layout.timeline import Action, Kind
from millijoule.plan.streaming.network.rows import Grain
from millijoule.target import Contract, Target


@dataclass(frozen=True)
class RowBuffer:
    """A range of the arena from action `first` to action `last`, both included.

    kind: `stored`: row r of the value lies at offset + r * row_bytes. `ring`: at offset + (r % rows) * row_bytes; its
    rows are pixels if its segment is streamed pixel by pixel: r counts them from left to right, line by line. `fresh`:
    the newest row, before it rests in the ring. `sums`: the int32 accumulators of the step that computes the value, in
    one row. `scratch`: working memory of the step that computes the value, while it fires. `state`: what is remembered
    between the arrivals of two rows. pieces: which part of it is in use from when to when. pitch: from a stored row to
    the next, where others lie between; else 0. within: the stored value of whose rows these are a part.
    """

    kind: Kind
    value: str
    rows: int
    row_bytes: int
    first: int
    last: int
    offset: int
    pieces: tuple[Piece, ...] = field(repr=False)
    pitch: int = 0
    within: str = ""

    @property
    def bytes(self) -> int:
        return self.rows * self.row_bytes

    @property
    def end(self) -> int:
        return self.offset + (self.rows - 1) * (self.pitch or self.row_bytes) + self.row_bytes

    def to_json(self) -> dict[str, Any]:
        names = ("kind", "value", "rows", "row_bytes", "bytes", "first", "last", "offset")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True)
class Memories:
    """A fast memory and a slow one, whose addresses follow the fast one's.

    traffic_bytes: what kernels read and write in the slow one in one inference; a row counts each time that a firing
    reads it.
    """

    fast_bytes: int
    slow_bytes: int
    traffic_bytes: int


@dataclass(frozen=True)
class StreamPlan:
    """One arena for a model that is executed row by row or pixel by pixel, nothing computed twice.

    input: whether the input's rows may be overwritten once they are read, stay, or arrive one at a time.
    segments: names of the steps of each run that is streamed; one name where a step is executed as a whole. grains: of
    each segment, what one firing of its steps computes. At pixel grain there are no fresh rows, and rings whose input
    arrives by lines hold whole lines.
    arena_bytes: input, output, rings, fresh rows, accumulators and, of an int8 model, working memory of kernels.
    lower_bound_bytes: the most bytes in use at one time: no placement of this order of execution needs less.
    floor_bytes: no order of execution, by rows or pixels and without computing anything twice, needs less.
    stored_bytes: the most that is live when the network is executed layer by layer.
    targets: step → what its kernel is chosen for. notes: what the reader must know of how the plan was chosen.
    memories: where two of them were planned for; the arena is both. strips: of the width, in which the beginning of the
    network is computed; more_macs: what is computed more than once there.
    """

    model: str
    input: Contract
    segments: tuple[tuple[str, ...], ...]
    grains: tuple[Grain, ...]
    buffers: tuple[RowBuffer, ...]
    actions: tuple[Action, ...] = field(repr=False)
    arena_bytes: int
    lower_bound_bytes: int
    floor_bytes: int
    stored_bytes: int
    targets: Mapping[str, Target] = field(repr=False)
    notes: tuple[str, ...] = ()
    memories: Memories | None = None
    strips: int = 1
    more_macs: int = 0

    @cached_property
    def places(self) -> dict[tuple[Kind, str], RowBuffer]:
        return {(buffer.kind, buffer.value): buffer for buffer in self.buffers}

    @property
    def rings(self) -> dict[str, int]:
        """Value → rows, or pixels, of its ring, where it has one."""
        return {buffer.value: buffer.rows for buffer in self.buffers if buffer.kind == "ring"}

    @property
    def fast_bytes(self) -> int:
        """Of the arena, what lies in the fast memory: all of it where one memory was planned for."""
        return self.memories.fast_bytes if self.memories else self.arena_bytes

    @property
    def slow_bytes(self) -> int:
        """Of the arena, what lies in the slow memory, behind the fast one's."""
        return self.memories.slow_bytes if self.memories else 0

    @property
    def streamed_steps(self) -> int:
        """Steps that take turns with others instead of being executed one after the other."""
        return sum(len(names) for names in self.segments if len(names) > 1)

    @property
    def pixel_steps(self) -> int:
        """Steps that compute one pixel at a time."""
        return sum(len(names) for names, grain in zip(self.segments, self.grains, strict=True) if grain == "pixel")

    @property
    def streamed_firings(self) -> int:
        """How often streamed steps fire: calls of kernels that compute one row, or one pixel."""
        streamed = {name for names in self.segments if len(names) > 1 for name in names}
        return sum(action.do == "fire" and action.name in streamed for action in self.actions)

    @property
    def copied_bytes(self) -> int:
        """Bytes of fresh rows that are copied into rings, in one inference."""
        return sum(self.places["ring", action.name].row_bytes for action in self.actions if action.do == "rest")

    @property
    def joined(self) -> frozenset[str]:
        """Steps that have nothing to do: what they put side by side was written where they have it."""
        return frozenset(buffer.within for buffer in self.buffers if buffer.within)

    @property
    def is_optimal(self) -> bool:
        """No smaller arena exists for this order of execution."""
        return self.arena_bytes == self.lower_bound_bytes

    @cached_property
    def live_bytes(self) -> dict[str, int]:
        """Step → the most addresses in use while it fires."""
        times: dict[str, list[int]] = {}
        for time, action in enumerate(self.actions):
            if action.do == "fire":
                times.setdefault(action.name, []).append(time)
        changes = [0] * (len(self.actions) + 2)
        for buffer in self.buffers:
            for piece in buffer.pieces:
                changes[piece.first] += piece.bytes
                changes[piece.last + 1] -= piece.bytes
        taken = list(accumulate(changes))
        pieces = np.array(
            [
                (piece.first, piece.last, buffer.offset + piece.offset, buffer.offset + piece.offset + piece.bytes)
                for buffer in self.buffers
                for piece in buffer.pieces
            ]
        )
        pieces = pieces[np.argsort(pieces[:, 2], kind="stable")]
        most = {name: max(fired, key=taken.__getitem__) for name, fired in times.items()}
        return {name: _addresses_used(pieces, time) for name, time in most.items()}

    def to_json(self) -> dict[str, Any]:
        """One object of plain values; the keys are a stable interface. The actions are counted, not listed."""
        return {
            "model": self.model,
            "input": self.input,
            "arena_bytes": self.arena_bytes,
            "lower_bound_bytes": self.lower_bound_bytes,
            "floor_bytes": self.floor_bytes,
            "stored_bytes": self.stored_bytes,
            **({f"memory_{key}": value for key, value in asdict(self.memories).items()} if self.memories else {}),
            "streamed_steps": self.streamed_steps,
            "pixel_steps": self.pixel_steps,
            "strips": self.strips,
            "more_macs": self.more_macs,
            "streamed_firings": self.streamed_firings,
            "copied_bytes": self.copied_bytes,
            "segments": [list(segment) for segment in self.segments],
            "grains": list(self.grains),
            "buffers": [buffer.to_json() for buffer in self.buffers],
        }


def _addresses_used(pieces: np.ndarray, time: int) -> int:
    """Addresses in use at a time; pieces: (first, last, begin, end), in the order of their beginnings.

    Pieces that lie over each other, as where an output replaces an input, count once.
    """
    _, _, begin, end = pieces[(pieces[:, 0] <= time) & (time <= pieces[:, 1])].T
    covered = np.maximum.accumulate(np.concatenate([[0], end]))
    return int(np.maximum(covered[1:] - np.maximum(begin, covered[:-1]), 0).sum())
