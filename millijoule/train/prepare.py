"""From images to a network's input: size, colour, normalisation. What training does, deployment repeats."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import product
from typing import Any

import numpy as np

from millijoule.errors import DataError
from millijoule.graph import Shape
from millijoule.model import Model

LARGEST_BORDER = 4
MOST_MEASURED = 65_536


def prepare(images: np.ndarray, shape: Shape, preprocess: Mapping[str, Any]) -> np.ndarray:
    """float32 (n, *shape): the images as the network's input.

    images: uint8 (n, height, width, channels). shape: the graph's input, (height, width, channels) or (features,).
    preprocess: {"mean": […], "std": […]} per channel, of pixels in 0…1; empty: mean 0, standard deviation 1; may name
    an "order" of the channels, which `normalise` explains.
    The images are fitted (see `fit`), then (pixel / 255 - mean) / std.

    Raises DataError if the images cannot be fitted to the shape.
    """
    return normalise(fit(images, shape), preprocess).reshape(len(images), *shape)


def fit(images: np.ndarray, shape: Shape) -> np.ndarray:
    """uint8 (n, height, width, channels) fitted to a graph's input, before normalisation.

    Images up to 4 pixels smaller than the input on both axes are centred on a background of 0, as LeCun et al. 1998
    ("Gradient-based learning applied to document recognition", section II-B) put 28×28 digits into 32×32; others are
    resized bilinearly, the aspect not kept. Colour becomes grey by ITU-R 601 luma; grey becomes three equal channels.
    A flat input (features,) takes images with that many pixels as they are.
    """
    if len(shape) == 1:
        if images[0].size != shape[0]:
            raise DataError(
                f"images of {times(images.shape[1:])} have {images[0].size} numbers; the network takes {shape[0]}"
            )
        return images
    height, width, channels = shape
    images = _recolour(images, channels)
    borders = height - images.shape[1], width - images.shape[2]
    if all(0 <= border <= LARGEST_BORDER for border in borders):
        if borders == (0, 0):
            return images
        top, left = borders[0] // 2, borders[1] // 2
        return np.pad(images, ((0, 0), (top, borders[0] - top), (left, borders[1] - left), (0, 0)))
    return resize(images, (height, width))


def colour_note(images: np.ndarray, shape: Shape) -> tuple[str, ...]:
    """What to know where `fit` makes grey what has colour; empty where it does not."""
    if len(shape) == 1 or images.shape[3] <= shape[2]:
        return ()
    return (f"images have {images.shape[3]} channels, the network takes {shape[2]}: they become grey",)


def normalise(images: np.ndarray, preprocess: Mapping[str, Any]) -> np.ndarray:
    """float32 of uint8 images (n, height, width, channels): (pixel / 255 - mean) / std, per channel.

    order: [2, 1, 0] makes red, green, blue what networks of OpenCV and Caffe take: blue, green, red.
    """
    if "order" in preprocess:
        images = images[..., preprocess["order"]]
    mean = np.asarray(preprocess.get("mean", 0.0), np.float32)
    std = np.asarray(preprocess.get("std", 1.0), np.float32)
    return (images.astype(np.float32) / np.float32(255) - mean) / std


def measure_preprocess(images: np.ndarray, shape: Shape) -> dict[str, list[float]]:
    """Mean and standard deviation of training images, fitted to `shape`, the same for every channel.

    Of more than 65,536 images, evenly spaced ones stand for all.

    The mean is rounded to whole pixel steps: with one mean and one standard deviation, an int8 input is then exactly
    pixel - 128, and a camera's bytes need no arithmetic before they enter the network.
    """
    channels = shape[2] if len(shape) == 3 else images.shape[3]
    histogram = np.zeros(256, np.int64)
    images = images[:: -(-len(images) // MOST_MEASURED)]
    for start in range(0, len(images), 1024):
        histogram += np.bincount(fit(images[start : start + 1024], shape).reshape(-1), minlength=256)
    pixels, size = np.arange(256), histogram.sum()
    mean = float(histogram @ pixels) / size
    std = float(np.sqrt(histogram @ (pixels - mean) ** 2 / size))
    return {"mean": [round(mean) / 255] * channels, "std": [max(std, 1.0) / 255] * channels}


def quantized_inputs(model: Model, images: np.ndarray) -> np.ndarray:
    """int8 (n, *input shape) of uint8 images (n, height, width, channels), for an int8 model.

    A model without preprocess (one that was loaded from a file) gets pixel - 128: the input quantization of TFLite
    models covers exactly the range that black to white takes after whatever normalisation they were trained with.
    """
    entry = model.graph.inputs[0]
    fitted = fit(images, entry.shape)
    if not model.preprocess:
        return (fitted.astype(np.int16) - 128).astype(np.int8).reshape(len(images), *entry.shape)
    if model.quantization is None:
        raise DataError(f"model '{model.graph.name}' is float: quantize it before asking for its int8 inputs")
    batches = [
        model.quantization[entry.name].quantize(normalise(fitted[start : start + 1024], model.preprocess))
        for start in range(0, len(fitted), 1024)
    ]
    return np.concatenate(batches).reshape(len(images), *entry.shape)


def resize(images: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """uint8 images (n, h, w, c) resized bilinearly to `size` (height, width); when shrinking, every pixel counts."""
    if images.shape[1:3] == size:
        return images
    from PIL import Image

    result = np.empty((len(images), *size, images.shape[3]), np.uint8)
    # Pillow takes one channel or three at once, and does the same to each.
    parts: Iterable[int | slice] = (slice(None),) if images.shape[3] == 3 else range(images.shape[3])
    for index, part in product(range(len(images)), parts):
        image = Image.fromarray(np.ascontiguousarray(images[index, :, :, part]))
        result[index, :, :, part] = np.asarray(image.resize((size[1], size[0]), Image.Resampling.BILINEAR))
    return result


def _recolour(images: np.ndarray, channels: int) -> np.ndarray:
    if images.shape[3] == channels:
        return images
    if images.shape[3] == 3 and channels == 1:
        luma = images.astype(np.uint32) @ np.array([299, 587, 114], np.uint32)
        return ((luma + 500) // 1000).astype(np.uint8)[..., None]
    if images.shape[3] == 1 and channels == 3:
        return np.repeat(images, 3, axis=3)
    raise DataError(f"images have {images.shape[3]} channels, the network's input has {channels}")


def times(shape: Shape) -> str:
    return "×".join(map(str, shape))
