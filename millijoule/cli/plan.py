"""`plan`: where the values of a network lie."""

from __future__ import annotations

import argparse

import millijoule
from millijoule.cli.command import NETWORK, Command, add_input, graph_or_model, show


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help=NETWORK)
    add_input(parser)


def _run(options: argparse.Namespace) -> None:
    from millijoule.report import table

    planned = millijoule.plan(graph_or_model(options))
    show(options, planned.to_json(), table.plan(planned))


PLAN = Command("plan", "where every value of a network lies in memory, and when", _run, _options)
