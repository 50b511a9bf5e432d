"""`plan`: where the values of a network lie."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from millijoule.cli.command import NETWORK, Command, add_input, add_memories, network, show
from millijoule.errors import OptionError
from millijoule.target import CONTRACTS, OBJECTIVES

if TYPE_CHECKING:
    from millijoule.graph import Graph
    from millijoule.model import Model
    from millijoule.report.plan.page import Frontier


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", nargs="+", help=f"{NETWORK}; --frontier takes several")
    add_input(parser)
    parser.add_argument(
        "--optimize",
        choices=OBJECTIVES,
        default="speed",
        help="speed: store every value whole (default); ram: stream by rows or pixels through rings, none twice",
    )
    parser.add_argument("--frontier", action="store_true", help="plans from the least RAM to the least streaming")
    parser.add_argument(
        "--device",
        metavar="DEVICE",
        help="with --frontier, of int8 models: build the firmware of each plan for this device, and count the "
        "instructions of an inference in the emulator",
    )
    add_memories(parser, "stream, put into the slow one what must be there, and count its traffic")
    parser.add_argument(
        "--html", type=Path, metavar="FILE", help="write the frontier and its arenas over time as a page"
    )
    parser.add_argument(
        "--input",
        choices=CONTRACTS,
        help="how a streamed input is given: overwrite: it is overwritten once it is read (default); keep: it stays; "
        "push: its rows arrive one at a time",
    )


def _run(options: argparse.Namespace) -> None:
    from millijoule.plan import plan
    from millijoule.plan.streaming import stream_plan, two_memories, verify_stream
    from millijoule.report.plan import tables

    if options.input and options.optimize == "speed" and not (options.frontier or options.ram):
        raise OptionError(f"--input {options.input} is a way to stream: add --optimize ram, --frontier or --ram")
    if options.frontier and options.ram:
        raise OptionError("--frontier is of one memory: leave it or --ram out")
    if options.html and not options.frontier:
        raise OptionError(f"--html {options.html} shows the frontier: add --frontier")
    if options.device and not options.frontier:
        raise OptionError(f"--device {options.device} counts the instructions of a frontier: add --frontier")
    if len(options.model) > 1 and not options.frontier:
        raise OptionError(f"{len(options.model)} models are given: only --frontier takes several")
    contract = options.input or CONTRACTS[0]
    if options.frontier:
        _show_frontiers(options, contract)
        return
    network = _network(options, options.model[0])
    if options.ram or options.optimize == "ram":
        fast, slow = options.ram or (0, 0)
        streamed = two_memories(network, fast, slow, contract) if options.ram else stream_plan(network, contract)
        verify_stream(network, streamed)
        show(options, streamed.to_json(), tables.stream_plan(streamed))
    else:
        planned = plan(network)
        show(options, planned.to_json(), tables.plan(planned))


def _network(options: argparse.Namespace, name: str) -> Graph | Model:
    from millijoule.model import Model
    from millijoule.passes.integer import fold_pads

    found = network(name, options.shape, options.trust)
    return fold_pads(found) if isinstance(found, Model) and found.is_int8 else found


def _show_frontiers(options: argparse.Namespace, contract: str) -> None:
    from millijoule.report.plan import tables
    from millijoule.report.plan.page import write_plan_page

    found = [_frontier(options, name, contract) for name in options.model]
    if options.html:
        write_plan_page(found, options.html)
    values = [each.to_json() for each in found]
    shown = [part for each in found for part in tables.frontier(each.plans, each.instructions, each.device)]
    show(options, values[0] if len(values) == 1 else dict(zip(options.model, values, strict=True)), shown)


def _frontier(options: argparse.Namespace, name: str, contract: str) -> Frontier:
    import millijoule
    from millijoule.cost.device import target_of
    from millijoule.deploy import instructions_of
    from millijoule.model import Model
    from millijoule.plan.streaming import frontier, verify_stream
    from millijoule.report.plan.page import Frontier
    from millijoule.target import SCALAR

    device = millijoule.load_device(options.device) if options.device else None
    found = _network(options, name)
    graph = found.graph if isinstance(found, Model) else found
    plans = frontier(found, contract, target=target_of(device) if device else SCALAR)
    for each in plans:
        verify_stream(found, each)
    if device is None:
        return Frontier(graph, plans)
    if not isinstance(found, Model) or not found.is_int8:
        raise OptionError(f"--device counts instructions of firmware, which '{name}' has none of: it is no int8 model")
    return Frontier(graph, plans, [instructions_of(found, each, device) for each in plans], device.name)


PLAN = Command("plan", "where every value of a network lies in memory, and when", _run, _options)
