"""Boxes in images, and how the outputs of a network become boxes.

Of an int8 network, scores, offsets and sizes are read from tables of 256 float32 numbers, made once here. What follows
are float32 multiplications, additions and comparisons in the order that is written, each rounded by itself, so that
numpy, torch (millijoule.detect.tensors) and C (kernels/detect.h) find the same boxes to the last bit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from millijoule.graph import Shape
    from millijoule.model import Quantization

LARGEST_GROWTH = float(np.log(1000 / 16))
"""The largest exponent of a size, so that no size overflows: of an anchor of 16 pixels, 1000 are the most."""


@dataclass(frozen=True, eq=False)
class Boxes:
    """Boxes in one image.

    corners: (n, 4) float32, left, top, right, bottom, in pixels; a pixel's area goes from its number to the next, so
    VOC's 1-based inclusive (xmin, ymin, xmax, ymax) is (xmin - 1, ymin - 1, xmax, ymax). labels: (n,) int64.
    scores: (n,) float32, of detections; annotated boxes have 1.0. difficult: (n,) bool, of annotated boxes; else False.
    """

    corners: np.ndarray
    labels: np.ndarray
    scores: np.ndarray
    difficult: np.ndarray

    def __post_init__(self) -> None:
        count = len(self.labels)
        shapes = {"corners": (count, 4), "labels": (count,), "scores": (count,), "difficult": (count,)}
        for name, shape in shapes.items():
            if getattr(self, name).shape != shape:
                raise ValueError(f"{name} of {count} boxes have shape {getattr(self, name).shape}; {shape} is needed")

    @classmethod
    def of(
        cls,
        corners: Any = (),
        labels: Any = (),
        scores: Any = None,
        difficult: Any = None,
    ) -> Boxes:
        """Boxes of anything that numpy takes for arrays; without arguments none. Scores are 1.0 unless given."""
        found = np.asarray(labels, np.int64).reshape(-1)
        return cls(
            np.asarray(corners, np.float32).reshape(-1, 4),
            found,
            np.ones(len(found), np.float32) if scores is None else np.asarray(scores, np.float32),
            np.zeros(len(found), bool) if difficult is None else np.asarray(difficult, bool),
        )

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, which: np.ndarray) -> Boxes:
        """Those at the indices `which`, or where it is True."""
        return Boxes(self.corners[which], self.labels[which], self.scores[which], self.difficult[which])

    def to_json(self, classes: Sequence[str]) -> list[dict[str, Any]]:
        """One dict for each: class, score, left, top, right, bottom; the keys are a stable interface."""
        return [
            {"class": classes[label], "score": score, "left": left, "top": top, "right": right, "bottom": bottom}
            for label, score, (left, top, right, bottom) in zip(
                self.labels.tolist(), self.scores.tolist(), self.corners.tolist(), strict=True
            )
        ]

    def scaled(self, of: Sequence[int], to: Sequence[int]) -> Boxes:
        """The same boxes after an image of size `of`, (height, width), was stretched to size `to`."""
        factors = np.array([to[1] / of[1], to[0] / of[0]] * 2, np.float32)
        return Boxes(self.corners * factors, self.labels, self.scores, self.difficult)


@dataclass(frozen=True)
class Level:
    """One grid of cells, and the outputs of the graph that speak of it.

    scores: the output (rows, columns, anchors · classes), anchor by anchor; or (cells · anchors, classes), as networks
    from elsewhere have it. boxes: the output with dx, dy, dw, dh for each anchor of each cell, laid out alike.
    rows, columns: cells. step: pixels from one cell to the next. anchors: (width, height) of each, in pixels.
    objectness: the output with one number for each anchor of each cell; "" for none. first: where this level begins in
    outputs that several levels share, counted in anchors of cells.
    """

    scores: str
    boxes: str
    rows: int
    columns: int
    step: float
    anchors: tuple[tuple[float, float], ...]
    objectness: str = ""
    first: int = 0

    @property
    def count(self) -> int:
        """Anchors of all cells."""
        return self.rows * self.columns * len(self.anchors)

    @property
    def outputs(self) -> tuple[str, ...]:
        return (self.scores, self.boxes, *([self.objectness] if self.objectness else []))


@dataclass(frozen=True)
class BoxCoding:
    """How a network's outputs become boxes.

    levels: its grids. size: (height, width) of the input. classes: how many classes are told apart, the background not
    counted. centre: where in its cell, from 0 to 1, an anchor's centre lies. variances: (of centres, of sizes):
    x = centre_x + dx · variance_c · anchor_width; width = anchor_width · exp(dw · variance_s).
    logits: scores go through a sigmoid; False: they are probabilities already. With an objectness, the score is the
    geometric mean of both. background: class 0 is background. peaks: only cells count that are the greatest of their
    3×3 neighbours for their class and anchor, of equal ones the first (centre-point heads).
    threshold: the least score that firmware reports. overlap: boxes that overlap a better one of their class by more
    (intersection over union) are dropped. candidates: how many of the best boxes are compared. most: how many stay.

    Source: Liu et al. 2016, "SSD: Single Shot MultiBox Detector", section 2.2; peaks: Zhou et al. 2019, "Objects as
    Points", section 3.
    """

    levels: tuple[Level, ...]
    size: tuple[int, int]
    classes: int
    centre: float = 0.5
    variances: tuple[float, float] = (0.1, 0.2)
    logits: bool = True
    background: bool = False
    peaks: bool = False
    threshold: float = 0.3
    overlap: float = 0.5
    candidates: int = 200
    most: int = 100

    @property
    def columns(self) -> int:
        """Scores of one anchor: of the classes and of the background, if there is one."""
        return self.classes + self.background

    @property
    def outputs(self) -> tuple[str, ...]:
        """The graph's outputs that are read, each once."""
        return tuple(dict.fromkeys(name for level in self.levels for name in level.outputs))

    def check(self, shapes: Mapping[str, Shape]) -> None:
        """ValueError unless the graph's outputs, of `shapes`, are as large as the levels say."""
        if not self.levels or self.classes < 1 or self.candidates < 1 or self.most < 1:
            raise ValueError("a box coding needs at least one level, class and candidate, and room for a box")
        for name in self.outputs:
            if name not in shapes:
                raise ValueError(f"the box coding reads output '{name}', which the graph does not have")
            end, width = max(
                (level.first + level.count, self._width(level, name)) for level in self.levels if name in level.outputs
            )
            if prod(shapes[name]) != end * width:
                raise ValueError(
                    f"output '{name}' has shape {shapes[name]}; its {end} anchors with {width} numbers each need "
                    f"{end * width} numbers in all"
                )

    def _width(self, level: Level, name: str) -> int:
        """How many numbers an output has for each anchor."""
        return {level.scores: self.columns, level.boxes: 4}.get(name, 1)

    def part(self, level: Level, name: str, output: Any) -> Any:
        """(batch, anchors of cells, numbers): what an output (batch, …), of numpy or of torch, says of a level."""
        flat = output.reshape(len(output), -1, self._width(level, name))
        return flat[:, level.first : level.first + level.count]

    def renamed(self, names: Mapping[str, str]) -> BoxCoding:
        """The same where outputs have other names: old → new."""
        levels = tuple(
            replace(
                level,
                scores=names.get(level.scores, level.scores),
                boxes=names.get(level.boxes, level.boxes),
                objectness=names.get(level.objectness, level.objectness),
            )
            for level in self.levels
        )
        return replace(self, levels=levels)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> BoxCoding:
        """What to_json gave, also after it was written as JSON. ValueError or TypeError if it is damaged."""
        levels = tuple(
            Level(**{**level, "anchors": tuple((float(w), float(h)) for w, h in level["anchors"])})
            for level in plain["levels"]
        )
        height, width = plain["size"]
        of_centres, of_sizes = plain["variances"]
        return cls(**{**plain, "levels": levels, "size": (height, width), "variances": (of_centres, of_sizes)})

    def score(self, level: Level, real: np.ndarray) -> np.ndarray:
        """float32: what a score or an objectness counts for. With an objectness, the root: the score is the product."""
        real = np.asarray(real, np.float64)
        if self.logits:
            with np.errstate(over="ignore"):
                real = 1 / (1 + np.exp(-real))
        real = np.clip(real, 0, 1)
        return (np.sqrt(real) if level.objectness else real).astype(np.float32)

    def offset(self, real: np.ndarray) -> np.ndarray:
        """float32: dx or dy in units of the anchor."""
        return (np.asarray(real, np.float64) * self.variances[0]).astype(np.float32)

    def growth(self, real: np.ndarray) -> np.ndarray:
        """float32: by what dw or dh multiplies the anchor."""
        return np.exp(np.minimum(np.asarray(real, np.float64) * self.variances[1], LARGEST_GROWTH)).astype(np.float32)


