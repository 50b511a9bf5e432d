"""What was built, and what was measured when it ran."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Build:
    """A linked firmware. Sizes from the ELF file, in bytes.

    compiler: name and version, for the reader. flash_bytes: code, constants and the initial values of data, with the
    gaps that alignment leaves. ram_bytes: all static data, the arena included, the stack not. stack_available_bytes:
    the RAM that remains. slow_bytes: the arena in a second memory. toolchain (`zig` or `gcc`) and optimize (`-O2` …):
    what `build` was asked for.
    """

    elf: str
    compiler: str
    flash_bytes: int
    ram_bytes: int
    code_bytes: int
    constant_bytes: int
    stack_available_bytes: int
    toolchain: str = "zig"
    optimize: str = "-O2"
    slow_bytes: int = 0


@dataclass(frozen=True, eq=False)
class Measurement:
    """What an emulator saw of a firmware that ran over a set of inputs.

    emulator: name and version. outputs: int8, (samples, output bytes). instructions: executed by `<name>_run` from
    entry to return, exact, of each sample; an instruction that an IT block skips counts, as it takes its cycle.
    layer_instructions: of the first sample, by node, what the layer calls included; `(run)` is what is left: their sum
    is instructions[0]. arena_bytes: from the arena's first byte to the highest that was touched; slow_arena_bytes: of
    the arena in a second memory. stack_bytes: deepest stack of the whole firmware. accesses: of the first sample, by
    memory ('arena', 'slow': the arena in a second memory, if there is one, 'ram': other static data, 'stack', 'flash':
    constants): {'reads', 'writes', 'read_bytes', 'written_bytes'}. mix: kinds of executed instructions, of the first
    sample (run/thumb.py).
    """

    device: str
    emulator: str
    outputs: np.ndarray
    instructions: tuple[int, ...]
    layer_instructions: dict[str, int]
    arena_bytes: int
    stack_bytes: int
    accesses: dict[str, dict[str, int]]
    slow_arena_bytes: int = 0
    mix: dict[str, int] = field(default_factory=dict)
