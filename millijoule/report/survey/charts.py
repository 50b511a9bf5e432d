"""Charts of a comparison as one HTML page that needs nothing else: Plotly, its script inside the page."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from math import log10, sqrt
from pathlib import Path
from typing import TYPE_CHECKING, Any

from millijoule.errors import OptionError, ToolError
from millijoule.report.files import write_bytes, write_text
from millijoule.report.survey.labels import Ball, place_labels
from millijoule.survey.compare import Compared
from millijoule.survey.csv_file import package_csv

if TYPE_CHECKING:
    import plotly.graph_objects as go

WIDTH, HEIGHT = 1040, 640
MARGINS = {"l": 70, "r": 30, "t": 60, "b": 60}
LARGEST_RADIUS = 44.0
"""Of the ball with the most parameters, in pixels."""

TICKS = {"tickvals": [tick * 10.0**power for power in range(-4, 4) for tick in (1, 2, 5)], "tickformat": "~g"}
"""Of the logarithmic axis."""

# Okabe and Ito's palette, which people with any kind of colour blindness can tell apart.
BLUE, ORANGE, GREEN, SKY, RED, PURPLE, YELLOW = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#56B4E9",
    "#D55E00",
    "#CC79A7",
    "#F0E442",
)
FAMILIES = (
    ("AlexNet, NiN", ("alexnet", "nin"), BLUE),
    ("VGG", ("vgg",), ORANGE),
    ("GoogLeNet, Inception, Xception", ("googlenet", "inception", "xception"), GREEN),
    ("ResNet", ("resnet",), RED),
    ("DenseNet", ("densenet",), PURPLE),
    ("MobileNet, ShuffleNet, SqueezeNet …", ("mobilenet", "shufflenet", "squeezenet", "efficientnet"), SKY),
)
OTHER = ("others", YELLOW)

STYLE = (
    "body{margin:0 auto;max-width:1080px;padding:1.5rem;color:#1b1f24;background:#fff;"
    "font:16px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif}"
    "h1{font-size:1.6rem;line-height:1.25;margin:0 0 .5rem}p{max-width:46rem;margin:.25rem 0 1rem}"
    ".chart{overflow-x:auto;margin:0 0 2rem}.sources{font-size:.85rem;color:#5b6470}"
    "table{border-collapse:collapse;font-size:.85rem}th,td{padding:.2rem .6rem .2rem 0;text-align:left;"
    "border-bottom:1px solid #d9dde3;vertical-align:top}.scroll{overflow-x:auto}"
)


def write_charts(rows: Sequence[Compared], path: Path) -> None:
    """Write the page (.html), or the ball chart alone as a picture (.svg or .png, which need kaleido and a Chromium).

    Raises OptionError for another suffix or if no network has a published accuracy; ToolError if Plotly is missing or
    a picture cannot be made; OSError if the file cannot be written.
    """
    if path.suffix not in (".html", ".svg", ".png"):
        raise OptionError(f"'{path}' is no page and no picture: its name must end in .html, .svg or .png")
    if path.suffix == ".html":
        write_text(path, page(rows))
    else:
        write_bytes(path, _picture(ball_chart(_with_accuracy(rows)), path.suffix[1:]))


def page(rows: Sequence[Compared]) -> str:
    """The page as text: five charts, their data's sources, and Plotly's script once."""
    _plotly()
    from plotly.offline import get_plotlyjs

    known = _with_accuracy(rows)
    charts = (ball_chart(known), density_chart(known), size_chart(rows), imagenet_chart(), voc_chart())
    bodies = "\n".join(
        f'<div class="chart" id="chart{number}">{_html(chart, f"plot{number}")}</div>'
        for number, chart in enumerate(charts, start=1)
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; script-src 'unsafe-inline'; "
        "style-src 'unsafe-inline'; img-src data: blob:\">\n"
        f'<link rel="icon" href="data:,">\n<title>Networks compared</title>\n<style>{STYLE}</style>\n'
        f"<script>{get_plotlyjs()}</script>\n</head>\n<body>\n<h1>Networks compared</h1>\n"
        "<p>Parameters, operations and sizes are counted from each architecture; accuracies are published ones. Point "
        "at a mark for its numbers; a click in a legend hides a group.</p>\n"
        f"{bodies}\n{_sources(rows)}\n</body>\n</html>\n"
    )


def _with_accuracy(rows: Sequence[Compared]) -> list[Compared]:
    known = [row for row in rows if row.top1 is not None]
    if not known:
        raise OptionError("none of these networks has a published accuracy: there is nothing to draw")
    return known


def _plotly() -> Any:
    try:
        import plotly.graph_objects
    except ImportError:
        raise ToolError("charts need Plotly; get it: pip install 'millijoule[charts]'") from None
    return plotly.graph_objects


def _html(chart: go.Figure, name: str) -> str:
    options = {"displaylogo": False, "toImageButtonOptions": {"format": "svg", "filename": name}}
    return str(chart.to_html(full_html=False, include_plotlyjs=False, div_id=name, config=options))


def _picture(chart: go.Figure, kind: str) -> bytes:
    try:
        return bytes(chart.to_image(format=kind, width=WIDTH, height=HEIGHT))
    except Exception as error:  # kaleido raises what its browser raises
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ToolError(f"a picture needs kaleido and a Chromium; write .html instead ({first})") from None


def _layout(title: str, **more: Any) -> dict[str, Any]:
    return {
        "title": {"text": title, "x": 0, "xref": "paper", "font": {"size": 18}},
        "width": WIDTH,
        "height": HEIGHT,
        "margin": MARGINS,
        "template": "plotly_white",
        "font": {"size": 13, "color": "#1b1f24"},
        "hoverlabel": {"font": {"size": 13}},
        **more,
    }


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
    go = _plotly()
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
                        "line": {"color": "#1b1f24", "width": 1},
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
        _layout(
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


def _bars(rows: Sequence[Compared], values: Sequence[float], title: str, axis: str, digits: int) -> go.Figure:
    """Horizontal bars, the largest on top."""
    go = _plotly()
    order = sorted(range(len(rows)), key=lambda index: values[index])
    figure = go.Figure(
        go.Bar(
            x=[values[index] for index in order],
            y=[rows[index].title for index in order],
            orientation="h",
            marker={
                "color": [_family(rows[index].name)[1] for index in order],
                "line": {"width": 1, "color": "#1b1f24"},
            },
            text=[f"{values[index]:,.{digits}f}" for index in order],
            textposition="outside",
            cliponaxis=False,
            hovertext=[_hover(rows[index]) for index in order],
            hoverinfo="text",
        )
    )
    layout = _layout(title, xaxis={"title": axis}, yaxis={"automargin": True, "dtick": 1, "ticksuffix": "  "})
    figure.update_layout(layout | {"height": 150 + 24 * len(rows), "margin": MARGINS | {"r": 80}})
    return figure


def density_chart(rows: Sequence[Compared]) -> go.Figure:
    """Top-1 accuracy for each million of parameters: the information density of Canziani et al. 2016, figure 10."""
    values = [row.top1_per_million or 0.0 for row in rows]
    return _bars(rows, values, "Accuracy for each million of parameters", "top-1 % / 10⁶ parameters", 1)


def size_chart(rows: Sequence[Compared]) -> go.Figure:
    """Sizes of the float32 weights."""
    return _bars(rows, [row.size_bytes / 1e6 for row in rows], "Size on disk", "MB as float32 (10⁶ bytes)", 1)


def imagenet_chart() -> go.Figure:
    """The ImageNet challenge by year: error and depth."""
    go = _plotly()
    history = package_csv("imagenet.csv", ("year", "entry", "depth", "error", "source"))
    names = [f"{row['entry']}<br>{row['year']}" for row in history]
    hover = [
        f"<b>{escape(row['entry'])}, {row['year']}</b><br>top-5 error {row['error']} %<br>"
        f"{row['depth'] + ' layers' if row['depth'] != '0' else 'not a deep network'}<br>{escape(row['source'])}"
        for row in history
    ]
    errors, depths = [float(row["error"]) for row in history], [int(row["depth"]) for row in history]
    figure = go.Figure()
    figure.add_trace(
        go.Bar(
            x=names,
            y=errors,
            name="top-5 error, %",
            marker={"color": SKY, "line": {"width": 1, "color": "#1b1f24"}},
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
            marker={"color": RED, "size": 9, "symbol": "diamond"},
            text=[f"{depth} layers" for depth in depths if depth],
            textposition="top center",
            textfont={"color": "#8a3a00"},
            hovertext=[text for text, depth in zip(hover, depths, strict=True) if depth],
            hoverinfo="text",
            cliponaxis=False,
        )
    )
    figure.update_layout(
        _layout(
            "The ImageNet challenge by year: less error with more layers",
            yaxis={"title": "top-5 error of the test set, %", "range": [0, 32]},
            yaxis2={
                "title": "layers with weights",
                "overlaying": "y",
                "side": "right",
                "range": [0, 180],
                "dtick": 30,
                "showgrid": False,
            },
            legend={"x": 0.02, "y": 1.0, "yanchor": "top", "orientation": "h"},
        )
        | {"margin": MARGINS | {"r": 70, "b": 80}}
    )
    return figure


def voc_chart() -> go.Figure:
    """Detection on PASCAL VOC 2007 by year."""
    go = _plotly()
    history = package_csv("voc.csv", ("year", "detector", "training", "map", "source"))
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
                marker={"color": colour, "line": {"width": 1, "color": "#1b1f24"}},
                text=[f"{values[index]:g}" for index in members],
                textposition="outside",
                cliponaxis=False,
                hovertext=[
                    f"<b>{escape(names[index])}</b><br>mAP {values[index]:g} %<br>{escape(history[index]['source'])}"
                    for index in members
                ],
                hoverinfo="text",
            )
        )
    layout = _layout(
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
    figure.update_layout(layout | {"height": 160 + 34 * len(names)})
    return figure


def _sources(rows: Sequence[Compared]) -> str:
    """A table of whose accuracy is shown, and where the histories come from."""
    cells = "".join(
        f"<tr><td>{escape(row.title)}</td><td>{row.top1:g}</td><td>{escape(row.weights)}</td>"
        f"<td>{escape(row.source)}</td></tr>\n"
        for row in rows
        if row.top1 is not None
    )
    return (
        '<section class="sources">\n<h2>Sources</h2>\n<div class="scroll"><table>\n<tr><th>network</th>'
        f"<th>top-1, %</th><th>weights</th><th>source</th></tr>\n{cells}</table></div>\n"
        "<p>Ball chart and information density: after A. Canziani, A. Paszke, E. Culurciello, An analysis of deep "
        "neural network models for practical applications, 2016. The sources of the histories show where the pointer "
        "is.</p>\n</section>"
    )
