"""ONNX Runtime, on the processor."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from millijoule.measure.engines import Loaded


def load(path: Path, x: np.ndarray, threads: int, device: str, compiled: bool) -> Loaded:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    inputs = {session.get_inputs()[0].name: x}

    def run() -> np.ndarray:
        return session.run(None, inputs)[0]

    return Loaded(onnxruntime.__version__, "CPUExecutionProvider, all graph optimisations", run)
