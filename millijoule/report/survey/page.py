"""The charts of a comparison: one HTML page that needs nothing else, or pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from millijoule.errors import OptionError, ToolError
from millijoule.report.files import check_new
from millijoule.report.layout import Column
from millijoule.report.page.chart_page import chart_page, section
from millijoule.report.page.frame import html_table
from millijoule.report.page.plotting import plotly
from millijoule.report.survey.charts import ball_chart, density_chart, size_chart
from millijoule.report.survey.history import imagenet_chart, voc_chart
from millijoule.survey.compare import Compared
from millijoule.whole_file import write_bytes, write_text

if TYPE_CHECKING:
    import plotly.graph_objects as go

KINDS = ("svg", "png")
INTRODUCTION = (
    "Parameters, operations and sizes are counted from each architecture; accuracies are published ones. Point at a "
    "mark for its numbers; a click in a legend hides a group."
)
AFTER = (
    "<p>Ball chart and information density: after A. Canziani, A. Paszke, E. Culurciello, An analysis of deep neural "
    "network models for practical applications, 2016. The sources of the histories show where the pointer is.</p>\n"
)
SOURCES = (Column("network", text=True), Column("top-1, %"), Column("weights", text=True), Column("source", text=True))


def charts(rows: Sequence[Compared]) -> dict[str, go.Figure]:
    """Every chart, by name. Raises OptionError if no network has a published accuracy, ToolError without Plotly."""
    plotly()
    known = [row for row in rows if row.top1 is not None]
    if not known:
        raise OptionError("none of these networks has a published accuracy: there is nothing to draw")
    return {
        "accuracy": ball_chart(known),
        "density": density_chart(known),
        "size": size_chart(rows),
        "imagenet": imagenet_chart(),
        "voc": voc_chart(),
    }


def write_page(rows: Sequence[Compared], path: Path) -> None:
    """Write the page to `path`, whole or not at all.

    Raises as `charts` does, OptionError for a name that is no page's, and OSError if it cannot be written.
    """
    if path.suffix != ".html":
        raise OptionError(f"'{path}' is no page: its name must end in .html; --pictures FOLDER writes .svg and .png")
    write_text(path, page(rows))


def page(rows: Sequence[Compared]) -> str:
    """The page as text: the charts, their data's sources, and Plotly's script once."""
    drawn = charts(rows)
    sources = [(row.title, f"{row.top1:g}", row.weights, row.source) for row in rows if row.top1 is not None]
    table = f'<div class="scroll words">\n{html_table(SOURCES, sources)}\n</div>\n{AFTER}'
    return chart_page("Networks compared", INTRODUCTION, drawn, section("Sources", table))


def write_pictures(rows: Sequence[Compared], folder: Path, *, force: bool = False) -> None:
    """Write every chart as NAME.svg and NAME.png into `folder`, which is made if it is not there.

    Raises as `charts` does; OptionError for a name that is no folder's, and for a picture that is there,
    unless `force` is given; ToolError if kaleido or its browser is missing or fails; OSError if a file cannot be
    written. Nothing is written before all pictures are drawn.
    """
    if folder.suffix or (folder.exists() and not folder.is_dir()):
        raise OptionError(f"'{folder}' is no folder: --pictures takes one, for several files")
    drawn = charts(rows)
    for target in (folder / f"{name}.{kind}" for name in drawn for kind in KINDS):
        if target.exists():
            check_new(target, force=force, option="--pictures")
    with TemporaryDirectory() as temporary:
        files = {Path(temporary) / f"{name}.{kind}": chart for name, chart in drawn.items() for kind in KINDS}
        _draw(files)
        pictures = {path.name: path.read_bytes() for path in files}
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in pictures.items():
        write_bytes(folder / name, content)


def _draw(files: dict[Path, go.Figure]) -> None:
    try:
        from plotly.io import write_images

        write_images(
            fig=list(files.values()),
            file=[str(path) for path in files],
            width=[chart.layout.width for chart in files.values()],
            height=[chart.layout.height for chart in files.values()],
        )
    except Exception as error:  # kaleido raises what its browser raises
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ToolError(
            f"pictures need kaleido (pip install 'millijoule[charts]') and Chromium; --html needs neither ({first})"
        ) from None
