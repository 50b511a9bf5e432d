"""ncnn, on the processor, in float32; it runs one image at a time."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from millijoule.errors import ModelError
from millijoule.measure.engines import Loaded


def load(path: Path, x: np.ndarray, threads: int, device: str, compiled: bool) -> Loaded:
    import ncnn

    if len(x) != 1:
        raise ModelError(f"it runs one image at a time, not a batch of {len(x)}")
    network = ncnn.Net()
    options = network.opt
    options.num_threads, options.use_vulkan_compute = threads, False
    options.use_fp16_packed = options.use_fp16_storage = options.use_fp16_arithmetic = options.use_bf16_storage = False
    if network.load_param(str(path)) != 0 or network.load_model(str(path.with_suffix(".bin"))) != 0:
        raise ModelError(f"it cannot read '{path.name}'")
    entry, result = network.input_names()[0], network.output_names()[0]
    image = ncnn.Mat(x[0])

    def run() -> np.ndarray:
        extractor = network.create_extractor()
        extractor.input(entry, image)
        code, output = extractor.extract(result)
        if code != 0:
            raise ModelError(f"it failed with code {code}")
        return np.array(output)[None]

    return Loaded(ncnn.__version__, "float32, no Vulkan", run)
