"""Detectors in the graph: backbones without their classifier, a feature pyramid, and the heads that find boxes."""

from millijoule.detect.heads.detector import HEADS, Detector, centre, ssdlite

__all__ = ["HEADS", "Detector", "centre", "ssdlite"]
