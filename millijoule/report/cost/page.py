"""The cost of a network as one HTML page that needs nothing else."""

from __future__ import annotations

from html import escape
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from millijoule.cost import Cost
from millijoule.cost.definitions import DEFINITIONS
from millijoule.report.cost.tables import LAYER_COLUMNS, layer_cells, not_counted_note, total_cells, totals
from millijoule.report.files import read_part
from millijoule.report.layout import Column
from millijoule.report.page.frame import frame, html_table
from millijoule.report.page.svg import Panel, layer_bars
from millijoule.whole_file import write_text

if TYPE_CHECKING:
    from millijoule.plan import Plan

TOTAL_COLUMNS = (Column("total", text=True), Column("count"), Column("what to know", text=True))


def write_cost_page(costs: Cost, path: Path, arena: Plan | None = None) -> None:
    """Write the page to `path`, whole or not at all. Raises OSError if that cannot be done."""
    write_text(path, cost_page(costs, arena))


def cost_page(costs: Cost, arena: Plan | None = None) -> str:
    """The page as text."""
    rows = [layer_cells(number, layer, costs) for number, layer in enumerate(costs.layers, start=1)]
    main = Template(read_part("cost/page.html")).substitute(
        totals=html_table(TOTAL_COLUMNS, totals(costs, arena)),
        bars=_bars(costs),
        layers=html_table(LAYER_COLUMNS, rows, total_cells(costs)),
        words="<dl>" + "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in DEFINITIONS.items()) + "</dl>",
    )
    notes = [not_counted_note(costs)] if costs.at_least else []
    subtitle = "Counted from shapes alone; nothing was run."
    return frame("cost", f"What {costs.name} costs", subtitle, main, costs.to_json(), notes=notes)


def _bars(costs: Cost) -> str:
    layers = costs.layers
    panels = [
        Panel("MACs", "counted", "computed", [layer.macs for layer in layers], costs.macs),
        Panel("Parameters", "counted", "computed", [layer.params for layer in layers], costs.params),
        Panel(
            "Live RAM, eager",
            "bytes; share of the peak",
            "computed",
            [layer.eager_live_bytes for layer in layers],
            costs.eager_peak_bytes,
        ),
        Panel("Bytes moved", "counted", "computed", [layer.moved_bytes for layer in layers], costs.moved_bytes),
    ]
    return layer_bars([layer.name for layer in layers], panels)
