"""Average precision and recall as COCO counts them.

Lin et al. 2014, "Microsoft COCO: Common Objects in Context"; cocodataset.org, "Detection Evaluation".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from millijoule.boxes import Boxes
from millijoule.detect.evaluation.overlap import areas, overlaps

LEAST_OVERLAPS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0, 1, 101)
MOST = (1, 10, 100)
SIZES = {"all": (0, 1e10), "small": (0, 32**2), "medium": (32**2, 96**2), "large": (96**2, 1e10)}
"""Areas in pixels², both ends included."""
RANGES = np.array(list(SIZES.values()), np.float64)
CELLS = len(SIZES), len(LEAST_OVERLAPS)
GRID = np.indices(CELLS)


@dataclass(frozen=True, eq=False)
class CocoClass:
    """One class. precision: (sizes, overlaps), the mean over 101 recalls; recall: (sizes, most, overlaps). NaN where no
    box of that size is annotated."""

    precision: np.ndarray
    recall: np.ndarray


@dataclass(frozen=True, eq=False)
class _Matched:
    """The best 100 found boxes of one image: scores (n,), hit and ignored (sizes, overlaps, n); and what there was to
    find: (sizes,)."""

    scores: np.ndarray
    hit: np.ndarray
    ignored: np.ndarray
    wanted: np.ndarray


def coco_class(found: Sequence[Boxes], truth: Sequence[Boxes], outlines: Sequence[np.ndarray | None]) -> CocoClass:
    """found, truth: boxes of one class in each image. outlines: the annotated objects' areas, pixels², if known.

    Difficult boxes are COCO's crowds: not counted, and any number of found boxes may lie in them.
    """
    images = [_match(*each) for each in zip(found, truth, outlines, strict=True) if len(each[0]) or len(each[1])]
    shape = len(SIZES), len(MOST), len(LEAST_OVERLAPS)
    precision, recall = np.full((shape[0], shape[2]), np.nan), np.full(shape, np.nan)
    wanted = sum((image.wanted for image in images), np.zeros(len(SIZES), np.int64))
    present = wanted > 0
    for index, most in enumerate(MOST):
        scores = np.concatenate([np.zeros(0, np.float32), *(image.scores[:most] for image in images)])
        if not len(scores):
            precision[present], recall[present] = 0, 0
            continue
        order = np.argsort(-scores, kind="stable")
        hit, ignored = (
            np.concatenate([getattr(image, name)[..., :most] for image in images], axis=-1)[..., order]
            for name in ("hit", "ignored")
        )
        right, wrong = (np.cumsum(each & ~ignored, axis=-1).astype(np.float64) for each in (hit, ~hit))
        for size in np.flatnonzero(present):
            recall[size, index] = right[size, :, -1] / wanted[size]
            if most == MOST[-1]:
                precision[size] = [
                    _mean_precision(*counts, wanted[size]) for counts in zip(right[size], wrong[size], strict=True)
                ]
    return CocoClass(precision, recall)


def _mean_precision(right: np.ndarray, wrong: np.ndarray, wanted: int) -> float:
    """The mean over 101 recalls of the best precision at that recall or a larger one; 0 where it is not reached."""
    precision = right / (right + wrong + np.spacing(1))
    best = np.maximum.accumulate(precision[::-1])[::-1]
    at = np.searchsorted(right / wanted, RECALLS, side="left")
    return float(np.mean(np.append(best, 0.0)[at]))


def _match(found: Boxes, truth: Boxes, outlines: np.ndarray | None) -> _Matched:
    """Each found box, best first, takes the free annotated box that it overlaps most, of equal ones the last.

    One that counts goes before one that does not, however much it overlaps that.
    """
    found = found.take(np.argsort(-found.scores, kind="stable")[: MOST[-1]])
    hit = np.zeros((*CELLS, len(found)), bool)
    ignored = np.repeat(_outside(areas(found.corners))[:, None], CELLS[1], axis=1)
    if not len(truth):
        return _Matched(found.scores, hit, ignored, np.zeros(CELLS[0], np.int64))
    crowd = truth.difficult
    unwanted = crowd | _outside(areas(truth.corners) if outlines is None else outlines)
    shared = overlaps(found.corners, truth.corners, crowd)
    taken = np.zeros((*CELLS, len(truth)), bool)
    for index in np.flatnonzero(shared.max(axis=1, initial=0) >= LEAST_OVERLAPS[0]):
        can = (shared[index] >= LEAST_OVERLAPS[:, None]) & (~taken | crowd)
        counts = can & ~unwanted[:, None]
        can = np.where(counts.any(axis=-1, keepdims=True), counts, can)
        best = len(truth) - 1 - np.where(can, shared[index], -1)[..., ::-1].argmax(axis=-1)
        hits = can.any(axis=-1)
        hit[..., index] = hits
        ignored[..., index] = np.where(hits, unwanted[GRID[0], best], ignored[..., index])
        taken[GRID[0], GRID[1], best] |= hits
    return _Matched(found.scores, hit, ignored, np.sum(~unwanted, axis=1))


def _outside(area: np.ndarray) -> np.ndarray:
    """(sizes, n): which areas are of another size."""
    return (area < RANGES[:, :1]) | (area > RANGES[:, 1:])
