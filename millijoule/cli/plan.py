"""`plan`: where the values of a network lie."""

from __future__ import annotations

import argparse
from pathlib import Path

from millijoule.cli.command import NETWORK, Command, add_input, add_memories, graph_or_model, show
from millijoule.errors import OptionError
from millijoule.target import CONTRACTS, OBJECTIVES


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help=NETWORK)
    add_input(parser)
    parser.add_argument(
        "--optimize",
        choices=OBJECTIVES,
        default="speed",
        help="speed: store every value whole (default); ram: stream by rows or pixels through rings, none twice",
    )
    parser.add_argument("--frontier", action="store_true", help="plans from the least RAM to the least streaming")
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
    from millijoule.model import Model
    from millijoule.passes.integer import fold_pads
    from millijoule.plan import plan
    from millijoule.plan.streaming import frontier, stream_plan, two_memories, verify_stream
    from millijoule.report.plan import tables

    if options.input and options.optimize == "speed" and not (options.frontier or options.ram):
        raise OptionError(f"--input {options.input} is a way to stream: add --optimize ram, --frontier or --ram")
    if options.frontier and options.ram:
        raise OptionError("--frontier is of one memory: leave it or --ram out")
    if options.html and not options.frontier:
        raise OptionError(f"--html {options.html} shows the frontier: add --frontier")
    network = graph_or_model(options)
    if isinstance(network, Model) and network.is_int8:
        network = fold_pads(network)
    contract = options.input or CONTRACTS[0]
    if options.frontier:
        plans = frontier(network, contract)
        for each in plans:
            verify_stream(network, each)
        if options.html:
            from millijoule.report.plan.page import write_plan_page

            write_plan_page(plans, network.graph if isinstance(network, Model) else network, options.html)
        show(options, [each.to_json() for each in plans], tables.frontier(plans))
    elif options.ram or options.optimize == "ram":
        fast, slow = options.ram or (0, 0)
        streamed = two_memories(network, fast, slow, contract) if options.ram else stream_plan(network, contract)
        verify_stream(network, streamed)
        show(options, streamed.to_json(), tables.stream_plan(streamed))
    else:
        planned = plan(network)
        show(options, planned.to_json(), tables.plan(planned))


PLAN = Command("plan", "where every value of a network lies in memory, and when", _run, _options)
