"""The images that ranges are measured on: where they come from, and how they become inputs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from millijoule.errors import DataError, ModelError, OptionError
from millijoule.model import Model
from millijoule.train.data import evenly_spaced, load_data
from millijoule.train.prepare import prepare

LEAST_IMAGES = 32
"""Fewer say too little of the range of a value."""


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
        labels = None if self.labels is None else evenly_spaced(count, self.labels)
        return Images(evenly_spaced(count, self.x), labels, self.name)


def check_enough(images: int, said: str) -> None:
    """OptionError if there are too few calibration images. said: how many there are, in words."""
    if images < LEAST_IMAGES:
        raise OptionError(f"{said}; at least {LEAST_IMAGES} calibration images are needed for ranges to mean much")


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
