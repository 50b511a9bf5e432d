"""What a training learns: which images, what is made small, and the score that tells which epoch was best."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from millijoule.model import Model
from millijoule.train.checkpoint import Best
from millijoule.train.loop.machine import Machine
from millijoule.train.loop.settings import Settings
from millijoule.train.network import import_torch

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module


@dataclass(frozen=True)
class Batch:
    """The images of one step, or one worker's part of them.

    inputs: prepared, (n, *input shape). loss: the mean over the images, of the values that the network gives for them.
    """

    inputs: Tensor
    loss: Callable[[Mapping[str, Tensor]], Tensor]


class Task(ABC):
    """What `Trainer` does not know of: classification is one task, detection another.

    model: begins with its numbers, and prepares images as it does. values: those of the graph that the loss reads.
    train_set, held_out: the numbers of the images that are trained on and of those that decide which epoch was best.
    score: the name of what decides, 0…1; of equal scores the lower loss is better.
    """

    score: ClassVar[str]
    values: tuple[str, ...]
    train_set: np.ndarray
    held_out: np.ndarray

    def __init__(self, model: Model, settings: Settings, machine: Machine | None = None) -> None:
        self.model, self.settings = model, settings
        self.machine = machine or Machine()

    @abstractmethod
    def identity(self) -> dict[str, Any]:
        """What must be equal for a training to be the same one."""

    @abstractmethod
    def batch(self, indices: np.ndarray, part: slice, epoch: int, random: np.random.Generator) -> Batch:
        """The images `indices` of the training set, changed at random; of them those in `part`.

        What is drawn from `random` must not depend on the part: all workers draw the same.
        """

    @abstractmethod
    def evaluate(self, network: Module) -> tuple[float, float]:
        """(score, mean loss) on the held-out images, the same for every worker. network: in evaluation mode."""

    @abstractmethod
    def check(self, network: Module, best: Best) -> None:
        """OptionError if the network, which has the best weights, has not learnt anything."""

    def prepared(self, images: np.ndarray) -> Tensor:
        """uint8 images (n, height, width, channels) that fit the network's input, or are smaller, as its input."""
        torch = import_torch()
        device = self.machine.device
        mean = torch.tensor(self.model.preprocess["mean"], device=device)
        std = torch.tensor(self.model.preprocess["std"], device=device)
        pixels = torch.from_numpy(np.ascontiguousarray(images)).to(device).float()
        prepared: Tensor = pixels.div_(255).sub_(mean).div_(std)
        return prepared if len(self.model.graph.inputs[0].shape) == 3 else prepared.flatten(1)
