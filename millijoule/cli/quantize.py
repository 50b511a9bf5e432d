"""`quantize`: a trained float network as an int8 file."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import millijoule
from millijoule.cli.command import Command, add_data, add_force, is_annotated, positive, real, show
from millijoule.cli.quantize_detector import annotated, calibration_pixels, counted
from millijoule.cli.trained import (
    add_teacher,
    add_trained,
    check_teacher,
    load_teacher,
    load_trained,
    take_own_data,
)
from millijoule.errors import ModelError, OptionError

if TYPE_CHECKING:
    from millijoule.detect.data import DetectionSet
    from millijoule.model import Model
    from millijoule.quantize import Images
    from millijoule.train import Dataset

CALIBRATION = 512
KEPT = {".tflite": "tflite", ".onnx": "qdq"}
"""What an int8 model is kept as, by the name of its file: both hold it exactly."""


def add_calibration(parser: argparse.ArgumentParser) -> None:
    """The options that say what ranges are measured on, and how."""
    from millijoule.quantize.ranges import RANGE_CHOICES

    parser.add_argument(
        "--calibration",
        type=positive,
        default=CALIBRATION,
        metavar="N",
        help=f"on how many images the ranges are measured, evenly spaced (default: {CALIBRATION}; at least 32)",
    )
    parser.add_argument(
        "--calibrate-on",
        metavar="IMAGES",
        help="other images than the training images of --data: as --data, an .npz file with x_train alone, or an .npy "
        "file of uint8 images or of float32 inputs that are prepared already; of a detector also a folder of photos",
    )
    parser.add_argument(
        "--ranges", choices=RANGE_CHOICES, default="minmax", help="which range a value gets (default: minmax)"
    )


def calibration_images(options: argparse.Namespace, model: Model, data: Dataset | DetectionSet | None) -> Images:
    """What the options name. OptionError for too few."""
    from millijoule.detect.find import training_images
    from millijoule.quantize import load_images

    if not options.calibrate_on:
        assert data is not None
        return training_images(model, data, options.calibration)
    if model.boxes:
        return calibration_pixels(options, model)
    return load_images(options.calibrate_on, options.skip_bad).take(options.calibration)


def _float_model(options: argparse.Namespace, data: Dataset) -> Model:
    """The trained float model that the options name."""
    model = load_trained(options, data)
    if model.is_int8:
        raise ModelError(f"model '{model.graph.name}' is int8 already: give the float model")
    return model


def _load_test_data(options: argparse.Namespace, command: str) -> Dataset:
    """The images of --data, or of a run those that it was trained on, split as they were then."""
    take_own_data(options)
    if not options.data:
        raise OptionError(f"{command} needs --data: images to measure ranges on, and test images to count")
    return millijoule.load_data(options.data, skip_bad=options.skip_bad, seed=options.seed)


def _options(parser: argparse.ArgumentParser) -> None:
    add_trained(parser)
    add_data(parser)
    add_calibration(parser)
    parser.add_argument("--samples", type=positive, metavar="N", help="count the first N test images (default: all)")
    parser.add_argument("--equalize", action="store_true", help="bring the channels of layers to like ranges before")
    parser.add_argument("--correct-bias", action="store_true", help="take mean errors out of the biases behind")
    parser.add_argument("--qat", action="store_true", help="train some epochs as int8 (quantization-aware training)")
    parser.add_argument("--epochs", type=positive, metavar="N", help="of --qat (default 5)")
    parser.add_argument("--learning-rate", type=real, metavar="R", help="of --qat, its highest (default 0.0005)")
    parser.add_argument("--keep", choices=("best", "last"), help="which epoch of --qat (default: best)")
    add_teacher(parser, "whose answers --qat learns beside the labels, as MODEL (default: MODEL)")
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="a .tflite file (default: <model>-int8.tflite), or .onnx"
    )
    add_force(parser)


def model_and_data(options: argparse.Namespace, command: str) -> tuple[Model, Dataset | DetectionSet | None]:
    """The float model, and the images that it is tested on; a model that finds boxes needs none."""
    if options.data or not options.calibrate_on:
        take_own_data(options)
    if is_annotated(options.data) or (not options.data and options.calibrate_on):
        model = load_trained(options)
        if model.boxes:
            return model, annotated(options, model, command)
        if options.data:
            raise OptionError(f"model '{model.graph.name}' tells classes apart: give labelled images with --data")
    data = _load_test_data(options, command)
    model = _float_model(options, data)
    return model, annotated(options, model, command) if model.boxes else data


def _place(options: argparse.Namespace, model: Model) -> Path:
    """The file that is written. What cannot be is told before time is spent."""
    from millijoule.export.tflite import check_operators
    from millijoule.quantize.calibrate import ready_for_int8
    from millijoule.report.files import check_new

    out = options.out or Path(f"{model.graph.name}-int8.tflite")
    if out.suffix not in KEPT:
        raise OptionError(f"--out is '{out}'; int8 models are kept as .tflite or .onnx files")
    check_new(out, force=options.force)
    if out.suffix == ".tflite":
        graph = ready_for_int8(model).graph
        try:
            check_operators(graph)
        except ModelError as error:
            raise ModelError(f"{error}: keep the model as ONNX, --out {out.with_suffix('.onnx')}") from None
    return out


def _beside(options: argparse.Namespace, model: Model, data: Dataset | DetectionSet | None) -> Images | None:
    """The training images of --data, if ranges are measured on others."""
    from millijoule.detect.find import spaced_pixels
    from millijoule.quantize import Images
    from millijoule.train import Dataset

    if not options.calibrate_on or data is None:
        return None
    if isinstance(data, Dataset):
        return Images(data.x_train, data.y_train, data.name)
    return Images(spaced_pixels(model, data.train, options.calibration), None, data.name)


def _counted(model: Model, int8: Model, data: Dataset, samples: int | None) -> dict[str, Any]:
    """Of the test images: how many there are, and the accuracy before and after."""
    from millijoule.train import accuracy

    x, y = data.x_test[:samples], data.y_test[:samples]
    before, after = accuracy(model, x, y), accuracy(int8, x, y)
    return {"data": data.name, "images": len(x), "accuracy_float": before, "accuracy_int8": after}


def _teacher(options: argparse.Namespace, data: Dataset) -> Model:
    """The teacher of --qat."""
    named = {name: getattr(options, name) for name in ("mean", "std")}
    return load_teacher(data, options.teacher, options.teacher_weights, **named).model


def _run(options: argparse.Namespace) -> None:
    from millijoule.quantize import calibration_faults
    from millijoule.report.quantization.tables import quantized
    from millijoule.train import Dataset
    from millijoule.train.checkpoint import remove_checkpoint

    if options.qat and (options.equalize or options.correct_bias or options.calibrate_on):
        raise OptionError("--qat learns its own: leave out --equalize, --correct-bias, --calibrate-on")
    of_qat = (options.epochs, options.learning_rate, options.keep, options.teacher, options.teacher_weights)
    if not options.qat and any(of_qat):
        raise OptionError("--epochs, --learning-rate, --keep and --teacher are of --qat: add it, or leave them out")
    check_teacher(options)
    if options.qat and is_annotated(options.data):
        raise OptionError("--qat trains models that tell classes apart: leave it out for one that finds boxes")
    model, data = model_and_data(options, "quantize")
    out = _place(options, model)
    images = calibration_images(options, model, data)
    classes = data.classes if isinstance(data, Dataset) else ()
    faults = calibration_faults(model, images, _beside(options, model, data), classes)
    for fault in faults:
        print(f"warning: {fault}", file=sys.stderr)
    if options.qat:
        assert isinstance(data, Dataset)
        from millijoule.shrink import as_shown
        from millijoule.train import is_run
        from millijoule.train.run_folder import read_config

        settings = as_shown(read_config(Path(options.model))["settings"]) if is_run(options.model) else {}
        kept = out.with_name(f"{out.stem}-qat")
        int8 = millijoule.quantize_aware(
            model,
            data,
            ranges=options.ranges,
            teacher=_teacher(options, data) if options.teacher else None,
            epochs=options.epochs,
            learning_rate=options.learning_rate,
            keep=options.keep,
            checkpoint=kept,
            **settings,
        )
        method = f"quantization-aware training, {options.ranges} ranges"
    else:
        int8 = millijoule.quantize(
            model,
            images.x,
            ranges=options.ranges,
            samples=len(images.x),
            equalize=options.equalize,
            correct_bias=options.correct_bias,
        )
        method = ", ".join(
            [f"{options.ranges} ranges of {len(images.x)} images"]
            + ["equalized"] * options.equalize
            + ["biases corrected"] * options.correct_bias
        )
    int8 = replace(int8, labels=int8.labels or (data.classes if data else ()))
    result = {
        "model": model.graph.name,
        "method": method,
        **(
            _counted(model, int8, data, options.samples)
            if isinstance(data, Dataset)
            else counted(model, int8, data, options.samples)
        ),
        "weights_float_bytes": sum(array.nbytes for array in model.weights.values()),
        "weights_int8_bytes": sum(array.nbytes for array in int8.weights.values()),
    }
    path = millijoule.export(int8, KEPT[out.suffix], out, force=options.force)
    if options.qat:
        remove_checkpoint(kept)
    result |= {"file": str(path), "file_bytes": path.stat().st_size}
    show(
        options,
        result,
        quantized(result, (*(data.notes if data else ()), *(note for note in int8.notes if note not in faults))),
    )


QUANTIZE = Command("quantize", "a trained network as an int8 file that every other command takes", _run, _options)
