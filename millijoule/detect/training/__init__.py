"""Training of detectors: Detector + DetectionSet → Model, by the loop that trains classifiers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from millijoule.boxes import Boxes
from millijoule.detect.data import DetectionSet
from millijoule.detect.find import pixels_of
from millijoule.detect.heads import Detector
from millijoule.detect.training.detection import Detection
from millijoule.detect.training.settings import RECIPES, DetectorSettings, choose
from millijoule.errors import DataError, ModelError, OptionError
from millijoule.model import Model
from millijoule.train.initial import initial_weights
from millijoule.train.loop import train_task, with_precision
from millijoule.train.loop.machine import Machine
from millijoule.train.prepare import measure_preprocess
from millijoule.train.run_folder import Epoch

__all__ = ["RECIPES", "DetectorSettings", "box_sizes", "choose", "train_detector"]

EXPECTED = 0.01
"""What every score begins with, so that the many cells without an object do not drown the others (Lin et al. 2017,
"Focal loss for dense object detection", section 4.1)."""


def train_detector(
    detector: Detector,
    data: DetectionSet,
    *,
    recipe: str = "auto",
    progress: bool = True,
    checkpoint: Path | str | None = None,
    on_epoch: Callable[[Epoch], None] | None = None,
    start: Mapping[str, np.ndarray] | None = None,
    must_learn: bool = True,
    **changes: Any,
) -> Model:
    """Train a detector on the data's training images; return the float model that did best on held-out ones.

    recipe: a name in RECIPES. start: numbers to begin with, as in `Model.weights`; arrays that are missing there begin
    as `initial_weights` has them. must_learn: raise OptionError if it ends by finding nothing. changes: settings that
    differ from the recipe's, by the names of `DetectorSettings`. The rest, and the errors, as `millijoule.train` has
    them; likewise, same seed and same machine give the same model.
    """
    graph, coding = detector.graph, detector.boxes
    if coding.classes != len(data.classes):
        raise ModelError(
            f"network '{graph.name}' tells {coding.classes} classes apart, data set '{data.name}' has "
            f"{len(data.classes)}: they must be equal"
        )
    machine = Machine()
    settings = choose(recipe, len(data.train), changes)
    if coding.peaks and settings.score_loss != "focal":
        raise OptionError(f"score_loss {settings.score_loss} is for ssdlite; centre points learn by focal: choose that")
    settings = replace(settings, precision=with_precision(settings, graph, machine).precision)
    weights = {**initial_weights(graph, settings.seed), **_cautious(detector), **(start or {})}
    sample = pixels_of(data.train[:: -(-len(data.train) // 256)], coding.size)
    preprocess = measure_preprocess(sample, graph.inputs[0].shape)
    model = Model(graph, weights, labels=data.classes, preprocess=preprocess, boxes=coding)
    task = Detection(model, data.train, settings, machine)
    best, notes = train_task(task, progress=progress, checkpoint=checkpoint, on_epoch=on_epoch, must_learn=must_learn)
    return replace(model, weights=best, notes=notes)


def box_sizes(data: DetectionSet, size: tuple[int, int]) -> np.ndarray:
    """(n, 2): width and height of all training boxes that are not difficult, in pixels of an input of `size`.

    DataError if there are none.
    """
    boxes: list[Boxes] = [each.boxes.scaled(each.size, size) for each in data.train]
    corners = np.concatenate([each.corners[~each.difficult] for each in boxes])
    if not len(corners):
        raise DataError(f"'{data.name}' has no training box that is not difficult: there is nothing to learn")
    return corners[:, 2:] - corners[:, :2]


def _cautious(detector: Detector) -> dict[str, np.ndarray]:
    """The biases of the scores, by which no class is likely at first."""
    params = detector.graph.params()
    return {
        f"{level.scores}.bias": np.full(
            params[f"{level.scores}.bias"].shape, -math.log((1 - EXPECTED) / EXPECTED), np.float32
        )
        for level in detector.boxes.levels
    }
