"""This package's operators as ONNX states them: one function for each, which adds nodes and names its result.

Values are in ONNX's own layout, (batch, channels, height, width) or (batch, …).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from millijoule import ops
from millijoule.export.onnx.network import OnnxNetwork
from millijoule.graph import Operator, Shape
from millijoule.model import Quantization
from millijoule.ops.base import pair


def _per_channel(add: OnnxNetwork, key: str, shape: Shape) -> str:
    return add.array(key, lambda array: array.reshape(-1, 1, 1) if len(shape) == 3 else array)


def _channels_last(add: OnnxNetwork, x: str, shape: Shape) -> str:
    return add("Transpose", x, perm=[0, 2, 3, 1]) if len(shape) == 3 else x


def _channels_first(add: OnnxNetwork, x: str, shape: Shape) -> str:
    return add("Transpose", x, perm=[0, 3, 1, 2]) if len(shape) == 3 else x


def _moved(move: Callable[..., str]) -> Callable[..., str]:
    """`move` adds nodes on (batch, height, width, channels)."""

    def nodes(add: OnnxNetwork, op: Any, shapes: Sequence[Shape], *x: str) -> str:
        inputs = [_channels_last(add, value, shape) for value, shape in zip(x, shapes, strict=True)]
        return _channels_first(add, move(add, op, shapes, *inputs), op.shape(*shapes))

    return nodes


def _pads(padding: Any) -> list[int]:
    (top, bottom), (left, right) = padding
    return [top, left, bottom, right]


def _activation(add: OnnxNetwork, op: Any, x: str) -> str:
    """What is fused into an operator, behind it."""
    if op.activation == "relu6":
        return add("Clip", x, 0.0, 6.0)
    return add("Relu", x) if op.activation == "relu" else x


def _bias(add: OnnxNetwork, op: Any) -> list[str]:
    return [add.array("bias")] if op.bias else []


def _conv2d(add: OnnxNetwork, op: ops.Conv2d, shapes: Sequence[Shape], x: str) -> str:
    window = op.window(shapes[0])
    weight = add.array("weight", lambda array: array.transpose(0, 3, 1, 2))
    settings: dict[str, Any] = {"strides": window.stride, "dilations": window.dilation, "pads": _pads(window.padding)}
    return _activation(add, op, add("Conv", x, weight, *_bias(add, op), group=op.groups, **settings))


def _table_conv2d(add: OnnxNetwork, op: ops.TableConv2d, shapes: Sequence[Shape], x: str) -> str:
    def dense(weight: np.ndarray) -> np.ndarray:
        whole = np.zeros((len(op.table), shapes[0][2], *weight.shape[1:]), np.float32)
        kernels = iter(weight)
        for output, channels in enumerate(op.table):
            for channel in channels:
                whole[output, channel] = next(kernels)
        return whole

    return add("Conv", x, add.array("weight", dense), *_bias(add, op))


def _conv_transpose2d(add: OnnxNetwork, op: ops.ConvTranspose2d, shapes: Sequence[Shape], x: str) -> str:
    quantization = add.model.quantization
    if quantization is not None and op.groups > 1 and quantization[f"{add.node.name}.weight"].scales.size > 1:
        add.fail("has groups and a scale for each channel, which lie along no single axis of ONNX's ConvTranspose")

    def arranged(weight: np.ndarray) -> np.ndarray:
        # (channels, h, w, in / groups) -> (in, channels / groups, h, w)
        return np.concatenate([group.transpose(3, 0, 1, 2) for group in np.split(weight, op.groups)])

    y = add(
        "ConvTranspose",
        x,
        add.array("weight", arranged, axis=1),
        *_bias(add, op),
        strides=op.stride,
        dilations=op.dilation,
        group=op.groups,
        output_padding=op.output_padding,
        pads=_pads(op.padding),
    )
    return _activation(add, op, y)


def _dense(add: OnnxNetwork, op: ops.Dense, shapes: Sequence[Shape], x: str) -> str:
    flat = x if len(shapes[0]) == 1 else add("Flatten", _channels_last(add, x, shapes[0]), axis=1)
    return _activation(add, op, add("Gemm", flat, add.array("weight"), *_bias(add, op), transB=1))


def _radial_basis(add: OnnxNetwork, op: Operator, shapes: Sequence[Shape], x: str) -> str:
    difference = add("Sub", add("Unsqueeze", x, np.array([1])), add.array("weight"))
    return add("ReduceSumSquare", difference, np.array([2]), keepdims=0)


def _elementwise(kind: str) -> Callable[..., str]:
    def nodes(add: OnnxNetwork, op: Any, shapes: Sequence[Shape], *x: str) -> str:
        rank = max(map(len, shapes))
        inputs = [
            add("Unsqueeze", value, np.array([2, 3])) if len(shape) < rank else value
            for value, shape in zip(x, shapes, strict=True)
        ]
        return _activation(add, op, add(kind, *inputs))

    return nodes


def _with_number(kind: str) -> Callable[..., str]:
    def nodes(add: OnnxNetwork, op: Any, shapes: Sequence[Shape], x: str) -> str:
        number: Any = np.array(op.steps * op.scale)
        if add.model.is_int8:
            # Steps are counted from the zero point.
            zero_point = max(-128, min(127, -op.steps // 2))
            array, scale = np.array(op.steps + zero_point, np.int8), Quantization.of(op.scale, zero_point)
            number = add.integers(array, scale, "number")
        return _activation(add, op, add(kind, x, number))

    return nodes


def _batch_norm(add: OnnxNetwork, op: ops.BatchNorm, shapes: Sequence[Shape], x: str) -> str:
    arrays = [add.array(name) for name in ("scale", "bias", "mean", "variance")]
    return add("BatchNormalization", x, *arrays, epsilon=op.epsilon)


def _layer_norm(add: OnnxNetwork, op: ops.LayerNorm, shapes: Sequence[Shape], x: str) -> str:
    return add("LayerNormalization", x, add.array("scale"), add.array("bias"), axis=-1, epsilon=op.epsilon)


def _local_response_norm(add: OnnxNetwork, op: ops.LocalResponseNorm, shapes: Sequence[Shape], x: str) -> str:
    # ONNX divides alpha by the size.
    return add("LRN", x, size=op.size, alpha=op.alpha * op.size, beta=op.beta, bias=op.k)


def _constant(add: OnnxNetwork, op: ops.Constant, shapes: Sequence[Shape], x: str) -> str:
    sizes = np.array((op.output[2], *op.output[:2]) if len(op.output) == 3 else op.output, np.int64)
    value = add.array("value", lambda array: array.transpose(2, 0, 1) if array.ndim == 3 else array)
    return add("Expand", value, add("Concat", add("Shape", x, start=0, end=1), sizes, axis=0))


def _scale(add: OnnxNetwork, op: ops.Scale, shapes: Sequence[Shape], x: str) -> str:
    y = add("Mul", x, _per_channel(add, "weight", shapes[0]))
    return add("Add", y, _per_channel(add, "bias", shapes[0])) if op.bias else y


def _pool(kind: str) -> Callable[..., str]:
    def nodes(add: OnnxNetwork, op: Any, shapes: Sequence[Shape], x: str) -> str:
        window = op.window(shapes[0])
        counted = {"count_include_pad": int(op.count_padding)} if kind == "AveragePool" else {}
        settings = {"strides": window.stride, "pads": _pads(window.padding), **counted}
        return _activation(add, op, add(kind, x, kernel_shape=window.kernel, **settings))

    return nodes


def _subsample(add: OnnxNetwork, op: ops.Subsample2d, shapes: Sequence[Shape], x: str) -> str:
    height, width = pair(op.kernel)
    weight = add.array("weight", lambda array: np.tile(array.reshape(-1, 1, 1, 1), (1, 1, height, width)))
    return add("Conv", x, weight, add.array("bias"), strides=[height, width], group=shapes[0][2])


def _global_pool(kind: str) -> Callable[..., str]:
    def nodes(add: OnnxNetwork, op: Any, shapes: Sequence[Shape], x: str) -> str:
        y = add(kind, x)
        return y if op.keep_dims else add("Flatten", y)

    return nodes


def _reshape(add: OnnxNetwork, op: Operator, shapes: Sequence[Shape], x: str) -> str:
    return add("Reshape", x, np.array([-1, *op.shape(*shapes)]))


def _mean(add: OnnxNetwork, op: ops.Mean, shapes: Sequence[Shape], x: str) -> str:
    mean = add("ReduceMean", x, np.array(op.axes) + 1, keepdims=int(op.keep_dims))
    return add("Reshape", mean, np.array([-1, *op.shape(*shapes)]))


def _pad(add: OnnxNetwork, op: ops.Pad, shapes: Sequence[Shape], x: str) -> str:
    (top, bottom), (left, right) = op.padding
    before, after = op.channels
    return add("Pad", x, np.array([0, before, top, left, 0, after, bottom, right]))


def _slice(add: OnnxNetwork, op: ops.Slice, shapes: Sequence[Shape], x: str) -> str:
    steps = op.step or (1,) * len(op.size)
    ends = np.add(op.begin, np.multiply(np.subtract(op.size, 1), steps)) + 1
    return add("Slice", x, np.array(op.begin), ends, np.arange(1, len(op.begin) + 1), np.array(steps))


def _channel_shuffle(add: OnnxNetwork, op: ops.ChannelShuffle, shapes: Sequence[Shape], x: str) -> str:
    rest = shapes[0][:-1]
    split = add("Reshape", x, np.array([-1, *rest, op.groups, shapes[0][-1] // op.groups]))
    axes = len(rest) + 1
    shuffled = add("Transpose", split, perm=[*range(axes), axes + 1, axes])
    return add("Reshape", shuffled, np.array([-1, *shapes[0]]))


def _depth_to_space(add: OnnxNetwork, op: ops.DepthToSpace, shapes: Sequence[Shape], x: str) -> str:
    return add("DepthToSpace", x, blocksize=op.block, mode={"depth": "DCR", "channel": "CRD"}[op.order])


def _resize(add: OnnxNetwork, op: ops.Resize2d, shapes: Sequence[Shape], x: str) -> str:
    settings: dict[str, Any] = {"nearest": {"mode": "nearest"}, "bilinear": {"mode": "linear"}}[op.mode]
    if op.mode == "nearest":
        settings["nearest_mode"] = "floor" if op.align == "asymmetric" else "round_prefer_ceil"
    transformation = {"corners": "align_corners"}.get(op.align, op.align)
    return add(
        "Resize", x, "", "", np.array(op.size), axes=[2, 3], coordinate_transformation_mode=transformation, **settings
    )


def _mat_mul(add: OnnxNetwork, op: ops.MatMul, shapes: Sequence[Shape], a: str, b: str) -> str:
    if op.transpose_b:
        axes = list(range(len(shapes[1]) + 1))
        b = add("Transpose", b, perm=[*axes[:-2], axes[-1], axes[-2]])
    return add("MatMul", a, b)


def _attention(add: OnnxNetwork, op: ops.Attention, shapes: Sequence[Shape], *x: str) -> str:
    def split(value: str, shape: Shape) -> str:
        heads = add("Reshape", value, np.array([-1, shape[0], op.heads, shape[1] // op.heads]))
        return add("Transpose", heads, perm=[0, 2, 1, 3])

    query, key, value = (split(*pair) for pair in zip(x, shapes, strict=True))
    products = add("MatMul", query, add("Transpose", key, perm=[0, 1, 3, 2]))
    scores = add("Softmax", add("Div", products, np.sqrt(shapes[0][1] / op.heads)), axis=-1)
    together = add("Transpose", add("MatMul", scores, value), perm=[0, 2, 1, 3])
    return add("Reshape", together, np.array([-1, *op.shape(*shapes)]))


def _tanh(add: OnnxNetwork, op: ops.Tanh, shapes: Sequence[Shape], x: str) -> str:
    y = add("Tanh", x if op.slope == 1 else add("Mul", x, op.slope))
    return y if op.amplitude == 1 else add("Mul", y, op.amplitude)


def _requantize(add: OnnxNetwork, op: ops.Requantize, shapes: Sequence[Shape], x: str) -> str:
    return x if add.model.is_int8 else add("Identity", x)


OPERATORS: dict[type[Operator], Callable[..., str]] = {
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
    ops.PRelu: lambda add, op, shapes, x: add("PRelu", x, _per_channel(add, "slope", shapes[0])),
    ops.RadialBasis: _radial_basis,
    ops.Relu: lambda add, op, shapes, x: add("Relu", x),
    ops.Relu6: lambda add, op, shapes, x: add("Clip", x, 0.0, 6.0),
    ops.Requantize: _requantize,
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
