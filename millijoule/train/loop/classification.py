"""Learning to tell classes apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from millijoule.errors import OptionError
from millijoule.model import Model
from millijoule.train.checkpoint import Best, fingerprint
from millijoule.train.data import stratified_split
from millijoule.train.loop.augment import augmented
from millijoule.train.loop.machine import Machine
from millijoule.train.loop.settings import Settings
from millijoule.train.loop.sizes import resized
from millijoule.train.loop.task import Batch, Task
from millijoule.train.loop.teacher import Lesson, Teacher
from millijoule.train.loss import Loss, mixed
from millijoule.train.network import import_torch, outputs_are_distances
from millijoule.train.prepare import fit

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module


class Classification(Task):
    """One label for each image.

    loss: what is made small. images: uint8 (n, height, width, channels), fitted to the graph's input or to be fitted
    batch by batch. labels: (n,). teacher: whose answers are learnt beside the labels. same: what else must be equal for
    a training to be the same one.
    """

    score = "accuracy"

    def __init__(
        self,
        model: Model,
        loss: Loss,
        images: np.ndarray,
        labels: np.ndarray,
        settings: Settings,
        machine: Machine | None = None,
        teacher: Teacher | None = None,
        same: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(model, settings, machine)
        self.loss, self.images, self.labels, self.same = loss, images, labels, dict(same or {})
        self.values = (loss.value,)
        self.train_set, self.held_out = stratified_split(labels, settings.validation, settings.seed)
        if not len(self.held_out):
            self.held_out = self.train_set
        self.lesson = Lesson(teacher, len(labels), settings, self.machine.device) if teacher else None

    def identity(self) -> dict[str, Any]:
        same = fingerprint(self.model.graph, self.images, self.labels, self.settings) | self.same
        return same | {"teacher": self.lesson.teacher.identity() if self.lesson else None}

    def batch(self, indices: np.ndarray, part: slice, epoch: int, random: np.random.Generator) -> Batch:
        shape = self.model.graph.inputs[0].shape
        images = fit(self.images[indices], shape)
        shown = augmented(images, indices, epoch, self.settings, random)
        sized = resized(shown, self.settings.shape_at(epoch, shape))
        mix = random.beta(self.settings.mixup, self.settings.mixup) if self.settings.mixup else 1.0
        partners = random.permutation(len(indices)) if self.settings.mixup else np.arange(len(indices))
        others = partners[part]
        inputs, labels, loss_of = self.prepared(sized[part]), self._labels(indices[part]), self.loss.of
        if mix < 1.0:
            inputs = mix * inputs + (1 - mix) * self.prepared(sized[others])
            loss_of = mixed(loss_of, self._labels(indices[others]), mix)

        def loss(values: Any) -> Tensor:
            outputs = values[self.loss.value].float()
            of_labels = loss_of(outputs, labels)
            if self.lesson is None:
                return of_labels
            asked = shown if self.lesson.remembered is None else images
            answers = self.lesson.answers(asked[part], indices[part], asked[others] if mix < 1.0 else None, mix)
            return self.lesson.loss(of_labels, outputs, answers)

        return Batch(inputs, loss)

    def evaluate(self, network: Module) -> tuple[float, float]:
        right, total = 0, 0.0
        for outputs, labels in self._answers(network, self.held_out[self.machine.part(len(self.held_out))]):
            total += self.loss.plain(outputs, labels).item() * len(labels)
            right += int((self._classes(outputs) == labels).sum())
        right, total = self.machine.summed(right, total)
        return right / len(self.held_out), total / len(self.held_out)

    def check(self, network: Module, best: Best) -> None:
        """OptionError if the network gives every held-out image the same class."""
        answers = np.concatenate(
            [self._classes(outputs).cpu().numpy() for outputs, _ in self._answers(network, self.held_out)]
        )
        if np.all(answers == answers[0]) and np.any(self.labels[self.held_out] != answers[0]):
            raise OptionError(
                f"after {best.epoch} epochs network '{self.model.graph.name}' says "
                f"'{self.model.labels[answers[0]]}' to every held-out image: it has not learnt; try another "
                f"--learning-rate than {self.settings.learning_rate:.3g}, or more --epochs"
            )

    def _answers(self, network: Module, indices: np.ndarray, batch: int = 256) -> Iterator[tuple[Tensor, Tensor]]:
        """(values that the loss reads, labels), batch by batch."""
        with import_torch().inference_mode():
            for start in range(0, len(indices), batch):
                part = indices[start : start + batch]
                images = fit(self.images[part], self.model.graph.inputs[0].shape)
                yield network(self.prepared(images), values=self.values)[self.loss.value], self._labels(part)

    def _classes(self, outputs: Tensor) -> Tensor:
        # The loss may read the value in front of softmax or sigmoid, which has the same order.
        return outputs.argmin(1) if outputs_are_distances(self.model.graph) else outputs.argmax(1)

    def _labels(self, indices: np.ndarray) -> Tensor:
        labels: Tensor = import_torch().from_numpy(self.labels[indices]).to(self.machine.device)
        return labels
