"""`cost`: what a network needs."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

import millijoule
from millijoule.cli.command import NETWORK, Command, add_force, add_input, check_files, positive
from millijoule.cli.detector import add_structure, counted_network
from millijoule.errors import OptionError
from millijoule.target import OBJECTIVES

if TYPE_CHECKING:
    from millijoule.energy.prediction import Prediction
    from millijoule.graph import Graph
    from millijoule.model import Model
    from millijoule.plan import Plan


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", nargs="?", metavar="MODEL", help=f"{NETWORK}; or ssdlite or centre")
    add_input(parser, "--input")
    parser.add_argument(
        "--by", choices=("total", "layer"), default="layer", help="totals only, or every layer too (default)"
    )
    parser.add_argument("--html", type=Path, metavar="FILE", help="write everything, layer by layer, as one page")
    add_force(parser)
    parser.add_argument(
        "--arena",
        action="store_true",
        help="plan the int8 arena of the deployed network, too, beside the peaks of memory that are always counted: "
        "layer by layer, eager (PyTorch), in place (batch-norm folded)",
    )
    parser.add_argument(
        "--device",
        metavar="DEVICE",
        help="predict latency and energy of an inference on this device; `millijoule devices` lists them",
    )
    parser.add_argument(
        "--stack",
        metavar="NAME",
        help="predict a stack of MLPerf Tiny on a microcontroller, as 'X-CUBE-AI 9.0', in place of our own firmware",
    )
    parser.add_argument(
        "--optimize",
        choices=OBJECTIVES,
        default="speed",
        help="what an accelerator's accesses are counted of: the plan layer by layer (speed, default), or the one that "
        "streams and needs least RAM",
    )
    parser.add_argument(
        "--define",
        nargs="?",
        const="",
        metavar="FIGURE",
        help="what a figure means and by which rule it is counted: macs, eager_peak_bytes, …; alone: all of them",
    )
    group = add_structure(parser)
    group.add_argument("--classes", type=positive, metavar="N", help="of objects (default: 20, as PASCAL VOC has)")


def _run(options: argparse.Namespace) -> None:
    if options.define is not None:
        _define(options)
        return
    if options.model is None:
        raise OptionError("cost needs a network of the zoo or a model file; `millijoule zoo` lists the networks")
    check_files(options, "html")
    network = counted_network(options)
    costs = millijoule.cost(network)
    if options.stack and not options.device:
        raise OptionError("--stack goes with --device")
    if options.optimize != "speed" and not options.device:
        raise OptionError(f"--optimize {options.optimize} goes with --device")
    predicted = _predicted(network, options) if options.device else None
    lacking = _lacking(network, options.device) if options.device else []
    arena = _arena(network) if options.arena else None
    if options.html:
        from millijoule.report.cost.page import write_cost_page

        write_cost_page(costs, options.html, arena)
    if options.json:
        planned = {"arena_bytes": arena.arena_bytes, "arena_layer": arena.fullest_step} if arena else {}
        on_device = {"prediction": predicted.to_json(), "does_not_fit": lacking} if predicted else {}
        print(json.dumps(costs.to_json() | planned | on_device, indent=2))
        return
    from millijoule.report.cost.tables import cost
    from millijoule.report.energy import prediction
    from millijoule.report.layout import print_tables

    tables = cost(costs, by_layer=options.by == "layer", arena=arena)
    print_tables([*tables, *(prediction(predicted, lacking) if predicted else [])])


def _predicted(network: Graph | Model, options: argparse.Namespace) -> Prediction:
    """On the device; an accelerator's by a plan that streams if it is asked for."""
    device = millijoule.load_device(options.device)
    if options.optimize == "speed":
        return millijoule.predict_energy(network, device, stack=options.stack)
    if device.kind != "hierarchy":
        raise OptionError(
            f"--optimize {options.optimize} changes the accesses of an accelerator; '{device.name}' is none: `deploy` "
            "and `check` take it for microcontrollers"
        )
    from millijoule.passes import deployed
    from millijoule.plan.streaming import stream_plan

    return millijoule.predict_energy(network, device, stack=options.stack, planned=stream_plan(deployed(network)))


def _lacking(network: Graph | Model, name: str) -> list[str]:
    """Sentences: what a microcontroller has too little of, and what would help; none if the network fits."""
    from millijoule.errors import DoesNotFit
    from millijoule.passes import deployed
    from millijoule.plan import plan
    from millijoule.run.fit import check_before_compiling

    device, graph = millijoule.load_device(name), deployed(network)
    if device.kind == "mcu":
        try:
            check_before_compiling(graph, plan(graph), device)
        except DoesNotFit as error:
            lines = [line.removeprefix("hint: ") for line in str(error).splitlines()]
            if device.ram and error.ram_bytes > device.ram.bytes:
                lines.append("that is layer by layer: `deploy` streams what does not fit the RAM so")
            return lines
    return []


def _arena(network: Graph | Model) -> Plan:
    """The planned arena of the network as it is deployed."""
    from millijoule.model import Model
    from millijoule.passes import deployed
    from millijoule.plan import plan

    return plan(network if isinstance(network, Model) and network.is_int8 else deployed(network))


def _define(options: argparse.Namespace) -> None:
    from millijoule.cost.definitions import DEFINITIONS, define

    wanted = {options.define: define(options.define)} if options.define else DEFINITIONS
    if options.json:
        print(json.dumps(wanted, indent=2, ensure_ascii=False))
        return
    from millijoule.report.cost.tables import definitions
    from millijoule.report.layout import print_tables

    print_tables(definitions(list(wanted.items())))


COST = Command("cost", "parameters, MACs, size and memory of a network, before anything is trained", _run, _options)
