"""`price`: money and carbon of inferences, or of a training run."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import millijoule
from millijoule.cli.command import NETWORK, Command, add_input, graph_or_model, positive, real, show
from millijoule.errors import OptionError

WATTS = {"mW": 1e-3, "W": 1.0, "kW": 1e3}


def power(text: str) -> float:
    """350W as watts."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(mW|W|kW)", text.strip())
    if found is None or float(found[1]) <= 0:
        raise argparse.ArgumentTypeError(f"'{text}' is not a power above 0 with its unit, as 350W, 5kW or 25mW")
    return float(found[1]) * WATTS[found[2]]


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", nargs="?", metavar="MODEL", help=f"{NETWORK}: the price of its inferences")
    add_input(parser, "--input")
    parser.add_argument("--device", required=False, help="`millijoule devices` lists them")
    parser.add_argument(
        "--inferences", type=positive, default=1_000_000, metavar="N", help="how many (default: a million)"
    )
    parser.add_argument(
        "--hours", type=real, metavar="H", help="in place of MODEL: the price of a training run so long"
    )
    parser.add_argument("--power", type=power, metavar="POWER", help="what the machine draws meanwhile, as 350W")
    parser.add_argument(
        "--prices", type=Path, metavar="FILE", help="prices of electricity and carbon (--copy shows how)"
    )
    parser.add_argument(
        "--copy", type=Path, metavar="FILE", help="write the prices of the package to a file, to be changed"
    )


def _run(options: argparse.Namespace) -> None:
    from millijoule.energy import money
    from millijoule.report.energy import bill
    from millijoule.whole_file import write_text

    if options.copy:
        if options.copy.exists():
            raise OptionError(f"'{options.copy}' exists: choose another name for the prices")
        write_text(options.copy, money.prices_text())
        return
    if options.device is None or (options.model is None) == (options.hours is None):
        raise OptionError("price needs --device and a MODEL, or --device and --hours of a training run")
    device, prices = millijoule.load_device(options.device), money.read_prices(options.prices)
    if options.hours is not None:
        found = money.training(device, options.hours, prices, options.power)
    elif options.power is not None:
        raise OptionError("--power goes with --hours; the power of inferences is predicted")
    else:
        predicted = millijoule.predict_energy(graph_or_model(options), device)
        found = money.inferences(predicted, device, prices, options.inferences)
    show(options, found.to_json(), bill(found))


PRICE = Command("price", "money and carbon of a million inferences, or of a training run", _run, _options)
