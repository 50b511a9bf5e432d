"""What is known, devices and networks, and what is installed, for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import RenderableType
from rich.text import Text

from millijoule.cost.device import Device
from millijoule.report import format as fmt
from millijoule.report.layout import Column, make_table
from millijoule.report.lists.networks import NetworkSummary
from millijoule.run.doctor import Check
from millijoule.zoo import Published


def devices(known: Sequence[Device]) -> list[RenderableType]:
    """Those that firmware is built for, and this computer; then those of which only latency or energy is predicted."""
    built_for = [device for device in known if device.kind in ("mcu", "host")]
    predicted = [device for device in known if device not in built_for]
    parts = [_boards(built_for)] if built_for else []
    if predicted:
        # In one column, so that no name is broken: it is to be copied.
        lines = [f"{device.name}\n  {device.title}" for device in predicted]
        parts.append(Text("\n".join(["Only predicted (cost --device):", *lines]), overflow="fold"))
    return parts


def _boards(known: Sequence[Device]) -> RenderableType:
    columns = (
        Column("device", text=True),
        Column("board or chip", text=True),
        Column("core", text=True),
        Column("clock"),
        Column("flash"),
        Column("RAM"),
    )
    rows = [
        (
            device.name,
            device.title,
            fmt.core(device.core),
            fmt.clock(device.clock_hz),
            fmt.memory(device.flash.bytes if device.flash else None),
            fmt.memory(device.ram.bytes if device.ram else None),
        )
        for device in known
    ]
    return make_table(columns, rows)


def zoo(networks: Sequence[NetworkSummary]) -> list[RenderableType]:
    """The networks that are known, at their default arguments, and the parameters and MACs that others state of them.

    Parameters are those that gradient descent sets, as papers count them.
    """
    columns = (
        Column("network", text=True),
        Column("what", text=True),
        Column("year", wide_only=True),
        Column("input", text=True),
        Column("parameters"),
        Column("MACs"),
        Column("published", wide_only=True),
    )
    rows = [
        (
            network.name,
            network.title,
            str(network.year),
            fmt.shape(network.input_shape),
            fmt.count(network.params),
            fmt.count(network.macs),
            _published(network.published),
        )
        for network in networks
    ]
    return [make_table(columns, rows)]


def _published(published: Published | None) -> str:
    numbers = (published.params, published.macs) if published else ()
    return ", ".join(fmt.compact(number) for number in numbers if number is not None)


def doctor(checks: Sequence[Check]) -> list[RenderableType]:
    """What is installed, and the commands that get what is missing."""
    columns = (Column("", text=True), Column("found", text=True), Column("what for", text=True))
    missing = [check for check in checks if not check.found]
    rows = [
        (check.name, check.version if check.found else f"MISSING {check.version}".rstrip(), check.what_for)
        for check in checks
    ]
    hints = [Text("\n".join(f"hint: {check.how_to_get}" for check in missing))] if missing else []
    return [make_table(columns, rows), *hints]
