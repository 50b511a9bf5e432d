"""Every operator from a written file: the same graph, numbers and outputs; outputs equal to TFLM's."""

import numpy as np
import pytest

from millijoule.export.tflite import to_tflite
from millijoule.load.tflite.file import BUILTIN_OPERATORS
from millijoule.load.tflite.operators import SUPPORTED
from millijoule.model import Model, Quantization
from millijoule.ops import Conv2d, Dense, Flatten, Pad, Reshape, Slice
from tests.load.cases import CASES, A, B, assert_same, case, float_case, random_inputs, reloaded, run_tflm
from tests.tflite_writer import build, one_node, pack, schema

# Of floats there is no requantization, and a constant number is one step.
FLOAT_CASES = [name for name in CASES if name not in ("requantize", "add_number")]


@pytest.mark.parametrize("name", CASES)
def test_int8_round_trip_equals_the_model_and_tflm(name):
    model = case(name)
    data = to_tflite(model)
    loaded = reloaded(data, "single")
    assert_same(model, loaded)
    inputs = random_inputs(model)
    outputs = loaded.run(*inputs)["op"]
    assert len(np.unique(outputs)) > 5
    np.testing.assert_array_equal(outputs, run_tflm(data, inputs).reshape(outputs.shape))


@pytest.mark.parametrize("name", [name for name, (op, *_) in CASES.items() if isinstance(op, Conv2d | Dense)])
def test_int8_weights_per_tensor(name):
    model = case(name, per_channel=False)
    data = to_tflite(model)
    loaded = reloaded(data, "single")
    assert_same(model, loaded)
    inputs = random_inputs(model)
    outputs = loaded.run(*inputs)["op"]
    np.testing.assert_array_equal(outputs, run_tflm(data, inputs).reshape(outputs.shape))


@pytest.mark.parametrize("name", FLOAT_CASES)
def test_float_round_trip(name):
    model = float_case(name)
    loaded = reloaded(to_tflite(model), "single")
    assert_same(model, loaded)
    assert not loaded.is_int8


@pytest.mark.parametrize("name", ["conv2d_dilated", "depthwise_multiplier", "dense_of_map", "average_pool_same"])
def test_float_outputs_equal_tflm(name):
    torch = pytest.importorskip("torch")
    model = float_case(name)
    data = to_tflite(model)
    loaded = reloaded(data, "single")
    x = np.random.default_rng(1).standard_normal((4, *loaded.graph.inputs[0].shape), np.float32)
    (node,) = loaded.graph.nodes
    module = node.op.module(x.shape[1:])
    with torch.no_grad():
        for key, parameter in module.named_parameters():
            parameter.copy_(torch.from_numpy(loaded.weights[f"op.{key}"]))
        tensor = torch.from_numpy(x)
        outputs = module(tensor.permute(0, 3, 1, 2) if x.ndim == 4 else tensor)
        outputs = outputs.permute(0, 2, 3, 1).numpy() if outputs.ndim == 4 else outputs.numpy()
    np.testing.assert_allclose(outputs, run_tflm(data, [x]), atol=1e-5)


def test_explicit_padding_becomes_pad_and_a_valid_convolution():
    op = Conv2d(channels=3, kernel=3, padding=((0, 1), (2, 1)), stride=2)
    rng = np.random.default_rng(0)
    model = one_node(
        op,
        (7, 6, 4),
        quantization={"input0": B, "op": A, "op.weight": Quantization.of(0.01)},
        weight=rng.integers(-127, 128, (3, 3, 3, 4), dtype=np.int8),
        bias=rng.integers(-500, 500, 3, dtype=np.int32),
    )
    data = to_tflite(model)
    loaded = reloaded(data, "single")
    pad, conv = loaded.graph.nodes
    assert pad.op == Pad(padding=((0, 1), (2, 1)))
    assert conv.op == Conv2d(channels=3, kernel=3, stride=2)
    inputs = random_inputs(model)
    outputs = loaded.run(*inputs)[conv.name]
    np.testing.assert_array_equal(outputs, model.run(*inputs)["op"])
    np.testing.assert_array_equal(outputs, run_tflm(data, inputs))


