"""Networks beside each other as charts: accuracy against operations, information density, size."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from math import log10, sqrt
from typing import TYPE_CHECKING

from millijoule.report import format as fmt
from millijoule.report.page.plotting import (
    BLUE,
    GREEN,
    HEIGHT,
    MARGINS,
    ORANGE,
    OUTLINE,
    PURPLE,
    RED,
    SKY,
    WIDTH,
    YELLOW,
    layout,
    plotly,
)
from millijoule.report.survey.labels import Ball, place_labels
from millijoule.survey.compare import Compared

if TYPE_CHECKING:
    import plotly.graph_objects as go

LARGEST_RADIUS = 44.0
"""Of the ball with the most parameters, in pixels."""

TICKS = {"tickvals": [tick * 10.0**power for power in range(-4, 4) for tick in (1, 2, 5)], "tickformat": "~g"}
"""Of the logarithmic axis."""

FAMILIES = (
    ("AlexNet, NiN", ("alexnet", "nin"), BLUE),
    ("VGG", ("vgg",), ORANGE),
    ("GoogLeNet, Inception, Xception", ("googlenet", "inception", "xception"), GREEN),
    ("ResNet", ("resnet",), RED),
    ("DenseNet", ("densenet",), PURPLE),
    ("MobileNet, ShuffleNet, SqueezeNet …", ("mobilenet", "shufflenet", "squeezenet", "efficientnet"), SKY),
)
OTHER = ("others", YELLOW)


def _family(name: str) -> tuple[str, str]:
    for title, prefixes, colour in FAMILIES:
        if name.startswith(prefixes):
            return title, colour
    return OTHER


def _hover(row: Compared) -> str:
    lines = [
        f"<b>{escape(row.title)}</b>",
        f"{row.params:,} parameters",
        f"{row.macs / 1e9:,.3f} G MACs ({2 * row.macs / 1e9:,.2f} GFLOPs)",
        f"{row.size_bytes / 1e6:,.1f} MB, {row.size_bytes / 2**20:,.1f} MiB as float32",
    ]
    if row.top1 is not None:
        lines.append(f"top-1 {row.top1:g} %" + (f", top-5 {row.top5:g} %" if row.top5 is not None else ""))
        lines.append(escape(row.weights))
    return "<br>".join(lines)


def ball_chart(rows: Sequence[Compared]) -> go.Figure:
    """Top-1 accuracy against operations, the area of a ball its parameters (after Canziani et al. 2016, figure 2)."""
    go = plotly()
    most = max(row.params for row in rows)
    radii = [max(LARGEST_RADIUS * sqrt(row.params / most), 3.0) for row in rows]
    x_range, y_range = _ranges(rows)
    width, height = WIDTH - MARGINS["l"] - MARGINS["r"], HEIGHT - MARGINS["t"] - MARGINS["b"]

    def pixel(row: Compared) -> tuple[float, float]:
        x = (log10(row.macs / 1e9) - x_range[0]) / (x_range[1] - x_range[0]) * width
        return x, (y_range[1] - (row.top1 or 0)) / (y_range[1] - y_range[0]) * height

    balls = [Ball(*pixel(row), radius, row.title) for row, radius in zip(rows, radii, strict=True)]
    labels = place_labels(balls, width, height)
    figure = go.Figure()
    for title, _, colour in (*FAMILIES, (OTHER[0], (), OTHER[1])):
        members = [index for index, row in enumerate(rows) if _family(row.name)[0] == title]
        if members:
            figure.add_trace(
                go.Scatter(
                    x=[rows[index].macs / 1e9 for index in members],
                    y=[rows[index].top1 for index in members],
                    mode="markers",
                    name=title,
                    marker={
                        "size": [2 * radii[index] for index in members],
                        "color": colour,
                        "opacity": 0.7,
                        "line": OUTLINE,
                    },
                    hovertext=[_hover(rows[index]) for index in members],
                    hoverinfo="text",
                )
            )
    for row, ball, label in zip(rows, balls, labels, strict=True):
        figure.add_annotation(
            x=log10(row.macs / 1e9),
            y=row.top1,
            ax=label.dx,
            ay=label.dy,
            text=escape(row.title),
            showarrow=True,
            arrowhead=0,
            arrowwidth=1,
            arrowcolor="#5b6470",
            standoff=ball.radius,
            font={"size": 12},
        )
    figure.update_layout(
        layout(
            "Accuracy against operations; the area of a ball is its parameters",
            xaxis={"type": "log", "range": x_range, "title": "MACs for one image, in 10⁹ (logarithmic)", **TICKS},
            yaxis={"range": y_range, "title": "published top-1 accuracy, %"},
            legend={"x": 1, "y": 0, "xanchor": "right", "yanchor": "bottom", "itemsizing": "constant"},
        )
    )
    return figure


def _ranges(rows: Sequence[Compared]) -> tuple[tuple[float, float], tuple[float, float]]:
    """(log10 of 10⁹ MACs, top-1 in %), with room for balls and labels."""
    x = [log10(row.macs / 1e9) for row in rows]
    y = [row.top1 for row in rows if row.top1 is not None]
    return (min(x) - 0.25, max(x) + 0.3), (min(y) - 4, max(y) + 4)


def _bars(rows: Sequence[Compared], values: Sequence[float], title: str, axis: str) -> go.Figure:
    """Horizontal bars, the largest on top."""
    go = plotly()
    order = sorted(range(len(rows)), key=lambda index: values[index])
    figure = go.Figure(
        go.Bar(
            x=[values[index] for index in order],
            y=[rows[index].title for index in order],
            orientation="h",
            marker={
                "color": [_family(rows[index].name)[1] for index in order],
                "line": OUTLINE,
            },
            text=[fmt.figures(values[index]) for index in order],
            textposition="outside",
            cliponaxis=False,
            hovertext=[_hover(rows[index]) for index in order],
            hoverinfo="text",
        )
    )
    shape = layout(title, xaxis={"title": axis}, yaxis={"automargin": True, "dtick": 1, "ticksuffix": "  "})
    figure.update_layout(shape | {"height": 150 + 24 * len(rows), "margin": MARGINS | {"r": 80}})
    return figure


def density_chart(rows: Sequence[Compared]) -> go.Figure:
    """Top-1 accuracy for each million of parameters: the information density of Canziani et al. 2016, figure 10."""
    values = [row.top1_per_million or 0.0 for row in rows]
    return _bars(rows, values, "Accuracy for each million of parameters", "top-1 % / 10⁶ parameters")


def size_chart(rows: Sequence[Compared]) -> go.Figure:
    """Sizes of the float32 weights."""
    return _bars(rows, [row.size_bytes / 1e6 for row in rows], "Size on disk", "MB as float32 (10⁶ bytes)")
