"""Random int8 networks: the integer reference against the emitted C, byte by byte.

    python benchmarks/fuzz.py [--graphs N] [--first SEED] [--emulator unicorn|qemu|both|none] [--log FILE] [--stream]
                              [--compiler zig|gcc] [--optimize=-O2] [--host-compiler zig|clang|gcc]
                              [--host-optimize=-O2] [--shared-kernels] [--in-turn]

Each network (tests/random_models.py) runs layer by layer on this computer with the kernels of every kind of
instructions, and in the emulators on Cortex-M0+, M4 and M55 (QEMU has no machine for M0+ with enough memory; unicorn
does not know M55). Many networks are one firmware. Prints how many networks and numbers were compared and how many
differ; ends in 1 if any do.

--stream: by rows or by pixels, where every second network has more branches, windows and barriers
(tests/plan/streaming/networks.py). A firmware's arenas have the planned bytes; what a run writes of each, found by
filling it before, ends where the plan's last byte is. Where that belongs to a kernel that multiplies what lies behind
its numbers by zero, it is only read: the run must end where the kernel says that it stops to write
(`Call.only_read_bytes`).

--shared-kernels: each kernel is compiled once for all layers of all networks, not specialised for each layer's numbers:
the same code in a fraction of the time.

--in-turn: each batch runs in every fourth place only, the next batch in the next places: half of them on this computer,
half emulated.

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

from millijoule.cost.device import target_of
from millijoule.model import Model
from millijoule.run.elf import Elf
from millijoule.run.emulator import MODELS as UNICORN
from millijoule.run.emulator import emulate
from millijoule.run.measurement import Build
from millijoule.run.qemu import emulate_qemu, machine_device, run_machine
from millijoule.run.toolchain import build
from millijoule.target import Instructions, Target
from tests.ops.batch import Batch
from tests.plan.streaming.networks import random_model as streaming_model
from tests.random_models import random_model
from tests.run.project import device

TOGETHER = 50
"""Networks in one firmware; twice as many where they share kernels."""
SAMPLES = 4
EMULATORS = {"unicorn": emulate, "qemu": emulate_qemu}
Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Place:
    """Where networks run: what their kernels are for, in which emulator, and how they are streamed.

    emulator: none for this computer. contract: of the input; none for layer by layer. grain: by rows, by pixels, or as
    the planner chooses. wide: with int16 weights.
    """

    what: str
    emulator: str = ""
    contract: str = ""
    grain: str = "row"
    wide: bool = False

    def __str__(self) -> str:
        grain = {"row": "row by row", "pixel": "pixel by pixel", "either": "for the least RAM"}[self.grain]
        streamed = self.contract and f", {grain} ({self.contract})"
        return f"{self.what}, {self.emulator or 'this computer'}{streamed}{', int16 weights' if self.wide else ''}"


ON_HOST = (
    *(Place(kind) for kind in get_args(Instructions)),
    Place("dsp", wide=True),
    Place("scalar", contract="overwrite"),
    Place("armv6m", contract="keep"),
    Place("dsp", contract="push"),
    Place("host", contract="read"),
    Place("scalar", contract="push", grain="pixel"),
    Place("armv6m", contract="overwrite", grain="pixel"),
    Place("dsp", contract="keep", grain="pixel"),
    Place("mve", contract="push", grain="either"),
)
EMULATED = (
    Place("cortex-m0plus", "unicorn"),
    Place("cortex-m4", "unicorn"),
    Place("cortex-m0plus", "unicorn", "overwrite"),
    Place("cortex-m0plus", "unicorn", "push", "pixel"),
    Place("cortex-m4", "unicorn", "push"),
    Place("cortex-m4", "unicorn", "push", "pixel"),
    Place("cortex-m4", "unicorn", "overwrite", "pixel", wide=True),
    Place("cortex-m4", "unicorn", "push", "either"),
    Place("cortex-m4", "qemu", "keep"),
    Place("cortex-m4", "qemu"),
    Place("cortex-m55", "qemu"),
    Place("cortex-m55", "qemu", "push", "pixel"),
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
    parser.add_argument("--shared-kernels", action="store_true")
    parser.add_argument("--in-turn", action="store_true")
    parser.add_argument("--log", type=Path)
    parser.add_argument("--stream", action="store_true")
    options = parser.parse_args()
    records = read_log(options.log)
    done = {(record["place"], record["first"], record["count"]) for record in records}
    end = options.first + options.graphs
    together = 2 * TOGETHER if options.shared_kernels else TOGETHER
    for first in range(options.first, end, together):
        count = min(together, end - first)
        found = places(options.emulator, options.stream)
        if options.in_turn:
            found = found[first // together % 4 :: 4]
        waiting = [place for place in found if (str(place), first, count) not in done]
        if not waiting:
            continue
        models = {f"random_{seed}": network(seed, options.stream) for seed in range(first, first + count)}
        inputs = {
            name: np.random.default_rng(1).integers(-128, 128, (SAMPLES, *model.graph.inputs[0].shape), dtype=np.int8)
            for name, model in models.items()
        }
        expected = {name: model.run(inputs[name])[model.graph.outputs[0]] for name, model in models.items()}
        host, firmware = (options.host_compiler, options.host_optimize), (options.compiler, options.optimize)
        for place, outputs, other_ram in runs(waiting, models, inputs, host, firmware, options.shared_kernels):
            record = {
                "place": str(place),
                "first": first,
                "count": count,
                "numbers": sum(array.size for array in expected.values()),
                "differ": [
                    name for name in models if not np.array_equal(outputs[name].ravel(), expected[name].ravel())
                ],
                "other_ram": other_ram,
            }
            records.append(record)
            if options.log:
                with options.log.open("a") as file:
                    print(json.dumps(record), file=file)
    sys.exit(report(records))


def network(seed: int, stream: bool) -> Model:
    if not stream or seed % 2:
        return random_model(seed)
    model = streaming_model(seed, multiple=4 if seed % 4 else 1)
    return replace(model, graph=replace(model.graph, name=f"random_{seed}"))


def places(emulator: str, stream: bool) -> list[Place]:
    found = [*ON_HOST, *(place for place in EMULATED if emulator in (place.emulator, "both"))]
    return [place for place in found if bool(place.contract) == stream]


def runs(
    waiting: list[Place],
    models: dict[str, Model],
    inputs: Arrays,
    host: tuple[str, str],
    firmware: tuple[str, str],
    shared: bool,
) -> Iterator[tuple[Place, Arrays, list[str]]]:
    """What each place gives, and the streamed models that write other bytes than planned.

    Emulators of one core run the same firmware. host, firmware: compiler and its level.
    """
    built: dict[Place, Build] = {}
    with tempfile.TemporaryDirectory() as root:
        for index, place in enumerate(waiting):
            folder = Path(root) / f"place{index}"
            folder.mkdir()
            instructions = target_of(device(place.what)).instructions if place.emulator else place.what
            target = Target(instructions, wide_weights=place.wide)  # type: ignore[arg-type]
            core = place.what if place.emulator else "cortex-m4"
            batch = Batch.write(folder, models, inputs, core, target, place.contract, place.grain, shared)
            outputs = emulated(place, batch, built, *firmware) if place.emulator else batch.run_on_host(*host)
            used = batch.used(outputs)
            other_ram = [name for name, planned in batch.written_bytes.items() if used[name] != planned]
            yield place, batch.split(outputs), other_ram


def emulated(place: Place, batch: Batch, built: dict[Place, Build], compiler: str, optimize: str) -> np.ndarray:
    board = batch.board if place.what in UNICORN else machine_device(place.what)
    key = replace(place, emulator="")
    if key not in built:
        built[key] = build(batch.folder, board, compiler, optimize)
        elf = Elf.read(Path(built[key].elf))
        assert {name: elf.symbol(f"{name}_arena").bytes for name in batch.models} == dict(batch.arena_bytes)
    symbols = {name: f"batch_layer_{name}" for name in batch.models}
    run = EMULATORS[place.emulator] if place.what in UNICORN else run_machine
    return run(built[key], board, "batch", batch.all_inputs(), symbols, batch.sizes()[1]).outputs


def read_log(path: Path | None) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path and path.exists() else []


def report(records: list[dict]) -> int:
    """Print what was compared; 1 if anything differs."""
    networks: Counter[str] = Counter()
    numbers: Counter[str] = Counter()
    differ: dict[str, list[str]] = {}
    other_ram: dict[str, list[str]] = {}
    for record in records:
        networks[record["place"]] += record["count"]
        numbers[record["place"]] += record["numbers"]
        differ.setdefault(record["place"], []).extend(record["differ"])
        other_ram.setdefault(record["place"], []).extend(record.get("other_ram", []))
    for place, count in networks.items():
        ram = f", {len(other_ram[place])} write other RAM than planned" if "(" in place else ""
        print(f"{place}: {count} networks, {numbers[place]:,} numbers compared, {len(differ[place])} differ{ram}")
    for what, wrong in (("differs", differ), ("writes other RAM than planned", other_ram)):
        for place, names in wrong.items():
            for name in names:
                print(f"{name} {what} on {place}")
    return int(any(differ.values()) or any(other_ram.values()))


if __name__ == "__main__":
    main()
