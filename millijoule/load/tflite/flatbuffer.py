"""Reads FlatBuffers, the container of TFLite files, checking every offset against the end of the file.

A table is a position in the file. It starts with the distance back to its vtable, which holds, for each field, where
in the table it lies (0: absent, the default holds). Vectors, strings and sub-tables lie elsewhere, at a distance from
the field. Source: the FlatBuffers binary format (flatbuffers.dev, "FlatBuffers Binary Format").
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import NoReturn

import numpy as np

from millijoule.errors import ModelError


@dataclass
class Bytes:
    """A file's bytes. Raises ModelError with the byte offset where a read would leave the file.

    budget: how many tables and list elements may still be read. A sound file has fewer than it has bytes; a corrupted
    one may have vectors that overlap, and reading them all would take for ever.
    """

    data: bytes
    file: str
    budget: int = field(init=False)

    def __post_init__(self) -> None:
        self.budget = len(self.data) + 64

    def fail(self, at: int, what: str) -> NoReturn:
        raise ModelError(f"{self.file}: byte {at}: {what}: the file is truncated or corrupted, get it again")

    def check(self, at: int, size: int, what: str) -> None:
        if at < 0 or at + size > len(self.data):
            self.fail(at, f"{what} of {size} bytes does not lie in the file's {len(self.data)} bytes")

    def spend(self, at: int, count: int) -> None:
        self.budget -= count
        if self.budget < 0:
            self.fail(at, f"more structures than fit into {len(self.data)} bytes")

    def number(self, at: int, code: str) -> int | float:
        """The number at byte `at`; `code` is struct's, without the byte order."""
        self.check(at, struct.calcsize(f"<{code}"), "a number")
        value: int | float = struct.unpack_from(f"<{code}", self.data, at)[0]
        return value

    def integer(self, at: int, code: str) -> int:
        return int(self.number(at, code))

    def follow(self, at: int) -> int:
        """Where the distance stored at byte `at` leads."""
        return at + self.integer(at, "I")

    def root(self) -> Table:
        return Table(self, self.follow(0))


class Table:
    """One table; fields are numbered from 0 in the order of the schema."""

    def __init__(self, source: Bytes, at: int) -> None:
        self.source = source
        self.at = at
        source.spend(at, 1)
        self.vtable = at - source.integer(at, "i")
        self.vtable_size = source.integer(self.vtable, "H")
        self.size = source.integer(self.vtable + 2, "H")
        if self.vtable_size < 4:
            source.fail(self.vtable, f"a vtable of {self.vtable_size} bytes, 4 are the least")
        source.check(self.vtable, self.vtable_size, "a vtable")
        source.check(at, self.size, "a table")

    def field(self, index: int) -> int | None:
        """The byte where field `index` lies; None if absent."""
        entry = 4 + 2 * index
        if entry + 2 > self.vtable_size:
            return None
        offset = self.source.integer(self.vtable + entry, "H")
        if offset >= self.size:
            self.source.fail(self.vtable + entry, f"field {index} at {offset} of a table of {self.size} bytes")
        return self.at + offset if offset else None

    def number(self, index: int, code: str, default: float = 0) -> float:
        at = self.field(index)
        return default if at is None else self.source.number(at, code)

    def integer(self, index: int, code: str, default: int = 0) -> int:
        at = self.field(index)
        return default if at is None else self.source.integer(at, code)

    def table(self, index: int) -> Table | None:
        at = self.field(index)
        return None if at is None else Table(self.source, self.source.follow(at))

    def vector(self, index: int, element_size: int) -> tuple[int, int] | None:
        """(first byte, number of elements) of a vector; None if absent."""
        at = self.field(index)
        if at is None:
            return None
        start = self.source.follow(at)
        count = self.source.integer(start, "I")
        self.source.check(start + 4, count * element_size, f"a vector of {count} elements")
        return start + 4, count

    def tables(self, index: int) -> list[Table]:
        found = self.vector(index, 4)
        if found is None:
            return []
        start, count = found
        self.source.spend(start, count)
        return [Table(self.source, self.source.follow(start + 4 * position)) for position in range(count)]

    def array(self, index: int, dtype: str) -> np.ndarray | None:
        """A vector of numbers as a view of the file, not copied; None if absent."""
        found = self.vector(index, np.dtype(dtype).itemsize)
        if found is None:
            return None
        start, count = found
        return np.frombuffer(self.source.data, np.dtype(dtype).newbyteorder("<"), count, start)

    def integers(self, index: int) -> tuple[int, ...] | None:
        """A vector of int32 as Python numbers; None if absent."""
        array = self.array(index, "i4")
        if array is None:
            return None
        self.source.spend(self.at, array.size)
        return tuple(array.tolist())

    def string(self, index: int) -> str:
        found = self.vector(index, 1)
        if found is None:
            return ""
        start, count = found
        self.source.spend(start, count)
        return self.source.data[start : start + count].decode("utf-8", errors="replace")
