"""`prune`, `distill`: smaller networks from trained ones."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import millijoule
from millijoule.cli.command import NETWORK, Command, add_data, add_input, energy, positive, real, size
from millijoule.cli.trained import (
    TRAINED,
    add_normalisation,
    add_numbers,
    add_teacher,
    check_teacher,
    load_trained,
)
from millijoule.cli.training import (
    add_beginning,
    add_recipe,
    add_settings,
    batch_normalised,
    beginning,
    changes,
    config_of,
    load_data,
    new_config,
    train_in_folder,
)
from millijoule.errors import MillijouleError, OptionError

if TYPE_CHECKING:
    from millijoule.graph import Graph
    from millijoule.model import Model
    from millijoule.train import Dataset


def _prune_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help=TRAINED)
    add_input(parser)
    add_numbers(parser)
    add_data(parser)
    parser.add_argument("--macs", type=real, metavar="R", help="the share of the MACs to keep, or their number above 1")
    parser.add_argument("--ram", type=size, metavar="SIZE", help="the most RAM, executed layer by layer in int8: 64KB")
    parser.add_argument("--energy", type=energy, metavar="ENERGY", help="the most for an inference on --device: 2mJ")
    parser.add_argument("--device", metavar="DEVICE", help="whose energy: nucleo-l4r5zi, … (`millijoule devices`)")
    parser.add_argument(
        "--multiple",
        type=positive,
        default=4,
        metavar="N",
        help="layers keep multiples of so many channels (default 4)",
    )
    _teacher_options(parser, required=False)
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="where to write (default: <model>-pruned)")
    add_recipe(parser)
    add_settings(parser)


def _prune(options: argparse.Namespace) -> None:
    from millijoule.report import format as fmt
    from millijoule.shrink import itself, prune, retraining
    from millijoule.train import accuracy, is_run
    from millijoule.train.run_folder import RunFolder
    from millijoule.train.structure import to_plain

    budgets = {"macs": options.macs, "ram_bytes": options.ram, "energy_mj": options.energy}
    if sum(each is not None for each in budgets.values()) != 1 or (options.energy is None) != (options.device is None):
        raise OptionError("prune needs one budget: --macs 0.5, --ram 64KB, or --energy 2mJ with --device")
    check_teacher(options)
    model, data, config = _trained(options)
    whole = Path(options.model)
    beside = whole.with_name(f"{whole.resolve().name}-pruned") if is_run(options.model) else None
    folder = options.out or beside or Path(f"{model.graph.name}-pruned")
    pruned = prune(model, data, **budgets, device=options.device, multiple=options.multiple)
    config |= {"graph": to_plain(pruned.graph), "preprocess": dict(model.preprocess)}
    config["settings"] = retraining(config["settings"]) | changes(options)
    shape = None
    if options.teacher is None and options.alpha and itself(model, config["settings"]["loss"]):
        _check_readable(options)
        options.teacher, options.teacher_weights, shape = options.model, options.weights, options.shape
    if options.teacher and options.alpha:
        config |= _teacher_config(options, shape)
    RunFolder(folder, config).check()  # Before the test images take their time.
    whole_accuracy = accuracy(model, data.x_test, data.y_test)
    figures: dict[str, tuple[float, str]] = {"accuracy_before": (whole_accuracy, fmt.percent(whole_accuracy))}
    before, after = (_figures(graph, options.device) for graph in (model.graph, pruned.graph))
    for name in before:
        figures[name] = after[name], f"{after[name]:,.9g} of {before[name]:,.9g}"
    figures |= {f"{name}_before": (value, "") for name, value in before.items()}
    train_in_folder(options, folder, config, data, pruned.weights, figures)


def _check_readable(options: argparse.Namespace) -> None:
    """OptionError for a file that runs code when it is read: a run that names it as its teacher keeps no --trust."""
    if not options.trust:
        return
    try:
        load_trained(argparse.Namespace(**vars(options) | {"trust": False}))
    except MillijouleError:
        raise OptionError(
            f"'{options.weights or options.model}' is read only with --trust, which a run does not keep: it cannot "
            "teach what is left of it; export it to ONNX first (`millijoule export --to onnx`), or give --alpha 0"
        ) from None


def _trained(options: argparse.Namespace) -> tuple[Model, Dataset, dict[str, Any]]:
    """(the model to prune, its images, the config of a training of it as it is)."""
    from millijoule.train import is_run
    from millijoule.train.run_folder import read_config

    if is_run(options.model):
        if options.recipe != "auto":
            raise OptionError(f"'{options.model}' has its own recipe: leave --recipe out; single settings can be given")
        config = read_config(Path(options.model))
        config |= {"source": options.data or config["source"], "skip_bad": options.skip_bad or config["skip_bad"]}
        data = load_data(config["source"], config["skip_bad"], config["settings"]["seed"])
        for name in ("teacher", "weights", "versions", "machine"):
            config.pop(name, None)
        return load_trained(options), data, config | {"data": data.name}
    if not options.data:
        load_trained(options)  # Tells what is wrong with the model first.
        raise OptionError("prune needs --data: labelled images, on which it measures what matters and trains on")
    data = load_data(options.data, options.skip_bad, options.seed or 0)
    model = load_trained(options, data)
    if not model.preprocess:
        model = replace(model, preprocess={"mean": [0.0], "std": [1.0]})
    model = batch_normalised(replace(model, notes=()), data, options.model)
    data = replace(data, notes=(*data.notes, *model.notes))
    return model, data, config_of(model.graph, options, data)


def _figures(graph: Graph, device: str | None) -> dict[str, float]:
    from millijoule.passes import simplify

    simple = simplify(graph)
    cost = millijoule.cost(simple)
    figures = {"macs": cost.macs, "parameters": cost.params, "ram_bytes": millijoule.plan(simple).arena_bytes}
    energy = millijoule.predict_energy(simple, device, precision="int8").energy_mj if device else None
    return figures | ({"predicted_energy_mj": round(energy.value, 3)} if energy and energy.value else {})


def _teacher_options(parser: argparse.ArgumentParser, required: bool) -> None:
    otherwise = "" if required else " (default: MODEL itself; none with --alpha 0)"
    trained = TRAINED.replace("--weights", "--teacher-weights")
    add_teacher(parser, f"whose answers are learnt: {trained}{otherwise}", required=required)
    parser.add_argument(
        "--temperature",
        type=real,
        default=4.0,
        metavar="R",
        help="by which outputs are divided before softmax: above 1 it shows which classes look alike (default 4)",
    )
    parser.add_argument(
        "--alpha", type=float, default=0.9, metavar="R", help="the teacher's share of the loss, 0…1 (default 0.9)"
    )
    parser.add_argument(
        "--ask-once",
        dest="once",
        action="store_true",
        help="ask the teacher once about each image and its mirror image, not in every epoch about what is shown",
    )


def _teacher_config(options: argparse.Namespace, shape: tuple[int, ...] | None = None) -> dict[str, Any]:
    """What a run's config says of its teacher. shape: of its input, where that must be said."""
    taught = {name: getattr(options, name) for name in ("temperature", "alpha", "once", "mean", "std")}
    weights = {"weights": str(options.teacher_weights)} if options.teacher_weights else {}
    return {"teacher": {"model": options.teacher, **weights, **({"shape": shape} if shape else {}), **taught}}


def _distill_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("network", metavar="NETWORK", help=f"the student: {NETWORK}")
    add_input(parser)
    add_beginning(parser)
    _teacher_options(parser, required=True)
    add_normalisation(parser)
    add_data(parser)
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="where to write (default: <network>-distilled)")
    add_recipe(parser)
    add_settings(parser)


def _distill(options: argparse.Namespace) -> None:
    if options.data is None:
        raise OptionError("distill needs --data: the images that teacher and student are shown")
    data = load_data(options.data, options.skip_bad, options.seed or 0)
    config = new_config(options, data) | _teacher_config(options)
    start, notes = beginning(options, config, data)
    folder = options.out or Path(f"{config['network']}-distilled")
    train_in_folder(options, folder, config, replace(data, notes=(*data.notes, *notes)), start)


PRUNE = Command("prune", "take out the channels that matter least, and train on", _prune, _prune_options)
DISTILL = Command("distill", "train a network to answer as a larger one does", _distill, _distill_options)
