"""Many models as one firmware, so that a compiler and an emulator start once for all of them.

Each model is emitted into a folder of its own, as it would be alone; the batch's `run` calls one after the other, each
as a layer of the batch, so that a fault names the model. It runs each twice, over an arena filled with one number and
then with another: what differs from the fill was written. Kernels may be compiled once for all layers of all models
(`shared`), which is much quicker, instead of specialised for each, as they are in firmware of one model.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import get_args

import numpy as np

from millijoule.cost.device import Device, compiled_for, target_of
from millijoule.emit import emit
from millijoule.graph import Graph, Input, Node
from millijoule.model import Model, Quantization
from millijoule.ops import Dense, Reshape
from millijoule.plan import Plan, plan, verify
from millijoule.plan.streaming import StreamPlan, stream_plan, verify_stream
from millijoule.plan.streaming.network.kernels import firing
from millijoule.plan.streaming.network.rows import rows
from millijoule.run.emulator import MODELS, emulate
from millijoule.run.host import HostLibrary, build_host
from millijoule.run.qemu import machine_device, run_machine
from millijoule.run.toolchain import build
from millijoule.target import Instructions, Target
from tests.plan.streaming.networks import by_pixels
from tests.run.project import device, write_firmware

MEBIBYTE = 1024 * 1024
HAS_GCC, HAS_ARM_GCC = (shutil.which(name) is not None for name in ("gcc", "arm-none-eabi-gcc"))
TRIES = 100
"""Orders in which addresses are given: plans are to be right here, not small."""
SHARED = "#define MJ_INLINE static __attribute__((unused))\n"
USED_BYTES = 4
"""What follows each model's outputs: an int32, the bytes of its arena up to the last one that differs from the fill."""
BATCH_SOURCE = """#include "model.h"

int8_t batch_arena[BATCH_INPUT_BYTES + BATCH_OUTPUT_BYTES];
int8_t *batch_input(void) { return batch_arena; }
int8_t *batch_output(void) { return batch_arena + BATCH_INPUT_BYTES; }

/* What is used of an arena, at `at` in the output. */
#define RUN(name, at) \\
    do { \\
        int32_t used = 0; \\
        for (int32_t fill = 0x55; fill >= 0x2a; fill -= 0x2b) { \\
            memset(name##_arena, fill, sizeof name##_arena); \\
            status |= batch_layer_##name(input, output); \\
            int32_t end = sizeof name##_arena; \\
            while (end > used && name##_arena[end - 1] == fill) \\
                end--; \\
            used = end > used ? end : used; \\
        } \\
        memcpy(output + (at), &used, sizeof used); \\
    } while (0)
"""


def _planned(model: Model, target: Target, contract: str, grain: str) -> Plan | StreamPlan:
    if contract:
        streamed = (
            by_pixels(model, contract, target)
            if grain == "pixel"
            else stream_plan(model, contract, target=target, grain="row" if grain == "row" else "pixel", tries=TRIES)
        )
        verify_stream(model, streamed)
        return streamed
    stored = plan(model, target=target)
    verify(model, stored)
    return stored


def _written(model: Model, planned: StreamPlan) -> int:
    """The bytes up to the last one that a plan has written; all others, up to its arena's end, are only read."""
    grained = {"row": rows(model.graph), "pixel": rows(model.graph, "pixel")}
    grains = {name: grain for names, grain in zip(planned.segments, planned.grains, strict=True) for name in names}
    ends = {}
    for buffer in planned.buffers:
        ends[buffer] = buffer.end
        if buffer.kind == "scratch":
            steps = grained[grains[buffer.value]]
            (step,) = (step for step in steps.steps if step.value == buffer.value)
            fires = firing(model, steps, step, planned.targets[step.name], planned.rings)
            assert fires.scratch_bytes == buffer.bytes
            ends[buffer] = buffer.offset + fires.written_bytes
    assert max(buffer.end for buffer in ends) == planned.arena_bytes
    return max(ends.values())


