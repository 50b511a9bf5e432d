"""A trained network that another one learns from."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from millijoule.errors import ModelError, OptionError
from millijoule.graph import Graph
from millijoule.model import Model
from millijoule.passes import simplify
from millijoule.train.loop.settings import Settings
from millijoule.train.loss import logits_value
from millijoule.train.network import import_torch, network_of, outputs_are_distances
from millijoule.train.prepare import prepare

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class Teacher:
    """Whose answers are learnt beside the labels.

    temperature: by which both networks' outputs are divided before softmax; above 1, it shows how alike the teacher
        finds the wrong classes. alpha: the share of the loss that is of the teacher's answers, 0…1.
    once: each image is answered once, as it is in the data set and, where `flip` is set, also as its mirror image, both
        answers averaged; else in every epoch as the student is shown it, which takes the teacher's time again.

    Source: Hinton et al. 2015, "Distilling the knowledge in a neural network", section 2.
    Raises ModelError if the model is int8 or no classifier, OptionError for numbers that make no sense.
    """

    model: Model
    temperature: float = 4.0
    alpha: float = 0.9
    once: bool = False

    def __post_init__(self) -> None:
        name = self.model.graph.name
        if self.model.is_int8:
            raise ModelError(f"teacher '{name}' is int8: give the float model that it was made of")
        if not 0 < self.temperature < math.inf:
            raise OptionError(f"temperature is {self.temperature}; it must be above 0")
        if not 0 <= self.alpha <= 1:
            raise OptionError(f"alpha is {self.alpha}; it must be 0 or more, at most 1")

    def check(self, student: Graph, settings: Settings) -> None:
        """Raises ModelError or OptionError if the student cannot learn from it with these settings."""
        own, others = (graph.shapes[graph.outputs[0]] for graph in (student, self.model.graph))
        if own != others:
            raise ModelError(
                f"teacher '{self.model.graph.name}' has an output of shape {others}, network '{student.name}' one of "
                f"{own}: both must tell the same classes apart"
            )
        if (
            settings.loss != "cross_entropy"
            or outputs_are_distances(student)
            or outputs_are_distances(self.model.graph)
        ):
            raise OptionError("a teacher's answers are softmax outputs: it needs loss cross_entropy, and no distances")
        if self.once and settings.mixup:
            raise OptionError(f"a teacher that is asked once has no answers to mixed images: mixup is {settings.mixup}")

    def identity(self) -> dict[str, Any]:
        """What must be equal for a training to be the same one."""
        digest = hashlib.sha256(repr(self.model.graph).encode())
        for name in sorted(self.model.weights):
            digest.update(np.ascontiguousarray(self.model.weights[name]).tobytes())
        same = {"network": digest.hexdigest(), "temperature": self.temperature, "alpha": self.alpha}
        return same | ({"once": True} if self.once else {})


class Lesson:
    """A teacher's answers to the images of a training, and the loss that they make.

    images: how many there are. Where every epoch shows them as they are, or the teacher is asked once, the answer to
        each is remembered.
    """

    def __init__(self, teacher: Teacher, images: int, settings: Settings, device: str) -> None:
        torch = import_torch()
        self.teacher, self.device = teacher, device
        simple = simplify(teacher.model)
        self.network = network_of(simple).to(device)
        self.value = logits_value(simple.graph)
        self.remembered: Tensor | None = None
        self.mirrors = teacher.once and settings.flip
        if teacher.once or not settings.augments:
            classes = teacher.model.graph.shapes[self.value][0]
            self.remembered = torch.full((images, classes), math.nan, device=device)

    def answers(self, images: np.ndarray, indices: np.ndarray, mixed_with: np.ndarray | None, share: float) -> Tensor:
        """(n, classes) outputs in front of softmax, for uint8 images (n, h, w, c) that are `share` their own.

        images: as they are in the data set where answers are remembered, else as they are shown. indices: (n,), which
        images of the training they are. mixed_with: the images that make up the rest, if any.
        """
        torch = import_torch()
        if self.remembered is not None:
            known = self.remembered[torch.from_numpy(indices).to(self.device)]
            if not bool(known.isnan().any()):
                return known
        inputs = self._prepared(images)
        if mixed_with is not None:
            inputs = share * inputs + (1 - share) * self._prepared(mixed_with)
        outputs = self._asked(inputs)
        if self.mirrors:
            outputs = (outputs + self._asked(self._prepared(images[:, :, ::-1]))) / 2
        if self.remembered is not None:
            self.remembered[torch.from_numpy(indices).to(self.device)] = outputs
        return outputs

    def loss(self, of_labels: Tensor, outputs: Tensor, answers: Tensor) -> Tensor:
        """alpha * temperature² * Kullback-Leibler divergence from the teacher's softened answers, and the labels' rest.

        The square keeps the size of its gradient, whatever the temperature.
        """
        functional = import_torch().nn.functional
        temperature, alpha = self.teacher.temperature, self.teacher.alpha
        divergence: Tensor = functional.kl_div(
            functional.log_softmax(outputs / temperature, dim=1),
            functional.log_softmax(answers / temperature, dim=1),
            reduction="batchmean",
            log_target=True,
        )
        return alpha * temperature**2 * divergence + (1 - alpha) * of_labels

    def _asked(self, inputs: Tensor) -> Tensor:
        with import_torch().no_grad():
            outputs: Tensor = self.network(inputs, values=(self.value,))[self.value].float()
        return outputs

    def _prepared(self, images: np.ndarray) -> Tensor:
        model = self.teacher.model
        prepared = prepare(images, model.graph.inputs[0].shape, model.preprocess)
        tensor: Tensor = import_torch().from_numpy(prepared).to(self.device)
        return tensor
