"""What operators that only move numbers take, with copies and without: concatenation, slices, shuffles, transposes.

    python benchmarks/moves.py [--side 32] [--plans] [NAME ...]

Networks of the zoo with random weights, quantized, as firmware for Cortex-M4 with as much memory as they need, executed
layer by layer in the emulator: instructions and arena if every concatenation, slice and shuffle is a copy, and as they
are planned, where most are written or read in place; then what is left of operators that only move numbers, as a share
of all instructions. `subpixel` enlarges a picture three times: the layers of ESPCN (Shi et al. 2016), the last of 27
channels, which become 3. Outputs are compared with the reference, byte by byte.

--plans: the arenas only, without working memory of kernels; so networks of any size are planned in seconds.
"""

import argparse
import tempfile
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
from rich.console import Console
from rich.table import Table

from millijoule import zoo
from millijoule.cost.device import Region, load_device, target_of
from millijoule.emit import emit, identifier, layer_symbols
from millijoule.graph import Builder, Graph
from millijoule.model import Model
from millijoule.ops import Conv2d, DepthToSpace
from millijoule.passes import simplify
from millijoule.passes.integer import fold_shuffles
from millijoule.plan import Plan, plan, verify
from millijoule.quantize import quantize
from millijoule.run.emulator import emulate
from millijoule.run.measurement import Measurement
from millijoule.run.toolchain import build
from millijoule.train.initial import initial_weights

NAMES = (
    "squeezenet1_1",
    "shufflenet_v1",
    "shufflenet_v2",
    "googlenet_torchvision",
    "densenet121",
    "subpixel",
)
MOVES = ("Concat", "Slice", "ChannelShuffle", "DepthToSpace")
MIB = 1024 * 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", default=NAMES)
    parser.add_argument("--side", type=int, default=32)
    parser.add_argument("--plans", action="store_true")
    options = parser.parse_args()
    if options.plans:
        for name in options.names:
            graph = simplify(subpixel(options.side) if name == "subpixel" else zoo_graph(name, options.side))
            with copied_parts():
                whole = plan(graph).arena_bytes
            print(f"{name}: {whole:,} bytes copied, {plan(graph).arena_bytes:,} in place", flush=True)
        return
    table = Table("network", "instructions, copied", "in place", "arena, copied", "in place", *MOVES)
    for name in options.names:
        model = random_int8(subpixel(options.side) if name == "subpixel" else zoo_graph(name, options.side))
        _, copied = measure(model, copies=True)
        model = fold_shuffles(model)
        planned, seen = measure(model, copies=False)
        total = seen.instructions[0]
        moved = dict.fromkeys(MOVES, 0)
        for node in model.graph.nodes:
            operator = type(node.op).__name__
            if operator in moved and node.name not in planned.joined:
                moved[operator] += seen.layer_instructions[node.name]
        counts = copied.instructions[0], total, copied.arena_bytes, seen.arena_bytes
        row = (name, *(f"{count:,}" for count in counts), *(f"{count / total:.2%}" for count in moved.values()))
        print(*row, flush=True)
        table.add_row(*row)
    Console(width=140).print(table)


def copied_parts() -> AbstractContextManager[object]:
    """In it, plans have no value that is a part of larger pixels."""
    return patch("millijoule.plan.lifetimes.parts", return_value={})


def zoo_graph(name: str, side: int) -> Graph:
    return zoo.get(name, input_shape=(side, side, 3))


def subpixel(side: int) -> Graph:
    build = Builder("subpixel", (side, side, 3))
    build("features", Conv2d(channels=64, kernel=5, padding="same", activation="relu"))
    build("map", Conv2d(channels=32, kernel=3, padding="same", activation="relu"))
    build("colours", Conv2d(channels=27, kernel=3, padding="same"))
    build("picture", DepthToSpace(block=3, order="channel"))
    return build.graph()


def random_int8(graph: Graph) -> Model:
    images = np.random.default_rng(0).normal(size=(32, *graph.inputs[0].shape)).astype(np.float32)
    return quantize(Model(graph, initial_weights(graph, seed=0)), images)


def measure(model: Model, copies: bool) -> tuple[Plan, Measurement]:
    """The plan and what the emulator saw of it. copies: every concatenation and slice is one."""
    board = load_device("nucleo-l4r5zi")
    device = replace(
        board, flash=Region("flash", 0x08000000, 64 * MIB), ram=Region("RAM", 0x20000000, 16 * MIB), other=()
    )
    with copied_parts() if copies else nullcontext():
        planned = plan(model, target=target_of(device))
    verify(model, planned)
    inputs = np.random.default_rng(1).integers(-128, 128, (1, *model.graph.inputs[0].shape), dtype=np.int8)
    expected = model.run(inputs)[model.graph.outputs[0]].reshape(1, -1)
    with tempfile.TemporaryDirectory() as folder:
        emit(model, planned, device, Path(folder))
        firmware = build(Path(folder), device)
        symbols = layer_symbols(model, planned.joined)
        seen = emulate(firmware, device, identifier(model.graph.name), inputs, symbols, expected.shape[1])
    assert np.array_equal(seen.outputs, expected), f"{model.graph.name} differs from the reference"
    return planned, seen


if __name__ == "__main__":
    main()
