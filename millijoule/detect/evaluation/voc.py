"""Average precision as the development kit of PASCAL VOC counts it, at an overlap of 0.5.

Everingham et al. 2010, "The PASCAL Visual Object Classes (VOC) Challenge", sections 4.2 and 4.4; VOCevaldet.m and
VOCap.m of the development kits of 2007 and 2010.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from millijoule.boxes import Boxes
from millijoule.detect.evaluation.overlap import overlaps

LEAST_OVERLAP = 0.5
# As MATLAB makes 0:0.1:1, from both ends: the fourth is a little more than 0.3, and 3 of 10 boxes do not reach it.
ELEVEN = np.concatenate([np.arange(6) * 0.1, 1 - np.arange(4, -1, -1) * 0.1])


NONE = Boxes.of()


@dataclass(frozen=True, eq=False)
class Curve:
    """What a class's boxes reach, as the least score goes down: (n,) each, the best score first.

    scores: float32. recall, precision: float64, of the boxes with this score or a better one. Detections of difficult
    objects count for nothing and are not among them.
    """

    scores: np.ndarray
    recall: np.ndarray
    precision: np.ndarray

    @property
    def best(self) -> int | None:
        """Where F1, the harmonic mean of recall and precision, is greatest; None if nothing right was found."""
        total = self.recall + self.precision
        if not total.any():
            return None
        return int(np.argmax(np.divide(self.recall * self.precision, total, out=np.zeros_like(total), where=total > 0)))


def of_class(images: Sequence[Boxes], label: int) -> list[Boxes]:
    """The boxes of one class in each image."""
    return [boxes.take(which) if (which := boxes.labels == label).any() else NONE for boxes in images]


def matched(found: Boxes, truth: Boxes) -> tuple[np.ndarray, np.ndarray]:
    """For each found box, of one class in one image: (the annotated box that it overlaps most, how much).

    The first of equal ones; (-1, 0.0) where it overlaps none.
    """
    if not len(found) or not len(truth):
        return np.full(len(found), -1), np.zeros(len(found))
    shared = overlaps(found.corners, truth.corners)
    best = shared.argmax(axis=1)
    most = shared[np.arange(len(found)), best]
    return np.where(most > 0, best, -1), most


def precision_recall(found: Sequence[Boxes], truth: Sequence[Boxes]) -> Curve:
    """The curve of one class; found, truth: its boxes in each image.

    A found box belongs to the annotated box that it overlaps most. If that is difficult, it counts for nothing; if the
    overlap is less than 0.5, or a box with a better score belongs there already, it is false. Of equal scores, the
    earlier image's and the earlier box come first.
    """
    scores = np.concatenate([NONE.scores, *(boxes.scores for boxes in found)])
    owners, first, ignored = [NONE.labels], 0, [NONE.difficult]
    for some, drawn in zip(found, truth, strict=True):
        if not len(some):
            first += len(drawn)
            continue
        best, most = matched(some, drawn)
        hit = most >= LEAST_OVERLAP
        owners.append(np.where(hit, first + best, -1))
        ignored.append(hit & drawn.difficult[best] if len(drawn) else hit)
        first += len(drawn)
    order = np.argsort(-scores, kind="stable")
    order = order[~np.concatenate(ignored)[order]]
    owner = np.concatenate(owners)[order]
    true = np.zeros(len(order), bool)
    true[np.unique(owner, return_index=True)[1]] = True  # the first of each
    true &= owner >= 0
    positives = sum(int(np.sum(~boxes.difficult)) for boxes in truth)
    right = np.cumsum(true).astype(np.float64)
    return Curve(scores[order], right / positives if positives else right, right / np.arange(1, len(order) + 1))


def eleven_point(curve: Curve) -> float:
    """The mean of the best precision at a recall of at least 0, 0.1, …, 1: VOC 2007 to 2009."""
    best = [curve.precision[curve.recall >= least].max(initial=0.0) for least in ELEVEN]
    return float(np.mean(best))


def mean_area_under(found: Sequence[Boxes], truth: Sequence[Boxes], classes: int) -> float:
    """The mean of `area_under` over the classes that have annotated boxes; NaN if none has."""
    values = []
    for label in range(classes):
        some, drawn = of_class(found, label), of_class(truth, label)
        if any(np.any(~boxes.difficult) for boxes in drawn):
            values.append(area_under(precision_recall(some, drawn)))
    return float(np.mean(values)) if values else float("nan")


def area_under(curve: Curve) -> float:
    """The area under the curve, each precision raised to the best at a larger recall: VOC 2010 and later."""
    recall = np.concatenate([[0.0], curve.recall, [1.0]])
    precision = np.concatenate([[0.0], curve.precision, [0.0]])
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(np.diff(recall) * precision[1:]))
