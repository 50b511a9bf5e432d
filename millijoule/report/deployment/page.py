"""The report as one HTML page that needs nothing else: no network, no script, no other file."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from string import Template

import millijoule
from millijoule.cost.device import Device
from millijoule.plan.streaming import StreamPlan, stream_picture
from millijoule.report import energy
from millijoule.report import format as fmt
from millijoule.report.deployment.cards import cards, runs_on
from millijoule.report.deployment.result import Deployment
from millijoule.report.files import read_part
from millijoule.report.page.frame import FOOTER, frame
from millijoule.report.page.svg import Panel, kind_of, layer_bars, memory_map
from millijoule.run.counter import RUN
from millijoule.whole_file import write_text

WORDS = {
    "MAC": "One multiply and one add (2 FLOPs). Those on padding are counted, as papers do.",
    "Weights": "The bytes of all constant arrays of a layer: int8 weights, 4 bytes for each bias.",
    "Arena": "The one block of RAM that holds every value between the layers, input and output included.",
    "Live RAM": "The bytes of the arena that are in use while a layer runs. Peak RAM is the largest of them.",
    "Static RAM": "All variables that exist for the whole run: the arena and what start-up code and main need.",
    "Stack": "The deepest stack of the whole firmware, found by painting it before the run.",
    "Flash": "Code, constants and the initial values of variables, with the gaps that alignment leaves.",
    "Instructions": "Executed machine instructions, counted exactly. An instruction is not a cycle: some take several.",
    "Bit for bit": "Every output byte equals that of the integer reference, which follows TFLite's int8 specification.",
    "KB and KiB": "KB = 1000 bytes, KiB = 1024 bytes; k and M in the drawings are 10³ and 10⁶.",
}

KINDS = {"input": "input", "value": "between layers", "output": "output", "scratch": "working memory of a layer"}
MEMORIES = {
    "arena": "arena",
    "slow": "arena in slow memory",
    "ram": "other static data",
    "stack": "stack",
    "flash": "flash (constants)",
}


def write_page(deployment: Deployment, path: Path) -> None:
    """Write the page to `path`, whole or not at all."""
    write_text(path, page(deployment))


def page(deployment: Deployment) -> str:
    """The page as text."""
    graph, plan = deployment.model.graph, deployment.plan
    predicted = energy.notes(deployment.prediction) if deployment.prediction else []
    main = Template(read_part("deployment/page.html")).substitute(
        cards="\n".join(cards(deployment)),
        memory_text=_memory_text(deployment),
        memory_keys=_memory_keys(deployment),
        memory_map=_memory_map(deployment),
        bars_text="The longest bar of a column is its largest layer. Beside each bar: the number, and its share.",
        origin_keys=_origin_keys(deployment),
        layer_bars=_layer_bars(deployment),
        layer_table=_layer_table(deployment),
        accuracy_text=_accuracy_text(deployment),
        accuracy_table=_accuracy_table(deployment),
        detection=_detection(deployment),
        accesses=_accesses(deployment),
        built=_definitions(_built(deployment)),
        words=_definitions(WORDS),
    )
    return frame(
        "deployment",
        f"{graph.name} on {deployment.device.name}",
        _subtitle(deployment),
        main,
        deployment.to_json(),
        heading=f"{graph.name} on {deployment.device.title}",
        verdict=_verdict(deployment),
        notes=(*deployment.notes, *plan.notes, *predicted),
        style=read_part("training/style.css") if deployment.detector else "",
        footer=f"{FOOTER}, and in <code>report.json</code> beside it.",
    )


def _subtitle(deployment: Deployment) -> str:
    device = deployment.device
    parts = ["int8 network as C code"]
    if device.kind == "mcu":
        parts = ["int8 firmware", f"{fmt.core(device.core)} at {fmt.clock(device.clock_hz)}"]
    if deployment.measurement:
        parts.append(f"measured in {deployment.measurement.emulator}")
    return " · ".join(parts)


def _verdict(deployment: Deployment) -> str:
    compared, equal = deployment.outputs_compared, deployment.outputs_equal
    if deployment.bit_exact is None:
        return '<p class="verdict">Built, not run: nothing here was measured while it ran.</p>'
    what = escape(runs_on(deployment))
    if deployment.bit_exact:
        return (
            f'<p class="verdict good">✓ Bit for bit: all {fmt.count(compared)} output bytes of the {what} equal the '
            "reference.</p>"
        )
    return (
        f'<p class="verdict bad">✗ Wrong: {fmt.count(compared - equal)} of {fmt.count(compared)} output bytes of the '
        f"{what} differ from the reference.</p>"
    )


def _memory_map(deployment: Deployment) -> str:
    if isinstance(deployment.plan, StreamPlan):
        return f"<pre>{escape(stream_picture(deployment.plan, 110))}</pre>"
    return memory_map(deployment.plan, deployment.model.graph)


def _memory_text(deployment: Deployment) -> str:
    plan = deployment.plan
    if isinstance(plan, StreamPlan):
        return escape(
            "Planned. Time, in rows computed and copied, goes from left to right; each letter is the buffer that holds "
            "most of its addresses then."
        )
    most = max(plan.live_bytes)
    steps = [name for name, live in zip(plan.steps, plan.live_bytes, strict=True) if live == most]
    others = {1: "", 2: " and one other step"}.get(len(steps), f" and {len(steps) - 1} other steps")
    return escape(
        f"Planned. Each rectangle is a buffer: its width the steps that hold it, its height its bytes. Most is live in "
        f"step {steps[0]}{others}: {fmt.count(most)} bytes."
    )


def _keys(entries: dict[str, str]) -> str:
    return "".join(f'<span><span class="key {kind}"></span>{escape(text)}</span>' for kind, text in entries.items())


def _memory_keys(deployment: Deployment) -> str:
    if isinstance(deployment.plan, StreamPlan):
        return ""
    used = {kind_of(buffer, deployment.model.graph) for buffer in deployment.plan.buffers}
    return _keys({kind: text for kind, text in KINDS.items() if kind in used} | {"peak": "steps in which most is live"})


def _origin_keys(deployment: Deployment) -> str:
    measured = {"measured": "measured"} if deployment.measurement or deployment.samples else {}
    return _keys({"computed": "computed"} | measured)


def _layer_bars(deployment: Deployment) -> str:
    layers, cost = deployment.layers(), deployment.cost
    panels = [
        Panel("MACs", "counted", "computed", [layer["macs"] for layer in layers], cost.macs),
        Panel("Weights", "bytes, counted", "computed", [layer["size_bytes"] for layer in layers], cost.size_bytes),
        Panel(
            "Live RAM",
            "bytes, planned; share of the arena",
            "computed",
            [layer["ram_bytes"] for layer in layers],
            deployment.plan.arena_bytes,
        ),
    ]
    if deployment.measurement:
        values = [layer["instructions"] for layer in layers]
        total = deployment.measurement.instructions[0]
        panels.append(Panel("Instructions", "measured, first sample", "measured", values, total))
    return layer_bars([layer["name"] for layer in layers], panels)


def _row(cells: Sequence[str], text: Sequence[int] = (), number: int | None = None) -> str:
    """A table row; the first cell names it. text: other cells that are flush left. number: in front of the name."""
    name, *rest = cells
    front = f"<i>{number}</i> " if number is not None else ""
    parts = [f'<th scope="row" title="{escape(name)}">{front}{escape(name)}</th>']
    for index, cell in enumerate(rest, start=1):
        css = ' class="text"' if index in text else ""
        parts.append(f"<td{css}>{escape(cell)}</td>")
    return f"<tr>{''.join(parts)}</tr>"


def _table(head: str, rows: Sequence[str], foot: str = "") -> str:
    foot = f"<tfoot>{foot}</tfoot>" if foot else ""
    body = "\n".join(rows)
    return f"<table>\n<thead>{head}</thead>\n<tbody>\n{body}\n</tbody>\n{foot}</table>\n"


def _layer_table(deployment: Deployment) -> str:
    measurement, cost = deployment.measurement, deployment.cost
    total = measurement.instructions[0] if measurement else 0
    columns = ["layer", "operator", "output", "parameters", "MACs", "share", "weights,<br>bytes", "live RAM,<br>bytes"]
    groups = '<th colspan="3"></th><th colspan="4" class="group computed">counted</th>'
    groups += '<th class="group computed">planned</th>'
    if measurement:
        columns += ["instructions", "share", "per MAC"]
        groups += '<th colspan="3" class="group measured">measured, first sample</th>'
    rows = []
    for number, layer in enumerate(deployment.layers(), start=1):
        cells = [
            layer["name"],
            layer["operator"],
            fmt.shape(layer["output_shape"]),
            fmt.count(layer["params"]),
            fmt.count(layer["macs"]),
            fmt.share(layer["macs"], cost.macs),
            fmt.count(layer["size_bytes"]),
            fmt.count(layer["ram_bytes"]),
        ]
        if measurement:
            cells += [
                fmt.count(layer["instructions"]),
                fmt.share(layer["instructions"], total),
                fmt.ratio(layer["instructions"], layer["macs"]),
            ]
        rows.append(_row(cells, text=(1, 2), number=number))
    peak = fmt.count(max(deployment.live_bytes.values()))
    foot = [
        "total; peak RAM",
        "",
        "",
        fmt.count(cost.params),
        fmt.count(cost.macs),
        "",
        fmt.count(cost.size_bytes),
        peak,
    ]
    if measurement:
        around = measurement.layer_instructions.get(RUN, 0)
        rows.append(_row(["around the layers", *[""] * 7, fmt.count(around), fmt.share(around, total), ""]))
        foot += [fmt.count(total), "", fmt.ratio(total, cost.macs)]
    head = "".join(
        f'<th class="text">{name}</th>' if index < 3 else f"<th>{name}</th>" for index, name in enumerate(columns)
    )
    return _table(f"<tr>{groups}</tr>\n<tr>{head}</tr>", rows, _row(foot))


def _accuracy_text(deployment: Deployment) -> str:
    if deployment.bit_exact is None:
        return "Nothing was run, so nothing was compared."
    return escape(
        f"{fmt.count(deployment.samples)} inputs were run through the {runs_on(deployment)} and through the integer "
        f"reference; {fmt.count(deployment.outputs_equal)} of {fmt.count(deployment.outputs_compared)} output bytes "
        "agree."
    )


def _accuracy_table(deployment: Deployment) -> str:
    detector = deployment.detector
    measure, accuracy = ("mAP@0.5", detector.map_50) if detector else ("accuracy (top 1)", deployment.accuracy)
    if all(value is None for value in accuracy.values()):
        given, what = ("annotated images", "mAP") if detector else ("labelled data", "accuracy")
        return f'<p class="dim">No {given} were given, so {what} is not known.</p>'
    rows = [
        _row(["float model", "float32, this computer", fmt.percent(accuracy.get("float"))], text=(1,)),
        _row(["int8 reference", "int8, this computer", fmt.percent(accuracy.get("int8_host"))], text=(1,)),
        _row(
            [runs_on(deployment), f"int8, {deployment.device.title}", fmt.percent(accuracy.get("int8_device"))],
            text=(1,),
        ),
    ]
    head = f'<tr><th class="text">what</th><th class="text">arithmetic and place</th><th>{measure}</th></tr>'
    return _table(head, rows)


def _detection(deployment: Deployment) -> str:
    """What a detector finds in the test images, where there are some."""
    detector = deployment.detector
    if detector is None or detector.findings is None:
        return ""
    from millijoule.report.detection.sections import sections

    return "".join(
        f"<section>\n<h2>{escape(heading)}</h2>\n{body}\n</section>\n" for heading, body in sections(detector.findings)
    )


def _accesses(deployment: Deployment) -> str:
    measurement = deployment.measurement
    if measurement is None:
        return ""
    fields = ("reads", "writes", "read_bytes", "written_bytes")
    accesses = {
        key: measurement.accesses[key] for key in (*MEMORIES, *measurement.accesses) if key in measurement.accesses
    }
    total = sum(sum(fields_of[key] for key in ("read_bytes", "written_bytes")) for fields_of in accesses.values())
    rows = [
        _row(
            [
                MEMORIES.get(memory, memory),
                *(fmt.count(counted[field]) for field in fields),
                fmt.share(counted["read_bytes"] + counted["written_bytes"], total),
            ]
        )
        for memory, counted in accesses.items()
    ]
    foot = _row(["total", *(fmt.count(sum(counted[field] for counted in accesses.values())) for field in fields), ""])
    head = (
        '<tr><th class="text"></th><th colspan="5" class="group measured">measured, first sample</th></tr>'
        '<tr><th class="text">memory</th><th>reads</th><th>writes</th><th>bytes read</th><th>bytes written</th>'
        "<th>share of bytes</th></tr>"
    )
    return (
        "\n<section>\n<h2>Memory accesses</h2>\n<p>Loads and stores that the processor executed. Fetching instructions "
        f'is not among them.</p>\n<div class="scroll">\n{_table(head, rows, foot)}</div>\n</section>\n'
    )


def _definitions(entries: dict[str, str]) -> str:
    items = "\n".join(f"<dt>{escape(term)}</dt><dd>{escape(text)}</dd>" for term, text in entries.items())
    return f"<dl>\n{items}\n</dl>"


def _built(deployment: Deployment) -> dict[str, str]:
    device, build, measurement = deployment.device, deployment.build, deployment.measurement
    entries = {"Model": f"{deployment.model.graph.name}, {len(deployment.model.graph.nodes)} layers, int8"}
    if build:
        entries["Compiler"] = f"{build.compiler}, {build.optimize}"
        entries["Code"] = f"{fmt.count(build.code_bytes)} bytes of code, {fmt.count(build.constant_bytes)} of constants"
    entries["Run by"] = (
        measurement.emulator if measurement else runs_on(deployment) if deployment.samples else "nothing"
    )
    entries["Device"] = f"{device.title} ({device.name})"
    entries |= _sourced(device)
    for note in device.notes:
        entries["Note"] = f"{entries['Note']}; {note}" if "Note" in entries else note
    entries["Folder"] = str(deployment.folder)
    entries["millijoule"] = millijoule.__version__
    return entries


def _sourced(device: Device) -> dict[str, str]:
    """The figures of the device, each with the source that states it."""
    figures = {}
    if device.clock_hz:
        figures["clock_hz"] = ("Clock", fmt.clock(device.clock_hz))
    for key, region in (("flash", device.flash), ("ram", device.ram)):
        if region:
            name = {"flash": "Flash of the device", "ram": "RAM of the device"}[key]
            figures[key] = (name, f"{fmt.count(region.bytes)} bytes ({fmt.memory(region.bytes)}), {region.name}")
    return {
        name: f"{figure}. Source: {device.sources.get(key, 'not stated')}" for key, (name, figure) in figures.items()
    }
