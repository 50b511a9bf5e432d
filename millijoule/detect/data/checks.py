"""Each image and each box against the image file itself."""

from __future__ import annotations

from dataclasses import replace

from millijoule.detect.data.drawn import Corners, Drawn, DrawnBox, Flaws
from millijoule.errors import DataError
from millijoule.train.images import image_header, read_image

TOLERANCE = 1.0
"""Pixels that a box may reach outside without a word: tools that count from 0, or that round."""

NO_AREA = "box without area left out"
OUTSIDE = "box outside of its image left out"
CUT = "box reaches outside of its image: cut"
OTHER_SIZE = "states another size than its image has: the image's counts"
TURNED = "boxes were drawn before the image's orientation mark turned it: turned too"


def check(drawn: Drawn, flaws: Flaws, decode: bool) -> Drawn | None:
    """The same with the image's own size and boxes that lie in it; None if the image cannot be used.

    decode: also read the whole image, not its header alone.
    """
    header = image_header(drawn.path)
    if header is None:
        flaws.unusable.append(f"{drawn.place}: '{drawn.path.name}' cannot be read as an image")
        return None
    if decode:
        try:
            read_image(drawn.path, None)
        except DataError as error:
            flaws.unusable.append(f"{drawn.place}: {error}")
            return None
    *size, orientation = header
    height, width = size
    boxes = list(drawn.boxes)
    if drawn.fractions:
        boxes = [replace(box, corners=_scaled(box.corners, width, height)) for box in boxes]
    if drawn.size and drawn.size != (height, width):
        stated = f"{drawn.size[1]}×{drawn.size[0]}"
        if orientation >= 5 and drawn.size == (width, height):
            boxes = [replace(box, corners=_turned(box.corners, orientation, drawn.size)) for box in boxes]
            flaws.mend(TURNED, drawn.place, stated)
        else:
            flaws.mend(OTHER_SIZE, drawn.place, f"{stated}, not {width}×{height}")
    inside = [kept for box in boxes if (kept := _inside(box, height, width, flaws))]
    return replace(drawn, size=(height, width), boxes=inside)


def _scaled(corners: Corners, width: int, height: int) -> Corners:
    left, top, right, bottom = corners
    return left * width, top * height, right * width, bottom * height


def _turned(corners: Corners, orientation: int, size: tuple[int, int]) -> Corners:
    """Where a box of an image stored with `size` is once its orientation mark, 5 to 8, is obeyed (EXIF 2.32, 4.6.4)."""
    (left, top, right, bottom), (height, width) = corners, size
    if orientation in (6, 7):  # the stored bottom is seen on the left
        top, bottom = height - bottom, height - top
    if orientation in (7, 8):  # the stored right side is seen on top
        left, right = width - right, width - left
    return top, left, bottom, right


def _inside(box: DrawnBox, height: int, width: int, flaws: Flaws) -> DrawnBox | None:
    left, top, right, bottom = box.corners
    shown = f"{box.label} ({box.written})"
    if right <= left or bottom <= top:
        flaws.mend(NO_AREA, box.place, shown)
        return None
    cut = (min(max(left, 0.0), width), min(max(top, 0.0), height), min(right, width), min(bottom, height))
    if cut[2] <= cut[0] or cut[3] <= cut[1]:
        flaws.mend(OUTSIDE, box.place, f"{shown}, the image is {width}×{height}")
        return None
    if max(abs(a - b) for a, b in zip(cut, box.corners, strict=True)) > TOLERANCE:
        flaws.mend(CUT, box.place, f"{shown}, the image is {width}×{height}")
    return replace(box, corners=cut)
