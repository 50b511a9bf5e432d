"""How good found boxes are: average precision as PASCAL VOC and COCO count it, curves, and the worst errors."""

from millijoule.detect.evaluation.result import ClassEvaluation, DetectionEvaluation, evaluate_boxes
from millijoule.detect.evaluation.voc import Curve

__all__ = ["ClassEvaluation", "Curve", "DetectionEvaluation", "evaluate_boxes"]
