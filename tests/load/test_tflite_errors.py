"""What the format allows and a network of fixed structure does not have: one line that names it."""

import re
from collections.abc import Callable

import numpy as np
import pytest

from millijoule.cost import cost
from millijoule.deploy import deploy
from millijoule.errors import MillijouleError, ModelError
from millijoule.export.tflite import to_tflite
from millijoule.load.tflite.file import BUILTIN_OPERATORS as CODES
from millijoule.ops import Opaque
from millijoule.plan import plan
from tests.load.cases import case, float_case, reloaded
from tests.load.test_tflite_models import add_quantize_and_dequantize
from tests.networks import small_int8_model
from tests.tflite_writer import build, pack, schema


def refusal(data: bytes) -> str:
    with pytest.raises(ModelError) as error:
        reloaded(data, "single")
    message = str(error.value)
    assert message.startswith("test.tflite: ")
    assert "\n" not in message
    return message


def tensor(file, name: str):
    return next(tensor for tensor in file.subgraphs[0].tensors if tensor.name == name)


def operator(file, index: int = 0):
    return file.subgraphs[0].operators[index]


def constant(file, name: str, values) -> None:
    file.buffers[tensor(file, name).buffer].data = np.frombuffer(np.asarray(values).tobytes(), np.uint8)


def another_code(file, name: str, index: int = 0) -> None:
    number = getattr(schema.BuiltinOperator, name)
    file.operatorCodes.append(schema.OperatorCodeT(builtinCode=number, deprecatedBuiltinCode=min(number, 127)))
    operator(file, index).opcodeIndex = len(file.operatorCodes) - 1


def set_shape(name: str, *shape: int) -> Callable:
    return lambda file: setattr(tensor(file, name), "shape", list(shape))


def set_signature(name: str, *shape: int) -> Callable:
    return lambda file: setattr(tensor(file, name), "shapeSignature", list(shape))


def set_scale(name: str, *scales: float) -> Callable:
    return lambda file: setattr(tensor(file, name).quantization, "scale", list(scales))


def set_zero_point(name: str, *points: int) -> Callable:
    return lambda file: setattr(tensor(file, name).quantization, "zeroPoint", list(points))


def set_type(name: str, kind: str) -> Callable:
    return lambda file: setattr(tensor(file, name), "type", getattr(schema.TensorType, kind))


def set_option(option: str, value: object) -> Callable:
    return lambda file: setattr(operator(file).builtinOptions, option, value)


def drop_quantization(name: str) -> Callable:
    return lambda file: setattr(tensor(file, name), "quantization", None)


def compute_constant(name: str) -> Callable:
    return lambda file: setattr(tensor(file, name), "buffer", 0)


def make_sparse(file) -> None:
    tensor(file, "op/weight").sparsity = schema.SparsityParametersT(traversalOrder=[0, 1, 2, 3])


def make_custom(file) -> None:
    custom = schema.BuiltinOperator.CUSTOM
    file.operatorCodes[0] = schema.OperatorCodeT(builtinCode=custom, deprecatedBuiltinCode=custom, customCode="MyOp")


def two_subgraphs(file) -> None:
    file.subgraphs.append(file.subgraphs[0])


def outside_data(file) -> None:
    file.buffers[1].offset, file.buffers[1].size, file.buffers[1].data = 4096, 16, None


def add_a_constant(file) -> None:
    file.buffers.append(schema.BufferT(data=np.zeros(168, np.uint8)))
    tensor(file, "input1").buffer = len(file.buffers) - 1
    file.subgraphs[0].inputs.pop()


def no_operators(file) -> None:
    file.subgraphs[0].operators = []


