"""A set of annotated images in numbers: how many, how large, what was found wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from millijoule.detect.data.detection_set import AnnotatedImage, DetectionSet


@dataclass(frozen=True)
class ClassSummary:
    """One class. images: for training, that show it. boxes, test_boxes: annotated for training and for testing;
    difficult, truncated: of both together.

    size: the median box of training, (width, height) in fractions of the image's; None without boxes.
    """

    name: str
    images: int
    boxes: int
    test_boxes: int
    difficult: int
    truncated: int
    size: tuple[float, float] | None


@dataclass(frozen=True)
class SetSummary:
    """images, test_images: for training and for testing; empty: without boxes, of both. most: boxes of the fullest
    image. sizes: (height, width) of the images → how many have it, the most common first.

    smallest: the side, as a fraction of the image's, that 95 % of the boxes for training exceed: what a network must
    still see.
    """

    name: str
    images: int
    test_images: int
    empty: int
    most: int
    sizes: dict[tuple[int, int], int]
    smallest: float
    classes: tuple[ClassSummary, ...]
    flaws: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        sizes = [{"height": size[0], "width": size[1], "images": count} for size, count in self.sizes.items()]
        return asdict(self) | {"sizes": sizes, "classes": [asdict(each) for each in self.classes]}


def summarise(data: DetectionSet) -> SetSummary:
    """The set in numbers."""
    every = (*data.train, *data.test)
    sides = _relative(data.train)
    return SetSummary(
        data.name,
        len(data.train),
        len(data.test),
        sum(not len(image.boxes) for image in every),
        max(len(image.boxes) for image in every),
        dict(Counter(image.size for image in every).most_common()),
        float(np.percentile(sides.min(axis=1), 5)) if len(sides) else 0.0,
        tuple(_class_summary(data, label, name) for label, name in enumerate(data.classes)),
        data.flaws,
    )


def _class_summary(data: DetectionSet, label: int, name: str) -> ClassSummary:
    of_train, of_test = ([image.boxes.labels == label for image in images] for images in (data.train, data.test))
    every = list(zip((*data.train, *data.test), (*of_train, *of_test), strict=True))
    sides = _relative(data.train)[np.concatenate(of_train)]
    return ClassSummary(
        name,
        sum(bool(which.any()) for which in of_train),
        sum(int(which.sum()) for which in of_train),
        sum(int(which.sum()) for which in of_test),
        sum(int(image.boxes.difficult[which].sum()) for image, which in every),
        sum(int(image.truncated[which].sum()) for image, which in every if image.truncated is not None),
        (float(np.median(sides[:, 0])), float(np.median(sides[:, 1]))) if len(sides) else None,
    )


def _relative(images: Sequence[AnnotatedImage]) -> np.ndarray:
    """(n, 2): width and height of every box in fractions of its image's."""
    sides = [
        (image.boxes.corners[:, 2:] - image.boxes.corners[:, :2]) / np.array(image.size[::-1], np.float64)
        for image in images
    ]
    return np.concatenate([np.zeros((0, 2)), *sides])
