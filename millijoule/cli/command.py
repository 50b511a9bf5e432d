"""What the commands share: what a command is, types of its options, networks by name, tables or JSON."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import millijoule

if TYPE_CHECKING:
    from millijoule.graph import Graph
    from millijoule.model import Model

NETWORK = "a network of the zoo or a .tflite file"


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


def is_file(name: str) -> bool:
    """Whether `name` means a file rather than a network of the zoo."""
    return os.sep in name or Path(name).suffix != "" or Path(name).is_file()


def graph_or_model(name: str) -> Graph | Model:
    return millijoule.load(name) if is_file(name) else millijoule.zoo.get(name)


def show(options: argparse.Namespace, json_value: Any, table: Any) -> None:
    """Print the value as JSON if --json was given, else the tables."""
    if options.json:
        print(json.dumps(json_value, indent=2))
    else:
        from millijoule.report.layout import print_tables

        print_tables(table)
