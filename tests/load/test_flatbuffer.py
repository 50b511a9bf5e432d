"""Reads by hand-made bytes: what is there, and offsets that lead out of the file."""

import struct

import numpy as np
import pytest

from millijoule.errors import ModelError
from millijoule.load.tflite.flatbuffer import Bytes, Table

# A vtable of two fields at byte 4, a table at 12 with an int16 at its byte 4 and a vector field at its byte 8, the
# vector of three int32 at 24.
GOOD = struct.pack("<IHHHHiiIIiii", 12, 8, 12, 4, 8, 8, -5, 4, 3, 7, 8, 9)


def table(data: bytes) -> Table:
    return Bytes(data, "some.tflite").root()


def test_reads_numbers_and_vectors():
    root = table(GOOD)
    assert root.integer(0, "h") == -5
    assert root.integers(1) == (7, 8, 9)
    np.testing.assert_array_equal(root.array(1, "i4"), [7, 8, 9])


def test_absent_fields_have_their_default():
    root = table(GOOD)
    assert root.integer(2, "i", 42) == 42
    assert root.integers(2) is None
    assert root.table(7) is None
    assert root.tables(7) == []
    assert root.string(7) == ""


def changed(at: int, code: str, value: int) -> bytes:
    data = bytearray(GOOD)
    struct.pack_into(f"<{code}", data, at, value)
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", ["byte 0"]),
        (GOOD[:3], ["byte 0"]),
        (changed(0, "I", 4000), ["byte 4000", "40 bytes"]),
        (changed(12, "i", 400), ["byte -388"]),
        (changed(12, "i", -400), ["byte 412"]),
        (changed(4, "H", 2), ["byte 4", "vtable of 2 bytes"]),
        (changed(4, "H", 300), ["byte 4", "vtable of 300 bytes"]),
        (changed(6, "H", 300), ["byte 12", "table of 300 bytes"]),
        (changed(10, "H", 50), ["byte 10", "field 1 at 50"]),
        (changed(20, "I", 2**31), ["byte", "does not lie"]),
        (changed(24, "I", 4), ["byte 28", "vector of 4 elements", "16 bytes"]),
        (changed(24, "I", 2**32 - 1), ["byte 28", "4294967295"]),
        (GOOD[:-1], ["byte 28", "12 bytes"]),
    ],
)
def test_every_offset_is_checked(data, words):
    with pytest.raises(ModelError) as error:
        table(data).integers(1)
    for word in ("some.tflite: byte", "truncated or corrupted", *words):
        assert word in str(error.value)
    assert "\n" not in str(error.value)


def test_structures_that_overlap_end():
    """A table whose vector of tables holds the table itself, over and over."""
    count = 40
    data = bytearray(struct.pack("<IHHHHi", 12, 6, 8, 4, 0, 8))  # root at 12, its field 0 at its byte 4
    data += struct.pack("<II", 4, count)
    data += b"".join(struct.pack("<i", 12 - (24 + 4 * index)) for index in range(count))
    source = Bytes(bytes(data), "loop.tflite")

    def visit(table: Table, depth: int = 0) -> None:
        if depth < 5:
            for inner in table.tables(0):
                visit(inner, depth + 1)

    with pytest.raises(ModelError, match=r"loop\.tflite: byte \d+"):
        visit(source.root())
