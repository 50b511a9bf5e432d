"""RAM and instructions of firmware whose layers are executed row by row or pixel by pixel, on Cortex-M4.

    python benchmarks/streamed_firmware.py --data DIR [--models ic,kws,vww,mobilenet_v2]

For each model of DIR/models/mlperf_tiny: layer by layer, and for the least RAM with the input overwritten, kept or
pushed. mobilenet_v2 (DIR/models/google_coral, 224x224): only for the least RAM, overwritten, pushed, and read from
outside of the arena with the beginning of the network in --strips strips, on an nRF52840 with 256 KiB of RAM, whose
flash is taken to be 8 MiB outside of the chip. + MACs: what strips compute more than once. arena: planned, input,
output and working memory of kernels included, but not an input that is read outside of it; static: all static data in
the linked firmware, which ends at a multiple of 8 bytes. Outputs for two random inputs are compared with the integer
reference. / stored: instructions against layer by layer. CMSIS-NN: the fewest instructions of an exact build that calls
it directly (DIR/tables/cmsis_nn_baseline.csv). An instruction is not a cycle.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

from firmware import MODELS, best_of_peer
from rich.console import Console
from rich.table import Table

import millijoule as mj
from millijoule.cost import cost
from millijoule.cost.device import load_device
from millijoule.plan.streaming import StreamPlan

LARGE, LARGE_FILE = "mobilenet_v2", "google_coral/tf2_mobilenet_v2_1.0_224_ptq.tflite"
DEVICE = "nucleo-l4r5zi"
WAYS = (("speed", "overwrite", 1), ("ram", "overwrite", 1), ("ram", "keep", 1), ("ram", "push", 1))
STRIPS = 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--models", default="ic,kws,vww")
    parser.add_argument("--strips", type=int, default=STRIPS)
    options = parser.parse_args()
    peers = best_of_peer(options.data / "tables" / "cmsis_nn_baseline.csv")
    sizes = ("arena", "static", "stack", "flash", "instructions")
    table = Table("model", "optimize", "input", "strips", "+ MACs", *sizes, "/ stored", "/ CMSIS-NN", "exact")
    for name in options.models.split(","):
        is_large = name == LARGE
        model = mj.load(options.data / "models" / (LARGE_FILE if is_large else f"mlperf_tiny/{MODELS[name]}"))
        board = load_device("nrf52840-dk" if is_large else DEVICE)
        if is_large:
            assert board.flash is not None
            board = replace(board, flash=replace(board.flash, bytes=8 * 1024 * 1024))
        stored = 0
        ways = (*WAYS[1::2], ("ram", "read", options.strips)) if is_large else WAYS
        for optimize, given, strips in ways:
            with tempfile.TemporaryDirectory() as folder:
                out = Path(folder) / "firmware"
                found = mj.deploy(model, board, optimize=optimize, input=given, strips=strips, samples=2, folder=out)
            result, planned = found.to_json(), found.plan
            more = planned.more_macs if isinstance(planned, StreamPlan) else 0
            instructions = result["instructions"]
            stored = stored or instructions
            table.add_row(
                *(name, optimize, given, str(strips)),
                f"{more / cost(model).macs:.1%}" if more else "",
                f"{result['arena_planned_bytes']:,}",
                *(f"{result[key]:,}" for key in ("ram_bytes", "stack_bytes", "flash_bytes", "instructions")),
                "" if is_large else f"{instructions / stored:.3f}",
                f"{instructions / peers[name, 'm4']:.2f}" if (name, "m4") in peers else "",
                "yes" if result["bit_exact"] else "NO",
            )
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
