"""Images with annotated boxes, from PASCAL VOC, COCO and YOLO data sets."""

from millijoule.detect.data.detection_set import AnnotatedImage, DetectionSet
from millijoule.detect.data.load import load_detection

__all__ = ["AnnotatedImage", "DetectionSet", "load_detection"]
