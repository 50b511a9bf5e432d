"""The values: an annotated image, and a set of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from millijoule.boxes import Boxes
from millijoule.errors import DataError
from millijoule.train.images import read_image


@dataclass(frozen=True, eq=False)
class AnnotatedImage:
    """An image file with the boxes that people drew.

    size: (height, width) as the image is seen, that is after its orientation mark. boxes: in its pixels.
    truncated: (n,) bool, which boxes show a part of the object only; None: not said.
    areas: (n,) float64, pixels² of the objects' outlines, by which COCO sorts them into small, medium and large; None:
    not said, then those of the boxes count.
    """

    path: Path
    size: tuple[int, int]
    boxes: Boxes
    truncated: np.ndarray | None = None
    areas: np.ndarray | None = None

    def pixels(self, size: tuple[int, int] | None = None) -> np.ndarray:
        """uint8 (height, width, 3), its own size or the asked one (bilinear, aspect not kept); DataError if unreadable.

        A grey image has three equal channels.
        """
        try:
            image = read_image(self.path, size or self.size)
        except DataError as error:
            raise DataError(f"{error}: mend or remove it, or give --skip-bad to use the rest") from None
        return np.ascontiguousarray(np.broadcast_to(image, (*image.shape[:2], 3)))


@dataclass(frozen=True, eq=False)
class DetectionSet:
    """Annotated images, split into training and test.

    classes: names; a box's label is a position in them. notes: what the reader of results must know, one line each.
    flaws: everything that was found wrong and left out or mended, one line each, with file and line.

    Raises DataError for a label that is no class.
    """

    name: str
    classes: tuple[str, ...]
    train: tuple[AnnotatedImage, ...]
    test: tuple[AnnotatedImage, ...]
    notes: tuple[str, ...] = ()
    flaws: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for image in (*self.train, *self.test):
            labels = image.boxes.labels
            for label in labels[(labels < 0) | (labels >= len(self.classes))][:1]:
                raise DataError(
                    f"'{self.name}': '{image.path.name}' has a box with the label {label}; "
                    f"labels of the {len(self.classes)} classes go from 0 to {len(self.classes) - 1}"
                )
