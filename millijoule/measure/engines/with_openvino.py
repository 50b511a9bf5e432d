"""OpenVINO, on the processor; float models in float32, which it would else round to bfloat16 where that is faster."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from millijoule.measure.engines import Loaded


def load(path: Path, x: np.ndarray, threads: int, device: str, compiled: bool) -> Loaded:
    import openvino

    core = openvino.Core()
    model = core.read_model(path)
    model.reshape(list(x.shape))
    settings = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": "f32"}
    request = core.compile_model(model, "CPU", settings).create_infer_request()
    tensor = openvino.Tensor(x)

    def run() -> np.ndarray:
        request.infer([tensor])
        return np.array(request.get_output_tensor(0).data)

    return Loaded(openvino.__version__, "CPU, one stream, f32", run)