EVERY_INT8 = np.arange(-128, 128).astype(np.int8)


@dataclass(frozen=True, eq=False)
class Tables:
    """What each int8 of a level's outputs stands for: (256,) float32, the first for -128. objectness: or None."""

    scores: np.ndarray
    objectness: np.ndarray | None
    offsets: np.ndarray
    growths: np.ndarray

    @classmethod
    def of(cls, coding: BoxCoding, level: Level, quantization: Mapping[str, Quantization]) -> Tables:
        def real(name: str) -> np.ndarray:
            return quantization[name].dequantize(EVERY_INT8)

        return cls(
            coding.score(level, real(level.scores)),
            coding.score(level, real(level.objectness)) if level.objectness else None,
            coding.offset(real(level.boxes)),
            coding.growth(real(level.boxes)),
        )


def detect(
    coding: BoxCoding,
    outputs: Mapping[str, np.ndarray],
    quantization: Mapping[str, Quantization] | None = None,
    threshold: float | None = None,
) -> list[Boxes]:
    """What a network finds in each image of a batch: `decode`, then `suppress`."""
    found = decode(coding, outputs, quantization, threshold)
    return [suppress(boxes, coding.overlap, coding.most) for boxes in found]


def decode(
    coding: BoxCoding,
    outputs: Mapping[str, np.ndarray],
    quantization: Mapping[str, Quantization] | None = None,
    threshold: float | None = None,
) -> list[Boxes]:
    """The best boxes of each image, best first, `coding.candidates` at most, before any is suppressed.

    outputs: name → (batch, …), float; or int8 with the `quantization` of the outputs. threshold: the least score;
    default: the coding's. Equal scores stand in the order (level, row, column, anchor, class). Boxes are cut at the
    input's border, in whose pixels they are; those of which nothing is left are dropped.
    """
    least = np.float32(coding.threshold if threshold is None else threshold)
    levels = [_LevelScores.of(coding, level, outputs, quantization) for level in coding.levels]
    return [_decode_one(coding, levels, image, least) for image in range(len(outputs[coding.levels[0].scores]))]


