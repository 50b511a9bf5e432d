"""`export`: a network with its numbers in the format of another tool."""

from __future__ import annotations

import argparse
from pathlib import Path

import millijoule
from millijoule.cli.command import Command, show
from millijoule.cli.trained import add_trained, load_trained


def _options(parser: argparse.ArgumentParser) -> None:
    from millijoule.export import FORMATS

    add_trained(parser)
    texts = "; ".join(f"{name}: {format.text}" for name, format in FORMATS.items())
    parser.add_argument("--to", required=True, choices=tuple(FORMATS), help=texts)
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="where to write (default: named after the model); for c, a folder"
    )
    parser.add_argument("--device", default="host", help="the device that the C project is for (default: host)")
    parser.add_argument("--force", action="store_true", help="replace what is there")


def _run(options: argparse.Namespace) -> None:
    from rich.text import Text

    model = load_trained(options)
    path = millijoule.export(model, options.to, options.out, device=options.device, force=options.force)
    size = sum(each.stat().st_size for each in (path.rglob("*") if path.is_dir() else [path]) if each.is_file())
    value = {"model": model.graph.name, "format": options.to, "file": str(path), "bytes": size}
    show(options, value, [Text(f"{path}: {size:,} bytes")])


EXPORT = Command("export", "write a network with its numbers for other tools: ONNX, TFLite, PyTorch, C", _run, _options)
