"""TFLite's operators as this package's: one function for each, called in the order of the file.

The first line of a function's docstring is what the documentation says of the operator. Option numbers are the fields
of the operator's options table in the TFLite schema.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import cast

import numpy as np

from millijoule.graph import Operator
from millijoule.load.tflite.network import INTEGER_TYPES, MIXED, Network, short
from millijoule.model import Quantization
from millijoule.ops import (
    Add,
    AddNumber,
    AveragePool2d,
    Concat,
    Conv2d,
    Dense,
    Flatten,
    GlobalAveragePool,
    MaxPool2d,
    Mean,
    Multiply,
    MultiplyNumber,
    Pad,
    Relu,
    Relu6,
    Requantize,
    Reshape,
    Sigmoid,
    Softmax,
    Tanh,
    Transpose,
)
from millijoule.ops.base import Activation

ACTIVATIONS = {0: "none", 1: "relu", 3: "relu6"}
PADDINGS = {0: "same", 1: "valid"}
FLOAT_TYPES = ("float32", "float16")
COMPRESSED = "weights stored as integers were turned into float32"
Weights = dict[str, tuple[np.ndarray, Quantization | None]]


def _activation(network: Network, field: int) -> Activation:
    return cast(Activation, network.choice(field, ACTIVATIONS, "fused activation"))


def _weights(network: Network, axis: int, order: Sequence[int]) -> Weights:
    """Weight (input 1, channels along `axis`, transposed by `order` so that they come first) and bias (input 2).

    Integer weights of a float network are turned into float32: they are compressed storage.
    """
    raw = network.constant(1, *FLOAT_TYPES, *INTEGER_TYPES)
    if raw.ndim != len(order):
        network.fail(f"weights '{short(network.tensor(1))}' have shape {raw.shape}; {len(order)} sizes are needed")
    stored = network.tensor(1)
    channels = raw.shape[axis]
    quantization = None
    array = np.ascontiguousarray(raw.transpose(order)).astype(raw.dtype.newbyteorder("="))
    if raw.dtype.name in INTEGER_TYPES:
        quantization = network.weight_quantization(1, channels, axis)
        if stored.type == "uint8":
            array = (array.astype(np.int16) - 128).astype(np.int8)
    if not network.is_integer():
        if quantization is not None:
            network.notes.append(COMPRESSED)
            scales = quantization.scales.reshape(-1, *[1] * (array.ndim - 1))
            array = (array.astype(np.float32) - np.float32(quantization.zero_point)) * scales
        array, quantization = array.astype(np.float32), None
        if not np.isfinite(array).all():
            network.fail(f"weights '{short(stored)}' hold NaN or infinity: train or export the model again")
    elif quantization is None:
        network.fail(f"has {raw.dtype.name} weights on an integer input: {MIXED}")
    weights: Weights = {"weight": (array, quantization)}
    if network.has_input(2):
        bias = network.constant(2, *(("int32",) if network.is_integer() else FLOAT_TYPES))
        if bias.size != channels:
            network.fail(f"has {bias.size} biases for {channels} output channels")
        if not np.isfinite(bias).all():
            network.fail(f"biases '{short(network.tensor(2))}' hold NaN or infinity: train or export the model again")
        weights["bias"] = (bias.reshape(-1).astype("int32" if network.is_integer() else "float32"), None)
    return weights


def _convolution(
    network: Network, weights: Weights, groups: int, activation_field: int, dilation_fields: tuple[int, int]
) -> None:
    weight, quantization = weights["weight"]
    if quantization is not None and quantization.zero_point and network.tensor(1).type == "int8":
        network.fail(f"int8 weights have zero point {quantization.zero_point}; TFLite's convolutions need 0")
    op = network.make(
        Conv2d,
        channels=weight.shape[0],
        kernel=(weight.shape[1], weight.shape[2]),
        stride=(network.option(2, "i"), network.option(1, "i")),
        padding=network.choice(0, PADDINGS, "padding"),
        dilation=(network.option(dilation_fields[0], "i", 1), network.option(dilation_fields[1], "i", 1)),
        groups=groups,
        bias="bias" in weights,
        activation=_activation(network, activation_field),
    )
    network.add(op, network.value(), weights=weights)


def _conv_2d(network: Network) -> None:
    """Stride, dilation, groups; int8 weights per tensor or per channel; bias optional."""
    network.input_count(2, 3)
    network.check_options(1)
    weights = _weights(network, axis=0, order=(0, 1, 2, 3))
    channels, per_group = _channels(network), weights["weight"][0].shape[3]
    if per_group < 1 or channels % per_group:
        network.fail(f"has weights for {per_group} input channels; the input has {channels}")
    _convolution(network, weights, channels // per_group, activation_field=3, dilation_fields=(5, 4))


def _depthwise_conv_2d(network: Network) -> None:
    """Stride, dilation, channel multiplier; int8 weights per tensor or per channel; bias optional."""
    network.input_count(2, 3)
    network.check_options(2)
    weights = _weights(network, axis=3, order=(3, 1, 2, 0))
    channels, weight = _channels(network), weights["weight"][0]
    if weight.shape[3] != 1 or weight.shape[0] % channels:
        network.fail(f"has weights of shape {network.tensor(1).shape}; the input has {channels} channels")
    _convolution(network, weights, channels, activation_field=4, dilation_fields=(6, 5))


def _channels(network: Network) -> int:
    shape = network.shapes[network.value()]
    if len(shape) != 3:
        network.fail(f"reads '{network.value()}' of shape {shape}; a map (height, width, channels) is needed")
    return shape[2]


def _fully_connected(network: Network) -> None:
    """Over all numbers of the input; int8 weights per tensor or per channel; bias optional."""
    network.input_count(2, 3)
    network.check_options(8)
    if network.option(1, "b"):
        network.unknown("has shuffled weights; export the model with the default weights format")
    weights = _weights(network, axis=0, order=(0, 1))
    features, inputs = weights["weight"][0].shape
    shape = network.shapes[network.value()]
    if inputs != prod(shape):
        wrong = network.unknown if shape[-1] == inputs else network.fail
        wrong(f"has weights for {inputs} inputs; the input has shape {shape} (one position is supported)")
    op = network.make(Dense, features=features, bias="bias" in weights, activation=_activation(network, field=0))
    network.add(op, network.value(), weights=weights)


def _pool_2d(network: Network, kind: type[MaxPool2d] | type[AveragePool2d]) -> None:
    network.input_count(1, 1)
    network.check_options(5)
    op = network.make(
        kind,
        kernel=(network.option(4, "i"), network.option(3, "i")),
        stride=(network.option(2, "i"), network.option(1, "i")),
        padding=network.choice(0, PADDINGS, "padding"),
        activation=_activation(network, field=5),
    )
    network.add(op, network.value())


def _average_pool_2d(network: Network) -> None:
    """Any window and stride; padding does not count."""
    _pool_2d(network, AveragePool2d)


def _max_pool_2d(network: Network) -> None:
    """Any window and stride."""
    _pool_2d(network, MaxPool2d)


def _mean(network: Network) -> None:
    """Over axes that follow each other, not the batch; dimensions kept or not."""
    network.input_count(2, 2)
    network.check_options(27)
    rank = len(network.tensor(0).shape)
    axes = sorted(axis + rank if axis < 0 else axis for axis in network.constant(1, "int32").reshape(-1)[:9].tolist())
    keep_dims = bool(network.option(0, "B"))
    if rank == 4 and axes == [1, 2]:
        network.add(GlobalAveragePool(keep_dims=keep_dims), network.value())
    elif not axes or axes[0] < 1 or axes[-1] >= rank or axes != list(range(axes[0], axes[-1] + 1)):
        network.unknown(f"is over axes {axes} of {rank}; axes that follow each other, not the batch, are needed")
    else:
        network.add(Mean(axes=tuple(axis - 1 for axis in axes), keep_dims=keep_dims), network.value())


def _transpose(network: Network) -> None:
    """Of all axes but the batch."""
    network.input_count(2, 2)
    network.check_options(26)
    rank = len(network.tensor(0).shape)
    order = network.constant(1, "int32").reshape(-1).tolist()
    if rank < 2 or sorted(order) != list(range(rank)) or order[0] != 0:
        network.unknown(f"puts {rank} axes into the order {order}; each of them once is needed, the batch first")
    if order == sorted(order):
        network.alias(network.value())
    else:
        network.add(Transpose(order=tuple(axis - 1 for axis in order[1:])), network.value())


def _elementwise(
    network: Network,
    kind: type[Add] | type[Multiply],
    with_number: type[AddNumber] | type[MultiplyNumber],
    options: int,
) -> None:
    network.input_count(2, 2)
    network.check_options(options)
    activation = _activation(network, field=0)
    for value, constant in ((0, 1), (1, 0)):
        if network.is_constant(constant) and not network.is_constant(value):
            scale, steps = _number(network, constant)
            single = network.make(with_number, scale=scale, steps=steps, activation=activation)
            network.add(single, network.value(value))
            return
    op, a, b = kind(activation=activation), network.value(0), network.value(1)
    try:
        op.shape(network.shapes[a], network.shapes[b])
    except ValueError as error:
        network.unknown(str(error))
    network.add(op, a, b)


def _number(network: Network, slot: int) -> tuple[float, int]:
    """(scale, steps) of the one number of constant input `slot`."""
    array, tensor = network.constant(slot, "float32", *INTEGER_TYPES), network.tensor(slot)
    if array.size != 1:
        network.unknown(f"input {slot} '{short(tensor)}' is a constant of shape {array.shape}; one number is supported")
    number = array.reshape(-1)[0].item()
    if tensor.type == "float32":
        return abs(number) or 1.0, int(np.sign(number)) if np.isfinite(number) else 0
    quantization = network.value_quantization(tensor)
    assert quantization is not None
    zero_point = quantization.zero_point + (128 if tensor.type == "uint8" else 0)
    return float(quantization.scale), number - zero_point


def _add(network: Network) -> None:
    """Of values of equal shape, or of a map and one number for each channel; of a value and a constant number."""
    _elementwise(network, Add, AddNumber, options=11)


def _mul(network: Network) -> None:
    """Of values of equal shape, or of a map and one number for each channel; of a value and a constant number."""
    _elementwise(network, Multiply, MultiplyNumber, options=21)


def _unary(network: Network, op: Operator, output: Quantization | None = None) -> None:
    """output: the quantization that TFLite prescribes for an int8 output."""
    network.input_count(1, 1)
    given = network.value_quantization(network.output)
    if output is not None and given is not None and given != output:
        network.fail(
            f"has output scale {given.scale:g}, zero point {given.zero_point}; TFLite prescribes {output.scale:g}, "
            f"{output.zero_point} (int8)"
        )
    network.add(op, network.value())


def _relu(network: Network) -> None:
    """Scales may differ."""
    _unary(network, Relu())


def _relu6(network: Network) -> None:
    """One scale for input and output."""
    _unary(network, Relu6())


def _logistic(network: Network) -> None:
    """Sigmoid; int8 output scale 1/256, zero point -128."""
    _unary(network, Sigmoid(), Quantization.of(1 / 256, -128))


def _tanh(network: Network) -> None:
    """int8 output scale 1/128, zero point 0."""
    _unary(network, Tanh(), Quantization.of(1 / 128, 0))


def _softmax(network: Network) -> None:
    """Along the channels, beta 1; int8 output scale 1/256, zero point -128."""
    network.check_options(9)
    options = network.operation.options
    beta = 0.0 if options is None else options.number(0, "f")
    if beta != 1.0:
        network.unknown(f"has beta {beta:g}; 1 is supported")
    _unary(network, Softmax(), Quantization.of(1 / 256, -128))


def _pad(network: Network) -> None:
    """Zeros around height and width."""
    network.input_count(2, 2)
    _pad_by(network)


def _padv2(network: Network) -> None:
    """As PAD, if the given number stands for zero."""
    network.input_count(3, 3)
    number = network.constant(2, "float32", *INTEGER_TYPES).reshape(-1)
    quantization = network.value_quantization(network.output)
    tensor = network.tensor(2)
    zero = 0 if quantization is None else quantization.zero_point + (128 if tensor.type == "uint8" else 0)
    if number.size != 1 or number[0] != zero:
        network.unknown(f"pads with {number[:1].tolist()}; only {zero}, which stands for zero, is supported")
    _pad_by(network)


def _pad_by(network: Network) -> None:
    sizes = network.constant(1, "int32", "int64")
    if sizes.shape != (4, 2) or sizes[[0, 3]].any():
        network.unknown("does not pad height and width alone, which is all that is supported")
    (_, height, width, _) = [(int(before), int(after)) for before, after in sizes]
    network.add(network.make(Pad, padding=(height, width)), network.value())


def _concatenation(network: Network) -> None:
    """Of computed values along the channels."""
    network.input_count(1)
    network.check_options(10)
    if _activation(network, field=1) != "none":
        network.unknown("has a fused activation; make it an operator of its own")
    rank, axis = len(network.tensor(0).shape), network.option(0, "i")
    if axis % max(rank, 1) != rank - 1 or not -rank <= axis < rank:
        network.unknown(f"is along axis {axis} of {rank}; only along the last, the channels")
    values = [network.value(slot) for slot in range(len(network.operation.inputs))]
    if len(values) == 1:
        network.alias(values[0])
    else:
        network.add(Concat(), *values)


def _reshape(network: Network) -> None:
    """To any fixed shape of batch 1; moves nothing."""
    network.input_count(1, 2)
    target = network.value_shape(network.output)
    network.add(Flatten() if len(target) == 1 else Reshape(target=target), network.value())


def _quantize(network: Network) -> None:
    """From one int8 or uint8 scale to another; from float32 at the network's input, where it is left out."""
    network.input_count(1, 1)
    given, wanted = network.value(), network.value_quantization(network.output)
    if not network.is_integer() or wanted is None:
        network.unknown(f"turns {network.tensor(0).type} into {network.output.type} inside the network: {MIXED}")
    if network.quantization[given] == wanted and network.shapes[given] == network.value_shape(network.output):
        network.alias(given)
    else:
        network.add(Requantize(), given)


