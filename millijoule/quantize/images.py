"""The images that ranges are measured on: where they come from, and whether they are like those of the training."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from millijoule.errors import DataError, ModelError, OptionError
from millijoule.model import Model
from millijoule.train.data import load_data
from millijoule.train.prepare import prepare

LEAST_IMAGES = 32
"""Fewer say too little of the range of a value."""
Tolerance = tuple[float, float, float]
"""How far from another, in its spreads, a mean may lie, and how many times the other a spread must and may be."""
OF_TRAINING: Tolerance = (0.75, 0.3, 3.0)
"""Wide enough for preprocessing that was not measured, as pixels of -1…1."""
OF_A_SAMPLE: Tolerance = (0.25, 0.7, 1.4)
"""Of a few dozen images beside all of them."""


@dataclass(frozen=True, eq=False)
class Images:
    """Calibration images.

    x: uint8 (n, height, width, channels), or float32 (n, *input shape) if they are prepared already. labels: (n,), if
    they are known. name: where they are from.
    """

    x: np.ndarray
    labels: np.ndarray | None
    name: str

    def take(self, count: int) -> Images:
        """At most `count` of them, evenly spaced. Raises OptionError for fewer than LEAST_IMAGES."""
        check_enough(count, f"--calibration is {count}")
        check_enough(len(self.x), f"'{self.name}' has {len(self.x)} images")
        return Images(*evenly_spaced(count, self.x, self.labels), self.name)


def check_enough(images: int, said: str) -> None:
    """OptionError if there are too few calibration images. said: how many there are, in words."""
    if images < LEAST_IMAGES:
        raise OptionError(f"{said}; at least {LEAST_IMAGES} calibration images are needed for ranges to mean much")


def evenly_spaced(count: int, x: np.ndarray, labels: np.ndarray | None) -> tuple[np.ndarray, np.ndarray | None]:
    """At most `count` images, with their labels."""
    chosen = np.unique(np.linspace(0, len(x) - 1, min(count, len(x))).astype(int))
    return x[chosen], None if labels is None else labels[chosen]


def load_images(source: str, skip_bad: bool = False) -> Images:
    """Images for calibration alone, which need neither test images nor labels.

    source: an .npy file of uint8 images, or of float32 inputs that are prepared already; an .npz file with x_train and,
    if labels are known, y_train; else as `load_data`, whose training images are taken. Raises DataError.
    """
    path = Path(source)
    if path.suffix not in (".npy", ".npz"):
        data = load_data(source, skip_bad=skip_bad)
        return Images(data.x_train, data.y_train, data.name)
    try:
        with path.open("rb") as stream:
            file: Any = np.load(stream, allow_pickle=False)
            x = file if isinstance(file, np.ndarray) else file["x_train"]
            labels = None if isinstance(file, np.ndarray) or "y_train" not in file.files else file["y_train"]
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"'{source}' cannot be read ({reason}): give an .npy file, or an .npz with x_train") from None
    x = x[..., None] if x.ndim == 3 else x
    if x.dtype.kind == "f":
        if not np.isfinite(x).all():
            raise DataError(f"'{source}' holds numbers that are infinite or not a number")
        x = x.astype(np.float32)
    if labels is not None and labels.shape != x.shape[:1]:
        raise DataError(f"'{source}' has {len(x)} images and labels of shape {labels.shape}")
    return Images(x, labels, path.stem)


def prepared(model: Model, images: np.ndarray) -> np.ndarray:
    """float32 (n, *input shape): what a float model is given for calibration images.

    Raises ModelError for a model with several inputs, DataError for images that do not fit.
    """
    if len(model.graph.inputs) != 1:
        raise ModelError(f"model '{model.graph.name}' has {len(model.graph.inputs)} inputs; calibration knows one")
    shape = model.graph.inputs[0].shape
    if not len(images):
        raise DataError("there is no calibration image: give images like those of the training")
    if images.dtype == np.uint8:
        if images.ndim != 4:
            raise DataError(f"calibration images have shape {images.shape}; (n, height, width, channels) is needed")
        return prepare(images, shape, model.preprocess)
    if images.dtype.kind != "f" or images.shape[1:] != shape:
        raise DataError(
            f"calibration images are {images.dtype} of shape {images.shape[1:]}; uint8 images, or prepared float32 of "
            f"shape {shape}, are needed"
        )
    return images.astype(np.float32)


@dataclass(frozen=True)
class Statistics:
    """Of one channel of a network's inputs, after preparation: mean, standard deviation, least and largest number."""

    mean: float
    spread: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"mean {self.mean:.2f}, spread {self.spread:.2f}, range {self.low:.2f} to {self.high:.2f}"

    def is_far_from(self, other: Statistics, tolerance: Tolerance) -> bool:
        """Whether two channels differ by more than `tolerance`."""
        mean, narrow, wide = tolerance
        unit = max(other.spread, 1e-6)
        return abs(self.mean - other.mean) > mean * unit or not narrow * unit <= self.spread <= wide * unit


def statistics(inputs: np.ndarray) -> tuple[Statistics, ...]:
    """Of prepared inputs (n, …, channels), channel by channel; of flat ones, in one."""
    flat = inputs.reshape(-1, inputs.shape[-1] if inputs.ndim == 4 else 1).astype(np.float64)
    columns = zip(flat.mean(axis=0), flat.std(axis=0), flat.min(axis=0), flat.max(axis=0), strict=True)
    return tuple(Statistics(*map(float, column)) for column in columns)


def unlike_training(model: Model, images: np.ndarray) -> str | None:
    """What of calibration images does not match training's preprocessing, with both numbers; None if nothing.

    After the preparation that the model knows from its training, its training images have mean 0 and spread 1. Of a
    model that knows of none, or takes pixels as they are but for a factor, nothing is told.
    """
    if not np.any(model.preprocess.get("mean", 0.0)):
        return None
    for index, found in enumerate(statistics(prepared(model, images))):
        if found.is_far_from(Statistics(0.0, 1.0, 0.0, 0.0), OF_TRAINING):
            return (
                f"calibration images do not match the preprocessing of the training: channel {index} of the network's "
                f"input has {found}; in training it had mean 0.00, spread 1.00"
            )
    return None
