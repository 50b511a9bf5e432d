"""Which cells of a detector answer for which annotated box. numpy only."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

import numpy as np

from millijoule.boxes import BoxCoding, Boxes
from millijoule.detect.evaluation.overlap import overlaps

OBJECT = 0.5
NOTHING = 0.4
"""An anchor that overlaps a box by so much or more stands for it; by less than the second, for nothing."""
NEAR = 0.7
"""A centre that is moved so far that its box overlaps the true one by this still counts somewhat."""


@dataclass(frozen=True, eq=False)
class Targets:
    """What the anchors of one image should say.

    scores: (anchors, classes) float32, 1 for an object of the class, and between 0 and 1 near a centre point. counts:
    (anchors,) bool, False where nothing is learnt. positive: (n,) the anchors that stand for an object. corners: (n, 4)
    float32, its box, in pixels of the input.
    """

    scores: np.ndarray
    counts: np.ndarray
    positive: np.ndarray
    corners: np.ndarray


def anchors_of(coding: BoxCoding) -> np.ndarray:
    """(anchors, 4) float32: centre x, centre y, width, height of every anchor of every cell, in the outputs' order."""
    parts = []
    for level in coding.levels:
        rows, columns, anchor = np.meshgrid(
            np.arange(level.rows), np.arange(level.columns), np.arange(len(level.anchors)), indexing="ij"
        )
        sizes = np.asarray(level.anchors, np.float32)[anchor]
        centres = (np.stack([columns, rows], axis=-1) + coding.centre) * level.step
        parts.append(np.concatenate([centres, sizes], axis=-1).reshape(-1, 4))
    return np.concatenate(parts).astype(np.float32)


def targets(coding: BoxCoding, anchors: np.ndarray, boxes: Boxes) -> Targets:
    """What an image with these boxes asks of the anchors. Boxes that are difficult ask nothing, nor forbid anything."""
    return _peaks(coding, boxes) if coding.peaks else _overlapping(coding, anchors, boxes)


def _overlapping(coding: BoxCoding, anchors: np.ndarray, boxes: Boxes) -> Targets:
    """By overlap; of every box at least its best anchor (Liu et al. 2016, section 2.2, Matching strategy)."""
    scores = np.zeros((len(anchors), coding.classes), np.float32)
    if not len(boxes):
        return Targets(scores, np.ones(len(anchors), bool), np.zeros(0, np.int64), np.zeros((0, 4), np.float32))
    corners = np.concatenate([anchors[:, :2] - anchors[:, 2:] / 2, anchors[:, :2] + anchors[:, 2:] / 2], axis=1)
    overlap = overlaps(corners, boxes.corners)
    counts = overlap.max(axis=1) < NOTHING
    asked = np.flatnonzero(~boxes.difficult)
    if not len(asked):
        return Targets(scores, counts, np.zeros(0, np.int64), np.zeros((0, 4), np.float32))
    best, of_box = overlap[:, asked].max(axis=1), overlap[:, asked].argmax(axis=1)
    # The smallest box last, so that of two with one best anchor it wins: it has fewer others.
    sizes = (boxes.corners[asked, 2:] - boxes.corners[asked, :2]).prod(axis=1)
    for box in np.argsort(-sizes, kind="stable"):
        anchor = overlap[:, asked[box]].argmax()
        best[anchor], of_box[anchor] = 1.0, box
    positive = np.flatnonzero(best >= OBJECT)
    chosen = asked[of_box[positive]]
    scores[positive, boxes.labels[chosen]] = 1.0
    counts[positive] = True
    return Targets(scores, counts, positive, boxes.corners[chosen])


def _peaks(coding: BoxCoding, boxes: Boxes) -> Targets:
    """A Gaussian around the cell of each centre, whose spread follows the box (Zhou et al. 2019, section 3)."""
    (level,) = coding.levels
    heat = np.zeros((level.rows, level.columns, coding.classes), np.float32)
    counts = np.ones((level.rows, level.columns), bool)
    cells, corners = {}, {}
    sizes = boxes.corners[:, 2:] - boxes.corners[:, :2]
    for index in np.argsort(-sizes.prod(axis=1), kind="stable"):
        middle = (boxes.corners[index, :2] + boxes.corners[index, 2:]) / 2 / level.step
        column, row = np.minimum(middle.astype(int), (level.columns - 1, level.rows - 1))
        if boxes.difficult[index]:
            counts[row, column] = False
            continue
        spread = np.maximum(_reach(sizes[index] / level.step) / 3, 1e-6)
        reach = ceil(3 * spread.max())
        rows, columns = np.mgrid[
            max(0, row - reach) : min(level.rows, row + reach + 1),
            max(0, column - reach) : min(level.columns, column + reach + 1),
        ]
        bell = np.exp(-0.5 * (((columns - column) / spread[0]) ** 2 + ((rows - row) / spread[1]) ** 2))
        around = heat[rows, columns, boxes.labels[index]]
        heat[rows, columns, boxes.labels[index]] = np.maximum(around, bell.astype(np.float32))
        # The smaller of two objects in one cell stays.
        cells[row, column] = index
    for (row, column), index in cells.items():
        counts[row, column] = True
        corners[row * level.columns + column] = boxes.corners[index]
    positive = np.array(list(corners), np.int64)
    return Targets(
        heat.reshape(-1, coding.classes),
        counts.reshape(-1),
        positive,
        np.array(list(corners.values()), np.float32).reshape(-1, 4),
    )


def _reach(size: np.ndarray) -> np.ndarray:
    """(2,): how far a box of `size` may be moved along each axis until it overlaps itself by NEAR only.

    Moved by d of its width w, boxes overlap by (w - d) / (w + d).
    """
    moved: np.ndarray = size * (1 - NEAR) / (1 + NEAR)
    return moved
