"""Random int8 networks: the integer reference against the emitted C, byte by byte.

    python benchmarks/fuzz.py [--graphs N] [--first SEED] [--emulator unicorn|qemu|both|none] [--log FILE] [--stream]
                              [--compiler zig|gcc] [--optimize=-O2] [--host-compiler zig|clang|gcc]
                              [--host-optimize=-O2]

Each network (tests/random_models.py) runs on this computer with the kernels of every kind of instructions, and in the
emulators on Cortex-M0+, M4 and M55 (QEMU has no machine for M0+ with enough memory; unicorn does not know M55). Many
networks are one firmware. Prints how many networks and numbers were compared and how many differ; ends in 1 if any do.

--stream: networks with more branches, windows and barriers (tests/plan/streaming/networks.py), only where they are
executed row by row. There, a firmware's arenas must also have the planned bytes.

--log: a file to which every finished batch is added, a line of JSON for each place; what it holds already is not run
again, so that an interrupted run goes on where it was, and several runs add up.
"""

import argparse
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from millijoule.model import Model
from millijoule.run.elf import Elf
from millijoule.run.emulator import MODELS as UNICORN
from millijoule.run.emulator import emulate
from millijoule.run.measurement import Build
from millijoule.run.qemu import emulate_qemu, machine_device, run_machine
from millijoule.run.toolchain import build
from millijoule.target import CONTRACTS, Instructions, Target
from tests.ops.batch import Batch
from tests.plan.streaming.networks import random_model as streaming_model
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
    Place("cortex-m0plus", "unicorn", "overwrite"),
    Place("cortex-m4", "unicorn", "push"),
    Place("cortex-m4", "qemu", "keep"),
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
    parser.add_argument("--stream", action="store_true")
    options = parser.parse_args()
    records = read_log(options.log)
    done = {(record["place"], record["first"], record["count"]) for record in records}
    end = options.first + options.graphs
    for first in range(options.first, end, TOGETHER):
        count = min(TOGETHER, end - first)
        waiting = [
            place
            for place in places(options.emulator, options.stream)
            if (named(place, options.stream), first, count) not in done
        ]
        if not waiting:
            continue
        models = {f"random_{seed}": network(seed, options.stream) for seed in range(first, first + count)}
        inputs = {
            name: np.random.default_rng(1).integers(-128, 128, (SAMPLES, *model.graph.inputs[0].shape), dtype=np.int8)
            for name, model in models.items()
        }
        expected = {name: model.run(inputs[name])[model.graph.outputs[0]] for name, model in models.items()}
        host, firmware = (options.host_compiler, options.host_optimize), (options.compiler, options.optimize)
        for place, outputs in runs(waiting, models, inputs, host, firmware):
            record = {
                "place": named(place, options.stream),
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


def network(seed: int, stream: bool) -> Model:
    if not stream:
        return random_model(seed)
    model = streaming_model(seed)
    return replace(model, graph=replace(model.graph, name=f"random_{seed}"))


def named(place: Place, stream: bool) -> str:
    return f"{place}, networks for streaming" if stream else str(place)


def places(emulator: str, stream: bool) -> list[Place]:
    found = [*ON_HOST, *(place for place in EMULATED if emulator in (place.emulator, "both"))]
    return [place for place in found if place.contract or not stream]


def runs(
    waiting: list[Place],
    models: dict[str, Model],
    inputs: Arrays,
    host: tuple[str, str],
    firmware: tuple[str, str],
) -> Iterator[tuple[Place, Arrays]]:
    """What each place gives. Emulators of one core run the same firmware. host, firmware: compiler and its level."""
    built: dict[tuple[str, str], Build] = {}
    with tempfile.TemporaryDirectory() as root:
        for index, place in enumerate(waiting):
            folder = Path(root) / f"place{index}"
            folder.mkdir()
            if not place.emulator:
                target = Target(place.what)  # type: ignore[arg-type]
                batch = Batch.write(folder, models, inputs, target=target, contract=place.contract)
                yield place, batch.on_host(*host)
                continue
            batch = Batch.write(folder, models, inputs, core=place.what, contract=place.contract)
            board = batch.board if place.what in UNICORN else machine_device(place.what)
            key = place.what, place.contract
            if key not in built:
                built[key] = build(batch.folder, board, *firmware)
                elf = Elf.read(Path(built[key].elf))
                assert {name: elf.symbol(f"{name}_arena").bytes for name in models} == dict(batch.arena_bytes)
            symbols = {name: f"batch_layer_{name}" for name in models}
            run = EMULATORS[place.emulator] if place.what in UNICORN else run_machine
            seen = run(built[key], board, "batch", batch.all_inputs(), symbols, batch.sizes()[1])
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
