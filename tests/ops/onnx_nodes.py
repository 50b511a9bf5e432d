"""Every operator as ONNX states it, for ONNX Runtime: an independent reading of the float semantics.

Values are in ONNX's own layout, (batch, channels, height, width) or (batch, …).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from millijoule import ops
from millijoule.graph import Operator, Shape
from millijoule.model import Model

OPSET = 20


class Writer:
    """Collects the nodes and constants of one ONNX graph."""

    def __init__(self, weights: Mapping[str, np.ndarray]) -> None:
        self.weights = weights
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def __call__(self, kind: str, *inputs: Any, **attributes: Any) -> str:
        """Add a node; arrays among the inputs become constants. Returns the name of its output."""
        names = [x if isinstance(x, str) else self.constant(x) for x in inputs]
        output = f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, names, [output], **attributes))
        return output

    def constant(self, array: Any) -> str:
        array = np.asarray(array)
        if array.dtype == np.float64:
            array = array.astype(np.float32)
        self.constants.append(numpy_helper.from_array(array, f"constant_{len(self.constants)}"))
        return self.constants[-1].name

    def activation(self, op: Any, x: str) -> str:
        if op.activation == "relu6":
            return self("Clip", x, 0.0, 6.0)
        return self("Relu", x) if op.activation == "relu" else x


def run_onnx(model: Model, inputs: Sequence[np.ndarray], weights: Mapping[str, np.ndarray]) -> np.ndarray:
    """The one operator of `model` in ONNX Runtime, float32: arrays (batch, height, width, channels) or (batch, …)."""
    (node,) = model.graph.nodes
    shapes = model.graph.input_shapes(node)
    writer = Writer(weights)
    names = [f"input{index}" for index in range(len(inputs))]
    output = NODES[type(node.op)](writer, node.op, shapes, *names)
    given = [np.ascontiguousarray(x.transpose(0, 3, 1, 2) if x.ndim == 4 else x, np.float32) for x in inputs]
    graph = helper.make_graph(
        writer.nodes,
        "single",
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, x.shape) for n, x in zip(names, given, strict=True)],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)],
        writer.constants,
    )
    file = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(file.SerializeToString(), options, ["CPUExecutionProvider"])
    (result,) = session.run(None, dict(zip(names, given, strict=True)))
    return result.transpose(0, 2, 3, 1) if result.ndim == 4 else result


def _per_channel(array: np.ndarray, shape: Shape) -> np.ndarray:
    return array.reshape(-1, 1, 1) if len(shape) == 3 else array


def _channels_last(add: Writer, x: str, shape: Shape) -> str:
    return add("Transpose", x, perm=[0, 2, 3, 1]) if len(shape) == 3 else x


def _channels_first(add: Writer, x: str, shape: Shape) -> str:
    return add("Transpose", x, perm=[0, 3, 1, 2]) if len(shape) == 3 else x


def _moved(move: Callable[..., str]) -> Callable[..., str]:
    """`move` adds nodes on (batch, height, width, channels)."""

    def nodes(add: Writer, op: Any, shapes: Sequence[Shape], *x: str) -> str:
        inputs = [_channels_last(add, value, shape) for value, shape in zip(x, shapes, strict=True)]
        return _channels_first(add, move(add, op, shapes, *inputs), op.shape(*shapes))

    return nodes


def _placed(padding: Any) -> dict[str, Any]:
    if padding == "same":
        return {"auto_pad": "SAME_UPPER"}
    (top, bottom), (left, right) = ((0, 0), (0, 0)) if padding == "valid" else padding
    return {"pads": [top, left, bottom, right]}


def _conv2d(add: Writer, op: ops.Conv2d, shapes: Sequence[Shape], x: str) -> str:
    weight, dilation = add.weights["weight"].transpose(0, 3, 1, 2), np.array(op.dilation)
    if op.padding == "same" and dilation.max() > 1:
        # ONNX Runtime knows no SAME_UPPER with dilation: a dilated kernel is one with zeros between.
        inflated = np.zeros((*weight.shape[:2], *((np.array(op.kernel) - 1) * dilation + 1)))
        inflated[:, :, :: dilation[0], :: dilation[1]] = weight
        weight, dilation = inflated, np.array([1, 1])
    arrays = [weight, *([add.weights["bias"]] if op.bias else [])]
    settings = {"strides": op.stride, "dilations": dilation.tolist(), "group": op.groups}
    return add.activation(op, add("Conv", x, *arrays, **settings, **_placed(op.padding)))


def _table_conv2d(add: Writer, op: ops.TableConv2d, shapes: Sequence[Shape], x: str) -> str:
    dense = np.zeros((len(op.table), shapes[0][2], *add.weights["weight"].shape[1:]))
    kernels = iter(add.weights["weight"])
    for output, channels in enumerate(op.table):
        for channel in channels:
            dense[output, channel] = next(kernels)
    return add("Conv", x, dense, *([add.weights["bias"]] if op.bias else []))


def _conv_transpose2d(add: Writer, op: ops.ConvTranspose2d, shapes: Sequence[Shape], x: str) -> str:
    # (channels, h, w, in / groups) -> (in, channels / groups, h, w)
    groups = np.split(add.weights["weight"], op.groups)
    weight = np.concatenate([group.transpose(3, 0, 1, 2) for group in groups])
    y = add(
        "ConvTranspose",
        x,
        weight,
        *([add.weights["bias"]] if op.bias else []),
        strides=op.stride,
        dilations=op.dilation,
        group=op.groups,
        output_padding=op.output_padding,
        **_placed(op.padding),
    )
    return add.activation(op, y)


def _dense(add: Writer, op: ops.Dense, shapes: Sequence[Shape], x: str) -> str:
    flat = add("Flatten", _channels_last(add, x, shapes[0]), axis=1)
    bias = [add.weights["bias"]] if op.bias else []
    return add.activation(op, add("Gemm", flat, add.weights["weight"], *bias, transB=1))


def _radial_basis(add: Writer, op: Operator, shapes: Sequence[Shape], x: str) -> str:
    difference = add("Sub", add("Unsqueeze", x, np.array([1])), add.weights["weight"])
    return add("ReduceSumSquare", difference, np.array([2]), keepdims=0)


def _elementwise(kind: str) -> Callable[..., str]:
    def nodes(add: Writer, op: Any, shapes: Sequence[Shape], *x: str) -> str:
        rank = max(map(len, shapes))
        inputs = [
            add("Unsqueeze", value, np.array([2, 3])) if len(shape) < rank else value
            for value, shape in zip(x, shapes, strict=True)
        ]
        return add.activation(op, add(kind, *inputs))

    return nodes


def _with_number(kind: str) -> Callable[..., str]:
    return lambda add, op, shapes, x: add.activation(op, add(kind, x, np.array(op.steps * op.scale)))


def _batch_norm(add: Writer, op: ops.BatchNorm, shapes: Sequence[Shape], x: str) -> str:
    arrays = [add.weights[name] for name in ("scale", "bias", "mean", "variance")]
    return add("BatchNormalization", x, *arrays, epsilon=op.epsilon)


def _layer_norm(add: Writer, op: ops.LayerNorm, shapes: Sequence[Shape], x: str) -> str:
    return add("LayerNormalization", x, add.weights["scale"], add.weights["bias"], axis=-1, epsilon=op.epsilon)


def _local_response_norm(add: Writer, op: ops.LocalResponseNorm, shapes: Sequence[Shape], x: str) -> str:
    # ONNX divides alpha by the size.
    return add("LRN", x, size=op.size, alpha=op.alpha * op.size, beta=op.beta, bias=op.k)


def _constant(add: Writer, op: ops.Constant, shapes: Sequence[Shape], x: str) -> str:
    value = add.weights["value"]
    value = value.transpose(2, 0, 1) if value.ndim == 3 else value
    batch = add("Shape", x, start=0, end=1)
    return add("Expand", value, add("Concat", batch, np.array(value.shape, np.int64), axis=0))


def _scale(add: Writer, op: ops.Scale, shapes: Sequence[Shape], x: str) -> str:
    y = add("Mul", x, _per_channel(add.weights["weight"], shapes[0]))
    return add("Add", y, _per_channel(add.weights["bias"], shapes[0])) if op.bias else y


def _pool(kind: str) -> Callable[..., str]:
    def nodes(add: Writer, op: Any, shapes: Sequence[Shape], x: str) -> str:
        counted = {"count_include_pad": int(op.count_padding)} if kind == "AveragePool" else {}
        y = add(kind, x, kernel_shape=op.kernel, strides=op.stride, **counted, **_placed(op.padding))
        return add.activation(op, y)

    return nodes


def _subsample(add: Writer, op: ops.Subsample2d, shapes: Sequence[Shape], x: str) -> str:
    height, width = op.kernel  # type: ignore[misc]
    weight = np.tile(add.weights["weight"].reshape(-1, 1, 1, 1), (1, 1, height, width))
    return add("Conv", x, weight, add.weights["bias"], strides=[height, width], group=shapes[0][2])


def _global_pool(kind: str) -> Callable[..., str]:
    def nodes(add: Writer, op: Any, shapes: Sequence[Shape], x: str) -> str:
        y = add(kind, x)
        return y if op.keep_dims else add("Flatten", y)

    return nodes


def _reshape(add: Writer, op: Operator, shapes: Sequence[Shape], x: str) -> str:
    return add("Reshape", x, np.array([-1, *op.shape(*shapes)]))


def _mean(add: Writer, op: ops.Mean, shapes: Sequence[Shape], x: str) -> str:
    mean = add("ReduceMean", x, np.array(op.axes) + 1, keepdims=int(op.keep_dims))
    return add("Reshape", mean, np.array([-1, *op.shape(*shapes)]))


def _pad(add: Writer, op: ops.Pad, shapes: Sequence[Shape], x: str) -> str:
    (top, bottom), (left, right) = op.padding
    before, after = op.channels
    return add("Pad", x, np.array([0, before, top, left, 0, after, bottom, right]))


def _slice(add: Writer, op: ops.Slice, shapes: Sequence[Shape], x: str) -> str:
    steps = op.step or (1,) * len(op.size)
    ends = np.add(op.begin, np.multiply(np.subtract(op.size, 1), steps)) + 1
    return add("Slice", x, np.array(op.begin), ends, np.arange(1, len(op.begin) + 1), np.array(steps))


def _channel_shuffle(add: Writer, op: ops.ChannelShuffle, shapes: Sequence[Shape], x: str) -> str:
    rest = shapes[0][:-1]
    split = add("Reshape", x, np.array([-1, *rest, op.groups, shapes[0][-1] // op.groups]))
    axes = len(rest) + 1
    shuffled = add("Transpose", split, perm=[*range(axes), axes + 1, axes])
    return add("Reshape", shuffled, np.array([-1, *shapes[0]]))


def _depth_to_space(add: Writer, op: ops.DepthToSpace, shapes: Sequence[Shape], x: str) -> str:
    return add("DepthToSpace", x, blocksize=op.block, mode={"depth": "DCR", "channel": "CRD"}[op.order])


def _resize(add: Writer, op: ops.Resize2d, shapes: Sequence[Shape], x: str) -> str:
    settings = {"nearest": {"mode": "nearest"}, "bilinear": {"mode": "linear"}}[op.mode]
    if op.mode == "nearest":
        settings["nearest_mode"] = "floor" if op.align == "asymmetric" else "round_prefer_ceil"
    transformation = {"corners": "align_corners"}.get(op.align, op.align)
    sizes = add("Concat", np.array([8]), np.array([shapes[0][2], *op.size]), axis=0)
    return add("Resize", x, "", "", sizes, coordinate_transformation_mode=transformation, **settings)


def _mat_mul(add: Writer, op: ops.MatMul, shapes: Sequence[Shape], a: str, b: str) -> str:
    if op.transpose_b:
        axes = list(range(len(shapes[1]) + 1))
        b = add("Transpose", b, perm=[*axes[:-2], axes[-1], axes[-2]])
    return add("MatMul", a, b)


def _attention(add: Writer, op: ops.Attention, shapes: Sequence[Shape], *x: str) -> str:
    def split(value: str, shape: Shape) -> str:
        heads = add("Reshape", value, np.array([-1, shape[0], op.heads, shape[1] // op.heads]))
        return add("Transpose", heads, perm=[0, 2, 1, 3])

    query, key, value = (split(*pair) for pair in zip(x, shapes, strict=True))
    products = add("MatMul", query, add("Transpose", key, perm=[0, 1, 3, 2]))
    scores = add("Softmax", add("Div", products, np.sqrt(shapes[0][1] / op.heads)), axis=-1)
    together = add("Transpose", add("MatMul", scores, value), perm=[0, 2, 1, 3])
    return add("Reshape", together, np.array([-1, *op.shape(*shapes)]))


def _tanh(add: Writer, op: ops.Tanh, shapes: Sequence[Shape], x: str) -> str:
    return add("Mul", add("Tanh", add("Mul", x, op.slope)), op.amplitude)


NODES: dict[type[Operator], Callable[..., str]] = {
    ops.Add: _elementwise("Add"),
    ops.AddNumber: _with_number("Add"),
    ops.Attention: _attention,
    ops.AveragePool2d: _pool("AveragePool"),
    ops.BatchNorm: _batch_norm,
    ops.ChannelShuffle: _moved(_channel_shuffle),
    ops.Concat: lambda add, op, shapes, *x: add("Concat", *x, axis=1 if len(shapes[0]) == 3 else -1),
    ops.Constant: _constant,
    ops.Conv2d: _conv2d,
    ops.ConvTranspose2d: _conv_transpose2d,
    ops.Dense: _dense,
    ops.DepthToSpace: _depth_to_space,
    ops.Dropout: lambda add, op, shapes, x: add("Dropout", x, op.rate),
    ops.Elu: lambda add, op, shapes, x: add("Elu", x, alpha=op.alpha),
    ops.Factor: lambda add, op, shapes, x: add("Mul", x, np.array(op.factor)),
    ops.Flatten: _moved(_reshape),
    ops.Gelu: lambda add, op, shapes, x: add("Gelu", x),
    ops.GlobalAveragePool: _global_pool("GlobalAveragePool"),
    ops.GlobalMaxPool: _global_pool("GlobalMaxPool"),
    ops.HardSigmoid: lambda add, op, shapes, x: add("HardSigmoid", x, alpha=1 / 6, beta=0.5),
    ops.HardSwish: lambda add, op, shapes, x: add("HardSwish", x),
    ops.LayerNorm: _moved(_layer_norm),
    ops.LeakyRelu: lambda add, op, shapes, x: add("LeakyRelu", x, alpha=op.slope),
    ops.LocalResponseNorm: _local_response_norm,
    ops.MatMul: _moved(_mat_mul),
    ops.MaxPool2d: _pool("MaxPool"),
    ops.Mean: _moved(_mean),
    ops.Multiply: _elementwise("Mul"),
    ops.MultiplyNumber: _with_number("Mul"),
    ops.Pad: _pad,
    ops.PRelu: lambda add, op, shapes, x: add("PRelu", x, _per_channel(add.weights["slope"], shapes[0])),
    ops.RadialBasis: _radial_basis,
    ops.Relu: lambda add, op, shapes, x: add("Relu", x),
    ops.Relu6: lambda add, op, shapes, x: add("Clip", x, 0.0, 6.0),
    ops.Requantize: lambda add, op, shapes, x: add("Identity", x),
    ops.Reshape: _moved(_reshape),
    ops.Resize2d: _resize,
    ops.Scale: _scale,
    ops.Sigmoid: lambda add, op, shapes, x: add("Sigmoid", x),
    ops.Slice: _moved(_slice),
    ops.Softmax: lambda add, op, shapes, x: add("Softmax", x, axis=1 if len(shapes[0]) == 3 else -1),
    ops.SpaceToDepth: lambda add, op, shapes, x: add("SpaceToDepth", x, blocksize=op.block),
    ops.Subsample2d: _subsample,
    ops.Subtract: _elementwise("Sub"),
    ops.Swish: lambda add, op, shapes, x: add("Mul", x, add("Sigmoid", x)),
    ops.TableConv2d: _table_conv2d,
    ops.Tanh: _tanh,
    ops.Transpose: _moved(lambda add, op, shapes, x: add("Transpose", x, perm=[0, *(1 + a for a in op.order)])),
}
