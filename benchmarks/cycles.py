"""Cycles estimated from instructions: against published latencies, and beside the fastest engines of the same models.

    python benchmarks/cycles.py --data DIR

First table: MLPerf Tiny submissions that run CMSIS-NN (DIR/tables/mlperf_tiny.csv) over CMSIS-NN's fewest instructions
for the core (DIR/tables/cmsis_nn_baseline.csv): measured cycles for each instruction, and by how much the estimate of
millijoule.cost.cycles is off. They ran other builds than the best, so their cycles for each instruction come out high.
Second table: our firmware's instructions, counted now on Cortex-M4 and M7, the estimate at the board's clock, and what
X-CUBE-AI and Plumerai published for the same model and board: other kernels, so this is no error but a comparison of
an estimate with measurements.
"""

import argparse
import csv
from pathlib import Path

import numpy as np
from cortex_m import DEVICES, MODELS, measure, peer_models
from rich.console import Console
from rich.table import Table

import millijoule as mj
from millijoule.cost.cycles import CYCLES_PER_INSTRUCTION, estimate_cycles
from millijoule.cost.device import load_device
from millijoule.passes.integer import reduce

CORES = {"Cortex-M4": ("m4", "cortex-m4"), "Cortex-M33": ("m4", "cortex-m33")}
CONVOLUTIONAL = ("ic", "kws", "vww")
BOARDS = {"m4": ("STM32L4R5", "nucleo-l4r5zi"), "m7": ("STM32H7A3", "nucleo-h7a3zi-q")}
ENGINES = ("X-CUBE-AI", "Plumerai")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    options = parser.parse_args()
    with (options.data / "tables" / "mlperf_tiny.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["latency_ms"] and not row["accelerator"]]
    peers = peer_models(options.data / "tables" / "cmsis_nn_baseline.csv")
    console = Console(width=150)
    console.print(errors(rows, peers))
    console.print(ours(rows, options.data))


def errors(rows: list[dict[str, str]], peers: dict[tuple[str, str], dict[str, str]]) -> Table:
    table = Table("round", "board", "core", "software", "model", "cycles/instruction", "estimate", "off by")
    off = []
    for row in rows:
        core = CORES.get(row["core"].split()[0])
        if core is None or "CMSIS" not in row["software"] or row["benchmark"] not in CONVOLUTIONAL:
            continue
        # The reference ran an interpreter of 2021; ONNC leaves out the dead channels of VWW.
        if row["round"] == "v0.5" or ("ONNC" in row["software"] and row["benchmark"] == "vww"):
            continue
        seen = float(row["Mcycles"]) * 1e6 / int(peers[row["benchmark"], core[0]]["insns"])
        mean = CYCLES_PER_INSTRUCTION[core[1]].mean
        off.append(mean / seen - 1)
        table.add_row(
            *(row["round"], row["mcu"], row["core"], row["software"][:30], row["benchmark"]),
            *(f"{seen:.2f}", f"{mean:.2f}", f"{off[-1]:+.0%}"),
        )
    table.caption = f"mean error {np.mean(np.abs(off)):.1%}, worst {max(off, key=abs):+.0%}, {len(off)} rows"
    return table


def ours(rows: list[dict[str, str]], data: Path) -> Table:
    table = Table("model", "board", "instructions", "estimate, ms", "range, ms", *(f"{name}, ms" for name in ENGINES))
    for name, file in MODELS.items():
        model = mj.load(data / "models" / "mlperf_tiny" / file)
        reduced = reduce(model).model
        for core, (mcu, device) in BOARDS.items():
            _, seen, exact = measure(model, reduced, DEVICES[core], "zig")
            assert exact, f"{name} on {core} differs from the reference"
            estimate = estimate_cycles(load_device(device), max(seen.instructions))
            assert estimate is not None
            published = []
            for engine in ENGINES:
                found = [
                    (row["round"], float(row["latency_ms"]))
                    for row in rows
                    if engine.lower() in f"{row['software']} {row['submitter']}".lower()
                    and row["mcu"].startswith(mcu)
                    and row["benchmark"] == name
                ]
                published.append(f"{max(found)[1]:.1f} ({max(found)[0]})" if found else "-")
            table.add_row(
                *(name, device, f"{max(seen.instructions):,}", f"{estimate.latency_ms:.1f}"),
                *(f"{estimate.latency_low_ms:.1f} to {estimate.latency_high_ms:.1f}", *published),
            )
    return table


if __name__ == "__main__":
    main()