@dataclass(frozen=True, eq=False)
class _LevelScores:
    """A level's outputs: scores (batch, anchors of cells, classes), offsets and growths (batch, anchors, 2)."""

    level: Level
    scores: np.ndarray
    offsets: np.ndarray
    growths: np.ndarray

    @classmethod
    def of(
        cls,
        coding: BoxCoding,
        level: Level,
        outputs: Mapping[str, np.ndarray],
        quantization: Mapping[str, Quantization] | None,
    ) -> _LevelScores:
        raw = {name: coding.part(level, name, outputs[name]) for name in level.outputs}
        boxes = raw[level.boxes]
        if quantization is None:
            scores = coding.score(level, raw[level.scores])
            offsets, growths = coding.offset(boxes[..., :2]), coding.growth(boxes[..., 2:])
            objectness = coding.score(level, raw[level.objectness]) if level.objectness else None
        else:
            tables = Tables.of(coding, level, quantization)
            at = {name: part.astype(np.int64) + 128 for name, part in raw.items()}
            scores = tables.scores[at[level.scores]]
            offsets, growths = tables.offsets[at[level.boxes][..., :2]], tables.growths[at[level.boxes][..., 2:]]
            objectness = tables.objectness[at[level.objectness]] if tables.objectness is not None else None
        if objectness is not None:
            scores = scores * objectness
        if coding.peaks:
            scores = np.where(_peaks(level, raw[level.scores]), scores, np.float32(-1))
        return cls(level, scores[..., int(coding.background) :], offsets, growths)


