"""`predict`: what a model takes images for, or finds in them."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from millijoule.cli.command import Command, add_force, show
from millijoule.cli.trained import add_trained, load_trained
from millijoule.errors import OptionError

if TYPE_CHECKING:
    from millijoule.model import Model


def _options(parser: argparse.ArgumentParser) -> None:
    add_trained(parser)
    parser.add_argument("images", nargs="+", type=Path, metavar="IMAGE", help="image files")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="OUT",
        help="of a detector: where to draw the boxes, a file for one image, or a folder (<image>.boxes.<suffix> in it)",
    )
    add_force(parser)
    parser.add_argument(
        "--threshold",
        type=_score,
        metavar="S",
        help="of a detector: the least score of a box, from 0 to 1 (default: the one that its firmware uses)",
    )


def _run(options: argparse.Namespace) -> None:
    from dataclasses import asdict

    from millijoule.report.training import tables
    from millijoule.train import answer

    model = load_trained(options)
    if model.boxes:
        _find(options, model)
        return
    for option in ("out", "threshold"):
        if getattr(options, option) is not None:
            raise OptionError(f"--{option} is for models that find boxes; '{model.graph.name}' tells classes apart")
    answers = answer(model, options.images)
    show(options, [asdict(each) for each in answers], tables.answers(answers))


def _find(options: argparse.Namespace, model: Model) -> None:
    """Everything is found and drawn before the first file is written, so that an image that is none leaves none."""
    from rich.text import Text

    from millijoule.detect.find import class_names, find_in_file
    from millijoule.report.detection.pictures import drawn, encoded
    from millijoule.report.detection.tables import found_boxes
    from millijoule.whole_file import write_bytes

    classes = class_names(model)
    targets = _targets(options.images, options.out, options.force)
    found, pictures = [], []
    for image, target in zip(options.images, targets, strict=True):
        pixels, boxes = find_in_file(model, image, options.threshold)
        found.append(boxes)
        if target is not None:
            pictures.append((target, encoded(drawn(pixels, boxes, classes), target.suffix)))
    for target, content in pictures:
        target.parent.mkdir(exist_ok=True)
        write_bytes(target, content)
    files = list(map(str, options.images))
    result = [
        {"file": file, "boxes": boxes.to_json(classes), "drawn": str(target) if target else None}
        for file, target, boxes in zip(files, targets, found, strict=True)
    ]
    written = [Text(f"Drawn: {target}", overflow="fold") for target in targets if target]
    show(options, result, [*found_boxes(files, found, classes), *written])


def _targets(images: Sequence[Path], out: Path | None, force: bool) -> list[Path | None]:
    """Where each image is drawn. Raises OptionError before anything is found."""
    from millijoule.report.detection.pictures import FORMATS
    from millijoule.report.files import check_new

    if out is None:
        return [None] * len(images)
    is_folder = out.is_dir() or len(images) > 1 or not out.suffix
    if is_folder and out.exists() and not out.is_dir():
        raise OptionError(f"'{out}' is a file; {len(images)} images need a folder: choose another --out")
    if not out.parent.is_dir():
        raise OptionError(f"'{out.parent}' is no folder: make it, or choose another --out")
    targets = [out / f"{image.stem}.boxes{image.suffix}" for image in images] if is_folder else [out]
    for image, target in zip(images, targets, strict=True):
        if target.suffix.lower() not in FORMATS:
            raise OptionError(f"'{target.name}' is no name of an image: end it with one of {', '.join(FORMATS)}")
        if target.is_dir():
            raise OptionError(f"'{target}' is a folder: choose another --out")
        if target.exists() and target.samefile(image):
            raise OptionError(f"'{target}' is the image itself: choose another --out")
        if target.exists():
            check_new(target, force=force)
    if len(set(targets)) != len(targets):
        twice = next(target.name for target in targets if targets.count(target) > 1)
        raise OptionError(
            f"two images would be drawn as '{twice}': give them one after the other, with their own --out"
        )
    return list(targets)


def _score(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"'{text}' is no score from 0 to 1")
    return value


PREDICT = Command("predict", "what a model takes images for, or finds in them", _run, _options)
