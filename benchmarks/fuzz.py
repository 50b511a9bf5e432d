"""Random int8 networks: the integer reference against the emitted C, byte by byte.

    python benchmarks/fuzz.py [--graphs N] [--first SEED] [--emulator unicorn|qemu|both]

Each network (tests/random_models.py) runs on this computer with the kernels of every kind of instructions, and in the
emulators on Cortex-M0+ and M4 (QEMU has no machine for M0+ with enough memory). Prints how many networks and numbers
were compared and how many differ; ends in 1 if any do.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import get_args

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from millijoule.run.emulator import emulate
from millijoule.run.qemu import emulate_qemu
from millijoule.run.toolchain import build
from millijoule.target import Instructions, Target
from tests.ops.batch import Batch
from tests.random_models import random_model

TOGETHER = 25
SAMPLES = 4
EMULATORS = {"unicorn": emulate, "qemu": emulate_qemu}
PLACES = (("cortex-m0plus", "unicorn"), ("cortex-m4", "unicorn"), ("cortex-m4", "qemu"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--graphs", type=int, default=100)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--emulator", choices=(*EMULATORS, "both"), default="unicorn")
    options = parser.parse_args()
    networks: dict[str, int] = {}
    numbers: dict[str, int] = {}
    wrong: list[str] = []
    end = options.first + options.graphs
    for first in range(options.first, end, TOGETHER):
        models = {f"random_{seed}": random_model(seed) for seed in range(first, min(first + TOGETHER, end))}
        inputs = {
            name: np.random.default_rng(1).integers(-128, 128, (SAMPLES, *model.graph.inputs[0].shape), dtype=np.int8)
            for name, model in models.items()
        }
        expected = {name: model.run(inputs[name])[model.graph.outputs[0]] for name, model in models.items()}
        for place, outputs in runs(models, inputs, options.emulator):
            for name in models:
                networks[place] = networks.get(place, 0) + 1
                numbers[place] = numbers.get(place, 0) + expected[name].size
                if not np.array_equal(outputs[name].reshape(expected[name].shape), expected[name]):
                    wrong.append(f"{name} on {place}")
    for place, count in networks.items():
        differ = sum(entry.endswith(f" on {place}") for entry in wrong)
        print(f"{place}: {count} networks, {numbers[place]:,} numbers compared, {differ} networks differ")
    print(*wrong, sep="\n", end="" if not wrong else "\n")
    sys.exit(1 if wrong else 0)


def runs(models, inputs, emulator):
    for kind in get_args(Instructions):
        with tempfile.TemporaryDirectory() as folder:
            yield f"this computer, {kind}", Batch.write(Path(folder), models, inputs, target=Target(kind)).on_host()
    for core, name in PLACES:
        if emulator not in (name, "both"):
            continue
        with tempfile.TemporaryDirectory() as folder:
            batch = Batch.write(Path(folder), models, inputs, core=core)
            firmware = build(batch.folder, batch.board, "zig")
            symbols = {model: f"batch_layer_{model}" for model in models}
            seen = EMULATORS[name](firmware, batch.board, "batch", batch.all_inputs(), symbols, batch.sizes()[1])
            yield f"{core}, {name}", batch.split(seen.outputs)


if __name__ == "__main__":
    main()