@pytest.mark.parametrize("code", ["SQUEEZE", "EXPAND_DIMS"])
def test_other_reshapes_are_aliases(code):
    file = build(case("flatten" if code == "SQUEEZE" else "reshape"))
    number = getattr(schema.BuiltinOperator, code)
    file.operatorCodes[0].builtinCode = file.operatorCodes[0].deprecatedBuiltinCode = number
    file.subgraphs[0].operators[0].builtinOptionsType = 0
    file.subgraphs[0].operators[0].builtinOptions = None
    (node,) = reloaded(pack(file), "single").graph.nodes
    assert node.op == (Flatten() if code == "SQUEEZE" else Reshape(target=(6, 4, 7)))


def test_the_shape_of_a_reshape_may_be_computed():
    """SHAPE → … → RESHAPE, as Keras' Flatten is exported: the declared shape is what counts."""
    file = build(case("flatten"))
    graph = file.subgraphs[0]
    shape_tensor = graph.operators[0].inputs[1]
    graph.tensors[shape_tensor].buffer = 0
    code = schema.BuiltinOperator.SHAPE
    file.operatorCodes.append(schema.OperatorCodeT(builtinCode=code, deprecatedBuiltinCode=code))
    graph.operators.insert(0, schema.OperatorT(opcodeIndex=1, inputs=[graph.inputs[0]], outputs=[shape_tensor]))
    (node,) = reloaded(pack(file), "single").graph.nodes
    assert node.op == Flatten()


def test_dense_that_keeps_dimensions_is_followed_by_reshape():
    file = build(case("dense_of_map"))
    graph = file.subgraphs[0]
    graph.operators[0].builtinOptions.keepNumDims = True
    graph.tensors[graph.outputs[0]].shape = [1, 1, 1, 5]
    data = pack(file)
    loaded = reloaded(data, "single")
    assert [type(node.op) for node in loaded.graph.nodes] == [Dense, Reshape]
    assert loaded.graph.shapes[loaded.graph.outputs[0]] == (1, 1, 5)
    inputs = random_inputs(loaded)
    np.testing.assert_array_equal(loaded.run(*inputs)[loaded.graph.outputs[0]], run_tflm(data, inputs))


def test_padv2_that_pads_with_zero_is_pad():
    model = case("pad")
    file = build(model)
    graph = file.subgraphs[0]
    number = schema.BuiltinOperator.PADV2
    file.operatorCodes[0].builtinCode = file.operatorCodes[0].deprecatedBuiltinCode = number
    graph.operators[0].builtinOptionsType = schema.BuiltinOptions.PadV2Options
    graph.operators[0].builtinOptions = schema.PadV2OptionsT()
    file.buffers.append(schema.BufferT(data=np.array([A.zero_point], np.int8).view(np.uint8)))
    constant = schema.TensorT(name="zero", shape=[1], type=schema.TensorType.INT8, buffer=len(file.buffers) - 1)
    constant.quantization = graph.tensors[graph.inputs[0]].quantization
    graph.tensors.append(constant)
    graph.operators[0].inputs = [*graph.operators[0].inputs, len(graph.tensors) - 1]
    data = pack(file)
    loaded = reloaded(data, "single")
    assert loaded.graph == model.graph
    inputs = random_inputs(loaded)
    np.testing.assert_array_equal(loaded.run(*inputs)["op"], run_tflm(data, inputs))


def test_axes_may_count_from_the_end():
    model = case("mean")
    file = build(model)
    axes = file.subgraphs[0].tensors[file.subgraphs[0].operators[0].inputs[1]]
    file.buffers[axes.buffer].data = np.array([-2, -3], np.int32).view(np.uint8)
    assert reloaded(pack(file), "single").graph == model.graph
    model = case("concat")
    file = build(model)
    file.subgraphs[0].operators[0].builtinOptions.axis = -1
    assert reloaded(pack(file), "single").graph == model.graph


