"""Tables for the terminal.

Each function returns what `print_tables` prints: tables as wide as the terminal allows, plain text where there is none.
Columns of numbers never wrap; names give way. What was computed and what was measured have columns of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from rich.box import Box
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from millijoule.cost import Cost
from millijoule.cost.device import Device
from millijoule.plan import Plan, picture
from millijoule.report import format as fmt
from millijoule.report.deployment import Deployment
from millijoule.report.networks import NetworkSummary
from millijoule.run.counter import RUN
from millijoule.run.doctor import Check

RULE = Box("    \n    \n -- \n    \n    \n -- \n    \n    \n", ascii=True)
"""A line of hyphens below the header, and above the totals."""
WIDE = 100
"""Columns from which a table shows everything."""


def print_tables(tables: Sequence[RenderableType], console: Console | None = None) -> None:
    """Print to stdout, a blank line between one and the next; without colour if stdout is no terminal."""
    console = console or Console(markup=False, highlight=False, emoji=False)
    for index, table in enumerate(tables):
        if index:
            console.print()
        console.print(table)


@dataclass(frozen=True)
class _Column:
    """header: may have a second line for unit or origin. text: flush left and cut where there is no room."""

    header: str
    text: bool = False
    wide_only: bool = False


@dataclass(frozen=True)
class _Responsive:
    """What `make(width)` returns for the width there is."""

    make: Callable[[int], RenderableType]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield self.make(options.max_width)


def _table(columns: Sequence[_Column], rows: Sequence[Sequence[str]], total: bool = False) -> RenderableType:
    """total: the last row is a total, below a line."""

    def make(width: int) -> RenderableType:
        shown = [index for index, column in enumerate(columns) if width >= WIDE or not column.wide_only]
        table = Table(box=RULE, show_edge=False, pad_edge=False, padding=(0, 0, 0, 1), show_footer=total)
        for index in shown:
            column = columns[index]
            justify: Literal["left", "right"] = "left" if column.text else "right"
            table.add_column(
                Text(column.header),
                Text(rows[-1][index], style="bold") if total else "",
                justify=justify,
                no_wrap=not column.text,
                overflow="ellipsis",
                header_style="bold",
                min_width=6 if column.text else None,
            )
        for row in rows[:-1] if total else rows:
            table.add_row(*(Text(row[index]) for index in shown))
        return table

    return _Responsive(make)


def deployment(deployed: Deployment) -> list[RenderableType]:
    """The result of `deploy`: what was promised and what was seen, then layer by layer."""
    device, graph = deployed.device, deployed.model.graph
    chip = f", {fmt.core(device.core)} at {fmt.clock(device.clock_hz)}" if device.kind == "mcu" else ""
    parts: list[RenderableType] = [
        Text(f"{graph.name} on {device.name}: {device.title}{chip}", style="bold"),
        _verdict(deployed),
        _summary(deployed),
        *_notes((*deployed.notes, *deployed.plan.notes)),
        _layers(deployed),
        *([Text("The instructions of layers are those of the first sample.")] if deployed.measurement else []),
        Text(f"Firmware project and report: {deployed.folder}", overflow="fold"),
    ]
    return parts


def _notes(notes: Sequence[str]) -> list[RenderableType]:
    return [Text(f"Note: {note}") for note in notes]


def _summary(deployed: Deployment) -> RenderableType:
    values = deployed.to_json()
    accuracy, device = values["accuracy"], deployed.device
    flash = device.flash.bytes if device.flash else None
    ram = device.ram.bytes if device.ram else None
    instructions, macs = values["instructions"], values["macs"]
    where = "host C" if device.kind == "host" else "firmware"
    rows = [
        ("accuracy, float", fmt.percent(accuracy["float"]), "", ""),
        ("accuracy, int8", fmt.percent(accuracy["int8_host"]), fmt.percent(accuracy["int8_device"]), ""),
        ("flash, bytes", "", fmt.count(values["flash_bytes"]), _of(values["flash_bytes"], flash)),
        ("peak RAM (arena), bytes", fmt.count(deployed.plan.arena_bytes), fmt.count(values["arena_bytes"]), ""),
        ("static RAM, bytes", "", fmt.count(values["ram_bytes"]), _of(values["ram_bytes"], ram)),
        ("stack, bytes", "", fmt.count(values["stack_bytes"]), _of(values["stack_bytes"], ram)),
        ("parameters", fmt.count(values["params"]), "", ""),
        ("MACs", fmt.count(macs), "", ""),
        ("instructions per inference", "", fmt.count(instructions), ""),
        ("instructions per MAC", "", fmt.ratio(instructions, macs) or fmt.NONE, ""),
    ]
    if device.kind == "host":
        rows = [row for row in rows if row[1] or row[2] != fmt.NONE]
    columns = (_Column("", text=True), _Column("computed"), _Column(where), _Column("device"))
    return _table(columns if device.kind == "mcu" else columns[:3], rows)


def _verdict(deployed: Deployment) -> Text:
    compared, equal = deployed.outputs_compared, deployed.outputs_equal
    what = "host C" if deployed.device.kind == "host" else "firmware"
    if deployed.bit_exact is None:
        return Text("Not run: nothing was compared with the reference.")
    if deployed.bit_exact:
        agree = f"Bit for bit: all {fmt.count(compared)} output bytes of the {what} equal the reference."
        return Text(agree, style="green")
    differ = f"{fmt.count(compared - equal)} of {fmt.count(compared)} output bytes of the {what}"
    return Text(f"WRONG: {differ} differ from the reference.", style="bold red")


def _of(part: int | None, whole: int | None) -> str:
    """`15.0 % of 524,288`."""
    if part is None or whole is None:
        return ""
    return f"{fmt.percent(part / whole, 1)} of {fmt.count(whole)}"


def _layers(deployed: Deployment) -> RenderableType:
    layers = deployed.layers()
    measurement = deployed.measurement
    macs, size = deployed.cost.macs, deployed.cost.size_bytes
    # Layers were counted in the first sample.
    total = measurement.instructions[0] if measurement else 0
    rows = [
        (
            str(number),
            layer["name"],
            layer["operator"],
            fmt.shape(layer["output_shape"]),
            fmt.count(layer["macs"]),
            fmt.share(layer["macs"], macs),
            fmt.count(layer["size_bytes"]),
            fmt.count(layer["ram_bytes"]),
            fmt.count(layer["instructions"]),
            fmt.share(layer["instructions"], total),
            fmt.ratio(layer["instructions"], layer["macs"]),
        )
        for number, layer in enumerate(layers, start=1)
    ]
    if measurement:
        between = measurement.layer_instructions.get(RUN, 0)
        blank = ("", "", "", "", "", "")
        rows.append(("", "around the layers", *blank, fmt.count(between), fmt.share(between, total), ""))
    peak = fmt.count(max(deployed.plan.live_bytes))
    rows.append(
        (
            "",
            "total, peak RAM",
            "",
            "",
            fmt.count(macs),
            "",
            fmt.count(size),
            peak,
            fmt.count(total),
            "",
            fmt.ratio(total, macs),
        )
    )
    columns = [
        _Column("#"),
        _Column("layer", text=True),
        _Column("operator", text=True, wide_only=True),
        _Column("output", text=True, wide_only=True),
        _Column("MACs"),
        _Column("share", wide_only=measurement is not None),
        _Column("weights,\nbytes"),
        _Column("live RAM,\nplanned"),
        _Column("instructions,\nmeasured"),
        _Column("share"),
        _Column("per MAC", wide_only=True),
    ]
    return _table(columns if measurement else columns[:8], rows, total=True)


def cost(costs: Cost) -> list[RenderableType]:
    """The result of `cost`: totals, then layer by layer."""
    summary = [
        ("parameters", fmt.count(costs.params), f"{fmt.count(costs.trainable_params)} of them trained"),
        ("MACs", fmt.count(costs.macs), "multiply-accumulates; 1 MAC = 2 FLOPs"),
        ("connections", fmt.count(costs.connections), "MACs + bias additions"),
        ("other operations", fmt.count(costs.operations), "comparisons, additions, look-ups"),
        ("weights, bytes", fmt.count(costs.size_bytes), ""),
        ("activations, bytes", fmt.count(costs.activation_bytes), "sum of all values"),
        ("peak RAM, bytes", fmt.count(costs.peak_ram_bytes), f"live at once, in {costs.peak_layer}; nothing in place"),
    ]
    rows = [
        (
            str(number),
            layer.name,
            layer.operator,
            fmt.shape(layer.output_shape),
            fmt.count(layer.params),
            fmt.count(layer.macs),
            fmt.share(layer.macs, costs.macs),
            fmt.count(layer.size_bytes),
            fmt.count(layer.live_bytes),
        )
        for number, layer in enumerate(costs.layers, start=1)
    ]
    peak = fmt.count(costs.peak_ram_bytes)
    totals = (fmt.count(costs.params), fmt.count(costs.macs), "", fmt.count(costs.size_bytes), peak)
    rows.append(("", "total, peak RAM", "", "", *totals))
    columns = (
        _Column("#"),
        _Column("layer", text=True),
        _Column("operator", text=True, wide_only=True),
        _Column("output", text=True),
        _Column("parameters"),
        _Column("MACs"),
        _Column("share"),
        _Column("weights,\nbytes"),
        _Column("live RAM,\nbytes"),
    )
    return [
        Text(costs.name, style="bold"),
        _table((_Column("", text=True), _Column("count"), _Column("", text=True)), summary),
        _table(columns, rows, total=True),
    ]


def plan(planned: Plan) -> list[RenderableType]:
    """The picture of the arena."""
    return [_Responsive(lambda width: Text(picture(planned, width).rstrip("\n"), no_wrap=True))]


def devices(known: Sequence[Device]) -> list[RenderableType]:
    columns = (
        _Column("device", text=True),
        _Column("board or chip", text=True),
        _Column("core", text=True),
        _Column("clock"),
        _Column("flash"),
        _Column("RAM"),
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
    return [_table(columns, rows)]


def zoo(networks: Sequence[NetworkSummary]) -> list[RenderableType]:
    """The networks that are known, at their default arguments, as they are trained."""
    columns = (
        _Column("network", text=True),
        _Column("what", text=True),
        _Column("year", wide_only=True),
        _Column("input", text=True),
        _Column("parameters"),
        _Column("MACs"),
    )
    rows = [
        (
            network.name,
            network.title,
            str(network.year),
            fmt.shape(network.input_shape),
            fmt.count(network.params),
            fmt.count(network.macs),
        )
        for network in networks
    ]
    return [_table(columns, rows)]


def doctor(checks: Sequence[Check]) -> list[RenderableType]:
    """What is installed, and the commands that get what is missing."""
    columns = (_Column("", text=True), _Column("found", text=True), _Column("what for", text=True))
    missing = [check for check in checks if not check.found]
    rows = [
        (check.name, check.version if check.found else f"MISSING {check.version}".rstrip(), check.what_for)
        for check in checks
    ]
    hints = [Text("\n".join(f"hint: {check.how_to_get}" for check in missing))] if missing else []
    return [_table(columns, rows), *hints]
