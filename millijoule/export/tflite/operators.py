"""This package's operators as TFLite's: one function for each. Option numbers are those of the TFLite schema."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np

from millijoule.export.tflite.flatbuffer import Number
from millijoule.export.tflite.network import Options, TfliteNetwork
from millijoule.graph import Operator, Shape
from millijoule.load.tflite.layers import ACTIVATIONS, PADDINGS
from millijoule.model import Quantization
from millijoule.ops import (
    Add,
    AddNumber,
    AveragePool2d,
    ChannelShuffle,
    Concat,
    Conv2d,
    ConvTranspose2d,
    Dense,
    DepthToSpace,
    Elu,
    Flatten,
    GlobalAveragePool,
    GlobalMaxPool,
    HardSwish,
    LeakyRelu,
    MaxPool2d,
    Mean,
    Multiply,
    MultiplyNumber,
    Pad,
    PRelu,
    Relu,
    Relu6,
    Requantize,
    Reshape,
    Resize2d,
    Sigmoid,
    Slice,
    Softmax,
    SpaceToDepth,
    Subtract,
    Tanh,
    Transpose,
)
from millijoule.ops.base import Pair

ACTIVATION_NUMBERS = {name: number for number, name in ACTIVATIONS.items()}
RELUS = (Relu, Relu6)
MOST_CONCATENATED = 10
"""TFLM takes no more inputs of a CONCATENATION (its kernel's kMaxInputNum)."""
PADDING_NUMBERS = {name: number for number, name in PADDINGS.items()}


def _options(table: int, *fields: int | None, code: str = "i") -> Options:
    """The schema's `table` of options with its first fields, numbers of type `code`; None: not given."""
    return table, {index: None if value is None else Number(code, value) for index, value in enumerate(fields)}


def _activation(network: TfliteNetwork) -> Number:
    op: Any = network.node.op
    return Number("b", ACTIVATION_NUMBERS[op.activation])


def _window(network: TfliteNetwork, padding: str) -> dict[int, Number]:
    """What the options of everything with a window begin with: padding, stride along width and height."""
    op: Any = network.node.op
    return {0: Number("b", PADDING_NUMBERS[padding]), 1: Number("i", op.stride[1]), 2: Number("i", op.stride[0])}


def _conv_2d(network: TfliteNetwork) -> None:
    op: Any = network.node.op
    (x,) = network.input_shapes
    (source,), padding = network.inputs, op.padding
    if padding not in PADDING_NUMBERS:
        source, padding = _pad_before(network, op.padding), "valid"
    depthwise = op.is_depthwise(x)
    at = 4 if depthwise else 3
    fields = _window(network, padding) | {at: _activation(network)}
    fields |= {at + 1: Number("i", op.dilation[1]), at + 2: Number("i", op.dilation[0])}
    weight = network.array("weight")
    if depthwise:
        fields[3] = Number("i", op.channels // op.groups)
        numbers = network.weights(weight.transpose(3, 1, 2, 0), 3, op.bias)
        network.add("DEPTHWISE_CONV_2D", [source, *numbers], (2, fields), version=3)
    else:
        numbers = network.weights(weight, 0, op.bias)
        network.add("CONV_2D", [source, *numbers], (1, fields), version=3 if op.groups == 1 else 6)


def _transpose_conv(network: TfliteNetwork) -> None:
    op: Any = network.node.op
    shape = network.model.graph.shapes[network.name]
    # TFLite cuts off the top and the left half of what a convolution over the output would pad.
    top_left = [before for before, _ in op.padding]
    sizes = list(zip(shape, op.stride, op.kernel, strict=False))
    same = [max((-(-size // stride) - 1) * stride + kernel - size, 0) // 2 for size, stride, kernel in sizes]
    if top_left not in ([0, 0], same):
        network.fail(f"pads {op.padding}, which TFLite's TRANSPOSE_CONV cannot")
    if op.groups > 1 or op.dilation != (1, 1):
        network.fail("has groups or dilation; TFLite's TRANSPOSE_CONV has neither")
    fields = _window(network, "same" if any(top_left) else "valid") | {3: _activation(network)}
    size = network.constant("size", np.array([1, *shape], np.int32))
    weight, *bias = network.weights(network.array("weight"), 0, op.bias)
    version = 3 if op.bias else 2
    network.add("TRANSPOSE_CONV", [size, weight, *network.inputs, *bias], (49, fields), version=version)


def _fully_connected(network: TfliteNetwork) -> None:
    op: Any = network.node.op
    numbers = network.weights(network.array("weight"), 0, op.bias)
    scales = network.quantization(f"{network.name}.weight")
    version = 12 if scales is not None and scales.scales.size > 1 else 4
    # TFLite marks a missing bias with tensor -1.
    inputs = [*network.inputs, *numbers, *([] if op.bias else [-1])]
    network.add("FULLY_CONNECTED", inputs, (8, {0: _activation(network)}), version=version)


def _pool_2d(network: TfliteNetwork) -> None:
    op: Any = network.node.op
    (x,) = network.input_shapes
    inputs, padding = network.inputs, op.padding
    if padding not in PADDING_NUMBERS:
        if any(map(any, padding)):
            if not (isinstance(op, MaxPool2d) and _is_never_below_zero(network, network.node.inputs[0])):
                network.fail(f"pads {padding}; TFLite's pools pad 'same' or 'valid'")
            inputs = [_pad_before(network, padding)]  # zeros change no maximum
        padding = "valid"
    if getattr(op, "count_padding", False) and not op.window(x).pads_nothing:
        network.fail("counts padding in its means; TFLite's AVERAGE_POOL_2D does not")
    fields = _window(network, padding)
    fields |= {3: Number("i", op.kernel[1]), 4: Number("i", op.kernel[0]), 5: _activation(network)}
    code = "MAX_POOL_2D" if isinstance(op, MaxPool2d) else "AVERAGE_POOL_2D"
    network.add(code, inputs, (5, fields), version=2)


def _is_never_below_zero(network: TfliteNetwork, value: str) -> bool:
    """Whether no number of a value is negative: by its scale, or because a ReLU made it."""
    quantization = network.quantization(value)
    if quantization is not None:
        return bool(quantization.zero_point == -128)
    node = network.model.graph.by_name.get(value)
    return node is not None and (isinstance(node.op, RELUS) or getattr(node.op, "activation", "") in ("relu", "relu6"))


def _mean(network: TfliteNetwork) -> None:
    op: Any = network.node.op
    reduced = (0, 1) if isinstance(op, GlobalAveragePool) else op.axes
    axes = network.constant("axes", np.array(reduced, np.int32) + 1)
    network.add("MEAN", [*network.inputs, axes], _options(27, op.keep_dims, code="B"), version=2)


def _elementwise(code: str, options: int) -> Callable[[TfliteNetwork], None]:
    def add(network: TfliteNetwork) -> None:
        shapes = network.input_shapes
        if len({len(shape) for shape in shapes}) > 1:
            network.fail(f"reads shapes {shapes[0]} and {shapes[1]}, which TFLite's {code} would align at their ends")
        network.add(code, network.inputs, (options, {0: _activation(network)}), version=2)

    return add


def _with_number(code: str, options: int) -> Callable[[TfliteNetwork], None]:
    def add(network: TfliteNetwork) -> None:
        op: Any = network.node.op
        if network.model.is_int8:
            # Steps are counted from the zero point.
            zero_point = max(-128, min(127, -op.steps // 2))
            array, scale = np.array([op.steps + zero_point], np.int8), Quantization.of(op.scale, zero_point)
            number = network.constant("number", array, scale)
        else:
            number = network.constant("number", np.array([op.steps * op.scale], np.float32))
        network.add(code, [*network.inputs, number], (options, {0: _activation(network)}), version=2)

    return add


def _plain(code: str) -> Callable[[TfliteNetwork], None]:
    return lambda network: network.add(code, network.inputs, version=2)


def _tanh(network: TfliteNetwork) -> None:
    op: Any = network.node.op
    if (op.amplitude, op.slope) != (1.0, 1.0):
        network.fail(f"has amplitude {op.amplitude:g} and slope {op.slope:g}; TFLite's TANH has neither")
    network.add("TANH", network.inputs, version=2)


def _elu(network: TfliteNetwork) -> None:
    op: Any = network.node.op
    if op.alpha != 1.0:
        network.fail(f"has alpha {op.alpha:g}; TFLite's ELU has 1")
    network.add("ELU", network.inputs, version=1)


def _leaky_relu(network: TfliteNetwork) -> None:
    op: Any = network.node.op
    network.add("LEAKY_RELU", network.inputs, (75, {0: Number("f", op.slope)}), version=2)


def _prelu(network: TfliteNetwork) -> None:
    slope = network.array("slope")
    shape = (*[1] * (len(network.input_shapes[0]) - 1), -1)
    number = network.constant("slope", slope.reshape(shape), network.quantization(f"{network.name}.slope"))
    network.add("PRELU", [*network.inputs, number], version=1)


def _softmax(network: TfliteNetwork) -> None:
    network.add("SOFTMAX", network.inputs, (9, {0: Number("f", 1.0)}), version=2)


def _quantize(network: TfliteNetwork) -> None:
    if not network.model.is_int8:
        network.fail("changes a scale, which a float model does not have")
    network.add("QUANTIZE", network.inputs, (89, {}), version=2)


def _reshape(network: TfliteNetwork) -> None:
    _reshaped(network, network.inputs, network.model.graph.shapes[network.name])


def _reshaped(network: TfliteNetwork, inputs: list[int], shape: Shape, output: int | None = None) -> None:
    numbers = np.array([1, *shape], np.int32)
    inputs = [*inputs, network.constant("shape", numbers)]
    network.add("RESHAPE", inputs, (17, {0: numbers}), version=1, output=output)


def _channel_shuffle(network: TfliteNetwork) -> None:
    """The channels of each place, as a matrix, are transposed; `load` makes one operator of the three again."""
    op: Any = network.node.op
    (x,) = network.input_shapes
    places, group = prod(x[:-1]), x[-1] // op.groups
    matrix, transposed = (places, op.groups, group), (places, group, op.groups)
    split, turned = (
        network.value(network.name, shape, f"{network.name}/{key}")
        for key, shape in (("split", matrix), ("turned", transposed))
    )
    _reshaped(network, network.inputs, matrix, split)
    order = network.constant("order", np.array([0, 1, 3, 2], np.int32))
    network.add("TRANSPOSE", [split, order], (26, {}), version=2, output=turned)
    _reshaped(network, [turned], x)


def _pad(network: TfliteNetwork) -> None:
    op: Any = network.node.op
    sizes = network.constant("padding", np.array([(0, 0), *op.padding, op.channels], np.int32))
    network.add("PAD", [*network.inputs, sizes], (22, {}), version=2)


def _pad_before(network: TfliteNetwork, padding: tuple[Pair, Pair]) -> int:
    """A PAD between the current node and its input; the tensor that it makes."""
    (height, width, channels), (source,) = network.input_shapes[0], network.node.inputs
    sizes = network.constant("padding", np.array([(0, 0), *padding, (0, 0)], np.int32))
    padded = (height + sum(padding[0]), width + sum(padding[1]), channels)
    output = network.value(source, padded, f"{network.name}/pad")
    network.add("PAD", [*network.inputs, sizes], (22, {}), version=2, output=output)
    return output


def _concatenation(network: TfliteNetwork) -> None:
    inputs, widths = network.inputs, [shape[-1] for shape in network.input_shapes]
    place = network.input_shapes[0][:-1]
    options = 10, {0: Number("i", len(place) + 1)}
    while len(inputs) > MOST_CONCATENATED:  # the first ones by themselves; all have one scale
        inputs, together = inputs[MOST_CONCATENATED:], inputs[:MOST_CONCATENATED]
        widths = [sum(widths[:MOST_CONCATENATED]), *widths[MOST_CONCATENATED:]]
        part = network.value(network.name, (*place, widths[0]), f"{network.name}/first{widths[0]}")
        network.add("CONCATENATION", together, options, version=2, output=part)
        inputs = [part, *inputs]
    network.add("CONCATENATION", inputs, options, version=2)


def _with_arrays(
    code: str, options: Callable[[Any], Options], *constants: Callable[[Any], Sequence[int]]
) -> Callable[[TfliteNetwork], None]:
    """An operator that reads `constants`, int32, beside its input; options and constants are made from the op."""

    def add(network: TfliteNetwork) -> None:
        arrays = [np.array(constant(network.node.op), np.int32) for constant in constants]
        numbers = [network.constant(str(index), array) for index, array in enumerate(arrays)]
        network.add(code, [*network.inputs, *numbers], options(network.node.op), version=2)

    return add


def _depth_to_space(network: TfliteNetwork) -> None:
    op: Any = network.node.op
    if op.order != "depth":
        network.fail(f"has the order '{op.order}'; TFLite's DEPTH_TO_SPACE has 'depth'")
    network.add("DEPTH_TO_SPACE", network.inputs, _options(94, op.block), version=2)


def _slice(network: TfliteNetwork) -> None:
    op: Any = network.node.op
    if op.step is None:
        _with_arrays("SLICE", lambda op: (48, {}), lambda op: (0, *op.begin), lambda op: (1, *op.size))(network)
        return
    ends = (begin + (size - 1) * step + 1 for begin, size, step in zip(op.begin, op.size, op.step, strict=True))
    arrays = {"begin": (0, *op.begin), "end": (1, *ends), "strides": (1, *op.step)}
    constants = [network.constant(name, np.array(array, np.int32)) for name, array in arrays.items()]
    network.add("STRIDED_SLICE", [*network.inputs, *constants], _options(32), version=2)


def _resize(network: TfliteNetwork) -> None:
    op: Any = network.node.op
    code, options, first = ("RESIZE_NEAREST_NEIGHBOR", 74, 0) if op.mode == "nearest" else ("RESIZE_BILINEAR", 15, 2)
    size = network.constant("size", np.array(op.size, np.int32))
    flags = {first: Number("B", op.align == "corners"), first + 1: Number("B", op.align == "half_pixel")}
    network.add(code, [*network.inputs, size], (options, flags), version=3)


OPERATORS: dict[type[Operator], Callable[[TfliteNetwork], None]] = {
    Add: _elementwise("ADD", 11),
    AddNumber: _with_number("ADD", 11),
    AveragePool2d: _pool_2d,
    ChannelShuffle: _channel_shuffle,
    Concat: _concatenation,
    Conv2d: _conv_2d,
    ConvTranspose2d: _transpose_conv,
    Dense: _fully_connected,
    DepthToSpace: _depth_to_space,
    Elu: _elu,
    Flatten: _reshape,
    GlobalAveragePool: _mean,
    GlobalMaxPool: _with_arrays("REDUCE_MAX", lambda op: _options(27, op.keep_dims, code="B"), lambda op: (1, 2)),
    HardSwish: _plain("HARD_SWISH"),
    LeakyRelu: _leaky_relu,
    MaxPool2d: _pool_2d,
    Mean: _mean,
    Multiply: _elementwise("MUL", 21),
    MultiplyNumber: _with_number("MUL", 21),
    Pad: _pad,
    PRelu: _prelu,
    Relu: _plain("RELU"),
    Relu6: _plain("RELU6"),
    Requantize: _quantize,
    Reshape: _reshape,
    Resize2d: _resize,
    Sigmoid: _plain("LOGISTIC"),
    Slice: _slice,
    Softmax: _softmax,
    SpaceToDepth: _with_arrays("SPACE_TO_DEPTH", lambda op: _options(19, op.block)),
    Subtract: _elementwise("SUB", 28),
    Tanh: _tanh,
    Transpose: _with_arrays("TRANSPOSE", lambda op: (26, {}), lambda op: (0, *(1 + axis for axis in op.order))),
}
"""The operators that TFLite has."""
