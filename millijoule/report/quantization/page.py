"""The page of `diagnose`."""

from __future__ import annotations

from html import escape
from pathlib import Path

from millijoule.diagnose.diagnosis import LOOKED_AT, Diagnosis
from millijoule.report.page.frame import frame, html_table
from millijoule.report.quantization.tables import LAYER_COLUMNS, headline, layer_rows, remedy_columns, remedy_rows
from millijoule.whole_file import write_text


def write_diagnosis_page(diagnosis: Diagnosis, path: Path) -> None:
    """Causes, remedies and layers as one file. Raises OSError."""
    causes = "".join(f"<li>{escape(cause.text)}</li>" for cause in diagnosis.causes)
    main = "\n".join(
        [
            "<h2>What was found</h2>",
            f"<ol>{causes}</ol>" if causes else "<p>Nothing stands out.</p>",
            "<h2>What was tried</h2>",
            html_table(remedy_columns(diagnosis), remedy_rows(diagnosis)),
            "<p>Each is quantized and run as integers on the same test images; what is simulated is computed in float "
            "with rounded numbers.</p>",
            "<h2>Layer by layer</h2>",
            html_table(LAYER_COLUMNS, layer_rows(diagnosis)),
            f"<p>* adds most noise. Signal to noise on {LOOKED_AT} test images; alone: only this layer is int8, and "
            "its inputs are rounded; whole: all layers before it are int8 too.</p>",
        ]
    )
    text = frame(
        "diagnosis",
        f"{diagnosis.model}: what int8 costs",
        f"{headline(diagnosis)}; calibrated on {diagnosis.calibration}, {diagnosis.ranges} ranges",
        main,
        diagnosis.to_json(),
        verdict=f'<p class="note">{escape(diagnosis.verdict)}.</p>',
    )
    write_text(path, text)
