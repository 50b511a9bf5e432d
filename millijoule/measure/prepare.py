"""What each engine reads, written once for each network and batch."""

from __future__ import annotations

import json
import subprocess
from math import prod
from pathlib import Path

from millijoule.errors import ModelError, ToolError
from millijoule.export import FORMATS
from millijoule.measure.engines import Engine
from millijoule.model import Model


def prepare(model: Model, engine: Engine, batch: int, folder: Path) -> Path:
    """The file that the engine reads, in `folder`. Raises ModelError or ToolError if it cannot be made."""
    precision = "int8" if model.is_int8 else "float"
    if engine.takes not in ("both", precision):
        need = "`--int8` makes one" if engine.takes == "int8" else "leave --int8 out"
        raise ModelError(f"{engine.name} takes {engine.takes} models, this one is {precision}: {need}")
    if engine.name == "millijoule":
        return _library(model, folder)
    if engine.suffix == ".pt2":
        return _program(model, batch, folder)
    path = folder / f"{precision}{engine.suffix}"
    if engine.name == "ncnn":
        return _ncnn(_written(model, "onnx", folder / "float.onnx"), model, path)
    kind = "tflite" if engine.suffix == ".tflite" else "qdq" if model.is_int8 else "onnx"
    return _written(model, kind, path)


def _written(model: Model, kind: str, path: Path) -> Path:
    encode = FORMATS[kind].encode
    if encode is not None and not path.exists():
        path.write_bytes(encode(model))
    return path


def _program(model: Model, batch: int, folder: Path) -> Path:
    """A program of torch.export for this batch."""
    from millijoule.export.pytorch import exchanged
    from millijoule.train.network import import_torch

    path = folder / f"{batch}.pt2"
    if not path.exists():
        torch = import_torch()
        height, width, channels = model.graph.inputs[0].shape
        program = torch.export.export(exchanged(model), (torch.zeros(batch, channels, height, width),))
        torch.export.save(program, path)
    return path


def _library(model: Model, folder: Path) -> Path:
    """The emitted C for this computer's vectors, as a library, and what a caller must know of it as JSON."""
    from millijoule.cost.device import load_device
    from millijoule.emit import emit
    from millijoule.emit.text import identifier
    from millijoule.passes.integer import reduce
    from millijoule.plan import plan
    from millijoule.run.host import build_host
    from millijoule.target import Target

    project, name = folder / "c", identifier(model.graph.name)
    path = project / f"{name}.so"
    if not path.exists():
        project.mkdir()
        reduced = reduce(model).model
        emit(reduced, plan(reduced, target=Target("host")), load_device("host"), project)
        outputs = sum(prod(model.graph.shapes[value]) for value in model.graph.outputs)
        path.with_suffix(".json").write_text(json.dumps({"name": name, "output_bytes": outputs}))
        build_host(project, name)
    return path


def _ncnn(onnx: Path, model: Model, path: Path) -> Path:
    """ncnn's files, which pnnx makes of ONNX."""
    import importlib.util

    if importlib.util.find_spec("pnnx") is None:
        raise ToolError("ncnn reads what pnnx writes: pip install pnnx")
    if not path.exists():
        height, width, channels = model.graph.inputs[0].shape
        import pnnx

        program = Path(pnnx.EXEC_PATH)
        command = [str(program), str(onnx), f"inputshape=[1,{channels},{height},{width}]", "fp16=0"]
        command += [f"ncnnparam={path}", f"ncnnbin={path.with_suffix('.bin')}"]
        result = subprocess.run(command, cwd=onnx.parent, capture_output=True, text=True, errors="replace")
        if result.returncode != 0 or not path.exists():
            lines = (result.stderr or result.stdout).strip().splitlines() or ["no message"]
            raise ToolError(f"pnnx cannot convert the network: {lines[-1]}")
    return path
