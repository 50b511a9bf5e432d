"""The numbers at the top of a deployment's page, a card each."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from millijoule.cost.device import Region
from millijoule.energy.prediction import Prediction
from millijoule.report import energy
from millijoule.report import format as fmt
from millijoule.report.deployment.result import NO_BOARD, Deployment


def cards(deployment: Deployment) -> list[str]:
    """A card for each number that is known, computed or measured."""
    values, device = deployment.to_json(), deployment.device
    build, measurement = deployment.build, deployment.measurement
    plan, detector = deployment.plan, deployment.detector
    title, accuracy = ("mAP@0.5", detector.map_50) if detector else ("Accuracy", values["accuracy"])
    found = []
    ran = accuracy["int8_device"] is not None
    known = accuracy["int8_device"] if ran else accuracy["int8_host"]
    if known is not None:
        where = runs_on(deployment) if ran else "reference"
        float_line = f"float model: {fmt.percent(accuracy['float'])}" if accuracy["float"] is not None else ""
        found.append(_card(title, "measured", fmt.percent(known), "", f"int8, {where}", float_line))
    if detector and deployment.outputs_compared:
        equal, expected = detector.boxes_equal, detector.boxes_compared
        part = fmt.percent(equal / expected, 1) if expected else fmt.NONE
        lines = (f"{fmt.count(equal)} of {fmt.count(expected)}", "equal to the reference's, to the last bit")
        found.append(_card("Boxes", "measured", part, "", *lines))
    size = fmt.count(deployment.cost.size_bytes)
    found.append(_card("MACs", "computed", fmt.count(values["macs"]), "", "counted, per inference"))
    found.append(
        _card("Parameters", "computed", fmt.count(values["params"]), "", f"{size} bytes of weights and biases")
    )
    if measurement:
        spread = _spread(measurement.instructions)
        per_mac = fmt.ratio(values["instructions"], values["macs"]) or fmt.NONE
        found.append(_card("Instructions", "measured", fmt.count(values["instructions"]), "", "per inference", spread))
        found.append(_card("Per MAC", "measured", per_mac, "", "instructions, measured / counted"))
    core, estimate = deployment.core_cycles, deployment.cycles_estimate
    if core:
        compared = "" if estimate else NO_BOARD
        found.append(_card("Core cycles", "computed", fmt.count(core.cycles), "", "no wait states, estimate", compared))
    if estimate:
        between = f"{fmt.count(estimate.cycles_low)} to {fmt.count(estimate.cycles_high)} on boards of this core"
        found.append(_card("Cycles", "computed", fmt.count(estimate.cycles), "", "per inference, estimate", between))
    if deployment.prediction:
        found += _predicted(deployment.prediction)
    bound = fmt.count(plan.lower_bound_bytes)
    quality = "the smallest for this order of layers" if plan.is_optimal else f"no plan is below {bound}"
    if "slow_arena_planned_bytes" in values:
        quality = "in the fast memory"
    found.append(_card("Arena, planned", "computed", fmt.count(values["arena_planned_bytes"]), "bytes", quality))
    if measurement:
        touched = "from its first to its last touched byte"
        found.append(_card("Arena, measured", "measured", fmt.count(values["arena_bytes"]), "bytes", touched))
    found += _slow_cards(deployment)
    if build and device.ram:
        found.append(_memory_card("Static RAM", build.ram_bytes, device.ram))
    if measurement:
        deepest = "the deepest of the whole firmware"
        found.append(_card("Stack", "measured", fmt.count(measurement.stack_bytes), "bytes", deepest))
    if build and device.flash:
        found.append(_memory_card("Flash", build.flash_bytes, device.flash))
    return found


def _card(title: str, origin: str, big: str, unit: str, *lines: str, part: float | None = None) -> str:
    """origin: `computed` or `measured`. part: of a whole that a meter shows."""
    meter = ""
    if part is not None:
        meter = f'<div class="meter"><i style="width:{100 * min(part, 1):.2f}%"></i></div>'
    texts = "".join(f"<p>{escape(line)}</p>" for line in lines if line)
    unit = f" <small>{escape(unit)}</small>" if unit else ""
    return (
        f'<div class="card"><h3><span class="key {origin}"></span>{escape(title)}</h3>'
        f'<div class="big">{escape(big)}{unit}</div>{meter}{texts}</div>'
    )


def _predicted(prediction: Prediction) -> list[str]:
    """A card each for latency and energy, with its range; none for what is refused, of which the notes speak."""
    quantities = (("Latency", "ms", prediction.latency_ms), ("Energy", "mJ", prediction.energy_mj))
    return [
        _card(title, "computed", value, unit, "per inference, predicted", span)
        for title, unit, estimate in quantities
        if estimate
        for value, span, _ in [energy.cells(estimate)]
    ]


def _slow_cards(deployment: Deployment) -> list[str]:
    """What lies in a second memory, and how much goes to and from it, where one is planned for."""
    values, slow = deployment.to_json(), deployment.device.slow
    if "slow_arena_planned_bytes" not in values:
        return []
    planned, traffic = (values[f"slow_{name}_planned_bytes"] for name in ("arena", "traffic"))
    where = f"in {slow.name} of {fmt.count(slow.bytes)} bytes" if slow else ""
    rows = "per inference; a row counts each time that a layer reads it"
    cards = [
        _card("Slow arena, planned", "computed", fmt.count(planned), "bytes", where),
        _card("Slow traffic, planned", "computed", fmt.count(traffic), "bytes", rows),
    ]
    if deployment.measurement:
        touched, moved = fmt.count(values["slow_arena_bytes"]), fmt.count(values["slow_traffic_bytes"])
        first_to_last = "from its first to its last touched byte"
        cards.insert(1, _card("Slow arena, measured", "measured", touched, "bytes", first_to_last))
        cards.append(_card("Slow traffic, measured", "measured", moved, "bytes", "loads and stores, first sample"))
    return cards


def _memory_card(title: str, used: int, region: Region) -> str:
    part = used / region.bytes
    whole = f"{fmt.percent(part, 1)} of {fmt.count(region.bytes)}"
    return _card(title, "measured", fmt.count(used), "bytes", whole, part=part)


def _spread(instructions: Sequence[int]) -> str:
    low, high = min(instructions), max(instructions)
    samples = f"{fmt.count(len(instructions))} samples"
    return f"the same in {samples}" if low == high else f"{fmt.count(low)} to {fmt.count(high)} in {samples}"


def runs_on(deployment: Deployment) -> str:
    """What ran the C code."""
    return "C on this computer" if deployment.device.kind == "host" else "firmware"
