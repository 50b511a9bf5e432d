"""Whole networks: bit for bit TFLM, and what stands around an int8 network: float or uint8 ends, compressed weights."""

import numpy as np
import pytest

from millijoule.export.tflite import to_tflite
from millijoule.graph import Builder, Graph
from millijoule.model import Quantization
from millijoule.ops import Add, AveragePool2d, Concat, Conv2d, Dense, Flatten, GlobalAveragePool, Multiply, Pad, Sigmoid
from millijoule.ops import Softmax as SoftmaxOperator
from tests.load.cases import PROBABILITY, assert_same, case, float_case, random_inputs, reloaded, run_tflm
from tests.networks import random_int8, small_int8_model
from tests.tflite_writer import build, pack, schema


def depthwise_graph() -> Graph:
    build = Builder("depthwise", (16, 12, 3))
    build("stem", Conv2d(channels=8, kernel=3, stride=2, padding="same", activation="relu6"))
    for block in range(3):
        stride = 2 if block == 1 else 1
        build(f"dw{block}", Conv2d(channels=8, kernel=3, stride=stride, padding="same", groups=8, activation="relu6"))
        build(f"pw{block}", Conv2d(channels=8, kernel=1, activation="relu"))
    build("pool", GlobalAveragePool())
    build("fc", Dense(features=5))
    build("softmax", SoftmaxOperator())
    return build.graph()


def branched_graph() -> Graph:
    """Two outputs, a gate (multiply by a sigmoid), concatenation and padding."""
    build = Builder("branched", (9, 9, 2))
    left = build("left", Conv2d(channels=4, kernel=3, padding="same", activation="relu"))
    gate = build("gate", Sigmoid(), build("gate_in", Conv2d(channels=4, kernel=1), "input"))
    gated = build("gated", Multiply(), left, gate)
    both = build("sum", Add(), gated, left)
    build("pad", Pad(padding=((1, 0), (2, 1))), both)
    build("pool", AveragePool2d(kernel=2))
    first = build("flat", Flatten())
    build("head", Dense(features=4), first)
    return build.graph("head", "gated")


def branched_model():
    model = random_int8(branched_graph())
    quantization = {**model.quantization, "gate": PROBABILITY, "gated": Quantization.of(0.02, -100)}
    return type(model)(model.graph, model.weights, quantization)


@pytest.mark.parametrize(
    "model",
    [
        small_int8_model(),
        random_int8(depthwise_graph(), seed=1),
        random_int8(depthwise_graph(), seed=2),
        branched_model(),
    ],
    ids=["residual", "depthwise", "depthwise2", "branched"],
)
def test_networks_load_unchanged_and_equal_tflm(model):
    data = to_tflite(model)
    loaded = reloaded(data, model.graph.name)
    assert_same(model, loaded)
    inputs = random_inputs(model, count=40)
    values = loaded.run(*inputs)
    for index, name in enumerate(model.graph.outputs):
        theirs = run_tflm(data, inputs, index)
        assert len(np.unique(theirs)) > 5
        np.testing.assert_array_equal(values[name], theirs)


def add_quantize_and_dequantize(file, ends=schema.TensorType.FLOAT32):
    """Give an int8 file inputs and outputs of another type, as converters do."""
    graph = file.subgraphs[0]
    for name in ("QUANTIZE", "DEQUANTIZE" if ends == schema.TensorType.FLOAT32 else "QUANTIZE"):
        number = getattr(schema.BuiltinOperator, name)
        file.operatorCodes.append(schema.OperatorCodeT(builtinCode=number, deprecatedBuiltinCode=number))
    codes = len(file.operatorCodes)
    for numbers, at_input in ((graph.inputs, True), (graph.outputs, False)):
        inner = graph.tensors[numbers[0]]
        outer = schema.TensorT(name="outer_in" if at_input else "outer_out", shape=inner.shape, type=ends)
        if ends == schema.TensorType.UINT8:
            zero_point = inner.quantization.zeroPoint[0] + 128
            outer.quantization = schema.QuantizationParametersT(scale=inner.quantization.scale, zeroPoint=[zero_point])
        graph.tensors.append(outer)
        pair = [len(graph.tensors) - 1], [numbers[0]]
        operator = schema.OperatorT(opcodeIndex=codes - 2 if at_input else codes - 1)
        operator.inputs, operator.outputs = pair if at_input else pair[::-1]
        graph.operators.insert(0 if at_input else len(graph.operators), operator)
        numbers[0] = len(graph.tensors) - 1


def test_float_ends_are_left_out_and_noted():
    model = small_int8_model()
    file = build(model)
    add_quantize_and_dequantize(file)
    loaded = reloaded(pack(file), "small")
    assert loaded.graph.nodes == tuple(
        type(node)(node.name, node.op, tuple("outer_in" if name == "input" else name for name in node.inputs))
        for node in model.graph.nodes
    )
    assert loaded.is_int8
    assert len(loaded.notes) == 2
    assert "QUANTIZE" in loaded.notes[0]
    assert "DEQUANTIZE" in loaded.notes[1]
    (x,) = random_inputs(model)
    np.testing.assert_array_equal(loaded.run(x)["softmax"], model.run(x)["softmax"])


