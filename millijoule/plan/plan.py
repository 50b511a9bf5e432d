"""Where every value of a model lies in memory, and when."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from millijoule.target import SCALAR, Target


@dataclass(frozen=True)
class Buffer:
    """A range of the arena, held from step `first` to step `last`, both included.

    values: the values that lie in it one after the other: aliases (reshape) and in-place results share a buffer; for
    the working memory of a node, its one entry is `<node>.scratch`.
    """

    values: tuple[str, ...]
    bytes: int
    first: int
    last: int
    offset: int

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
    for.
    """

    model: str
    steps: tuple[str, ...]
    buffers: tuple[Buffer, ...]
    arena_bytes: int
    lower_bound_bytes: int
    notes: tuple[str, ...] = ()
    target: Target = SCALAR

    @property
    def is_optimal(self) -> bool:
        """No smaller arena exists for these buffers."""
        return self.arena_bytes == self.lower_bound_bytes

    @cached_property
    def offsets(self) -> dict[str, int]:
        """Value (or `<node>.scratch`) → offset in the arena."""
        return {value: buffer.offset for buffer in self.buffers for value in buffer.values}

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
            "buffers": [asdict(buffer) | {"values": list(buffer.values)} for buffer in self.buffers],
            "notes": list(self.notes),
        }
