"""The arena as text: steps across, addresses down, one letter for each buffer."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from millijoule.plan.plan import Buffer, Plan

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
FREE = "."
ROWS = 24
CELL = 4
"""Characters of a step, where there is room."""


def picture(plan: Plan, width: int = 80) -> str:
    """The plan as plain text of at most `width` columns (40 or more), and a legend.

    Every address at which a buffer begins or ends starts a row, so that a character never stands for two buffers; rows
    are about as high as their bytes. Steps that do not fit beside one another go on in a block below.
    """
    letters = {buffer.name: LETTERS[index % len(LETTERS)] for index, buffer in enumerate(plan.buffers)}
    lines = [_title(plan), *(f"Note: {note}" for note in plan.notes), ""]
    margin = max(len("address"), len(f"{plan.arena_bytes:,}")) + 1
    room = max(width, 40) - margin
    cell = max(1, min(CELL, room // len(plan.steps)))
    per_block = room // cell
    for start in range(0, len(plan.steps), per_block):
        steps = range(start, min(start + per_block, len(plan.steps)))
        lines += [*_block(plan, letters, steps, cell, margin), ""]
    lines += _legend(plan, letters)
    return "".join(_cut(line, max(width, 40)) + "\n" for line in lines)


def _cut(line: str, width: int) -> str:
    return line if len(line) <= width else line[: width - 3] + "..."


def _title(plan: Plan) -> str:
    if plan.is_optimal:
        quality = "the smallest for this order"
    else:
        quality = f"no arena is below {plan.lower_bound_bytes:,} bytes"
    return f"{plan.model}: arena {plan.arena_bytes:,} bytes, {quality}"


def _block(plan: Plan, letters: dict[str, str], steps: range, cell: int, margin: int) -> Iterator[str]:
    yield from _step_numbers(steps, cell, margin)
    for begin, rows in _bands(plan):
        cells = "".join(_letter(plan, letters, begin, step) * cell for step in steps)
        for row in range(rows):
            address = f"{begin:,}" if row == 0 else ""
            yield f"{address:>{margin - 1}} {cells}"
    yield f"{plan.arena_bytes:>{margin - 1},}"


def _step_numbers(steps: range, cell: int, margin: int) -> Iterator[str]:
    """Numbers in one line where they fit into a cell, else digit below digit."""
    digits = len(str(steps[-1]))
    if digits < cell:
        yield f"{'address':>{margin - 1}} " + "".join(f"{step:<{cell}}" for step in steps).rstrip()
        return
    for digit in range(digits):
        name = "address" if digit == digits - 1 else ""
        numbers = "".join(f"{f'{step:>{digits}}'[digit]:<{cell}}" for step in steps)
        yield f"{name:>{margin - 1}} {numbers}".rstrip()


def _bands(plan: Plan) -> Iterator[tuple[int, int]]:
    """(first address, rows) of each range of addresses in which nothing begins or ends."""
    edges = sorted({0, *(edge for buffer in plan.buffers for edge in (buffer.offset, buffer.end))})
    for begin, end in pairwise(edges):
        yield begin, max(1, round(ROWS * (end - begin) / plan.arena_bytes))


def _letter(plan: Plan, letters: dict[str, str], address: int, step: int) -> str:
    for buffer in plan.buffers:
        if buffer.first <= step <= buffer.last and buffer.offset <= address < buffer.end:
            return letters[buffer.name]
    return FREE


def _legend(plan: Plan, letters: dict[str, str]) -> Iterator[str]:
    rows = [_legend_row(buffer, letters[buffer.name]) for buffer in plan.buffers]
    header = ("", "bytes", "from", "steps", "values")
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(4)]
    for row in (header, *rows):
        letter, size, offset, steps = (f"{text:>{width}}" for text, width in zip(row, widths, strict=False))
        yield f"{letter}  {size}  {offset}  {steps}  {row[4]}"
    yield ""
    yield f"Steps: 0 the input arrives; step i is layer i. {FREE} is free."


def _legend_row(buffer: Buffer, letter: str) -> tuple[str, str, str, str, str]:
    steps = f"{buffer.first}" if buffer.first == buffer.last else f"{buffer.first}-{buffer.last}"
    return letter, f"{buffer.bytes:,}", f"{buffer.offset:,}", steps, " > ".join(buffer.values)
