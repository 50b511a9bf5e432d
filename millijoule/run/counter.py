"""The counters of native/*.c: compiled once, fed with a firmware's addresses, read after it ran."""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from millijoule.cost.device import Device, memories
from millijoule.errors import ToolError
from millijoule.run.elf import Elf, Symbol
from millijoule.run.toolchain import run_compiler, zig

if TYPE_CHECKING:
    import numpy as np

MEMORIES = ("arena", "slow", "ram", "stack", "flash")
"""slow: the arena in a second memory, where there is one."""
INSTRUCTION_LIMIT = 20_000_000_000
"""For each inference: far above any network that fits a microcontroller; stops a firmware that hangs."""
RUN = "(run)"
"""The layer that stands for what an inference executes outside its layers."""

TOO_MANY_INSTRUCTIONS, ENDLESS_LOOP, STACK_OVERFLOW, UNALIGNED_ACCESS, INTERRUPTED = range(1, 6)
STOPS = {
    TOO_MANY_INSTRUCTIONS: f"more than {INSTRUCTION_LIMIT:,} instructions without a result: it hangs",
    ENDLESS_LOOP: "it ended in an endless loop, as a fault handler does",
    UNALIGNED_ACCESS: "unaligned access",
    STACK_OVERFLOW: "the stack overflowed into static data",
}

_U64, _U32, _I32 = ctypes.c_uint64, ctypes.c_uint32, ctypes.c_int32
ACCESS_FIELDS = ("reads", "writes", "read_bytes", "written_bytes")


class Accesses(ctypes.Structure):
    """Twin of `struct accesses` in native/counter.h."""

    _fields_ = (
        ("start", _U32),
        ("end", _U32),
        ("first", _U32),
        ("last", _U32),
        *((field, _U64) for field in ACCESS_FIELDS),
    )


class Counter(ctypes.Structure):
    """Twin of `struct counter` in native/counter.h."""

    _fields_ = (
        ("instruction_limit", _U64),
        ("sample_capacity", _U64),
        ("calls_per_sample", _U64),
        ("run", _U32),
        ("layers", _I32),
        ("code_start", _U32),
        ("code_bytes", _U32),
        ("executed", _U64),
        ("samples", _U64),
        ("sample_instructions", ctypes.c_void_p),
        ("layer_instructions", ctypes.c_void_p),
        ("flow", ctypes.c_void_p),
        ("left", ctypes.c_void_p),
        ("memories", Accesses * len(MEMORIES)),
        ("attributed", _U64),
        ("sample_start", _U64),
        ("calls", _U64),
        ("run_return", _U32),
        ("layer_return", _U32),
        ("block", _U32),
        ("block_end", _U32),
        ("layer", _I32),
        ("stop", _I32),
        ("running", ctypes.c_bool),
    )


@dataclass(frozen=True)
class Firmware:
    """An ELF file with the addresses that are watched. Raises ToolError if a symbol is missing."""

    elf: Elf
    device: Device
    name: str
    layers: Mapping[str, str]
    """Node → symbol of its function, in order."""
    rows: int = 0
    """How often `<name>_push_row` is called for a sample; 0 where `<name>_run` is called once."""

    @property
    def run_address(self) -> int:
        return self.elf.address(f"{self.name}_{'push_row' if self.rows else 'run'}")

    @property
    def calls_per_sample(self) -> int:
        return self.rows or 1

    @property
    def layer_addresses(self) -> list[int]:
        addresses = [self.elf.address(symbol) for symbol in self.layers.values()]
        if len(set(addresses)) != len(addresses):
            raise ToolError(f"{self.elf.path}: two layers share one function: compile with -fno-ipa-icf")
        return addresses

    @cached_property
    def code(self) -> np.ndarray:
        """What lies in the flash: uint8, from its start."""
        import numpy as np

        flash, _ = memories(self.device)
        parts = [(part.address - flash.origin, np.frombuffer(part.data, np.uint8)) for part in self.elf.segments]
        code = np.zeros(max(at + len(part) for at, part in parts), np.uint8)
        for at, part in parts:
            code[at : at + len(part)] = part
        return code

    @property
    def memories(self) -> list[tuple[int, int]]:
        """(start, end) of MEMORIES. An address counts for the first that holds it."""
        flash, ram = memories(self.device)
        arena = self.elf.symbol(f"{self.name}_arena")
        slow = self.elf.symbols.get(f"{self.name}_slow_arena", Symbol(0, 0, False))
        return [
            (arena.address, arena.address + arena.bytes),
            (slow.address, slow.address + slow.bytes),
            (ram.origin, self.static_end),
            (self.static_end, self.stack_top),
            (flash.origin, flash.origin + flash.bytes),
        ]

    @property
    def accessed(self) -> tuple[str, ...]:
        """Those of MEMORIES that the firmware has."""
        ranges = zip(MEMORIES, self.memories, strict=True)
        return tuple(memory for memory, (start, end) in ranges if memory != "slow" or start < end)

    @property
    def static_end(self) -> int:
        """Where static data end: the stack must not grow below."""
        return self.elf.address("_bss_end")

    @property
    def stack_top(self) -> int:
        return self.elf.address("_stack_top")

    def where(self, program_counter: int, layer: str | None) -> str:
        """For messages: where execution stands."""
        function = self.elf.function_at(program_counter)
        place = f"instruction {program_counter:#010x}" + (f" of {function}" if function else "")
        return f"layer '{layer}', {place}" if layer else place


def native_library(source: str, *flags: str) -> Path:
    """One file of native/, compiled for this computer once and kept in the user's cache. Raises ToolError."""
    compiler = zig()
    folder = files("millijoule") / "run" / "native"
    texts = {entry.name: entry.read_bytes() for entry in folder.iterdir() if entry.name.endswith((".c", ".h"))}
    stamp = hashlib.sha256(f"{version('ziglang')} {sys.platform} {platform.machine()} {source} {flags}".encode())
    for name in sorted(texts):
        stamp.update(texts[name])
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "millijoule"
    library = cache / f"{source.removesuffix('.c')}-{stamp.hexdigest()[:16]}.so"
    if library.exists():
        return library
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ToolError(f"{cache} cannot be made ({error.strerror}): set XDG_CACHE_HOME to a folder that can") from None
    with tempfile.TemporaryDirectory(dir=cache) as temporary:
        for name, text in texts.items():
            (Path(temporary) / name).write_bytes(text)
        command = [*compiler, "-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", *flags]
        failure = run_compiler([*command, source, "-o", "library.so"], Path(temporary))
        if failure is not None:
            raise ToolError(f"the emulator's counter {source} could not be compiled: {failure}")
        os.replace(Path(temporary) / "library.so", library)
    return library
