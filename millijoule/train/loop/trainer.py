"""The state of a training in torch's hands: network, optimizer, averaged weights; one epoch at a time."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from millijoule.errors import OptionError
from millijoule.graph import Graph
from millijoule.model import Model
from millijoule.ops.conv import Convolution
from millijoule.ops.dense import Dense
from millijoule.ops.norm import BatchNorm
from millijoule.train.checkpoint import Best, Checkpoint
from millijoule.train.initial import first_convolution
from millijoule.train.loop.settings import Settings
from millijoule.train.loop.sizes import for_sizes
from millijoule.train.loop.task import Task
from millijoule.train.network import arrays_of, build_network, consumers, import_torch

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module
    from torch.optim import Optimizer


class Trainer:
    """Trains the graph of the task's model from the model's weights.

    network: what computes the graph, with one sub-module for each node; default: `build_network`. Buffers of its own
        are kept with the weights.
    """

    def __init__(self, task: Task, network: Module | None = None) -> None:
        self.task, self.model, self.settings, self.machine = task, task.model, task.settings, task.machine
        settings = self.settings
        _check_batches(self.model, len(task.train_set), settings, self.machine.workers)
        self.steps = settings.steps(len(task.train_set))
        self.network = (network or build_network(self.model.graph)).to(self.machine.device)
        self.arrays = arrays_of(self.model.graph, self.network) | dict(self.network.named_buffers(recurse=False))
        self._write(self.model.weights)
        for name in _untrained(self.model.graph, settings):
            self.arrays[name].requires_grad_(False)
        self.trained = {name: array for name, array in self.arrays.items() if array.requires_grad}
        self.optimizer = _optimizer(self.model.graph, self.trained, settings)
        shapes = {settings.shape_at(epoch, self.model.graph.inputs[0].shape) for epoch in range(settings.epochs)}
        self.forward = self.machine.wrapped(for_sizes(self.model.graph, self.network, shapes), settings)
        self.average: dict[str, Tensor] = {}
        if settings.average:
            self.average = {name: array.detach().clone() for name, array in self.arrays.items()}

    def steps_of(self, epoch: int) -> Iterator[tuple[int, float]]:
        """Train one epoch; yield (images, loss) after each step.

        Everything random depends on the seed and the epoch alone, so a resumed training goes on as if uninterrupted.
        """
        torch = import_torch()
        random = np.random.default_rng([self.settings.seed, epoch])
        batches = np.array_split(random.permutation(self.task.train_set), self.steps)
        self.network.train()
        for step, indices in enumerate(batches, start=epoch * self.steps):
            rate = self.settings.learning_rate_at((step + 0.5) / (self.settings.epochs * self.steps))
            for group in self.optimizer.param_groups:
                group["lr"] = rate * group["times_rate"]
            part = self.machine.part(len(indices))
            batch = self.task.batch(indices, part, epoch, random)
            seed = int(random.integers(2**62))
            # Dropout draws from torch's own stream.
            with self.machine.seeded(seed), self.machine.precision(self.settings):
                loss = batch.loss(self.forward(batch.inputs, values=self.task.values))
            if not math.isfinite(value := loss.item()):
                raise OptionError(
                    f"the loss became {value} in epoch {epoch + 1}, step {step - epoch * self.steps + 1}, at learning "
                    f"rate {rate:.3g}: try a smaller one, such as --learning-rate "
                    f"{self.settings.learning_rate / 10:.3g}"
                )
            self.optimizer.zero_grad()
            self.machine.share_of_mean(loss, part, len(indices)).backward()  # type: ignore[no-untyped-call]
            if self.settings.clip:
                torch.nn.utils.clip_grad_norm_(self.trained.values(), self.settings.clip)
            self.optimizer.step()
            self._update_average(step)
            yield len(indices), value

    def _update_average(self, step: int) -> None:
        if not self.average:
            return
        torch = import_torch()
        keep = min(self.settings.average, (1 + step) / (10 + step))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.values()), list(self.arrays.values()), 1 - keep)

    def evaluate(self) -> tuple[float, float]:
        """(score, mean loss) on the held-out images, of the averaged weights if there are any."""
        statistics = [array for name, array in self.arrays.items() if name not in self.trained]
        self.machine.agree([*statistics, *self.average.values()])
        with self._averaged():
            return self.task.evaluate(self.network.eval())

    def check_answers(self, best: Best) -> None:
        """OptionError if the best network has not learnt anything."""
        self._write(best.weights)
        self.task.check(self.network.eval(), best)

    def weights(self) -> dict[str, np.ndarray]:
        """The trained weights."""
        return {name: array.detach().cpu().numpy().astype(np.float32) for name, array in self.arrays.items()}

    def kept_weights(self) -> dict[str, np.ndarray]:
        """The averaged weights if there are any, else the trained ones."""
        with self._averaged():
            return self.weights()

    def state(self, epochs_done: int, best: Best) -> Checkpoint:
        state = self.optimizer.state
        return Checkpoint(
            epochs_done,
            weights=self.weights(),
            optimizer={
                f"{key}/{name}": value.cpu().numpy().copy()
                for name, array in self.trained.items()
                for key, value in state.get(array, {}).items()
                if value is not None
            },
            average={name: array.cpu().numpy().copy() for name, array in self.average.items()},
            best=best,
        )

    def restore(self, state: Checkpoint) -> None:
        torch = import_torch()
        self._write(state.weights)
        for key_and_name, value in state.optimizer.items():
            key, name = key_and_name.split("/", 1)
            if name not in self.trained:  # Earlier versions trained what `_untrained` leaves out.
                continue
            array = self.trained[name]
            # AdamW counts its steps on the CPU.
            device = "cpu" if key == "step" else self.machine.device
            self.optimizer.state[array][key] = torch.from_numpy(value.copy()).to(device)
        for name, value in state.average.items():
            self.average[name].copy_(torch.from_numpy(value))

    def _write(self, weights: Mapping[str, np.ndarray]) -> None:
        torch = import_torch()
        with torch.no_grad():
            for name, values in weights.items():
                self.arrays[name].copy_(torch.from_numpy(np.ascontiguousarray(values, np.float32)))

    @contextmanager
    def _averaged(self) -> Iterator[None]:
        """Inside, the network has the averaged weights."""
        torch = import_torch()
        if not self.average:
            yield
            return
        trained = [array.detach().clone() for array in self.arrays.values()]
        with torch.no_grad():
            torch._foreach_copy_(list(self.arrays.values()), list(self.average.values()))
        try:
            yield
        finally:
            with torch.no_grad():
                torch._foreach_copy_(list(self.arrays.values()), trained)


def _untrained(graph: Graph, settings: Settings) -> Iterator[str]:
    """Weights and biases that stay as they are: the directions of `whiten`, and the biases that batch-norm, which
    subtracts the mean of what it gets, takes out again; their gradients are 0 but for rounding.
    """
    if settings.whiten:
        yield f"{first_convolution(graph)[0]}.weight"
    for node in graph.nodes:
        readers = consumers(graph, node.name)
        if (
            isinstance(node.op, Convolution | Dense)
            and node.op.bias
            and node.op.activation == "none"
            and node.name not in graph.outputs
            and readers
            and all(isinstance(reader.op, BatchNorm) for reader in readers)
        ):
            yield f"{node.name}.bias"


def _check_batches(model: Model, images: int, settings: Settings, workers: int) -> None:
    """OptionError if there are no batches of that size, or none that can be normalised."""
    if settings.batch_size > images:
        raise OptionError(
            f"batch_size is {settings.batch_size}, but there are {images} images to train on: choose {images} or less"
        )
    steps = settings.steps(images)
    if images // steps < workers:
        raise OptionError(
            f"batch_size is {settings.batch_size} for {workers} workers: each needs an image of every batch"
        )
    if images // steps // workers < 2 and any(isinstance(node.op, BatchNorm) for node in model.graph.nodes):
        raise OptionError(
            f"batches of 1 image cannot be normalised: batch_size is {settings.batch_size} for "
            f"{images} training images; network '{model.graph.name}' needs 2 or more"
        )


def _optimizer(graph: Graph, arrays: Mapping[str, Tensor], settings: Settings) -> Optimizer:
    torch = import_torch()
    norm_biases = {f"{node.name}.bias" for node in graph.nodes if isinstance(node.op, BatchNorm)}
    decaying = [array for array in arrays.values() if array.ndim > 1]
    others = [array for name, array in arrays.items() if array.ndim <= 1 and name not in norm_biases]
    biases = [array for name, array in arrays.items() if name in norm_biases]
    groups: list[dict[str, Any]] = [
        {"params": decaying, "weight_decay": settings.weight_decay, "times_rate": 1.0},
        {"params": others, "weight_decay": 0.0, "times_rate": 1.0},
        {"params": biases, "weight_decay": 0.0, "times_rate": settings.norm_bias_rate},
    ]
    if settings.optimizer == "adamw":
        adamw: Optimizer = torch.optim.AdamW(groups, lr=settings.learning_rate)
        return adamw
    sgd: Optimizer = torch.optim.SGD(
        groups, lr=settings.learning_rate, momentum=settings.momentum, nesterov=settings.nesterov
    )
    return sgd
