"""`history`: from the perceptron to LeNet-5."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from pathlib import Path

import millijoule
from millijoule.cli.command import Command, add_data, show, whole
from millijoule.errors import OptionError


def _options(parser: argparse.ArgumentParser) -> None:
    add_data(parser)
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FOLDER",
        help="where results and checkpoints are kept, so that the same command goes on where it was stopped "
        "(default: <data>-history)",
    )
    parser.add_argument("--quick", action="store_true", help="few epochs and small networks, to see that it runs")
    parser.add_argument("--seed", type=whole, default=0, metavar="N", help="of weights and order (default: 0)")


def _run(options: argparse.Namespace) -> None:
    from millijoule.report.training import tables
    from millijoule.train.history import history, xor

    if options.data is None:
        raise OptionError("history needs --data: labelled images on which every method is trained")
    data = millijoule.load_data(options.data, skip_bad=options.skip_bad, seed=options.seed)
    folder = options.out or Path(f"{data.name}-history")
    tried, results = xor(options.seed), []
    for result in history(data, quick=options.quick, seed=options.seed, folder=folder):
        print(f"{result.year} {result.method}: {result.error:.2%} wrong", file=sys.stderr)
        results.append(result)
    found = {"data": data.name, "exclusive_or": tried.to_json(), "methods": [asdict(each) for each in results]}
    show(options, found, tables.history(data.name, len(data.y_test), results, tried))


HISTORY = Command("history", "from the perceptron to LeNet-5, trained on the same images", _run, _options)
