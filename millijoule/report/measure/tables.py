"""What was measured on this computer, for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from rich.console import RenderableType
from rich.text import Text

from millijoule.report import format as fmt
from millijoule.report.layout import Column, make_table

if TYPE_CHECKING:
    from millijoule.measure.analysis import Fit, SpeedUp
    from millijoule.measure.runs import Measured, Run

COLUMNS = (
    Column("network", text=True),
    Column("engine", text=True),
    Column("batch"),
    Column("ms a\nbatch"),
    Column("95 % interval\nof the median"),
    Column("images\n/ s", rank=2),
    Column("peak RAM,\nMB", rank=1),
    Column("energy, mJ\n/ image"),
    Column("repeats", wide_only=True),
    Column("largest\ndifference", wide_only=True),
)
FIT_COLUMNS = (
    Column("engine", text=True),
    Column("batch"),
    Column("networks"),
    Column("ms +"),
    Column("ms for\n10⁹ MACs"),
    Column("R²"),
)


def measured(
    found: Measured, fits: Sequence[Fit] = (), speed_ups: Sequence[SpeedUp] | None = None
) -> list[RenderableType]:
    """Every run; why energies are missing; latency against operations; other devices against the processor, if that
    was asked for."""
    runs = [run for run in found.runs if not run.problem]
    problems = [
        Text(f"{run.network}, {run.engine}, batch {run.batch}: {run.problem}") for run in found.runs if run.problem
    ]
    parts: list[RenderableType] = [
        Text(f"{found.machine}; {meter(found)}", overflow="fold"),
        make_table(_columns(runs), [run_cells(run) for run in runs]),
        *problems,
    ]
    for reason in dict.fromkeys(run.no_energy for run in runs if run.no_energy):
        parts.append(Text(f"No energy: {reason}.", overflow="fold"))
    if fits:
        parts += [Text("Latency against operations, by least squares:"), make_table(FIT_COLUMNS, fit_rows(fits))]
    if speed_ups is not None:
        parts += [Text("Other devices against the processor:"), _speed_ups(speed_ups)]
    return parts


def _columns(runs: Sequence[Run]) -> list[Column]:
    """Where nothing was metered, the empty energies are the first to go in a narrow terminal."""
    has_energy = any(run.energy_mj is not None for run in runs)
    return [replace(each, rank=3) if each.header.startswith("energy") and not has_energy else each for each in COLUMNS]


def meter(found: Measured) -> str:
    """Its name, how often it samples and what was subtracted; or that there is none."""
    if found.idle_watts is None or found.rate_hz is None:
        return found.meter
    return (
        f"{found.meter}, {found.rate_hz:,.3g} samples a second (± is what they leave open); "
        f"idle {found.idle_watts:.3g} W, subtracted"
    )


def run_cells(run: Run) -> tuple[str, ...]:
    """A row of COLUMNS."""
    where = run.engine if run.device == "cpu" else f"{run.engine}, {run.device}"
    low, high = run.latency_low_ms or 0.0, run.latency_high_ms or 0.0
    peak = fmt.NONE if run.resident_peak_bytes is None else f"{run.resident_peak_bytes / 1e6:,.0f}"
    energy = fmt.NONE if run.energy_mj is None else f"{run.energy_mj:.3g} ± {run.energy_error_mj or 0.0:.1g}"
    difference = fmt.NONE if run.difference is None else f"{run.difference:.1e}"
    return (
        run.network,
        where,
        str(run.batch),
        f"{run.latency_ms or 0.0:.4g}",
        f"{low:.4g} to {high:.4g}",
        fmt.figures(run.images_per_second or 0.0),
        peak,
        energy,
        str(run.repeats),
        difference,
    )


def fit_rows(found: Sequence[Fit]) -> list[tuple[str, ...]]:
    return [
        (
            each.engine,
            str(each.batch),
            str(each.networks),
            f"{each.constant_ms:.3g}",
            f"{each.ms_per_gmac:.3g}",
            f"{each.r_squared:.3f}",
        )
        for each in found
    ]


def _speed_ups(found: Sequence[SpeedUp]) -> RenderableType:
    columns = (Column("network", text=True), Column("batch"), Column("device", text=True), Column("times faster"))
    rows = [(each.network, str(each.batch), each.device, f"{each.times:.3g}") for each in found]
    none = (fmt.NONE, fmt.NONE, "none: PyTorch sees no device but the processor", fmt.NONE)
    return make_table(columns, rows or [none])
