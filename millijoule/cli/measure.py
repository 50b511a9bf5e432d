"""`measure`: latency, memory and energy of networks on this computer."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from millijoule.cli.command import NETWORK, Command, add_force, check_files, network, positive, real, show
from millijoule.errors import OptionError

if TYPE_CHECKING:
    from millijoule.graph import Graph
    from millijoule.model import Model


def _list(text: str) -> list[str]:
    return [part for part in text.split(",") if part]


def _numbers(text: str) -> list[int]:
    return [positive(part) for part in text.split(",")]


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "models",
        nargs="*",
        metavar="MODEL",
        help=f"{NETWORK}, or the folder of a training; none: those of Canziani et al. 2016 and some later ones",
    )
    parser.add_argument("--trust", action="store_true", help="read a PyTorch file even though it can run code")
    parser.add_argument(
        "--engine",
        type=_list,
        default=["onnxruntime"],
        metavar="NAME,…",
        help="onnxruntime (default), openvino, litert, torch, torch-compiled, ncnn, millijoule (the emitted C, int8)",
    )
    parser.add_argument("--batch", type=_numbers, default=[1], metavar="N,…", help="images at once (default: 1)")
    parser.add_argument("--threads", type=positive, default=1, help="of each engine, pinned (default: 1)")
    parser.add_argument("--int8", action="store_true", help="quantize the networks first")
    parser.add_argument("--gpu", action="store_true", help="torch also on every other device that PyTorch sees")
    parser.add_argument(
        "--meter",
        default="none",
        metavar="METER",
        help="none (default); zeus: RAPL, NVML, Jetson, Apple, whatever is there; csv:FILE: a log of power with the "
        "times of this computer",
    )
    parser.add_argument("--seconds", type=real, default=10.0, metavar="S", help="at most for each row (default: 10)")
    parser.add_argument(
        "--html",
        nargs="?",
        type=Path,
        const=Path("measured.html"),
        metavar="FILE",
        help="write charts and tables as one page (default: measured.html)",
    )
    add_force(parser)
    parser.add_argument(
        "--from",
        dest="earlier",
        type=Path,
        metavar="FILE",
        help="what --json printed: join a meter's log, draw the page",
    )


def _network(name: str, trust: bool) -> Graph | Model:
    from millijoule.train.run_folder import is_run, load_run

    return load_run(name) if is_run(name) else network(name, trust=trust)


def _run(options: argparse.Namespace) -> None:
    from millijoule.measure.analysis import CANZIANI, fits, speed_ups
    from millijoule.measure.meters import meter
    from millijoule.measure.runs import Measured, join_log, measure
    from millijoule.report.measure.tables import measured as tables

    if options.html and options.html.suffix != ".html":
        raise OptionError(f"'{options.html}' is no page: its name must end in .html")
    check_files(options, "html")
    chosen = meter(options.meter)
    if options.earlier:
        if options.models:
            raise OptionError("--from reads what was measured: leave the networks out")
        try:
            found = Measured.from_json(json.loads(options.earlier.read_text()))
        except (OSError, ValueError) as error:
            raise OptionError(f"'{options.earlier}' cannot be read: {error}") from None
        if chosen is not None and chosen.live:
            raise OptionError(f"--meter {options.meter} reads now; a run of before needs csv:FILE")
        found = join_log(found, chosen) if chosen else found
    else:
        networks = [_network(name, options.trust) for name in options.models or CANZIANI]
        found = measure(
            networks,
            options.engine,
            options.batch,
            threads=options.threads,
            meter=chosen,
            seconds=options.seconds,
            int8=options.int8,
            gpus=options.gpu,
            progress=lambda text: print(f"measuring {text}", file=sys.stderr),
        )
    lines = fits(found)
    show(options, found.to_json(), tables(found, lines, speed_ups(found) if options.gpu else None))
    if options.html:
        from millijoule.report.measure.page import write_measured_page

        write_measured_page(found, lines, options.html)
        print(f"page: {options.html}", file=sys.stderr)


MEASURE = Command("measure", "latency, memory and energy on this computer, engine by engine", _run, _options)