def test_uint8_ends_are_read_as_int8():
    model = small_int8_model()
    file = build(model)
    add_quantize_and_dequantize(file, schema.TensorType.UINT8)
    data = pack(file)
    loaded = reloaded(data, "small")
    assert [node.op for node in loaded.graph.nodes] == [node.op for node in model.graph.nodes]
    assert "uint8" in loaded.notes[0]
    (x,) = random_inputs(model)
    outputs = loaded.run(x)["softmax"]
    theirs = run_tflm(data, [(x.astype(np.int16) + 128).astype(np.uint8)])
    np.testing.assert_array_equal(outputs, theirs.astype(np.int16) - 128)


def as_uint8(file):
    """The same numbers as uint8: integers and zero points plus 128, per tensor."""
    for tensor in file.subgraphs[0].tensors:
        if tensor.type == schema.TensorType.INT8:
            tensor.type = schema.TensorType.UINT8
            tensor.quantization.zeroPoint = [point + 128 for point in tensor.quantization.zeroPoint]
            data = file.buffers[tensor.buffer].data
            if data is not None:
                file.buffers[tensor.buffer].data = (data.view(np.int8).astype(np.int16) + 128).astype(np.uint8)


@pytest.mark.parametrize("name", ["conv2d_same_stride", "depthwise", "dense_of_map", "add", "pad", "softmax"])
def test_uint8_is_int8_plus_128(name):
    model = case(name, per_channel=False)
    file = build(model)
    as_uint8(file)
    assert_same(model, reloaded(pack(file), "single"))


def test_uint8_weights_keep_their_zero_point():
    model = case("conv2d_same_stride", per_channel=False)
    file = build(model)
    as_uint8(file)
    weight = next(tensor for tensor in file.subgraphs[0].tensors if tensor.name == "op/weight")
    weight.quantization.zeroPoint = [120]
    loaded = reloaded(pack(file), "single")
    assert loaded.quantization is not None
    assert loaded.quantization["op.weight"].zero_point == -8
    np.testing.assert_array_equal(loaded.weights["op.weight"], model.weights["op.weight"])


def compressed(dequantize: bool, dtype: type):
    """A float model whose weights are stored as int8 per channel, or float16, with or without DEQUANTIZE."""
    model = float_case("depthwise")
    file = build(model)
    graph = file.subgraphs[0]
    operator = graph.operators[0]
    number = operator.inputs[1]
    weight = graph.tensors[number]
    real = file.buffers[weight.buffer].data.view(np.float32).reshape(weight.shape)
    if dtype is np.int8:
        scales = np.linspace(0.01, 0.03, 4).astype(np.float32)
        stored = np.clip(np.round(real / scales), -127, 127).astype(np.int8)
        weight.type = schema.TensorType.INT8
        weight.quantization = schema.QuantizationParametersT(
            scale=scales.tolist(), zeroPoint=[0] * 4, quantizedDimension=3
        )
        expected = stored.astype(np.float32) * scales
    else:
        stored = real.astype(np.float16)
        weight.type = schema.TensorType.FLOAT16
        expected = stored.astype(np.float32)
    file.buffers[weight.buffer].data = np.frombuffer(stored.tobytes(), np.uint8)
    if dequantize:
        graph.tensors.append(schema.TensorT(name="real", shape=weight.shape, type=schema.TensorType.FLOAT32))
        code = schema.BuiltinOperator.DEQUANTIZE
        file.operatorCodes.append(schema.OperatorCodeT(builtinCode=code, deprecatedBuiltinCode=code))
        real_number = len(graph.tensors) - 1
        graph.operators.insert(0, schema.OperatorT(opcodeIndex=1, inputs=[number], outputs=[real_number]))
        operator.inputs[1] = real_number
    return model, pack(file), expected.transpose(3, 1, 2, 0)


@pytest.mark.parametrize("dequantize", [False, True])
@pytest.mark.parametrize("dtype", [np.int8, np.float16])
def test_compressed_weights_of_a_float_model(dequantize, dtype):
    model, data, expected = compressed(dequantize, dtype)
    loaded = reloaded(data, "single")
    assert loaded.graph == model.graph
    assert not loaded.is_int8
    assert loaded.weights["op.weight"].dtype == np.float32
    np.testing.assert_array_equal(loaded.weights["op.weight"], expected)
    assert bool(loaded.notes) == (dtype is np.int8)


def test_images_enter_as_pixel_minus_128():
    from millijoule.train.prepare import quantized_inputs

    pixels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    for scale, zero_point in ((1.0, -128), (1 / 255, -128), (1 / 127.5, -1), (0.0171, 3)):
        build = Builder("image", (16, 16, 1))
        build("conv", Conv2d(channels=3, kernel=3))
        model = random_int8(build.graph())
        model = type(model)(
            model.graph, model.weights, {**model.quantization, "input": Quantization.of(scale, zero_point)}
        )
        loaded = reloaded(to_tflite(model), "image")
        np.testing.assert_array_equal(quantized_inputs(loaded, pixels), pixels.astype(np.int16) - 128)


def test_concatenation_of_branches():
    build_graph = Builder("concat", (6, 6, 3))
    a = build_graph("a", Conv2d(channels=2, kernel=1), "input")
    b = build_graph("b", Conv2d(channels=3, kernel=1), "input")
    build_graph("both", Concat(), a, b)
    model = random_int8(build_graph.graph())
    shared = Quantization.of(0.1, 4)
    model = type(model)(model.graph, model.weights, {**model.quantization, "a": shared, "b": shared, "both": shared})
    data = to_tflite(model)
    loaded = reloaded(data, "concat")
    assert_same(model, loaded)
    inputs = random_inputs(model)
    np.testing.assert_array_equal(loaded.run(*inputs)["both"], run_tflm(data, inputs))
