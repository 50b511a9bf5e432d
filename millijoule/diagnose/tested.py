"""The images that a diagnosis counts, and what counts in them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from millijoule.boxes import Boxes, detect
from millijoule.detect.find import (
    LEAST_SCORE,
    class_names,
    coding_of,
    find,
    in_images,
    judge,
    pixels_of,
    spaced_pixels,
    training_images,
)
from millijoule.model import Model
from millijoule.quantize import Images
from millijoule.train import Dataset, accuracy
from millijoule.train.data import evenly_spaced, spread
from millijoule.train.network import predicted_labels

if TYPE_CHECKING:
    from millijoule.detect.data import DetectionSet


@dataclass(frozen=True, eq=False)
class Tested:
    """measure: what counts, `accuracy`, or `mAP@0.5` of a model that finds boxes (PASCAL VOC's of 2010).

    images: uint8 (n, height, width, channels), test images that are counted; looked_at: those on which layers are
    compared. own: training images, on which ranges are measured. classes: of labelled images. outputs: the names of
    the values that are counted. score: of a model on the images; score_of: of its outputs as real numbers, by name.
    """

    measure: str
    images: np.ndarray
    looked_at: np.ndarray
    own: Images
    classes: Sequence[str]
    outputs: tuple[str, ...]
    score: Callable[[Model], float]
    score_of: Callable[[Mapping[str, np.ndarray]], float]


def tested(model: Model, data: Dataset | DetectionSet, calibration: int, samples: int, looked_at: int) -> Tested:
    """The images of `data` for a float model, evenly spaced: so many, at most, for ranges, to count, and to look at.

    Raises ModelError if they do not suit the model, DataError if one cannot be read.
    """
    if isinstance(data, Dataset):
        return _labelled(model, data, calibration, samples, looked_at)
    return _annotated(model, data, calibration, samples, looked_at)


def _labelled(model: Model, data: Dataset, calibration: int, samples: int, looked_at: int) -> Tested:
    x, y = evenly_spaced(samples, data.x_test), evenly_spaced(samples, data.y_test)
    (output,) = model.graph.outputs
    return Tested(
        measure="accuracy",
        images=x,
        looked_at=evenly_spaced(looked_at, data.x_test),
        own=training_images(model, data, calibration),
        classes=data.classes,
        outputs=(output,),
        score=lambda other: accuracy(other, x, y),
        score_of=lambda values: float(np.mean(predicted_labels(model.graph, values[output]) == y)),
    )


def _annotated(model: Model, data: DetectionSet, calibration: int, samples: int, looked_at: int) -> Tested:
    coding, names = coding_of(model), class_names(model)
    chosen = spread(samples, len(data.test))
    images = [data.test[index] for index in chosen]
    pixels = pixels_of(images, coding.size)

    def mean_precision(found: Sequence[Boxes]) -> float:
        return judge(in_images(found, coding.size, images), images, names).map_50_area

    return Tested(
        measure="mAP@0.5",
        images=pixels,
        looked_at=spaced_pixels(model, data.test, looked_at),
        own=training_images(model, data, calibration),
        classes=(),
        outputs=coding.outputs,
        score=lambda other: mean_precision(find(other, pixels)),
        score_of=lambda values: mean_precision(detect(coding, values, None, LEAST_SCORE)),
    )
