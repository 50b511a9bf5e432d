"""`diagnose`: why int8 answers worse than float, and what was tried against it."""

from __future__ import annotations

import argparse
from pathlib import Path

from millijoule.cli.command import Command, add_data, add_force, check_files, positive, show
from millijoule.cli.quantize import add_calibration, calibration_images, model_and_data
from millijoule.cli.trained import add_trained
from millijoule.errors import OptionError


def _options(parser: argparse.ArgumentParser) -> None:
    add_trained(parser)
    add_data(parser)
    add_calibration(parser)
    parser.add_argument("--samples", type=positive, metavar="N", help="count N test images (default: 500)")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write everything as one page")
    add_force(parser)


def _run(options: argparse.Namespace) -> None:
    from millijoule.diagnose import diagnose
    from millijoule.diagnose.diagnosis import TESTED
    from millijoule.report.quantization.page import write_diagnosis_page
    from millijoule.report.quantization.tables import diagnosed

    check_files(options, "html")
    model, data = model_and_data(options, "diagnose")
    if data is None:
        raise OptionError("diagnose needs --data: annotated images, whose test images are counted, as voc:FOLDER")
    found = diagnose(
        model,
        data,
        calibration_images(options, model, data) if options.calibrate_on else None,
        calibration=options.calibration,
        ranges=options.ranges,
        samples=options.samples or TESTED,
    )
    if options.html:
        write_diagnosis_page(found, options.html)
    show(options, found.to_json(), diagnosed(found))


DIAGNOSE = Command("diagnose", "why a network answers worse as int8, layer by layer, and what helps", _run, _options)
