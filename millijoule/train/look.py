"""What a network sees: its first filters, the maps that an image makes, and where in it the answer lies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from millijoule.errors import ModelError
from millijoule.model import Model
from millijoule.ops.conv import Conv2d, TableConv2d
from millijoule.ops.dense import Dense
from millijoule.train.evaluation import Evaluation, scores_of
from millijoule.train.network import activations
from millijoule.train.prepare import fit, prepare, quantized_inputs

OCCLUDED_SHARE = 5
"""The square that hides a part of the image has a fifth of its height."""


@dataclass(frozen=True, eq=False)
class Look:
    """What `look` shows of a model and one image.

    image: uint8 (height, width, channels), fitted to the network. name: of the image. label: the class it has, None if
    unknown. scores: (classes,) for it. filters: (n, height, width, channels), those of layer `filters_of`. maps: of
    each layer that makes maps, (height, width, channels). hidden: (rows, columns), the score of the answer while a
    square at that place is hidden. evaluation: on the test images, whose worst mistakes `mistakes` (n, …) shows.
    """

    model: Model
    image: np.ndarray
    name: str
    label: int | None
    scores: np.ndarray
    filters_of: str
    filters: np.ndarray
    maps: dict[str, np.ndarray]
    hidden: np.ndarray
    evaluation: Evaluation
    mistakes: np.ndarray

    @property
    def answer(self) -> int:
        return int(self.scores.argmax())


def look(
    model: Model, image: np.ndarray, name: str, label: int | None, evaluation: Evaluation, images: np.ndarray
) -> Look:
    """Look at a model with one uint8 image (height, width, channels).

    evaluation: of `images` (n, height, width, channels). Raises ModelError for a network whose input is no image.
    """
    shape = model.graph.inputs[0].shape
    if len(model.graph.inputs) != 1:
        raise ModelError(f"network '{model.graph.name}' has {len(model.graph.inputs)} inputs; one image is shown to it")
    fitted = fit(image[None], shape)
    scores = scores_of(model, fitted)[0]
    filters_of, filters = first_filters(model, fitted.shape[1:])
    worst = evaluation.worst(24)
    return Look(
        model=model,
        image=fitted[0],
        name=name,
        label=label,
        scores=scores,
        filters_of=filters_of,
        filters=filters,
        maps=feature_maps(model, fitted),
        hidden=occlusion(model, fitted[0], int(scores.argmax())),
        evaluation=evaluation,
        mistakes=fit(images[worst], shape) if len(worst) else fitted[:0],
    )


def first_filters(model: Model, image_shape: tuple[int, ...]) -> tuple[str, np.ndarray]:
    """(layer, float (n, height, width, channels)): the weights of the first layer that has any, as images.

    image_shape: (height, width, channels), which a dense layer's weights are laid out as.
    """
    for node in model.graph.nodes:
        if not isinstance(node.op, Conv2d | TableConv2d | Dense):
            continue
        name = f"{node.name}.weight"
        weight = model.weights[name].astype(np.float32)
        if model.quantization is not None:
            quantization = model.quantization[name]
            weight = (weight - quantization.zero_point) * quantization.scales.reshape(-1, *[1] * (weight.ndim - 1))
        if isinstance(node.op, Conv2d):
            return node.name, weight
        if isinstance(node.op, Dense) and weight.shape[1] == np.prod(image_shape):
            return node.name, weight.reshape(len(weight), *image_shape)
        return node.name, weight.reshape(len(weight), *weight.shape[1:3], -1)
    raise ModelError(
        f"network '{model.graph.name}' has no convolution and no dense layer: there are no filters to show"
    )


def feature_maps(model: Model, image: np.ndarray) -> dict[str, np.ndarray]:
    """The maps (height, width, channels) that a fitted image (1, height, width, channels) makes, layer by layer."""
    if model.quantization is not None:
        quantization = model.quantization
        values = {
            name: quantization[name].dequantize(value)
            for name, value in model.run(quantized_inputs(model, image)).items()
        }
    else:
        values = next(iter(activations(model, prepare(image, model.graph.inputs[0].shape, model.preprocess))))
    inputs = {input.name for input in model.graph.inputs}
    return {name: value[0] for name, value in values.items() if value.ndim == 4 and name not in inputs}


def occlusion(model: Model, image: np.ndarray, label: int) -> np.ndarray:
    """float32 (rows, columns): the score of class `label` while a square of the image is hidden.

    The square is filled with the image's mean and moved by half its side over the fitted image (height, width,
    channels) (Zeiler and Fergus 2014, "Visualizing and understanding convolutional networks", section 4.2).
    """
    height, width, _ = image.shape
    side = max(2, height // OCCLUDED_SHARE)
    step = max(1, side // 2)
    rows, columns = range(0, max(height - side, 0) + 1, step), range(0, max(width - side, 0) + 1, step)
    mean = image.reshape(-1, image.shape[2]).mean(axis=0).round().astype(np.uint8)
    copies = np.repeat(image[None], len(rows) * len(columns), axis=0)
    for index, (top, left) in enumerate((top, left) for top in rows for left in columns):
        copies[index, top : top + side, left : left + side] = mean
    return scores_of(model, copies)[:, label].reshape(len(rows), len(columns))
