"""What a network sees, as one page."""

from __future__ import annotations

from html import escape
from pathlib import Path

import numpy as np

from millijoule.report import format as fmt
from millijoule.report.page.frame import html_table
from millijoule.report.training.frame import training_page
from millijoule.report.training.pictures import figure, heat, montage, picture, signed, stretched
from millijoule.report.training.tables import CLASS_COLUMNS, class_rows
from millijoule.train.evaluation import Evaluation
from millijoule.train.look import Look
from millijoule.whole_file import write_text

MOST_FILTERS, MOST_MAPS, MOST_CLASSES = 64, 32, 30
ACROSS = 16
MAP_SIZE = 64
"""Screen pixels of a filter or a map, about."""


def write_look_page(seen: Look, path: Path) -> None:
    """Write the page to `path`, whole or not at all."""
    write_text(path, look_page(seen))


def look_page(seen: Look) -> str:
    """The page as text."""
    evaluation, graph = seen.evaluation, seen.model.graph
    table = f'<div class="scroll">{html_table(CLASS_COLUMNS, class_rows(evaluation))}</div>'
    sections = [
        ("One image", _image(seen)),
        (f"Filters of the first layer, {seen.filters_of}", _filters(seen)),
        ("Maps of the image, layer by layer", _maps(seen)),
        ("Confusion", _confusion(evaluation)),
        ("Class by class", table),
        ("The worst mistakes", _mistakes(seen)),
    ]
    subtitle = (
        f"{fmt.percent(evaluation.accuracy)} of {len(evaluation.labels):,} test images of {evaluation.data} are right"
    )
    return training_page("look", f"What {graph.name} sees", subtitle, sections, evaluation.to_json())


def _scale(side: int, target: int = 160) -> int:
    return max(1, target // side)


def _image(seen: Look) -> str:
    classes = seen.evaluation.classes
    best = np.argsort(-seen.scores, kind="stable")[:3]
    answers = ", ".join(f"{classes[k]} {fmt.percent(float(seen.scores[k]), 1)}" for k in best)
    known = "" if seen.label is None else f" It is labelled {classes[seen.label]}."
    scale = _scale(seen.image.shape[0])
    hidden = heat(seen.hidden, float(seen.scores[seen.answer]))
    size = max(1, seen.image.shape[0] * scale // hidden.shape[0])
    least = float(seen.hidden.min())
    tiles = figure(picture(seen.image, scale, "the image"), escape(seen.name)) + figure(
        picture(hidden, size, "where the answer lies"), "red: hiding this place lowers the score"
    )
    return (
        f"<p>The network answers: {escape(answers)}.{escape(known)} A square is hidden at each place in turn; the "
        f"score of {escape(classes[seen.answer])} then falls to {fmt.percent(least, 1)} at the least.</p>\n"
        f'<div class="tiles">{tiles}</div>'
    )


def _filters(seen: Look) -> str:
    filters = seen.filters[:MOST_FILTERS]
    if filters.shape[3] not in (1, 3):
        filters = filters.transpose(0, 3, 1, 2).reshape(-1, *filters.shape[1:3], 1)[:MOST_FILTERS]
    scale = _scale(filters.shape[1], MAP_SIZE)
    sheet = montage(signed(filters), ACROSS)
    return (
        f"<p>{len(filters)} of {len(seen.filters)}: grey is 0, white and black are each filter's largest weight.</p>\n"
        f'<div class="scroll">{picture(sheet, scale, "filters")}</div>'
    )


def _maps(seen: Look) -> str:
    parts = []
    for name, maps in seen.maps.items():
        height, width, channels = maps.shape
        shown = stretched(maps[:, :, :MOST_MAPS])
        sheet = montage(shown, max(1, 1024 // (max(width, 1) * _scale(height, MAP_SIZE))))
        some = f", the first {MOST_MAPS}" if channels > MOST_MAPS else ""
        operator = type(seen.model.graph.by_name[name].op).__name__
        heading = f"{name}: {operator}, {height}x{width}x{channels}{some}"
        image = picture(sheet, _scale(height, MAP_SIZE), f"maps of {name}")
        parts.append(f'<h3>{escape(heading)}</h3>\n<div class="scroll">{image}</div>')
    if not parts:
        return "<p>No layer of this network makes maps.</p>"
    return "<p>Black is each map's least number, white its largest.</p>\n" + "\n".join(parts)


def _confusion(evaluation: Evaluation) -> str:
    """The matrix, each cell shaded by its share of the row; of many classes, a list of the most frequent mistakes."""
    counts, classes = evaluation.confusion, evaluation.classes
    if len(classes) > MOST_CLASSES:
        wrong = counts - np.diag(np.diag(counts))
        worst = [divmod(int(index), len(classes)) for index in np.argsort(-wrong, axis=None)[:MOST_CLASSES]]
        lines = "".join(
            f"<li>{escape(classes[a])} for {escape(classes[b])}: {wrong[a, b]:,}</li>" for a, b in worst if wrong[a, b]
        )
        return f"<p>The most frequent mistakes: a class taken for another.</p>\n<ul>{lines}</ul>"
    head = "".join(f"<th>{escape(name)}</th>" for name in classes)
    rows = []
    for name, row in zip(classes, counts, strict=True):
        cells = "".join(
            f'<td style="background: rgb(79 143 201 / {count / max(row.sum(), 1):.2f})">{count or ""}</td>'
            for count in row
        )
        rows.append(f"<tr><th>{escape(name)}</th>{cells}</tr>")
    return (
        "<p>Rows are the labels, columns what the network answered.</p>\n"
        f'<div class="scroll"><table class="confusion"><thead><tr><th></th>{head}</tr></thead>\n'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _mistakes(seen: Look) -> str:
    if not len(seen.mistakes):
        return "<p>There is none: every test image is right.</p>"
    evaluation = seen.evaluation
    tiles = []
    for index, image in zip(evaluation.worst(len(seen.mistakes)), seen.mistakes, strict=True):
        label, answer = evaluation.labels[index], evaluation.answers[index]
        caption = (
            f"#{index}: {escape(evaluation.classes[label])}, answered {escape(evaluation.classes[answer])} "
            f"({fmt.percent(float(evaluation.scores[index, answer]), 1)})"
        )
        tiles.append(figure(picture(image, _scale(image.shape[0], 96), "a test image"), caption))
    return (
        "<p>Test images whose label has the lowest score, their numbers and the answers' scores.</p>\n"
        f'<div class="tiles">{"".join(tiles)}</div>'
    )
