"""`export`: a network with its numbers in the format of another tool."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import millijoule
from millijoule.cli.command import Command, add_data, add_force, show
from millijoule.cli.trained import add_trained, images_for, load_trained, take_own_data

if TYPE_CHECKING:
    from millijoule.model import Model


def _options(parser: argparse.ArgumentParser) -> None:
    from millijoule.export import FORMATS

    add_trained(parser)
    add_data(parser)
    texts = "; ".join(f"{name}: {format.text}" for name, format in FORMATS.items())
    parser.add_argument("--to", required=True, choices=tuple(FORMATS), help=texts)
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="where to write (default: named after the model); for c, a folder"
    )
    parser.add_argument("--device", default="host", help="the device that the C project is for (default: host)")
    add_force(parser)


def _run(options: argparse.Namespace) -> None:
    from rich.text import Text

    from millijoule.export import FORMATS, check_place

    model = load_trained(options)
    if FORMATS[options.to].takes == "int8" and not model.is_int8:
        check_place(model, options.to, options.out, force=options.force)
        model = _quantized(model, options)
    path = millijoule.export(model, options.to, options.out, device=options.device, force=options.force)
    size = sum(each.stat().st_size for each in (path.rglob("*") if path.is_dir() else [path]) if each.is_file())
    value = {"model": model.graph.name, "format": options.to, "file": str(path), "bytes": size}
    show(options, value, [Text(f"{path}: {size:,} bytes")])


def _quantized(model: Model, options: argparse.Namespace) -> Model:
    """The int8 form by the training images of --data or, of a run, of its own data; as it is where neither is known."""
    from millijoule.trial import calibration_images

    take_own_data(options)
    if options.data is None:
        return model
    data = images_for(model, options)
    int8 = millijoule.quantize(model, calibration_images(model, data))
    print(f"quantized by training images of '{data.name}', as `millijoule quantize` does", file=sys.stderr)
    return int8


EXPORT = Command("export", "write a network with its numbers for other tools: ONNX, TFLite, PyTorch, C", _run, _options)