def unread_input(file) -> None:
    graph = file.subgraphs[0]
    graph.tensors.append(schema.TensorT(name="unread", shape=[1, 3], type=schema.TensorType.INT8))
    graph.inputs.append(len(graph.tensors) - 1)


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("conv2d", set_signature("input0", -1, -1, 6, 4), ["input0", "dynamic shape (-1, -1, 6, 4)", "fixed"]),
        ("conv2d", set_shape("input0", 1, -1, 6, 4), ["input0", "dynamic"]),
        ("conv2d", set_shape("input0", 2, 7, 6, 4), ["input0", "batch 2"]),
        ("conv2d", set_shape("input0", 1, 1, 7, 6, 4), ["input0", "5 dimensions"]),
        ("conv2d", set_shape("op", 1, 5, 5, 5), ["operator 0 CONV_2D", "(5, 4, 5)", "(5, 5, 5)"]),
        ("conv2d", set_shape("op/weight", 5, 3, 3, 2), ["operator 0 CONV_2D", "op/weight", "180 bytes"]),
        ("conv2d", set_shape("op/bias", 4), ["op/bias", "20 bytes"]),
        ("conv2d", set_type("input0", "INT16"), ["input0", "int16", "int8, uint8 and float32"]),
        ("conv2d", set_type("op", "FLOAT32"), ["operator 0 CONV_2D", "float32", "int8 throughout"]),
        ("conv2d", set_type("op/weight", "INT4"), ["op/weight", "int4"]),
        ("conv2d", drop_quantization("input0"), ["input0", "without a scale", "full integer quantization"]),
        ("conv2d", drop_quantization("op/weight"), ["op/weight", "without a scale"]),
        ("conv2d", set_scale("input0", 0.1, 0.2), ["input0", "2 scales"]),
        ("conv2d", set_scale("input0", float("nan")), ["input0", "scale nan"]),
        ("conv2d", set_scale("op", float("inf")), ["'op'", "scale inf"]),
        ("conv2d", set_scale("op", -0.5), ["'op'", "scale -0.5"]),
        ("conv2d", set_scale("op", 0.0), ["'op'", "scale 0"]),
        ("conv2d", set_zero_point("op", 200), ["'op'", "zero point 200"]),
        ("conv2d", set_scale("op/weight", 0.1, 0.2), ["op/weight", "2 scales", "5"]),
        ("conv2d", set_zero_point("op/weight", 0, 0, 1, 0, 0), ["op/weight", "zero points 0 to 1"]),
        ("conv2d", set_zero_point("op/weight", *[3] * 5), ["zero point 3", "need 0"]),
        ("conv2d", make_sparse, ["op/weight", "sparse"]),
        ("conv2d", outside_data, ["op/weight", "outside"]),
        ("conv2d", set_option("strideH", 0), ["operator 0 CONV_2D", "stride is (0, 1)"]),
        ("conv2d", set_option("dilationWFactor", -1), ["dilation is (1, -1)"]),
        ("conv2d", set_shape("input0", 1, 2, 6, 4), ["operator 0 CONV_2D", "3 rows"]),
        ("conv2d", set_shape("input0", 1, 7, 6, 3), ["weights for 4 input channels", "3"]),
        ("conv2d", set_shape("input0", 1, 168), ["(168,)", "height, width, channels"]),
        ("conv2d", lambda file: setattr(operator(file), "outputs", [3, 1]), ["2 outputs"]),
        ("conv2d", lambda file: setattr(operator(file), "inputs", [0]), ["1 inputs", "2 to 3"]),
        ("conv2d", lambda file: setattr(operator(file), "inputs", [0, 99, 2]), ["reads tensor 99 of 4"]),
        ("conv2d", lambda file: setattr(operator(file), "outputs", [77]), ["writes tensor 77 of 4"]),
        ("conv2d", lambda file: setattr(file.subgraphs[0], "inputs", []), ["no earlier operator computes"]),
        ("conv2d", lambda file: setattr(file.subgraphs[0], "outputs", [99]), ["tensor 99 of 4"]),
        ("conv2d", lambda file: setattr(file.subgraphs[0], "outputs", []), ["no operators"]),
        ("conv2d", no_operators, ["no operators"]),
        ("conv2d", two_subgraphs, ["2 subgraphs", "control flow"]),
        ("conv2d", unread_input, ["unread", "read by no operator"]),
        ("conv2d", lambda file: setattr(file, "version", 2), ["version 2"]),
        ("conv2d", lambda file: setattr(tensor(file, "op"), "isVariable", True), ["variable"]),
        ("depthwise", set_shape("input0", 1, 7, 6, 3), ["DEPTHWISE_CONV_2D", "3 channels"]),
        ("max_pool", set_scale("op", 0.3), ["MaxPool2d", "0.05", "0.3"]),
        ("conv_transpose", set_option("strideH", 0), ["TRANSPOSE_CONV", "stride is (0, 2)"]),
        ("conv_transpose", set_zero_point("op/weight", *[3] * 3), ["zero point 3", "need 0"]),
        ("resize_nearest", set_option("halfPixelCenters", True), ["aligns corners and centres pixels at once"]),
        ("slice", lambda file: constant(file, "op/1", np.array([1, 9, 6, 2], np.int32)), ["(9, 6, 2)", "(7, 6, 4)"]),
        ("hard_swish", set_scale("op", 1e-6), ["HardSwish", "too small"]),
        ("depth_to_space", set_option("blockSize", 3), ["4 channels cannot fill"]),
        ("average_pool", set_option("filterHeight", 9), ["AVERAGE_POOL_2D", "9 rows"]),
        ("add", set_scale("op", 1e-9), ["Add", "too small"]),
        ("softmax", set_scale("op", 0.1), ["output scale 0.1", "0.00390625"]),
        ("sigmoid", set_zero_point("op", 0), ["LOGISTIC", "zero point 0", "-128"]),
        ("tanh", set_scale("op", 0.1), ["TANH", "0.0078125"]),
        ("relu6", set_scale("op", 0.3), ["Relu6", "0.3"]),
        ("pad", lambda file: constant(file, "op/padding", -np.eye(4, 2, -1, dtype=np.int32)), ["padding is ((-1, 0)"]),
        ("reshape", set_shape("op", 1, 6, 4, 6), ["168", "144"]),
        ("reshape", set_shape("op", 6, 4, 7), ["batch 6"]),
    ],
)  # fmt: skip
def test_is_refused_in_one_line(name, change, words):
    file = build(case(name))
    change(file)
    message = refusal(pack(file))
    for word in words:
        assert word in message


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("conv2d", compute_constant("op/weight"), ["op/weight", "computed at run time"]),
        ("conv2d", set_option("padding", 7), ["padding number 7", "same, valid"]),
        ("conv2d", set_option("fusedActivationFunction", 4), ["fused activation number 4", "relu6"]),
        ("dense", set_shape("input0", 1, 3, 9), ["weights for 9 inputs", "(3, 9)"]),
        ("dense", set_option("weightsFormat", 1), ["shuffled"]),
        ("mean", lambda file: constant(file, "op/axes", np.array([1, 3], np.int32)), ["axes [1, 3] of 4", "follow"]),
        ("mean", lambda file: constant(file, "op/axes", np.array([0, 2], np.int32)), ["axes [0, 2] of 4", "batch"]),
        ("transpose", lambda file: constant(file, "op/0", np.array([1, 0, 2, 3], np.int32)), ["[1, 0, 2, 3]", "batch"]),
        ("mean", compute_constant("op/axes"), ["op/axes", "computed at run time"]),
        ("add", set_shape("input1", 1, 7, 6, 1), ["(7, 6, 4)", "(7, 6, 1)"]),
        ("add", add_a_constant, ["'input1' is a constant of shape (1, 7, 6, 4); one number"]),
        ("softmax", set_option("beta", 0.5), ["beta 0.5"]),
        ("prelu", set_shape("op/slope", 1, 4, 1), ["slopes of shape (1, 4, 1)", "4 channels"]),
        ("strided_slice", set_option("newAxisMask", 1), ["4 axes", "new axes are not supported"]),
        ("strided_slice", lambda file: constant(file, "op/strides", np.array([1, -1, 1, 1], np.int32)), ["of -1"]),
        ("strided_slice", lambda file: constant(file, "op/begin", np.array([1, 0, 0, 0], np.int32)), ["the batch"]),
        ("slice", lambda file: constant(file, "op/0", np.array([1, 0, 0, 0], np.int32)), ["the batch must stay whole"]),
        ("global_max_pool", lambda file: constant(file, "op/0", np.array([1, 3], np.int32)), ["axes [1, 3] of 4"]),
        ("pad", lambda file: constant(file, "op/padding", np.ones((4, 2), np.int32)), ["height and width alone"]),
        ("concat", set_option("axis", 1), ["axis 1 of 4"]),
        ("concat", set_option("axis", -9), ["axis -9 of 4"]),
    ],
)  # fmt: skip
def test_a_form_that_is_not_known_is_not_counted(name, change, words):
    file = build(case(name))
    code = CODES[file.operatorCodes[0].builtinCode]
    change(file)
    model = reloaded(pack(file), "single")
    (node,) = model.graph.nodes
    assert isinstance(node.op, Opaque)
    assert cost(model).not_counted == {"op": code}
    for word in words:
        assert word in node.op.reason
    message = f"not supported: 'op' ({code}: {node.op.reason}); it can be costed but not run"
    with pytest.raises(ModelError, match=re.escape(message)):
        plan(model)


