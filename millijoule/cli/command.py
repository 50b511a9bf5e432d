"""What the commands share: what a command is, types of its options, networks by name, tables or JSON."""

from __future__ import annotations

import argparse
import json
import math
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import millijoule
from millijoule.errors import OptionError

if TYPE_CHECKING:
    from millijoule.detect.data import DetectionSet
    from millijoule.graph import Graph
    from millijoule.model import Model
    from millijoule.train import Dataset

NETWORK = "a network of the zoo, a .tflite, .onnx or .pt2 file, or package.module:factory of a PyTorch module"


@dataclass(frozen=True)
class Command:
    """One verb of the command line.

    text: what it does, for the list of commands and for its own help. options: adds its arguments to a parser; every
    command has --json besides. run: does it, with the parsed arguments; raises MillijouleError.
    """

    name: str
    text: str
    run: Callable[[argparse.Namespace], None]
    options: Callable[[argparse.ArgumentParser], None] = lambda parser: None


def whole(text: str, least: int = 0) -> int:
    """A whole number of `least` or more."""
    if not text.isdecimal() or int(text) < least:
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number of {least} or more")
    return int(text)


def positive(text: str) -> int:
    return whole(text, least=1)


def real(text: str) -> float:
    """A number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number above 0")
    return value


UNITS = {"": 1, "B": 1, "KB": 1000, "KIB": 1024, "MB": 1000**2, "MIB": 1024**2}


def size(text: str) -> int:
    """Bytes: 64KB, 1.5MiB, 2048; KB = 1000 bytes, KiB = 1024."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KM]?I?B?)", text.strip().upper())
    if found is None or found[2] not in UNITS or float(found[1]) <= 0:
        raise argparse.ArgumentTypeError(f"'{text}' is not a size, as 64KB (1000 bytes each) or 64KiB (1024)")
    return int(float(found[1]) * UNITS[found[2]])


def add_memories(parser: argparse.ArgumentParser, what: str) -> None:
    """The option --ram for two memories; what: is done with them."""
    parser.add_argument("--ram", type=_memories, metavar="FAST+SLOW", help=f"two memories, as 64KB+4MB: {what}")


def add_strips(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--strips",
        type=positive,
        default=1,
        metavar="N",
        help="compute the beginning of the network in N strips of its width, overlapping columns more than once; the "
        "input is read N times (--input read or keep)",
    )


def _memories(text: str) -> tuple[int, int]:
    fast, plus, slow = text.partition("+")
    if not plus:
        raise argparse.ArgumentTypeError(f"'{text}' is not two sizes, as 64KB+4MB")
    return size(fast), size(slow)


JOULES = {"UJ": 1e-3, "MJ": 1.0, "J": 1e3}


def energy(text: str) -> float:
    """Millijoules: 2mJ, 300uJ, 0.002J."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([UM]?J)", text.strip().upper().replace("µ", "U"))
    if found is None or float(found[1]) <= 0:
        raise argparse.ArgumentTypeError(f"'{text}' is not an energy, as 2mJ or 300uJ")
    return float(found[1]) * JOULES[found[2]]


def is_file(name: str) -> bool:
    """Whether `name` means a file, or a factory in one, rather than a network of the zoo."""
    from millijoule.load.reference import is_reference

    return is_reference(name) or os.sep in name or Path(name).suffix != "" or Path(name).is_file()


def input_shape(text: str) -> tuple[int, ...]:
    """1x3x224x224 as numbers."""
    try:
        return tuple(positive(size) for size in text.split("x"))
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(f"'{text}' is no shape such as 1x3x224x224: {error}") from None


def add_input(parser: argparse.ArgumentParser, *names: str) -> None:
    """The options --shape, also called `names`, for what leaves sizes open, and --trust."""
    parser.add_argument(
        "--shape",
        *names,
        dest="shape",
        type=input_shape,
        metavar="SHAPE",
        help="the input's shape, as 1x3x224x224, of a PyTorch module, where an .onnx file leaves sizes open, or of a "
        "network of the zoo that is trained",
    )
    add_trust(parser)


def add_data(parser: argparse.ArgumentParser) -> None:
    """The options --data and --skip-bad."""
    parser.add_argument(
        "--data",
        metavar="DATA",
        help="labelled images: digits, an .npz with x_train, y_train, x_test, y_test, a folder with one sub-folder "
        "of images per class, or a name known to Hugging Face datasets",
    )
    parser.add_argument("--skip-bad", action="store_true", help="use the rest where some images cannot be read")


def add_force(parser: argparse.ArgumentParser) -> None:
    """The option --force."""
    parser.add_argument("--force", action="store_true", help="replace what is there")


def check_files(options: argparse.Namespace, *names: str) -> None:
    """OptionError, before time is spent, if a file that one of the options names is there and --force is not given."""
    from millijoule.report.files import check_new

    for name in names:
        if path := getattr(options, name):
            check_new(path, force=options.force, option=f"--{name}")


def is_annotated(source: str | None) -> bool:
    """Whether --data names images with annotated boxes, as voc:FOLDER does, and not labelled ones."""
    from millijoule.train import data

    return source is not None and data.is_annotated(source)


def load_annotated(source: str, skip_bad: bool, seed: int, classes: Sequence[str] = ()) -> DetectionSet:
    """Images with annotated boxes. classes: those to find; default: all."""
    from millijoule.detect.data import load_detection

    return load_detection(source, classes or None, skip_bad=skip_bad, seed=seed)


def add_trust(parser: argparse.ArgumentParser) -> None:
    """The option --trust."""
    parser.add_argument(
        "--trust", action="store_true", help="read a PyTorch file even though it can run code while it is read"
    )


def graph_or_model(options: argparse.Namespace) -> Graph | Model:
    """The network that `options.model` names."""
    return network(options.model, options.shape, options.trust)


def network(name: str, input: tuple[int, ...] | None = None, trust: bool = False) -> Graph | Model:
    """The network of the zoo so called, or the structure of a file. input: its shape, where the file leaves it open."""
    if is_file(name):
        from millijoule.load import load_structure

        return load_structure(name, input, trust=trust)
    if input is not None:
        raise OptionError(f"'{name}' is a network of the zoo, whose input is known; leave --shape out")
    from millijoule.detect.heads import HEADS

    if name in HEADS:
        return HEADS[name]().graph
    return millijoule.zoo.get(name)


def fit_to(name: str, data: Dataset, shape: tuple[int, ...] | None = None) -> dict[str, Any]:
    """The arguments with which a network of the zoo takes the data's classes, and images of `shape` (1, c, h, w).

    Raises OptionError for a shape that is none of images, or a network whose input has one size.
    """
    takes = {entry.name: entry.arguments for entry in millijoule.zoo.entries()}.get(name, ())
    arguments: dict[str, Any] = {"classes": len(data.classes)} if "classes" in takes else {}
    if shape is None:
        return arguments
    if "input_shape" not in takes:
        raise OptionError(f"'{name}' is a network of the zoo, whose input is known; leave --shape out")
    if len(shape) != 4 or shape[0] != 1:
        raise OptionError(f"--shape is {'x'.join(map(str, shape))}; networks of the zoo take images, as 1x3x32x32")
    return arguments | {"input_shape": (shape[2], shape[3], shape[1])}


def show(options: argparse.Namespace, json_value: Any, table: Any) -> None:
    """Print the value as JSON if --json was given, else the tables."""
    if options.json:
        print(json.dumps(json_value, indent=2))
    else:
        from millijoule.report.layout import print_tables

        print_tables(table)
