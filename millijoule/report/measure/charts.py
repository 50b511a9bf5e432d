"""Latency, memory and energy against batch, operations and accuracy, as interactive charts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING

from millijoule.report.page.plotting import BLUE, GREEN, ORANGE, PURPLE, RED, SKY, YELLOW, layout, plotly

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from millijoule.measure.analysis import Fit
    from millijoule.measure.runs import Measured, Run

COLOURS = (BLUE, ORANGE, GREEN, RED, PURPLE, SKY, YELLOW)
LOGARITHMIC = {"type": "log", "tickformat": "~g"}


def charts(measured: Measured, fits: Sequence[Fit], accuracies: Mapping[str, float]) -> dict[str, go.Figure]:
    """Every chart that there are figures for. accuracies: network → published top-1 in %."""
    runs = [run for run in measured.runs if run.latency_ms is not None and run.device == "cpu"]
    found = {
        "latency-batch": _against_batch(runs, "Latency of an image against batch", "ms an image", _milliseconds),
        "memory-batch": _against_batch(runs, "Peak memory against batch", "peak resident memory, MB", _megabytes),
        "operations-latency": _operations(fits, runs),
    }
    if any(run.energy_mj is not None for run in runs):
        found["energy-batch"] = _against_batch(runs, "Energy of an image against batch", "mJ an image", _energy)
        found["power-batch"] = _against_batch(runs, "Power against batch", "W, idle included", lambda run: run.watts)
    known = [run for run in runs if run.network in accuracies and run.batch == runs[0].batch]
    if known:
        found["accuracy-operations"] = _accuracy(
            known, accuracies, "operations", "MACs, 10⁹", lambda run: run.macs / 1e9
        )
        found["accuracy-latency"] = _accuracy(known, accuracies, "latency", "ms an image", _milliseconds)
        if any(run.energy_mj is not None for run in known):
            found["accuracy-energy"] = _accuracy(known, accuracies, "energy", "mJ an image", _energy)
    return found


def _milliseconds(run: Run) -> float | None:
    return None if run.latency_ms is None else run.latency_ms / run.batch


def _megabytes(run: Run) -> float | None:
    return None if run.resident_peak_bytes is None else run.resident_peak_bytes / 1e6


def _energy(run: Run) -> float | None:
    return run.energy_mj


def _series(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """By network, and by engine too if there are several."""
    several = len({run.engine for run in runs}) > 1
    series: dict[str, list[Run]] = {}
    for run in runs:
        series.setdefault(f"{run.network}, {run.engine}" if several else run.network, []).append(run)
    return series


def _against_batch(runs: Sequence[Run], title: str, axis: str, value: Callable[[Run], float | None]) -> go.Figure:
    go = plotly()
    figure = go.Figure()
    for index, (name, members) in enumerate(_series(runs).items()):
        members = sorted(members, key=lambda run: run.batch)
        figure.add_trace(
            go.Scatter(
                x=[run.batch for run in members],
                y=[value(run) for run in members],
                name=escape(name),
                mode="lines+markers",
                line={"color": COLOURS[index % len(COLOURS)]},
                marker={"symbol": index // len(COLOURS), "size": 9},
                hovertext=[_hover(run) for run in members],
                hoverinfo="text",
            )
        )
    batches = sorted({run.batch for run in runs})
    x = {"type": "log", "title": "batch", "tickvals": batches}
    figure.update_layout(layout(title, xaxis=x, yaxis={**LOGARITHMIC, "title": axis}))
    return figure


def _operations(fits: Sequence[Fit], runs: Sequence[Run]) -> go.Figure:
    """Latency against MACs at the first batch, with the line of least squares of each engine."""
    go = plotly()
    figure = go.Figure()
    batch = runs[0].batch if runs else 1
    lines = {fit.engine: fit for fit in fits if fit.batch == batch}
    for index, engine in enumerate(dict.fromkeys(run.engine for run in runs)):
        members = [run for run in runs if run.engine == engine and run.batch == batch]
        colour = COLOURS[index % len(COLOURS)]
        figure.add_trace(
            go.Scatter(
                x=[run.macs / 1e9 for run in members],
                y=[_milliseconds(run) for run in members],
                name=escape(engine),
                mode="markers+text",
                text=[escape(run.network) for run in members] if index == 0 else None,
                textposition="top center",
                marker={"color": colour, "size": 10},
                hovertext=[_hover(run) for run in members],
                hoverinfo="text",
            )
        )
        if engine in lines:
            fit, ends = lines[engine], (0.0, max(run.macs / 1e9 for run in members))
            figure.add_trace(
                go.Scatter(
                    x=ends,
                    y=[fit.constant_ms + fit.ms_per_gmac * end for end in ends],
                    name=escape(
                        f"{engine}: {fit.constant_ms:.3g} + {fit.ms_per_gmac:.3g} ms / 10⁹ MACs, R² {fit.r_squared:.3f}"
                    ),
                    mode="lines",
                    line={"color": colour, "dash": "dot"},
                    hoverinfo="skip",
                )
            )
    x, y = {"title": "MACs of an image, 10⁹"}, {"title": f"ms an image, batch {batch}"}
    legend = {"x": 0, "y": 1, "xanchor": "left", "yanchor": "top"}
    figure.update_layout(layout("Latency against operations", xaxis=x, yaxis=y, legend=legend))
    return figure


def _accuracy(
    runs: Sequence[Run], accuracies: Mapping[str, float], what: str, axis: str, value: Callable[[Run], float | None]
) -> go.Figure:
    go = plotly()
    figure = go.Figure()
    for index, engine in enumerate(dict.fromkeys(run.engine for run in runs)):
        members = [run for run in runs if run.engine == engine]
        figure.add_trace(
            go.Scatter(
                x=[value(run) for run in members],
                y=[accuracies[run.network] for run in members],
                name=escape(engine),
                mode="markers+text",
                text=[escape(run.network) for run in members] if index == 0 else None,
                textposition="top center",
                marker={"color": COLOURS[index % len(COLOURS)], "size": 10},
                hovertext=[_hover(run) for run in members],
                hoverinfo="text",
            )
        )
    y = {"title": "published top-1 accuracy, %"}
    figure.update_layout(layout(f"Accuracy against {what}", xaxis={**LOGARITHMIC, "title": axis}, yaxis=y))
    return figure


def _hover(run: Run) -> str:
    lines = [
        f"<b>{escape(run.network)}</b>, {escape(run.engine)} {escape(run.version)}, batch {run.batch}",
        f"{run.latency_ms or 0.0:.4g} ms a batch ({run.latency_low_ms or 0.0:.4g} to {run.latency_high_ms or 0.0:.4g})",
        f"{run.macs / 1e9:,.3f} G MACs, {run.params:,} parameters",
    ]
    if run.resident_peak_bytes is not None:
        lines.append(f"{run.resident_peak_bytes / 1e6:,.0f} MB at most")
    if run.energy_mj is not None:
        lines.append(f"{run.energy_mj:.3g} mJ an image, idle subtracted")
    return "<br>".join(lines)