def _peaks(level: Level, raw: np.ndarray) -> np.ndarray:
    """Where raw (batch, anchors of cells, scores) is the greatest of its 3×3 cells; of equal ones the first counts."""
    grid = raw.reshape(len(raw), level.rows, level.columns, -1).astype(np.float32)
    padded = np.pad(grid, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=-np.inf)
    is_peak = np.ones(grid.shape, bool)
    for down, right in np.ndindex(3, 3):
        other = padded[:, down : down + level.rows, right : right + level.columns]
        if (down, right) < (1, 1):
            is_peak &= grid > other
        elif (down, right) > (1, 1):
            is_peak &= grid >= other
    return is_peak.reshape(raw.shape)


def _decode_one(coding: BoxCoding, levels: Sequence[_LevelScores], image: int, least: np.float32) -> Boxes:
    places = [np.flatnonzero(each.scores[image] >= least) for each in levels]
    scores = np.concatenate([each.scores[image].ravel()[at] for each, at in zip(levels, places, strict=True)])
    corners = np.concatenate(
        [_corners(coding, each, image, at // coding.classes) for each, at in zip(levels, places, strict=True)]
    )
    labels = np.concatenate([at % coding.classes for at in places])
    best = np.argsort(-scores, kind="stable")[: coding.candidates]
    found = Boxes.of(corners[best], labels[best], scores[best])
    return found.take((found.corners[:, 0] < found.corners[:, 2]) & (found.corners[:, 1] < found.corners[:, 3]))


def _corners(coding: BoxCoding, level: _LevelScores, image: int, at: np.ndarray) -> np.ndarray:
    """(n, 4) float32 of the anchors at `at`: in this order, each operation rounded."""
    grid = level.level
    cell, anchor = np.divmod(at, len(grid.anchors))
    row, column = np.divmod(cell, grid.columns)
    corners = np.empty((len(at), 4), np.float32)
    half = np.float32(0.5)
    for axis, position in enumerate((column, row)):
        size = np.array([each[axis] for each in grid.anchors], np.float32)[anchor]
        middle = (position.astype(np.float32) + np.float32(coding.centre)) * np.float32(grid.step)
        middle = middle + level.offsets[image, at, axis] * size
        reach = level.growths[image, at, axis] * size * half
        end = np.float32(coding.size[1 - axis])
        for side, edge in ((axis, middle - reach), (axis + 2, middle + reach)):
            inside = np.where(edge > 0, edge, np.float32(0))
            corners[:, side] = np.where(inside < end, inside, end)
    return corners


def suppress(boxes: Boxes, overlap: float, most: int) -> Boxes:
    """The boxes that overlap no better one of their class by more than `overlap`, best first, `most` at most.

    Greedy non-maximum suppression: overlap is intersection over union. Boxes of the same score stay in their order.
    """
    boxes = boxes.take(np.argsort(-boxes.scores, kind="stable"))
    left, top, right, bottom = boxes.corners.T
    areas = (right - left) * (bottom - top)
    stays, kept = np.ones(len(boxes), bool), list[int]()
    for index in range(len(boxes)):
        if not stays[index]:
            continue
        kept.append(index)
        if len(kept) == most:
            break
        width = np.minimum(right, right[index]) - np.maximum(left, left[index])
        height = np.minimum(bottom, bottom[index]) - np.maximum(top, top[index])
        common = np.maximum(width, 0) * np.maximum(height, 0)
        union = (areas + areas[index]) - common
        stays &= (common <= np.float32(overlap) * union) | (boxes.labels != boxes.labels[index])
    return boxes.take(np.array(kept, np.int64))
