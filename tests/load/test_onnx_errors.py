"""Bad ONNX files: one line that names file and node, never a traceback."""

import contextlib
import os

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

import millijoule
from millijoule.errors import ModelError
from tests.load.onnx_models import load, node, onnx_model, save

pytest.importorskip("onnxruntime")

MAP = [1, 6, 8, 7]
W = np.ones((4, 6, 3, 3), np.float32)


def small(**changes):
    return onnx_model([node("Conv", "x w", "c"), node("Relu", "c", "y")], **{"x": MAP, "constants": {"w": W}} | changes)


def refused(model_or_path, folder, *words, input_shape=None):
    path = model_or_path
    if isinstance(model_or_path, onnx.ModelProto):
        path = save(model_or_path, folder / "net.onnx")
    with pytest.raises(ModelError) as refusal:
        millijoule.load(path, input_shape)
    text = str(refusal.value)
    assert "\n" not in text
    assert "net.onnx" in text
    for word in words:
        assert word in text, text


def test_cycles(tmp_path):
    nodes = [node("Add", "x b", "a"), node("Relu", "a", "b"), node("Relu", "b", "y")]
    refused(onnx_model(nodes, MAP), tmp_path, "Add 'add_a'", "reads 'b'", "cyclic")


def test_names_that_nothing_computes_and_names_computed_twice(tmp_path):
    refused(onnx_model([node("Relu", "z", "y")], MAP), tmp_path, "Relu 'relu_y'", "reads 'z', which nothing computes")
    nodes = [node("Relu", "x", "y"), node("Tanh", "x", "y")]
    refused(onnx_model(nodes, MAP), tmp_path, "Tanh", "computes 'y'")


