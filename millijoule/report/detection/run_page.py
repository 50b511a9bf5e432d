"""What the page of a training tells of a detector's test images."""

from __future__ import annotations

from millijoule.report.detection.findings import Findings
from millijoule.report.detection.sections import sections
from millijoule.report.detection.tables import percent
from millijoule.report.training.run_page import Tested


def counted(findings: Findings) -> Tested:
    evaluation = findings.evaluation
    cards = [
        ("Test mAP@0.5", percent(evaluation.map_50_area), f"{percent(evaluation.map_50_11point)} by VOC 2007's rule"),
        ("Test mAP, COCO", percent(evaluation.map_coco), "the mean over overlaps from 0.5 to 0.95"),
    ]
    return Tested(cards, sections(findings), evaluation.to_json())
