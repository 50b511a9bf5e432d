"""The frontiers of plans that stream, of one or more networks, as one HTML page that needs nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from math import log10
from pathlib import Path
from string import Template
from typing import Any

import millijoule
from millijoule.graph import Graph
from millijoule.plan.streaming import RowBuffer, StreamPlan
from millijoule.report import format as fmt
from millijoule.report.files import read_part
from millijoule.report.page.frame import frame, html_table
from millijoule.report.page.svg import PAGE, caption, draw, rectangle, ticks
from millijoule.report.plan.tables import counted_on, frontier_table
from millijoule.whole_file import write_text

KINDS = {
    "input": "input",
    "value": "rows and maps between layers",
    "output": "output",
    "scratch": "working memory, sums",
}
WORDS = {
    "Stream": "To execute layers in turns, a row or a pixel of each at a time, so that no map between them is stored.",
    "Ring": "Memory for the rows or pixels of a map that are still read; the newest takes the place of the oldest.",
    "Kernel call": "One firing of a step: it computes a row, a pixel, or a whole value where nothing is streamed.",
    "This order needs": "The most bytes in use at one time: no placement of that order of execution needs less.",
}
HEIGHT = 300


@dataclass(frozen=True)
class Frontier:
    """Plans of a network; instructions: of one inference by each one's firmware on `device`, if they were counted."""

    graph: Graph
    plans: Sequence[StreamPlan]
    instructions: Sequence[int] = ()
    device: str = ""

    def to_json(self) -> list[dict[str, Any]]:
        """One object for each plan."""
        found = [each.to_json() for each in self.plans]
        for each, count in zip(found, self.instructions, strict=False):
            each |= {"instructions": count, "instructions_device": self.device}
        return found


def write_plan_page(frontiers: Sequence[Frontier], path: Path) -> None:
    """Write the page of one or more networks to `path`, whole or not at all. Raises OSError if that cannot be done."""
    write_text(path, plan_page(frontiers))


def plan_page(frontiers: Sequence[Frontier]) -> str:
    """The page as text."""
    names = [each.plans[0].model for each in frontiers]
    keys = "".join(f'<span><span class="key {kind}"></span>{text}</span>' for kind, text in KINDS.items())
    parts = [_network(each, keys) for each in frontiers]
    words = "<dl>" + "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in WORDS.items()) + "</dl>"
    main = f"{''.join(parts)}<section>\n<h2>What the words mean</h2>\n{words}\n</section>\n"
    run = "Planned and verified by replay"
    counted = " instructions counted in the emulator." if frontiers[0].instructions else " not run."
    subtitle = f"{run},{counted} Input: {frontiers[0].plans[0].input}."
    title = f"RAM of {', '.join(names)}"
    found = [each.to_json() for each in frontiers]
    return frame("plans", title, subtitle, main, found[0] if len(found) == 1 else dict(zip(names, found, strict=True)))


def _network(frontier: Frontier, keys: str) -> str:
    first, macs = frontier.plans[0], fmt.count(millijoule.cost(frontier.graph).macs)
    against = "instructions" if frontier.instructions else "calls of kernels"
    text = (
        f"Stored layer by layer, its values take {fmt.count(first.stored_bytes)} bytes. Nothing is computed twice, so "
        f"all plans have the same {macs} MACs; what streaming adds are calls of kernels that compute less each time. "
    )
    if frontier.instructions:
        text += counted_on(frontier.device)
    else:
        text += "Calls are counted exactly; instructions are not: --device builds each plan's firmware and counts them."
    arenas = "".join(
        f"<h3>{fmt.count(each.arena_bytes)} bytes</h3>\n<div class=scroll>\n{arena_map(each, frontier.graph)}</div>\n"
        for each in frontier.plans
    )
    columns, rows = frontier_table(frontier.plans, frontier.instructions)
    return Template(read_part("plan/page.html")).substitute(
        title=f"{escape(first.model)}: RAM against {against}",
        calls_text=escape(text),
        curve=curve(frontier),
        table=html_table(columns, rows),
        arena_title=f"{escape(first.model)}: the arena over time",
        arena_text="Each rectangle is memory in use: its width the actions during which it is, its height its bytes.",
        keys=keys,
        arenas=arenas,
    )


