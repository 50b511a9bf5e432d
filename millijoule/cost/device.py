"""Devices: boards, chips and computers, read from devices/<name>.toml."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from millijoule.errors import DeviceError
from millijoule.target import SCALAR, Target

# What each core's firmware is compiled for: M85 firmware for the M55, whose instructions both have and emulators know.
COMPILED_FOR = {
    "cortex-m0plus": "cortex-m0plus",
    "cortex-m3": "cortex-m3",
    "cortex-m4": "cortex-m4",
    "cortex-m7": "cortex-m7",
    "cortex-m33": "cortex-m33",
    "cortex-m55": "cortex-m55",
    "cortex-m85": "cortex-m55",
}

TARGETS = {
    "cortex-m0plus": Target("armv6m"),
    "cortex-m3": SCALAR,
    "cortex-m4": Target("dsp"),
    "cortex-m7": Target("dsp"),
    "cortex-m33": Target("dsp"),
    "cortex-m55": Target("mve"),
}
"""What kernels are chosen for, of each core that firmware is compiled for."""

REQUIRED = {"mcu": ("title", "core", "clock_hz", "flash", "ram", "sources"), "host": ("title", "sources")}
OPTIONAL = ("kind", "other", "notes")
SOURCED = ("clock_hz", "flash", "ram", "other")
"""Keys that hold figures of a device: each needs a source."""


@dataclass(frozen=True)
class Region:
    """A range of a device's memory."""

    name: str
    origin: int
    bytes: int


@dataclass(frozen=True)
class Device:
    """A device. Every figure carries its unit in its key and its source in `sources` under the same key.

    kind: `mcu` (a microcontroller: flash, RAM, emulated firmware) or `host` (this computer).
    core: `cortex-m4` …; empty for the host. clock_hz: the highest; None for the host.
    flash, ram: where code with constants, and where data with the stack, are linked; None for the host.
    other: further memories of the chip, for information. notes: what has to be known to use it.
    """

    name: str
    title: str
    kind: str
    core: str
    clock_hz: int | None
    flash: Region | None
    ram: Region | None
    other: tuple[Region, ...]
    sources: dict[str, str]
    notes: tuple[str, ...] = ()


def compiled_for(device: Device) -> str:
    """The core that firmware for `device` is compiled and emulated for. DeviceError if the core is not known."""
    if device.core not in COMPILED_FOR:
        raise DeviceError(f"device '{device.name}' has core '{device.core}'; known are {', '.join(COMPILED_FOR)}")
    return COMPILED_FOR[device.core]


def target_of(device: Device) -> Target:
    """What kernels are chosen for. DeviceError if the core is not known."""
    return Target("host") if device.kind == "host" else TARGETS[compiled_for(device)]


def machine_flags(device: Device) -> dict[str, str]:
    """Compiler (`zig`, `gcc`) → the flags by which it knows the core. Raises DeviceError if the core is not known."""
    core = compiled_for(device)
    clang = f"-mcpu={core.replace('-', '_')}"
    if TARGETS[core].instructions == "mve":
        # Integer vectors without a floating-point unit: clang leaves them out with it, gcc has them only with this ABI.
        return {"zig": f"{clang}+mve", "gcc": f"-mcpu={core}+nofp -mfloat-abi=hard"}
    if TARGETS[core].instructions == "dsp":
        clang += "+dsp"  # an option of Cortex-M33, which clang leaves out unless told
    return {"zig": clang, "gcc": f"-mcpu={core} -mfloat-abi=soft"}


def memories(device: Device) -> tuple[Region, Region]:
    """(flash, RAM) of a microcontroller. DeviceError for the host, which has none of its own."""
    if device.flash is None or device.ram is None:
        raise DeviceError(f"device '{device.name}' has no flash and RAM of its own: firmware cannot be built for it")
    return device.flash, device.ram


def load_device(name: str) -> Device:
    """The device of devices/<name>.toml, or of a file of that form if `name` ends in `.toml`.

    Raises DeviceError, with the nearest names, if there is none; DeviceError that names the key if the file is wrong.
    """
    if name.endswith(".toml"):
        try:
            return parse_device(Path(name).stem, Path(name).read_text())
        except OSError as error:
            raise DeviceError(f"device file '{name}' cannot be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise DeviceError(f"device file '{name}' is not a text file") from None
    known = _known()
    if name not in known:
        near = get_close_matches(name, known, n=2, cutoff=0.7)
        hint = f"did you mean {' or '.join(near)}? " if near else ""
        raise DeviceError(f"device '{name}' is not known; {hint}There are: {', '.join(known)}")
    return parse_device(name, (_folder() / f"{name}.toml").read_text())


def list_devices() -> tuple[Device, ...]:
    """Every device that is known, by name."""
    return tuple(load_device(name) for name in _known())


def parse_device(name: str, text: str) -> Device:
    """A device from the text of its file. Raises DeviceError that names what is wrong."""
    try:
        values = tomllib.loads(text)
        kind = values.get("kind")
        if kind not in REQUIRED:
            raise ValueError(f"kind is {kind!r}; it must be one of {', '.join(REQUIRED)}")
        _check_keys(values, REQUIRED[kind])
        device = Device(
            name=name,
            title=values["title"],
            kind=kind,
            core=values.get("core", ""),
            clock_hz=values.get("clock_hz"),
            flash=_region("flash", values.get("flash")),
            ram=_region("ram", values.get("ram")),
            other=tuple(_region("other", region) for region in values.get("other", ())),
            sources=values["sources"],
            notes=tuple(values.get("notes", ())),
        )
        if kind == "mcu" and not _is_size(device.clock_hz):
            raise ValueError(f"clock_hz is {device.clock_hz!r}; it must be a whole number of Hz, 1 or more")
    except (tomllib.TOMLDecodeError, ValueError) as error:
        raise DeviceError(f"device '{name}': {error}") from None
    if kind == "mcu":
        compiled_for(device)
    return device


def _check_keys(values: dict[str, Any], required: tuple[str, ...]) -> None:
    for key in required:
        if key not in values:
            raise ValueError(f"'{key}' is missing; state it, with its source under [sources]")
    for key in values:
        if key not in (*required, *OPTIONAL):
            raise ValueError(f"'{key}' is not a key of a device file; known are {', '.join((*required, *OPTIONAL))}")
    for key in SOURCED:
        if key in values and not values["sources"].get(key):
            raise ValueError(f"'{key}' has no source; add one under [sources]")


def _region(key: str, found: Any) -> Any:
    """A Region; None for a key that is not there."""
    if found is None:
        return None
    if not (isinstance(found, dict) and found.keys() == {"name", "origin", "bytes"} and _is_size(found["bytes"])):
        raise ValueError(f"[{key}] needs name, origin and bytes (1 or more); it is {found}")
    return Region(**found)


def _is_size(value: object) -> bool:
    return isinstance(value, int) and value > 0


def _known() -> list[str]:
    return sorted(entry.name.removesuffix(".toml") for entry in _folder().iterdir() if entry.name.endswith(".toml"))


def _folder() -> Traversable:
    return files("millijoule") / "cost" / "devices"
