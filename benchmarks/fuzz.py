"""Random int8 networks: the integer reference against the emitted C, byte by byte.

    python benchmarks/fuzz.py [--graphs N] [--first SEED] [--emulator unicorn|qemu|both|none] [--log FILE]
                              [--compiler zig|gcc] [--optimize=-O2] [--host-compiler zig|clang|gcc]
                              [--host-optimize=-O2]

Each network (tests/random_models.py) runs on this computer with the kernels of every kind of instructions, and in the
emulators on Cortex-M0+, M4 and M55 (QEMU has no machine for M0+ with enough memory; unicorn does not know M55). Many
networks are one firmware. Prints how many networks and numbers were compared and how many differ; ends in 1 if any do.

--log: a file to which every finished batch is added, a line of JSON for each place; what it holds already is not run
again, so that an interrupted run goes on where it was, and several runs add up.
"""

import argparse
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from millijoule.model import Model
from millijoule.plan.streaming import CONTRACTS
from millijoule.run.emulator import MODELS as UNICORN
from millijoule.run.emulator import emulate
from millijoule.run.measurement import Build
from millijoule.run.qemu import emulate_qemu, machine_device, run_machine
from millijoule.run.toolchain import build
from millijoule.target import Instructions, Target
from tests.ops.batch import Batch
from tests.random_models import random_model

TOGETHER = 50
SAMPLES = 4
EMULATORS = {"unicorn": emulate, "qemu": emulate_qemu}
Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Place:
    """Where networks run: what their kernels are for, in which emulator, and how the input is given, row by row.

    emulator: none for this computer. contract: none for layer by layer.
    """

    what: str
    emulator: str = ""
    contract: str = ""

    def __str__(self) -> str:
        return f"{self.what}, {self.emulator or 'this computer'}{self.contract and f', row by row ({self.contract})'}"


ON_HOST = (
    *(Place(kind) for kind in get_args(Instructions)),
    *(Place(kind, contract=contract) for kind, contract in zip(("scalar", "armv6m", "dsp"), CONTRACTS, strict=True)),
)
EMULATED = (
    Place("cortex-m0plus", "unicorn"),
    Place("cortex-m4", "unicorn"),
    Place("cortex-m4", "qemu"),
    Place("cortex-m55", "qemu"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--graphs", type=int, default=100)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--emulator", choices=(*EMULATORS, "both", "none"), default="unicorn")
    parser.add_argument("--compiler", choices=("zig", "gcc"), default="zig")
    parser.add_argument("--optimize", default="-O2")
    parser.add_argument("--host-compiler", choices=("zig", "clang", "gcc"), default="zig")
    parser.add_argument("--host-optimize", default="-O2")
    parser.add_argument("--log", type=Path)
    options = parser.parse_args()
    records = read_log(options.log)
    done = {(record["place"], record["first"], record["count"]) for record in records}
    end = options.first + options.graphs
    for first in range(options.first, end, TOGETHER):
        count = min(TOGETHER, end - first)
        waiting = [place for place in places(options.emulator) if (str(place), first, count) not in done]
        if not waiting:
            continue
        models = {f"random_{seed}": random_model(seed) for seed in range(first, first + count)}
        inputs = {
            name: np.random.default_rng(1).integers(-128, 128, (SAMPLES, *model.graph.inputs[0].shape), dtype=np.int8)
            for name, model in models.items()
        }
        expected = {name: model.run(inputs[name])[model.graph.outputs[0]] for name, model in models.items()}
        host, firmware = (options.host_compiler, options.host_optimize), (options.compiler, options.optimize)
        for place, outputs in runs(waiting, models, inputs, host, firmware):
            record = {
                "place": str(place),
                "first": first,
                "count": count,
                "numbers": sum(array.size for array in expected.values()),
                "differ": [
                    name for name in models if not np.array_equal(outputs[name].ravel(), expected[name].ravel())
                ],
            }
            records.append(record)
            if options.log:
                with options.log.open("a") as file:
                    print(json.dumps(record), file=file)
    sys.exit(report(records))


def places(emulator: str) -> list[Place]:
    return [*ON_HOST, *(place for place in EMULATED if emulator in (place.emulator, "both"))]


def runs(
    waiting: list[Place],
    models: dict[str, Model],
    inputs: Arrays,
    host: tuple[str, str],
    firmware: tuple[str, str],
) -> Iterator[tuple[Place, Arrays]]:
    """What each place gives. Emulators of one core run the same firmware. host, firmware: compiler and its level."""
    built: dict[str, Build] = {}
    with tempfile.TemporaryDirectory() as root:
        for index, place in enumerate(waiting):
            folder = Path(root) / f"place{index}"
            folder.mkdir()
            if not place.emulator:
                target = Target(place.what)  # type: ignore[arg-type]
                batch = Batch.write(folder, models, inputs, target=target, contract=place.contract)
                yield place, batch.on_host(*host)
                continue
            batch = Batch.write(folder, models, inputs, core=place.what)
            board = batch.board if place.what in UNICORN else machine_device(place.what)
            if place.what not in built:
                built[place.what] = build(batch.folder, board, *firmware)
            symbols = {name: f"batch_layer_{name}" for name in models}
            run = EMULATORS[place.emulator] if place.what in UNICORN else run_machine
            seen = run(built[place.what], board, "batch", batch.all_inputs(), symbols, batch.sizes()[1])
            yield place, batch.split(seen.outputs)


def read_log(path: Path | None) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path and path.exists() else []


def report(records: list[dict]) -> int:
    """Print what was compared; 1 if anything differs."""
    networks: Counter[str] = Counter()
    numbers: Counter[str] = Counter()
    differ: dict[str, list[str]] = {}
    for record in records:
        networks[record["place"]] += record["count"]
        numbers[record["place"]] += record["numbers"]
        differ.setdefault(record["place"], []).extend(record["differ"])
    for place, count in networks.items():
        wrong = differ[place]
        print(f"{place}: {count} networks, {numbers[place]:,} numbers compared, {len(wrong)} networks differ")
    for place, wrong in differ.items():
        for name in wrong:
            print(f"{name} on {place}")
    return int(any(differ.values()))


if __name__ == "__main__":
    main()
