"""A device as the text of its file."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from millijoule.cost.device import Device


def device_text(device: Device) -> str:
    """What `parse_device` reads as the same device."""
    plain = ("title", "kind", "core", "clock_hz", "regulator", "supply_v", "system")
    lines = [_line(key, value) for key in plain if (value := getattr(device, key)) not in ("", None)]
    if device.slow is not None:
        lines.append(_line("slow", device.slow.name))
    if device.notes:
        lines.append(f"notes = [{', '.join(map(_value, device.notes))}]")
    for name in ("flash", "ram"):
        region = getattr(device, name)
        if region is not None:
            lines += ["", f"[{name}]", *_lines(asdict(region))]
    for region in device.other:
        lines += ["", "[[other]]", *_lines(asdict(region))]
    if device.figures:
        lines += ["", "[figures]", *_lines(device.figures)]
    for reading in device.readings:
        lines += ["", "[[reading]]", *_lines({key: value for key, value in asdict(reading).items() if value})]
    kept = {key: value for key, value in device.sources.items() if key != "system" or device.system}
    return "\n".join([*lines, "", "[sources]", *_lines(kept)]) + "\n"


def _lines(values: dict[str, Any]) -> list[str]:
    return [_line(key, value) for key, value in values.items()]


def _line(key: str, value: Any) -> str:
    return f"{key} = {hex(value) if key == 'origin' else _value(value)}"


def _value(value: Any) -> str:
    """Text and numbers are written in TOML as in JSON."""
    return json.dumps(value, ensure_ascii=False)
