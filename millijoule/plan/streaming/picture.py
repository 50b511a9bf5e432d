"""The arena of a plan that streams, as text: time across, addresses down, one letter for each buffer."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from millijoule.plan.picture import FREE, LETTERS
from millijoule.plan.streaming.plan import RowBuffer, StreamPlan

ROWS = 24
CONTRACTS = {
    "overwrite": "the input lies in the arena and is overwritten",
    "keep": "the input lies in the arena and is kept",
    "push": "the input arrives row by row",
    "read": "the input lies outside of it and is only read",
}


def stream_picture(plan: StreamPlan, width: int = 80) -> str:
    """The plan as plain text of at most `width` columns (40 or more), and a legend.

    A column is the moment of its stretch of time at which most bytes are in use; a character is the buffer that has
    most of its addresses then.
    """
    width = max(width, 40)
    margin = max(len("address"), len(f"{plan.arena_bytes:,}")) + 1
    times = _moments(plan, width - margin)
    letters = {id(buffer): LETTERS[index % len(LETTERS)] for index, buffer in enumerate(plan.buffers)}
    lines = [*_title(plan), "", f"{'address':>{margin - 1}} {'time →':<{len(times)}}".rstrip()]
    rows = min(ROWS, plan.arena_bytes)
    edges = [plan.arena_bytes * row // rows for row in range(rows + 1)]
    for begin, end in pairwise(edges):
        cells = "".join(_letter(plan, letters, begin, end, time) for time in times)
        lines.append(f"{begin:>{margin - 1},} {cells}")
    lines += [f"{plan.arena_bytes:>{margin - 1},}", "", *_legend(plan, letters)]
    return "".join((line if len(line) <= width else line[: width - 3] + "...") + "\n" for line in lines)


def _title(plan: StreamPlan) -> Iterator[str]:
    yield f"{plan.model}: arena {plan.arena_bytes:,} bytes, streamed; {CONTRACTS[plan.input]}"
    if plan.memories:
        slow = f"{plan.memories.slow_bytes:,} in slow memory, {plan.memories.traffic_bytes:,} bytes of traffic with it"
        yield f"{plan.memories.fast_bytes:,} in fast memory; {slow}"
    yield f"stored layer by layer: {plan.stored_bytes:,} bytes"
    if plan.arena_bytes == plan.floor_bytes:
        yield "no order of execution needs less"
    elif plan.arena_bytes == plan.lower_bound_bytes:
        yield f"the smallest for this order of execution; no order needs less than {plan.floor_bytes:,}"
    else:
        yield (
            f"this order of execution needs {plan.lower_bound_bytes:,} or more; no order needs less than "
            f"{plan.floor_bytes:,}"
        )
    streamed = [f"{names[0]} … {names[-1]}" for names in plan.segments if len(names) > 1]
    pixels = f", {plan.pixel_steps} steps of them pixel by pixel" if plan.pixel_steps else ""
    yield (
        f"{plan.streamed_steps} steps in {len(streamed)} runs are streamed{pixels}; {plan.copied_bytes:,} bytes are "
        "copied"
    )
    yield from (f"  {run}" for run in streamed)


def _moments(plan: StreamPlan, columns: int) -> list[int]:
    """For each stretch of time, when most bytes are in use in it."""
    end = len(plan.actions)
    changes = [0] * (end + 2)
    for buffer in plan.buffers:
        for piece in buffer.pieces:
            changes[piece.first] += piece.bytes
            changes[min(piece.last, end) + 1] -= piece.bytes
    used, total = [], 0
    for change in changes[: end + 1]:
        total += change
        used.append(total)
    columns = min(columns, end + 1)
    edges = [(end + 1) * column // columns for column in range(columns + 1)]
    return [max(range(a, b), key=used.__getitem__) for a, b in pairwise(edges)]


def _letter(plan: StreamPlan, letters: dict[int, str], begin: int, end: int, time: int) -> str:
    best, most = FREE, 0
    for buffer in plan.buffers:
        if buffer.first <= time <= buffer.last and buffer.offset < end and begin < buffer.end:
            covered = sum(
                max(min(end, buffer.offset + piece.offset + piece.bytes) - max(begin, buffer.offset + piece.offset), 0)
                for piece in buffer.pieces
                if piece.first <= time <= piece.last
            )
            if covered > most:
                best, most = letters[id(buffer)], covered
    return best


def _legend(plan: StreamPlan, letters: dict[int, str]) -> Iterator[str]:
    def row(buffer: RowBuffer) -> tuple[str, ...]:
        rows = f"{buffer.rows} x {buffer.row_bytes:,}"
        return letters[id(buffer)], buffer.kind, f"{buffer.bytes:,}", f"{buffer.offset:,}", rows, buffer.value

    rows = [("", "what", "bytes", "from", "rows", "value"), *(row(buffer) for buffer in plan.buffers)]
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    for letter, kind, size, offset, count, value in rows:
        yield (
            f"{letter:<{widths[0]}}  {kind:<{widths[1]}}  {size:>{widths[2]}}  {offset:>{widths[3]}}  "
            f"{count:>{widths[4]}}  {value}"
        )
    yield ""
    yield f"stored: whole. ring: the rows still needed. fresh: the newest row. sums: int32. {FREE} is free."
