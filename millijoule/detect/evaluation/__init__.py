"""How good found boxes are: average precision as PASCAL VOC and COCO count it, curves, and the worst errors."""

from millijoule.detect.evaluation.errors import KINDS, BoxError, cost_of_errors, find_errors, worst_errors
from millijoule.detect.evaluation.result import ClassEvaluation, DetectionEvaluation, evaluate_boxes
from millijoule.detect.evaluation.voc import Curve

__all__ = [
    "KINDS",
    "BoxError",
    "ClassEvaluation",
    "Curve",
    "DetectionEvaluation",
    "cost_of_errors",
    "evaluate_boxes",
    "find_errors",
    "worst_errors",
]
