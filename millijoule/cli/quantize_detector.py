"""`quantize` and `diagnose` of a model that finds boxes.

Annotated images are counted; any photos will do for its ranges.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from millijoule.cli.command import is_annotated, load_annotated
from millijoule.errors import ModelError, OptionError

if TYPE_CHECKING:
    from millijoule.detect.data import DetectionSet
    from millijoule.model import Model
    from millijoule.quantize import Images


def annotated(options: argparse.Namespace, model: Model, command: str) -> DetectionSet | None:
    """The images of --data, with the model's classes; None without --data."""
    if model.is_int8:
        raise ModelError(f"model '{model.graph.name}' is int8 already: give the float model")
    if options.data is None:
        if options.calibrate_on is None:
            raise OptionError(
                f"{command} needs images to measure ranges on: --data voc:FOLDER, or --calibrate-on with a folder of "
                "photos"
            )
        return None
    if not is_annotated(options.data):
        raise OptionError(f"model '{model.graph.name}' finds boxes: give annotated images, as --data voc:FOLDER")
    return load_annotated(options.data, options.skip_bad, options.seed, model.labels)


def calibration_pixels(options: argparse.Namespace, model: Model) -> Images:
    """What --calibrate-on names, to measure ranges on."""
    from millijoule.detect.find import training_images
    from millijoule.quantize import Images, load_images

    source, count = options.calibrate_on, options.calibration
    if is_annotated(source):
        return training_images(model, load_annotated(source, options.skip_bad, 0), count)
    if files := _photos(Path(source)):
        from millijoule.detect.find import coding_of
        from millijoule.train.data import spread
        from millijoule.train.images import read_image

        size = coding_of(model).size
        chosen = spread(count, len(files))
        pixels = [np.broadcast_to(read_image(files[index], size), (*size, 3)) for index in chosen]
        return Images(np.stack(pixels), None, Path(source).name).take(count)
    return load_images(source, options.skip_bad).take(count)


def _photos(folder: Path) -> list[Path]:
    """The image files of a folder; none if it is none."""
    from millijoule.train.images import image_header

    return (
        [path for path in sorted(folder.iterdir()) if path.is_file() and image_header(path)] if folder.is_dir() else []
    )


def counted(model: Model, int8: Model, data: DetectionSet | None, samples: int | None) -> dict[str, Any]:
    """Of the test images: how many there are, and the mean average precision before and after; nothing without data."""
    from millijoule.detect.find import evaluate_detector

    if data is None:
        return {"data": None, "images": 0, "map_50_float": None, "map_50_int8": None}
    images = data.test[:samples]
    before, after = (evaluate_detector(each, images)[1].to_json()["map_50_area"] for each in (model, int8))
    return {"data": data.name, "images": len(images), "map_50_float": before, "map_50_int8": after}