def curve(frontier: Frontier) -> str:
    """A point for each plan: instructions or calls of kernels to the right, bytes of RAM upwards, both logarithmic."""
    plans, what = frontier.plans, "instructions" if frontier.instructions else "calls"
    work = frontier.instructions or [len(plan.actions) for plan in plans]
    points = [(x, plan.arena_bytes, plan) for x, plan in zip(work, plans, strict=True)]
    left, width, top = 90.0, 640.0, 16.0
    right_values, sizes = [log10(x) for x, _, _ in points], [log10(y) for _, y, _ in points]

    def place(value: float, values: list[float], length: float) -> float:
        low, high = min(values), max(values)
        return length * ((value - low) / (high - low) if high > low else 0.5)

    def parts() -> Iterator[str]:
        yield rectangle(left, top, width + 120, HEIGHT, "free")
        yield caption(left, top + HEIGHT + 18, f"{what}: {fmt.count(min(work))} to {fmt.count(max(work))}")
        for size in {min(plan.arena_bytes for plan in plans), max(plan.arena_bytes for plan in plans)}:
            y = top + HEIGHT - 24 - place(log10(size), sizes, HEIGHT - 48)
            yield f'<line x1="{left - 4:.1f}" x2="{left + width + 120:.1f}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>\n'
            yield caption(left - 8, y + 4, fmt.count(size), "end")
        for x, y, plan in points:
            right = left + 16 + place(log10(x), right_values, width - 32)
            up = top + HEIGHT - 24 - place(log10(y), sizes, HEIGHT - 48)
            title = f"{fmt.count(y)} bytes, {fmt.count(x)} {what}, {plan.streamed_steps} steps streamed"
            yield rectangle(right - 4, up - 4, 8, 8, "peak", title)
            yield caption(right + 8, up + 4, fmt.count(y))

    return draw(left + width + 124, top + HEIGHT + 26, f"RAM against {what}", parts(), "map")


def arena_map(plan: StreamPlan, graph: Graph) -> str:
    """Addresses upwards, actions to the right; what is nearer than a pixel is drawn as one."""
    left, top = 90.0, 8.0
    width = PAGE - left
    end = max(len(plan.actions), 1)

    def parts() -> Iterator[str]:
        yield rectangle(left, top, width, HEIGHT, "free")
        for address in ticks(plan.arena_bytes):
            y = top + HEIGHT * (1 - address / plan.arena_bytes)
            yield caption(left - 8, y + 4, fmt.count(address), "end")
        for buffer in plan.buffers:
            title = f"{buffer.value}, {buffer.kind}: {buffer.rows} x {fmt.count(buffer.row_bytes)} bytes"
            kind = _kind(buffer, graph)
            for begin, stop, offset, size in _spans(buffer, width / end):
                y = top + HEIGHT * (1 - (buffer.offset + offset + size) / plan.arena_bytes)
                height = max(HEIGHT * size / plan.arena_bytes, 0.5)
                yield rectangle(left + begin, y, stop - begin, height, f"buffer {kind}", title)

    label = f"Arena of {plan.model} over time: {len(plan.buffers)} buffers in {fmt.count(plan.arena_bytes)} bytes"
    return draw(left + width + 2, top + HEIGHT + 8, label, parts(), "map")


def _spans(buffer: RowBuffer, scale: float) -> Iterator[tuple[int, int, int, int]]:
    """(left, right, offset, bytes) in whole pixels: pieces of one place that touch are one."""
    open_spans: dict[tuple[int, int], tuple[int, int]] = {}
    for piece in sorted(buffer.pieces):
        begin, stop = int(piece.first * scale), int((piece.last + 1) * scale) + 1
        place = piece.offset, piece.bytes
        if place in open_spans and begin <= open_spans[place][1] + 1:
            open_spans[place] = open_spans[place][0], max(stop, open_spans[place][1])
            continue
        if place in open_spans:
            yield *open_spans[place], *place
        open_spans[place] = begin, stop
    for place, span in open_spans.items():
        yield *span, *place


def _kind(buffer: RowBuffer, graph: Graph) -> str:
    if buffer.kind in ("sums", "scratch", "state"):
        return "scratch"
    if buffer.value in {input.name for input in graph.inputs}:
        return "input"
    return "output" if buffer.value in graph.outputs else "value"
