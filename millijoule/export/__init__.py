"""A network with its numbers in the format of another tool."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from millijoule.errors import ModelError, OptionError
from millijoule.export.project import check_project, write_project
from millijoule.model import Model
from millijoule.ops.opaque import check_known
from millijoule.report.files import check_new
from millijoule.whole_file import write_bytes

__all__ = ["FORMATS", "Format", "export"]


@dataclass(frozen=True)
class Format:
    """What a model can be written as.

    suffix: of the file; empty for a folder. takes: which models. text: what it is, in a few words. encode: its bytes.
    """

    suffix: str
    takes: Literal["float", "int8", "both"]
    text: str
    encode: Callable[[Model], bytes] | None = None


def _onnx(model: Model) -> bytes:
    from millijoule.export.onnx import to_onnx

    return to_onnx(model)


def _tflite(model: Model) -> bytes:
    from millijoule.export.tflite import to_tflite
    from millijoule.passes import simplify

    return to_tflite(model if model.is_int8 else simplify(model))


def _pt2(model: Model) -> bytes:
    from millijoule.export.pytorch import to_pt2

    return to_pt2(model)


def _pt(model: Model) -> bytes:
    from millijoule.export.pytorch import to_pt

    return to_pt(model)


def _safetensors(model: Model) -> bytes:
    from millijoule.export.pytorch import to_safetensors

    return to_safetensors(model)


FORMATS: dict[str, Format] = {
    "onnx": Format(".onnx", "float", "float ONNX", _onnx),
    "qdq": Format(".onnx", "int8", "int8 ONNX with QuantizeLinear and DequantizeLinear", _onnx),
    "tflite": Format(".tflite", "both", "TFLite, for TFLM and LiteRT", _tflite),
    "pt2": Format(".pt2", "float", "a program of torch.export", _pt2),
    "pt": Format(".pt", "float", "a state dict of PyTorch", _pt),
    "safetensors": Format(".safetensors", "float", "a state dict as safetensors", _safetensors),
    "c": Format("", "int8", "the C project that deploy builds"),
}


def export(model: Model, to: str, out: Path | str | None = None, *, device: str = "host", force: bool = False) -> Path:
    """Write a model as `to`, one of FORMATS, and return where: whole or not at all.

    out: the file, or the folder of a C project. Default: named after the model. device: what a C project is for.
    force: replace what is there; without it, OptionError.

    Raises ModelError for an operator that the format lacks, and for a float model in a format of int8 ones or the
    other way round; ToolError without torch, where the format needs it.
    """
    if to not in FORMATS:
        raise OptionError(f"'{to}' is no format; it must be one of {', '.join(FORMATS)}")
    format, name = FORMATS[to], model.graph.name
    if format.takes == "int8" and not model.is_int8:
        raise ModelError(
            f"model '{name}' is float; '{to}' is made of int8 models: give images to quantize it by (--data), or run "
            "`millijoule quantize`"
        )
    if format.takes == "float" and model.is_int8:
        choices = [each for each, other in FORMATS.items() if other.takes != "float"]
        raise ModelError(f"model '{name}' is int8; '{to}' holds float numbers: choose {', '.join(choices)}")
    check_known(model.graph)
    target = place(model, to, out)
    encode = format.encode
    if encode is None:
        write_project(model, device, target, force=force)
    else:
        write_file(target, lambda: encode(model), force=force)
    return target


def place(model: Model, to: str, out: Path | str | None) -> Path:
    """Where `export` writes: `out`, or named after the model."""
    name, suffix = model.graph.name, FORMATS[to].suffix
    return Path(out) if out is not None else Path(f"{name}{suffix}" if suffix else f"{name}-c")


def check_place(model: Model, to: str, out: Path | str | None, *, force: bool) -> None:
    """OptionError, before time is spent, if something is where `export` would write and is not to be replaced."""
    check = check_new if FORMATS[to].encode else check_project
    check(place(model, to, out), force=force)


def write_file(target: Path, encode: Callable[[], bytes], *, force: bool) -> None:
    """What `encode` gives, under a temporary name and then renamed. OptionError as check_new."""
    check_new(target, force=force)
    content = encode()
    try:
        write_bytes(target, content)
    except OSError as error:
        raise OptionError(f"'{target}' cannot be written ({error.strerror}): choose another --out") from None
