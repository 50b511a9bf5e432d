"""Arenas, and RAM against what it costs, for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import RenderableType
from rich.text import Text

from millijoule.plan import Plan, picture
from millijoule.plan.streaming import StreamPlan, stream_picture
from millijoule.report import format as fmt
from millijoule.report.layout import Column, Responsive, make_table


def plan(planned: Plan) -> list[RenderableType]:
    """The picture of the arena."""
    return [Responsive(lambda width: Text(picture(planned, width).rstrip("\n"), no_wrap=True))]


def stream_plan(planned: StreamPlan) -> list[RenderableType]:
    """The picture of an arena in which values are streamed."""
    return [Responsive(lambda width: Text(stream_picture(planned, width).rstrip("\n"), no_wrap=True))]


FRONTIER_COLUMNS = (
    Column("RAM,\nbytes"),
    Column("this order\nneeds"),
    Column("runs\nstreamed"),
    Column("steps\nin them"),
    Column("by\npixels"),
    Column("strips"),
    Column("more\nMACs"),
    Column("firings"),
    Column("bytes\ncopied"),
)


def frontier(plans: Sequence[StreamPlan], instructions: Sequence[int] = (), device: str = "") -> list[RenderableType]:
    """RAM against what it takes to need less. instructions: of each plan's firmware on `device`, if counted."""
    columns, rows = frontier_table(plans, instructions)
    title = f"{plans[0].model}, --input {plans[0].input}; every value stored: {fmt.count(plans[0].stored_bytes)} bytes"
    found = [Text(title, style="bold"), make_table(columns, rows)]
    return [*found, Text(counted_on(device))] if instructions else found


def counted_on(device: str) -> str:
    """How instructions were counted."""
    return f"Instructions: of one inference, executed by firmware for {device} and counted in the emulator."


def frontier_table(
    plans: Sequence[StreamPlan], instructions: Sequence[int] = ()
) -> tuple[tuple[Column, ...], list[tuple[str, ...]]]:
    """Columns and rows: FRONTIER_COLUMNS, and executed instructions after the RAM where they were counted."""
    rows = [frontier_cells(planned) for planned in plans]
    if not instructions:
        return FRONTIER_COLUMNS, rows
    columns = (FRONTIER_COLUMNS[0], Column("instructions,\ncounted"), *FRONTIER_COLUMNS[1:])
    return columns, [(row[0], fmt.count(each), *row[1:]) for row, each in zip(rows, instructions, strict=True)]


def frontier_cells(planned: StreamPlan) -> tuple[str, ...]:
    """A row of FRONTIER_COLUMNS."""
    runs = sum(len(names) > 1 for names in planned.segments)
    numbers = (planned.arena_bytes, planned.lower_bound_bytes, runs, planned.streamed_steps, planned.pixel_steps)
    twice = (planned.strips, planned.more_macs)
    return tuple(map(fmt.count, (*numbers, *twice, planned.streamed_firings, planned.copied_bytes)))
