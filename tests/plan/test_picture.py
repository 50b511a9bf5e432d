"""The picture of the arena, character by character."""

import pytest

from millijoule import zoo
from millijoule.passes import simplify
from millijoule.plan import Buffer, Plan, picture, plan

SMALL = Plan(
    "small",
    ("input", "c1", "relu", "fc"),
    (
        Buffer(("input",), 600, 0, 1, 600),
        Buffer(("c1", "relu"), 600, 1, 3, 0),
        Buffer(("fc",), 100, 3, 3, 1100),
    ),
    1200,
    1200,
)


def test_every_character_of_a_small_arena():
    free = [12 * " " + "AAAAAAAA........"] * 9
    assert picture(SMALL, 60).splitlines() == [
        "small: arena 1,200 bytes, the smallest for this order",
        "",
        "address 0   1   2   3",
        "      0 ....BBBBBBBBBBBB",
        *["        ....BBBBBBBBBBBB"] * 11,
        "    600 AAAAAAAA........",
        *[line.replace(12 * " ", 8 * " ") for line in free],
        "  1,100 AAAAAAAA....CCCC",
        "        AAAAAAAA....CCCC",
        "  1,200",
        "",
        "   bytes   from  steps  values",
        "A    600    600    0-1  input",
        "B    600      0    1-3  c1 > relu",
        "C    100  1,100      3  fc",
        "",
        "Steps: 0 the input arrives; step i is layer i. . is free.",
    ]


def test_a_plan_that_may_not_be_the_smallest_says_so():
    text = picture(Plan("loose", ("input",), (Buffer(("input",), 10, 0, 0, 4),), 14, 10, ("greedy only",)))
    assert text.startswith("loose: arena 14 bytes, no arena is below 10 bytes\nNote: greedy only\n")


@pytest.mark.parametrize("width", [40, 80, 120])
def test_no_line_is_wider_than_asked(width):
    long = Plan(
        "long" * 5,
        ("input", *(f"layer{i}" for i in range(149))),
        tuple(Buffer((f"a_rather_long_name_of_a_value_{i}",), 64 + i, i, i + 1, 300 * (i % 2)) for i in range(149)),
        600,
        600,
    )
    text = picture(long, width)
    assert max(map(len, text.splitlines())) <= width
    assert "149" in text or width < 120
    assert all(character.isascii() for character in text)


def test_each_character_is_the_buffer_that_is_there():
    planned = plan(simplify(zoo.resnet8()))
    lines = picture(planned, 80).splitlines()
    header = next(index for index, line in enumerate(lines) if line.startswith("address"))
    columns = [lines[header].index(f" {step}") + 1 for step in range(len(planned.steps))]
    letters = {buffer.name: chr(ord("A") + index) for index, buffer in enumerate(planned.buffers)}
    rows = {}
    for line in lines[header + 1 : lines.index("", header)]:
        if line[:7].strip():
            rows[int(line[:7].replace(",", ""))] = line
    for address, line in rows.items():
        for step, column in enumerate(columns):
            there = [b for b in planned.buffers if b.first <= step <= b.last and b.offset <= address < b.end]
            if address < planned.arena_bytes:
                assert line[column] == (letters[there[0].name] if there else ".")
    assert set(rows) == {0, planned.arena_bytes, *(e for b in planned.buffers for e in (b.offset, b.end))}
