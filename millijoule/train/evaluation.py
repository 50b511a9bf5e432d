"""What a trained model answers: on labelled images, and on image files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from millijoule.errors import DataError
from millijoule.model import Model
from millijoule.ops.activation import Sigmoid, Softmax
from millijoule.train.images import read_image
from millijoule.train.network import check_classifier, outputs_are_distances, predict
from millijoule.train.prepare import prepare, quantized_inputs

BATCH = 256
TOP = 5


@dataclass(frozen=True, eq=False)
class Evaluation:
    """A model's answers to labelled images.

    classes: names, in the order of the outputs. labels: (n,). scores: (n, classes) float32, shares that add up to 1.
    mirrored: whether they are means over each image and its mirror image.
    """

    model: str
    data: str
    classes: tuple[str, ...]
    labels: np.ndarray
    scores: np.ndarray
    mirrored: bool = False

    @cached_property
    def answers(self) -> np.ndarray:
        """(n,): the class of the highest score."""
        return self.scores.argmax(axis=1)

    @property
    def accuracy(self) -> float:
        """The share of images whose label has the highest score."""
        return float(np.mean(self.answers == self.labels))

    @property
    def top5(self) -> float | None:
        """The share of images whose label is among the five highest scores; None for five classes or fewer."""
        if len(self.classes) <= TOP:
            return None
        best = np.argpartition(-self.scores, TOP, axis=1)[:, :TOP]
        return float(np.mean(np.any(best == self.labels[:, None], axis=1)))

    @cached_property
    def confusion(self) -> np.ndarray:
        """int64 (classes, classes): images of each class, by row, that were taken for each, by column."""
        counts = np.zeros((len(self.classes),) * 2, np.int64)
        np.add.at(counts, (self.labels, self.answers), 1)
        return counts

    @property
    def recalls(self) -> list[float | None]:
        """Of each class, the share of its images that were recognised; None for a class without images."""
        totals = self.confusion.sum(axis=1)
        return [float(self.confusion[k, k] / total) if total else None for k, total in enumerate(totals)]

    def worst(self, count: int) -> np.ndarray:
        """Indices of the wrong answers, those first whose label has the lowest score."""
        wrong = np.flatnonzero(self.answers != self.labels)
        return wrong[np.argsort(self.scores[wrong, self.labels[wrong]], kind="stable")][:count]

    def to_json(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "data": self.data,
            "images": len(self.labels),
            "mirrored": self.mirrored,
            "accuracy": self.accuracy,
            "top5": self.top5,
            "classes": list(self.classes),
            "recalls": self.recalls,
            "confusion": self.confusion.tolist(),
        }


@dataclass(frozen=True)
class Answer:
    """What a model takes an image file for: (class, score), the highest score first."""

    file: str
    classes: tuple[tuple[str, float], ...]


def evaluate(
    model: Model,
    images: np.ndarray,
    labels: np.ndarray,
    data: str = "",
    classes: Sequence[str] = (),
    *,
    mirrored: bool = False,
) -> Evaluation:
    """The model's answers to uint8 images (n, height, width, channels) with labels (n,).

    classes: names, where the model has none. mirrored: the scores of an image and of its mirror image, left to right,
    are averaged, which takes twice the time. Raises DataError if there are labels for which the model has no output.
    """
    scores = scores_of(model, images)
    if mirrored:
        scores = (scores + scores_of(model, images[:, :, ::-1])) / 2
    if len(labels) != len(images) or labels.max(initial=0) >= scores.shape[1]:
        raise DataError(
            f"'{data}' has {len(images)} images with {len(labels)} labels up to {labels.max(initial=0)}; "
            f"model '{model.graph.name}' tells {scores.shape[1]} classes apart"
        )
    names = model.labels or tuple(classes) or tuple(map(str, range(scores.shape[1])))
    return Evaluation(model.graph.name, data, names, labels, scores, mirrored)


def scores_of(model: Model, images: np.ndarray) -> np.ndarray:
    """float32 (n, classes) of uint8 images (n, height, width, channels), float or int8 model alike.

    Outputs that are no shares already are put through a softmax, distances negated before.
    """
    check_classifier(model)
    shape = model.graph.inputs[0].shape
    parts: Iterator[np.ndarray] = (images[start : start + BATCH] for start in range(0, len(images), BATCH))
    outputs = np.concatenate(
        [
            predict(model, quantized_inputs(model, part) if model.is_int8 else prepare(part, shape, model.preprocess))
            for part in parts
        ]
    ).reshape(len(images), -1)
    op = model.graph.by_name[model.graph.outputs[0]].op
    if isinstance(op, Softmax):
        return outputs
    if isinstance(op, Sigmoid):
        return outputs / np.maximum(outputs.sum(axis=1, keepdims=True), 1e-12)
    logits = -outputs if outputs_are_distances(model.graph) else outputs
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def answer(model: Model, files: Sequence[Path], count: int = TOP) -> list[Answer]:
    """What the model takes each image file for, the `count` best classes. DataError names a file that is no image."""
    answers = []
    for file in files:
        scores = scores_of(model, read_image(file, None)[None])[0]
        names = model.labels or tuple(map(str, range(len(scores))))
        best = np.argsort(-scores, kind="stable")[:count]
        answers.append(Answer(str(file), tuple((names[k], float(scores[k])) for k in best)))
    return answers
