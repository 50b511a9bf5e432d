"""Writes FlatBuffers, the container of TFLite files: a table is its fields by their numbers in the schema.

pack({0: Number("I", 3), 3: "a text", 4: [{}, {0: np.zeros(4, np.uint8)}]}, b"TFL3")
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Union

import numpy as np

if TYPE_CHECKING:
    from flatbuffers import Builder

ALIGNMENT = 16
"""Of vectors of bytes: interpreters read weights where they lie in the file."""


@dataclass(frozen=True)
class Number:
    """A number in a table; `code` is struct's, as the reader of load/tflite has it."""

    code: str
    value: float


Field = Union[Number, str, np.ndarray, "Table", Sequence["Table"], None]
Table = Mapping[int, Field]
"""Fields by number; None: absent."""


def pack(root: Table, identifier: bytes) -> bytes:
    """The bytes of a file with this root table. identifier: four bytes that say what it is."""
    from flatbuffers import Builder

    builder = Builder(1024)
    builder.Finish(_table(builder, root), identifier)
    return bytes(builder.Output())


def _table(builder: Builder, table: Table) -> int:
    from flatbuffers import number_types

    kinds: dict[str, Any] = {
        "b": number_types.Int8Flags,
        "B": number_types.Uint8Flags,
        "i": number_types.Int32Flags,
        "I": number_types.Uint32Flags,
        "f": number_types.Float32Flags,
    }
    # What a table points to is written before it.
    offsets = {
        index: _pointed_to(builder, field)
        for index, field in table.items()
        if field is not None and not isinstance(field, Number)
    }
    builder.StartObject(max(table, default=-1) + 1)
    for index, field in table.items():
        if isinstance(field, Number):
            builder.PrependSlot(kinds[field.code], index, field.value, None)
        elif field is not None:
            builder.PrependUOffsetTRelativeSlot(index, offsets[index], 0)
    return int(builder.EndObject())


def _pointed_to(builder: Builder, field: Any) -> int:
    if isinstance(field, str):
        return int(builder.CreateString(field))
    if isinstance(field, np.ndarray):
        return _bytes(builder, field) if field.dtype == np.uint8 else int(builder.CreateNumpyVector(field))
    if isinstance(field, Mapping):
        return _table(builder, field)
    offsets = [_table(builder, table) for table in field]
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return int(builder.EndVector())


def _bytes(builder: Builder, array: np.ndarray) -> int:
    """As the builder's CreateByteVector, aligned."""
    builder.StartVector(1, array.size, ALIGNMENT)
    builder.head -= array.size
    builder.Bytes[builder.head : builder.head + array.size] = array.tobytes()
    return int(builder.EndVector())