def test_truncated_files(tmp_path):
    data = small().SerializeToString()
    for size in (1, 10, len(data) // 2, len(data) - 1):
        path = tmp_path / "net.onnx"
        path.write_bytes(data[:size])
        refused(path, tmp_path)


def test_no_outputs_no_nodes_no_inputs(tmp_path):
    model = small()
    del model.graph.output[:]
    refused(model, tmp_path, "no outputs")
    refused(onnx_model([], MAP, outputs=("x",)), tmp_path, "holds no network")
    model = onnx_model([node("Relu", "w", "y")], MAP, constants={"w": W})
    del model.graph.input[:]
    refused(model, tmp_path, "no input")
    refused(onnx_model([node("Relu", "w", "y")], MAP, constants={"w": W}), tmp_path, "output 'y' does not depend")


def test_dynamic_axes_need_a_shape(tmp_path):
    model = onnx_model([node("GlobalAveragePool", "x", "y")], ["batch", 3, "height", None])
    refused(model, tmp_path, "input 'x' has dynamic axes ('height', one without a name)", "--shape 1x3x224x224")
    loaded = load(model, tmp_path, (1, 3, 10, 12))
    assert loaded.graph.inputs[0].shape == (10, 12, 3)
    refused(model, tmp_path, "4 axes; --shape gives 3", input_shape=(3, 10, 12))
    batch = onnx_model([node("Relu", "x", "y")], ["batch", 3, 4, 5])
    assert load(batch, tmp_path).graph.inputs[0].shape == (4, 5, 3)


def test_two_inputs_take_no_single_shape(tmp_path):
    model = onnx_model([node("Add", "x z", "y")], MAP, z=MAP)
    refused(model, tmp_path, "has 2 inputs", input_shape=(1, 6, 8, 7))


@pytest.mark.parametrize("size", [0, -1, -7])
def test_sizes_below_one(size, tmp_path):
    refused(onnx_model([node("Relu", "x", "y")], [1, 3, size, 5]), tmp_path, "input 'x' has", "1 or more")
    refused(small(), tmp_path, "every size must be 1 or more", input_shape=(1, 6, size, 7))


def test_a_batch(tmp_path):
    model = onnx_model([node("Relu", "x", "y")], [8, 3, 4, 5])
    refused(model, tmp_path, "batch 8", "--shape 1x3x4x5")
    assert load(model, tmp_path, (1, 3, 4, 5)).graph.inputs[0].shape == (4, 5, 3)


def test_external_data(tmp_path):
    (expected,) = load(small(), tmp_path).weights.values()
    path = save(small(), tmp_path / "net.onnx", save_as_external_data=True, location="net.data", size_threshold=0)
    (loaded,) = millijoule.load(path).weights.values()
    np.testing.assert_array_equal(loaded, expected)
    data = tmp_path / "net.data"
    data.write_bytes(data.read_bytes()[:-8])
    refused(path, tmp_path)
    data.unlink()
    refused(path, tmp_path, "external data cannot be read", "net.data")


def test_external_data_outside_of_the_folder_is_not_read(tmp_path):
    (tmp_path / "inside").mkdir()
    (tmp_path / "secret").write_bytes(bytes(W.nbytes))
    model = small()
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", "../secret"), ("offset", "0"), ("length", str(W.nbytes))):
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value
    refused(model, tmp_path / "inside", "external data cannot be read")


def test_files_beyond_two_gigabytes(tmp_path):
    path = tmp_path / "net.onnx"
    with path.open("wb") as file:
        os.truncate(file.fileno(), 2**31 + 1)
    refused(path, tmp_path, "2147483649 bytes", "2147483647")


def test_damaged_tensors(tmp_path):
    model = small()
    model.graph.initializer[0].raw_data = b"1234"
    refused(model, tmp_path, "tensor 'w'", "(4, 6, 3, 3)", "damaged")
    model = small()
    model.graph.initializer[0].dims[0] = -4
    refused(model, tmp_path, "tensor 'w'", "0 or more")
    model = small(constants={"w": np.full_like(W, np.nan)})
    refused(model, tmp_path, "Conv 'conv_c'", "NaN or infinity")
    model = small()
    model.graph.initializer[0].data_type = TensorProto.STRING
    refused(model, tmp_path, "tensor 'w' holds text")


@pytest.mark.parametrize(
    ("nodes", "words"),
    [
        ([node("Conv", "x w", "y", strides=[0, 1])], ["Conv 'conv_y'", "strides [0, 1]"]),
        ([node("Conv", "x w", "y", strides=[1])], ["Conv 'conv_y'", "strides [1]"]),
        ([node("Conv", "x w", "y", pads=[-1, 0, 0, 0])], ["pads are [-1, 0, 0, 0]"]),
        ([node("Conv", "x w", "y", dilations=[9, 9])], ["Conv 'conv_y'", "the window reaches over"]),
        ([node("Conv", "x w", "y", group=4)], ["Conv 'conv_y'", "24 channels", "6"]),
        ([node("Conv", "x w", "y", group=1.5)], ["Conv 'conv_y'", "group is 1.5"]),
        ([node("Conv", "x w", "y", auto_pad="MAYBE")], ["auto_pad is 'MAYBE'"]),
        ([node("Gemm", "x w", "y")], ["Gemm 'gemm_y'", "a matrix is needed"]),
        ([node("Concat", "x x", "y", axis=7)], ["Concat", "axis 7"]),
        ([node("Reshape", "x s", "y")], ["Reshape 'reshape_y'", "(1, 6, 8, 7)", "[5, -1]"]),
        ([node("Squeeze", "x a", "y")], ["Squeeze", "do not all have size 1"]),
        ([node("MaxPool", "x", "y")], ["MaxPool 'maxpool_y'", "kernel_shape"]),
        ([node("MatMul", "x w2", "y")], ["MatMul 'matmul_y'", "(5, 4)"]),
        ([node("Add", "x c", "y")], ["Add 'add_y'", "broadcast"]),
        ([node("Bogus", "x", "y")], ["Bogus 'bogus_y'", "is not known"]),
        ([node("LinearClassifier", "x", "y", domain="ai.onnx.ml")], ["ai.onnx.ml.LinearClassifier", "not known"]),
        ([node("RandomNormal", "", "r", shape=[1]), node("Add", "x r", "y")], ["RandomNormal", "random"]),
        (
            [node("ConstantOfShape", "h", "k"), node("Add", "x k", "y")],
            ["ConstantOfShape 'constantofshape_k'", "1e+18", "most"],
        ),
    ],
)
def test_nodes_that_make_no_sense(nodes, words, tmp_path):
    constants = {
        "w": W,
        "w2": np.ones((4, 5), np.float32),
        "s": np.array([5, -1]),
        "a": np.array([1]),
        "c": np.ones((5, 1, 1), np.float32),
        "h": np.array([10**9, 10**9]),
    }
    used = {key: array for key, array in constants.items() if any(key in each.input for each in nodes)}
    refused(onnx_model(nodes, MAP, constants=used), tmp_path, *words)


def test_control_flow(tmp_path):
    branch = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["z"])], "b", [], [helper.make_tensor_value_info("z", 1, None)]
    )
    decide = helper.make_node("If", ["q"], ["y"], name="choose", then_branch=branch, else_branch=branch)
    refused(onnx_model([decide], MAP, constants={"q": np.array(True)}), tmp_path, "If 'choose'", "control flow")
    body = helper.make_graph([], "b", [], [])
    loop = helper.make_node("Loop", ["n", "", "x"], ["y"], name="again", body=body)
    refused(onnx_model([loop], MAP, constants={"n": np.array(3)}), tmp_path, "Loop 'again'", "control flow")


