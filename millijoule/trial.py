"""What firmware is tried on, and how good answers to that are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from millijoule.boxes import Boxes, detect
from millijoule.detect.find import LEAST_SCORE, evaluate_detector, in_images, judge, pixels_of, spaced_pixels
from millijoule.emit.boxes import found_bytes, read_found
from millijoule.errors import DataError
from millijoule.model import Model
from millijoule.report.detection.findings import Findings

if TYPE_CHECKING:
    from millijoule.detect.data import DetectionSet
    from millijoule.train import Dataset

REFERENCE_BATCH = 64
RANDOM_INPUTS = 16
CALIBRATION_IMAGES = 512


@dataclass(frozen=True, eq=False)
class Answers:
    """outputs: int8 (n, bytes of all outputs). boxes: of a detector, in pixels of the input."""

    outputs: np.ndarray
    boxes: list[Boxes] | None = None

    @classmethod
    def of_reference(cls, model: Model, inputs: np.ndarray) -> Answers:
        """What the integer reference answers, in batches, as it keeps every value of a batch."""
        outputs, found = [], list[Boxes]()
        for start in range(0, len(inputs), REFERENCE_BATCH):
            batch = inputs[start : start + REFERENCE_BATCH]
            values = model.run(batch)
            outputs.append(
                np.concatenate([values[name].reshape(len(batch), -1) for name in model.graph.outputs], axis=1)
            )
            if model.boxes:
                found += detect(model.boxes, values, model.quantization, LEAST_SCORE)
        return cls(np.concatenate(outputs), found if model.boxes else None)

    @classmethod
    def written(cls, model: Model, results: np.ndarray) -> Answers:
        """What the sample firmware wrote: int8 (n, emit.written_bytes)."""
        if model.boxes is None:
            return cls(results)
        behind = results.shape[1] - found_bytes(model.boxes)
        return cls(results[:, :behind], read_found(results[:, behind:]))


@dataclass(frozen=True, eq=False)
class Trial:
    """inputs: int8 (n, …). notes: what the reader must know of them. measure: how good answers are: `accuracy`, or
    `mAP@0.5` (PASCAL VOC's of 2010); empty if that cannot be told. score, score_of: of answers and of a model, a
    fraction of 1. findings: boxes that were found, with the images, for pictures.
    """

    inputs: np.ndarray
    notes: tuple[str, ...] = ()
    measure: str = ""
    score: Callable[[Answers], float] | None = None
    score_of: Callable[[Model], float] | None = None
    findings: Callable[[Answers], Findings] | None = None


def calibration_images(model: Model, data: Dataset | DetectionSet) -> np.ndarray:
    """uint8 (n, height, width, channels): the training images on which a float model is quantized."""
    from millijoule.train import Dataset

    if isinstance(data, Dataset):
        return data.x_train
    return spaced_pixels(model, data.train, CALIBRATION_IMAGES)


def trial(model: Model, data: Dataset | DetectionSet | None, samples: int | None) -> Trial:
    """An int8 model's inputs: the test images, the first `samples` of them; without data, random numbers.

    Raises DataError if the data do not suit the model.
    """
    if data is None:
        entry, count = model.graph.inputs[0], samples or RANDOM_INPUTS
        inputs = np.random.default_rng(0).integers(-128, 128, (count, *entry.shape), dtype=np.int8)
        what = "mAP" if model.boxes else "accuracy"
        return Trial(inputs, (f"no --data: the firmware ran on {count} random inputs, so there is no {what}",))
    from millijoule.train import Dataset

    if isinstance(data, Dataset):
        return _labelled(model, data, samples)
    return _annotated(model, data, samples)


def _labelled(model: Model, data: Dataset, samples: int | None) -> Trial:
    from millijoule.train import accuracy, quantized_inputs

    if model.boxes:
        raise DataError(
            f"model '{model.graph.name}' finds boxes; '{data.name}' has labelled images: give annotated ones, as "
            "--data voc:FOLDER"
        )
    images, labels = data.x_test[:samples], data.y_test[:samples]
    classes = sum(int(np.prod(model.graph.shapes[name])) for name in model.graph.outputs)
    if len(data.classes) > classes:
        raise DataError(f"'{data.name}' has {len(data.classes)} classes; the model tells {classes} apart")
    return Trial(
        quantized_inputs(model, images),
        (),
        "accuracy",
        lambda answers: float(np.mean(answers.outputs.argmax(axis=1) == labels)),
        lambda other: accuracy(other, images, labels),
    )


def _annotated(model: Model, data: DetectionSet, samples: int | None) -> Trial:
    from millijoule.train import quantized_inputs

    if model.boxes is None:
        raise DataError(
            f"'{data.name}' has annotated images; nothing says how the outputs of model '{model.graph.name}' become "
            "boxes"
        )
    if model.labels and tuple(data.classes) != model.labels:
        raise DataError(
            f"'{data.name}' has classes {_named(data.classes)}; model '{model.graph.name}' finds {_named(model.labels)}"
        )
    if len(data.classes) != model.boxes.classes:
        raise DataError(
            f"'{data.name}' has {len(data.classes)} classes; model '{model.graph.name}' tells {model.boxes.classes} "
            "apart"
        )
    coding, images = model.boxes, data.test[:samples]

    def findings(answers: Answers) -> Findings:
        assert answers.boxes is not None
        found = in_images(answers.boxes, coding.size, images)
        evaluation = judge(found, images, data.classes)
        return Findings(model.graph.name, data.name, images, found, evaluation, coding.threshold)

    return Trial(
        quantized_inputs(model, pixels_of(images, coding.size)),
        (),
        "mAP@0.5",
        lambda answers: findings(answers).evaluation.map_50_area,
        lambda other: evaluate_detector(other, images)[1].map_50_area,
        findings,
    )


def _named(classes: Sequence[str]) -> str:
    return ", ".join(classes[:5]) + (f" and {len(classes) - 5} more" if len(classes) > 5 else "")


def equal_boxes(found: Boxes, expected: Boxes) -> int:
    """How many of the expected boxes were found, in the same order and to the last bit."""
    both = min(len(found), len(expected))
    same = (found.labels[:both] == expected.labels[:both]) & (found.scores[:both] == expected.scores[:both])
    return int(np.sum(same & np.all(found.corners[:both] == expected.corners[:both], axis=1)))
