"""Where every value of a model lies in memory, and when."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from millijoule.target import SCALAR, Target


@dataclass(frozen=True)
class Part:
    """A value of which each pixel is a part of a larger one: from byte `offset` of its memory on, a pixel lies every
    `pixel_bytes`."""

    value: str
    offset: int
    pixel_bytes: int


@dataclass(frozen=True)
class Buffer:
    """A range of the arena, held from step `first` to step `last`, both included.

    values: the values that lie in it one after the other: aliases (reshape) and in-place results share a buffer; for
    the working memory of a node, its one entry is `<node>.scratch`. parts: those of them that lie beside each other.
    """

    values: tuple[str, ...]
    bytes: int
    first: int
    last: int
    offset: int
    parts: tuple[Part, ...] = ()

    @property
    def name(self) -> str:
        return self.values[0]

    @property
    def end(self) -> int:
        return self.offset + self.bytes


@dataclass(frozen=True)
class Plan:
    """One arena for a model: step 0 is the input's arrival, step i the i-th node, in execution order.

    arena_bytes: the size of the arena, input and output included. lower_bound_bytes: what no placement of these
    buffers can go below: the most bytes live at one step, or more where a search has proven it. Values that the caller
    owns have no buffer. notes: what the reader must know of how the plan was found. target: what the kernels are chosen
    for. joined: concatenations and slices that have nothing to do, for all that they read or write lies there already.
    """

    model: str
    steps: tuple[str, ...]
    buffers: tuple[Buffer, ...]
    arena_bytes: int
    lower_bound_bytes: int
    notes: tuple[str, ...] = ()
    target: Target = SCALAR
    joined: frozenset[str] = frozenset()

    @property
    def is_optimal(self) -> bool:
        """No smaller arena exists for these buffers."""
        return self.arena_bytes == self.lower_bound_bytes

    @cached_property
    def offsets(self) -> dict[str, int]:
        """Value (or `<node>.scratch`) → offset in the arena."""
        whole = {value: buffer.offset for buffer in self.buffers for value in buffer.values}
        return whole | {part.value: buffer.offset + part.offset for buffer in self.buffers for part in buffer.parts}

    @cached_property
    def pixel_bytes(self) -> dict[str, int]:
        """Value → bytes from one of its pixels to the next, for those that are parts of larger ones."""
        return {part.value: part.pixel_bytes for buffer in self.buffers for part in buffer.parts}

    @cached_property
    def live_bytes(self) -> tuple[int, ...]:
        """Bytes live at each step."""
        return tuple(
            sum(buffer.bytes for buffer in self.buffers if buffer.first <= step <= buffer.last)
            for step in range(len(self.steps))
        )

    @property
    def fullest_step(self) -> str:
        """The first step at which most is live."""
        return self.steps[self.live_bytes.index(max(self.live_bytes))]

    def to_json(self) -> dict[str, Any]:
        """The fields by name; `steps`, `buffers` and `notes` are lists."""
        return {
            "model": self.model,
            "instructions": self.target.instructions,
            "arena_bytes": self.arena_bytes,
            "lower_bound_bytes": self.lower_bound_bytes,
            "steps": list(self.steps),
            "buffers": [
                asdict(buffer) | {"values": list(buffer.values), "parts": [asdict(part) for part in buffer.parts]}
                for buffer in self.buffers
            ],
            "joined": sorted(self.joined),
            "notes": list(self.notes),
        }
