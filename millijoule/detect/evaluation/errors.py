"""What is wrong with found boxes: which kinds of error there are, the worst of each, and what each kind costs.

After Hoiem et al. 2012, "Diagnosing Error in Object Detectors", and Bolya et al. 2020, "TIDE: A General Toolbox for
Identifying Object Detection Errors".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from millijoule.boxes import Boxes
from millijoule.detect.evaluation.overlap import areas, overlaps
from millijoule.detect.evaluation.voc import LEAST_OVERLAP, mean_area_under

KINDS = {
    "background": "nothing of any class is there",
    "duplicate": "the object was found already, with a better score",
    "confused": "an object of another class is there",
    "misplaced": "an object of this class is near, but the overlap is under 0.5",
    "missed": "no box is near the object",
}
NEAR = 0.1
"""An overlap under which boxes have nothing to do with each other."""


@dataclass(frozen=True, eq=False)
class BoxError:
    """kind: of KINDS. image: position of the image. found: position of the found box in it; None if it is missed.
    truth: position of the annotated box that is found twice, confused, near or missed; None if there is none. overlap:
    of both. score: of the found box; of a missed one, the part of its image that it fills.
    """

    kind: str
    image: int
    found: int | None
    truth: int | None
    overlap: float
    score: float

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def find_errors(
    found: Sequence[Boxes], truth: Sequence[Boxes], sizes: Sequence[tuple[int, int]] | None = None
) -> list[BoxError]:
    """Every error, the worst first: by score; missed objects by how much of their image they fill.

    A found box is right or wrong as VOC's kit says. sizes: (height, width) of the images; default: as far as boxes go.
    Boxes under the score that one would use should be left out before, since they are no errors then.
    """
    errors: list[BoxError] = []
    for image, (some, drawn) in enumerate(zip(found, truth, strict=True)):
        whole = float(np.prod(sizes[image])) if sizes is not None else _extent(some, drawn)
        errors += _image_errors(image, some, drawn, whole)
    return sorted(errors, key=lambda error: -error.score)


def worst_errors(errors: Sequence[BoxError], most: int = 6) -> dict[str, list[BoxError]]:
    """The `most` worst of each kind, the kinds in the order of KINDS; kinds that do not occur are left out."""
    by_kind = {kind: [error for error in errors if error.kind == kind][:most] for kind in KINDS}
    return {kind: some for kind, some in by_kind.items() if some}


def cost_of_errors(
    found: Sequence[Boxes], truth: Sequence[Boxes], errors: Sequence[BoxError], classes: int
) -> dict[str, float]:
    """By how much VOC's mean average precision (area) would rise if all errors of a kind were mended: in 0…1.

    Boxes on the background and duplicates go; confused boxes get the right class and misplaced ones the right place,
    or go where the object was found already; missed objects count no longer. Gains do not add up to what is missing.
    """
    before = mean_area_under(found, truth, classes)
    return {kind: mean_area_under(*_mended(found, truth, errors, kind), classes) - before for kind in KINDS}


def _extent(found: Boxes, truth: Boxes) -> float:
    return float(np.prod(np.concatenate([found.corners, truth.corners, np.ones((1, 4))])[:, 2:].max(axis=0)))


def _image_errors(image: int, found: Boxes, truth: Boxes, whole: float) -> list[BoxError]:
    errors = []
    shared = overlaps(found.corners, truth.corners)
    same = found.labels[:, None] == truth.labels[None]
    reached = np.zeros(len(truth), bool)
    right = np.zeros(len(truth), bool)
    for index in np.argsort(-found.scores, kind="stable"):
        kind, at = _kind(np.where(same[index], shared[index], 0), np.where(same[index], 0, shared[index]))
        if kind == "found":
            if truth.difficult[at] or not right[at]:
                right[at] = True
                continue
            kind = "duplicate"
        overlap = 0.0 if at is None else float(shared[index, at])
        if at is not None:
            reached[at] = True
        errors.append(BoxError(kind, image, int(index), at, overlap, float(found.scores[index])))
    for at in map(int, np.flatnonzero(~right & ~reached & ~truth.difficult)):
        errors.append(BoxError("missed", image, None, at, 0.0, float(areas(truth.corners)[at] / whole)))
    return errors


def _kind(own: np.ndarray, other: np.ndarray) -> tuple[str, int | None]:
    """(what a found box is, the annotated box it is about), from its overlaps with those of its class and others."""
    if not len(own):
        return "background", None
    best, else_best = int(own.argmax()), int(other.argmax())
    if own[best] >= LEAST_OVERLAP:
        return "found", best
    if other[else_best] >= LEAST_OVERLAP:
        return "confused", else_best
    return ("misplaced", best) if own[best] >= NEAR else ("background", None)


def _mended(
    found: Sequence[Boxes], truth: Sequence[Boxes], errors: Sequence[BoxError], kind: str
) -> tuple[list[Boxes], list[Boxes]]:
    """found and truth without the errors of a kind; errors: the worst first."""
    images: list[list[BoxError]] = [[] for _ in found]
    for error in errors:
        if error.kind == kind:
            images[error.image].append(error)
    pairs = [
        _mended_image(some, drawn, wrong) if wrong else (some, drawn)
        for some, drawn, wrong in zip(found, truth, images, strict=True)
    ]
    return [some for some, _ in pairs], [drawn for _, drawn in pairs]


def _mended_image(found: Boxes, truth: Boxes, errors: Sequence[BoxError]) -> tuple[Boxes, Boxes]:
    shared = overlaps(found.corners, truth.corners) * (found.labels[:, None] == truth.labels[None])
    done: set[int | None] = set(np.flatnonzero(shared.max(axis=0, initial=0) >= LEAST_OVERLAP).tolist())
    corners, labels = found.corners.copy(), found.labels.copy()
    stays, counts = np.ones(len(found), bool), np.ones(len(truth), bool)
    for error in errors:
        if error.found is None:
            counts[error.truth] = False
        elif error.kind in ("background", "duplicate") or error.truth in done:
            stays[error.found] = False
        else:
            done.add(error.truth)
            labels[error.found] = truth.labels[error.truth]
            if error.kind == "misplaced":
                corners[error.found] = truth.corners[error.truth]
    return Boxes(corners, labels, found.scores, found.difficult).take(stays), truth.take(counts)
