"""What ONNX Runtime computes of a written file."""

from __future__ import annotations

import numpy as np
import onnxruntime


def session_of(data: bytes) -> onnxruntime.InferenceSession:
    """One thread, on the processor."""
    options = onnxruntime.SessionOptions()
    # On AVX2 without VNNI, its fast int8 products saturate at int16.
    options.add_session_config_entry("session.x64quantprecision", "1")
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(data, options, ["CPUExecutionProvider"])


def run_ort(data: bytes, *inputs: np.ndarray) -> list[np.ndarray]:
    """Its outputs for inputs (batch, height, width, channels) or (batch, …), in the same layout."""
    session = session_of(data)
    given = [np.ascontiguousarray(x.transpose(0, 3, 1, 2) if x.ndim == 4 else x, np.float32) for x in inputs]
    names = [entry.name for entry in session.get_inputs()]
    results = session.run(None, dict(zip(names, given, strict=True)))
    return [result.transpose(0, 2, 3, 1) if result.ndim == 4 else result for result in results]
