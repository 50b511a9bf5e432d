"""Readings of a board in the terminal, each beside what the others predict of it."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import RenderableType
from rich.text import Text

from millijoule.energy.prediction import Estimate
from millijoule.energy.readings import Checked
from millijoule.report import format as fmt
from millijoule.report.energy import cells
from millijoule.report.layout import Column, make_table

COLUMNS = (
    Column("reading", text=True),
    Column("measured"),
    Column("by the\nothers"),
    Column("range"),
    Column("off by"),
)


def tables(readings: Sequence[Checked], path: str) -> list[RenderableType]:
    """Latency and energy of each reading; where the device file was written."""
    rows = []
    for each in readings:
        predicted, reading = each.predicted, each.reading
        rows.append(_row(f"{reading.network}, ms", reading.latency_ms, predicted.latency_ms if predicted else None))
        if reading.energy_mj is not None:
            rows.append(_row(f"{reading.network}, mJ", reading.energy_mj, predicted.energy_mj if predicted else None))
    alone = [Text("One reading: nothing to hold it against.")] if len(readings) == 1 else []
    return [make_table(COLUMNS, rows), *alone, Text(f"Device file: {path}; use it as --device {path}", overflow="fold")]


def _row(name: str, measured: float, estimate: Estimate | None) -> tuple[str, ...]:
    if estimate is None or estimate.value is None:
        return (name, fmt.figures(measured), fmt.NONE, "", "")
    value, span, _ = cells(estimate)
    return (name, fmt.figures(measured), value, span, f"{100 * (estimate.value / measured - 1):+.0f} %")