@pytest.mark.parametrize("change", ["EXP", "STABLEHLO_ADD", "CUSTOM 'MyOp'"])
@pytest.mark.parametrize("make", [case, float_case])
def test_an_operator_that_is_not_known_is_not_counted(make, change):
    file = build(make("conv2d"))
    if change.startswith("CUSTOM"):
        make_custom(file)
    else:
        another_code(file, change)
    model = reloaded(pack(file), "single")
    (node,) = model.graph.nodes
    assert node.op == Opaque(operator=change, output=(5, 4, 5), arrays=node.op.arrays)
    assert [shape for _, shape in node.op.arrays] == ([] if model.is_int8 else [(5, 3, 3, 4), (5,)])
    costs = cost(model)
    assert costs.not_counted == {"op": change}
    assert costs.at_least


def test_what_follows_an_unknown_operator_is_counted():
    """Also operators with several results, of types and shapes that no other operator takes."""
    model = small_int8_model()
    file = build(model)
    another_code(file, "COS", 2)
    graph = file.subgraphs[0]
    number = schema.BuiltinOperator.TOPK_V2
    file.operatorCodes.append(schema.OperatorCodeT(builtinCode=number, deprecatedBuiltinCode=number))
    for name, shape, kind in (("best", [1, 2], "INT8"), ("unread", [1, 2], "INT32"), ("where", [3, 2], "INT32")):
        graph.tensors.append(schema.TensorT(name=name, shape=shape, type=getattr(schema.TensorType, kind)))
    results = [len(graph.tensors) - 3, len(graph.tensors) - 2, len(graph.tensors) - 1]
    graph.operators.append(
        schema.OperatorT(opcodeIndex=len(file.operatorCodes) - 1, inputs=graph.outputs, outputs=results)
    )
    graph.outputs = [results[0], results[2]]
    loaded = reloaded(pack(file), "small")
    assert [node.op for node in loaded.graph.nodes[:-2] if not isinstance(node.op, Opaque)] == [
        node.op for index, node in enumerate(model.graph.nodes) if index != 2
    ]
    assert [loaded.graph.shapes[name] for name in loaded.graph.outputs] == [(2,), (3, 2)]
    costs = cost(loaded)
    assert list(costs.not_counted.values()) == ["COS", "TOPK_V2", "TOPK_V2"]
    assert 0 < costs.macs <= cost(model).macs
    with pytest.raises(ModelError, match=r"COS.*TOPK_V2.*can be costed but not run"):
        deploy(loaded, "host")


