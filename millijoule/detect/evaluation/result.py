"""Found boxes beside annotated ones: the values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from millijoule.boxes import Boxes
from millijoule.detect.evaluation.coco import LEAST_OVERLAPS, MOST, SIZES, coco_class
from millijoule.detect.evaluation.voc import Curve, area_under, eleven_point, of_class, precision_recall
from millijoule.errors import DataError


@dataclass(frozen=True, eq=False)
class ClassEvaluation:
    """One class. boxes: annotated ones that count; difficult: those that do not; found: detections.

    ap_50_11point, ap_50_area: VOC's, of 2007 and of 2010, at an overlap of 0.5. ap_coco: the mean over overlaps from
    0.5 to 0.95. All are in 0…1, and NaN where nothing is annotated. curve: VOC's.
    """

    name: str
    boxes: int
    difficult: int
    found: int
    ap_50_11point: float
    ap_50_area: float
    ap_coco: float
    curve: Curve

    def to_json(self) -> dict[str, Any]:
        best = self.curve.best
        return {
            "class": self.name,
            "boxes": self.boxes,
            "difficult": self.difficult,
            "found": self.found,
            "ap_50_11point": _plain(self.ap_50_11point),
            "ap_50_area": _plain(self.ap_50_area),
            "ap_coco": _plain(self.ap_coco),
            "best_f1": None
            if best is None
            else {
                "score": float(self.curve.scores[best]),
                "precision": float(self.curve.precision[best]),
                "recall": float(self.curve.recall[best]),
            },
        }


@dataclass(frozen=True, eq=False)
class DetectionEvaluation:
    """Means over the classes that have annotated boxes; NaN if none has.

    coco: COCO's twelve numbers by name: ap, ap_50, ap_75, ap_small, ap_medium, ap_large; ar_1, ar_10, ar_100 (the most
    boxes of an image that count), ar_small, ar_medium, ar_large.
    """

    images: int
    classes: tuple[ClassEvaluation, ...]
    coco: dict[str, float]

    @property
    def map_50_11point(self) -> float:
        """VOC 2007's."""
        return _mean([each.ap_50_11point for each in self.classes])

    @property
    def map_50_area(self) -> float:
        """That of VOC from 2010 on."""
        return _mean([each.ap_50_area for each in self.classes])

    @property
    def map_coco(self) -> float:
        """COCO's: over overlaps from 0.5 to 0.95."""
        return self.coco["ap"]

    def to_json(self) -> dict[str, Any]:
        return {
            "images": self.images,
            "map_50_11point": _plain(self.map_50_11point),
            "map_50_area": _plain(self.map_50_area),
            "map_coco": _plain(self.map_coco),
            "coco": {name: _plain(value) for name, value in self.coco.items()},
            "classes": [each.to_json() for each in self.classes],
        }


def evaluate_boxes(
    found: Sequence[Boxes],
    truth: Sequence[Boxes],
    classes: Sequence[str],
    areas: Sequence[np.ndarray | None] | None = None,
) -> DetectionEvaluation:
    """found, truth: the boxes of each image, found and annotated, in the same pixels. classes: names of the labels.

    areas: pixels² of the annotated objects' outlines in each image, by which COCO tells small, medium and large ones
    apart; default: those of the boxes. Found boxes need no order, but should have been suppressed.

    Raises DataError if the numbers of images differ or a label is not one of the classes.
    """
    if len(found) != len(truth):
        raise DataError(f"{len(found)} images with found boxes, {len(truth)} with annotated ones; they must be equal")
    for index, boxes in enumerate((*found, *truth)):
        for label in boxes.labels[(boxes.labels < 0) | (boxes.labels >= len(classes))][:1]:
            raise DataError(
                f"image {index % len(truth)}: a box has the label {label}; "
                f"labels of the {len(classes)} classes go from 0 to {len(classes) - 1}"
            )
    outlines = list(areas) if areas is not None else [None] * len(truth)
    results, cocos = [], []
    for label, name in enumerate(classes):
        some, drawn = of_class(found, label), of_class(truth, label)
        sizes = [
            None if size is None else size[boxes.labels == label] for size, boxes in zip(outlines, truth, strict=True)
        ]
        difficult = sum(int(boxes.difficult.sum()) for boxes in drawn)
        count = sum(map(len, drawn)) - difficult
        curve = precision_recall(some, drawn)
        coco = coco_class(some, drawn, sizes)
        cocos.append(coco)
        results.append(
            ClassEvaluation(
                name,
                count,
                difficult,
                sum(map(len, some)),
                eleven_point(curve) if count else np.nan,
                area_under(curve) if count else np.nan,
                float(coco.precision[0].mean()),
                curve,
            )
        )
    precision = np.stack([coco.precision for coco in cocos])
    recall = np.stack([coco.recall for coco in cocos])
    summary = {"ap": _mean(precision[:, 0])}
    summary |= {f"ap_{at}": _mean(precision[:, 0, np.isclose(LEAST_OVERLAPS, at / 100)]) for at in (50, 75)}
    summary |= {f"ap_{size}": _mean(precision[:, at]) for at, size in enumerate(SIZES) if at}
    summary |= {f"ar_{most}": _mean(recall[:, 0, at]) for at, most in enumerate(MOST)}
    summary |= {f"ar_{size}": _mean(recall[:, at, -1]) for at, size in enumerate(SIZES) if at}
    return DetectionEvaluation(len(truth), tuple(results), summary)


def _mean(values: Any) -> float:
    """The mean of the numbers among them; NaN if there is none."""
    numbers = np.asarray(values, np.float64)
    numbers = numbers[~np.isnan(numbers)]
    return float(numbers.mean()) if numbers.size else float("nan")


def _plain(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
