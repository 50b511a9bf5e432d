"""A training as one page: its curves, settings, versions, and what the network does on the test images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from millijoule.report import format as fmt
from millijoule.report.page.frame import html_table
from millijoule.report.training.curves import Curve, chart
from millijoule.report.training.frame import cards, definitions, training_page
from millijoule.report.training.tables import CLASS_COLUMNS, class_rows, duration
from millijoule.train.evaluation import Evaluation
from millijoule.train.run_folder import Epoch, kept_epoch, read_config, read_metrics
from millijoule.whole_file import write_text

REPORT = "report.html"


@dataclass(frozen=True)
class Tested:
    """What a page tells of the test images.

    cards: (title, number, what to know of it), the most important first. sections: (heading, HTML). value: as JSON.
    """

    cards: Sequence[tuple[str, str, str]]
    sections: Sequence[tuple[str, str]]
    value: dict[str, Any]


def counted(evaluation: Evaluation) -> Tested:
    """Of a classifier."""
    top5 = f"{fmt.percent(evaluation.top5)} among the five best" if evaluation.top5 is not None else ""
    table = html_table(CLASS_COLUMNS, class_rows(evaluation))
    return Tested(
        [("Test accuracy", fmt.percent(evaluation.accuracy), top5)],
        [("Test images, class by class", f'<div class="scroll">{table}</div>')],
        evaluation.to_json(),
    )


def write_run_page(folder: Path, tested: Tested | None = None) -> None:
    """Write the page of the training in `folder`, whole or not at all. tested: on the test images, once done."""
    write_text(folder / REPORT, run_page(read_config(folder), read_metrics(folder), tested))


def run_page(config: dict[str, Any], epochs: Sequence[Epoch], tested: Tested | None) -> str:
    """The page as text."""
    score = config.get("score", "accuracy")
    kept, last = kept_epoch(config, epochs), epochs[-1]
    seconds, cpu_seconds = (sum(getattr(each, name) for each in epochs) for name in ("seconds", "cpu_seconds"))
    glance = [
        (f"Validation {score}", fmt.percent(kept.accuracy), f"after epoch {kept.epoch}, which is kept"),
        ("Epochs", f"{last.epoch:,}", f"{fmt.compact(last.images)} images"),
        ("Time", duration(seconds), f"{duration(cpu_seconds)} of all cores together"),
        ("Speed", f"{last.images / max(seconds, 1e-9):,.0f}", "images per second of the clock, evaluation included"),
    ]
    glance = [*(tested.cards if tested else ()), *glance]
    sections = [
        ("At a glance", cards(glance)),
        ("Epoch by epoch", _curves(epochs, score)),
        *(tested.sections if tested else ()),
        ("Settings", definitions(config.get("settings", {}))),
        ("Where and with what", definitions({**config.get("versions", {}), **config.get("machine", {})})),
    ]
    value = {
        "config": config,
        "epochs": [asdict(each) for each in epochs],
        "evaluation": None if tested is None else tested.value,
    }
    title = f"Training {config['network']} on {config['data']}"
    subtitle = f"recipe {config.get('recipe', 'auto')}"
    return training_page("training", title, subtitle, sections, value)


def _curves(epochs: Sequence[Epoch], score: str) -> str:
    def curve(name: str, css_class: str, field: str) -> Curve:
        return Curve(name, css_class, [(each.epoch, getattr(each, field)) for each in epochs])

    speed = [(each.epoch, each.images / each.epoch / max(each.seconds, 1e-9)) for each in epochs]
    charts = [
        chart("Loss", "epoch", [curve("training", "first", "loss"), curve("validation", "second", "validation_loss")]),
        chart(f"Validation {score}", "epoch", [curve("validation", "second", "accuracy")], fmt.percent),
        chart("Learning rate at the end of the epoch", "epoch", [curve("rate", "first", "learning_rate")]),
        chart("Images per second", "epoch", [Curve("speed", "first", speed)], "{:,.0f}".format),
    ]
    return f'<div class="charts">\n{"".join(charts)}</div>'
