"""Histories as charts: the ImageNet challenge with depth, detection on PASCAL VOC."""

from __future__ import annotations

from html import escape
from math import log10
from typing import TYPE_CHECKING

from millijoule.csv_file import package_csv
from millijoule.report.page.plotting import BLUE, MARGINS, ORANGE, OUTLINE, RED, SKY, layout, plotly, wrapped

if TYPE_CHECKING:
    import plotly.graph_objects as go


def imagenet_chart() -> go.Figure:
    """The ImageNet challenge by year: error, and below it depth."""
    go = plotly()
    history = package_csv("survey", "imagenet.csv", ("year", "entry", "depth", "error", "source"))
    names = [f"{row['entry']}<br>{row['year']}" for row in history]
    hover = [
        f"<b>{escape(row['entry'])}, {row['year']}</b><br>top-5 error {row['error']} %<br>"
        f"{_depth(row['depth'])}<br>{wrapped(row['source'])}"
        for row in history
    ]
    errors, depths = [float(row["error"]) for row in history], [int(row["depth"] or 0) for row in history]
    figure = go.Figure()
    figure.add_trace(
        go.Bar(
            x=names,
            y=errors,
            name="top-5 error, %",
            marker={"color": SKY, "line": OUTLINE},
            text=[f"{error:g} %" for error in errors],
            textposition="outside",
            cliponaxis=False,
            hovertext=hover,
            hoverinfo="text",
        )
    )
    figure.add_trace(
        go.Scatter(
            x=[name for name, depth in zip(names, depths, strict=True) if depth],
            y=[depth for depth in depths if depth],
            name="layers with weights",
            yaxis="y2",
            mode="markers+text",
            marker={"color": RED, "size": 11, "symbol": "diamond", "line": OUTLINE},
            text=[f"{depth} layers" for depth in depths if depth],
            textposition="top center",
            hovertext=[text for text, depth in zip(hover, depths, strict=True) if depth],
            hoverinfo="text",
            cliponaxis=False,
        )
    )
    figure.update_layout(
        layout(
            "The ImageNet challenge by year, without outside data: less error with more layers",
            xaxis={"anchor": "y2"},
            yaxis={"title": "top-5 error of the test set, %", "range": [0, 32], "domain": [0.38, 1]},
            yaxis2={
                "title": "layers with weights",
                "type": "log",
                "range": [log10(4), log10(400)],
                "tickvals": [5, 10, 20, 50, 100, 200],
                "domain": [0, 0.32],
            },
            showlegend=False,
        )
        | {"margin": MARGINS | {"b": 80}}
    )
    return figure


def _depth(layers: str) -> str:
    if not layers:
        return "depth not published"
    return "not a deep network" if layers == "0" else f"{layers} layers"


def voc_chart() -> go.Figure:
    """Detection on PASCAL VOC 2007 by year."""
    go = plotly()
    history = package_csv("survey", "voc.csv", ("year", "detector", "training", "map", "source"))
    names = [f"{row['detector']} ({row['year']})" for row in history]
    values = [float(row["map"]) for row in history]
    colours = [ORANGE if row["training"] == "07" else BLUE for row in history]
    figure = go.Figure()
    for training, colour in (("07", ORANGE), ("07+12", BLUE)):
        members = [index for index, row in enumerate(history) if colours[index] == colour]
        figure.add_trace(
            go.Bar(
                x=[values[index] for index in members],
                y=[names[index] for index in members],
                orientation="h",
                name=f"trained on VOC {training}",
                marker={"color": colour, "line": OUTLINE},
                text=[f"{values[index]:.1f}" for index in members],
                textposition="outside",
                cliponaxis=False,
                hovertext=[
                    f"<b>{escape(names[index])}</b><br>mAP {values[index]:g} %<br>{wrapped(history[index]['source'])}"
                    for index in members
                ],
                hoverinfo="text",
            )
        )
    shape = layout(
        "Detection on PASCAL VOC 2007",
        xaxis={"title": "mean average precision of the test set, %", "range": [0, 90]},
        yaxis={
            "automargin": True,
            "categoryorder": "array",
            "categoryarray": names[::-1],
            "dtick": 1,
            "ticksuffix": "  ",
        },
        legend={"x": 1, "y": 1.0, "xanchor": "right", "yanchor": "top"},
    )
    figure.update_layout(shape | {"height": 160 + 34 * len(names)})
    return figure
