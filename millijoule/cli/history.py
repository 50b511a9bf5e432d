"""`history`: from the perceptron to LeNet-5."""

from __future__ import annotations

import argparse

import millijoule
from millijoule.cli.command import Command, add_data, show, whole
from millijoule.errors import OptionError


def _options(parser: argparse.ArgumentParser) -> None:
    add_data(parser)
    parser.add_argument("--quick", action="store_true", help="few epochs and small networks, to see that it runs")
    parser.add_argument("--seed", type=whole, default=0, metavar="N", help="of weights and order (default: 0)")


def _run(options: argparse.Namespace) -> None:
    from millijoule.report.training import tables
    from millijoule.train.history import history, xor

    if options.data is None:
        raise OptionError("history needs --data: labelled images on which every method is trained")
    data = millijoule.load_data(options.data, skip_bad=options.skip_bad, seed=options.seed)
    tried = xor(options.seed)
    results = list(history(data, quick=options.quick, seed=options.seed))
    found = {"data": data.name, "exclusive_or": tried.to_json(), "methods": [each.to_json() for each in results]}
    show(options, found, tables.history(data.name, len(data.y_test), results, tried))


HISTORY = Command("history", "from the perceptron to LeNet-5, trained on the same images", _run, _options)
