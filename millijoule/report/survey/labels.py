"""Labels of a chart that lie over nothing: placed once, for a chart of a fixed size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import cos, hypot, pi, sin

CHARACTER = 6.7
"""Width of a character of the labels' 12-pixel font, in pixels, on the safe side."""
LINE = 15
GAP = 3


@dataclass(frozen=True)
class Ball:
    """A disc at (x, y) with a radius, in pixels, y downwards, and the text that belongs to it."""

    x: float
    y: float
    radius: float
    text: str


@dataclass(frozen=True)
class Label:
    """The middle of a ball's text, as an offset from the ball's centre. crossed: no place was free."""

    dx: float
    dy: float
    crossed: bool = False


def place_labels(balls: Sequence[Ball], width: float, height: float) -> list[Label]:
    """For each ball, the nearest place where its text meets no other text, no ball, and not the edge.

    Small balls choose first: their texts can only stand beside them. Places: 24 directions at growing distances.
    """
    labels: dict[int, Label] = {}
    boxes: list[tuple[float, float, float, float]] = []
    for index in sorted(range(len(balls)), key=lambda index: balls[index].radius):
        ball = balls[index]
        half_width, half_height = CHARACTER * len(ball.text) / 2 + GAP, LINE / 2 + 1
        best = Label(0.0, -ball.radius - half_height, crossed=True)
        for distance, angle in _places():
            reach_x, reach_y = ball.radius + half_width + distance, ball.radius + half_height + distance
            dx, dy = reach_x * cos(angle), reach_y * sin(angle)
            box = (
                ball.x + dx - half_width,
                ball.y + dy - half_height,
                ball.x + dx + half_width,
                ball.y + dy + half_height,
            )
            inside = box[0] >= 0 and box[1] >= 0 and box[2] <= width and box[3] <= height
            if (
                inside
                and not any(_overlap(box, other) for other in boxes)
                and not any(_on(box, each) for each in balls)
            ):
                best = Label(dx, dy)
                break
        labels[index] = best
        boxes.append(
            (
                ball.x + best.dx - half_width,
                ball.y + best.dy - half_height,
                ball.x + best.dx + half_width,
                ball.y + best.dy + half_height,
            )
        )
    return [labels[index] for index in range(len(balls))]


def _places() -> list[tuple[float, float]]:
    """(distance, angle), the nearest first; to the right, above, below and left before what lies between."""
    order = sorted(range(24), key=lambda step: (step % 6 != 0, step % 3 != 0, step))
    return [(distance, 2 * pi * step / 24) for distance in (0, 6, 14, 24, 36, 50, 66, 84, 104) for step in order]


def _overlap(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _on(box: tuple[float, float, float, float], ball: Ball) -> bool:
    """Whether the box touches the ball."""
    x = min(max(ball.x, box[0]), box[2])
    y = min(max(ball.y, box[1]), box[3])
    return hypot(x - ball.x, y - ball.y) < ball.radius
