"""Instructions of our firmware, layer by layer, for networks of the zoo: makes the table that estimates rest on.

    python benchmarks/layer_instructions.py [--write] [--networks NAME,…]

Each network gets random weights, is quantized on random images, built with zig -O2 and executed in the emulator on
Cortex-M4 and M0+ with one input; where flash or RAM of the board would be too small, larger memories are assumed, as
instructions do not depend on them. Outputs are compared with the reference. --write: replace
millijoule/energy/data/layer_instructions.csv. Printed: each network's instructions beside the estimate from the layers
of all the others.
"""

import argparse
import csv
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

import millijoule as mj
from millijoule.cost.device import load_device
from millijoule.energy.fitted.instructions import COLUMNS, CountedLayer, counted_layers, errors, layer_of
from millijoule.energy.fitted.intervals import spread
from millijoule.train.initial import initial_weights

SMALL: dict[str, Any] = {"input_shape": (96, 96, 3)}
NETWORKS: dict[str, dict[str, Any]] = {
    **{name: {} for name in ("lenet5", "autoencoder", "ds_cnn", "mobilenet_v1_025", "resnet8", "resnet20")},
    **{name: {} for name in ("mcunet_vww", "multilayer", "two_layer")},
    **dict.fromkeys(("squeezenet1_1", "shufflenet_v2", "mobilenet_v3_small", "efficientnet_lite0"), SMALL),
    **{name: SMALL | {"width": 0.5} for name in ("mobilenet_v1", "mobilenet_v2")},
}
"""Of the zoo, with arguments: inputs of 96x96 where 224x224 would take minutes."""
BOARDS = {"cortex-m4": "nucleo-l4r5zi", "cortex-m0plus": "nucleo-g0b1re"}
TABLE = Path(__file__).parents[1] / "millijoule" / "energy" / "data" / "layer_instructions.csv"
HEAD = """\
# Instructions of one inference, layer by layer: firmware of this package (zig -O2, fastest kernels), random weights.
# Made by benchmarks/layer_instructions.py in the emulator; columns: see millijoule/energy/fitted/instructions.py.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--networks", default=",".join(NETWORKS))
    options = parser.parse_args()
    if options.write:
        rows = []
        for name in options.networks.split(","):
            for core, board in BOARDS.items():
                rows += measure(name, core, board)
                print(f"{name} on {core}: {sum(row.instructions for row in rows if row.network == name):,}", flush=True)
        write(rows)
    table = Table("core", "network", "instructions", "estimate / measured")
    for core in BOARDS:
        off = {error.group: error.log for error in errors(core)}
        for name, log in off.items():
            total = sum(row.instructions for row in counted_layers() if (row.core, row.network) == (core, name))
            table.add_row(core, str(name), f"{total:,}", f"{np.exp(log):.3f}")
        table.add_section()
        table.add_row(core, "90 % are within a factor of", "", f"{spread(errors(core)):.3f}")
        table.add_section()
    Console(width=100).print(table)


def measure(name: str, core: str, board: str) -> list[CountedLayer]:
    graph = mj.zoo.get(name, **NETWORKS[name])
    shape = graph.inputs[0].shape
    images = np.random.default_rng(0).random((4, *shape), dtype=np.float32)
    model = mj.quantize(mj.Model(graph, initial_weights(graph, 0)), images)
    device = load_device(board)
    assert device.flash is not None
    assert device.ram is not None
    flash, ram = replace(device.flash, bytes=32 << 20), replace(device.ram, bytes=16 << 20)
    device = replace(device, flash=flash, ram=ram)
    with tempfile.TemporaryDirectory() as folder:
        made = mj.deploy(model, device, folder=Path(folder) / "out", samples=1, keep_dead_channels=True)
    assert made.bit_exact, f"{name} on {core} differs from the reference"
    assert made.measurement is not None
    seen = made.measurement.layer_instructions
    graph = made.model.graph
    return [
        CountedLayer(core, name, layer_of(graph, node), seen[node.name])
        for node in graph.nodes
        if seen.get(node.name, 0)
    ]


def write(rows: list[CountedLayer]) -> None:
    with TABLE.open("w", encoding="utf-8", newline="") as file:
        file.write(HEAD)
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for row in rows:
            each = row.layer
            sizes = (each.macs, each.outputs, each.inputs, each.positions, each.patches)
            writer.writerow([row.core, row.network, each.kind, *sizes, row.instructions])


if __name__ == "__main__":
    main()
