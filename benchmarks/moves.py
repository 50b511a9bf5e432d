"""What operators that only move numbers take of an inference: concatenation, channel shuffle, slices, transposes.

    python benchmarks/moves.py [--side 32] [NAME ...]

Networks of the zoo with random weights, quantized, as firmware for Cortex-M4 with as much memory as they need, in the
emulator: instructions of their operators that only move numbers, beside the whole inference. It is the most that could
be gained by writing a part of a concatenation, or a shuffled channel, where it is read; kernels would need a stride of
the output for it, which costs others.
"""

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from millijoule import zoo
from millijoule.cost.device import Region, load_device, target_of
from millijoule.emit import emit, identifier, layer_symbols
from millijoule.model import Model
from millijoule.plan import plan
from millijoule.quantize import quantize
from millijoule.run.emulator import emulate
from millijoule.run.toolchain import build
from millijoule.train.initial import initial_weights

NAMES = ("squeezenet1_1", "shufflenet_v1", "shufflenet_v2", "densenet121")
MOVES = ("Concat", "ChannelShuffle", "Slice", "Transpose", "Pad")
MIB = 1024 * 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", default=NAMES)
    parser.add_argument("--side", type=int, default=32)
    options = parser.parse_args()
    table = Table("network", "instructions", *MOVES, "all moves")
    for name in options.names:
        total, moves = count(name, options.side)
        shares = [f"{moves.get(operator, 0) / total:.2%}" for operator in MOVES]
        table.add_row(name, f"{total:,}", *shares, f"{sum(moves.values()) / total:.2%}")
    Console(width=120).print(table)


def count(name: str, side: int) -> tuple[int, dict[str, int]]:
    """Instructions of one inference, and of its operators of MOVES."""
    graph = zoo.get(name, input_shape=(side, side, 3))
    images = np.random.default_rng(0).normal(size=(4, side, side, 3)).astype(np.float32)
    model = quantize(Model(graph, initial_weights(graph, seed=0)), images)
    board = load_device("nucleo-l4r5zi")
    device = replace(
        board, flash=Region("flash", 0x08000000, 64 * MIB), ram=Region("RAM", 0x20000000, 16 * MIB), other=()
    )
    inputs = np.random.default_rng(1).integers(-128, 128, (1, side, side, 3), dtype=np.int8)
    expected = model.run(inputs)[model.graph.outputs[0]].reshape(1, -1)
    with tempfile.TemporaryDirectory() as folder:
        emit(model, plan(model, target=target_of(device)), device, Path(folder))
        firmware = build(Path(folder), device)
        seen = emulate(firmware, device, identifier(model.graph.name), inputs, layer_symbols(model), expected.shape[1])
    assert np.array_equal(seen.outputs, expected), f"{name} differs from the reference"
    moves: dict[str, int] = {}
    for node in model.graph.nodes:
        operator = type(node.op).__name__
        if operator in MOVES:
            moves[operator] = moves.get(operator, 0) + seen.layer_instructions.get(node.name, 0)
    return seen.instructions[0], moves


if __name__ == "__main__":
    main()