def _dequantize(network: Network) -> None:
    """Of weights stored as int8 or float16; of the network's output, where it is left out."""
    network.input_count(1, 1)
    if not network.is_constant(0):
        network.unknown(f"turns {network.tensor(0).type} into {network.output.type} inside the network: {MIXED}")
    tensor = network.tensor(0)
    array = network.constant(0, *FLOAT_TYPES, *INTEGER_TYPES)
    if array.dtype.name in INTEGER_TYPES:
        network.notes.append(COMPRESSED)
        axis = tensor.quantization.axis if tensor.quantization is not None else 0
        if not 0 <= axis < max(array.ndim, 1):
            network.fail(f"'{short(tensor)}' has scales along axis {axis} of {array.ndim}")
        quantization = network.weight_quantization(0, array.shape[axis] if array.ndim else 1, axis)
        zero_point = quantization.zero_point + (128 if tensor.type == "uint8" else 0)
        sizes = [-1 if position == axis else 1 for position in range(array.ndim)]
        scales = quantization.scales.reshape(sizes) if quantization.scales.size > 1 else quantization.scales[0]
        array = (array.astype(np.float32) - np.float32(zero_point)) * scales
    network.constants[network.operation.outputs[0]] = array.astype(np.float32)


SUPPORTED: dict[str, Callable[[Network], None]] = {
    "ADD": _add,
    "AVERAGE_POOL_2D": _average_pool_2d,
    "CONCATENATION": _concatenation,
    "CONV_2D": _conv_2d,
    "DEPTHWISE_CONV_2D": _depthwise_conv_2d,
    "DEQUANTIZE": _dequantize,
    "EXPAND_DIMS": _reshape,
    "FULLY_CONNECTED": _fully_connected,
    "LOGISTIC": _logistic,
    "MAX_POOL_2D": _max_pool_2d,
    "MEAN": _mean,
    "MUL": _mul,
    "PAD": _pad,
    "PADV2": _padv2,
    "QUANTIZE": _quantize,
    "RELU": _relu,
    "RELU6": _relu6,
    "RESHAPE": _reshape,
    "SOFTMAX": _softmax,
    "SQUEEZE": _reshape,
    "TANH": _tanh,
    "TRANSPOSE": _transpose,
}
RESHAPES = ("EXPAND_DIMS", "RESHAPE", "SQUEEZE")
"""Their further inputs only say the output's shape, which the file declares too."""
