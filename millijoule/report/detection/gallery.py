"""Test images in a page: what was annotated beside what was found, and the worst errors."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape

import numpy as np

from millijoule.boxes import Boxes
from millijoule.detect.data import AnnotatedImage
from millijoule.detect.evaluation.errors import KINDS, BoxError, worst_errors
from millijoule.report.detection.findings import Findings
from millijoule.report.detection.pictures import drawn, encoded
from millijoule.report.training.pictures import figure
from millijoule.train.prepare import resize

SHOWN, OF_A_KIND = 8, 4
LONGEST_SIDE, QUALITY = 300, 80


def some_images(findings: Findings) -> str:
    """HTML: test images, evenly spread, annotated and with what is found from the threshold on."""
    return _tiles(_pairs(findings, findings.acted_on))


def worst_of(findings: Findings, errors: Sequence[BoxError]) -> str:
    """HTML: the worst errors of each kind. errors: of the boxes from the threshold on, the worst first."""
    found = findings.acted_on
    return "".join(
        f"<h3>{escape(f'{kind}: {KINDS[kind]}')}</h3>{_tiles(_error(findings, found, each) for each in some)}"
        for kind, some in worst_errors(errors, OF_A_KIND).items()
    )


def _pairs(findings: Findings, found: Sequence[Boxes]) -> list[str]:
    count = len(findings.images)
    chosen = np.unique(np.linspace(0, count - 1, min(SHOWN, count)).round().astype(int))
    pairs = []
    for index in map(int, chosen):
        image = findings.images[index]
        annotated = _picture(findings, image, image.boxes, "annotated", scores=False)
        caption = escape(f"{image.path.name}: {len(image.boxes)} annotated, {len(found[index])} found")
        pairs.append(figure(annotated + _picture(findings, image, found[index], "found"), caption))
    return pairs


def _error(findings: Findings, found: Sequence[Boxes], error: BoxError) -> str:
    """The image of an error, with the box in question and the annotated one that it is about."""
    image, parts, names, words = findings.images[error.image], [], [], []
    for boxes, index, what in ((image.boxes, error.truth, "annotated"), (found[error.image], error.found, "found")):
        if index is not None:
            parts.append(boxes.take(np.array([index])))
            name = findings.classes[parts[-1].labels[0]]
            names.append(name if what == "found" else f"{name}, annotated")
            words.append(f"{what} {name}" + (f" {error.score:.2f}" if what == "found" else ""))
    if len(parts) == 2:
        words.append(f"overlap {error.overlap:.2f}")
    # Two colours, one for each box, whatever their classes are.
    corners = np.concatenate([boxes.corners for boxes in parts])
    picture = _picture(findings, image, Boxes.of(corners, np.arange(len(parts))), error.kind, False, names)
    return figure(picture, escape(f"{image.path.name}: {', '.join(words)}"))


def _picture(
    findings: Findings,
    image: AnnotatedImage,
    boxes: Boxes,
    alt: str,
    scores: bool = True,
    classes: Sequence[str] | None = None,
) -> str:
    """An <img> of the image, made small, with the boxes on it."""
    pixels = image.pixels()
    scale = min(1.0, LONGEST_SIDE / max(image.size))
    height, width = (max(1, round(side * scale)) for side in image.size)
    small = resize(pixels[None], (height, width))[0]
    content = encoded(
        drawn(small, boxes.scaled(image.size, (height, width)), classes or findings.classes, scores), ".jpg", QUALITY
    )
    data = base64.b64encode(content).decode()
    return (
        f'<img class="photo" src="data:image/jpeg;base64,{data}" width="{width}" height="{height}" '
        f'alt="{escape(f"{image.path.name}, {alt}")}">'
    )


def _tiles(figures: Iterable[str]) -> str:
    return f'<div class="photos">{"".join(figures)}</div>'
