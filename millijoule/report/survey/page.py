"""The charts of a comparison: one HTML page that needs nothing else, or pictures."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from string import Template
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import millijoule
from millijoule.errors import OptionError, ToolError
from millijoule.report.files import read_part, write_bytes, write_text
from millijoule.report.layout import Column
from millijoule.report.page.frame import html_table
from millijoule.report.survey.charts import ball_chart, density_chart, size_chart
from millijoule.report.survey.history import imagenet_chart, voc_chart
from millijoule.report.survey.plotting import plotly
from millijoule.survey.compare import Compared

if TYPE_CHECKING:
    import plotly.graph_objects as go

KINDS = ("svg", "png")
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
    from plotly.offline import get_plotlyjs

    sources = [(row.title, f"{row.top1:g}", row.weights, row.source) for row in rows if row.top1 is not None]
    return Template(read_part("survey/page.html")).substitute(
        style=read_part("page/style.css"),
        plotly=get_plotlyjs(),
        charts="\n".join(_section(chart, name) for name, chart in drawn.items()),
        sources=html_table(SOURCES, sources),
        footer=f"Made by millijoule {millijoule.__version__}.",
    )


def _section(chart: go.Figure, name: str) -> str:
    """The chart below its title, which is the page's, so that it is whole on a narrow screen."""
    title, height, top = chart.layout.title.text, chart.layout.height, chart.layout.margin.t
    chart.update_layout(title={"text": ""}, height=height - top // 2, margin={"t": top - top // 2})
    options = {"displaylogo": False, "toImageButtonOptions": {"format": "svg", "filename": name}}
    body = chart.to_html(full_html=False, include_plotlyjs=False, div_id=name, config=options)
    return f'<section>\n<h2>{escape(title)}</h2>\n<div class="chart">{body}</div>\n</section>'


def write_pictures(rows: Sequence[Compared], folder: Path) -> None:
    """Write every chart as NAME.svg and NAME.png into `folder`, which is made if it is not there.

    Raises as `charts` does; OptionError for a name that is no folder's; ToolError if kaleido or its browser is missing
    or fails; OSError if a file cannot be written. Nothing is written before all pictures are drawn.
    """
    if folder.suffix or (folder.exists() and not folder.is_dir()):
        raise OptionError(f"'{folder}' is no folder: --pictures takes one, for several files")
    drawn = charts(rows)
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
