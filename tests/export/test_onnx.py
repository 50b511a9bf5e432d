"""ONNX files: ONNX Runtime computes the same of float ones, and int8 ones come back bit for bit.

Every operator's float form is held against ONNX Runtime in tests/ops.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import pytest

import millijoule
from millijoule.errors import ModelError
from millijoule.export.onnx import to_onnx
from millijoule.load.onnx import load_onnx
from millijoule.model import Model, Quantization
from millijoule.ops import Conv2d, Opaque
from millijoule.train.initial import initial_weights
from millijoule.train.network import predict
from tests.export.ort import run_ort
from tests.load.cases import random_inputs
from tests.networks import SMALL_NETWORKS, random_int8, small_graph, small_int8_model
from tests.ops.cases import CASES, INT8_CASES, int8_model
from tests.random_models import random_model
from tests.tflite_writer import one_node

# ONNX has scales along one axis, and these lie in two.
LACKING = ("conv_transpose2d_groups",)
EXPRESSIBLE = [name for name in INT8_CASES if name not in LACKING]


def reloaded(data, tmp_path) -> Model:
    return load_onnx(data, tmp_path / "net.onnx", "net")


def first_output(model, *inputs, shape=None) -> np.ndarray:
    """shape: of the value that was exported; what lies in memory as ONNX counts comes back with channels first."""
    output = model.run(*inputs)[model.graph.outputs[0]]
    if shape is not None and len(shape) == 3 and output.shape[1:] == (shape[2], *shape[:2]) != shape:
        output = output.transpose(0, 2, 3, 1)
    return output.reshape(len(output), -1)


@pytest.mark.parametrize("entry", SMALL_NETWORKS, ids=lambda entry: entry.name)
def test_float_networks_of_the_zoo_equal_onnx_runtime_and_come_back(entry, tmp_path):
    graph = entry.function()
    model = Model(graph, initial_weights(graph, 0), preprocess={"mean": [0.5], "std": [0.25]}, labels=("a", "b"))
    x = np.random.default_rng(0).standard_normal((2, *graph.inputs[0].shape), np.float32)
    ours = predict(model, x)
    data = to_onnx(model)
    onnx.checker.check_model(onnx.load_from_string(data), full_check=True)
    (theirs,) = run_ort(data, x)
    np.testing.assert_allclose(theirs, ours, rtol=1e-5, atol=1e-5 * np.abs(ours).max())
    loaded = reloaded(data, tmp_path)
    assert (loaded.preprocess, loaded.labels) == (model.preprocess, model.labels)
    np.testing.assert_allclose(predict(loaded, x).reshape(ours.shape), ours, rtol=1e-5, atol=1e-5 * np.abs(ours).max())


@pytest.mark.parametrize("name", EXPRESSIBLE)
def test_every_int8_operator_comes_back_bit_for_bit(name, tmp_path):
    model = int8_model(name)
    inputs = random_inputs(model)
    loaded = reloaded(to_onnx(model), tmp_path)
    assert loaded.is_int8
    np.testing.assert_array_equal(first_output(loaded, *inputs), first_output(model, *inputs))


@pytest.mark.parametrize("name", [name for name in EXPRESSIBLE if not CASES[name].wraps])
def test_onnx_runtime_is_a_step_away_at_most(name):
    model = int8_model(name)
    inputs = random_inputs(model)
    reals = [model.quantization[each.name].dequantize(x) for each, x in zip(model.graph.inputs, inputs, strict=True)]
    ours = model.run(*inputs)["op"]
    (theirs,) = run_ort(to_onnx(model), *reals)
    steps = model.quantization["op"].quantize(theirs).reshape(ours.shape).astype(int) - ours
    assert np.abs(steps).max() <= 1


def test_random_networks_come_back_bit_for_bit(tmp_path):
    compared = 0
    for seed in range(80):
        model = random_model(seed)
        try:
            data = to_onnx(model)
        except ModelError:
            continue
        (x,) = random_inputs(model, count=4)
        shape = model.graph.shapes[model.graph.outputs[0]]
        loaded = reloaded(data, tmp_path)
        np.testing.assert_array_equal(first_output(loaded, x, shape=shape), first_output(model, x))
        compared += 1
    assert compared >= 70


def test_biases_of_every_size_come_back(tmp_path):
    """The step of a bias is the product of two scales, which float32 rounds."""
    rng = np.random.default_rng(0)
    bias = np.array([2**31 - 1, -(2**31) + 1, 2**30 + 1, 2**24 + 1, -(2**24) - 1, 12345677, 3, 0], np.int32)
    weight = Quantization(rng.uniform(1e-9, 1e-8, 8).astype(np.float32))
    model = one_node(
        Conv2d(channels=8, kernel=1),
        (2, 2, 3),
        quantization={"input0": Quantization.of(0.0371), "op": Quantization.of(0.1), "op.weight": weight},
        weight=rng.integers(-127, 128, (8, 1, 1, 3), dtype=np.int8),
        bias=bias,
    )
    loaded = reloaded(to_onnx(model), tmp_path)
    np.testing.assert_array_equal(loaded.weights[f"{loaded.graph.outputs[0]}.bias"], bias)


def test_an_int8_network_keeps_its_preprocessing_and_names(tmp_path):
    model = replace(small_int8_model(), labels=("a", "b", "c"), preprocess={"mean": [0.3], "std": [0.2]})
    loaded = millijoule.load(millijoule.export(model, "qdq", tmp_path / "net.onnx"))
    assert (loaded.preprocess, loaded.labels) == (model.preprocess, model.labels)
    assert {"c1", "dw", "pw", "fc"} <= set(loaded.graph.shapes)
    file = onnx.load(tmp_path / "net.onnx")
    onnx.checker.check_model(file, full_check=True)
    assert {tensor.data_type for tensor in file.graph.initializer if tensor.name.endswith("weight.integers")} == {
        onnx.TensorProto.INT8
    }


def test_the_batch_is_open():
    model = random_int8(small_graph())
    x = np.random.default_rng(0).random((5, 12, 12, 1), np.float32)
    (together,) = run_ort(to_onnx(model), x)
    one_by_one = [run_ort(to_onnx(model), x[i : i + 1])[0] for i in range(5)]
    np.testing.assert_array_equal(together, np.concatenate(one_by_one))


def test_what_onnx_lacks_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"^node 'op' \(ConvTranspose2d\) has groups and a scale for each channel"):
        to_onnx(int8_model(LACKING[0]))
    with pytest.raises(ModelError, match="layers that are not supported: 'op'"):
        millijoule.export(one_node(Opaque(operator="TopK", output=(3,)), (9,)), "onnx", tmp_path / "a.onnx")
    with pytest.raises(ModelError, match=r"^model 'small' is int8; 'onnx' holds float numbers: choose qdq, tflite, c$"):
        millijoule.export(small_int8_model(), "onnx", tmp_path / "a.onnx")
    assert not list(tmp_path.iterdir())


def test_damaged_metadata_is_refused(tmp_path):
    file = onnx.load_from_string(to_onnx(small_int8_model()))
    file.metadata_props.add(key="millijoule", value='{"preprocess": 3}')
    with pytest.raises(ModelError, match=r"net\.onnx: its metadata 'millijoule' is damaged: export the model again$"):
        reloaded(file.SerializeToString(), tmp_path)
