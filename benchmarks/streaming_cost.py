"""What streaming itself costs on Cortex-M4: the same kernels, for one row of the output at a time, in two orders.

    python benchmarks/streaming_cost.py --data DIR [--models ic,kws,vww,mobilenet_v2]

stored: every layer by itself, all its rows one after the other; streamed: by rows through rings, as many layers as the
least RAM by rows takes. Both with the fastest kernels that compute a row, whatever working memory they need, so the
difference is what rings, copies of rows and the program of actions cost. whole maps: layer by layer with the kernels of
`--optimize speed`, which walk a map as they like. MLPerf Tiny's models and MobileNetV2 1.0 at 224x224
(DIR/models/mlperf_tiny, DIR/models/google_coral); instructions of one inference, whose output is compared with the
integer reference, in an emulated Nucleo-L4R5ZI that is given 16 MiB of flash and of RAM.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from firmware import MODELS
from rich.console import Console
from rich.table import Table
from streamed_firmware import LARGE, LARGE_FILE

import millijoule as mj
from millijoule.cost.device import Device, load_device, target_of
from millijoule.emit import emit, identifier, layer_symbols
from millijoule.model import Model
from millijoule.plan import Plan, plan
from millijoule.plan.streaming import StreamPlan, verify_stream
from millijoule.plan.streaming.network.kernels import with_kernels
from millijoule.plan.streaming.planner import assemble, network_of
from millijoule.plan.streaming.search.needs import Needs
from millijoule.plan.streaming.search.schedule import Network
from millijoule.plan.streaming.search.segments import Cutter, streamed_steps
from millijoule.run.emulator import emulate
from millijoule.run.toolchain import build

ROOM = 16 * 1024 * 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--models", default=f"ic,kws,vww,{LARGE}")
    options = parser.parse_args()
    board = roomy("nucleo-l4r5zi")
    table = Table("model", "layers streamed", "whole maps", "stored", "streamed", "streamed / stored", "exact")
    for name in options.models.split(","):
        file = LARGE_FILE if name == LARGE else f"mlperf_tiny/{MODELS[name]}"
        model = mj.reduce(mj.load(options.data / "models" / file)).model
        stored, streamed = by_rows(model, board)
        plans = plan(model, target=target_of(board)), stored, streamed
        whole, *counts = (instructions(model, each, board) for each in plans)
        table.add_row(
            name,
            f"{streamed.streamed_steps}",
            *(f"{count:,}" for count, _ in (whole, *counts)),
            f"{counts[1][0] / counts[0][0]:.4f}",
            "yes" if all(exact for _, exact in (whole, *counts)) else "NO",
        )
    Console(width=120).print(table)


def roomy(name: str) -> Device:
    board = load_device(name)
    assert board.flash is not None
    assert board.ram is not None
    return replace(board, flash=replace(board.flash, bytes=ROOM), ram=replace(board.ram, bytes=ROOM))


def by_rows(model: Model, board: Device) -> tuple[StreamPlan, StreamPlan]:
    """The plan with every layer by itself, and the streamed one, both with the fastest kernels for a row."""
    network = network_of(model, "overwrite", target_of(board))
    fastest = {step.name: replace(step.target, frugal=False) for step in network.rows.steps}
    network = Network(with_kernels(model, network.rows, fastest, "overwrite"), "overwrite")
    cutter = Cutter(Needs(network), "moments")
    cuts = cutter.stored, cutter.within(cutter.least, streamed_steps)
    stored, streamed = (assemble(model, network, cut, 1) for cut in cuts)
    for planned in (stored, streamed):
        verify_stream(model, planned)
    return stored, streamed


def instructions(model: Model, planned: Plan | StreamPlan, board: Device) -> tuple[int, bool]:
    """Instructions of an inference, and whether its output is the integer reference's."""
    inputs = np.random.default_rng(0).integers(-128, 128, (1, *model.graph.inputs[0].shape), dtype=np.int8)
    expected = model.run(inputs)[model.graph.outputs[0]].reshape(1, -1)
    with tempfile.TemporaryDirectory() as folder:
        emit(model, planned, board, Path(folder))
        firmware = build(Path(folder), board)
        name = identifier(model.graph.name)
        seen = emulate(firmware, board, name, inputs, layer_symbols(model, planned.joined), expected.shape[1])
    return seen.instructions[0], np.array_equal(seen.outputs, expected)


if __name__ == "__main__":
    main()