def test_functions_are_inlined(tmp_path):
    function = helper.make_function(
        "own",
        "Twice",
        ["a"],
        ["b"],
        [helper.make_node("Add", ["a", "a"], ["t"]), helper.make_node("Relu", ["t"], ["b"])],
        [helper.make_opsetid("", 13)],
    )
    model = onnx_model([node("Twice", "x", "y", domain="own")], MAP)
    model.functions.append(function)
    kinds = [type(each.op).__name__ for each in load(model, tmp_path).graph.nodes]
    assert kinds == ["Add", "Relu"]


def test_opsets(tmp_path):
    model = small()
    model.opset_import[0].version = 99
    refused(model, tmp_path, "opset 99", "supported")
    model.opset_import[0].version = 1
    refused(model, tmp_path, "opset 1", "supported")
    del model.opset_import[:]
    refused(model, tmp_path, "names no opset")


def test_opaque_operators_can_be_costed_but_not_run(tmp_path):
    model = load(onnx_model([node("Softplus", "x", "s"), node("Relu", "s", "y")], MAP), tmp_path)
    assert millijoule.cost(model).not_counted
    from millijoule.train.network import predict

    with pytest.raises(ModelError, match="Softplus"):
        predict(model, np.zeros((1, 8, 7, 6), np.float32))


def quantized_by_nothing():
    scale = {"s": np.float32(0.1), "z": np.int8(3)}
    nodes = [
        node("QuantizeLinear", "x s z", "q"),
        node("DequantizeLinear", "q s z", "d"),
        node("Conv", "d w", "y"),
    ]
    return onnx_model(nodes, MAP, constants=scale | {"w": W})


def test_quantization_must_be_whole(tmp_path):
    refused(quantized_by_nothing(), tmp_path, "has no QuantizeLinear behind it", "quantize the whole model")
    model = quantized_by_nothing()
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.float32(-1), "s"))
    refused(model, tmp_path, "QuantizeLinear 'quantizelinear_q'", "scale is [-1.0]")


@settings(max_examples=150, deadline=None, derandomize=True)
@given(position=st.integers(0, 10**6), byte=st.integers(0, 255))
def test_changed_bytes_end_in_a_model_or_an_error(position, byte, tmp_path_factory):
    nodes = [
        node("Conv", "x w", "c", strides=[2, 1], pads=[1, 1, 0, 0]),
        node("Shape", "c", "s"),
        node("Gather", "s i", "n", axis=0),
        node("Reshape", "c r", "f"),
        node("Softmax", "f", "y"),
        node("Relu", "n", "m"),
    ]
    w = np.ones((2, 3, 2, 2), np.float32)
    model = onnx_model(nodes, [1, 3, 5, 4], constants={"w": w, "i": np.array(0), "r": np.array([1, -1])})
    data = bytearray(model.SerializeToString())
    data[position % len(data)] = byte
    path = tmp_path_factory.mktemp("fuzz") / "net.onnx"
    path.write_bytes(bytes(data))
    with contextlib.suppress(ModelError):
        millijoule.load(path)
