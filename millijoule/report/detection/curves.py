"""Precision against recall, one small chart for each class."""

from __future__ import annotations

import numpy as np

from millijoule.detect.evaluation import ClassEvaluation, DetectionEvaluation
from millijoule.report import format as fmt
from millijoule.report.detection.tables import percent
from millijoule.report.training.curves import Curve, chart

MOST_POINTS = 60


def precision_recall_charts(evaluated: DetectionEvaluation) -> str:
    """HTML: the charts side by side, of the classes that have annotated boxes."""
    drawings = [_drawing(each) for each in evaluated.classes if each.boxes]
    return f'<div class="charts">\n{"".join(drawings)}</div>'


def _drawing(of: ClassEvaluation) -> str:
    title = f"{of.name}: AP@0.5 {percent(of.ap_50_area, 1)}"
    curves = [Curve("precision", "first", curve_points(of))]
    return chart(title, "recall", curves, lambda value: fmt.percent(value, 0), within=(0.0, 1.0))


def curve_points(of: ClassEvaluation) -> list[tuple[float, float]]:
    """(recall, precision) where an object more is found, at most 60 of them, evenly spread, the last among them."""
    recall, precision = of.curve.recall, of.curve.precision
    rises = np.flatnonzero(np.diff(recall, prepend=0.0) > 0)
    kept = rises[np.unique(np.linspace(0, len(rises) - 1, min(len(rises), MOST_POINTS)).round().astype(int))]
    return [(round(float(recall[at]), 4), float(precision[at])) for at in kept]
