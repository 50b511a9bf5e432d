"""`cost`: what a network needs."""

from __future__ import annotations

import argparse

import millijoule
from millijoule.cli.command import NETWORK, Command, graph_or_model, show


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help=NETWORK)


def _run(options: argparse.Namespace) -> None:
    from millijoule.report import table

    costs = millijoule.cost(graph_or_model(options.model))
    show(options, costs.to_json(), table.cost(costs))


COST = Command("cost", "parameters, MACs, size and memory of a network, before anything is trained", _run, _options)
