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
    Column("firings"),
    Column("bytes\ncopied"),
)


def frontier(plans: Sequence[StreamPlan]) -> list[RenderableType]:
    """RAM against what it takes to need less."""
    rows = [frontier_cells(planned) for planned in plans]
    title = f"{plans[0].model}, --input {plans[0].input}; every value stored: {fmt.count(plans[0].stored_bytes)} bytes"
    return [Text(title, style="bold"), make_table(FRONTIER_COLUMNS, rows)]


def frontier_cells(planned: StreamPlan) -> tuple[str, ...]:
    """A row of FRONTIER_COLUMNS."""
    runs = sum(len(names) > 1 for names in planned.segments)
    numbers = (planned.arena_bytes, planned.lower_bound_bytes, runs, planned.streamed_steps, planned.pixel_steps)
    return tuple(map(fmt.count, (*numbers, planned.streamed_firings, planned.copied_bytes)))
