"""Tables about detectors and their data for the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from math import isnan

from rich.console import RenderableType
from rich.text import Text

from millijoule.boxes import Boxes
from millijoule.detect.data.summary import SetSummary
from millijoule.detect.evaluation import KINDS, BoxError, DetectionEvaluation
from millijoule.report import format as fmt
from millijoule.report.layout import Column, make_table

SET_COLUMNS = (
    Column("class", text=True),
    Column("images\ntraining"),
    Column("boxes\ntraining"),
    Column("boxes\ntest"),
    Column("difficult", rank=2),
    Column("truncated", rank=2),
    Column("median size\n% of image", rank=1),
)
CLASS_COLUMNS = (
    Column("class", text=True),
    Column("boxes"),
    Column("found", rank=2),
    Column("AP@0.5\nVOC 2007"),
    Column("AP@0.5\nVOC 2010"),
    Column("AP\nCOCO"),
    Column("best F1\nat score", rank=1),
    Column("precision", rank=1),
    Column("recall", rank=1),
)
ERROR_COLUMNS = (
    Column("error", text=True),
    Column("boxes"),
    Column("mAP@0.5\nif mended"),
    Column("what it is", text=True, rank=1),
)
COCO_COLUMNS = (Column("COCO", text=True), Column("AP"), Column("recall"))


def data_set(summary: SetSummary, notes: Sequence[str]) -> list[RenderableType]:
    """A set before training."""
    (height, width), often = next(iter(summary.sizes.items()))
    rows = [
        (f"images of {width}x{height}", f"{often:,} of {summary.images + summary.test_images:,}"),
        ("other image sizes", fmt.count(len(summary.sizes) - 1)),
        ("images without objects", fmt.count(summary.empty)),
        ("most objects in one image", fmt.count(summary.most)),
        ("part of the image's side that 19 of 20 boxes exceed", fmt.percent(summary.smallest, 1)),
    ]
    return [
        Text(
            f"{summary.name}: {summary.images:,} images for training, {summary.test_images:,} for testing", style="bold"
        ),
        make_table(SET_COLUMNS, set_rows(summary), total=True),
        make_table((Column("", text=True), Column("")), rows),
        *(Text(f"Note: {note}") for note in notes),
    ]


def set_rows(summary: SetSummary) -> list[tuple[str, ...]]:
    """Of each class, and of all."""
    rows = [
        (
            each.name,
            fmt.count(each.images),
            fmt.count(each.boxes),
            fmt.count(each.test_boxes),
            fmt.count(each.difficult),
            fmt.count(each.truncated),
            f"{100 * each.size[0]:.1f}x{100 * each.size[1]:.1f}" if each.size else fmt.NONE,
        )
        for each in summary.classes
    ]
    sums = [
        sum(getattr(each, name) for each in summary.classes)
        for name in ("boxes", "test_boxes", "difficult", "truncated")
    ]
    return [*rows, ("all", fmt.count(summary.images), *map(fmt.count, sums), "")]


def counted(evaluated: DetectionEvaluation) -> dict[str, str]:
    """What a table of several figures says of the test images."""
    return {
        "test mAP@0.5": percent(evaluated.map_50_area),
        "test mAP@0.5, VOC 2007": percent(evaluated.map_50_11point),
        "test mAP, COCO": percent(evaluated.map_coco),
    }


def evaluation(model: str, data: str, evaluated: DetectionEvaluation) -> list[RenderableType]:
    """The result of `evaluate`."""
    return [
        Text(f"{model} on {data}: mAP@0.5 {percent(evaluated.map_50_area)} of {evaluated.images:,} test images"),
        make_table(CLASS_COLUMNS, class_rows(evaluated), total=True),
        make_table(COCO_COLUMNS, coco_rows(evaluated)),
    ]


def found_boxes(files: Sequence[str], found: Sequence[Boxes], classes: Sequence[str]) -> list[RenderableType]:
    """The result of `predict`: the boxes in each file, best first, in its pixels."""
    rows: list[tuple[str, ...]] = []
    for file, boxes in zip(files, found, strict=True):
        for index, box in enumerate(boxes.to_json(classes)):
            edges = (f"{box[edge]:,.0f}" for edge in ("left", "top", "right", "bottom"))
            rows.append(("" if index else file, box["class"], fmt.percent(box["score"], 1), *edges))
        if not len(boxes):
            rows.append((file, "nothing found", *[""] * 5))
    names = ("score", "left", "top", "right", "bottom")
    return [make_table((Column("file", text=True), Column("class", text=True), *map(Column, names)), rows)]


def class_rows(evaluated: DetectionEvaluation) -> list[tuple[str, ...]]:
    """Of each class, and of all."""
    rows = []
    for each in evaluated.classes:
        best, curve = each.curve.best, each.curve
        point = (fmt.NONE,) * 3
        if best is not None and each.boxes:
            shares = (percent(float(curve.precision[best]), 1), percent(float(curve.recall[best]), 1))
            point = (f"{curve.scores[best]:.2f}", *shares)
        values = map(percent, (each.ap_50_11point, each.ap_50_area, each.ap_coco))
        rows.append((each.name, fmt.count(each.boxes), fmt.count(each.found), *values, *point))
    totals = map(percent, (evaluated.map_50_11point, evaluated.map_50_area, evaluated.map_coco))
    boxes, found = (sum(getattr(each, name) for each in evaluated.classes) for name in ("boxes", "found"))
    return [*rows, ("mean", fmt.count(boxes), fmt.count(found), *totals, "", "", "")]


def coco_rows(evaluated: DetectionEvaluation) -> list[tuple[str, str, str]]:
    """COCO's other numbers: by overlap, by size, by the number of boxes that count."""
    names = {
        "50": "overlap 0.5",
        "75": "overlap 0.75",
        "small": "objects under 32x32 pixels",
        "medium": "objects to 96x96 pixels",
        "large": "larger objects",
        "1": "the best box of each image",
        "10": "the best 10",
        "100": "the best 100",
    }

    def shown(name: str) -> str:
        return percent(evaluated.coco[name]) if name in evaluated.coco else ""

    return [(text, shown(f"ap_{name}"), shown(f"ar_{name}")) for name, text in names.items()]


def error_rows(errors: Sequence[BoxError], cost: Mapping[str, float]) -> list[tuple[str, str, str, str]]:
    """Of each kind of error: how many there are, and the mean average precision that mending them would add."""
    counts = Counter(error.kind for error in errors)
    return [
        (kind, fmt.count(counts[kind]), "" if isnan(cost[kind]) else f"+{100 * cost[kind]:.1f}", meaning)
        for kind, meaning in KINDS.items()
    ]


def percent(value: float, digits: int = 2) -> str:
    return fmt.percent(None if isnan(value) else value, digits)