@pytest.mark.parametrize("shape", [[1, -1, 4, 5], [1, 0, 4, 5]])
def test_an_unknown_operator_of_an_unknown_shape(shape):
    file = build(case("conv2d"))
    another_code(file, "WHERE")
    tensor(file, "op").shape = shape
    message = refusal(pack(file))
    assert f"operator 0 WHERE: is not known, nor is the shape of its output 'op', {tuple(shape)}" in message


def test_operators_that_no_output_needs_do_not_matter():
    file = build(case("conv2d"))
    graph = file.subgraphs[0]
    graph.tensors.append(schema.TensorT(name="dead", shape=[1, 5, 4, 5], type=schema.TensorType.INT16))
    graph.operators.append(schema.OperatorT(inputs=graph.outputs, outputs=[len(graph.tensors) - 1]))
    another_code(file, "EXP", 1)
    assert len(reloaded(pack(file), "single").graph.nodes) == 1


def test_float_inside_an_int8_network():
    file = build(case("relu"))
    add_quantize_and_dequantize(file)
    graph = file.subgraphs[0]
    graph.tensors.append(schema.TensorT(name="more", shape=[1, 7, 6, 4], type=schema.TensorType.FLOAT32))
    graph.operators.append(schema.OperatorT(inputs=graph.outputs, outputs=[len(graph.tensors) - 1]))
    graph.outputs = [len(graph.tensors) - 1]
    another_code(file, "LOGISTIC", 3)
    message = refusal(pack(file))
    assert "operator 3 LOGISTIC" in message
    assert "int8 throughout or float32 throughout" in message


