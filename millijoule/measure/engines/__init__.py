"""What runs a network on this computer. Each engine reads a file, in a process of its own, and imports only itself.

`prepare` writes what an engine reads, in the process of the command; `load` is called in the worker.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from millijoule.errors import OptionError

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Loaded:
    """A network that is ready to run.

    version: of the engine. settings: what it was told, in a few words. run: computes the outputs of one batch, float32
    (or int8, of an int8 model).
    """

    version: str
    settings: str
    run: Callable[[], np.ndarray]


@dataclass(frozen=True)
class Engine:
    """module: which has `load(path, x, threads, device)`. package: what to install. takes: `float`, `int8` or `both`.
    suffix: of the file that it reads. maps: whether images lie with channels `first` or `last`."""

    name: str
    module: str
    package: str
    takes: str
    suffix: str
    maps: str = "first"


ENGINES = {
    engine.name: engine
    for engine in (
        Engine("onnxruntime", "onnxruntime", "onnxruntime", "both", ".onnx"),
        Engine("openvino", "openvino", "openvino", "both", ".onnx"),
        Engine("litert", "litert", "ai-edge-litert", "both", ".tflite", maps="last"),
        Engine("torch", "torch", "torch", "float", ".pt2"),
        Engine("torch-compiled", "torch", "torch", "float", ".pt2"),
        Engine("ncnn", "ncnn", "ncnn pnnx", "float", ".param"),
        Engine("millijoule", "millijoule", "", "int8", ".so", maps="last"),
    )
}


def engine(name: str) -> Engine:
    """Raises OptionError for a name that is no engine's."""
    if name not in ENGINES:
        raise OptionError(f"engine '{name}' is not known; it must be one of {', '.join(ENGINES)}")
    return ENGINES[name]


def load(name: str, path: Path, x: np.ndarray, threads: int, device: str = "cpu") -> Loaded:
    """In the worker: the engine with the network of `path` and the batch `x`.

    Raises what the engine raises: ImportError where it is not installed, its own errors for operators it lacks.
    """
    module = import_module(f"millijoule.measure.engines.with_{ENGINES[name].module}")
    loaded: Loaded = module.load(path, x, threads, device, compiled=name.endswith("-compiled"))
    return loaded
