"""`plan`: where the values of a network lie."""

from __future__ import annotations

import argparse

from millijoule.cli.command import NETWORK, Command, add_trust, graph_or_model, input_shape, show
from millijoule.errors import OptionError

CONTRACTS = ("overwrite", "keep", "push")


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help=NETWORK)
    parser.add_argument(
        "--optimize",
        choices=("speed", "ram"),
        default="speed",
        help="speed: store every value whole (default); ram: stream row by row through rings, nothing computed twice",
    )
    parser.add_argument("--frontier", action="store_true", help="plans from the least RAM to the least streaming")
    parser.add_argument(
        "--input",
        type=_contract_or_shape,
        action="append",
        default=[],
        metavar="WHAT",
        help="how a streamed input is given: overwrite (it is overwritten once it is read; default), keep, or push "
        "(its rows arrive one at a time); or its shape, as 1x3x224x224, of a PyTorch module or where an .onnx file "
        "leaves sizes open; or both, given twice",
    )
    add_trust(parser)


def _contract_or_shape(text: str) -> str | tuple[int, ...]:
    return text if text in CONTRACTS else input_shape(text)


def _run(options: argparse.Namespace) -> None:
    from millijoule.plan import plan
    from millijoule.plan.streaming import frontier, stream_plan, verify_stream
    from millijoule.report import table

    contracts = [each for each in options.input if isinstance(each, str)]
    shapes = [each for each in options.input if not isinstance(each, str)]
    if len(contracts) > 1 or len(shapes) > 1:
        raise OptionError(
            "--input is given twice for one thing: give at most one shape and one of overwrite, keep, push"
        )
    if contracts and options.optimize == "speed" and not options.frontier:
        raise OptionError(f"--input {contracts[0]} is a way to stream: add --optimize ram or --frontier")
    options.input = shapes[0] if shapes else None
    network = graph_or_model(options)
    contract = contracts[0] if contracts else CONTRACTS[0]
    if options.frontier:
        plans = frontier(network, contract)
        for each in plans:
            verify_stream(network, each)
        show(options, [each.to_json() for each in plans], table.frontier(plans))
    elif options.optimize == "ram":
        streamed = stream_plan(network, contract)
        verify_stream(network, streamed)
        show(options, streamed.to_json(), table.stream_plan(streamed))
    else:
        planned = plan(network)
        show(options, planned.to_json(), table.plan(planned))


PLAN = Command("plan", "where every value of a network lies in memory, and when", _run, _options)
