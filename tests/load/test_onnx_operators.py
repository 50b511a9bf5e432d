"""Every ONNX operator against ONNX Runtime, over the opsets in which it changed."""

import numpy as np
import pytest

from millijoule.load.onnx import SUPPORTED
from millijoule.ops import (
    BatchNorm,
    Conv2d,
    Dense,
    Gelu,
    GlobalAveragePool,
    HardSwish,
    LayerNorm,
    Opaque,
    Relu6,
    Reshape,
    Swish,
    Transpose,
)
from tests.load.onnx_models import assert_equal_to_ort, load, node, onnx_model

pytest.importorskip("torch")
pytest.importorskip("onnxruntime")

RNG = np.random.default_rng(0)
MAP = [1, 6, 8, 7]
I64 = np.int64


def numbers(*shape):
    return RNG.standard_normal(shape, np.float32)


def ints(*values):
    return np.array(values, I64)


W = numbers(8, 6, 3, 3)
C = {"w": W, "b": numbers(8)}
NORM = {"s": numbers(6), "o": numbers(6), "m": numbers(6), "v": np.abs(numbers(6)) + 0.5}
SEQ = [1, 5, 12]

# name: (input shape, opsets, nodes, constants)
CASES = {
    "conv": (MAP, (9, 11, 22), [node("Conv", "x w b", "y", pads=[1, 0, 2, 1], strides=[2, 1])], C),
    "conv_dilated": (MAP, (9, 13), [node("Conv", "x w", "y", dilations=[2, 1])], C),
    "conv_same_upper": (MAP, (9, 13), [node("Conv", "x w b", "y", auto_pad="SAME_UPPER", strides=[3, 2])], C),
    "conv_same_lower": (MAP, (9, 13), [node("Conv", "x w b", "y", auto_pad="SAME_LOWER", strides=[3, 2])], C),
    "conv_valid": (MAP, (13,), [node("Conv", "x w b", "y", auto_pad="VALID")], C),
    "conv_depthwise": (MAP, (13,), [node("Conv", "x w", "y", group=6)], {"w": numbers(12, 1, 3, 3)}),
    "conv_grouped": (MAP, (13,), [node("Conv", "x w", "y", group=2)], {"w": numbers(4, 3, 3, 3)}),
    "conv_1d": ([1, 4, 20], (13,), [node("Conv", "x w", "y", pads=[1, 2], strides=[2])], {"w": numbers(5, 4, 3)}),
    "conv_transpose": (
        MAP,
        (11, 22),
        [node("ConvTranspose", "x w b", "y", strides=[2, 2], pads=[1, 0, 1, 1], output_padding=[1, 0])],
        {"w": numbers(6, 4, 3, 3), "b": numbers(4)},
    ),
    "conv_transpose_grouped": (
        MAP,
        (13,),
        [node("ConvTranspose", "x w", "y", group=2, dilations=[1, 2])],
        {"w": numbers(6, 2, 3, 2)},
    ),
    "conv_transpose_shape": (
        MAP,
        (13,),
        [node("ConvTranspose", "x w", "y", strides=[2, 2], output_shape=[16, 14])],
        {"w": numbers(6, 2, 3, 3)},
    ),
    "conv_transpose_same": (
        MAP,
        (13,),
        [node("ConvTranspose", "x w", "y", strides=[2, 2], auto_pad="SAME_UPPER")],
        {"w": numbers(6, 2, 3, 3)},
    ),
    "gemm": ([1, 12], (9, 11, 13), [node("Gemm", "x w b", "y", transB=1)], {"w": numbers(7, 12), "b": numbers(7)}),
    "gemm_scaled": (
        [1, 12],
        (13,),
        [node("Gemm", "x w b", "y", alpha=0.5, beta=2.0)],
        {"w": numbers(12, 7), "b": numbers(1, 7)},
    ),
    "gemm_of_rows": (
        SEQ,
        (13,),
        [node("Squeeze", "x axes", "z"), node("Gemm", "z w b", "y", transA=1)],
        {"axes": ints(0), "w": numbers(5, 7), "b": numbers(12, 1)},
    ),
    "gemm_of_values": (
        SEQ,
        (13,),
        [node("Squeeze", "x axes", "z"), node("Gemm", "z z z5", "y", transB=1, alpha=0.5, beta=0.25)],
        {"axes": ints(0), "z5": numbers(5, 5)},
    ),
    "flatten_gemm": (
        MAP,
        (9, 13),
        [node("Flatten", "x", "z"), node("Gemm", "z w b", "y", transB=1)],
        {"w": numbers(5, 336), "b": numbers(5)},
    ),
    "mat_mul": (SEQ, (9, 13), [node("MatMul", "x w", "y")], {"w": numbers(12, 7)}),
    "mat_mul_and_bias": (
        SEQ,
        (13,),
        [node("MatMul", "x w", "z"), node("Add", "b z", "y")],
        {"w": numbers(12, 7), "b": numbers(7)},
    ),
    "mat_mul_from_the_left": (SEQ, (13,), [node("MatMul", "w x", "y")], {"w": numbers(4, 5)}),
    "mat_mul_of_values": (
        SEQ,
        (13,),
        [node("Transpose", "x", "t", perm=[0, 2, 1]), node("MatMul", "x t", "y")],
        {},
    ),
    "batch_normalization": (
        MAP,
        (9, 14, 15),
        [node("BatchNormalization", "x s o m v", "y", epsilon=0.01)],
        NORM,
    ),
    "layer_normalization": (
        SEQ,
        (17,),
        [node("LayerNormalization", "x s o", "y", axis=-1, epsilon=0.01)],
        {"s": numbers(12), "o": numbers(12)},
    ),
    "layer_normalization_of_two_axes": (
        SEQ,
        (17,),
        [node("LayerNormalization", "x s", "y", axis=1)],
        {"s": numbers(5, 12)},
    ),
    "max_pool": (
        MAP,
        (9, 12),
        [node("MaxPool", "x", "y", kernel_shape=[3, 2], strides=[2, 1], pads=[1, 0, 0, 1])],
        {},
    ),
    "max_pool_ceil": (
        MAP,
        (10, 12),
        [node("MaxPool", "x", "y", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)],
        {},
    ),
    "max_pool_same": (
        MAP,
        (12,),
        [node("MaxPool", "x", "y", kernel_shape=[3, 3], strides=[2, 2], auto_pad="SAME_LOWER")],
        {},
    ),
    "max_pool_1d": ([1, 4, 20], (12,), [node("MaxPool", "x", "y", kernel_shape=[3], strides=[2])], {}),
    "average_pool": (
        MAP,
        (9, 11, 19),
        [node("AveragePool", "x", "y", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])],
        {},
    ),
    "average_pool_counting": (
        MAP,
        (9, 11, 19),
        [node("AveragePool", "x", "y", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], count_include_pad=1)],
        {},
    ),
    "average_pool_ceil": (
        MAP,
        (11, 19),
        [node("AveragePool", "x", "y", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)],
        {},
    ),
    "average_pool_of_all": (MAP, (11,), [node("AveragePool", "x", "y", kernel_shape=[8, 7])], {}),
    "global_average_pool": (MAP, (9, 13), [node("GlobalAveragePool", "x", "y")], {}),
    "global_max_pool": (MAP, (9, 13), [node("GlobalMaxPool", "x", "y")], {}),
    "lrn": (MAP, (9, 13), [node("LRN", "x", "y", size=3, alpha=0.6, beta=0.75, bias=2.0)], {}),
    "relu": (MAP, (9, 13, 14), [node("Relu", "x", "y")], {}),
    "clip_6": (MAP, (9, 10), [node("Clip", "x", "y", min=0.0, max=6.0)], {}),
    "clip_of_inputs": (MAP, (11, 13), [node("Clip", "x l h", "y")], {"l": np.float32(-0.5), "h": np.float32(1.0)}),
    "clip_below": (MAP, (13,), [node("Clip", "x l", "y")], {"l": np.float32(-0.5)}),
    "clip_above": (MAP, (9,), [node("Clip", "x", "y", max=0.25)], {}),
    "leaky_relu": (MAP, (9, 16), [node("LeakyRelu", "x", "y", alpha=0.3)], {}),
    "elu": (MAP, (9, 22), [node("Elu", "x", "y", alpha=0.7)], {}),
    "prelu": (MAP, (9, 16), [node("PRelu", "x s", "y")], {"s": numbers(6, 1, 1)}),
    "prelu_shared": (MAP, (9, 16), [node("PRelu", "x s", "y")], {"s": numbers(1)}),
    "sigmoid": (MAP, (9, 13), [node("Sigmoid", "x", "y")], {}),
    "hard_sigmoid": (MAP, (9, 22), [node("HardSigmoid", "x", "y")], {}),
    "hard_sigmoid_6": (MAP, (9, 22), [node("HardSigmoid", "x", "y", alpha=1 / 6, beta=0.5)], {}),
    "hard_swish": (MAP, (14, 22), [node("HardSwish", "x", "y")], {}),
    "tanh": (MAP, (9, 13), [node("Tanh", "x", "y")], {}),
    "gelu": (MAP, (20,), [node("Gelu", "x", "y")], {}),
    "softmax_old": (MAP, (9, 11), [node("Softmax", "x", "y", axis=1)], {}),
    "softmax_channels": (MAP, (13,), [node("Softmax", "x", "y", axis=1)], {}),
    "softmax_last": (SEQ, (9, 13), [node("Softmax", "x", "y", axis=-1)], {}),
    "softmax_rows": (SEQ, (13,), [node("Softmax", "x", "y", axis=1)], {}),
    "identity": (MAP, (9, 13), [node("Identity", "x", "z"), node("Relu", "z", "y")], {}),
    "dropout": (MAP, (9, 12, 13), [node("Dropout", "x", "z"), node("Relu", "z", "y")], {}),
    "cast": (MAP, (9, 13), [node("Cast", "x", "z", to=1), node("Relu", "z", "y")], {}),
    "reshape": (MAP, (9, 13), [node("Reshape", "x s", "y")], {"s": ints(0, 2, 3, -1)}),
    "transpose_reshape": (
        MAP,
        (13,),
        [node("Transpose", "x", "t", perm=[0, 2, 3, 1]), node("Reshape", "t s", "y")],
        {"s": ints(1, -1, 3)},
    ),
    "squeeze_attribute": (
        [1, 6, 1, 1],
        (9, 11),
        [node("Relu", "x", "r"), node("Squeeze", "r", "y", axes=[2, 3])],
        {},
    ),
    "squeeze": ([1, 6, 1, 1], (13,), [node("Relu", "x", "r"), node("Squeeze", "r a", "y")], {"a": ints(-1, 2)}),
    "unsqueeze_attribute": (
        [1, 6],
        (9, 11),
        [node("Unsqueeze", "x", "u", axes=[2, 3]), node("Relu", "u", "y")],
        {},
    ),
    "unsqueeze": ([1, 6], (13,), [node("Unsqueeze", "x a", "u"), node("Relu", "u", "y")], {"a": ints(2, 3)}),
    "concat": (MAP, (9, 13), [node("Relu", "x", "r"), node("Concat", "x r", "y", axis=1)], {}),
    "concat_rows": (MAP, (13,), [node("Relu", "x", "r"), node("Concat", "x r", "y", axis=-2)], {}),
    "split_attribute": (
        MAP,
        (9, 11),
        [node("Split", "x", "a b", axis=1, split=[2, 4]), node("Concat", "b a", "y", axis=1)],
        {},
    ),
    "split": (MAP, (13,), [node("Split", "x s", "a b", axis=1), node("Concat", "b a", "y", axis=1)], {"s": ints(2, 4)}),
    "split_equal": (MAP, (9, 13), [node("Split", "x", "a b c", axis=1), node("Add", "a c", "y")], {}),
    "split_number": (
        MAP,
        (18,),
        [node("Split", "x", "a b", axis=3, num_outputs=2), node("Concat", "b a", "y", axis=3)],
        {},
    ),
    "slice_attributes": (MAP, (9,), [node("Slice", "x", "y", axes=[1, 3], starts=[1, -3], ends=[4, 1000])], {}),
    "slice": (
        MAP,
        (10, 13),
        [node("Slice", "x s e a t", "y")],
        {"s": ints(1, 0), "e": ints(2**62, 6), "a": ints(2, -1), "t": ints(2, 3)},
    ),
    "gather": (MAP, (9, 13), [node("Gather", "x i", "y", axis=1)], {"i": ints(2, 0, -1)}),
    "gather_one": (MAP, (13,), [node("Gather", "x i", "y", axis=2)], {"i": np.array(3)}),
    "pad_attribute": (MAP, (9, 10), [node("Pad", "x", "y", pads=[0, 0, 1, 2, 0, 0, 0, 1])], {}),
    "pad": (MAP, (11, 13), [node("Pad", "x p", "y")], {"p": ints(0, 1, 1, 0, 0, 2, 0, 1)}),
    "pad_axes": (MAP, (18,), [node("Pad", "x p  a", "y")], {"p": ints(1, 2), "a": ints(3)}),
    "pad_negative": (MAP, (13,), [node("Pad", "x p", "y")], {"p": ints(0, 0, -1, 0, 0, 0, 1, -2)}),
    "expand": ([1, 6, 1, 1], (9, 13), [node("Expand", "x s", "y")], {"s": ints(1, 1, 4, 5)}),
    "tile": (MAP, (13,), [node("Tile", "x r", "y")], {"r": ints(1, 2, 1, 3)}),
    "depth_to_space": ([1, 12, 3, 4], (11, 13), [node("DepthToSpace", "x", "y", blocksize=2)], {}),
    "depth_to_space_crd": ([1, 12, 3, 4], (11, 13), [node("DepthToSpace", "x", "y", blocksize=2, mode="CRD")], {}),
    "space_to_depth": ([1, 3, 4, 6], (9, 13), [node("SpaceToDepth", "x", "y", blocksize=2)], {}),
    "reduce_mean_attribute": (MAP, (9, 13), [node("ReduceMean", "x", "y", axes=[2, 3], keepdims=0)], {}),
    "reduce_mean": (MAP, (18,), [node("ReduceMean", "x a", "y")], {"a": ints(-1, -2)}),
    "reduce_mean_of_all": (SEQ, (13,), [node("ReduceMean", "x", "y")], {}),
    "reduce_max": (MAP, (9, 13), [node("ReduceMax", "x", "y", axes=[1])], {}),
    "reduce_sum": (MAP, (13,), [node("ReduceSum", "x a", "y")], {"a": ints(2, 3)}),
    "radial_basis": (
        [1, 12],
        (18,),
        [node("Unsqueeze", "x a", "u"), node("Sub", "u c", "d"), node("ReduceSumSquare", "d b", "y", keepdims=0)],
        {"a": ints(1), "c": numbers(5, 12), "b": ints(2)},
    ),
    "upsample": (MAP, (9,), [node("Upsample", "x s", "y", mode="nearest")], {"s": np.float32([1, 1, 2, 3])}),
    "resize_10": (MAP, (10,), [node("Resize", "x s", "y", mode="nearest")], {"s": np.float32([1, 1, 2, 2])}),
    "resize_nearest": (
        MAP,
        (11, 13, 18),
        [node("Resize", "x r s", "y", coordinate_transformation_mode="asymmetric", nearest_mode="floor")],
        {"s": np.float32([1, 1, 2, 2]), "r": np.float32([])},
    ),
    "resize_nearest_half_pixel": (
        MAP,
        (13,),
        [node("Resize", "x   s", "y", nearest_mode="round_prefer_ceil")],
        {"s": ints(1, 6, 12, 11)},
    ),
    "resize_linear": (
        MAP,
        (11, 13),
        [node("Resize", "x r e s", "y", mode="linear")],
        {"s": ints(1, 6, 5, 11), "r": np.float32([]), "e": np.float32([])},
    ),
    "resize_linear_corners": (
        MAP,
        (13,),
        [node("Resize", "x   s", "y", mode="linear", coordinate_transformation_mode="align_corners")],
        {"s": ints(1, 6, 15, 3)},
    ),
    "add": (MAP, (9, 13, 14), [node("Relu", "x", "r"), node("Add", "x r", "y")], {}),
    "add_constant": (MAP, (13,), [node("Add", "c x", "y")], {"c": numbers(6, 1, 1)}),
    "sub": (MAP, (13,), [node("Relu", "x", "r"), node("Sub", "x r", "y")], {}),
    "sub_constant": (MAP, (13,), [node("Sub", "x c", "y")], {"c": numbers(1, 6, 1, 1)}),
    "sub_from_constant": (MAP, (13,), [node("Sub", "c x", "y")], {"c": numbers(7)}),
    "mul_gate": (
        MAP,
        (13,),
        [node("GlobalAveragePool", "x", "g"), node("Sigmoid", "g", "s"), node("Mul", "x s", "y")],
        {},
    ),
    "mul_constant": (MAP, (13,), [node("Mul", "x c", "y")], {"c": numbers(6, 8, 7)}),
    "div": (MAP, (13,), [node("Div", "x c", "y")], {"c": np.float32(4)}),
    "neg": (MAP, (13,), [node("Neg", "x", "y")], {}),
    "pow": (MAP, (13,), [node("Pow", "x c", "y")], {"c": np.float32(2)}),
    "sum": (MAP, (9, 13), [node("Relu", "x", "r"), node("Sum", "x r x", "y")], {}),
    "swish": ([1, 12], (24,), [node("Swish", "x", "y")], {}),
}


