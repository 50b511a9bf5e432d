"""Learning to find boxes, as a task of the training loop."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from millijoule.boxes import BoxCoding, Boxes, detect
from millijoule.detect.data import AnnotatedImage
from millijoule.detect.evaluation.voc import mean_area_under
from millijoule.detect.find import pixels_of
from millijoule.detect.training import losses
from millijoule.detect.training.augment import Source, augmented
from millijoule.detect.training.settings import DetectorSettings
from millijoule.detect.training.targets import Targets, anchors_of, targets
from millijoule.errors import OptionError
from millijoule.model import Model
from millijoule.train.checkpoint import Best, fingerprint
from millijoule.train.data import stratified_split
from millijoule.train.loop.machine import Machine
from millijoule.train.loop.task import Batch, Task
from millijoule.train.network import import_torch

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

FINER = 1.5
"""Training images are kept larger than the input, so that those which are enlarged lose little."""
EVALUATED = 32
LEAST_SCORE = 0.01
"""Of the boxes that count while it is trained: less than in `find`, as all scores are low in the first epochs."""


class Images:
    """Annotated images at one size; those that take much memory lie in a temporary file."""

    def __init__(self, annotated: Sequence[AnnotatedImage], size: tuple[int, int]) -> None:
        self.pixels = pixels_of(annotated, size)
        self.boxes = [image.boxes.scaled(image.size, size) for image in annotated]

    def __getitem__(self, index: int) -> Source:
        return self.pixels[index], self.boxes[index]


class Detection(Task):
    """Boxes in each image; the score is the mean average precision at an overlap of 0.5, as VOC counts it since 2010.

    model: a detector, which says how its outputs become boxes. images: to train on, those that are held out included.
    """

    score = "mAP@0.5"

    def __init__(
        self,
        model: Model,
        images: Sequence[AnnotatedImage],
        settings: DetectorSettings,
        machine: Machine | None = None,
    ) -> None:
        super().__init__(model, settings, machine)
        assert model.boxes
        self.coding: BoxCoding = model.boxes
        self.detector_settings = settings
        self.values = self.coding.outputs
        self.anchors = anchors_of(self.coding)
        rest, part = stratified_split(np.zeros(len(images), np.int64), settings.validation, settings.seed)
        self.train_set, self.held_out = rest, part if len(part) else rest
        height, width = self.coding.size
        self.images = Images(images, (round(height * FINER), round(width * FINER)))
        self.validation = Images([images[index] for index in self.held_out], self.coding.size)
        mean = np.asarray(model.preprocess["mean"], np.float64) * 255
        self.background = np.rint(mean).astype(np.uint8)

    def identity(self) -> dict[str, Any]:
        drawn = [each for boxes in self.images.boxes for each in (boxes.corners, boxes.labels, boxes.difficult)]
        labels = np.concatenate([each.astype(np.float64).ravel() for each in drawn])
        return fingerprint(self.model.graph, self.images.pixels, labels, self.settings)

    def batch(self, indices: np.ndarray, part: slice, epoch: int, random: np.random.Generator) -> Batch:
        settings, size = self.detector_settings, self.coding.size
        images, boxes = augmented(self.images.__getitem__, indices, size, self.background, epoch, settings, random)
        wanted = [targets(self.coding, self.anchors, each) for each in boxes[part]]
        return Batch(self.prepared(images[part]), lambda values: self._loss(values, wanted))

    def evaluate(self, network: Module) -> tuple[float, float]:
        found: list[Boxes] = []
        total = 0.0
        for start, values in self._answers(network):
            wanted = self._validation_targets[start : start + EVALUATED]
            total += self._loss(values, wanted).item() * len(wanted)
            found += detect(self.coding, {name: each.cpu().numpy() for name, each in values.items()}, None, LEAST_SCORE)
        score = mean_area_under(found, self.validation.boxes, self.coding.classes)
        return float(np.nan_to_num(score)), total / len(self.held_out)  # 0 where nothing is to be found

    def check(self, network: Module, best: Best) -> None:
        if not best.accuracy:
            raise OptionError(
                f"after {best.epoch} epochs network '{self.model.graph.name}' finds no object of the held-out images: "
                f"it has not learnt; try another --learning-rate than {self.settings.learning_rate:.3g}, or more "
                "--epochs"
            )

    @cached_property
    def _validation_targets(self) -> list[Targets]:
        return [targets(self.coding, self.anchors, boxes) for boxes in self.validation.boxes]

    def _answers(self, network: Module) -> Iterator[tuple[int, dict[str, Tensor]]]:
        """(where a batch of the held-out images begins, what the network says of it)."""
        with import_torch().inference_mode():
            for start in range(0, len(self.held_out), EVALUATED):
                images = self.validation.pixels[start : start + EVALUATED]
                yield start, network(self.prepared(images), values=self.values)

    def _loss(self, values: Mapping[str, Tensor], wanted: Sequence[Targets]) -> Tensor:
        """The losses of scores and boxes, each summed over the batch and divided by its positive anchors."""
        torch, settings, coding = import_torch(), self.detector_settings, self.coding
        device = self.machine.device
        scores, offsets = self._joined(values, "scores"), self._joined(values, "boxes")
        aims = torch.from_numpy(np.stack([each.scores for each in wanted])).to(device)
        counts = torch.from_numpy(np.stack([each.counts for each in wanted])).to(device)
        if coding.peaks:
            of_scores = losses.peak_focal(scores, aims)
        elif settings.score_loss == "focal":
            of_scores = losses.focal(scores, aims)
        else:
            of_scores = losses.hard_negatives(scores, aims, counts)
        positives = max(1, sum(len(each.positive) for each in wanted))
        loss: Tensor = (of_scores * counts[..., None]).sum() / positives
        image = torch.from_numpy(np.repeat(np.arange(len(wanted)), [len(each.positive) for each in wanted])).to(device)
        where = np.concatenate([each.positive for each in wanted])
        if not len(where):
            return loss
        chosen = offsets[image, torch.from_numpy(where).to(device)]
        anchors = torch.from_numpy(self.anchors[where]).to(device)
        corners = torch.from_numpy(np.concatenate([each.corners for each in wanted])).to(device)
        if settings.box_loss == "giou":
            of_boxes = 1 - losses.giou(decoded(coding, anchors, chosen), corners)
        else:
            of_boxes = losses.smooth_l1(chosen, encoded(coding, anchors, corners))
        return loss + settings.box_weight * of_boxes.sum() / positives

    def _joined(self, values: Mapping[str, Tensor], kind: str) -> Tensor:
        """(batch, anchors, numbers) of the outputs of all levels that tell `scores` or `boxes`."""
        parts: list[Any] = []
        for level in self.coding.levels:
            name = getattr(level, kind)
            output: Any = values[name]
            parts.append(self.coding.part(level, name, output))
        joined: Tensor = import_torch().cat(parts, dim=1).float()
        return joined


def decoded(coding: BoxCoding, anchors: Tensor, offsets: Tensor) -> Tensor:
    """(n, 4) corners of boxes told by `offsets` (n, 4) relative to `anchors` (n, 4); see `BoxCoding`."""
    torch = import_torch()
    of_centres, of_sizes = coding.variances
    centres = anchors[:, :2] + offsets[:, :2] * of_centres * anchors[:, 2:]
    # No size grows beyond e^4 times its anchor's, so that no early step overflows.
    half = anchors[:, 2:] * (offsets[:, 2:] * of_sizes).clamp(max=4.0).exp() / 2
    corners: Tensor = torch.cat([centres - half, centres + half], dim=1)
    return corners


def encoded(coding: BoxCoding, anchors: Tensor, corners: Tensor) -> Tensor:
    """The inverse of `decoded`."""
    torch = import_torch()
    of_centres, of_sizes = coding.variances
    centres, sizes = (corners[:, :2] + corners[:, 2:]) / 2, corners[:, 2:] - corners[:, :2]
    moved = (centres - anchors[:, :2]) / anchors[:, 2:] / of_centres
    offsets: Tensor = torch.cat([moved, (sizes / anchors[:, 2:]).log() / of_sizes], dim=1)
    return offsets
