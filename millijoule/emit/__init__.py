"""Model + plan → a standalone C project.

What is written is readable C11 without heap and recursion: `model.c` holds one function for each layer, which calls a
kernel with constant parameters; `weights.h` the numbers; `model.h` the interface; beside them the kernel headers that
are used, `main.c`, the start-up code, a linker script and a Makefile.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib.resources import files
from math import prod
from os.path import normpath
from pathlib import Path

from millijoule.cost.device import Device, machine_flags, slow_memory
from millijoule.emit.boxes import found_bytes
from millijoule.emit.project import Project, layer_symbols
from millijoule.emit.pushed import PushedProject
from millijoule.emit.read import ReadProject
from millijoule.emit.stored import StoredProject
from millijoule.emit.streamed import StreamedProject
from millijoule.emit.text import comment_safe, identifier
from millijoule.model import Model
from millijoule.plan.plan import Plan
from millijoule.plan.streaming import StreamPlan
from millijoule.plan.streaming.network.rows import rows

__all__ = ["detector_bytes", "emit", "identifier", "layer_symbols", "rows_pushed", "written_bytes"]

KERNELS = files("millijoule") / "kernels"


def emit(model: Model, plan: Plan | StreamPlan, device: Device, folder: Path) -> tuple[Path, ...]:
    """Write the C project of an int8 model into an existing, empty `folder`; return the files.

    The kernels are those of the plan's target. They compute the same on every core: portable C stands in where a core
    lacks an instruction. A plan that streams is executed action by action, as it says.

    Raises ModelError for a float model or one with several inputs; DeviceError for a plan with a slow memory
    if a microcontroller has none.
    """
    project = _project(model, plan)
    texts = {
        "model.h": project.header(),
        "model.c": project.source(),
        "weights.h": project.weights(),
        **_kernel_headers(project.headers()),
        **_firmware(project, device),
    }
    for name, text in texts.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    return tuple(folder / name for name in texts)


def written_bytes(model: Model) -> int:
    """What the sample firmware writes of each input: the outputs, and behind them the boxes of a detector."""
    outputs = sum(prod(model.graph.shapes[name]) for name in model.graph.outputs)
    return outputs + (found_bytes(model.boxes) if model.boxes else 0)


def detector_bytes(model: Model, plan: Plan | StreamPlan) -> int:
    """Static memory in which the firmware of a detector looks for boxes; 0 where it is the arena's."""
    detector = _project(model, plan).detector
    return detector.own_bytes if detector else 0


def rows_pushed(model: Model, plan: Plan | StreamPlan) -> int:
    """How many rows `<name>_push_row` takes for an inference; 0 where the input is given as a whole."""
    return (
        rows(model.graph).count[model.graph.inputs[0].name]
        if isinstance(plan, StreamPlan) and plan.input == "push"
        else 0
    )


def _project(model: Model, plan: Plan | StreamPlan) -> Project:
    if isinstance(plan, Plan):
        return StoredProject(model, plan)
    kinds = {"push": PushedProject, "read": ReadProject}
    return kinds.get(plan.input, StreamedProject)(model, plan)


def _slow_memory(device: Device, slow_bytes: int) -> dict[str, str]:
    """What the linker script says of a second memory; nothing where none is used."""
    if not slow_bytes:
        return {"SLOW_MEMORY": "", "SLOW_SECTION": ""}
    slow = slow_memory(device)
    return {
        "SLOW_MEMORY": f"\n    SLOW  (rw)  : ORIGIN = {slow.origin:#010x}, LENGTH = {slow.bytes}",
        # In front of .bss, which would take it.
        "SLOW_SECTION": "    .slow (NOLOAD) : { *(.bss.slow_arena) } > SLOW\n",
    }


def _kernel_headers(used: Iterable[str]) -> dict[str, str]:
    """The used headers and those they include, by name."""
    texts: dict[str, str] = {}
    waiting = list(used)
    while waiting:
        name = waiting.pop()
        if name not in texts:
            texts[name] = (KERNELS / name).read_text()
            included = re.findall(r'#include "([^"]+)"', texts[name])
            waiting += [normpath(Path(name).parent / other) for other in included]
    return texts


def _firmware(project: Project, device: Device) -> dict[str, str]:
    """main.c, start-up code, linker script and Makefile; for the host, only main.c."""
    outputs = project.outputs
    writes = [f"write_bytes(outputs, {end.pointer}, {end.bytes})" for end in outputs.ends]
    values = {
        "NAME": project.name,
        "UPPER": project.upper,
        "TITLE": comment_safe(device.title),
        "OUTPUT": outputs.argument(),
        "ACTS": ", ".join(end.pointer for end in outputs.ends),
        "WRITES": "\n        && ".join(writes),
    }
    names = ["main.c"]
    if device.flash is not None and device.ram is not None:
        names += ["startup.c", "linker.ld", "Makefile"]
        values |= {
            **{f"{compiler.upper()}_MACHINE": flags for compiler, flags in machine_flags(device).items()},
            "FLASH_ORIGIN": f"{device.flash.origin:#010x}",
            "FLASH_BYTES": str(device.flash.bytes),
            "RAM_ORIGIN": f"{device.ram.origin:#010x}",
            "RAM_BYTES": str(device.ram.bytes),
            **_slow_memory(device, project.slow_bytes),
        }
    texts = {name: (KERNELS / "firmware" / name).read_text() for name in names}
    return {name: re.sub(r"@([A-Z_]+)@", lambda match: values[match[1]], text) for name, text in texts.items()}