@pytest.mark.parametrize(("name", "opset"), [(name, opset) for name, case in CASES.items() for opset in case[1]])
def test_equals_onnx_runtime(name, opset, tmp_path):
    shape, _, nodes, constants = CASES[name]
    used = {key: array for key, array in constants.items() if any(key in n.input for n in nodes)}
    model = onnx_model(nodes, shape, opset=opset, constants=used)
    loaded = assert_equal_to_ort(model, tmp_path, shape)
    assert not any(isinstance(each.op, Opaque) for each in loaded.graph.nodes)


def test_every_supported_operator_is_tested_and_documented():
    tested = {each.op_type for _, _, nodes, _ in CASES.values() for each in nodes}
    assert set(SUPPORTED) - tested == {"QuantizeLinear", "DequantizeLinear"}
    for operator, function in SUPPORTED.items():
        assert function.__doc__, operator
        assert function.__doc__.splitlines()[0].endswith("."), operator


# What exporters write as several operators: (shape, opset, nodes, constants, what they are here)
IDIOMS = {
    "swish": (MAP, 13, [node("Sigmoid", "x", "s"), node("Mul", "x s", "y")], {}, [Swish]),
    "hard_swish": (
        MAP,
        13,
        [node("HardSigmoid", "x", "s", alpha=1 / 6, beta=0.5), node("Mul", "s x", "y")],
        {},
        [HardSwish],
    ),
    "hard_swish_written_out": (
        MAP,
        9,
        [
            node("Add", "x three", "a"),
            node("Clip", "a", "c", min=0.0, max=6.0),
            node("Mul", "x c", "m"),
            node("Div", "m six", "y"),
        ],
        {"three": np.float32(3), "six": np.float32(6)},
        [HardSwish],
    ),
    "hard_swish_divided_first": (
        MAP,
        11,
        [
            node("Add", "x three", "a"),
            node("Clip", "a zero six", "c"),
            node("Div", "c six", "d"),
            node("Mul", "x d", "y"),
        ],
        {"three": np.float32(3), "six": np.float32(6), "zero": np.float32(0)},
        [HardSwish],
    ),
    "gelu": (
        SEQ,
        13,
        [
            node("Div", "x root", "d"),
            node("Erf", "d", "e"),
            node("Add", "e one", "a"),
            node("Mul", "x a", "m"),
            node("Mul", "m half", "y"),
        ],
        {"root": np.float32(2**0.5), "one": np.float32(1), "half": np.float32(0.5)},
        [Gelu],
    ),
    "gelu_halved_first": (
        SEQ,
        13,
        [
            node("Mul", "x half", "h"),
            node("Mul", "x root", "d"),
            node("Erf", "d", "e"),
            node("Add", "e one", "a"),
            node("Mul", "h a", "y"),
        ],
        {"root": np.float32(0.5**0.5), "one": np.float32(1), "half": np.float32(0.5)},
        [Gelu],
    ),
    "layer_norm": (
        SEQ,
        13,
        [
            node("ReduceMean", "x", "m", axes=[-1]),
            node("Sub", "x m", "c"),
            node("Pow", "c two", "p"),
            node("ReduceMean", "p", "v", axes=[-1]),
            node("Add", "v e", "w"),
            node("Sqrt", "w", "r"),
            node("Div", "c r", "y"),
        ],
        {"two": np.float32(2), "e": np.float32(1e-2)},
        [LayerNorm],
    ),
    "flatten_by_shape": (
        MAP,
        11,
        [
            node("Shape", "x", "s"),
            node("Gather", "s zero", "n", axis=0),
            node("Unsqueeze", "n", "u", axes=[0]),
            node("Concat", "u rest", "t", axis=0),
            node("Reshape", "x t", "f"),
            node("Gemm", "f w", "y", transB=1),
        ],
        {"zero": np.array(0), "rest": ints(-1), "w": numbers(5, 336)},
        [Dense],
    ),
    "channel_shuffle": (
        MAP,
        13,
        [
            node("Reshape", "x a", "r"),
            node("Transpose", "r", "t", perm=[0, 2, 1, 3, 4]),
            node("Reshape", "t b", "s"),
            node("Conv", "s w", "y"),
        ],
        {"a": ints(1, 2, 3, 8, 7), "b": ints(1, 6, 8, 7), "w": W},
        [Conv2d],
    ),
    "constants_of_weights": (
        MAP,
        13,
        [
            node("Transpose", "w", "v", perm=[3, 2, 0, 1]),
            node("Conv", "x v", "c"),
            node("BatchNormalization", "c s o m u", "n"),
            node("Clip", "n zero six", "y"),
        ],
        {
            "w": numbers(3, 3, 6, 6),
            "s": NORM["s"],
            "o": NORM["o"],
            "m": NORM["m"],
            "u": NORM["v"],
            "zero": np.float32(0),
            "six": np.float32(6),
        },
        [Conv2d, BatchNorm, Relu6],
    ),
    "from_channels_last_and_back": (
        [1, 8, 7, 6],
        13,
        [
            node("Transpose", "x", "t", perm=[0, 3, 1, 2]),
            node("Conv", "t w b", "c"),
            node("Transpose", "c", "y", perm=[0, 2, 3, 1]),
        ],
        C,
        [Conv2d],
    ),
    "global_pool_and_flatten": (
        MAP,
        13,
        [node("ReduceMean", "x", "m", axes=[2, 3], keepdims=0), node("Gemm", "m w", "y", transB=1)],
        {"w": numbers(5, 6)},
        [GlobalAveragePool, Dense],
    ),
}


