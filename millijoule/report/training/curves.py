"""Curves over a common horizontal axis, as SVG text. Colours come from the page's style sheet, by class."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, log10

from millijoule.report.page.svg import CHARACTER, caption, draw

WIDTH, HEIGHT = 504, 260
LEFT, RIGHT, TOP, BOTTOM = 62, 14, 30, 42


@dataclass(frozen=True)
class Curve:
    """name: shown beside its last point. css_class: `first`, `second`. points: (x, y), x ascending."""

    name: str
    css_class: str
    points: Sequence[tuple[float, float]]


def chart(
    title: str,
    axis: str,
    curves: Sequence[Curve],
    show: Callable[[float], str] = "{:g}".format,
    within: tuple[float, float] | None = None,
) -> str:
    """Curves with axes; every point has a title that a pointer shows.

    show: a number of the vertical axis as text. within: least and largest number of both axes; default: what the
    points need.
    """
    points = [point for curve in curves for point in curve.points]
    corners = [*points, *([(end, end) for end in within] if within else [])]
    x_low, x_high = min(x for x, _ in corners), max(x for x, _ in corners)
    ticks = nice_ticks(min(y for _, y in corners), max(y for _, y in corners))
    plot = _Plot(x_low, max(x_high, x_low + 1e-9), ticks[0], ticks[-1])
    ends = [f"{each.name} ends at {show(each.points[-1][1])}" for each in curves if each.points]
    label = f"{title}: {'; '.join(ends) or 'no point'}"
    return draw(WIDTH, HEIGHT, label, _parts(title, axis, curves, show, plot, ticks), "curves")


@dataclass(frozen=True)
class _Plot:
    x_low: float
    x_high: float
    y_low: float
    y_high: float

    def at(self, x: float, y: float) -> tuple[float, float]:
        across = (x - self.x_low) / (self.x_high - self.x_low)
        up = (y - self.y_low) / (self.y_high - self.y_low)
        return LEFT + across * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM)


def _parts(
    title: str,
    axis: str,
    curves: Sequence[Curve],
    show: Callable[[float], str],
    plot: _Plot,
    ticks: Sequence[float],
) -> Iterator[str]:
    yield caption(LEFT, 14, title, "strong")
    for tick in ticks:
        _, y = plot.at(plot.x_low, tick)
        yield f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>\n'
        yield caption(LEFT - 6, y + 4, show(tick), "end")
    for x in (plot.x_low, plot.x_high):
        yield caption(plot.at(x, plot.y_low)[0], HEIGHT - BOTTOM + 16, f"{x:g}", "middle")
    yield caption((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, axis, "middle dim")
    for number, curve in enumerate(curves):
        places = [plot.at(x, y) for x, y in curve.points]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        yield f'<polyline points="{line}" class="line {curve.css_class}"/>\n'
        for (x, y), (left, top) in zip(curve.points, places, strict=True):
            name = escape(f"{curve.name}, {axis} {x:g}: {show(y)}")
            yield (
                f'<circle cx="{left:.1f}" cy="{top:.1f}" r="2.2" class="dot {curve.css_class}">'
                f"<title>{name}</title></circle>\n"
            )
        if len(curves) > 1:
            x = WIDTH - RIGHT - CHARACTER * sum(len(each.name) + 4 for each in curves[number:])
            yield f'<rect x="{x:.1f}" y="6" width="9" height="9" class="dot {curve.css_class}"/>\n'
            yield caption(x + 13, 14, curve.name)


def nice_ticks(low: float, high: float) -> list[float]:
    """Four to eight round numbers, evenly spaced, from `low` or below to `high` or above."""
    spread = (high - low) or abs(high) or 1.0
    rough = spread / 5
    size = 10.0 ** floor(log10(rough))
    step = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= rough * (1 - 1e-9))
    first, last = floor(low / step + 1e-9), ceil(high / step - 1e-9)
    return [round(number * step, 12) for number in range(first, max(last, first + 1) + 1)]
