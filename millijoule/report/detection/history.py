"""A run's mean average precision beside the published ones of ten years."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from millijoule.csv_file import package_csv
from millijoule.report.page.svg import CHARACTER, PAGE, caption, draw, rectangle

ROW, TOP = 21, 30


@dataclass(frozen=True)
class Detector:
    """One bar. map: mean average precision at an overlap of 0.5, VOC 2007's, in %. training: of the data set that
    `data` names. own: a run's, not a published one.
    """

    name: str
    year: str
    data: str
    training: str
    map: float
    source: str
    own: bool = False

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def detectors(name: str, data: str, map_50_11point: float) -> list[Detector]:
    """The published detectors by year, on PASCAL VOC 2007's test images; then a run's own, in 0…1, on those of `data`.

    A mean over other classes and images says how good a run is, not that it is better or worse than they are.
    """
    rows = package_csv("survey", "voc.csv", ("year", "detector", "training", "map", "source"))
    published = [
        Detector(row["detector"], row["year"], "VOC 2007", row["training"], float(row["map"]), row["source"])
        for row in rows
    ]
    return [*published, Detector(name, "", data, "", 100 * map_50_11point, "measured here", own=True)]


def history_chart(rows: list[Detector]) -> str:
    """The bars as SVG; the sources show where the pointer is."""
    names = [each.name if each.own else f"{each.name} ({each.year}, trained on VOC {each.training})" for each in rows]
    left = CHARACTER * max(map(len, names)) + 12
    label = "Mean average precision: " + "; ".join(
        f"{name} {each.map:.1f} %" for name, each in zip(names, rows, strict=True)
    )
    return draw(PAGE, TOP + ROW * len(rows), label, _bars(rows, names, left), "history")


def _bars(rows: list[Detector], names: list[str], left: float) -> Iterator[str]:
    yield caption(0, 14, "Mean average precision at an overlap of 0.5, eleven points, % of the test images", "strong")
    across = (PAGE - left - 60) / 100
    for number, (name, each) in enumerate(zip(names, rows, strict=True)):
        y = TOP + number * ROW
        yield caption(left - 6, y + 13, name, "end")
        title = f"{name}: {each.map:.1f} % on {each.data}. {each.source}"
        yield rectangle(left, y + 2, across * each.map, ROW - 6, "measured" if each.own else "computed", title)
        yield caption(
            left + across * each.map + 6, y + 13, f"{each.map:.1f} %" + (f" on {each.data}" if each.own else "")
        )
