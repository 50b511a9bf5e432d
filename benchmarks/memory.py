"""RAM of int8 models: ours, streamed, beside what TFLM and TiGrIS need for the same files.

    python benchmarks/memory.py --data DIR [--tigris COMMAND] [--models NAME…] [--fast BYTES…]

All bytes of working memory, input and output included; stacks are not. Peers are asked live, on this computer:

TFLM      PyPI tflite-micro: the smallest arena with which its interpreter starts, found by bisection
TiGrIS    PyPI tigris-ml: `tigris analyze MODEL -m BUDGET --json` for four budgets an octave, from 1 KiB to above the
          network's peak: the least sum of its fast memory's peak and its slow memory's, and the budget that gave it
ours      `stream_plan` with the working memory of kernels for `--instructions` (scalar: none of theirs is compiled in),
          verified by replay; held: the input lies in the arena and is overwritten; pushed: its rows arrive one at a
          time, one of them counted. `reduced`: after `millijoule.reduce`, which leaves outputs equal, bit for bit

With --fast, instead: of a fast memory of so many bytes and a slow one of 4 MiB, what each plan takes of both, input and
output included, and the bytes that our kernels read and write in the slow one; TiGrIS is given the same budget.

A ratio is the peer's bytes over ours, unreduced and held, as theirs are. Peers that are not installed say how to get
them; a peer that refuses a model says so.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1]))

import millijoule as mj
from millijoule.errors import OptionError
from millijoule.model import Model
from millijoule.passes.integer import fold_pads, reduce
from millijoule.plan.streaming import stream_plan, two_memories, verify_stream
from millijoule.target import Instructions, Target

MODELS = {
    "IC": "mlperf_tiny/pretrainedResnet_quant.tflite",
    "VWW": "mlperf_tiny/vww_96_int8.tflite",
    "KWS": "mlperf_tiny/kws_ref_model.tflite",
    "MobileNetV2": "google_coral/tf2_mobilenet_v2_1.0_224_ptq.tflite",
    "MCUNet VWW": "tinyengine/vww.tflite",
}
SLOW_BYTES = 4 * 1024 * 1024
OCTAVE = 4
"""Budgets asked of TiGrIS between one power of two and the next."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--tigris", metavar="COMMAND", help="the tigris executable, if it is not on the path")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--instructions", choices=("scalar", "armv6m", "dsp"), default="scalar")
    parser.add_argument("--fast", type=int, nargs="+", metavar="BYTES")
    options = parser.parse_args()
    tigris = options.tigris or shutil.which("tigris")
    if options.fast:
        in_two_memories(options, tigris)
        return
    table = Table(box=SIMPLE_HEAD)
    for column in (
        "",
        "TFLM",
        "ratio",
        "TiGrIS,\nfast + slow",
        "ratio",
        "budget",
        "held",
        "pushed",
        "reduced,\nheld",
        "pushed",
    ):
        table.add_column(column, justify="left" if not column else "right", overflow="fold")
    for name in options.models:
        path = options.data / "models" / MODELS[name]
        print(f"{name} …", file=sys.stderr)
        model = mj.load(path)
        ours = list(streamed(fold_pads(model), options.instructions))
        ours += streamed(reduce(model).model, options.instructions)
        peers = *with_ratio(*tflm(path), ours[0]), *tigris_cells(tigris, path, ours[0])
        table.add_row(name, *peers, *(f"{size:,}" for size in ours))
    console = Console(width=120)
    console.print(table)
    console.print(
        f"Bytes. millijoule {mj.__version__}, kernels {options.instructions}; tflite-micro "
        f"{installed('tflite-micro')}; {tigris_version(tigris)}, {OCTAVE} budgets an octave from 1 KiB.",
        highlight=False,
    )


def in_two_memories(options: argparse.Namespace, tigris: str | None) -> None:
    columns = ("", "fast memory", "fast", "slow", "traffic", "TiGrIS,\nfast", "slow", "sum, ratio")
    table = Table(*columns, box=SIMPLE_HEAD)
    for name in options.models:
        path = options.data / "models" / MODELS[name]
        model = fold_pads(mj.load(path))
        for fast in options.fast:
            try:
                planned = two_memories(model, fast, SLOW_BYTES, target=Target(options.instructions))
            except OptionError as error:
                table.add_row(name, f"{fast:,}", str(error))
                continue
            verify_stream(model, planned)
            assert planned.memories is not None
            ours = (planned.fast_bytes, planned.slow_bytes, planned.memories.traffic_bytes)
            theirs = peaks(analysis(tigris, path, fast)) if tigris else None
            cells = [f"{size:,}" for size in ours]
            cells += [f"{size:,}" for size in theirs] if theirs else ["does not fit" if tigris else "not installed", ""]
            table.add_row(name, f"{fast:,}", *cells, f"{sum(theirs) / sum(ours[:2]):.1f}" if theirs else "")
    console = Console(width=120)
    console.print(table)
    console.print(
        f"Input overwritten. millijoule {mj.__version__}, kernels {options.instructions}; {tigris_version(tigris)}",
        highlight=False,
    )


def streamed(model: Model, instructions: Instructions) -> Iterator[int]:
    """Arena bytes, held and pushed."""
    for contract in ("overwrite", "push"):
        planned = stream_plan(model, contract, target=Target(instructions))
        verify_stream(model, planned)
        yield planned.arena_bytes


def tflm(path: Path) -> tuple[int, str]:
    try:
        from arena import tflm_whole
    except ImportError:
        return 0, "pip install tflite-micro"
    size = tflm_whole(path.read_bytes())
    return (size, "") if size else (0, "refused")


def tigris_cells(command: str | None, path: Path, ours: int) -> tuple[str, ...]:
    if command is None:
        return "pip install tigris-ml", "", ""
    best, budget = 0, 0
    for asked in budgets(command, path):
        found = asked_tigris(command, path, asked)
        if found and (not best or found < best):
            best, budget = found, asked
    return (*with_ratio(best, "refused" if not best else "", ours), f"{budget:,}")


def budgets(command: str, path: Path) -> Iterator[int]:
    peak = analysis(command, path, 1 << 24)["model"]["unscheduled_peak_bytes"]
    size, step = 1024.0, 2 ** (1 / OCTAVE)
    while size < peak * step:
        yield round(size)
        size *= step
    yield round(size)


def asked_tigris(command: str, path: Path, budget: int) -> int:
    """Fast peak and slow peak together, with a fast memory of `budget` bytes; 0 where the plan does not fit."""
    return sum(peaks(analysis(command, path, budget)) or ())


def peaks(found: dict) -> tuple[int, int] | None:
    """Of the fast memory and the slow one; None where the plan does not fit."""
    if not found or found["fast"]["infeasible"] or found["fast"]["stages_untileable"]:
        return None
    return int(found["fast"]["scheduled_peak_bytes"]), int(found["slow"]["peak_bytes"])


def analysis(command: str, path: Path, budget: int) -> dict:
    done = subprocess.run([command, "analyze", str(path), "-m", str(budget), "--json"], capture_output=True, text=True)
    try:
        return json.loads(done.stdout)
    except json.JSONDecodeError:
        return {}


def with_ratio(size: int, note: str, ours: int) -> tuple[str, str]:
    return (note, "") if note else (f"{size:,}", f"{size / ours:.1f}")


def installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def tigris_version(command: str | None) -> str:
    if command is None:
        return "tigris-ml not installed"
    done = subprocess.run([command, "--version"], capture_output=True, text=True)
    return done.stdout.strip() or "tigris"


if __name__ == "__main__":
    main()
