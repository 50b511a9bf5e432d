"""Training: stochastic gradient descent with momentum, mini-batches in random order, best checkpoint kept."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from millijoule.errors import MillijouleError, ModelError, OptionError
from millijoule.graph import Graph
from millijoule.model import Model
from millijoule.ops.norm import BatchNorm
from millijoule.train.checkpoint import FILE, Best, Checkpoint, fingerprint, read_checkpoint, save_checkpoint
from millijoule.train.data import Dataset, stratified_split
from millijoule.train.initial import initial_weights
from millijoule.train.loss import LossName, make_loss
from millijoule.train.network import (
    arrays_of,
    build_network,
    import_torch,
    outputs_are_distances,
    read_weights,
    write_weights,
)
from millijoule.train.prepare import fit, measure_preprocess
from millijoule.train.progress import TrainingProgress

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Schedule = Literal["cosine", "step", "constant"]
ONE_THREAD_MACS = 10**9
"""MACs of a training step below which one thread is faster than several: they would wait for each other."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How to train; see `train`. Raises OptionError for values that make no sense."""

    epochs: int
    batch_size: int
    learning_rate: float
    momentum: float
    weight_decay: float
    schedule: Schedule
    warm_up: float
    loss: LossName
    validation: float
    shift: int
    seed: int

    def __post_init__(self) -> None:
        limits = {
            "epochs": (1, math.inf),
            "batch_size": (1, math.inf),
            "learning_rate": (1e-12, math.inf),
            "momentum": (0, 0.999999),
            "weight_decay": (0, math.inf),
            "warm_up": (0, 1),
            "validation": (0, 0.9),
            "shift": (0, math.inf),
            "seed": (0, math.inf),
        }
        for name, (low, high) in limits.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise OptionError(
                    f"{name} is {value}; it must be {low} or more" + (f", at most {high}" * (high < math.inf))
                )
        for name, choices in (("schedule", Schedule), ("loss", LossName)):
            if getattr(self, name) not in get_args(choices):
                raise OptionError(
                    f"{name} is '{getattr(self, name)}'; it must be one of {', '.join(get_args(choices))}"
                )

    def learning_rate_at(self, done: float) -> float:
        """The learning rate when the share `done` of all steps, 0…1, is behind."""
        if done < self.warm_up:
            return self.learning_rate * done / self.warm_up
        if self.schedule == "cosine":
            return self.learning_rate * 0.5 * (1 + math.cos(math.pi * done))
        if self.schedule == "step":
            return self.learning_rate * 0.1 ** ((done >= 0.5) + (done >= 0.75))
        return self.learning_rate


