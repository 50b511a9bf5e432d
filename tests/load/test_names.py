"""Node names from the names that converters give to tensors."""

import pytest

from millijoule.load.names import identifier, layer_path, node_names, unique


@pytest.mark.parametrize(
    ("code", "output", "weight", "path"),
    [
        ("CONV_2D", "model/activation/Relu;model/bn/FusedBatchNormV3;model/conv2d_2/Conv2D", "model/conv2d/Conv2D",
         ("model", "conv2d")),
        ("DEPTHWISE_CONV_2D", "m/act/Relu;m/bn/FusedBatchNormV3;m/dw_1/depthwise;m/conv/Conv2D1",
         "m/bn/FusedBatchNormV3;m/dw_1/depthwise;m/dw_1/BiasAdd", ("m", "dw_1")),
        ("CONV_2D", "a/b/Relu6", "a/b/Conv2D_Fold;a/b/weights_quant/FakeQuantWithMinMaxVars", ("a", "b")),
        ("FULLY_CONNECTED", "StatefulPartitionedCall:0", "sequential/dense_2/MatMul", ("sequential", "dense_2")),
        ("ADD", "model/activation_2/Relu;model/add/add", "", ("model", "add")),
        ("ADD", "StatefulPartitionedCall/block/add/AddV2", "", ("block", "add")),
        ("SOFTMAX", "Identity", "", ()),
        ("SOFTMAX", "StatefulPartitionedCall:01", "", ()),
        ("SOFTMAX", "Identity_int8", "", ()),
        ("CONV_2D", "MobilenetV1/Conv2d_0/Relu6", "MobilenetV1/Conv2d_0/weights/read", ("MobilenetV1", "Conv2d_0")),
        ("CONV_2D", "c1", "c1/weight", ("c1",)),
        ("RELU", "relu", "", ("relu",)),
        ("CONV_2D", "", "", ()),
    ],
)  # fmt: skip
def test_the_layer_is_found_in_the_tensor_names(code, output, weight, path):
    assert layer_path(code, output, weight) == path


def test_shared_scopes_are_left_out():
    paths = [("Net", "Net", "conv_0"), ("Net", "Net", "conv_1"), ("Net", "Net", "conv_2"), ("Net", "Logits", "pool")]
    assert node_names(paths, ["X"] * 4) == ["conv_0", "conv_1", "conv_2", "logits_pool"]
    paths = [("net", "block_1", "expand"), ("net", "block_1", "project"), ("net", "block_2", "expand"), ("softmax",)]
    assert node_names(paths, ["X"] * 4) == ["block_1_expand", "block_1_project", "block_2_expand", "softmax"]


def test_names_are_identifiers_unique_and_never_empty():
    paths = [("a.b te/x",), ("A.B te_x",), (), (), ("1178_te",), ("input",), ("ü",)]
    codes = ["ADD", "ADD", "CONV_2D", "CONV_2D", "PAD", "ADD", "MUL"]
    names = node_names(paths, codes, taken=["input"])
    assert names == ["a_b_te_x", "a_b_te_x_2", "conv_2d", "conv_2d_2", "pad_1178_te", "input_2", "mul"]


def test_long_names_keep_their_end():
    (name,) = node_names([("x" * 100 + "end",)], ["ADD"])
    assert len(name) == 40
    assert name.endswith("end")


def test_identifier_and_unique():
    assert identifier("model-v1.0 (final)") == "model_v1_0_final_"
    used = {"a", "a_2"}
    assert unique("a", used) == "a_3"
    assert used == {"a", "a_2", "a_3"}
