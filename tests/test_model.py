"""A model whose numbers do not suit its graph cannot be constructed; quantization rounds as TFLite does."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from millijoule.errors import ModelError
from millijoule.graph import Builder
from millijoule.model import Model, Quantization
from millijoule.ops import Dense, Relu
from tests.load.cases import run_tflm
from tests.networks import small_int8_model
from tests.tflite_writer import schema

FLOAT = {"fc.weight": np.zeros((2, 3), np.float32), "fc.bias": np.zeros(2, np.float32)}
INT8 = {"fc.weight": np.zeros((2, 3), np.int8), "fc.bias": np.zeros(2, np.int32)}
SCALE = Quantization.of(0.1, 2)
QUANTIZATION = {"input": SCALE, "fc": SCALE, "relu": SCALE, "fc.weight": Quantization.of(0.01)}


def graph():
    build = Builder("net", (3,))
    build("fc", Dense(features=2))
    build("relu", Relu())
    return build.graph()


def without(mapping, name):
    return {key: value for key, value in mapping.items() if key != name}


def test_a_model_holds_what_its_graph_needs():
    model = Model(graph(), FLOAT)
    assert not model.is_int8
    assert list(model.node_weights(model.graph.by_name["fc"])) == ["weight", "bias"]
    assert model.node_weights(model.graph.by_name["relu"]) == {}
    int8 = Model(graph(), INT8, QUANTIZATION)
    assert int8.is_int8
    found = int8.node_quantization(int8.graph.by_name["fc"])
    assert (found.inputs, found.output, dict(found.weights)) == ((SCALE,), SCALE, {"weight": Quantization.of(0.01)})


WRONG = [
    (without(FLOAT, "fc.bias"), None, r"model 'net' has no array 'fc.bias'; shape \(2,\) is needed"),
    (
        FLOAT | {"fc.weight": np.zeros((3, 2), np.float32)},
        None,
        r"array 'fc.weight' has shape \(3, 2\); the graph needs \(2, 3\)",
    ),
    (FLOAT | {"relu.slope": np.zeros(2)}, None, "array 'relu.slope' belongs to no node of graph 'net'"),
    (INT8, without(QUANTIZATION, "relu"), "value 'relu' has no quantization"),
    (INT8, without(QUANTIZATION, "input"), "value 'input' has no quantization"),
    (INT8, without(QUANTIZATION, "fc.weight"), "array 'fc.weight' has no quantization"),
    (INT8 | {"fc.weight": np.zeros((2, 3), np.float32)}, QUANTIZATION, "array 'fc.weight' is float32; int8 is needed"),
    (INT8 | {"fc.bias": np.zeros(2, np.int64)}, QUANTIZATION, "array 'fc.bias' is int64; int32 is needed"),
    (
        INT8,
        QUANTIZATION | {"fc.weight": Quantization(np.ones(3, np.float32))},
        "array 'fc.weight' has 3 scales; 1 or 2 are needed",
    ),
    (INT8, QUANTIZATION | {"fc": Quantization(np.ones(2, np.float32))}, "value 'fc' has 2 scales; 1 is needed"),
    (INT8, QUANTIZATION | {"fc": Quantization(np.ones(0, np.float32))}, "value 'fc' has 0 scales; 1 is needed"),
    (INT8, QUANTIZATION | {"fc": Quantization.of(0.0)}, "value 'fc' has scale 0; positive numbers are needed"),
    (INT8, QUANTIZATION | {"fc": Quantization.of(-0.5)}, r"value 'fc' has scale -0\.5; positive numbers"),
    (INT8, QUANTIZATION | {"fc": Quantization.of(np.inf)}, "value 'fc' has scale inf; positive numbers"),
    (INT8, QUANTIZATION | {"fc.weight": Quantization.of(np.nan)}, "array 'fc.weight' has scale nan; positive numbers"),
    (INT8, QUANTIZATION | {"relu": Quantization.of(0.1, 128)}, "value 'relu' has zero point 128; -128…127 is needed"),
]


@pytest.mark.parametrize(("weights", "quantization", "message"), WRONG, ids=[message for *_, message in WRONG])
def test_a_model_that_does_not_suit_its_graph_cannot_be_constructed(weights, quantization, message):
    with pytest.raises(ModelError, match=message):
        Model(graph(), weights, quantization)


def test_inputs_that_do_not_suit_are_named():
    model = small_int8_model()
    with pytest.raises(ModelError, match=r"'input' is float32 of shape \(12, 12, 1\); int8 of shape \(12, 12, 1\)"):
        model.run(np.zeros((1, 12, 12, 1), np.float32))
    with pytest.raises(ModelError, match=r"'input' is int8 of shape \(12, 12\); int8 of shape \(12, 12, 1\)"):
        model.run(np.zeros((1, 12, 12), np.int8))
    with pytest.raises(ModelError, match="'small' takes 1 inputs; 2 are given"):
        model.run(*[np.zeros((1, 12, 12, 1), np.int8)] * 2)


def test_a_float_model_does_not_run_in_integers():
    model = Model(graph(), FLOAT)
    with pytest.raises(ModelError, match=r"'net' is float; quantize it first \(give --data"):
        model.run(np.zeros((1, 3), np.int8))


def test_a_sample_does_not_depend_on_its_batch():
    model = small_int8_model()
    x = np.random.default_rng(0).integers(-128, 128, (5, 12, 12, 1), dtype=np.int8)
    whole = model.run(x)
    assert list(whole) == list(model.graph.shapes)
    for index in range(5):
        for name, values in model.run(x[index : index + 1]).items():
            np.testing.assert_array_equal(values[0], whole[name][index])
            assert values.dtype == np.int8


@pytest.mark.parametrize(("scale", "zero_point"), [(0.0371, 5), (1 / 256, -128), (2.0, 127)])
def test_quantize_is_tflms(scale, zero_point):
    quantization = Quantization.of(scale, zero_point)
    rng = np.random.default_rng(0)
    steps = np.concatenate([rng.uniform(-400, 400, 500), np.arange(-20, 20) + 0.5, np.arange(-20, 20)])
    real = (steps * scale).astype(np.float32)
    data = quantize_file(len(real), quantization)
    np.testing.assert_array_equal(quantization.quantize(real), run_tflm(data, [real[None]])[0])


def quantize_file(count: int, quantization: Quantization) -> bytes:
    """A .tflite file of one QUANTIZE from float32 to int8."""
    import flatbuffers

    tensors = [
        schema.TensorT(name="x", shape=[1, count], type=schema.TensorType.FLOAT32),
        schema.TensorT(name="y", shape=[1, count], type=schema.TensorType.INT8),
    ]
    tensors[1].quantization = schema.QuantizationParametersT(
        scale=[float(quantization.scale)], zeroPoint=[quantization.zero_point]
    )
    code = schema.BuiltinOperator.QUANTIZE
    graph = schema.SubGraphT(
        tensors=tensors, inputs=[0], outputs=[1], operators=[schema.OperatorT(inputs=[0], outputs=[1])]
    )
    codes = [schema.OperatorCodeT(builtinCode=code, deprecatedBuiltinCode=code, version=1)]
    file = schema.ModelT(version=3, operatorCodes=codes, subgraphs=[graph], buffers=[schema.BufferT()])
    builder = flatbuffers.Builder(1024)
    builder.Finish(file.Pack(builder), b"TFL3")
    return bytes(builder.Output())


@given(integer=st.integers(-128, 127), zero_point=st.integers(-128, 127), scale=st.floats(2.0**-20, 2.0**10, width=32))
def test_every_integer_survives_dequantizing_and_quantizing(integer, zero_point, scale):
    quantization = Quantization.of(scale, zero_point)
    real = quantization.dequantize(np.array([integer], np.int8))
    assert real.dtype == np.float32
    assert quantization.quantize(real)[0] == integer


def test_quantize_saturates_and_takes_not_a_number_for_the_lowest():
    quantization = Quantization.of(2.0**-30, 7)
    real = np.array([3e38, -3e38, np.inf, -np.inf, np.nan, 0.0], np.float32)
    assert quantization.quantize(real).tolist() == [127, -128, 127, -128, -128, 7]


def test_one_scale_is_asked_of_a_per_channel_quantization():
    with pytest.raises(ValueError, match="one scale is needed, 3 are given"):
        _ = Quantization(np.ones(3, np.float32)).scale


def test_quantizations_are_equal_by_value():
    assert Quantization.of(0.1, 3) == Quantization.of(0.1, 3)
    assert Quantization.of(0.1, 3) != Quantization.of(0.1, 4)
    assert Quantization.of(0.1, 3) != Quantization.of(0.2, 3)
    assert Quantization.of(0.1) != 0.1


def test_a_model_can_be_replaced_in_part():
    model = small_int8_model()
    assert replace(model, labels=("a", "b", "c")).graph is model.graph
