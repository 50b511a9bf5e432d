"""Tables about quantization for the terminal."""

from __future__ import annotations

from math import isfinite
from pathlib import Path
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from millijoule.diagnose.diagnosis import LOOKED_AT, NOTEWORTHY, Diagnosis
from millijoule.report import format as fmt
from millijoule.report.layout import Column, make_table


def quantized(result: dict[str, Any], notes: tuple[str, ...]) -> list[RenderableType]:
    """The result of `quantize`, as its JSON has it."""
    measure, key = ("mAP@0.5", "map_50") if "map_50_int8" in result else ("accuracy", "accuracy")
    rows = [
        (f"test {measure}, float", fmt.percent(result[f"{key}_float"])),
        (f"test {measure}, int8", fmt.percent(result[f"{key}_int8"])),
        ("weights, float32", f"{result['weights_float_bytes']:,} bytes"),
        ("weights, int8", f"{result['weights_int8_bytes']:,} bytes"),
        ("file", f"{result['file_bytes']:,} bytes"),
    ]
    on = f", on {result['data']}" if result["data"] else ""
    how = f"{result['method']}, {result['images']:,} test images" if on else result["method"]
    return [
        Text(f"{result['model']} as int8{on}: {how}", style="bold"),
        make_table((Column("", text=True), Column("")), rows),
        *(Text(f"Note: {note}") for note in notes),
        Text(f"File: {Path(result['file'])}", overflow="fold"),
    ]


LAYER_COLUMNS = (
    Column("layer", text=True),
    Column("operator", text=True, wide_only=True),
    Column("alone\ndB"),
    Column("whole\ndB"),
    Column("saturated"),
    Column("steps\nused", rank=1),
    Column("silent\nchannels", rank=2),
    Column("loudest /\nmedian", rank=3),
)


def remedy_columns(diagnosis: Diagnosis) -> tuple[Column, ...]:
    return Column("tried", text=True), Column(diagnosis.measure), Column("recovered"), Column("how", text=True)


def layer_rows(diagnosis: Diagnosis) -> list[tuple[str, ...]]:
    worst = {each.layer for each in diagnosis.worst}
    return [
        (
            f"{each.layer} *" if each.layer in worst else each.layer,
            each.operator,
            decibels(each.alone_db),
            decibels(each.whole_db),
            fmt.percent(each.saturated),
            fmt.percent(each.steps_used),
            f"{each.dead_channels} of {each.channels}",
            f"{each.loudest:.1f}",
        )
        for each in diagnosis.layers
    ]


def remedy_rows(diagnosis: Diagnosis) -> list[tuple[str, ...]]:
    return [
        (
            each.name,
            fmt.percent(each.score),
            f"{100 * (each.score - diagnosis.score_int8):+.1f}",
            each.option or "simulated; firmware cannot yet",
        )
        for each in diagnosis.remedies
    ]


def headline(diagnosis: Diagnosis) -> str:
    before, after = fmt.percent(diagnosis.score_float), fmt.percent(diagnosis.score_int8)
    if diagnosis.measure == "accuracy":
        right = f"float {before}, int8 {after} of {diagnosis.images:,} test images"
    else:
        right = f"{diagnosis.measure} float {before}, int8 {after} on {diagnosis.images:,} test images"
    return f"{diagnosis.model} on {diagnosis.data}: {right}"


def decibels(ratio: float) -> str:
    return f"{ratio:.1f}" if isfinite(ratio) else "exact" if ratio > 0 else "none"


def diagnosed(diagnosis: Diagnosis) -> list[RenderableType]:
    """The result of `diagnose`."""
    others = [Text(f"Also: {cause.text}") for cause in diagnosis.causes[1 if diagnosis.lost >= NOTEWORTHY else 0 :]]
    return [
        Text(headline(diagnosis), style="bold"),
        Text(f"{diagnosis.verdict}.\nCalibrated on {diagnosis.calibration}, {diagnosis.ranges} ranges."),
        *others,
        make_table(LAYER_COLUMNS, layer_rows(diagnosis)),
        Text(f"* adds most noise. Signal to noise on {LOOKED_AT} test images; alone: only this layer is int8."),
        make_table(remedy_columns(diagnosis), remedy_rows(diagnosis)),
    ]
