"""The result of `deploy` for the terminal. What was computed and what was measured have columns of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from millijoule.cost.device import Device
from millijoule.report import energy
from millijoule.report import format as fmt
from millijoule.report.deployment.result import NO_BOARD, Deployment
from millijoule.report.layout import Column, make_table
from millijoule.run.counter import RUN


def deployment(deployed: Deployment) -> list[RenderableType]:
    """The result of `deploy`: what was promised and what was seen, then layer by layer."""
    device, graph = deployed.device, deployed.model.graph
    chip = f", {fmt.core(device.core)} at {fmt.clock(device.clock_hz)}" if device.kind == "mcu" else ""
    predicted = energy.notes(deployed.prediction) if deployed.prediction else []
    parts: list[RenderableType] = [
        Text(f"{graph.name} on {device.name}: {device.title}{chip}", style="bold"),
        _verdict(deployed),
        _summary(deployed),
        *_notes((*deployed.notes, *deployed.plan.notes, *predicted)),
        _layers(deployed),
        *([Text("The instructions of layers are those of the first sample.")] if deployed.measurement else []),
        Text(f"Firmware project and report: {deployed.folder}", overflow="fold"),
    ]
    return parts


def _notes(notes: Sequence[str]) -> list[RenderableType]:
    return [Text(f"Note: {note}") for note in notes]


def _summary(deployed: Deployment) -> RenderableType:
    values = deployed.to_json()
    device = deployed.device
    flash = device.flash.bytes if device.flash else None
    ram = device.ram.bytes if device.ram else None
    instructions, macs = values["instructions"], values["macs"]
    where = "host C" if device.kind == "host" else "firmware"
    rows = [
        *_quality_rows(deployed),
        ("flash, bytes", "", fmt.count(values["flash_bytes"]), _of(values["flash_bytes"], flash)),
        ("peak RAM (arena), bytes", fmt.count(values["arena_planned_bytes"]), fmt.count(values["arena_bytes"]), ""),
        *_slow_rows(values, device),
        *_box_memory_rows(deployed),
        ("static RAM, bytes", "", fmt.count(values["ram_bytes"]), _of(values["ram_bytes"], ram)),
        ("stack, bytes", "", fmt.count(values["stack_bytes"]), _of(values["stack_bytes"], ram)),
        ("parameters", fmt.count(values["params"]), "", ""),
        ("MACs", fmt.count(macs), "", ""),
        ("instructions per inference", "", fmt.count(instructions), ""),
        ("instructions per MAC", "", fmt.ratio(instructions, macs) or fmt.NONE, ""),
    ]
    core, estimate = deployed.core_cycles, deployed.cycles_estimate
    if core:
        rows.append(("cycles of the core alone, estimate", fmt.count(core.cycles), "", "" if estimate else NO_BOARD))
    if estimate:
        low, high = fmt.count(estimate.cycles_low), fmt.count(estimate.cycles_high)
        rows.append(("cycles, estimate", fmt.count(estimate.cycles), "", f"{low} to {high}"))
    if deployed.prediction:
        rows += [(f"{name}, predicted", value, "", span) for name, value, span, _ in energy.rows(deployed.prediction)]
    if device.kind == "host":
        rows = [row for row in rows if row[1] or row[2] != fmt.NONE]
    columns = (Column("", text=True), Column("computed"), Column(where), Column("device"))
    return make_table(columns if device.kind == "mcu" else columns[:3], rows)


def _quality_rows(deployed: Deployment) -> list[tuple[str, ...]]:
    """How good the answers are: accuracy, or the mean average precision of boxes."""
    detector = deployed.detector
    measure, values = ("mAP@0.5", detector.map_50) if detector else ("accuracy", deployed.accuracy)
    host, device = (fmt.percent(values.get(f"int8_{where}")) for where in ("host", "device"))
    rows: list[tuple[str, ...]] = [
        (f"{measure}, float", fmt.percent(values.get("float")), "", ""),
        (f"{measure}, int8", host, device, ""),
    ]
    if detector and deployed.outputs_compared:
        rows.append(("boxes", fmt.count(detector.boxes_compared), f"{fmt.count(detector.boxes_equal)} equal", ""))
    return rows


def _box_memory_rows(deployed: Deployment) -> list[tuple[str, ...]]:
    """Static memory of boxes: where they are looked for, and where the sample firmware puts them."""
    if deployed.detector is None:
        return []
    detector = deployed.detector
    where = "" if detector.working_bytes else "in the arena"
    return [
        ("boxes, bytes", fmt.count(detector.found_bytes), "", ""),
        ("looking for boxes, bytes", fmt.count(detector.working_bytes), "", where),
    ]


def _slow_rows(values: dict[str, Any], device: Device) -> list[tuple[str, ...]]:
    """What the summary says of a second memory, where one is planned for."""
    if "slow_arena_planned_bytes" not in values:
        return []
    arena, traffic = (
        (fmt.count(values[f"{name}_planned_bytes"]), fmt.count(values[f"{name}_bytes"]))
        for name in ("slow_arena", "slow_traffic")
    )
    part = _of(values["slow_arena_planned_bytes"], device.slow.bytes if device.slow else None)
    return [("slow memory (arena), bytes", *arena, part), ("traffic with slow memory, bytes", *traffic, "")]


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
    peak = fmt.count(max(deployed.live_bytes.values()))
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
        Column("#"),
        Column("layer", text=True),
        Column("operator", text=True, wide_only=True),
        Column("output", text=True, wide_only=True),
        Column("MACs"),
        Column("share", wide_only=measurement is not None),
        Column("weights,\nbytes"),
        Column("live RAM,\nplanned"),
        Column("instructions,\nmeasured"),
        Column("share"),
        Column("per MAC", wide_only=True),
    ]
    return make_table(columns if measurement else columns[:8], rows, total=True)
