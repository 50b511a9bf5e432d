"""`plan`: where the values of a network lie."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from millijoule.cli.command import (
    NETWORK,
    Command,
    add_force,
    add_input,
    add_memories,
    add_strips,
    check_files,
    network,
    show,
)
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
    add_force(parser)
    parser.add_argument(
        "--input",
        choices=CONTRACTS,
        help="how a streamed input is given: overwrite: it is overwritten once it is read (default); keep: it stays; "
        "push: its rows arrive one at a time; read: it lies outside of the arena",
    )
    add_strips(parser)


def _run(options: argparse.Namespace) -> None:
    from millijoule.plan import plan
    from millijoule.plan.streaming import stream_plan, strip_plan, two_memories, verify_stream
    from millijoule.report.plan import tables

    if options.input and options.optimize == "speed" and not (options.frontier or options.ram):
        raise OptionError(f"--input {options.input} is a way to stream: add --optimize ram, --frontier or --ram")
    if options.strips > 1 and (options.ram or not (options.frontier or options.optimize == "ram")):
        raise OptionError(
            f"--strips {options.strips} is a way to stream in one memory: add --optimize ram or --frontier"
        )
    if options.frontier and options.ram:
        raise OptionError("--frontier is of one memory: leave it or --ram out")
    if options.html and not options.frontier:
        raise OptionError(f"--html {options.html} shows the frontier: add --frontier")
    if options.device and not options.frontier:
        raise OptionError(f"--device {options.device} counts the instructions of a frontier: add --frontier")
    if len(options.model) > 1 and not options.frontier:
        raise OptionError(f"{len(options.model)} models are given: only --frontier takes several")
    check_files(options, "html")
    contract = options.input or CONTRACTS[0]
    if options.frontier:
        _show_frontiers(options, contract)
        return
    network = _network(options, options.model[0])
    if options.ram or options.optimize == "ram":
        if options.strips > 1:
            network, streamed = strip_plan(network, options.strips, contract)
        elif options.ram:
            streamed = two_memories(network, options.ram[0], options.ram[1], contract)
        else:
            streamed = stream_plan(network, contract)
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
    from millijoule.plan.streaming import frontier, strip_frontier, verify_stream
    from millijoule.report.plan.page import Frontier
    from millijoule.target import SCALAR

    device = millijoule.load_device(options.device) if options.device else None
    found = _network(options, name)
    graph = found.graph if isinstance(found, Model) else found
    target = target_of(device) if device else SCALAR
    pairs = [(found, each) for each in frontier(found, contract, target=target)]
    if options.strips > 1:
        least = pairs[0][1].arena_bytes
        strips = strip_frontier(found, options.strips, contract, target=target)
        pairs[:0] = [(split, each) for split, each in strips if each.arena_bytes < least]
    plans = [each for _, each in pairs]
    for split, each in pairs:
        verify_stream(split, each)
    if device is None:
        return Frontier(graph, plans)
    if not isinstance(found, Model) or not found.is_int8:
        raise OptionError(f"--device counts instructions of firmware, which '{name}' has none of: it is no int8 model")
    counts = [instructions_of(split, each, device) for split, each in pairs if isinstance(split, Model)]
    return Frontier(graph, plans, counts, device.name)


PLAN = Command("plan", "where every value of a network lies in memory, and when", _run, _options)