def of_one_input(model: Model, name: str) -> Model:
    """A model of one node under `name`, its node too; several inputs are cut out of one that holds them all, in order.

    The cut is a dense layer whose weights are 1 and 0: firmware is made of models with one input.
    """
    (node,) = model.graph.nodes
    entries = model.graph.inputs
    given = dict(model.quantization or {})
    weights = {f"{name}.{key}": array for key, array in model.node_weights(node).items()}
    quantization = {entry.name: given[entry.name] for entry in entries}
    quantization |= {f"{name}.{key}": given[f"op.{key}"] for key in model.node_weights(node) if f"op.{key}" in given}
    quantization[name] = given["op"]
    nodes = []
    inputs = entries
    if len(entries) > 1:
        sizes = [prod(entry.shape) for entry in entries]
        inputs = (Input("all", (sum(sizes),)),)
        quantization["all"] = first = given[entries[0].name]
        for index, (entry, size) in enumerate(zip(entries, sizes, strict=True)):
            cut, own = f"{name}_cut{index}", given[entry.name]
            weights[f"{cut}.weight"] = np.eye(size, sum(sizes), sum(sizes[:index]), dtype=np.int8)
            quantization[f"{cut}.weight"] = Quantization.of(float(own.scale / first.scale))
            quantization[cut] = own
            nodes.append(Node(cut, Dense(features=size, bias=False), ("all",)))
            nodes.append(Node(entry.name, Reshape(target=entry.shape), (cut,)))
    graph = Graph(name, inputs, (*nodes, Node(name, node.op, node.inputs)), (name,))
    return Model(graph, weights, quantization)


