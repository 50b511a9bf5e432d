"""RAM of streamed execution: planned, verified, executed.

    python benchmarks/streaming.py --data DIR [--graphs N] [--no-execution]

For int8 models of DIR/models and each way of giving the input: the most bytes that are live layer by layer, the arena
of the streamed plan, their ratio, what this order of execution needs at least, what every order does, bytes copied into
rings, and processor seconds of planning. Every plan is verified; a random input is executed in an arena of exactly that
size, and its outputs are compared with the reference. Bytes, input and output included, working memory of kernels not.

Then N random networks executed in their rings against the reference.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1]))

import millijoule as mj
from millijoule.model import Model
from millijoule.plan.streaming import execute, stream_plan, verify_stream
from millijoule.target import CONTRACTS
from tests.plan.streaming.networks import random_model

MODELS = (
    "mlperf_tiny/pretrainedResnet_quant",
    "mlperf_tiny/vww_96_int8",
    "mlperf_tiny/kws_ref_model",
    "mlperf_tiny/ad01_int8",
    "google_coral/mobilenet_v1_0.25_128_quant",
    "google_coral/tf2_mobilenet_v2_1.0_224_ptq",
    "tflite_micro/person_detect",
    "tinymaix/cifar10_q",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--graphs", type=int, default=600)
    parser.add_argument("--no-execution", action="store_true", help="plan and verify only")
    options = parser.parse_args()
    columns = ("model", "input", "stored", "streamed", "ratio", "this order", "any order", "copied", "planning, s")
    table = Table(*columns, "outputs equal")
    for name in MODELS:
        model = mj.load(options.data / "models" / f"{name}.tflite")
        for contract in CONTRACTS:
            print(f"{name} {contract} …", file=sys.stderr)
            table.add_row(name.split("/")[1], contract, *row(model, contract, not options.no_execution))
    console = Console(width=150)
    console.print(table)
    console.print(against_the_reference(options.graphs))


def row(model: Model, contract: str, executed: bool) -> tuple[str, ...]:
    start = time.process_time()
    planned = stream_plan(model, contract)
    seconds = time.process_time() - start
    verify_stream(model, planned)
    numbers = (planned.lower_bound_bytes, planned.floor_bytes, planned.copied_bytes)
    return (
        f"{planned.stored_bytes:,}",
        f"{planned.arena_bytes:,}",
        f"{planned.stored_bytes / planned.arena_bytes:.1f}",
        *(f"{number:,}" for number in numbers),
        f"{seconds:.1f}",
        equal_outputs(model, contract) if executed else "",
    )


def equal_outputs(model: Model, contract: str, seed: int = 0) -> str:
    x = np.random.default_rng(seed).integers(-128, 128, model.graph.inputs[0].shape, dtype=np.int8)
    expected = model.run(x[None])
    found = execute(model, stream_plan(model, contract), x)
    equal = sum(int(np.sum(value == expected[name][0])) for name, value in found.items())
    return f"{equal:,} of {sum(value.size for value in found.values()):,}"


def against_the_reference(count: int) -> str:
    wrong = 0
    for seed in range(count):
        equal, size = equal_outputs(random_model(seed), CONTRACTS[seed % len(CONTRACTS)], seed).split(" of ")
        wrong += equal != size
    return f"{count} random networks executed in their rings: {wrong} differ from the reference"


if __name__ == "__main__":
    main()
