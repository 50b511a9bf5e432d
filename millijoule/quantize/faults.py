"""What is wrong with calibration images, as far as their numbers tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from millijoule.model import Model
from millijoule.quantize.images import Images, prepared
from millijoule.train.data import evenly_spaced
from millijoule.train.network import outputs_are_distances, predict, predicted_labels

SAMPLE = 512
"""So many training images stand for all."""
Tolerance = tuple[float, float, float]
"""How far from another, in its spreads, a mean may lie, and how many times the other a spread must and may be."""
OF_TRAINING: Tolerance = (0.75, 0.3, 3.0)
"""Wide enough for preprocessing that was not measured, as pixels of -1…1."""
OF_A_SAMPLE: Tolerance = (0.25, 0.7, 1.4)
"""Of a few dozen images beside all of them."""
BY_CHANCE = 4.0
"""So many standard errors a mean may lie from another, if that is more."""
REVERSED = 3.0
"""By so many standard errors colours differ that look reversed."""
GREY = 0.1
"""Pixels have colours if their channels differ, beside all numbers, by such a share of what they do in the data."""
ONE_CLASS = 0.8
"""Of the images for one class; fewer classes than half of those there could be is as bad."""


def calibration_faults(
    model: Model, images: Images, own: Images | None = None, classes: Sequence[str] = ()
) -> tuple[str, ...]:
    """A sentence for each thing that is wrong with calibration images of a float model, with numbers; mostly none.

    own: training images of the data, if the calibration images are others. classes: of the data; where no labels are
    known, the network says which classes it sees. Without them, classes are not looked at.

    After the preprocessing that a model knows from its training, its training images have mean 0 and spread 1. Of a
    model that knows of none, or takes pixels as they are but for a factor, only `own` says what is expected.
    Raises as `prepared`.
    """
    inputs = prepared(model, images.x)
    if np.all(inputs == inputs[0]):
        only = f"every number of them is {images.x.flat[0]:g}" if np.all(images.x == images.x.flat[0]) else "one image"
        return (f"the {len(images.x)} calibration images are all the same: {only}",)
    found = []
    beside = prepared(model, evenly_spaced(SAMPLE, own.x)) if own else None
    unlike = None
    if own and beside is not None:
        unlike = _wrong_colours(model, inputs, beside) or _unlike(inputs, beside, own.name)
    if unlike := unlike or _unlike_training(model, inputs):
        found.append(unlike + _not_normalised(images.x))
    if classes and (shown := _few_classes(model, images, inputs, classes)):
        found.append(shown)
    return tuple(found)


@dataclass(frozen=True)
class Statistics:
    """Of one channel of a network's inputs, after preparation: mean, standard deviation, least and largest number.

    images: how many there are. spread_of_images: the standard deviation of their means.
    """

    mean: float
    spread: float
    low: float = 0.0
    high: float = 0.0
    images: int = 1
    spread_of_images: float = 0.0

    def __str__(self) -> str:
        return f"mean {self.mean:.2f}, spread {self.spread:.2f}, range {self.low:.2f} to {self.high:.2f}"

    def is_far_from(self, other: Statistics, tolerance: Tolerance) -> bool:
        """Whether two channels differ by more than `tolerance` and chance."""
        mean, narrow, wide = tolerance
        unit = max(other.spread, 1e-6)
        error = other.spread_of_images * (1 / self.images + 1 / other.images) ** 0.5
        allowed = max(mean * unit, BY_CHANCE * error)
        return abs(self.mean - other.mean) > allowed or not narrow * unit <= self.spread <= wide * unit


def statistics(inputs: np.ndarray) -> tuple[Statistics, ...]:
    """Of prepared inputs (n, …, channels), channel by channel; of flat ones, in one."""
    flat = inputs.reshape(len(inputs), -1, inputs.shape[-1] if inputs.ndim == 4 else 1)
    return tuple(_statistics(flat[..., channel].astype(np.float64)) for channel in range(flat.shape[-1]))


def _statistics(x: np.ndarray) -> Statistics:
    mean, spread, low, high = map(float, (x.mean(), x.std(), x.min(), x.max()))
    return Statistics(mean, spread, low, high, len(x), float(x.mean(axis=1).std()))


def _unlike(inputs: np.ndarray, beside: np.ndarray, name: str) -> str | None:
    for channel, (theirs, ours) in enumerate(zip(statistics(inputs), statistics(beside), strict=True)):
        if theirs.is_far_from(ours, OF_A_SAMPLE):
            return (
                f"the calibration images are not like those of '{name}': channel {channel} of the network's input has "
                f"{theirs}; the data's has {ours}"
            )
    return None


def _unlike_training(model: Model, inputs: np.ndarray) -> str | None:
    if not np.any(model.preprocess.get("mean", 0.0)):
        return None
    for channel, found in enumerate(statistics(inputs)):
        if found.is_far_from(Statistics(0.0, 1.0), OF_TRAINING):
            return (
                "the calibration images do not match the preprocessing of the training: channel "
                f"{channel} of the network's input has {found}; in training it had mean 0.00, spread 1.00"
            )
    return None


def _not_normalised(images: np.ndarray) -> str:
    """What images of real numbers look like that nothing was subtracted from; of others nothing."""
    if images.dtype == np.uint8 or images.min() < 0 or images.max() > 255:
        return ""
    largest = 1 if images.max() <= 1 else 255
    return f" (they look like pixels of 0 to {largest}, not normalised: give uint8 images, which are)"


def _wrong_colours(model: Model, inputs: np.ndarray, beside: np.ndarray) -> str | None:
    """Whether there are none, or the first channel is to the last as the last is to the first in the images `beside`.

    Skies and seas are blue without a fault: then a network that tells classes apart is surer of them as they are.
    """
    if inputs.ndim != 4 or inputs.shape[-1] != 3:
        return None
    redder = [each[..., 0].astype(np.float64) - each[..., 2] for each in (inputs, beside)]
    colourful = [
        each.std() / max(float(whole.std()), 1e-6) for each, whole in zip(redder, (inputs, beside), strict=True)
    ]
    if colourful[0] < GREY * colourful[1]:
        return "the calibration images are grey; those of the data have colours"
    theirs, ours = (each.mean(axis=(1, 2)) for each in redder)
    error = ours.std() * (1 / len(theirs) + 1 / len(ours)) ** 0.5
    differ, add = abs(theirs.mean() - ours.mean()), abs(theirs.mean() + ours.mean())
    if differ <= REVERSED * error or add >= differ / 2:
        return None
    if not model.boxes and _sureness(model, inputs) >= _sureness(model, inputs[..., ::-1]):
        return None
    return (
        "the colours of the calibration images look reversed, blue before red: the mean of the first channel less that "
        f"of the last is {theirs.mean():+.2f}, in the data {ours.mean():+.2f}"
    )


def _sureness(model: Model, inputs: np.ndarray) -> float:
    """By how much the class that is named is ahead of the next, on average."""
    outputs = np.sort(predict(model, inputs).reshape(len(inputs), -1))
    first, second = (0, 1) if outputs_are_distances(model.graph) else (-1, -2)
    return float(np.abs(outputs[:, first] - outputs[:, second]).mean())


def _few_classes(model: Model, images: Images, inputs: np.ndarray, classes: Sequence[str]) -> str | None:
    known = images.labels is not None
    labels = images.labels if images.labels is not None else predicted_labels(model.graph, predict(model, inputs))
    numbers, counts = np.unique(labels, return_counts=True)
    largest, share = int(numbers[counts.argmax()]), float(counts.max() / counts.sum())
    few = known and 2 * len(numbers) <= min(len(classes), len(labels))
    if not few and share <= max(ONE_CLASS, 2 / len(classes)):
        return None
    name = classes[largest] if largest < len(classes) else str(largest)
    how = "are of" if known else "are taken, by the float network, for"
    return (
        f"the calibration images show {len(numbers)} of {len(classes)} classes: {100 * share:.0f} % of them {how} "
        f"class '{name}'"
    )
