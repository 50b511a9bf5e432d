"""What the commands share that train a network: settings, the record of the training, what is printed at its end."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin, get_type_hints

import millijoule
from millijoule.cli.cluster import Job, run_shared
from millijoule.cli.command import fit_to, is_file, network, show
from millijoule.cli.trained import load_teacher

if TYPE_CHECKING:
    import numpy as np

    from millijoule.detect.data import DetectionSet
    from millijoule.train import Dataset
    from millijoule.train.loop import Settings
    from millijoule.train.run_folder import Epoch


def add_recipe(parser: argparse.ArgumentParser) -> None:
    """The option --recipe."""
    from millijoule.train.loop import RECIPES

    parser.add_argument(
        "--recipe", choices=tuple(RECIPES), default="auto", help="settings that go together; those below change it"
    )


def add_settings(parser: argparse.ArgumentParser, settings: type[Settings] | None = None) -> None:
    """One option for each field of `settings`, with the field's own words; default: those of every training."""
    from millijoule.train.loop.settings import Settings, described

    group = parser.add_argument_group("settings of the recipe")
    own = group if settings is None else parser.add_argument_group("settings of detectors")
    settings = settings or Settings
    common = described(Settings)
    texts, types = common | described(settings), get_type_hints(settings)
    for field in fields(settings):
        option, kind = f"--{field.name.replace('_', '-')}", types[field.name]
        into = group if field.name in common else own
        help = texts[field.name].rstrip(".").replace("%", "%%")
        if kind is bool:
            into.add_argument(option, action=argparse.BooleanOptionalAction, help=help)
        elif get_origin(kind) is Literal:
            into.add_argument(option, choices=get_args(kind), help=help)
        else:
            into.add_argument(option, type=kind, metavar="N" if kind is int else "R", help=help)


def changes(options: argparse.Namespace, settings: type[Settings] | None = None) -> dict[str, Any]:
    """The settings that were given, of those of `settings`; default: of those of every training."""
    from millijoule.train.loop.settings import Settings

    given = {field.name: getattr(options, field.name) for field in fields(settings or Settings)}
    return {name: value for name, value in given.items() if value is not None}


def load_data(source: str, skip_bad: bool, seed: int) -> Dataset:
    return millijoule.load_data(source, skip_bad=skip_bad, seed=seed)


def new_config(options: argparse.Namespace, data: Dataset) -> dict[str, Any]:
    """What identifies a training, so that it can be begun again: every setting stands there, chosen or given.

    Of a file's network the structure is kept; its numbers are not used.
    """
    from dataclasses import asdict

    from millijoule.graph import Graph
    from millijoule.train.loop import choose
    from millijoule.train.structure import to_plain

    arguments: dict[str, Any] = {}
    kept: dict[str, Any] = {}
    if is_file(options.network):
        found = network(options.network, options.shape, options.trust)
        graph = found if isinstance(found, Graph) else found.graph
        kept = {"graph": to_plain(graph)}
    else:
        arguments = fit_to(options.network, data, options.shape)
        graph = millijoule.zoo.get(options.network, **arguments)
    shape = graph.inputs[0].shape
    settings = choose(options.recipe, len(data.x_train), shape[0] if len(shape) == 3 else 0, changes(options))
    return {
        "network": graph.name,
        "arguments": arguments,
        **kept,
        "data": data.name,
        "source": options.data,
        "skip_bad": options.skip_bad,
        "recipe": options.recipe,
        "settings": asdict(settings),
    }


def train_in_folder(
    options: argparse.Namespace,
    folder: Path,
    config: dict[str, Any],
    data: Dataset,
    start: Mapping[str, np.ndarray] | None = None,
    figures: Mapping[str, tuple[float, str]] | None = None,
) -> None:
    """Train the network of a run's `config`, keep the record in `folder`, count the test images and print all.

    start: the numbers to begin with. figures: what else is told, by name: for JSON, and as text of the table; without
    text it is for JSON alone.
    """
    from millijoule.report.training import tables
    from millijoule.report.training.run_page import counted, write_run_page
    from millijoule.train import evaluate, load_run
    from millijoule.train.prepare import colour_note
    from millijoule.train.run_folder import graph_of

    data = replace(data, notes=(*data.notes, *colour_note(data.x_train, graph_of(config).inputs[0].shape)))
    notes = run_training(options, folder, config, data, train_job, start)
    if notes is None:
        return
    model = load_run(folder)
    evaluation = evaluate(model, data.x_test, data.y_test, data.name, data.classes)
    write_run_page(folder, counted(evaluation))
    figures = figures or {}
    rows = {name.replace("_", " "): text for name, (_, text) in figures.items() if text} | tables.counted(evaluation)
    known = {name: value for name, (value, _) in figures.items()} | evaluation.to_json()
    show_training(options, folder, config, (*data.notes, *notes), known, rows)


def run_training(
    options: argparse.Namespace,
    folder: Path,
    config: Mapping[str, Any],
    data: Dataset | DetectionSet,
    work: Callable[..., tuple[str, ...]],
    start: Mapping[str, np.ndarray] | None = None,
) -> tuple[str, ...] | None:
    """The notes of `work`, which trains the network of a run's `config`; None where another process tells the result.

    start: the numbers to begin with.
    """
    from millijoule.train.run_folder import RunFolder

    RunFolder(folder, config).check()
    for note in data.notes:
        print(f"note: {note}", file=sys.stderr)
    return run_shared(options, work, Job(folder, config, start, getattr(options, "tensorboard", False)), data)


def show_training(
    options: argparse.Namespace,
    folder: Path,
    config: Mapping[str, Any],
    notes: Sequence[str],
    known: Mapping[str, Any],
    rows: Mapping[str, str],
) -> None:
    """Print what a training has done, what is known of the network: for JSON, and as rows of the table."""
    from millijoule.report.training import tables
    from millijoule.train.run_folder import read_metrics

    epochs = read_metrics(folder)
    done: dict[str, Any] = {"folder": str(folder), "epochs": len(epochs), "images_trained_on": epochs[-1].images}
    done["notes"] = list(notes)
    score = config.get("score", "accuracy")
    printed = tables.training(config["network"], config["data"], epochs, folder, notes, rows, score)
    show(options, {**done, **known}, printed)


def train_job(job: Job, data: Dataset | None = None) -> tuple[str, ...]:
    """What each process of a training does; returns the notes. data: the job's, if it has been loaded."""
    from millijoule.train.run_folder import graph_of

    config = job.config
    data = data or load_data(config["source"], config["skip_bad"], config["settings"]["seed"])
    model = millijoule.train(
        graph_of(config),
        data,
        recipe=config["recipe"],
        checkpoint=job.folder,
        on_epoch=recorder(job),
        start=job.start,
        preprocess=config.get("preprocess"),
        teacher=load_teacher(**config["teacher"]) if "teacher" in config else None,
        **config["settings"],
    )
    return model.notes


def recorder(job: Job) -> Callable[[Epoch], None]:
    """What keeps the record of each epoch."""
    from millijoule.report.training.run_page import write_run_page
    from millijoule.train.run_folder import RunFolder

    listeners: list[Callable[[Epoch], None]] = [
        RunFolder(job.folder, job.config).add,
        lambda epoch: write_run_page(job.folder),
    ]
    if job.tensorboard:
        from millijoule.train.tensorboard import event_writer

        listeners.append(event_writer(job.folder))

    def on_epoch(epoch: Epoch) -> None:
        for listener in listeners:
            listener(epoch)

    return on_epoch
