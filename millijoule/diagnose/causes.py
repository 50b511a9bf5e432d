"""What can be wrong, with the numbers that say so, and the remedy that would mend it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from millijoule.diagnose.layers import LayerError
from millijoule.model import Model
from millijoule.quantize.images import OF_A_SAMPLE, Images, evenly_spaced, prepared, statistics
from millijoule.train import Dataset
from millijoule.train.network import predict, predicted_labels

SAMPLE = 512
SATURATED = 0.01
LOUD = 20.0
FEW_STEPS = 0.5
ONE_CLASS = 0.8
"""Of the images for one class; fewer classes than half of those there are is as bad."""


@dataclass(frozen=True)
class Cause:
    """text: what was found, with numbers. remedies: the names of those that are meant for it.

    calibration: whether the calibration images are to blame.
    """

    text: str
    remedies: tuple[str, ...]
    calibration: bool = False


SANE = "calibrate on the training images of the data"
EQUALIZE = "cross-layer equalization"
BIAS = "bias correction"
RANGES = "{} ranges"


def calibration_causes(model: Model, images: Images, data: Dataset) -> list[Cause]:
    """What is wrong with the calibration images, beside those of the data; model: float."""
    inputs = prepared(model, images.x)
    if np.all(inputs == inputs[0]):
        only = f"every number of them is {images.x.flat[0]:g}" if np.all(images.x == images.x.flat[0]) else "one image"
        return [_calibration(f"the {len(images.x)} calibration images are all the same: {only}")]
    found = []
    sample, _ = evenly_spaced(SAMPLE, data.x_train, None)
    pairs = zip(statistics(inputs), statistics(prepared(model, sample)), strict=True)
    for channel, (theirs, ours) in enumerate(pairs):
        if theirs.is_far_from(ours, OF_A_SAMPLE):
            found.append(
                _calibration(
                    f"the calibration images are not like those of '{data.name}': channel {channel} of the network's "
                    f"input has {theirs}; the data's has {ours}"
                )
            )
            break
    known = images.labels is not None
    labels = images.labels if images.labels is not None else predicted_labels(model.graph, predict(model, inputs))
    numbers, counts = np.unique(labels, return_counts=True)
    largest, share = int(numbers[counts.argmax()]), float(counts.max() / counts.sum())
    if (known and 2 * len(numbers) <= len(data.classes)) or share > max(ONE_CLASS, 2 / len(data.classes)):
        name = data.classes[largest] if largest < len(data.classes) else str(largest)
        how = "are of" if known else "are taken, by the float network, for"
        found.append(
            _calibration(
                f"the calibration images show {len(numbers)} of {len(data.classes)} classes: {100 * share:.0f} % of "
                f"them {how} class '{name}'"
            )
        )
    return found


def _calibration(text: str) -> Cause:
    return Cause(text, (SANE,), calibration=True)


def layer_causes(errors: Sequence[LayerError]) -> list[Cause]:
    """What the layers say of the ranges that they got."""
    found = []
    narrow = max(errors, key=lambda each: each.saturated)
    if narrow.saturated > SATURATED:
        text = (
            f"ranges are too narrow: {100 * narrow.saturated:.1f} % of the numbers of layer '{narrow.layer}' saturate"
        )
        found.append(Cause(text, (SANE, RANGES.format("minmax"))))
    loud = max(errors, key=lambda each: each.loudest)
    if loud.loudest > LOUD:
        text = (
            f"channels of layer '{loud.layer}' differ too much for one scale: the loudest has {loud.loudest:.0f} times "
            f"the range of the median one, and {loud.dead_channels} of {loud.channels} are silent in int8"
        )
        found.append(Cause(text, (EQUALIZE,)))
    wide = min((each for each in errors if each.operator != "Softmax"), key=lambda each: each.steps_used, default=None)
    if wide is not None and wide.steps_used < FEW_STEPS:
        text = f"ranges are too wide: layer '{wide.layer}' uses {100 * wide.steps_used:.0f} % of its 256 steps"
        found.append(Cause(text, (SANE, RANGES.format("percentile"), RANGES.format("mse"))))
    return found
