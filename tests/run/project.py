"""Small C projects, written by hand in the form that emit writes, whose counts and faults are known."""

from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import numpy as np

from millijoule.cost.device import Device, Region, machine_flags, memories
from millijoule.run.emulator import emulate
from millijoule.run.measurement import Measurement
from millijoule.run.toolchain import build

CORES = ("cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33")
INPUT_BYTES, OUTPUT_BYTES, ARENA_BYTES = 8, 4, 64
INPUT_OFFSET, OUTPUT_OFFSET = 0, 8

MODEL_H = """#ifndef TINY_H
#define TINY_H
#include <stdint.h>
#define TINY_INPUT_BYTES 8
#define TINY_OUTPUT_BYTES 4
#define TINY_ARENA_BYTES {arena_bytes}
extern int8_t tiny_arena[TINY_ARENA_BYTES];
int8_t *tiny_input(void);
int8_t *tiny_output(void);
int tiny_run(const int8_t *input, int8_t *output);
#endif
"""

MODEL_C = """#include "model.h"
_Alignas(16) int8_t tiny_arena[TINY_ARENA_BYTES];
int8_t *tiny_input(void) {{ return tiny_arena; }}
int8_t *tiny_output(void) {{ return tiny_arena + 8; }}
{before}
{layers}
int tiny_run(const int8_t *input, int8_t *output)
{{
    (void)input;
    (void)output;
{calls}
    return 0;
}}
"""

# Adds the first four inputs to the last four.
ADD = "for (int i = 0; i < 4; i++) tiny_arena[8 + i] = (int8_t)(tiny_arena[i] + tiny_arena[4 + i]);"


def device(core: str = "cortex-m4", flash_bytes: int = 256 * 1024, ram_bytes: int = 64 * 1024) -> Device:
    return Device(
        name=f"test-{core}",
        title=f"test device with {core}",
        kind="mcu",
        core=core,
        clock_hz=1_000_000,
        flash=Region("flash", 0x08000000, flash_bytes),
        ram=Region("SRAM", 0x20000000, ram_bytes),
        other=(),
        sources={},
    )


def assembly(text: str) -> str:
    """A layer of these instructions and no others."""
    return "naked:" + "\\n".join(line.strip() for line in text.strip().splitlines())


def symbols(layers: dict[str, str]) -> dict[str, str]:
    return {node: f"tiny_layer_{index:02}_{node}" for index, node in enumerate(layers)}


def write_project(
    folder: Path, target: Device, layers: dict[str, str], before: str = "", arena_bytes: int = ARENA_BYTES
) -> Path:
    """layers: node → C body, or `assembly(…)`. before: C in front of them."""
    names = symbols(layers)
    functions = []
    for node, body in layers.items():
        if body.startswith("naked:"):
            text = body.removeprefix("naked:")
            functions.append(
                f"static __attribute__((noinline, naked)) void {names[node]}(void)\n"
                f'{{ __asm volatile(".syntax unified\\n{text}"); }}'
            )
        else:
            functions.append(f"static __attribute__((noinline)) void {names[node]}(void)\n{{ {body} }}")
    calls = "\n".join(f"    {name}();" for name in names.values())
    write_firmware(folder, target, "tiny")
    (folder / "model.h").write_text(MODEL_H.format(arena_bytes=arena_bytes))
    (folder / "model.c").write_text(MODEL_C.format(before=before, layers="\n".join(functions), calls=calls))
    return folder


def write_firmware(folder: Path, target: Device, name: str) -> None:
    """What emit writes beside the model: main.c, start-up code, linker script and Makefile."""
    flash, ram = memories(target)
    values = {
        "NAME": name,
        "UPPER": name.upper(),
        "TITLE": target.title,
        "OUTPUT": f"{name}_output()",
        "ACTS": f"{name}_output()",
        "WRITES": f"write_bytes(outputs, {name}_output(), {name.upper()}_OUTPUT_BYTES)",
        **{f"{compiler.upper()}_MACHINE": flags for compiler, flags in machine_flags(target).items()},
        "FLASH_ORIGIN": f"{flash.origin:#010x}",
        "FLASH_BYTES": str(flash.bytes),
        "RAM_ORIGIN": f"{ram.origin:#010x}",
        "RAM_BYTES": str(ram.bytes),
        "SLOW_MEMORY": "",
        "SLOW_SECTION": "",
    }
    folder.mkdir(exist_ok=True)
    for entry in (files("millijoule") / "kernels" / "firmware").iterdir():
        text = entry.read_text()
        for key, value in values.items():
            text = text.replace(f"@{key}@", value)
        (folder / entry.name).write_text(text)


def inputs(count: int = 1) -> np.ndarray:
    return np.arange(count * INPUT_BYTES, dtype=np.int8).reshape(count, INPUT_BYTES)


def expected(samples: np.ndarray) -> np.ndarray:
    """What the layer ADD computes."""
    return samples[:, :4] + samples[:, 4:]


def measure(
    folder: Path,
    layers: dict[str, str],
    target: Device | None = None,
    samples: int = 1,
    compiler: str = "zig",
    run: Callable[..., Measurement] = emulate,
    **more,
) -> Measurement:
    """Write, build and emulate."""
    target = target or device()
    write_project(folder, target, layers, **more)
    firmware = build(folder, target, compiler)
    return run(firmware, target, "tiny", inputs(samples), symbols(layers), OUTPUT_BYTES)
