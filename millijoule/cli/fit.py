"""`fit`: a device file that follows readings of one's own board."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import millijoule
from millijoule.cli.command import Command, add_force, is_file, network, show
from millijoule.errors import DeviceError, MillijouleError, OptionError

if TYPE_CHECKING:
    from millijoule.cost.device import Device
    from millijoule.graph import Graph
    from millijoule.model import Model


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--runs",
        type=Path,
        required=True,
        metavar="CSV",
        help="readings, one a line: network, latency_ms (or _us, _s), perhaps energy_mj (_nj, _uj, _j) or power_mw "
        "(_uw, _w), and for a microcontroller instructions, as `millijoule deploy` counts them",
    )
    parser.add_argument(
        "--device", required=True, metavar="NAME", help="a known device, a .toml file, or a new name with --like"
    )
    parser.add_argument("--like", metavar="DEVICE", help="the device whose core and memories the new one has")
    parser.add_argument("--out", type=Path, metavar="FILE", help="the device file (default: NAME.toml)")
    add_force(parser)


def _run(options: argparse.Namespace) -> None:
    from millijoule.cost.device_text import device_text
    from millijoule.energy.readings import calibrated, check, read_runs
    from millijoule.report.files import check_new
    from millijoule.report.readings import tables
    from millijoule.whole_file import write_text

    name = Path(options.device).name.removesuffix(".toml")
    base = _base(options.device, options.like)
    target = options.out or Path(f"{name}.toml")
    if target.suffix != ".toml":
        raise OptionError(f"'{target}' is no name of a device file: it must end in .toml")
    check_new(target, force=options.force)
    _check_is_device(target)
    device = calibrated(base, name, read_runs(options.runs, base, _network_of), options.runs.name)
    write_text(target, device_text(device))
    found = check(device)
    values = [
        {"reading": vars(each.reading), "predicted": each.predicted.to_json() if each.predicted else None}
        for each in found
    ]
    show(options, {"device": str(target), "readings": values}, tables(found, str(target)))


def _base(name: str, like: str | None) -> Device:
    if like:
        return millijoule.load_device(like)
    try:
        return millijoule.load_device(name)
    except DeviceError as error:
        if name.endswith(".toml"):
            raise
        raise DeviceError(f"{str(error).split(';')[0]}; say which device it is like with --like") from None


def _check_is_device(target: Path) -> None:
    """Raises OptionError if a file is there that is no device."""
    if target.exists():
        try:
            millijoule.load_device(str(target))
        except MillijouleError:
            raise OptionError(f"'{target}' exists and is no device file: choose another --out") from None


def _network_of(name: str) -> Graph | Model | None:
    """None for a name that is neither a network of the zoo nor a file."""
    if not is_file(name) and name not in {entry.name for entry in millijoule.zoo.entries()}:
        return None
    return network(name)


FIT = Command("fit", "make a device file that predicts by readings of your own board", _run, _options)
