"""Training: mini-batches in random order by SGD or AdamW, the best weights kept, stopped and resumed at any time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from millijoule.errors import MillijouleError, ModelError, OptionError
from millijoule.graph import Graph
from millijoule.model import Model
from millijoule.train.checkpoint import FILE, Best, read_checkpoint, save_checkpoint
from millijoule.train.data import Dataset
from millijoule.train.initial import initial_weights, whitening
from millijoule.train.loop.classification import Classification
from millijoule.train.loop.machine import Machine
from millijoule.train.loop.settings import RECIPES, Settings, choose, defaults
from millijoule.train.loop.task import Task
from millijoule.train.loop.teacher import Teacher
from millijoule.train.loop.trainer import Trainer
from millijoule.train.loss import make_loss
from millijoule.train.network import import_torch
from millijoule.train.prepare import fit, measure_preprocess, prepare
from millijoule.train.progress import TrainingProgress
from millijoule.train.run_folder import Epoch
from millijoule.whole_file import check_writable

if TYPE_CHECKING:
    from torch.nn import Module

__all__ = ["RECIPES", "Settings", "Teacher", "Trainer", "check_classes", "choose", "defaults", "train", "train_from"]

WHITENED_BY = 5_000
"""About how many images the directions of `whiten` are found in."""
THREAD_MACS = 35_000_000
"""MACs of a training step that are worth a thread: those of smaller shares wait for each other too often."""
BFLOAT16_MACS = 10**9
"""MACs of a training step from which on bfloat16 is faster: smaller ones take longer to convert than to multiply."""


def train(
    graph: Graph,
    dataset: Dataset,
    *,
    recipe: str = "auto",
    progress: bool = True,
    checkpoint: Path | str | None = None,
    on_epoch: Callable[[Epoch], None] | None = None,
    start: Mapping[str, np.ndarray] | None = None,
    preprocess: Mapping[str, Any] | None = None,
    teacher: Teacher | None = None,
    must_learn: bool = True,
    **changes: Any,
) -> Model:
    """Train a classifier on the dataset's training images; return the float model that did best on held-out ones.

    recipe: a name in RECIPES; `auto` chooses by the number of training images.
    progress: show a progress bar on stderr, if that is a terminal.
    checkpoint: a folder that keeps the state after each epoch; training that was stopped goes on from there.
    on_epoch: called after each epoch, before its state is kept.
    start: the numbers to begin with, as in `Model.weights`; default: `initial_weights`.
    preprocess: how images become inputs, as in `Model.preprocess`; default: as measured on the training images.
    teacher: a trained network whose answers are learnt beside the labels.
    must_learn: raise OptionError if the network ends by giving every held-out image the same class.
    changes: settings that differ from the recipe's, by the names of `Settings`, where each is explained.

    Started by torchrun, the processes share each batch and its gradients; the first one writes and shows. Batch-norm's
    statistics are of each process's images.

    Same seed, same machine: same model. A step gets a thread for each 35 million MACs, up to all of torch's, whose
    number must then be the same too.

    Raises ModelError if the network is no classifier of the dataset's classes, OptionError for settings that make no
    sense or with which training fails, ToolError without torch, MillijouleError on Ctrl-C (the checkpoint stays).
    """
    import_torch()
    shape = graph.inputs[0].shape
    settings = choose(recipe, len(dataset.x_train), shape[0] if len(shape) == 3 else 0, changes)
    preprocess = preprocess or measure_preprocess(dataset.x_train, shape)
    if start is None:
        start = initial_weights(graph, settings.seed, dirac=settings.dirac)
        if settings.whiten:
            seen = dataset.x_train[:: max(1, len(dataset.x_train) // WHITENED_BY)]
            start = start | whitening(graph, prepare(seen, shape, preprocess))
    model = Model(graph, start, labels=dataset.classes, preprocess=preprocess)
    best, notes = train_from(
        model,
        dataset,
        settings,
        teacher=teacher,
        progress=progress,
        checkpoint=checkpoint,
        on_epoch=on_epoch,
        must_learn=must_learn,
    )
    return replace(model, weights=best, notes=notes)


def train_from(
    model: Model,
    dataset: Dataset,
    settings: Settings,
    *,
    network: Module | None = None,
    teacher: Teacher | None = None,
    progress: bool = True,
    checkpoint: Path | str | None = None,
    on_epoch: Callable[[Epoch], None] | None = None,
    must_learn: bool = True,
    identity: Mapping[str, Any] | None = None,
) -> tuple[Mapping[str, np.ndarray], tuple[str, ...]]:
    """(the best weights, notes) of a training that begins with the model's numbers and prepares images as it does.

    network: what computes the model's graph; see `Trainer`. identity: what else must be equal for a checkpoint to be of
    this training. Everything else, and the errors, as `train` has them.
    """
    graph = model.graph
    loss = make_loss(graph, settings, dataset.y_train)
    check_classes(graph, dataset)
    if teacher:
        teacher.check(graph, settings)
    machine = Machine()
    settings = with_precision(settings, graph, machine)
    # What is mapped from a file may be larger than memory: it is fitted batch by batch.
    mapped = isinstance(dataset.x_train, np.memmap)
    images = dataset.x_train if mapped else fit(dataset.x_train, graph.inputs[0].shape)
    task = Classification(model, loss, images, dataset.y_train, settings, machine, teacher, identity)
    return train_task(
        task, network=network, progress=progress, checkpoint=checkpoint, on_epoch=on_epoch, must_learn=must_learn
    )


def train_task(
    task: Task,
    *,
    network: Module | None = None,
    progress: bool = True,
    checkpoint: Path | str | None = None,
    on_epoch: Callable[[Epoch], None] | None = None,
    must_learn: bool = True,
) -> tuple[Mapping[str, np.ndarray], tuple[str, ...]]:
    """(the best weights, notes) of a training of any task; arguments and errors as `train_from` has them."""
    folder = Path(checkpoint) if checkpoint else None
    if folder:
        check_writable(folder, "--checkpoint")
    with task.machine.joined():
        trainer = Trainer(task, network)
        best = _run(trainer, folder, progress and task.machine.writes, on_epoch)
        if must_learn:
            trainer.check_answers(best)
    return best.weights, tuple(task.machine.notes)


def check_classes(graph: Graph, dataset: Dataset) -> None:
    """ModelError if a network has not one output for each class."""
    outputs = graph.shapes[graph.outputs[0]][0]
    if outputs != len(dataset.classes):
        raise ModelError(
            f"network '{graph.name}' has {outputs} outputs, data set '{dataset.name}' has {len(dataset.classes)} "
            "classes: they must be equal; most networks of the zoo take the number of classes"
        )


def with_precision(settings: Settings, graph: Graph, machine: Machine) -> Settings:
    """The settings, `auto` replaced by the precision that suits the network and the machine."""
    if settings.precision != "auto":
        return settings
    large = step_macs(graph, settings) >= BFLOAT16_MACS
    return replace(settings, precision="bfloat16" if large and machine.has_bfloat16 else "float32")


def step_macs(graph: Graph, settings: Settings) -> int:
    """MACs of one training step; the way back takes twice as many as the way forth."""
    forward = sum(node.op.cost(*graph.input_shapes(node)).macs for node in graph.nodes)
    return 3 * forward * settings.batch_size


def _run(trainer: Trainer, folder: Path | None, progress: bool, on_epoch: Callable[[Epoch], None] | None) -> Best:
    settings, task = trainer.settings, trainer.task
    identity = task.identity()
    state = read_checkpoint(folder, identity, settings) if folder else None
    if state:
        trainer.restore(state)
    done = state.epochs_done if state else 0
    best = kept = state.best if state else None
    with _threads(trainer), TrainingProgress(progress, settings.epochs, trainer.steps, done, task.score) as bar:
        for epoch in range(done, settings.epochs):
            try:
                if best is not None and (reason := _enough(best, epoch, settings, task.score)):
                    trainer.machine.notes.append(f"training ended after {epoch} of {settings.epochs} epochs: {reason}")
                    break
                losses, clock = [], _Clock()
                for images, loss in trainer.steps_of(epoch):
                    bar.step(images, loss)
                    losses.append(loss * images)
                training_seconds, training_cpu_seconds = clock.read()
                accuracy, validation_loss = trainer.evaluate()
                bar.epoch(accuracy)
                if best is None or settings.keep == "last" or best.is_beaten_by(accuracy, validation_loss):
                    best = Best(epoch + 1, accuracy, validation_loss, trainer.kept_weights())
                if on_epoch and trainer.machine.writes:
                    trained_on = len(task.train_set)
                    seconds, cpu_seconds = clock.read()
                    on_epoch(
                        Epoch(
                            epoch=epoch + 1,
                            loss=sum(losses) / trained_on,
                            accuracy=accuracy,
                            validation_loss=validation_loss,
                            learning_rate=trainer.optimizer.param_groups[0]["lr"],
                            images=(epoch + 1) * trained_on,
                            seconds=seconds,
                            cpu_seconds=cpu_seconds,
                            training_seconds=training_seconds,
                            training_cpu_seconds=training_cpu_seconds,
                        )
                    )
                if folder and trainer.machine.writes:
                    save_checkpoint(folder, trainer.state(epoch + 1, best), identity, trainer.model)
                    kept = best
            except KeyboardInterrupt:
                text = f"training was interrupted in epoch {epoch + 1} of {settings.epochs}"
                raise MillijouleError(text + _what_is_kept(kept, folder, task.score)) from None
            except OSError as error:
                text = f"epoch {epoch + 1} of {settings.epochs} cannot be kept ({error.strerror or error})"
                raise MillijouleError(text + _what_is_kept(kept, folder, task.score)) from error
            except OptionError as error:
                if folder is None or kept is None:
                    raise
                raise OptionError(f"{error}; '{folder / FILE}' keeps what was before") from None
    assert best is not None
    if settings.until and best.accuracy < settings.until:
        trainer.machine.notes.append(
            f"validation {task.score} has not reached until, {settings.until:g}: the best is {best.accuracy:.4f}"
        )
    if settings.keep == "best" and best.epoch == 1 < settings.epochs:
        trainer.machine.notes.append(
            f"of {settings.epochs} epochs the first was best on the held-out images, and is kept: if the weights that "
            "training began with have learnt these images already, take the last epoch (--keep last)"
        )
    return best


class _Clock:
    """Wall time and time of all cores since it was made."""

    def __init__(self) -> None:
        self.start, self.cpu_start = time.monotonic(), time.process_time()

    def read(self) -> tuple[float, float]:
        """(seconds, CPU seconds), to the millisecond."""
        return round(time.monotonic() - self.start, 3), round(time.process_time() - self.cpu_start, 3)


def _enough(best: Best, epochs_done: int, settings: Settings, score: str) -> str:
    """Why training ends before its last epoch; empty if it does not."""
    if settings.until and best.accuracy >= settings.until:
        return f"validation {score} {best.accuracy:.4f} reaches until, {settings.until:g}"
    if settings.patience and epochs_done - best.epoch >= settings.patience:
        return f"none after epoch {best.epoch} was better, patience is {settings.patience}"
    return ""


@contextmanager
def _threads(trainer: Trainer) -> Iterator[None]:
    """Inside, torch has no more threads than a step is worth."""
    torch = import_torch()
    threads = torch.get_num_threads()
    worth = step_macs(trainer.model.graph, trainer.settings) // THREAD_MACS
    torch.set_num_threads(max(1, min(threads, worth)))
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _what_is_kept(kept: Best | None, folder: Path | None, score: str) -> str:
    if folder is None:
        return "; nothing is kept without a checkpoint folder (--checkpoint)"
    if kept is None:
        return ", before the first checkpoint"
    return (
        f"; '{folder / FILE}' keeps the best so far (validation {score} {kept.accuracy:.4f}): "
        "give the same command and checkpoint folder to resume"
    )