def test_a_slice_may_drop_an_axis_and_count_from_the_end():
    file = build(case("strided_slice"))
    graph = file.subgraphs[0]
    options, tensors = graph.operators[0].builtinOptions, graph.tensors
    bounds = {"begin": [0, -3, 0, -2], "end": [0, 7, -1, 9], "strides": [1, 1, 2, 1]}
    for name, values in bounds.items():
        (tensor,) = (each for each in tensors if each.name == f"op/{name}")
        file.buffers[tensor.buffer].data = np.array(values, np.int32).view(np.uint8)
    options.beginMask, options.endMask, options.shrinkAxisMask = 0b0101, 0b0001, 0b0010
    tensors[graph.outputs[0]].shape = [1, 3, 2]
    data = pack(file)
    loaded = reloaded(data, "single")
    cut, reshape = loaded.graph.nodes
    assert cut.op == Slice(begin=(4, 0, 2), size=(1, 3, 2), step=(1, 2, 1))
    assert reshape.op == Reshape(target=(3, 2))
    inputs = random_inputs(loaded)
    np.testing.assert_array_equal(loaded.run(*inputs)[reshape.name], run_tflm(data, inputs))


def test_a_slice_may_take_the_rest_of_an_axis():
    model = case("slice")
    file = build(model)
    sizes = file.subgraphs[0].tensors[file.subgraphs[0].operators[0].inputs[2]]
    file.buffers[sizes.buffer].data = np.array([-1, 3, -1, -1], np.int32).view(np.uint8)
    assert reloaded(pack(file), "single").graph == model.graph


def test_one_slope_for_all_channels():
    model = case("prelu")
    file = build(model)
    slopes = file.subgraphs[0].tensors[file.subgraphs[0].operators[0].inputs[1]]
    slopes.shape = [1, 1, 1]
    file.buffers[slopes.buffer].data = np.array([-77], np.int8).view(np.uint8)
    data = pack(file)
    loaded = reloaded(data, "single")
    assert loaded.weights["op.slope"].tolist() == [-77] * 4
    inputs = random_inputs(loaded)
    np.testing.assert_array_equal(loaded.run(*inputs)["op"], run_tflm(data, inputs))


def test_a_requantization_that_changes_nothing_is_left_out():
    model = case("relu")
    file = build(model)
    graph = file.subgraphs[0]
    graph.tensors.append(schema.TensorT(name="same", shape=[1, 7, 6, 4], type=schema.TensorType.INT8))
    graph.tensors[-1].quantization = graph.tensors[graph.outputs[0]].quantization
    code = schema.BuiltinOperator.QUANTIZE
    file.operatorCodes.append(schema.OperatorCodeT(builtinCode=code, deprecatedBuiltinCode=code))
    graph.operators.append(schema.OperatorT(opcodeIndex=1, inputs=graph.outputs, outputs=[len(graph.tensors) - 1]))
    graph.outputs = [len(graph.tensors) - 1]
    assert reloaded(pack(file), "single").graph == model.graph


def test_every_supported_operator_is_documented_and_known():
    for code, function in SUPPORTED.items():
        assert code in BUILTIN_OPERATORS
        assert function.__doc__
        assert function.__doc__.splitlines()[0].endswith(".")


def test_builtin_operators_are_those_of_the_schema():
    numbers = {name: value for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}
    assert {name: number for number, name in enumerate(BUILTIN_OPERATORS)} == numbers


def test_batch_shape_signature_is_accepted():
    model: Model = case("conv2d")
    file = build(model)
    for tensor in file.subgraphs[0].tensors:
        if tensor.name in ("input0", "op"):
            tensor.shapeSignature = [-1, *tensor.shape[1:]]
    assert reloaded(pack(file), "single").graph == model.graph
