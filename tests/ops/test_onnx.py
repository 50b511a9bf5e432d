"""Every operator's float semantics against ONNX Runtime."""

from __future__ import annotations

from zlib import crc32

import numpy as np
import pytest

from millijoule.export.onnx import to_onnx
from tests.export.ort import run_ort
from tests.ops.cases import CASES, float_model
from tests.ops.torch_run import run_module


@pytest.mark.parametrize("name", CASES)
def test_module_equals_onnx_runtime(name):
    model = float_model(name)
    weights = model.node_weights(model.graph.nodes[0])
    rng = np.random.default_rng(crc32(name.encode()))
    inputs = [3 * rng.standard_normal((8, *shape), np.float32) for shape in CASES[name].inputs]
    (expected,) = run_ort(to_onnx(model), *inputs)
    outputs = run_module(model, inputs, weights)
    assert outputs.shape == expected.shape == (8, *model.graph.shapes["op"])
    # float32 sums of a few hundred products against float64.
    np.testing.assert_allclose(outputs, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())
