"""The same firmware in qemu-system-arm, where it is installed: a second, independent count."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from millijoule.cost.device import Device, Region, compiled_for, memories
from millijoule.errors import DoesNotFit, ToolError
from millijoule.run.counter import ACCESS_FIELDS, INSTRUCTION_LIMIT, MEMORIES, RUN, STOPS, Firmware, native_library
from millijoule.run.elf import Elf
from millijoule.run.emulator import MODELS
from millijoule.run.measurement import Build, Measurement
from millijoule.run.semihosting import INPUT, OUTPUT
from millijoule.run.thumb import instruction_mix
from millijoule.run.toolchain import build

KIB, MIB = 1024, 1024 * 1024
QUESTION, ANSWER, PROFILE = "question.txt", "answer.txt", "profile.bin"
POLL_SECONDS = 0.05

# Core → QEMU machine, with its memories (start, bytes) as QEMU documents and maps them: for code, data, more data.
MACHINES = {
    "cortex-m0plus": ("microbit", (0x00000000, 256 * KIB), (0x20000000, 16 * KIB), None),
    "cortex-m3": ("mps2-an385", (0x00000000, 4 * MIB), (0x20000000, 4 * MIB), (0x21000000, 16 * MIB)),
    "cortex-m4": ("mps2-an386", (0x00000000, 4 * MIB), (0x20000000, 4 * MIB), (0x21000000, 16 * MIB)),
    "cortex-m7": ("mps2-an500", (0x00000000, 4 * MIB), (0x20000000, 4 * MIB), (0x60000000, 16 * MIB)),
    "cortex-m33": ("mps2-an505", (0x10000000, 4 * MIB), (0x38000000, 4 * MIB), (0x80000000, 16 * MIB)),
    "cortex-m55": ("mps3-an547", (0x60000000, 64 * MIB), (0x21000000, 4 * MIB), (0x64000000, 64 * MIB)),
}

# The memory at 0, where these start, is too small for a large model: it holds a copy of the vectors.
STARTS_AT_ZERO = ("mps3-an547",)
VECTORS_BYTES = 64


def machine_device(core: str) -> Device:
    """The QEMU machine for a core, as a device to build firmware for. Raises ToolError if there is none."""
    if core not in MACHINES:
        raise ToolError(f"there is no QEMU machine for core '{core}'; there are some for {', '.join(MACHINES)}")
    name, (flash, flash_bytes), (ram, ram_bytes), slow = MACHINES[core]
    return Device(
        name=name,
        title=f"QEMU machine {name}",
        kind="mcu",
        core=core,
        clock_hz=None,
        flash=Region("flash", flash, flash_bytes),
        ram=Region("RAM", ram, ram_bytes),
        other=(),
        sources={},
        slow=Region("RAM", *slow) if slow else None,
    )


def emulate_qemu(
    firmware_build: Build,
    device: Device,
    name: str,
    inputs: np.ndarray,
    layers: Mapping[str, str],
    output_bytes: int,
    progress: Callable[[int], None] | None = None,
    rows: int = 0,
) -> Measurement:
    """Run a firmware over `inputs`, int8 (n, …), in qemu-system-arm, and say what was seen.

    QEMU has few boards: the project beside the firmware is built once more, for the memory map of a QEMU machine with
    the core of `device`, or with the core that its firmware is compiled for. Parameters as for `emulator.emulate`; the
    extents of arena and stack are what the first sample's instructions touched.
    Raises ToolError if qemu-system-arm is missing, the model is too large for its machine, or the firmware fails.
    """
    qemu_version(device)
    machine = machine_device(device.core if device.core in MACHINES else compiled_for(device))
    with tempfile.TemporaryDirectory() as temporary:
        project = Path(temporary) / "project"
        shutil.copytree(Path(firmware_build.elf).parent, project)
        try:
            linked = build(project, machine, firmware_build.toolchain, firmware_build.optimize)
        except DoesNotFit as error:
            use_unicorn = "; use unicorn" if compiled_for(device) in MODELS else ""
            raise ToolError(f"QEMU's machine for core {machine.core} is too small: {error}{use_unicorn}") from None
        measured = run_machine(linked, machine, name, inputs, layers, output_bytes, progress, rows)
        return replace(measured, device=device.name)


def qemu_version(device: Device) -> str:
    """Raises ToolError if qemu-system-arm is not installed."""
    if shutil.which("qemu-system-arm") is None:
        other = "use unicorn" if compiled_for(device) in MODELS else "choose the emulator none"
        raise ToolError(f"qemu-system-arm is not installed: apt-get install qemu-system-arm, or {other}")
    result = subprocess.run(["qemu-system-arm", "--version"], capture_output=True, text=True, check=True)
    match = re.search(r"version (\S+)", result.stdout)
    return match[1] if match else "of unknown version"


def run_machine(
    linked: Build,
    machine: Device,
    name: str,
    inputs: np.ndarray,
    layers: Mapping[str, str],
    output_bytes: int,
    progress: Callable[[int], None] | None = None,
    rows: int = 0,
) -> Measurement:
    """Run a firmware that was built for `machine`, a device from `machine_device`. Raises ToolError as above."""
    firmware = Firmware(Elf.read(Path(linked.elf)), machine, name, layers, rows)
    # Watching every access is slow: the first sample is run for it, then all of them without.
    first, _ = _run(firmware, inputs[:1], output_bytes, watch=True, progress=None)
    answer, outputs = _run(firmware, inputs, output_bytes, watch=False, progress=progress)
    touched = dict(zip(MEMORIES, first.touched, strict=True))
    starts = {memory: start for memory, (start, _) in zip(MEMORIES, firmware.memories, strict=True)}
    return Measurement(
        device=machine.name,
        emulator=f"qemu {qemu_version(machine)} ({machine.name})",
        outputs=outputs,
        instructions=answer.instructions,
        layer_instructions=dict(zip([*layers, RUN], answer.layer_instructions, strict=True)),
        arena_bytes=_used(starts["arena"], *touched["arena"]),
        slow_arena_bytes=_used(starts["slow"], *touched["slow"]),
        stack_bytes=max(firmware.stack_top - touched["stack"][0], 0),
        accesses={
            memory: accesses
            for memory, accesses in zip(MEMORIES, first.accesses, strict=True)
            if memory in firmware.accessed
        },
        mix=instruction_mix(firmware.code, *answer.profile),
    )


def _used(start: int, first: int, last: int) -> int:
    return last + 1 - start if last >= first else 0


@dataclass(frozen=True)
class _Answer:
    """What the plugin wrote. layer: its index, -1 outside any. touched: (first, last) address of each memory. profile:
    flow and left, as in native/counter.h."""

    stop: int
    program_counter: int
    layer: int
    samples: int
    instructions: tuple[int, ...]
    layer_instructions: tuple[int, ...]
    accesses: tuple[dict[str, int], ...]
    touched: tuple[tuple[int, int], ...]
    profile: np.ndarray

    @classmethod
    def read(cls, path: Path, capacity: int, layers: int) -> _Answer:
        """In the order of write_answer in native/qemu_counter.c."""
        numbers = iter(map(int, path.read_text().split()))

        def take(count: int) -> tuple[int, ...]:
            return tuple(next(numbers) for _ in range(count))

        stop, program_counter, layer, samples = take(4)
        instructions = take(min(samples, capacity))
        layer_instructions = take(layers + 1)
        rows = [take(len(ACCESS_FIELDS) + 2) for _ in MEMORIES]
        return cls(
            stop,
            program_counter,
            layer,
            samples,
            instructions,
            layer_instructions,
            tuple(dict(zip(ACCESS_FIELDS, row[:-2], strict=True)) for row in rows),
            tuple((row[-2], row[-1]) for row in rows),
            np.fromfile(path.with_name(PROFILE), np.int64).reshape(2, -1),
        )


def _run(
    firmware: Firmware,
    inputs: np.ndarray,
    output_bytes: int,
    watch: bool,
    progress: Callable[[int], None] | None,
) -> tuple[_Answer, np.ndarray]:
    plugin = native_library("qemu_counter.c", "-Wl,-z,undefs")  # QEMU itself defines what it uses
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        np.ascontiguousarray(inputs, np.int8).tofile(folder / INPUT)
        (folder / QUESTION).write_text(_question(firmware, len(inputs), watch))
        command = ["qemu-system-arm", "-machine", firmware.device.name, "-nographic", "-monitor", "none"]
        command += ["-serial", "none", "-semihosting-config", "enable=on,target=native"]
        command += ["-plugin", str(plugin), "-kernel", str(firmware.elf.path.resolve())]
        if firmware.device.name in STARTS_AT_ZERO:
            (folder / "vectors.bin").write_bytes(firmware.elf.segments[0].data[:VECTORS_BYTES])
            command += ["-device", "loader,addr=0,file=vectors.bin,force-raw=on"]
        with (folder / "messages.txt").open("w") as messages:
            process = subprocess.Popen(
                command, cwd=folder, stdin=subprocess.DEVNULL, stdout=messages, stderr=subprocess.STDOUT
            )
            try:
                _wait(process, folder / OUTPUT, output_bytes, progress)
            finally:
                process.kill()
                process.wait()
        lines = (folder / "messages.txt").read_text(errors="replace").strip().splitlines()
        # Boxes that a detector's firmware prints are among them.
        message = next(
            (line for line in lines if "qemu" in line), lines[0] if lines else f"exit code {process.returncode}"
        )
        if not (folder / ANSWER).exists():
            raise ToolError(f"qemu-system-arm -machine {firmware.device.name} failed: {message}")
        answer = _Answer.read(folder / ANSWER, len(inputs), len(firmware.layers))
        if answer.stop in STOPS:
            layer = list(firmware.layers)[answer.layer] if answer.layer >= 0 else None
            where = firmware.where(answer.program_counter, layer)
            raise ToolError(f"the firmware failed in QEMU in {where}: {STOPS[answer.stop]}")
        if answer.samples != len(inputs):
            raise ToolError(f"the firmware ended in QEMU after {answer.samples} of {len(inputs)} samples: {message}")
        return answer, np.fromfile(folder / OUTPUT, np.int8).reshape(len(inputs), output_bytes)


def _question(firmware: Firmware, samples: int, watch: bool) -> str:
    """In the order of read_question in native/qemu_counter.c."""
    addresses = firmware.layer_addresses
    numbers = [INSTRUCTION_LIMIT, samples, firmware.calls_per_sample, firmware.run_address]
    numbers += [memories(firmware.device)[0].origin, firmware.code.size, int(watch), len(addresses), *addresses]
    for start, end in firmware.memories:
        numbers += [start, end]
    return "\n".join(map(str, numbers)) + "\n"


def _wait(
    process: subprocess.Popen[bytes], output: Path, output_bytes: int, progress: Callable[[int], None] | None
) -> None:
    """Until QEMU ends; progress is read from the size of its output."""
    done = 0
    while process.poll() is None:
        time.sleep(POLL_SECONDS)
        found = output.stat().st_size // output_bytes if output.exists() else 0
        if progress and found > done:
            progress(found)
            done = found
