"""`check`: budgets as a gate for continuous integration."""

from __future__ import annotations

import argparse
import re
from datetime import datetime
from pathlib import Path

from millijoule.cli.command import NETWORK, UNITS, Command, add_input, graph_or_model, show
from millijoule.errors import MillijouleError

ENERGY = {"nJ": 1e-6, "uJ": 1e-3, "µJ": 1e-3, "mJ": 1.0, "J": 1e3}
TIME = {"us": 1e-3, "µs": 1e-3, "ms": 1.0, "s": 1e3}
SIZE = {unit: float(size) for unit, size in UNITS.items() if unit}
"""Of bytes; its letters may be small. Those of energy and time may not: mJ is no MJ."""


class BudgetsExceeded(MillijouleError):
    """A budget is not met."""

    exit_code = 1


def _amount(units: dict[str, float], example: str, text: str) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-zµ]*)", text.strip(), flags=re.IGNORECASE)
    if found is None or float(found[1]) <= 0:
        raise argparse.ArgumentTypeError(f"'{text}' is not an amount above 0 with its unit, as {example}")
    unit = found[2].upper() if units is SIZE else found[2]
    if unit not in units:
        wrong = f"the unit '{found[2]}' is not known" if found[2] else "it has no unit"
        raise argparse.ArgumentTypeError(f"'{text}': {wrong}; write it as {example}")
    return float(found[1]) * units[unit]


def size(text: str) -> float:
    """64KB as bytes."""
    return _amount(SIZE, "64KB (1000 bytes each) or 64KiB (1024)", text)


def energy(text: str) -> float:
    """5mJ as millijoules."""
    return _amount(ENERGY, "5mJ, 800uJ or 0.2J", text)


def time(text: str) -> float:
    """200ms as milliseconds."""
    return _amount(TIME, "200ms, 50us or 1.5s", text)


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help=NETWORK)
    add_input(parser, "--input")
    parser.add_argument("--device", required=True, help="`millijoule devices` lists them")
    parser.add_argument("--max-ram", type=size, metavar="SIZE", help="static data and stack, as 64KB or 64KiB")
    parser.add_argument("--max-flash", type=size, metavar="SIZE", help="code and constants, as 200KB")
    parser.add_argument("--max-energy", type=energy, metavar="ENERGY", help="of one inference, as 5mJ")
    parser.add_argument("--max-latency", type=time, metavar="TIME", help="of one inference, as 200ms")
    parser.add_argument(
        "--nominal",
        action="store_true",
        help="hold the most likely latency and energy against the budgets, not the upper ends of their ranges",
    )
    parser.add_argument("--optimize", choices=("speed", "ram"), default="speed", help="as of deploy (default: speed)")
    parser.add_argument(
        "--baseline",
        type=Path,
        metavar="JSON",
        help="compare each layer with an earlier `check --json`, `cost --json` or report.json",
    )
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write tables for a comment on a pull request")
    parser.add_argument("--junit", type=Path, metavar="FILE", help="write a test report, one case for each budget")


def _run(options: argparse.Namespace) -> None:
    from millijoule.check import check
    from millijoule.report.check import Budget, text
    from millijoule.report.check.result import QUANTITIES, read_baseline
    from millijoule.whole_file import write_text

    limits = {name: getattr(options, f"max_{name}") for name in QUANTITIES}
    found = check(
        graph_or_model(options),
        options.device,
        [Budget(name, limit) for name, limit in limits.items() if limit is not None],
        nominal=options.nominal,
        baseline=read_baseline(options.baseline) if options.baseline else None,
        optimize=options.optimize,
    )
    if options.markdown:
        write_text(options.markdown, text.markdown(found))
    if options.junit:
        write_text(options.junit, text.junit(found, datetime.now()))
    show(options, found.to_json(), text.tables(found))
    if not found.is_met:
        raise BudgetsExceeded("; ".join(text.sentence(each) for each in found.verdicts if not each.is_met))


CHECK = Command("check", "hold memory, latency and energy on a device against budgets", _run, _options)
