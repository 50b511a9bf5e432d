"""What was measured on this computer, as one page."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from millijoule.errors import OptionError
from millijoule.report.measure.charts import charts
from millijoule.report.measure.tables import COLUMNS, FIT_COLUMNS, fit_rows, meter, run_cells
from millijoule.report.page.chart_page import chart_page, section
from millijoule.report.page.frame import html_table
from millijoule.survey.compare import published
from millijoule.whole_file import write_text

if TYPE_CHECKING:
    from millijoule.measure.analysis import Fit
    from millijoule.measure.runs import Measured


def write_measured_page(measured: Measured, fits: Sequence[Fit], path: Path) -> None:
    """Write the page to `path`, whole or not at all. Raises OptionError if no run succeeded, ToolError without Plotly,
    OSError if it cannot be written."""
    write_text(path, measured_page(measured, fits))


def measured_page(measured: Measured, fits: Sequence[Fit]) -> str:
    """The page as text."""
    runs = [run for run in measured.runs if not run.problem]
    if not runs:
        raise OptionError("no engine ran any network: there is nothing to draw")
    accuracies = {name: each.top1 for name, each in published().items()}
    engines = dict.fromkeys(f"{run.engine} {run.version} ({run.settings})" for run in runs)
    introduction = (
        f"Measured on {measured.machine}, {runs[0].threads} thread{'s' * (runs[0].threads > 1)}; {meter(measured)}. "
        f"Engines: {'; '.join(engines)}. Each network ran in a process of its own; latencies are medians with their "
        "95 % intervals. Accuracies are published ones. Point at a mark for its numbers; a click in a legend hides it."
    )
    reasons = [f"{run.network}, {run.engine}, batch {run.batch}: {run.problem}" for run in measured.runs if run.problem]
    reasons += dict.fromkeys(f"No energy: {run.no_energy}." for run in runs if run.no_energy)
    parts = [("All runs", html_table(COLUMNS, [run_cells(run) for run in runs]))]
    if fits:
        parts.append(("Latency against operations, by least squares", html_table(FIT_COLUMNS, fit_rows(fits))))
    more = "".join(section(title, f'<div class="scroll">\n{table}</div>') for title, table in parts)
    notes = "".join(f'<p class="note">{escape(reason)}</p>\n' for reason in reasons)
    return chart_page("Networks measured", introduction, charts(measured, fits, accuracies), more + notes)
