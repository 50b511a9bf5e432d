"""Tables about training for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from millijoule.report import format as fmt
from millijoule.report.layout import Column, make_table
from millijoule.train.data import Dataset
from millijoule.train.evaluation import Answer, Evaluation
from millijoule.train.history import Result, Xor
from millijoule.train.run_folder import Epoch, kept_epoch

CLASS_COLUMNS = (Column("class", text=True), Column("images"), Column("right"), Column("most taken for", text=True))


def data_set(data: Dataset) -> list[RenderableType]:
    """A set of labelled images before training."""
    found = data.to_json()
    size = fmt.shape((found["height"], found["width"], found["channels"]))
    rows = [(each["name"], fmt.count(each["images"]), fmt.count(each["test_images"])) for each in found["classes"]]
    total = ("all", fmt.count(found["images"]), fmt.count(found["test_images"]))
    columns = (Column("class", text=True), Column("images\ntraining"), Column("images\ntest"))
    return [
        Text(f"{data.name}: images of {size}", style="bold"),
        make_table(columns, [*rows, total], total=True),
        *(Text(f"Note: {note}") for note in data.notes),
    ]


def training(
    config: Mapping[str, Any],
    epochs: Sequence[Epoch],
    folder: Path,
    notes: Sequence[str],
    figures: Mapping[str, str],
) -> list[RenderableType]:
    """The result of `train`. config: of the run. figures: what is told of the network, on the test images above all."""
    kept, score = kept_epoch(config, epochs), config.get("score", "accuracy")
    seconds, cpu_seconds = (sum(getattr(each, name) for each in epochs) for name in ("seconds", "cpu_seconds"))
    rows = [
        *figures.items(),
        (f"validation {score}, epoch {kept.epoch} of {epochs[-1].epoch}", fmt.percent(kept.accuracy)),
        ("images trained on", f"{epochs[-1].images:,}"),
        ("time", duration(seconds)),
        ("time of all cores together", duration(cpu_seconds)),
        ("images per second", f"{epochs[-1].images / max(seconds, 1e-9):,.0f}"),
    ]
    return [
        Text(f"{config['network']} trained on {config['data']}", style="bold"),
        make_table((Column("", text=True), Column("")), rows),
        *(Text(f"Note: {note}") for note in notes),
        Text(f"Run: {folder}", overflow="fold"),
    ]


def counted(evaluated: Evaluation) -> dict[str, str]:
    """What a table of several figures says of a classifier's test images."""
    top5 = {"among the five best": fmt.percent(evaluated.top5)} if evaluated.top5 is not None else {}
    return {"test accuracy": fmt.percent(evaluated.accuracy), **top5}


def evaluation(evaluated: Evaluation) -> list[RenderableType]:
    """The result of `evaluate`."""
    count = len(evaluated.labels)
    top5 = f", {fmt.percent(evaluated.top5)} among the five best" if evaluated.top5 is not None else ""
    mirrored = ", scores averaged with those of mirror images" if evaluated.mirrored else ""
    total = ("all", f"{count:,}", fmt.percent(evaluated.accuracy), "")
    return [
        Text(f"{evaluated.model} on {evaluated.data}: {total[2]} of {count:,} images right{top5}{mirrored}"),
        make_table(CLASS_COLUMNS, [*class_rows(evaluated), total], total=True),
    ]


def class_rows(evaluated: Evaluation) -> list[tuple[str, str, str, str]]:
    """Of each class: name, images, share that was recognised, and what most of the others were taken for."""
    rows = []
    for label, (name, recall) in enumerate(zip(evaluated.classes, evaluated.recalls, strict=False)):
        counts = evaluated.confusion[label].copy()
        total, counts[label] = counts.sum(), 0
        other = int(counts.argmax())
        mistaken = f"{evaluated.classes[other]} ({counts[other]:,})" if counts[other] else ""
        rows.append((name, f"{total:,}", fmt.percent(recall), mistaken))
    return rows


def answers(found: Sequence[Answer]) -> list[RenderableType]:
    """The result of `predict`: each file's best class, and the next ones."""

    def shown(classes: Sequence[tuple[str, float]]) -> str:
        return ", ".join(f"{name} {fmt.percent(score, 1)}" for name, score in classes)

    columns = (Column("file", text=True), Column("class", text=True), Column("score"), Column("then", True, rank=1))
    rows = [
        (each.file, each.classes[0][0], fmt.percent(each.classes[0][1], 1), shown(each.classes[1:3])) for each in found
    ]
    return [make_table(columns, rows)]


def history(data: str, images: int, results: Sequence[Result], tried: Xor) -> list[RenderableType]:
    """The result of `history`, by year."""
    columns = (
        Column("year"),
        Column("method", text=True),
        Column("test error"),
        Column("parameters"),
        Column("MACs"),
        Column("passes"),
        Column("updates"),
        Column("CPU time", rank=1),
    )
    rows = [
        (
            str(each.year),
            each.method,
            fmt.percent(each.error),
            fmt.count(each.params),
            fmt.count(each.macs),
            fmt.count(each.epochs),
            fmt.count(each.updates),
            duration(each.cpu_seconds),
        )
        for each in results
    ]
    return [
        Text(f"{data}: {images:,} test images", style="bold"),
        make_table(columns, rows),
        Text(
            f"Exclusive or: after {tried.passes} passes the perceptron has {tried.perceptron} of 4 right, two layers "
            f"have {tried.two_layer} of 4."
        ),
    ]


def duration(seconds: float) -> str:
    """5025 → 1 h 23 min; 83.4 → 1 min 23 s; 8.31 → 8.3 s."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
