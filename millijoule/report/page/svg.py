"""Drawings of the page, as SVG text: the memory map and the bars of the layers.

Colours come from the page's style sheet, by class. Every text is escaped; every shape has a title that a pointer shows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, log2

from millijoule.graph import Graph
from millijoule.plan import Buffer, Plan
from millijoule.report import format as fmt

CHARACTER = 6.3
"""Width of a character of the drawings' 11-pixel font, in pixels, on the safe side."""
LINE = 14
PAGE = 1036
"""Width that a drawing has on a wide screen, in pixels."""


def cut(text: str, characters: int) -> str:
    """At most `characters`, the end replaced by an ellipsis."""
    return text if len(text) <= characters else text[: max(characters - 1, 0)] + "…"


def draw(width: float, height: float, label: str, body: Iterator[str], css_class: str = "") -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="{css_class}" width="{width:g}" height="{height:g}" '
        f'viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(label)}">\n{"".join(body)}</svg>\n'
    )


def caption(x: float, y: float, text: str, css_class: str = "", transform: str = "") -> str:
    attributes = f' class="{css_class}"' if css_class else ""
    attributes += f' transform="{transform}"' if transform else ""
    return f'<text x="{x:.1f}" y="{y:.1f}"{attributes}>{escape(text)}</text>\n'


def rectangle(x: float, y: float, width: float, height: float, css_class: str, title: str = "") -> str:
    content = f"<title>{escape(title)}</title>" if title else ""
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 0):.1f}" height="{max(height, 0):.1f}" '
        f'class="{css_class}">{content}</rect>\n'
    )


# The memory map.


@dataclass(frozen=True)
class _Map:
    """Where steps and addresses lie on the drawing: address 0 at the bottom."""

    plan: Plan
    left: float
    top: float
    height: float
    step_width: float

    def x(self, step: int) -> float:
        return self.left + step * self.step_width

    def y(self, address: int) -> float:
        return self.top + self.height * (1 - address / self.plan.arena_bytes)

    @property
    def right(self) -> float:
        return self.x(len(self.plan.steps))


def memory_map(plan: Plan, graph: Graph) -> str:
    """One rectangle for each buffer: as wide as the steps that hold it, as high as its bytes."""
    steps = [cut(name, 22) for name in plan.steps]
    left = CHARACTER * len(fmt.count(plan.arena_bytes)) + 14
    step_width = min(110.0, max(14.0, (PAGE - left - 2) / len(steps)))
    area = _Map(plan, left, top=14, height=360, step_width=step_width)
    digits = len(str(len(steps)))
    names_height = CHARACTER * (max(map(len, steps)) + digits + 1) + 12
    label = f"Memory map of {plan.model}: {len(plan.buffers)} buffers in {fmt.count(plan.arena_bytes)} bytes"
    return draw(area.right + 2, area.top + area.height + names_height, label, _map_parts(area, graph, steps), "map")


def _map_parts(area: _Map, graph: Graph, steps: Sequence[str]) -> Iterator[str]:
    plan = area.plan
    most = max(plan.live_bytes)
    yield rectangle(area.left, area.top, area.right - area.left, area.height, "free")
    for step, live in enumerate(plan.live_bytes):
        if live == most:
            title = f"{plan.steps[step]}: {fmt.count(live)} bytes live, the most"
            yield rectangle(area.x(step), area.top - 10, area.step_width, 5, "peak", title)
    for address in ticks(plan.arena_bytes):
        y = area.y(address)
        yield f'<line x1="{area.left - 4:.1f}" x2="{area.right:.1f}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>\n'
        yield caption(area.left - 8, y + 4, fmt.count(address), "end")
    for buffer in plan.buffers:
        yield from _buffer(area, buffer, graph)
    bottom = area.top + area.height + 8
    for step, name in enumerate(steps):
        x = area.x(step) + area.step_width / 2 + 4
        yield caption(x, bottom, f"{step} {name}", "end", f"rotate(-90 {x:.1f} {bottom:.1f})")


