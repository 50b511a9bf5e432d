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
from millijoule.cli.trained import load_teacher, load_trained, normalised
from millijoule.errors import ModelError, OptionError

if TYPE_CHECKING:
    import numpy as np

    from millijoule.detect.data import DetectionSet
    from millijoule.graph import Graph
    from millijoule.model import Model
    from millijoule.train import Dataset
    from millijoule.train.loop import Settings
    from millijoule.train.run_folder import Epoch


def add_recipe(parser: argparse.ArgumentParser) -> None:
    """The option --recipe."""
    from millijoule.train.loop import RECIPES

    parser.add_argument(
        "--recipe", choices=tuple(RECIPES), default="auto", help="settings that go together; those below change it"
    )


def add_beginning(parser: argparse.ArgumentParser, others: str = "") -> None:
    """The option --weights: the numbers to begin with, of a classifier; `others`: what is said of others."""
    parser.add_argument(
        "--weights",
        type=Path,
        metavar="MODEL",
        help="begin with the numbers of a trained network of the same structure, its last layer where it has the same "
        "classes: the folder of a training, a float model file, or of a network of the zoo a state dict of PyTorch or "
        f"a .safetensors file{others} (default: random numbers)",
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
    from millijoule.graph import Graph
    from millijoule.train.structure import to_plain
    from millijoule.train.transfer import with_classes

    arguments: dict[str, Any] = {}
    kept: dict[str, Any] = {}
    if is_file(options.network):
        found = network(options.network, options.shape, options.trust)
        whole = found if isinstance(found, Graph) else found.graph
        graph = with_classes(whole, len(data.classes))
        if graph is not whole:
            outputs = whole.shapes[whole.outputs[0]][-1]
            print(f"note: network '{graph.name}' gets {len(data.classes)} outputs; it had {outputs}", file=sys.stderr)
        kept = {"graph": to_plain(graph)}
    else:
        arguments = fit_to(options.network, data, options.shape)
        graph = millijoule.zoo.get(options.network, **arguments)
    return {**config_of(graph, options, data), "arguments": arguments, **kept}


def config_of(graph: Graph, options: argparse.Namespace, data: Dataset) -> dict[str, Any]:
    """What a run's config says of the training of a graph; of the graph itself, its name alone."""
    from dataclasses import asdict

    from millijoule.train.loop import choose

    shape = graph.inputs[0].shape
    settings = choose(options.recipe, len(data.x_train), shape[0] if len(shape) == 3 else 0, changes(options))
    return {
        "network": graph.name,
        "arguments": {},
        "data": data.name,
        "source": options.data,
        "skip_bad": options.skip_bad,
        "recipe": options.recipe,
        "settings": asdict(settings),
    }


def beginning(
    options: argparse.Namespace, config: dict[str, Any], data: Dataset
) -> tuple[Mapping[str, np.ndarray] | None, tuple[str, ...]]:
    """(the numbers of --weights, with which a new run's network begins, None without; notes).

    The run's `config` then says whose they are, and how they expect images; the network of a file that has lost its
    batch-norm has it back there. Raises ModelError or OptionError if they are of another network.
    """
    from millijoule.load.reference import is_reference
    from millijoule.load.torch.checkpoint import SUFFIXES
    from millijoule.train.initial import initial_weights
    from millijoule.train.pixels import pixel_note, sampled_preprocess
    from millijoule.train.run_folder import graph_of
    from millijoule.train.structure import to_plain
    from millijoule.train.transfer import taken_over

    if options.weights is None:
        return None, ()
    graph, source = graph_of(config), str(options.weights)
    if not options.weights.exists() and not is_reference(source):
        raise OptionError(f"'{source}' is not there: --weights names the folder of a training, a model or a state dict")
    named = argparse.Namespace(**vars(options) | {"model": source, "weights": None})
    if options.weights.suffix.lower() in SUFFIXES:
        trained = normalised(_from_state_dict(options.weights, graph, config, options.trust), named)
    else:
        trained = load_trained(named)
    taken = taken_over(trained, graph, source)
    config["weights"] = source
    notes = list(trained.notes)
    if trained.preprocess:
        config["preprocess"] = dict(trained.preprocess)
    else:
        notes.append(f"'{source}' does not say how it expects pixels: they are normalised as measured (--mean, --std)")
        measured = sampled_preprocess(data, graph.inputs[0].shape)
        notes += pixel_note(replace(trained, preprocess=measured), data)
    if fresh := [name for name in graph.params() if name not in taken]:
        notes.append(f"not in '{source}', so random at first: {', '.join(fresh)}")
    settings = config["settings"]
    start = {**initial_weights(graph, settings["seed"], dirac=settings["dirac"]), **taken}
    if "graph" not in config:
        return start, tuple(notes)
    model = replace(trained, graph=graph, weights=start, labels=(), boxes=None, notes=tuple(notes))
    model = batch_normalised(model, data, options.network)
    config["graph"] = to_plain(model.graph)
    return model.weights, model.notes


def batch_normalised(model: Model, data: Dataset, source: str) -> Model:
    """The model with batch-norm behind its convolutions, if it has none, and a note that says so."""
    from millijoule.shrink import add_batch_norm

    normed = add_batch_norm(model, data)
    if normed is model:
        return model
    note = f"'{source}' has no batch-norm: it is trained on with one after each convolution"
    return replace(normed, notes=(*normed.notes, note))


def _from_state_dict(file: Path, graph: Graph, config: Mapping[str, Any], trust: bool) -> Model:
    """The numbers of a state dict in `graph`, or in the network of the zoo with the file's number of classes."""
    from millijoule.load.torch.checkpoint import read_arrays
    from millijoule.train.transfer import last_layers

    try:
        return millijoule.load(file, network=graph, trust=trust)
    except ModelError:
        if "classes" not in config["arguments"]:
            raise
        arrays, last = read_arrays(file, trust=trust), last_layers(graph)
        ends = [array for name, array in arrays.items() if name.rpartition(".")[0] in last] or list(arrays.values())
        arguments = config["arguments"] | {"classes": len(ends[-1])}
        return millijoule.load(file, network=millijoule.zoo.get(config["network"], **arguments), trust=trust)


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
    printed = tables.training(config, epochs, folder, notes, rows)
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
        teacher=load_teacher(data, **config["teacher"]) if "teacher" in config else None,
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
