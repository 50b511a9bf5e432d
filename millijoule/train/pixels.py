"""How a file expects its pixels, where it does not say: what its answers tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import prod, sqrt
from typing import Any

import numpy as np

from millijoule.graph import Shape
from millijoule.model import Model
from millijoule.train.data import Dataset, evenly_spaced
from millijoule.train.evaluation import scores_of
from millijoule.train.prepare import measure_preprocess

FEW, MANY, MEASURED = 64, 512, 1024
CLEARLY = 3.5
"""Standard deviations by which the images that only one of two forms gets right must differ: 1 in 4,000 by chance."""
USUAL: dict[str, tuple[float | tuple[float, ...], float | tuple[float, ...]]] = {
    "of 0…1": (0.0, 1.0),
    "of 0…255": (0.0, 1 / 255),
    "of -1…1": (0.5, 0.5),
    "of -128…127": (128 / 255, 1 / 255),
    "normalised as for ImageNet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "less ImageNet's mean": ((0.485, 0.456, 0.406), 1 / 255),
}
"""Pixels → mean and standard deviation, of pixels of 0…1."""


def pixel_note(model: Model, dataset: Dataset) -> tuple[str, ...]:
    """What to know where a float classifier answers far better to pixels in another form; empty where not.

    64 test images are tried: as the model's `preprocess` says, in the forms of `USUAL`, and normalised as measured of
    1,024 training images; of the forms that do better, 512 decide which. Empty too where the classes are not the
    dataset's.
    """
    classes = prod(model.graph.shapes[model.graph.outputs[0]])
    if model.is_int8 or model.boxes or classes != len(dataset.classes):
        return ()
    shape = model.graph.inputs[0].shape
    channels = shape[-1] if len(shape) == 3 else dataset.x_test.shape[3]
    forms = {
        words: {"mean": _each(mean, channels), "std": _each(std, channels)} for words, (mean, std) in USUAL.items()
    }
    forms["normalised as training images are"] = sampled_preprocess(dataset, shape)

    def right(preprocess: Mapping[str, Any], count: int) -> np.ndarray:
        scores = scores_of(replace(model, preprocess=preprocess), evenly_spaced(count, dataset.x_test))
        return scores.argmax(axis=1) == evenly_spaced(count, dataset.y_test)

    before = right(model.preprocess, FEW)
    after = {words: right(form, FEW) for words, form in forms.items()}
    close = [words for words in forms if _clearly_better(after[words], before)]
    if not close:
        return ()
    shares = {words: float(right(forms[words], MANY).mean()) for words in close}
    words = max(close, key=lambda words: shares[words])
    options = " ".join(f"--{name} {_text(forms[words][name])}" for name in ("mean", "std"))
    given = right(model.preprocess, MANY)
    return (
        f"model '{model.graph.name}' seems to expect other pixels: as they are given, {given.mean():.0%} of "
        f"{len(given)} test images are right, and {shares[words]:.0%} with pixels {words}: {options}",
    )


def _clearly_better(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether the images that only one gets right differ by more than chance explains."""
    gained, lost = int(np.sum(one & ~other)), int(np.sum(other & ~one))
    return gained - lost > CLEARLY * sqrt(gained + lost)


def sampled_preprocess(dataset: Dataset, shape: Shape) -> dict[str, list[float]]:
    """`measure_preprocess` of 1,024 training images, fitted to a graph's input of that shape."""
    return measure_preprocess(evenly_spaced(MEASURED, dataset.x_train), shape)


def _text(numbers: list[float]) -> str:
    return ",".join(f"{each:.6g}" for each in (numbers[:1] if len(set(numbers)) == 1 else numbers))


def _each(value: float | tuple[float, ...], channels: int) -> list[float]:
    """One number for each channel; of grey images, the mean of the colours'."""
    numbers = value if isinstance(value, tuple) else (value,)
    return list(numbers) if len(numbers) == channels else [sum(numbers) / len(numbers)] * channels
