"""Networks that have been trained, here or elsewhere: where their numbers are, and what they take images for."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import millijoule
from millijoule.cli.command import add_input, fit_to, is_annotated, is_file, load_annotated
from millijoule.errors import OptionError

if TYPE_CHECKING:
    from millijoule.detect.data import DetectionSet
    from millijoule.model import Model
    from millijoule.train import Dataset
    from millijoule.train.loop import Teacher

TRAINED = (
    "the folder of a training (`millijoule train --out`), a .tflite or .onnx file, package.module:factory of a PyTorch "
    "module, or a network of the zoo with --weights"
)


def add_trained(parser: argparse.ArgumentParser) -> None:
    """MODEL, and the options that say where its numbers are and what it takes."""
    parser.add_argument("model", metavar="MODEL", help=TRAINED)
    add_input(parser)
    add_numbers(parser)
    parser.set_defaults(seed=0)  # of splits; see `take_own_data`


def add_numbers(parser: argparse.ArgumentParser) -> None:
    """The options --weights, --mean and --std."""
    parser.add_argument(
        "--weights",
        type=Path,
        metavar="FILE",
        help="numbers for a network of the zoo: a state dict of PyTorch (.pt, .pth, …) or a .safetensors file",
    )
    add_normalisation(parser)


def add_normalisation(parser: argparse.ArgumentParser) -> None:
    """The options --mean and --std."""
    for name, what in (("mean", "is subtracted from"), ("std", "then divides")):
        parser.add_argument(
            f"--{name}",
            type=_per_channel,
            metavar="R,G,B",
            help=f"what {what} pixels of 0…1 before a float network gets them: one number, or one for each channel",
        )


def is_trained(options: argparse.Namespace) -> bool:
    """Whether the options name numbers, and not a network of the zoo that is still to be trained."""
    return _is_folder(options.model) or is_file(options.model) or options.weights is not None


def load_trained(options: argparse.Namespace, data: Dataset | None = None, weights: str = "--weights") -> Model:
    """The model that the options name.

    data: what a network of the zoo is fitted to, and a file that does not say how it expects pixels is tried with; a
    note tells what it seems to expect. weights: the option that gives it numbers.

    Raises OptionError for options that do not go together.
    """
    from millijoule.train.pixels import pixel_note
    from millijoule.train.run_folder import load_run

    if options.weights is None and not is_trained(options):
        millijoule.zoo.get(options.model)  # Tells the nearest name of one that is not known.
        raise OptionError(f"'{options.model}' is a network of the zoo, without numbers: give {weights}, or train it")
    if options.weights is None:
        if _is_folder(options.model):
            return normalised(load_run(options.model), options)
        model = millijoule.load(options.model, options.shape, trust=options.trust)
    elif _is_folder(options.model) or is_file(options.model):
        raise OptionError(f"'{options.model}' has its own numbers; {weights} are for a network of the zoo")
    else:
        graph = millijoule.zoo.get(options.model, **(fit_to(options.model, data) if data else {}))
        model = millijoule.load(options.weights, network=graph, trust=options.trust)
    known, model = bool(model.preprocess), normalised(model, options)
    for note in pixel_note(model, data) if data and not known else ():
        print(f"note: {note}", file=sys.stderr)
    return model


def take_own_data(options: argparse.Namespace) -> None:
    """Where --data is left out for the folder of a training, what it was trained on.

    Given or not, the data of the training are split as they were then, so that no image that was learnt is a test
    image.
    """
    from millijoule.train import is_run
    from millijoule.train.run_folder import read_config

    if not options.model or not is_run(options.model):
        return
    config = read_config(Path(options.model))
    if options.data is None:
        options.data, options.skip_bad = config["source"], config["skip_bad"]
        print(f"note: no --data: taking {options.data}, on which it was trained", file=sys.stderr)
    if os.path.abspath(options.data) == os.path.abspath(config["source"]):
        options.seed = config["settings"]["seed"]


def images_for(model: Model, options: argparse.Namespace) -> Dataset | DetectionSet:
    """The images of --data: annotated ones, with the model's classes, or labelled ones."""
    if is_annotated(options.data):
        return load_annotated(options.data, options.skip_bad, options.seed, model.labels)
    return millijoule.load_data(options.data, skip_bad=options.skip_bad, seed=options.seed)


def load_teacher(
    data: Dataset | None,
    model: str,
    weights: str | None = None,
    shape: Sequence[int] | None = None,
    mean: list[float] | None = None,
    std: list[float] | None = None,
    **how: Any,
) -> Teacher:
    """The model of that name as a teacher. how: of `Teacher`.

    data: what a network of the zoo is fitted to, and a PyTorch module without a `shape` is shown.
    """
    from millijoule.load.reference import is_reference
    from millijoule.train import is_run
    from millijoule.train.loop import Teacher

    if shape is None and data and is_reference(model):
        height, width, channels = data.x_train.shape[1:]
        shape = 1, channels, height, width
    numbers = Path(weights) if weights else None
    pixels = {} if is_run(model) else {"mean": mean, "std": std}
    named = argparse.Namespace(model=model, teacher=model, shape=shape, trust=False, weights=numbers, **pixels)
    return Teacher(load_trained(named, data, "--teacher-weights"), **how)


def add_teacher(parser: argparse.ArgumentParser, help: str, *, required: bool = False) -> None:
    """The options --teacher and --teacher-weights."""
    parser.add_argument("--teacher", required=required, metavar="MODEL", help=help)
    parser.add_argument(
        "--teacher-weights",
        type=Path,
        metavar="FILE",
        help="numbers for a teacher that is a network of the zoo: a state dict of PyTorch or a .safetensors file",
    )


def check_teacher(options: argparse.Namespace) -> None:
    """OptionError for numbers without their network."""
    if options.teacher_weights and not options.teacher:
        raise OptionError(
            "--teacher-weights are numbers for --teacher: name that network of the zoo, or leave them out"
        )


def _is_folder(name: str) -> bool:
    """Whether `name` means a training's folder; one that is none may be called as a network of the zoo is."""
    from millijoule.train.run_folder import is_run

    return is_run(name) or (Path(name).is_dir() and all(name != entry.name for entry in millijoule.zoo.entries()))


def _per_channel(text: str) -> list[float]:
    """0.485,0.456,0.406 as numbers."""
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if not numbers or not all(0 <= number < float("inf") for number in numbers):
        raise argparse.ArgumentTypeError(f"'{text}' is not one number of 0 or more, or several with commas between")
    return numbers


def normalised(model: Model, options: argparse.Namespace) -> Model:
    """The model with what --mean and --std say of its input; beside another network, if it does not say it itself."""
    from millijoule.train import is_run

    values = {name: getattr(options, name, None) for name in ("mean", "std")}
    given = {name: numbers for name, numbers in values.items() if numbers is not None}
    if not given:
        return model
    if model.is_int8:
        raise OptionError(f"model '{model.graph.name}' is int8, its input has a scale: leave --mean and --std out")
    if model.preprocess:
        if (other := getattr(options, "teacher", None)) and not is_run(other):
            return model  # The options are for the other of the two networks.
        raise OptionError(f"'{options.model}' knows what it was trained on: leave --mean and --std out")
    channels = model.graph.inputs[0].shape[-1]
    for name, numbers in given.items():
        if len(numbers) not in (1, channels) or (name == "std" and not all(numbers)):
            raise OptionError(f"--{name} is {numbers}; {channels} numbers are needed, or one, those of --std above 0")
    both = {"mean": [0.0], "std": [1.0]} | given
    return replace(model, preprocess={name: (list(each) * channels)[:channels] for name, each in both.items()})
