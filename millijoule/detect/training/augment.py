"""Random changes to images together with their boxes. numpy and Pillow only."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from millijoule.boxes import Boxes
from millijoule.detect.training.settings import DetectorSettings
from millijoule.train.loop.augment import flips_first, recoloured

SHAPE = 1.2
"""Width over height of an image changes by up to so much."""
LEAST, CLEAR = 0.1, 0.4
"""Of a box that is cut, less than the first share is no object any more, less than the second is not asked for."""
CORNER = (0.3, 0.7)
"""Where the four parts of a mosaic meet, as shares of the image."""
LAST = 0.2
"""The last share of the epochs, without mosaics: the network ends on images as it will see them."""

Source = tuple[np.ndarray, Boxes]


@dataclass(frozen=True)
class Rectangle:
    """Whole pixels of an image that is being made; may reach outside of it."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        return self.right - self.left

    @property
    def height(self) -> int:
        return self.bottom - self.top

    def cut(self, other: Rectangle) -> Rectangle:
        return Rectangle(
            max(self.left, other.left),
            max(self.top, other.top),
            min(self.right, other.right),
            min(self.bottom, other.bottom),
        )


def augmented(
    source: Callable[[int], Source],
    indices: np.ndarray,
    size: tuple[int, int],
    background: np.ndarray,
    epoch: int,
    settings: DetectorSettings,
    random: np.random.Generator,
) -> tuple[np.ndarray, list[Boxes]]:
    """(uint8 (n, *size, channels), the boxes of each): the images `indices`, changed as the settings say.

    source: from a number to an image and its boxes, in pixels of that image. background: a pixel where no image is.
    What is drawn at random does not depend on the images.
    """
    parts = []
    mosaics = settings.mosaic if epoch < (1 - LAST) * settings.epochs else 0.0
    for index in indices.tolist():
        if random.random() < mosaics:
            others = random.choice(indices, 3)
            parts.append(
                _mosaic([source(each) for each in (index, *others.tolist())], size, background, settings, random)
            )
        else:
            parts.append(_single(source(index), size, background, settings, random))
    images, boxes = np.stack([image for image, _ in parts]), [each for _, each in parts]
    across = (flips_first(indices, settings.seed) + epoch) % 2 == 1 if settings.flip else np.zeros(len(indices), bool)
    down = random.random(len(indices)) < 0.5 if settings.flip_down else np.zeros(len(indices), bool)
    for number in range(len(indices)):
        images[number], boxes[number] = mirrored(
            images[number], boxes[number], bool(across[number]), bool(down[number])
        )
    if settings.colour:
        images = recoloured(images, settings.colour, random)
    return images, boxes


def place(canvas: np.ndarray, source: Source, whole: Rectangle, region: Rectangle) -> Boxes:
    """Stretch an image to the rectangle `whole` of the canvas, but paint only `region`; its boxes on the canvas.

    When shrinking, every pixel counts. Boxes are cut at the region. Of those that lose 90 % of their area or more
    nothing stays; those that lose 60 % become difficult.
    """
    from PIL import Image

    image, boxes = source
    height, width = image.shape[:2]
    seen = whole.cut(region)
    if seen.width <= 0 or seen.height <= 0:
        return Boxes.of()
    to_source = np.array([width / whole.width, height / whole.height] * 2)
    corner = np.array([whole.left, whole.top] * 2)
    part = (np.array([seen.left, seen.top, seen.right, seen.bottom]) - corner) * to_source
    pixels = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)
    painted = pixels.resize((seen.width, seen.height), Image.Resampling.BILINEAR, box=tuple(part.tolist()))
    canvas[seen.top : seen.bottom, seen.left : seen.right] = np.asarray(painted).reshape(seen.height, seen.width, -1)
    placed = Boxes((boxes.corners / to_source + corner).astype(np.float32), boxes.labels, boxes.scores, boxes.difficult)
    return clipped(placed, seen)


def clipped(boxes: Boxes, region: Rectangle) -> Boxes:
    """The boxes cut at the region; which stay, `place` says."""
    low, high = (region.left, region.top), (region.right, region.bottom)
    corners = np.clip(boxes.corners, [*low, *low], [*high, *high]).astype(np.float32)
    before, after = ((each[:, 2:] - each[:, :2]).prod(axis=1) for each in (boxes.corners, corners))
    share = after / np.maximum(before, 1e-9)
    cut = Boxes(corners, boxes.labels, boxes.scores, boxes.difficult | (share < CLEAR))
    return cut.take(share >= LEAST)


def mirrored(image: np.ndarray, boxes: Boxes, across: bool, down: bool) -> Source:
    """The image and its boxes mirrored left to right, top to bottom, or both."""
    corners = boxes.corners.copy()
    for axis, asked in ((1, across), (0, down)):
        if asked:
            image = np.flip(image, axis)
            first, last = (0, 2) if axis == 1 else (1, 3)
            corners[:, [first, last]] = image.shape[axis] - corners[:, [last, first]]
    return image, Boxes(corners, boxes.labels, boxes.scores, boxes.difficult)


def _stretched(size: tuple[int, int], settings: DetectorSettings, random: np.random.Generator) -> tuple[int, int]:
    """(height, width), at random, that a whole image is brought to."""
    factor = math.exp(random.uniform(-1, 1) * math.log1p(settings.zoom))
    shape = math.exp(random.uniform(-0.5, 0.5) * math.log(SHAPE)) if settings.zoom else 1.0
    return max(1, round(size[0] * factor / shape)), max(1, round(size[1] * factor * shape))


def _single(
    source: Source,
    size: tuple[int, int],
    background: np.ndarray,
    settings: DetectorSettings,
    random: np.random.Generator,
) -> Source:
    """One image, enlarged around a random part or shrunk to a random place."""
    height, width = _stretched(size, settings, random)
    top, left = (round(random.random() * (room - length)) for room, length in zip(size, (height, width), strict=True))
    canvas = _canvas(size, background)
    region = Rectangle(0, 0, size[1], size[0])
    return canvas, place(canvas, source, Rectangle(left, top, left + width, top + height), region)


def _mosaic(
    sources: Sequence[Source],
    size: tuple[int, int],
    background: np.ndarray,
    settings: DetectorSettings,
    random: np.random.Generator,
) -> Source:
    """Parts of four images around a random point, each covering its quarter."""
    row, column = (round(side * random.uniform(*CORNER)) for side in size)
    canvas, found = _canvas(size, background), []
    quarters = [
        (0, 0, column, row),
        (column, 0, size[1], row),
        (0, row, column, size[0]),
        (column, row, size[1], size[0]),
    ]
    for source, quarter in zip(sources, quarters, strict=True):
        region = Rectangle(*quarter)
        height, width = _stretched(size, settings, random)
        height, width = max(height, region.height), max(width, region.width)
        left = region.right - width + round(random.random() * (width - region.width))
        top = region.bottom - height + round(random.random() * (height - region.height))
        found.append(place(canvas, source, Rectangle(left, top, left + width, top + height), region))
    return canvas, joined(found)


def joined(parts: Sequence[Boxes]) -> Boxes:
    names = ("corners", "labels", "scores", "difficult")
    return Boxes(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def _canvas(size: tuple[int, int], background: np.ndarray) -> np.ndarray:
    return np.broadcast_to(background, (*size, len(background))).astype(np.uint8)
