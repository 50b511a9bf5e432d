"""Networks that find boxes: SSD-lite and centre points, on any backbone of the zoo."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from millijoule.boxes import BoxCoding, Level
from millijoule.detect.heads.anchors import Sizes, fit_anchors, spread
from millijoule.detect.heads.pyramid import predictor, pyramid, separable
from millijoule.errors import ModelError
from millijoule.graph import Graph

BACKBONE = "mobilenet_v2-0.35"
IMAGE = (160, 160)
STRIDES = (8, 16, 32)
CHANNELS = 64
PER_LEVEL = 3


@dataclass(frozen=True)
class Detector:
    """A graph, and how its outputs become boxes."""

    graph: Graph
    boxes: BoxCoding


def ssdlite(
    *,
    backbone: str = BACKBONE,
    classes: int = 20,
    image: tuple[int, int] = IMAGE,
    strides: Sequence[int] = STRIDES,
    anchors: int = PER_LEVEL,
    channels: int = CHANNELS,
    sizes: np.ndarray | None = None,
) -> Detector:
    """Scores and offsets for some anchors in each cell of several maps.

    backbone: a network of the zoo, or NAME-WIDTH. image: (height, width) of the input. strides: of the maps, in pixels.
    anchors: in each cell of a map; the smallest go to the finest map. channels: of the maps that the heads read.
    sizes: (n, 2), width and height of annotated boxes in pixels of the input, to which the anchors are fitted.

    Source: Liu et al. 2016, "SSD: Single Shot MultiBox Detector"; heads of Sandler et al. 2018, "MobileNetV2", section
    6.2; each class has a sigmoid of its own (Lin et al. 2017, "Focal loss for dense object detection", section 4).
    Raises ModelError for a backbone that does not suit, or fewer sizes than anchors.
    """
    _check(strides, classes, anchors)
    build, maps = pyramid("ssdlite", backbone, image, strides, channels)
    fitted = spread(strides, anchors) if sizes is None else _fitted(sizes, anchors * len(strides))
    levels, outputs = [], []
    for index, (stride, x) in enumerate(zip(strides, maps, strict=True)):
        names = f"scores_{index}", f"boxes_{index}"
        with build.block(f"head{index}"):
            x = separable(build, f"head{index}", channels, x)
            for name, numbers in zip(names, (classes, 4), strict=True):
                outputs.append(predictor(build, name, channels, anchors * numbers, x))
        of_level = fitted[index * anchors : (index + 1) * anchors]
        levels.append(Level(*names, image[0] // stride, image[1] // stride, stride, of_level))
    return Detector(build.graph(*outputs), BoxCoding(tuple(levels), image, classes))


def centre(
    *,
    backbone: str = BACKBONE,
    classes: int = 20,
    image: tuple[int, int] = IMAGE,
    strides: Sequence[int] = STRIDES,
    channels: int = CHANNELS,
    sizes: np.ndarray | None = None,
) -> Detector:
    """A map of how near each cell of the finest map is to an object's centre, class by class, and the object's size.

    The coarser maps of `strides` inform it; with one stride the backbone ends there, as FOMO's does. The rest as in
    `ssdlite`; of the sizes only the median counts, which sizes are told relative to.

    Source: Zhou et al. 2019, "Objects as Points", section 3; FOMO (Edge Impulse 2022) cuts MobileNetV2 at stride 8.
    Raises ModelError for a backbone that does not suit.
    """
    _check(strides, classes, 1)
    build, maps = pyramid("centre", backbone, image, strides, channels)
    stride = strides[0]
    (size,) = spread(strides[:1], 1) if sizes is None else _fitted(np.median(sizes, axis=0)[None], 1)
    x = separable(build, "head", channels, maps[0])
    outputs = [predictor(build, "scores_0", channels, classes, x), predictor(build, "boxes_0", channels, 4, x)]
    level = Level(outputs[0], outputs[1], image[0] // stride, image[1] // stride, stride, (size,))
    return Detector(build.graph(*outputs), BoxCoding((level,), image, classes, peaks=True))


HEADS = {function.__name__: function for function in (ssdlite, centre)}


def _check(strides: Sequence[int], classes: int, anchors: int) -> None:
    if not strides or any(coarse != 2 * fine for fine, coarse in pairwise(strides)):
        raise ModelError(f"strides are {', '.join(map(str, strides))}; each must be twice the one before, as 8, 16, 32")
    if classes < 1 or anchors < 1:
        raise ModelError(f"a detector of {classes} classes with {anchors} anchors in a cell finds nothing")


def _fitted(sizes: np.ndarray, count: int) -> Sizes:
    try:
        return fit_anchors(sizes, count)
    except ValueError as error:
        raise ModelError(f"{error}: choose fewer --anchors or --strides") from None
