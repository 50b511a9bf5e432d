"""What the page of a training tells of a detector's test images."""

from __future__ import annotations

from collections.abc import Sequence

from millijoule.boxes import Boxes
from millijoule.detect.data import DetectionSet
from millijoule.detect.evaluation import DetectionEvaluation
from millijoule.detect.evaluation.errors import cost_of_errors, find_errors
from millijoule.report.detection.curves import precision_recall_charts
from millijoule.report.detection.history import detectors, history_chart
from millijoule.report.detection.tables import CLASS_COLUMNS, ERROR_COLUMNS, class_rows, error_rows, percent
from millijoule.report.page.frame import html_table
from millijoule.report.training.run_page import Tested


def tested(name: str, data: DetectionSet, found: Sequence[Boxes], evaluation: DetectionEvaluation) -> Tested:
    """found: in each test image, in its pixels. name: of the network."""
    truth = [image.boxes for image in data.test]
    errors = find_errors(found, truth, [image.size for image in data.test])
    costs = cost_of_errors(found, truth, errors, len(data.classes))
    cards = [
        ("Test mAP@0.5", percent(evaluation.map_50_area), f"{percent(evaluation.map_50_11point)} by VOC 2007's rule"),
        ("Test mAP, COCO", percent(evaluation.map_coco), "the mean over overlaps from 0.5 to 0.95"),
    ]
    sections = [
        ("Test images, class by class", _scroll(html_table(CLASS_COLUMNS, class_rows(evaluation)))),
        ("Precision and recall", precision_recall_charts(evaluation)),
        ("Errors", _scroll(html_table(ERROR_COLUMNS, error_rows(errors, costs)))),
        (
            "Beside the published detectors",
            _scroll(history_chart(detectors(name, data.name, evaluation.map_50_11point))),
        ),
    ]
    return Tested(cards, sections, evaluation.to_json())


def _scroll(html: str) -> str:
    return f'<div class="scroll">{html}</div>'
