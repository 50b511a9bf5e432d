"""`reduce`: what of an int8 network does not matter, and the proof."""

from __future__ import annotations

import argparse

import millijoule
from millijoule.cli.command import Command, is_file, show
from millijoule.errors import OptionError


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="an int8 .tflite file")
    parser.add_argument("--proof", action="store_true", help="list every channel, with the bounds that prove it")


def _run(options: argparse.Namespace) -> None:
    from millijoule.report import reduction as tables

    if not is_file(options.model):
        raise OptionError(f"'{options.model}' is a network of the zoo, without numbers: give an int8 .tflite file")
    reduction = millijoule.reduce(millijoule.load(options.model))
    show(options, reduction.to_json(), tables.reduction(reduction, options.proof))


REDUCE = Command("reduce", "which channels of an int8 network are provably the same for every input", _run, _options)
