"""Instructions of the four MLPerf Tiny models on Cortex-M0+, M4, M7 and M55, ours counted now, CMSIS-NN's from a table.

    python benchmarks/cortex_m.py --data DIR [--core m0p|m4|m7|m55] [--compiler zig|gcc|both] [--layers]

Ours: DIR/models/mlperf_tiny as firmware at -O2 in the emulator (QEMU for M55), two random inputs, outputs compared with
the integer reference byte by byte. A model with dead channels (vww) is counted with and without them. CMSIS-NN:
DIR/tables/cmsis_nn_baseline.csv, the exact build with the fewest instructions for that core (called directly, without
TFLite Micro), with its compiler and flags. Code is without weights and tables. An instruction is not a cycle. --layers:
each layer, on Cortex-M4 or the core that is asked for, against the best CMSIS-NN build for that layer
(DIR/tables/cmsis_nn_layers.csv); all channels are computed.
"""

import argparse
import csv
import tempfile
from itertools import product
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

import millijoule as mj
from millijoule.cost.device import compiled_for, load_device, target_of
from millijoule.emit import emit, identifier, layer_symbols
from millijoule.model import Model
from millijoule.plan import plan
from millijoule.run.emulator import MODELS as UNICORN
from millijoule.run.emulator import emulate
from millijoule.run.measurement import Build, Measurement
from millijoule.run.qemu import emulate_qemu
from millijoule.run.toolchain import build

MODELS = {
    "ad": "ad01_int8.tflite",
    "ic": "pretrainedResnet_quant.tflite",
    "kws": "kws_ref_model.tflite",
    "vww": "vww_96_int8.tflite",
}
DEVICES = {"m0p": "nucleo-g0b1re", "m4": "nucleo-l4r5zi", "m7": "nucleo-h743zi", "m55": "corstone-300"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--core", choices=DEVICES)
    parser.add_argument("--compiler", choices=("zig", "gcc", "both"), default="zig")
    parser.add_argument("--layers", action="store_true")
    options = parser.parse_args()
    compilers = ("zig", "gcc") if options.compiler == "both" else (options.compiler,)
    peers = peer_models(options.data / "tables" / "cmsis_nn_baseline.csv")
    core_of_layers = options.core or "m4"
    layers = peer_layers(options.data / "tables" / "cmsis_nn_layers.csv", core_of_layers)
    whole = Table(
        *("model", "core", "compiler", "exact", "instructions", "arena", "stack", "code"),
        *("CMSIS-NN", "ratio", "its code", "its build"),
    )
    by_layer = Table("model", "layer", "operator", "MACs", "instructions", "CMSIS-NN", "ratio")
    for model_name, file in MODELS.items():
        model = mj.load(options.data / "models" / "mlperf_tiny" / file)
        reduced = mj.reduce(model).model
        variants = {model_name: model}
        if reduced.graph.nodes != model.graph.nodes:
            variants[f"{model_name}, live channels"] = reduced
        cores = (options.core,) if options.core else DEVICES
        for (variant, computed), core, compiler in product(variants.items(), cores, compilers):
            peer = peers[model_name, core]
            firmware, seen, exact = measure(model, computed, DEVICES[core], compiler)
            count = max(seen.instructions)
            whole.add_row(
                *(variant, core, compiler, "yes" if exact else "NO", f"{count:,}", f"{seen.arena_bytes:,}"),
                *(f"{seen.stack_bytes:,}", f"{firmware.code_bytes:,}"),
                *(f"{int(peer['insns']):,}", f"{int(peer['insns']) / count:.2f}", f"{int(peer['code_bytes']):,}"),
                f"{peer['cc']} -{peer['opt']}",
            )
            if computed is model and core == core_of_layers and compiler == compilers[0]:
                add_layers(by_layer, model_name, model, seen, layers)
    console = Console(width=150)
    console.print(whole)
    if options.layers:
        console.print(by_layer)


def measure(model: Model, computed: Model, device_name: str, compiler: str) -> tuple[Build, Measurement, bool]:
    """The firmware of `computed`, what the emulator saw of it, and whether all its outputs were those of `model`."""
    device = load_device(device_name)
    run = emulate if compiled_for(device) in UNICORN else emulate_qemu
    planned = plan(computed, target=target_of(device))
    shape = model.graph.inputs[0].shape
    inputs = np.random.default_rng(0).integers(-128, 128, (2, *shape), dtype=np.int8)
    expected = model.run(inputs)[model.graph.outputs[0]].reshape(len(inputs), -1)
    with tempfile.TemporaryDirectory() as folder:
        emit(computed, planned, device, Path(folder))
        firmware = build(Path(folder), device, compiler)
        name = identifier(model.graph.name)
        seen = run(firmware, device, name, inputs, layer_symbols(computed, planned.joined), expected.shape[1])
    return firmware, seen, np.array_equal(seen.outputs, expected)


def add_layers(table: Table, name: str, model: Model, seen: Measurement, peers: dict[tuple[str, int], int]) -> None:
    """Layers are numbered as in the table: every operator of the file, reshapes too."""
    for index, node in enumerate(model.graph.nodes):
        count, peer = seen.layer_instructions.get(node.name), peers.get((name, index))
        if count and peer:
            macs = node.op.cost(*model.graph.input_shapes(node)).macs
            operator = type(node.op).__name__
            table.add_row(name, node.name, operator, f"{macs:,}", f"{count:,}", f"{peer:,}", f"{peer / count:.2f}")


def peer_models(path: Path) -> dict[tuple[str, str], dict[str, str]]:
    """(model, core) → the row of the exact CMSIS-NN build with the fewest instructions."""
    best: dict[tuple[str, str], dict[str, str]] = {}
    with path.open() as file:
        for row in csv.DictReader(file):
            key = row["model"], row["cpu"]
            right = row["method"] == "cmsisnn-direct" and row["exact"] == "True"
            if right and (key not in best or int(row["insns"]) < int(best[key]["insns"])):
                best[key] = row
    return best


def peer_layers(path: Path, core: str) -> dict[tuple[str, int], int]:
    """(model, layer) → the fewest instructions of any CMSIS-NN build for that core."""
    best: dict[tuple[str, int], int] = {}
    with path.open() as file:
        for row in csv.DictReader(file):
            if row["cpu"] == core and row["method"] == "cmsisnn-direct" and row["layer"].isdigit():
                key = row["model"], int(row["layer"])
                best[key] = min(best.get(key, 1 << 62), int(row["insns"]))
    return best


if __name__ == "__main__":
    main()