def test_int8_weights_in_a_float_file_need_their_scale():
    file = build(float_case("conv2d"))
    set_type("op/weight", "INT8")(file)
    constant(file, "op/weight", np.ones((5, 3, 3, 4), np.int8))
    assert "without a scale" in refusal(pack(file))


@pytest.mark.parametrize("name", ["op/weight", "op/bias"])
def test_weights_that_are_not_numbers(name):
    file = build(float_case("conv2d"))
    data = file.buffers[tensor(file, name).buffer].data.copy()
    data.view(np.float32)[3] = np.nan
    file.buffers[tensor(file, name).buffer].data = data
    assert "NaN or infinity" in refusal(pack(file))


def test_every_truncation_is_refused_or_harmless():
    """Cut at every 16th byte: nothing but a model or an error that names the byte."""
    data = to_tflite(small_int8_model())
    refused = 0
    for length in range(8, len(data), 16):
        try:
            reloaded(data[:length], "small")
        except ModelError as error:
            refused += "truncated or corrupted" in str(error)
    assert refused > 0.9 * len(range(8, len(data), 16))


@pytest.mark.parametrize("seed", range(4))
def test_changed_bytes_give_a_model_or_an_error(seed):
    """A few hundred copies with bytes changed, most of them in the file's structures rather than in weights."""
    data = np.frombuffer(to_tflite(small_int8_model()), np.uint8)
    rng = np.random.default_rng(seed)
    models, messages = 0, []
    for _ in range(150):
        changed = data.copy()
        for position in rng.integers(len(data), size=rng.integers(1, 5)):
            flip = np.uint8(1 << rng.integers(8))
            changed[position] = changed[position] ^ flip if rng.random() < 0.5 else rng.choice([0, 1, 127, 128, 255])
        try:
            models += bool(reloaded(changed.tobytes(), "small").graph.nodes)
        except MillijouleError as error:
            messages.append(str(error))
    assert models + len(messages) == 150
    assert min(models, len(messages)) > 10
    assert all(message.startswith("test.tflite: ") and "\n" not in message for message in messages)
