"""LiteRT (TensorFlow Lite), on the processor, with XNNPACK."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import numpy as np

from millijoule.measure.engines import Loaded


def load(path: Path, x: np.ndarray, threads: int, device: str, compiled: bool) -> Loaded:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path), num_threads=threads)
    entry, result = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]
    interpreter.resize_tensor_input(entry, list(x.shape))
    interpreter.allocate_tensors()
    interpreter.set_tensor(entry, x)

    def run() -> np.ndarray:
        interpreter.invoke()
        return np.asarray(interpreter.get_tensor(result))

    return Loaded(version("ai-edge-litert"), "XNNPACK", run)