def train(
    graph: Graph,
    dataset: Dataset,
    *,
    epochs: int | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    momentum: float = 0.9,
    weight_decay: float | None = None,
    schedule: Schedule = "cosine",
    warm_up: float = 0.05,
    loss: LossName = "cross_entropy",
    validation: float = 0.1,
    shift: int | None = None,
    seed: int = 0,
    progress: bool = True,
    checkpoint: Path | str | None = None,
) -> Model:
    """Train a classifier on the dataset's training images; return the float model that did best on held-out ones.

    epochs, batch_size, learning_rate, weight_decay: None chooses by the number of training images (see `defaults`).
    momentum, weight_decay: of SGD; biases, batch-norm and other arrays of one dimension do not decay.
    schedule: of the learning rate. `cosine` falls to 0; `step` divides by 10 after 1/2 and 3/4 of the steps.
    warm_up: the share of the steps over which the learning rate first rises from 0.
    loss: `cross_entropy` or `squared_error`; see `make_loss`.
    validation: the share of the training images that is held out and decides which epoch was best (accuracy, then
        loss); with 0, the training images decide. Test images are never looked at.
    shift: images are moved by up to so many pixels, at random in each direction, the background filled with 0. None: a
        sixteenth of the height.
    seed: of weights, order and shifts. Same seed, same machine: same model. Networks whose step takes 1 GMAC or more
        are trained with all of torch's threads, whose number must then be the same too.
    progress: show a progress bar on stderr, if that is a terminal.
    checkpoint: a folder that keeps the state after each epoch; training that was stopped goes on from there.

    Raises ModelError if the network is no classifier of the dataset's classes, OptionError for settings that make no
    sense or with which training fails, ToolError without torch, MillijouleError on Ctrl-C (the checkpoint stays).
    """
    import_torch()
    loss_of = make_loss(graph, loss)
    outputs = graph.shapes[graph.outputs[0]][0]
    if outputs != len(dataset.classes):
        raise ModelError(
            f"network '{graph.name}' has {outputs} outputs, data set '{dataset.name}' has {len(dataset.classes)} "
            "classes: they must be equal; most networks of the zoo take the number of classes"
        )
    shape = graph.inputs[0].shape
    chosen = defaults(len(dataset.x_train))
    settings = Settings(
        epochs=chosen["epochs"] if epochs is None else epochs,
        batch_size=chosen["batch_size"] if batch_size is None else batch_size,
        learning_rate=chosen["learning_rate"] if learning_rate is None else learning_rate,
        momentum=momentum,
        weight_decay=chosen["weight_decay"] if weight_decay is None else weight_decay,
        schedule=schedule,
        warm_up=warm_up,
        loss=loss,
        validation=validation,
        shift=(shape[0] // 16 if len(shape) == 3 else 0) if shift is None else shift,
        seed=seed,
    )
    images = fit(dataset.x_train, shape)
    weights = initial_weights(graph, seed)
    model = Model(graph, weights, labels=dataset.classes, preprocess=measure_preprocess(images))
    trainer = _Trainer(model, loss_of, images, dataset.y_train, settings)
    folder = Path(checkpoint) if checkpoint else None
    best = _run(trainer, folder, progress)
    return Model(graph, best.weights, labels=model.labels, preprocess=model.preprocess)


def defaults(images: int) -> dict[str, Any]:
    """epochs, batch_size, learning_rate and weight_decay for a number of training images.

    Small sets are gone through more often, in smaller steps and with more decay: chosen on digits, by the accuracy on
    parts of the training images that were held out.
    """
    if images < 5_000:
        return {"epochs": 40, "batch_size": 32, "learning_rate": 0.015, "weight_decay": 2e-3}
    return {"epochs": max(10, round(600_000 / images)), "batch_size": 64, "learning_rate": 0.05, "weight_decay": 5e-4}


def _run(trainer: _Trainer, folder: Path | None, progress: bool) -> Best:
    settings = trainer.settings
    identity = fingerprint(trainer.model.graph, trainer.images, trainer.labels, settings)
    state = read_checkpoint(folder, identity) if folder else None
    if state:
        trainer.restore(state)
    done = state.epochs_done if state else 0
    best = state.best if state else None
    with _threads(trainer), TrainingProgress(progress, settings.epochs, trainer.steps, done) as bar:
        for epoch in range(done, settings.epochs):
            try:
                for images, loss in trainer.steps_of(epoch):
                    bar.step(images, loss)
                accuracy, loss = trainer.evaluate()
                bar.epoch(accuracy)
                if best is None or best.is_beaten_by(accuracy, loss):
                    best = Best(epoch + 1, accuracy, loss, trainer.weights())
                if folder:
                    state = Checkpoint(epoch + 1, trainer.weights(), trainer.velocity(), best)
                    save_checkpoint(folder, state, identity, trainer.model)
            except KeyboardInterrupt:
                raise MillijouleError(_interrupted(epoch, settings.epochs, best, folder)) from None
        assert best is not None
        trainer.check_answers(best)
    return best


@contextmanager
def _threads(trainer: _Trainer) -> Iterator[None]:
    """Inside, torch has one thread if a step is small."""
    torch = import_torch()
    graph = trainer.model.graph
    forward = sum(node.op.cost(*graph.input_shapes(node)).macs for node in graph.nodes)
    threads = torch.get_num_threads()
    if 3 * forward * trainer.settings.batch_size < ONE_THREAD_MACS:  # backward takes twice as many as forward
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _interrupted(epoch: int, epochs: int, best: Best | None, folder: Path | None) -> str:
    text = f"training was interrupted in epoch {epoch + 1} of {epochs}"
    if folder is None:
        return f"{text}; nothing is kept without a checkpoint folder (--checkpoint)"
    if best is None:
        return f"{text}, before the first checkpoint"
    return (
        f"{text}; '{folder / FILE}' keeps the best so far (validation accuracy {best.accuracy:.4f}): "
        "give the same command and checkpoint folder to resume"
    )


class _Trainer:
    """The state of a training in torch's hands."""

    def __init__(self, model: Model, loss: Any, images: np.ndarray, labels: np.ndarray, settings: Settings) -> None:
        torch = import_torch()
        self.model, self.loss, self.settings = model, loss, settings
        self.images, self.labels = images, labels
        self.train_set, self.held_out = stratified_split(labels, settings.validation, settings.seed)
        if not len(self.held_out):
            self.held_out = self.train_set
        self.steps = max(1, round(len(self.train_set) / settings.batch_size))
        if len(self.train_set) // self.steps < 2 and any(isinstance(node.op, BatchNorm) for node in model.graph.nodes):
            raise OptionError(
                f"batches of 1 image cannot be normalised: batch_size is {settings.batch_size} for "
                f"{len(self.train_set)} training images; network '{model.graph.name}' needs 2 or more"
            )
        self.network = build_network(model.graph)
        write_weights(model.graph, self.network, model.weights)
        self.trained = {
            name: array for name, array in arrays_of(model.graph, self.network).items() if array.requires_grad
        }
        arrays = self.trained.values()
        self.optimizer = torch.optim.SGD(
            [
                {"params": [array for array in arrays if array.ndim > 1], "weight_decay": settings.weight_decay},
                {"params": [array for array in arrays if array.ndim <= 1], "weight_decay": 0.0},
            ],
            lr=settings.learning_rate,
            momentum=settings.momentum,
        )

    def steps_of(self, epoch: int) -> Iterator[tuple[int, float]]:
        """Train one epoch; yield (images, loss) after each step.

        Everything random depends on the seed and the epoch alone, so a resumed training goes on as if uninterrupted.
        """
        torch = import_torch()
        random = np.random.default_rng([self.settings.seed, epoch])
        batches = np.array_split(random.permutation(self.train_set), self.steps)
        self.network.train()
        for step, batch in enumerate(batches):
            rate = self.settings.learning_rate_at(
                (epoch * self.steps + step + 0.5) / (self.settings.epochs * self.steps)
            )
            for group in self.optimizer.param_groups:
                group["lr"] = rate
            images = shifted(self.images[batch], self.settings.shift, random)
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(int(random.integers(2**62)))  # dropout draws from torch's own stream
                outputs = self.network(self._prepared(images), values=(self.loss.value,))[self.loss.value]
            loss = self.loss.of(outputs, torch.from_numpy(self.labels[batch]))
            if not math.isfinite(value := loss.item()):
                raise OptionError(
                    f"the loss became {value} in epoch {epoch + 1}, step {step + 1}, at learning rate {rate:.3g}: "
                    f"try a smaller one, such as --learning-rate {self.settings.learning_rate / 10:.3g}"
                )
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            yield len(batch), value

    def evaluate(self) -> tuple[float, float]:
        """(accuracy, mean loss) on the held-out images."""
        torch = import_torch()
        right, total = 0, 0.0
        for outputs, labels in self._answers():
            total += self.loss.of(outputs, torch.from_numpy(labels)).item() * len(labels)
            right += int(np.sum(self._classes(outputs) == labels))
        return right / len(self.held_out), total / len(self.held_out)

    def check_answers(self, best: Best) -> None:
        """OptionError if the best network gives every held-out image the same class."""
        write_weights(self.model.graph, self.network, best.weights)
        answers = np.concatenate([self._classes(outputs) for outputs, _ in self._answers()])
        if np.all(answers == answers[0]) and np.any(self.labels[self.held_out] != answers[0]):
            raise OptionError(
                f"after {self.settings.epochs} epochs network '{self.model.graph.name}' says "
                f"'{self.model.labels[answers[0]]}' to every held-out image: it has not learnt; try another "
                f"--learning-rate than {self.settings.learning_rate:.3g}, or more --epochs"
            )

    def weights(self) -> dict[str, np.ndarray]:
        return read_weights(self.model.graph, self.network)

    def velocity(self) -> dict[str, np.ndarray]:
        state = self.optimizer.state
        return {
            name: state[array]["momentum_buffer"].numpy().copy()
            for name, array in self.trained.items()
            if array in state
        }

    def restore(self, state: Checkpoint) -> None:
        torch = import_torch()
        write_weights(self.model.graph, self.network, state.weights)
        for name, velocity in state.velocity.items():
            self.optimizer.state[self.trained[name]]["momentum_buffer"] = torch.from_numpy(velocity.copy())

    def _answers(self, batch: int = 256) -> Iterator[tuple[torch.Tensor, np.ndarray]]:
        torch = import_torch()
        self.network.eval()
        with torch.inference_mode():
            for start in range(0, len(self.held_out), batch):
                part = self.held_out[start : start + batch]
                outputs = self.network(self._prepared(self.images[part]), values=(self.loss.value,))
                yield outputs[self.loss.value], self.labels[part]

    def _classes(self, outputs: torch.Tensor) -> np.ndarray:
        # The loss may read the value in front of softmax or sigmoid, which has the same order.
        classes = outputs.argmin(1) if outputs_are_distances(self.model.graph) else outputs.argmax(1)
        return classes.numpy()

    def _prepared(self, images: np.ndarray) -> torch.Tensor:
        torch = import_torch()
        entry = self.model.graph.inputs[0]
        mean = torch.tensor(self.model.preprocess["mean"])
        std = torch.tensor(self.model.preprocess["std"])
        pixels = torch.from_numpy(np.ascontiguousarray(images)).float()
        prepared: Tensor = ((pixels / 255 - mean) / std).reshape(len(images), *entry.shape)
        return prepared


def shifted(images: np.ndarray, most: int, random: np.random.Generator) -> np.ndarray:
    """uint8 images (n, height, width, channels), each moved by up to `most` pixels on each axis; 0 moves in."""
    if most == 0:
        return images
    count, height, width, _ = images.shape
    padded = np.pad(images, ((0, 0), (most, most), (most, most), (0, 0)))
    top, left = random.integers(0, 2 * most + 1, (2, count))
    rows = top[:, None] + np.arange(height)
    columns = left[:, None] + np.arange(width)
    return padded[np.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]]
