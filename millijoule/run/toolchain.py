"""Compilers: C project → firmware."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from millijoule.cost.device import Device, Region, machine_flags, memories, slow_memory
from millijoule.errors import ToolError
from millijoule.run.elf import Elf
from millijoule.run.fit import check_memories
from millijoule.run.measurement import Build

SOURCES = ("main.c", "model.c", "startup.c")
WARNINGS = ("-std=c11", "-ffp-contract=off", "-Wall", "-Wextra", "-Werror")
ROOMY_BYTES = 256 * 1024 * 1024
"""Memory that any model fits, to learn the size of one that does not fit the device."""


def build(folder: Path, device: Device, compiler: str = "zig", optimize: str = "-O2", sanitize: bool = False) -> Build:
    """Compile and link the C project in `folder` to `firmware.elf`, for the memory and the core of `device`.

    compiler: `zig` (clang from PyPI's ziglang) or `gcc` (arm-none-eabi-gcc). optimize: `-O2`, `-Os`, …
    sanitize: undefined behaviour ends in an undefined instruction, which the emulator reports with its layer.
    Raises ToolError if the compiler is missing or refuses the sources; DoesNotFit, naming the memory and the missing
    bytes, if the firmware with a stack of 2 KiB does not fit the device; DeviceError for the host, or if the firmware
    has a second arena and the device no memory for it.
    """
    flash, ram = memories(device)
    command = [*_compiler(compiler, device, sanitize), optimize]
    script = _with_slow_memory((folder / "linker.ld").read_text(), device)
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        path = Path(temporary) / "firmware.elf"
        failure = _link(command, folder, _with_memory(script, flash, ram), path)
        if failure is not None:
            roomy = (Region(part.name, part.origin, ROOMY_BYTES) for part in (flash, ram))
            if _link(command, folder, _with_memory(script, *roomy), path) is None:
                check_memories(device, *_sizes(Elf.read(path), device))
            raise ToolError(f"{folder.name}: {describe(compiler)} failed: {failure}")
        elf = Elf.read(path)
        flash_bytes, ram_bytes = _sizes(elf, device)
        check_memories(device, flash_bytes, ram_bytes)
        os.replace(path, folder / "firmware.elf")
    return Build(
        elf=str(folder / "firmware.elf"),
        compiler=describe(compiler),
        toolchain=compiler,
        optimize=optimize,
        flash_bytes=flash_bytes,
        ram_bytes=ram_bytes,
        code_bytes=elf.sections.get(".vectors", 0) + elf.sections.get(".text", 0),
        constant_bytes=elf.sections.get(".rodata", 0),
        stack_available_bytes=ram.bytes - ram_bytes,
        slow_bytes=elf.sections.get(".slow", 0),
    )


def describe(compiler: str) -> str:
    """The compiler's name and version."""
    if compiler == "zig":
        zig()
        return f"clang (ziglang {version('ziglang')})"
    gcc = _arm_gcc()
    number = subprocess.run([gcc, "-dumpfullversion"], capture_output=True, text=True, check=True).stdout.strip()
    return f"arm-none-eabi-gcc {number}"


def zig() -> list[str]:
    """The command of the C compiler that PyPI's ziglang brings. Raises ToolError if it is not installed."""
    if find_spec("ziglang") is None:
        raise ToolError("the C compiler of PyPI's ziglang is missing: pip install ziglang")
    return [sys.executable, "-m", "ziglang", "cc"]


def run_compiler(command: Sequence[str], folder: Path) -> str | None:
    """Run a compiler in `folder`: None if it succeeds, else the first error that it names."""
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace")
    if result.returncode == 0:
        return None
    lines = [line.strip() for line in result.stderr.splitlines() if line.strip()]
    # Linkers name what is wrong before a last line that only says that they failed.
    errors = (line for line in lines if re.search(r"error|undefined|overflow|will not fit", line))
    return next(errors, lines[0] if lines else "it said nothing")


def _arm_gcc() -> str:
    gcc = shutil.which("arm-none-eabi-gcc")
    if gcc is None:
        raise ToolError(
            "arm-none-eabi-gcc is not installed: apt-get install gcc-arm-none-eabi libnewlib-arm-none-eabi, "
            "or choose the compiler zig"
        )
    return gcc


def _compiler(compiler: str, device: Device, sanitize: bool) -> list[str]:
    """The command up to the sources. The project's Makefile holds the same flags."""
    sections = ["-ffunction-sections", "-fdata-sections", "-fomit-frame-pointer"]
    if compiler == "zig":
        # -fhosted: without it clang may not replace a 4-byte memcpy by a load. -g1: without it -Os drops all symbols.
        target = ["-target", "thumb-freestanding-eabi", *machine_flags(device)["zig"].split(), "-fhosted", "-g1"]
        checks = ["-fsanitize=undefined", "-fsanitize-trap=undefined"] if sanitize else ["-fno-sanitize=undefined"]
        return [*zig(), *target, *checks, *WARNINGS, *sections]
    if compiler == "gcc":
        # -fno-ipa-icf: layers with equal code must stay functions of their own, or they cannot be told apart.
        machine = machine_flags(device)["gcc"].split()
        target = [*machine, "-mthumb", "-fno-ipa-icf", "-nostartfiles", "-specs=nano.specs"]
        checks = ["-fsanitize=undefined", "-fsanitize-undefined-trap-on-error"] if sanitize else []
        return [_arm_gcc(), *target, *checks, *WARNINGS, *sections]
    raise ToolError(f"compiler '{compiler}' is not known; choose zig or gcc")


def _with_memory(script: str, flash: Region, ram: Region) -> str:
    """A linker script with other memories."""
    for name, region in (("FLASH", flash), ("RAM", ram)):
        script, count = _with_region(script, name, region)
        if count != 1:
            raise ToolError(f"linker.ld needs one line '{name} … : ORIGIN = …, LENGTH = …'; it has {count}")
    return script


def _with_slow_memory(script: str, device: Device) -> str:
    """A linker script whose second memory, if it has one, is the device's."""
    if " > SLOW" not in script:
        return script
    return _with_region(script, "SLOW", slow_memory(device))[0]


def _with_region(script: str, name: str, region: Region) -> tuple[str, int]:
    """A linker script with another memory of this name, and how many lines of it were changed."""
    memory = rf"(?m)^(\s*{name}\b.*?ORIGIN = )\S+(, LENGTH = )\S+$"
    return re.subn(memory, rf"\g<1>{region.origin:#010x}\g<2>{region.bytes}", script)


def _link(command: list[str], folder: Path, script: str, output: Path) -> str | None:
    """Compile and link; None, or the first error."""
    path = output.with_name("linker.ld")
    path.write_text(script)
    link = ("-Wl,--gc-sections", f"-Wl,-T,{path.resolve()}", "-Wl,-e,Reset_Handler", "-o", str(output.resolve()))
    error = run_compiler([*command, *SOURCES, *link], folder)
    if error is not None and "nano.specs" in error:
        return "it comes without its C library: apt-get install libnewlib-arm-none-eabi"
    return error


def _sizes(elf: Elf, device: Device) -> tuple[int, int]:
    """(bytes of flash, bytes of RAM) that are used, from the start of each memory."""
    flash, ram = memories(device)
    flash_end = max(segment.address + len(segment.data) for segment in elf.segments)
    return flash_end - flash.origin, elf.address("_bss_end") - ram.origin
