"""`data`: what a data set holds, before anything is trained on it."""

from __future__ import annotations

import argparse

from millijoule.cli.command import Command, is_annotated, load_annotated, show
from millijoule.cli.training import load_data


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "data", metavar="DATA", help="labelled images, or images with boxes (voc:, coco:, yolo:), as `train` takes them"
    )
    parser.add_argument("--skip-bad", action="store_true", help="use the rest where some images cannot be read")


def _run(options: argparse.Namespace) -> None:
    from millijoule.report.detection import tables as of_boxes
    from millijoule.report.training import tables

    if is_annotated(options.data):
        from millijoule.detect.data.summary import summarise

        annotated = load_annotated(options.data, options.skip_bad, 0)
        summary = summarise(annotated)
        show(options, summary.to_json(), of_boxes.data_set(summary, annotated.notes))
    else:
        data = load_data(options.data, options.skip_bad, 0)
        show(options, data.to_json(), tables.data_set(data))


DATA = Command("data", "what a data set holds: classes, images, boxes, and what is wrong with it", _run, _options)
