"""Devices: boards, chips and computers, read from devices/<name>.toml."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field, fields
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

REQUIRED = {
    "mcu": ("title", "core", "clock_hz", "flash", "ram", "sources"),
    "host": ("title", "sources"),
    "roofline": ("title", "sources"),
    "hierarchy": ("title", "figures", "sources"),
}
OPTIONAL = ("kind", "other", "slow", "notes", "regulator", "supply_v", "system", "figures", "reading")
SOURCED = ("clock_hz", "flash", "ram", "other", "regulator", "supply_v", "system", "reading")
"""Keys that hold facts about a device: each needs a source, and so does each figure."""
FIGURES = {
    "roofline": (
        *("fp32_flops_per_s", "fp16_flops_per_s", "int8_ops_per_s", "memory_bytes_per_s"),
        *("power_w", "chips", "price_usd"),
    ),
    "hierarchy": (
        *("fp32_mac_pj", "fp16_mac_pj", "int8_mac_pj"),
        *("sram_8kb_pj_per_byte", "sram_32kb_pj_per_byte", "sram_1mb_pj_per_byte"),
        *("dram_low_pj_per_byte", "dram_high_pj_per_byte"),
        *("pe_rows", "pe_columns", "filter_words", "input_words", "psum_words", "input_buffer_bytes"),
    ),
}
"""Kind of device → what its figures may be, with their units."""
REGULATORS = ("ldo", "smps")


@dataclass(frozen=True)
class Region:
    """A range of a device's memory."""

    name: str
    origin: int
    bytes: int


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What someone measured on a device for one network.

    energy_mj: of one inference, empty if only time was read. On a microcontroller `instructions` are those that the
    firmware executes and `dense_weights` the bytes of weights of dense layers; macs and windowed_macs (of convolutions
    over several pixels and all channels) are of a network that is known. On other devices macs, outputs (elements that
    convolutions write), params and layers (with MACs) say which network it was.
    """

    network: str
    latency_ms: float
    energy_mj: float | None = None
    instructions: int = 0
    dense_weights: int = 0
    macs: int = 0
    windowed_macs: int = 0
    outputs: int = 0
    params: int = 0
    layers: int = 0


@dataclass(frozen=True)
class Device:
    """A device. Every figure carries its unit in its key and its source in `sources` under the same key.

    kind: `mcu` (a microcontroller: flash, RAM, emulated firmware), `host` (this computer), `roofline` (a computer that
    is described by what was measured on it, or by its ceilings) or `hierarchy` (energy for each operation and access).
    core: `cortex-m4` …; clock_hz: the highest. flash, ram: where code with constants, and where data with the stack,
    are linked. regulator: what makes the core's voltage, `ldo` (the current is constant) or `smps` (the power is).
    supply_v: the voltage at which power is predicted. All of these are empty or None but for microcontrollers.
    other: further memories of the chip, for information. slow: that of them into which firmware that is planned for two
    memories is linked beside `ram`; None: none. notes: what has to be known to use it.
    system: round and name of a published system that this is. figures: see FIGURES. readings: measured on it.
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
    regulator: str = ""
    supply_v: float | None = None
    system: str = ""
    figures: dict[str, float] = field(default_factory=dict)
    readings: tuple[Reading, ...] = ()
    slow: Region | None = None


def compiled_for(device: Device) -> str:
    """The core that firmware for `device` is compiled and emulated for. DeviceError if there is none that is known."""
    if device.kind != "mcu":
        raise DeviceError(f"device '{device.name}' is no microcontroller: firmware cannot be built for it")
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


def slow_memory(device: Device) -> Region:
    """The second memory of a microcontroller. DeviceError, with devices that have one, if it has none."""
    if device.slow is None:
        others = ", ".join(other.name for other in list_devices() if other.slow)
        raise DeviceError(
            f"device '{device.name}' has no second memory for data: plan for one (leave out --ram), choose one of "
            f"{others}, or name one of [[other]] as 'slow' in a device file of your own"
        )
    return device.slow


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
        raise DeviceError(f"device '{name}' is not known; {hint}known are {', '.join(known)}")
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
        other = tuple(_region("other", region) for region in values.get("other", ()))
        device = Device(
            name=name,
            title=values["title"],
            kind=kind,
            core=values.get("core", ""),
            clock_hz=values.get("clock_hz"),
            flash=_region("flash", values.get("flash")),
            ram=_region("ram", values.get("ram")),
            other=other,
            sources=values["sources"],
            notes=tuple(values.get("notes", ())),
            regulator=values.get("regulator", ""),
            supply_v=values.get("supply_v"),
            system=values.get("system", ""),
            figures=_figures(kind, values),
            readings=tuple(_reading(kind, each) for each in values.get("reading", ())),
            slow=_named(values.get("slow"), other),
        )
        if "supply_v" in values and not (isinstance(device.supply_v, int | float) and device.supply_v > 0):
            raise ValueError(f"supply_v is {device.supply_v!r}; it must be a number of volts above 0")
        if "regulator" in values and device.regulator not in REGULATORS:
            raise ValueError(f"regulator is {device.regulator!r}; it must be one of {', '.join(REGULATORS)}")
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


def _figures(kind: str, values: dict[str, Any]) -> dict[str, float]:
    figures, known = values.get("figures", {}), FIGURES.get(kind, ())
    for key, value in figures.items():
        if key not in known:
            raise ValueError(f"[figures] has '{key}'; a device of kind {kind} may have {', '.join(known) or 'none'}")
        if not isinstance(value, int | float) or not value > 0:
            raise ValueError(f"{key} is {value!r}; it must be a number above 0")
        if not values["sources"].get(key):
            raise ValueError(f"'{key}' has no source; add one under [sources]")
    return figures


def _reading(kind: str, found: dict[str, Any]) -> Reading:
    """Raises ValueError that names what is missing, not known or no number above 0."""
    known = {each.name for each in fields(Reading)}
    for key in ("network", "latency_ms", *(("instructions",) if kind == "mcu" else ("macs", "layers"))):
        if key not in found:
            raise ValueError(f"a [[reading]] has no '{key}'")
    for key, value in found.items():
        if key not in known:
            raise ValueError(f"a [[reading]] has '{key}'; known are {', '.join(sorted(known))}")
        if key != "network" and not (isinstance(value, int | float) and value > 0):
            raise ValueError(f"{key} of a [[reading]] is {value!r}; it must be a number above 0")
    return Reading(**found)


def _region(key: str, found: Any) -> Any:
    """A Region; None for a key that is not there."""
    if found is None:
        return None
    if not (isinstance(found, dict) and found.keys() == {"name", "origin", "bytes"} and _is_size(found["bytes"])):
        raise ValueError(f"[{key}] needs name, origin and bytes (1 or more); it is {found}")
    return Region(**found)


def _named(name: object, other: tuple[Region, ...]) -> Region | None:
    """The region of this name."""
    found = next((region for region in other if region.name == name), None)
    if name is not None and found is None:
        there = ", ".join(f"'{region.name}'" for region in other) or "none"
        raise ValueError(f"slow is {name!r}; it must be the name of one of [[other]]: {there}")
    return found


def _is_size(value: object) -> bool:
    return isinstance(value, int) and value > 0


def _known() -> list[str]:
    return sorted(entry.name.removesuffix(".toml") for entry in _folder().iterdir() if entry.name.endswith(".toml"))


def _folder() -> Traversable:
    return files("millijoule") / "cost" / "devices"