@pytest.mark.parametrize("name", IDIOMS)
def test_idioms_are_recognised(name, tmp_path):
    shape, opset, nodes, constants, kinds = IDIOMS[name]
    loaded = assert_equal_to_ort(onnx_model(nodes, shape, opset=opset, constants=constants), tmp_path, shape)
    assert [type(each.op) for each in loaded.graph.nodes if not isinstance(each.op, Reshape)] == kinds


def test_several_inputs_and_outputs(tmp_path):
    nodes = [node("Conv", "x w b", "c"), node("Relu", "z", "r"), node("Add", "c r", "y")]
    model = onnx_model(nodes, MAP, constants=C, outputs=("y", "c"), z=[1, 8, 6, 5])
    loaded = assert_equal_to_ort(model, tmp_path, MAP, [1, 8, 6, 5])
    assert [entry.shape for entry in loaded.graph.inputs] == [(8, 7, 6), (6, 5, 8)]
    assert len(loaded.graph.outputs) == 2


@pytest.mark.parametrize(
    ("operator", "attributes", "opset"),
    [("Erf", {}, 13), ("Softplus", {}, 13), ("InstanceNormalization", {}, 13), ("Mish", {}, 18)],
)
def test_what_is_not_known_is_opaque(operator, attributes, opset, tmp_path):
    constants = {"s": numbers(8), "o": numbers(8)} if operator == "InstanceNormalization" else {}
    nodes = [
        node("Conv", "x w b", "c"),
        node(operator, " ".join(["c", *constants]), "e", **attributes),
        node("GlobalAveragePool", "e", "y"),
    ]
    loaded = load(onnx_model(nodes, MAP, opset=opset, constants=C | constants), tmp_path)
    opaque = loaded.graph.nodes[1]
    assert isinstance(opaque.op, Opaque)
    assert opaque.op.operator == operator
    assert loaded.graph.shapes[opaque.name] == (6, 5, 8)
    assert not opaque.op.cost((6, 5, 8)).counted
    assert sum(array.size for name, array in loaded.weights.items() if name.startswith(opaque.name)) == (
        16 if constants else 0
    )


def test_no_transpose_is_left_where_weights_can_be_permuted(tmp_path):
    nodes = [
        node("Conv", "x w b", "c", pads=[1, 1, 1, 1]),
        node("Transpose", "c", "t", perm=[0, 2, 3, 1]),
        node("Reshape", "t s", "r"),
        node("Softmax", "r", "y", axis=2),
    ]
    constants = C | {"s": ints(1, -1, 2)}
    loaded = assert_equal_to_ort(onnx_model(nodes, MAP, opset=11, constants=constants), tmp_path, MAP)
    assert not any(isinstance(each.op, Transpose) for each in loaded.graph.nodes)
