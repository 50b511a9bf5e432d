"""Detectors of others, known by their outputs: what their files do not say of boxes, images and classes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import ceil, prod
from typing import Any, NamedTuple

from millijoule.boxes import BoxCoding, Level
from millijoule.graph import Graph, Shape


class Known(NamedTuple):
    """What is known of a detector: fields of `Model`."""

    boxes: BoxCoding
    labels: tuple[str, ...]
    preprocess: Mapping[str, Any]
    note: str


def known_detector(graph: Graph, names: Mapping[str, str], operators: frozenset[str]) -> Known | None:
    """names: what the file calls an output → the graph's output. operators: all that the file's graph has."""
    shapes = {name: graph.shapes[value] for name, value in names.items()}
    if len(graph.inputs) != 1 or len(graph.inputs[0].shape) != 3 or graph.inputs[0].shape[2] != 3:
        return None
    height, width, _ = graph.inputs[0].shape
    for detector in DETECTORS:
        found = detector((height, width), shapes, operators)
        if found is not None:
            return found._replace(boxes=found.boxes.renamed(names))
    return None


def yunet(size: tuple[int, int], shapes: Mapping[str, Shape], operators: frozenset[str]) -> Known | None:
    """YuNet: a cell has one anchor of its own size, which lies at its upper left corner.

    The input is blue, green, red, pixels of 0…255. The landmarks, kps_8 to kps_32, are left as they are.
    Source: Wu et al. 2023, "YuNet: a tiny millisecond-level face detector"; decoding and thresholds as in OpenCV,
    modules/objdetect/src/face_detect.cpp.
    """
    levels = tuple(
        Level(f"cls_{step}", f"bbox_{step}", size[0] // step, size[1] // step, step, ((step, step),), f"obj_{step}")
        for step in (8, 16, 32)
    )
    coding = BoxCoding(
        levels, size, 1, centre=0.0, variances=(1.0, 1.0), logits=False, threshold=0.9, overlap=0.3, candidates=500
    )
    if any(length % 32 for length in size) or not _suits(coding, shapes):
        return None
    preprocess = {"mean": [0.0] * 3, "std": [1 / 255] * 3, "order": [2, 1, 0]}
    note = "known as YuNet by its outputs: they become boxes of faces; its input is blue, green, red"
    return Known(coding, ("face",), preprocess, note)


def ultraface(size: tuple[int, int], shapes: Mapping[str, Shape], operators: frozenset[str]) -> Known | None:
    """UltraFace, as it is exported without the computation of boxes: SSD with squares in four maps.

    Source: repository Linzaer/Ultra-Light-Fast-Generic-Face-Detector-1MB, vision/ssd/config/fd_config.py (anchors,
    variances, pixels) and vision/utils/box_utils.py (decoding; anchors are cut to the image).
    """
    levels, first = [], 0
    sides = {8: (10, 16, 24), 16: (32, 48), 32: (64, 96), 64: (128, 192, 256)}
    for step, squares in sides.items():
        rows, columns = (ceil(length / step) for length in size)
        anchors = tuple((float(min(side, size[1])), float(min(side, size[0]))) for side in squares)
        levels.append(Level("scores", "boxes", rows, columns, step, anchors, first=first))
        first += levels[-1].count
    coding = BoxCoding(tuple(levels), size, 1, logits=False, background=True, threshold=0.7, overlap=0.3)
    if "Exp" in operators or not _suits(coding, shapes):  # with Exp, the outputs are boxes already
        return None
    preprocess = {"mean": [127 / 255] * 3, "std": [128 / 255] * 3}
    return Known(coding, ("face",), preprocess, "known as UltraFace by its outputs: they become boxes of faces")


DETECTORS: tuple[Callable[[tuple[int, int], Mapping[str, Shape], frozenset[str]], Known | None], ...]
DETECTORS = (yunet, ultraface)


def _suits(coding: BoxCoding, shapes: Mapping[str, Shape]) -> bool:
    """Whether the outputs are there, each with one row for every anchor."""
    try:
        coding.check(shapes)
    except ValueError:
        return False
    return all(len(shapes[name]) == 2 and prod(shapes[name]) for name in coding.outputs)
