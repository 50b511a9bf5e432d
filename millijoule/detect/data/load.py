"""From a source, by its prefix, to a checked `DetectionSet`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from millijoule.boxes import Boxes
from millijoule.detect.data.checks import check
from millijoule.detect.data.detection_set import AnnotatedImage, DetectionSet
from millijoule.detect.data.drawn import Drawn, Flaws, Listing, listing
from millijoule.detect.data.readers.coco import read_coco
from millijoule.detect.data.readers.voc import read_voc
from millijoule.detect.data.readers.yolo import read_yolo
from millijoule.errors import DataError
from millijoule.train.data import TEST_FRACTION

SOURCES = "voc:FOLDER, coco:FOLDER or coco:FILE.json, yolo:FOLDER or yolo:data.yaml"
READERS = {"voc": read_voc, "coco": read_coco, "yolo": read_yolo}
NOT_ASKED = "box of another class left out"


def load_detection(
    source: str, classes: Sequence[str] | None = None, skip_bad: bool = False, seed: int = 0
) -> DetectionSet:
    """Images with annotated boxes from `source`, split into training and test.

    source:
        voc:FOLDER: a VOCdevkit, one of its VOC20xx folders, or any folder with Annotations/ and JPEGImages/ (or
        images/); ImageSets/Main splits it, if there.
        coco:FILE.json, coco:FOLDER: COCO's annotations of object instances, whole boxes and crowds; train, val or test
        in the names of files or folders split them.
        yolo:data.yaml, yolo:FOLDER: one text file for each image.
    classes: the names to use, in this order; boxes of others are left out. Default: those that have training boxes.
    skip_bad: leave out images that cannot be read or whose annotation is broken; they are listed in the notes.
    seed: of the split of a data set without one: 20 % of the images become test images.

    Boxes that lie outside of the image or have no area are left out, boxes that reach outside are cut; the notes say
    so. Where an annotation states another size than the image has, the image's counts; if the size is that of the
    image before it was turned by its orientation mark, the boxes are turned too.

    Raises DataError if the source is missing or unsuitable, with file and line.
    """
    kind, _, rest = source.partition(":")
    if kind not in READERS or not rest:
        raise DataError(f"'{source}' is no source of images with boxes: give {SOURCES}")
    path = Path(rest).expanduser()
    if not path.is_dir() and (kind == "voc" or not path.is_file()):
        raise DataError(f"'{path}' is not there, or not of this kind: give {SOURCES}")
    flaws = Flaws()
    try:
        drawn = READERS[kind](path, flaws)
    except OSError as error:
        raise DataError(f"'{error.filename or path}' cannot be read: {error.strerror or error}") from None
    name = path.resolve().stem if path.is_file() else path.resolve().name
    return _detection_set(name, drawn, flaws, classes, skip_bad, seed)


def _detection_set(
    name: str, drawn: Listing, flaws: Flaws, asked: Sequence[str] | None, skip_bad: bool, seed: int
) -> DetectionSet:
    found = len(drawn.train) + len(drawn.test or ()) + len(flaws.unusable)
    train, test = (
        [checked for each in part if (checked := check(each, flaws, decode=skip_bad))]
        for part in (drawn.train, drawn.test or ())
    )
    if flaws.unusable and not skip_bad:
        raise DataError(
            f"{len(flaws.unusable)} of {found} images of '{name}' cannot be used: {listing(flaws.unusable)}; mend or "
            "remove them, or give --skip-bad to use the rest"
        )
    if drawn.test is None:
        train, test = _split(train, seed)
    for part, images in (("training", train), ("test", test)):
        if not images:
            raise DataError(f"'{name}' has no {part} image that can be used")
    used = {box.label for each in train for box in each.boxes}
    classes = tuple(asked) if asked else tuple(label for label in drawn.classes or sorted(used) if label in used)
    if not classes:
        raise DataError(f"'{name}': no training image has a box")
    if asked and not any(box.label in classes for each in (*train, *test) for box in each.boxes):
        shown = ", ".join(sorted(used)) or "none"
        raise DataError(f"'{name}' has no box of the classes {', '.join(classes)}; its classes are {shown}")
    for each in (*train, *test):
        for box in each.boxes:
            if box.label not in classes:
                flaws.mend(NOT_ASKED, box.place, box.label)
    return DetectionSet(
        name,
        classes,
        tuple(_annotated(each, classes) for each in train),
        tuple(_annotated(each, classes) for each in test),
        flaws.notes(),
        flaws.lines(),
    )


def _split(images: Sequence[Drawn], seed: int) -> tuple[list[Drawn], list[Drawn]]:
    """(training, test): a fifth of the images, by `seed` alone, each part in its old order."""
    # RandomState's stream is frozen by numpy's compatibility policy, so the split never changes.
    order = np.random.RandomState(seed).permutation(len(images))
    held = set(order[: math.ceil(len(images) * TEST_FRACTION - 1e-9)].tolist())
    return (
        [each for index, each in enumerate(images) if index not in held],
        [each for index, each in enumerate(images) if index in held],
    )


def _annotated(drawn: Drawn, classes: tuple[str, ...]) -> AnnotatedImage:
    assert drawn.size
    boxes = [box for box in drawn.boxes if box.label in classes]
    return AnnotatedImage(
        drawn.path,
        drawn.size,
        Boxes.of(
            [box.corners for box in boxes],
            [classes.index(box.label) for box in boxes],
            difficult=[box.difficult for box in boxes],
        ),
        np.array([box.truncated for box in boxes], bool),
        np.array([box.area for box in boxes], np.float64) if all(box.area is not None for box in boxes) else None,
    )