def ticks(top: int) -> list[int]:
    """0, the top, and round addresses between that keep clear of the top."""
    distance = 2 ** max(0, ceil(log2(top / 6)))
    return [*range(0, top - distance // 4, distance), top]


def _buffer(area: _Map, buffer: Buffer, graph: Graph) -> Iterator[str]:
    x, width = area.x(buffer.first), area.step_width * (buffer.last - buffer.first + 1)
    # What is too small to be seen is drawn as a line.
    height = max(area.height * buffer.bytes / area.plan.arena_bytes, 1.5)
    y = min(area.y(buffer.end), area.top + area.height - height)
    steps = f"step {buffer.first}" if buffer.first == buffer.last else f"steps {buffer.first} to {buffer.last}"
    title = (
        f"{', then '.join(buffer.values)}: {fmt.count(buffer.bytes)} bytes at addresses "
        f"{fmt.count(buffer.offset)} to {fmt.count(buffer.end - 1)}, {steps}"
    )
    yield rectangle(x, y, width, height, f"buffer {kind_of(buffer, graph)}", title)
    yield from _buffer_label(x, y, width, height, buffer)


def _buffer_label(x: float, y: float, width: float, height: float, buffer: Buffer) -> Iterator[str]:
    """Name and bytes where they fit: below each other, in one line, or upright."""
    name, size = buffer.name, fmt.count(buffer.bytes)
    middle_x, middle_y = x + width / 2, y + height / 2 + 4
    both = f"{name} {size}"
    room, room_upright = (width - 8) / CHARACTER, (height - 8) / CHARACTER
    if len(both) <= room and height >= LINE:
        yield caption(middle_x, middle_y, both, "middle")
    elif len(name) <= room and len(size) <= room and height >= 2 * LINE + 2:
        yield caption(middle_x, middle_y - LINE / 2, name, "middle")
        yield caption(middle_x, middle_y + LINE / 2, size, "middle")
    elif len(name) <= room and height >= LINE:
        yield caption(middle_x, middle_y, name, "middle")
    elif width >= LINE and len(name) <= room_upright:
        text = both if len(both) <= room_upright else name
        x, y = middle_x + 4, middle_y - 4
        yield caption(x, y, text, "middle", f"rotate(-90 {x:.1f} {y:.1f})")


def kind_of(buffer: Buffer, graph: Graph) -> str:
    """The class of a buffer: input, output, scratch or value."""
    if buffer.name in {input.name for input in graph.inputs}:
        return "input"
    if buffer.name.endswith(".scratch") and buffer.name not in graph.shapes:
        return "scratch"
    return "output" if set(buffer.values) & set(graph.outputs) else "value"


# The bars.

ROW = 19
HEAD = 40
BAR = 104
PANEL = 212


@dataclass(frozen=True)
class Panel:
    """One figure of every layer. values: None where there is none. whole: what 100 % is. css_class: `computed` or
    `measured`."""

    title: str
    origin: str
    css_class: str
    values: Sequence[int | None]
    whole: int


def layer_bars(names: Sequence[str], panels: Sequence[Panel]) -> str:
    """Small multiples: one row for each layer, one drawing for each panel, the names in front."""
    height = HEAD + ROW * len(names)
    shown = [f"{number} {cut(name, 22)}" for number, name in enumerate(names, start=1)]
    names_width = CHARACTER * max(map(len, [*shown, "layer"])) + 12
    drawings = [draw(names_width, height, "Layers", _names(shown, names, names_width), "names")]
    drawings += [
        draw(PANEL, height, f"{panel.title} of every layer, {panel.origin}", _panel(names, panel), "panel")
        for panel in panels
    ]
    return f'<div class="bars">\n{"".join(drawings)}</div>\n'


def _stripes(rows: int, width: float) -> Iterator[str]:
    for row in range(0, rows, 2):
        yield rectangle(0, HEAD + row * ROW, width, ROW, "stripe")


def _names(shown: Sequence[str], names: Sequence[str], width: float) -> Iterator[str]:
    yield rectangle(0, 0, width, HEAD + ROW * len(names), "paper")
    yield from _stripes(len(names), width)
    yield caption(0, 14, "layer", "strong")
    for row, (text, name) in enumerate(zip(shown, names, strict=True)):
        yield f"<g><title>{escape(name)}</title>{caption(2, HEAD + row * ROW + 13, text)}</g>\n"


def _panel(names: Sequence[str], panel: Panel) -> Iterator[str]:
    yield from _stripes(len(names), PANEL)
    yield caption(8, 14, panel.title, "strong")
    yield caption(8, 29, panel.origin, "dim")
    largest = max((value for value in panel.values if value), default=1)
    yield f'<line x1="8" x2="8" y1="{HEAD}" y2="{HEAD + ROW * len(names)}" class="grid"/>\n'
    for row, (name, value) in enumerate(zip(names, panel.values, strict=True)):
        if not value:
            continue
        y = HEAD + row * ROW
        width = max(BAR * value / largest, 1)
        share = fmt.share(value, panel.whole)
        yield rectangle(8, y + 4, width, ROW - 8, panel.css_class, f"{name}: {fmt.count(value)} ({share})")
        yield (
            f'<text x="{8 + width + 5:.1f}" y="{y + 13}">{fmt.compact(value)} '
            f'<tspan class="dim" dx="4">{escape(share)}</tspan></text>\n'
        )
