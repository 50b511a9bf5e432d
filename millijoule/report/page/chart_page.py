"""A page of interactive charts: one file, Plotly's script included, that needs nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from string import Template
from typing import TYPE_CHECKING

import millijoule
from millijoule.report.files import read_part
from millijoule.report.page.plotting import plotly

if TYPE_CHECKING:
    import plotly.graph_objects as go


def chart_page(title: str, introduction: str, charts: Mapping[str, go.Figure], more: str) -> str:
    """The page as text. title, introduction: plain text. charts: by the name that a saved picture gets. more: HTML
    below them. Raises ToolError without Plotly."""
    plotly()
    from plotly.offline import get_plotlyjs

    return Template(read_part("page/charts.html")).substitute(
        style=read_part("page/style.css"),
        plotly=get_plotlyjs(),
        title=escape(title),
        introduction=escape(introduction),
        charts="".join(_section(chart, name) for name, chart in charts.items()),
        more=more,
        footer=f"Made by millijoule {millijoule.__version__}.",
    )


def section(heading: str, body: str) -> str:
    """heading: plain text. body: HTML."""
    return f"<section>\n<h2>{escape(heading)}</h2>\n{body}\n</section>\n"


def _section(chart: go.Figure, name: str) -> str:
    """The chart below its title, which is the page's, so that it is whole on a narrow screen."""
    title, height, top = chart.layout.title.text, chart.layout.height, chart.layout.margin.t
    chart.update_layout(title={"text": ""}, height=height - top // 2, margin={"t": top - top // 2})
    options = {"displaylogo": False, "toImageButtonOptions": {"format": "svg", "filename": name}}
    body = chart.to_html(full_html=False, include_plotlyjs=False, div_id=name, config=options)
    return section(title, f'<div class="chart">{body}</div>')