@dataclass(frozen=True)
class Batch:
    """A C project of several models, each of one input. Its runs return model → int8 (samples, outputs).

    inputs: model → int8 (samples, …). target: what the kernels are chosen for. written_bytes: model → bytes of its
    arena up to the last one that is written: all but what kernels only read, behind what they wrote, to multiply it by
    zero (`Call.only_read_bytes`). A run raises AssertionError unless that is what was written. Layer by layer nothing
    is said: buffers take whole words.
    """

    folder: Path
    board: Device
    target: Target
    models: Mapping[str, Model]
    inputs: Mapping[str, np.ndarray]
    arena_bytes: Mapping[str, int]
    written_bytes: Mapping[str, int]

    @classmethod
    def write(
        cls,
        folder: Path,
        models: Mapping[str, Model],
        inputs: Mapping[str, np.ndarray],
        core: str = "cortex-m4",
        target: Target | None = None,
        contract: str = "",
        grain: str = "row",
        shared: bool = False,
    ) -> Batch:
        """target: if none is given, what `core` can do.

        contract: how a streamed input is given; without it, models are executed layer by layer. grain: in what it is
        streamed: `row`, `pixel`, or `either`, whichever needs less.
        """
        board = device(core, flash_bytes=8 * MEBIBYTE, ram_bytes=MEBIBYTE)
        target = target or target_of(board)
        write_firmware(folder, board, "batch")
        arenas, written = {}, {}
        for name, model in models.items():
            (folder / name).mkdir()
            planned = _planned(model, target, contract, grain)
            emit(model, planned, board, folder / name)
            arenas[name] = planned.arena_bytes
            if isinstance(planned, StreamPlan):
                written[name] = _written(model, planned)
        batch = cls(folder, board, target, models, inputs, arenas, written)
        (folder / "model.h").write_text(batch._header())
        (folder / "model.c").write_text((SHARED if shared else "") + batch._source())
        return batch

    def on_host(self, compiler: str = "", optimize: str = "", processor: str = "native") -> dict[str, np.ndarray]:
        """By default, kernels for this computer are compiled by zig, as they are shipped, and those of other processors
        by gcc, where it is installed, in half the time.
        """
        quick = ("gcc", "-O1") if self.target.instructions != "host" and HAS_GCC else ("zig", "-O2")
        return self.checked(self.run_on_host(compiler or quick[0], optimize or quick[1], processor))

    def run_on_host(self, compiler: str, optimize: str, processor: str = "native") -> np.ndarray:
        """int8 (samples, `sizes`)."""
        path = build_host(self.folder, "batch", compiler, optimize, processor=processor)
        return HostLibrary(path, "batch", *self.sizes()).run(self.all_inputs())

    def emulated(self, compiler: str = "zig", optimize: str = "-O2") -> dict[str, np.ndarray]:
        known = compiled_for(self.board) in MODELS
        board = self.board if known else machine_device(compiled_for(self.board))
        firmware = build(self.folder, board, compiler, optimize)
        symbols = {name: f"batch_layer_{name}" for name in self.models}
        run = emulate if known else run_machine
        seen = run(firmware, board, "batch", self.all_inputs(), symbols, self.sizes()[1])
        return self.checked(seen.outputs)

    def _input_bytes(self, name: str) -> int:
        return prod(self.models[name].graph.inputs[0].shape)

    def _output_bytes(self, name: str) -> int:
        graph = self.models[name].graph
        return prod(graph.shapes[graph.outputs[0]])

    def sizes(self) -> tuple[int, int]:
        """Bytes of all inputs, and of all outputs, each with what was used of its arena behind it."""
        outputs = sum(map(self._output_bytes, self.models)) + USED_BYTES * len(self.models)
        return sum(map(self._input_bytes, self.models)), outputs

    def all_inputs(self) -> np.ndarray:
        return np.concatenate([self.inputs[name].reshape(len(self.inputs[name]), -1) for name in self.models], axis=1)

    def checked(self, outputs: np.ndarray) -> dict[str, np.ndarray]:
        """Model → its outputs."""
        used = self.used(outputs)
        for name, planned in self.written_bytes.items():
            assert used[name] == planned, f"{name}: {used[name]} bytes are written, {planned} planned"
        return self.split(outputs)

    def split(self, outputs: np.ndarray) -> dict[str, np.ndarray]:
        """Model → its outputs, of a run's (samples, `sizes`)."""
        return {name: found[:, :-USED_BYTES] for name, found in self._parts(outputs)}

    def used(self, outputs: np.ndarray) -> dict[str, int]:
        """Model → bytes of its arena up to the last one that was written."""
        return {name: int(found[:, -USED_BYTES:].copy().view("<i4").max()) for name, found in self._parts(outputs)}

    def _parts(self, outputs: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
        ends = np.cumsum([self._output_bytes(name) + USED_BYTES for name in self.models])
        return zip(self.models, np.split(outputs, ends[:-1], axis=1), strict=True)

    def _header(self) -> str:
        input_bytes, output_bytes = self.sizes()
        return f"""#ifndef BATCH_H
#define BATCH_H
#include <stdint.h>
#define BATCH_INPUT_BYTES {input_bytes}
#define BATCH_OUTPUT_BYTES {output_bytes}
extern int8_t batch_arena[BATCH_INPUT_BYTES + BATCH_OUTPUT_BYTES];
int8_t *batch_input(void);
int8_t *batch_output(void);
int batch_run(const int8_t *input, int8_t *output);
#endif
"""

    def _source(self) -> str:
        parts = [BATCH_SOURCE]
        calls, read, written = [], 0, 0
        for name in self.models:
            parts.append(
                f'#include "{name}/model.c"\n#undef INPUT_OFFSET\n#undef OUTPUT_OFFSET\n#undef ACTIONS\n#undef STATE'
            )
            behind = written + self._output_bytes(name)
            parts.append(
                f"static __attribute__((noinline)) int batch_layer_{name}(const int8_t *input, int8_t *output)\n"
                f"{{ return {name}_run(input + {read}, output + {written}); }}"
            )
            calls.append(f"    RUN({name}, {behind});")
            read += self._input_bytes(name)
            written = behind + USED_BYTES
        parts.append("int batch_run(const int8_t *input, int8_t *output)\n{\n    int status = 0;")
        return "\n".join([*parts, *calls, "    return status;\n}\n"])


KINDS: tuple[Instructions, ...] = get_args(Instructions)
"""Kernels for every kind of instructions also compute on this computer."""
CORES = ("cortex-m0plus", "cortex-m4", *(["cortex-m55"] if shutil.which("qemu-system-arm") else []))
"""Those that are emulated."""
Outputs = dict[str, np.ndarray]


@contextmanager
def everywhere(
    make_folder: Callable[[str], Path],
    models: Mapping[str, Model],
    inputs: Mapping[str, np.ndarray],
    by_gcc: Sequence[str] = (),
) -> Iterator[dict[str, Future[Outputs]]]:
    """Core, or kind of instructions on this computer → model → outputs; built and run in two threads.

    by_gcc: cores whose firmware arm-none-eabi-gcc compiles, three times as fast as zig's clang, where it is installed.
    """

    def on_this_computer(kind: Instructions) -> Outputs:
        return Batch.write(make_folder(kind), models, inputs, target=Target(kind)).on_host()

    def emulated(core: str) -> Outputs:
        compiler = "gcc" if core in by_gcc and HAS_ARM_GCC else "zig"
        return Batch.write(make_folder(core), models, inputs, core=core).emulated(compiler)

    with ThreadPoolExecutor(max_workers=2) as pool:
        yield {kind: pool.submit(on_this_computer, kind) for kind in KINDS} | {
            core: pool.submit(emulated, core) for core in CORES
        }
