"""Cycles estimated from instructions: against published latencies, and beside the fastest engines of the same models.

    python benchmarks/cycles.py --data DIR

First table: MLPerf Tiny submissions that run CMSIS-NN (DIR/tables/mlperf_tiny.csv) over CMSIS-NN's counts for the core
(DIR/tables/cmsis_nn_baseline.csv): over cycles of the core alone, counted by Arm's table on its fastest build (the
column m4_model_cycles), and over instructions of the build with the fewest; and by how much both estimates of
millijoule.cost.cycles are off, also with the factor that the other boards alone would give. They ran other builds than
the best, so both come out high.
Second table: our firmware counted now: instructions, milliseconds of the core alone at the board's clock, the estimate,
and what X-CUBE-AI and Plumerai published for the same model and board: other kernels, so this is no error but a
comparison of an estimate with measurements. Nothing is published of boards with Cortex-M55.
"""

import argparse
import csv
from pathlib import Path

import numpy as np
from cortex_m import DEVICES, MODELS, measure, peer_models
from rich.console import Console
from rich.table import Table

import millijoule as mj
from millijoule.cost.core_cycles import core_cycles
from millijoule.cost.cycles import CYCLES_PER_CORE_CYCLE, CYCLES_PER_INSTRUCTION, estimate_cycles
from millijoule.cost.device import load_device
from millijoule.passes.integer import reduce

CORES = {"Cortex-M4": "cortex-m4", "Cortex-M33": "cortex-m33"}
CONVOLUTIONAL = ("ic", "kws", "vww")
BOARDS = {
    "m0p": ("STM32G0B1", "nucleo-g0b1re"),
    "m4": ("STM32L4R5", "nucleo-l4r5zi"),
    "m7": ("STM32H7A3", "nucleo-h7a3zi-q"),
    "m55": ("none", "corstone-300"),
}
ENGINES = ("X-CUBE-AI", "Plumerai")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    options = parser.parse_args()
    with (options.data / "tables" / "mlperf_tiny.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["latency_ms"] and not row["accelerator"]]
    peers = peer_models(options.data / "tables" / "cmsis_nn_baseline.csv")
    core_peers = fewest_core_cycles(options.data / "tables" / "cmsis_nn_baseline.csv")
    console = Console(width=160)
    console.print(errors(rows, peers, core_peers))
    console.print(ours(rows, options.data))


def fewest_core_cycles(path: Path) -> dict[str, int]:
    """Model → the fewest cycles of a Cortex-M4 alone of any exact CMSIS-NN build."""
    best: dict[str, int] = {}
    with path.open() as file:
        for row in csv.DictReader(file):
            if row["cpu"] == "m4" and row["m4_model_cycles"] and row["exact"] == "True":
                best[row["model"]] = min(best.get(row["model"], 1 << 62), int(row["m4_model_cycles"]))
    return best


def errors(
    rows: list[dict[str, str]], peers: dict[tuple[str, str], dict[str, str]], core_peers: dict[str, int]
) -> Table:
    over_core, over_instructions = "cycles/core cycle", "cycles/instruction"
    table = Table("round", "board", "core", "software", "model", over_core, "off by", over_instructions, "off by")
    found: dict[str, list[tuple[str, float]]] = {over_core: [], over_instructions: []}
    for row in rows:
        core = CORES.get(row["core"].split()[0])
        if core is None or "CMSIS" not in row["software"] or row["benchmark"] not in CONVOLUTIONAL:
            continue
        # The reference ran an interpreter of 2021; ONNC leaves out the dead channels of VWW.
        if row["round"] == "v0.5" or ("ONNC" in row["software"] and row["benchmark"] == "vww"):
            continue
        cycles = float(row["Mcycles"]) * 1e6
        cells = []
        for title, count, known in (
            (over_core, core_peers[row["benchmark"]], CYCLES_PER_CORE_CYCLE[core]),
            (over_instructions, int(peers[row["benchmark"], "m4"]["insns"]), CYCLES_PER_INSTRUCTION[core]),
        ):
            found[title].append((row["mcu"], cycles / count))
            cells += [f"{cycles / count:.2f}", f"{known.mean * count / cycles - 1:+.0%}"]
        table.add_row(row["round"], row["mcu"], row["core"], row["software"][:30], row["benchmark"], *cells)
    means = {over_core: CYCLES_PER_CORE_CYCLE, over_instructions: CYCLES_PER_INSTRUCTION}
    table.caption = "; ".join(
        f"{title}: mean error {mean_error(seen, means[title]['cortex-m4'].mean):.1%}, board left out "
        f"{left_out_error(seen):.1%}, {len(seen)} rows"
        for title, seen in found.items()
    )
    return table


def mean_error(seen: list[tuple[str, float]], factor: float) -> float:
    return float(np.mean([abs(factor / ratio - 1) for _, ratio in seen]))


def left_out_error(seen: list[tuple[str, float]]) -> float:
    """Of each board's rows with the factor that has the least mean error on the rows of other boards."""
    off = []
    for board, ratio in seen:
        others = [(name, value) for name, value in seen if name != board]
        factor = min((value for _, value in others), key=lambda value: mean_error(others, value))
        off.append(abs(factor / ratio - 1))
    return float(np.mean(off))


def ours(rows: list[dict[str, str]], data: Path) -> Table:
    engines = (f"{name}, ms" for name in ENGINES)
    table = Table("model", "board", "instructions", "core alone, ms", "estimate, ms", "range, ms", *engines)
    for name, file in MODELS.items():
        model = mj.load(data / "models" / "mlperf_tiny" / file)
        reduced = reduce(model).model
        for core, (mcu, device_name) in BOARDS.items():
            _, seen, exact = measure(model, reduced, DEVICES[core], "zig")
            assert exact, f"{name} on {core} differs from the reference"
            device = load_device(device_name)
            alone = core_cycles(device, seen.mix)
            assert alone is not None
            estimate = estimate_cycles(device, seen.instructions[0], alone)
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
            estimated = "-", "-"
            if estimate:
                estimated = (
                    f"{estimate.latency_ms:.1f}",
                    f"{estimate.latency_low_ms:.1f} to {estimate.latency_high_ms:.1f}",
                )
            table.add_row(
                *(name, device_name, f"{seen.instructions[0]:,}", f"{alone.latency_ms:.1f}"), *estimated, *published
            )
    return table


if __name__ == "__main__":
    main()
