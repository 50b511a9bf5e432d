"""What a detector finds in images, and how good that is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from millijoule.boxes import BoxCoding, Boxes, detect
from millijoule.detect.evaluation import DetectionEvaluation, evaluate_boxes
from millijoule.errors import ModelError
from millijoule.model import Model
from millijoule.quantize.images import Images
from millijoule.train import Dataset
from millijoule.train.data import spread
from millijoule.train.images import image_header, read_image, room_for
from millijoule.train.network import import_torch, network_of
from millijoule.train.prepare import prepare, quantized_inputs

if TYPE_CHECKING:
    from millijoule.detect.data import AnnotatedImage, DetectionSet

LEAST_SCORE = 0.05
"""Of the boxes that count in precision and recall; those with less say too little to be worth their time."""
BATCH = 16


def coding_of(model: Model) -> BoxCoding:
    """Raises ModelError for a model that finds no boxes."""
    if model.boxes is None:
        raise ModelError(f"model '{model.graph.name}' finds no boxes: nothing says how its outputs become some")
    return model.boxes


def class_names(model: Model) -> tuple[str, ...]:
    return model.labels or tuple(map(str, range(coding_of(model).classes)))


def find(model: Model, pixels: np.ndarray, threshold: float | None = LEAST_SCORE) -> list[Boxes]:
    """The boxes in each image, in its pixels, of a float or an int8 model.

    pixels: uint8 (n, height, width, channels); images of another size than the input's are stretched to it. threshold:
    the least score; None: the model's own.
    """
    coding, found = coding_of(model), list[Boxes]()
    for outputs in _outputs(model, pixels):
        found += detect(coding, outputs, model.quantization, threshold)
    return [boxes.scaled(coding.size, pixels.shape[1:3]) for boxes in found]


def find_in_file(model: Model, path: Path, threshold: float | None = LEAST_SCORE) -> tuple[np.ndarray, Boxes]:
    """An image file's pixels, uint8 (height, width, 3) at its full size, and what is found in it, in these pixels.

    The network sees it as it sees those of a data set, made small by averages. DataError if it cannot be read.
    """
    (boxes,) = find(model, read_image(path, coding_of(model).size)[None], threshold)
    header = image_header(path)
    assert header is not None
    size = header[:2]
    pixels = np.broadcast_to(read_image(path, size), (*size, 3))
    return pixels, boxes.scaled(coding_of(model).size, size)


def pixels_of(images: Sequence[AnnotatedImage], size: tuple[int, int]) -> np.ndarray:
    """uint8 (n, height, width, 3): the images, stretched to `size`; if that is much, in a temporary file."""
    pixels = room_for((len(images), *size, 3))
    for index, image in enumerate(images):
        pixels[index] = image.pixels(size)
    return pixels


def spaced_pixels(model: Model, images: Sequence[AnnotatedImage], count: int) -> np.ndarray:
    """uint8 (n, height, width, 3): at most `count` of the images, evenly spaced, at the size of the model's input."""
    chosen = spread(count, len(images))
    return pixels_of([images[index] for index in chosen], coding_of(model).size)


def training_images(model: Model, data: Dataset | DetectionSet, count: int) -> Images:
    """At most `count` training images, evenly spaced, to measure ranges on. OptionError for too few."""
    if isinstance(data, Dataset):
        return Images(data.x_train, data.y_train, data.name).take(count)
    return Images(spaced_pixels(model, data.train, count), None, data.name).take(count)


def evaluate_detector(model: Model, images: Sequence[AnnotatedImage]) -> tuple[list[Boxes], DetectionEvaluation]:
    """What a model finds in annotated images, in their pixels, and how good it is."""
    size = coding_of(model).size
    found = in_images(find(model, pixels_of(images, size)), size, images)
    return found, judge(found, images, class_names(model))


def in_images(found: Sequence[Boxes], size: tuple[int, int], images: Sequence[AnnotatedImage]) -> list[Boxes]:
    """Boxes in pixels of the input, of `size`, in those of the images."""
    return [boxes.scaled(size, image.size) for boxes, image in zip(found, images, strict=True)]


def judge(found: Sequence[Boxes], images: Sequence[AnnotatedImage], classes: Sequence[str]) -> DetectionEvaluation:
    """found: in each image, in its pixels."""
    return evaluate_boxes(found, [image.boxes for image in images], classes, [image.areas for image in images])


def _outputs(model: Model, pixels: np.ndarray) -> Iterator[Mapping[str, np.ndarray]]:
    """name → output (batch, …), batch by batch; int8 of an int8 model."""
    shape, names = model.graph.inputs[0].shape, coding_of(model).outputs
    network = None if model.is_int8 else network_of(model)
    for start in range(0, len(pixels), BATCH):
        part = pixels[start : start + BATCH]
        if network is None:
            values = model.run(quantized_inputs(model, part))
            yield {name: values[name] for name in names}
        else:
            torch = import_torch()
            with torch.inference_mode():
                found = network(torch.from_numpy(prepare(part, shape, model.preprocess)), values=names)
            yield {name: value.numpy() for name, value in found.items()}
