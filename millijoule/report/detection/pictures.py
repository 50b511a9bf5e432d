"""Boxes drawn on images."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from millijoule.boxes import Boxes

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw

COLOURS = ("#e6194b", "#4363d8", "#218739", "#c25400", "#911eb4", "#007a7a", "#9a6324", "#707000", "#c71585", "#000075")
"""Of the classes, in turn: far apart, and dark enough for white letters."""
LINES_PER_SIDE = 240
"""The shorter side of an image is so many lines thick."""
LETTERS = 6
"""Letters are so many lines high, and never smaller than SMALLEST pixels."""
SMALLEST = 10
FORMATS = {
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".png": "PNG",
    ".webp": "WEBP",
    ".bmp": "BMP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
}
QUALITY = 92


def drawn(pixels: np.ndarray, boxes: Boxes, classes: Sequence[str], scores: bool = True) -> Image:
    """uint8 pixels (height, width, 3) with the boxes on them, each with its class and, unless annotated, its score.

    Lines and letters grow with the image; the best box lies above the others.
    """
    from PIL import Image, ImageDraw, ImageFont

    image = Image.fromarray(np.ascontiguousarray(pixels))
    pen = ImageDraw.Draw(image)
    line = max(1, round(min(image.size) / LINES_PER_SIDE))
    pen.font = ImageFont.load_default(max(SMALLEST, LETTERS * line))
    for index in np.argsort(boxes.scores, kind="stable"):
        name = classes[boxes.labels[index]]
        colour = COLOURS[boxes.labels[index] % len(COLOURS)]
        left, top, right, bottom = map(float, boxes.corners[index])
        # The last pixel of a box is the one before its end.
        pen.rectangle((left, top, max(right - 1, left), max(bottom - 1, top)), outline=colour, width=line)
        _write(pen, f"{name} {boxes.scores[index]:.2f}" if scores else name, left, top, colour)
    return image


def _write(pen: ImageDraw, text: str, left: float, top: float, colour: str) -> None:
    """White letters on the colour, above the box, or inside where there is no room."""
    _, _, right, bottom = pen.textbbox((0, 0), text)
    width, height = right + 2, bottom + 2
    x, y = max(0.0, min(left, pen.im.size[0] - width)), top - height if top >= height else top
    pen.rectangle((x, y, x + width, y + height), fill=colour)
    pen.text((x + 1, y), text, fill="white")


def encoded(image: Image, suffix: str, quality: int = QUALITY) -> bytes:
    """The image as a file whose name ends with one of FORMATS."""
    file = io.BytesIO()
    image.save(file, FORMATS[suffix.lower()], quality=quality)
    return file.getvalue()
