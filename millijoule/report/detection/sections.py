"""What pages tell of a detector's test images."""

from __future__ import annotations

from millijoule.detect.evaluation.errors import cost_of_errors, find_errors
from millijoule.report.detection.curves import precision_recall_charts
from millijoule.report.detection.findings import Findings
from millijoule.report.detection.gallery import some_images, worst_of
from millijoule.report.detection.history import detectors, history_chart
from millijoule.report.detection.tables import CLASS_COLUMNS, ERROR_COLUMNS, class_rows, error_rows
from millijoule.report.page.frame import html_table


def sections(findings: Findings) -> list[tuple[str, str]]:
    """(heading, HTML): classes, curves, pictures, errors, and the run beside the published detectors.

    The page needs the rules of training/style.css.
    """
    evaluation, found = findings.evaluation, findings.acted_on
    truth, sizes = [image.boxes for image in findings.images], [image.size for image in findings.images]
    errors = find_errors(found, truth, sizes)
    rows = error_rows(errors, cost_of_errors(found, truth, errors, len(findings.classes)))
    from_there_on = f"<p>Of the boxes with a score of {findings.threshold:g} or more.</p>"
    history = history_chart(detectors(findings.model, findings.data, evaluation.map_50_11point))
    return [
        ("Test images, class by class", _scroll(html_table(CLASS_COLUMNS, class_rows(evaluation)))),
        ("Precision and recall", precision_recall_charts(evaluation)),
        ("Test images: annotated, and found", from_there_on + some_images(findings)),
        ("Errors", from_there_on + _scroll(html_table(ERROR_COLUMNS, rows)) + worst_of(findings, errors)),
        ("Beside the published detectors", _scroll(history)),
    ]


def _scroll(html: str) -> str:
    return f'<div class="scroll">{html}</div>'
