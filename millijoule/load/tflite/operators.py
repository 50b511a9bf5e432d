"""TFLite's operators as this package's: one function for each, called in the order of the file.

The first line of a function's docstring is what the documentation says of the operator. Option numbers are the fields
of the operator's options table in the TFLite schema.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from millijoule.graph import Operator
from millijoule.load.tflite import layers, moves
from millijoule.load.tflite.layers import COMPRESSED, FLOAT_TYPES, PADDINGS, activation_of
from millijoule.load.tflite.network import INTEGER_TYPES, MIXED, Network, short
from millijoule.model import Quantization
from millijoule.ops import (
    Add,
    AddNumber,
    AveragePool2d,
    ChannelShuffle,
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
    Relu,
    Relu6,
    Requantize,
    Reshape,
    Sigmoid,
    Softmax,
    Subtract,
    Tanh,
)


def _pool_2d(network: Network, kind: type[MaxPool2d] | type[AveragePool2d]) -> None:
    network.input_count(1, 1)
    network.check_options(5)
    op = network.make(
        kind,
        kernel=(network.option(4, "i"), network.option(3, "i")),
        stride=(network.option(2, "i"), network.option(1, "i")),
        padding=network.choice(0, PADDINGS, "padding"),
        activation=activation_of(network, field=5),
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


def _elementwise(
    network: Network,
    kind: type[Add] | type[Multiply],
    with_number: type[AddNumber] | type[MultiplyNumber],
    options: int,
) -> None:
    network.input_count(2, 2)
    network.check_options(options)
    activation = activation_of(network, field=0)
    for value, constant in ((0, 1), (1, 0)):
        if network.is_constant(constant) and not network.is_constant(value):
            scale, steps = _number(network, constant)
            single = network.make(with_number, scale=scale, steps=steps, activation=activation)
            network.add(single, network.value(value))
            return
    _pair(network, kind(activation=activation))


def _pair(network: Network, op: Operator) -> None:
    a, b = network.value(0), network.value(1)
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


def _sub(network: Network) -> None:
    """Of computed values of equal shape, or of a map and one number for each channel."""
    network.input_count(2, 2)
    network.check_options(28)
    _pair(network, Subtract(activation=activation_of(network, field=0)))


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


def _leaky_relu(network: Network) -> None:
    """Any slope; scales may differ."""
    network.check_options(75)
    options = network.operation.options
    _unary(network, LeakyRelu(slope=0.0 if options is None else options.number(0, "f")))


def _elu(network: Network) -> None:
    """Scales may differ."""
    _unary(network, Elu())


def _hard_swish(network: Network) -> None:
    """int8 output scale at least 1/128 of the input's."""
    _unary(network, HardSwish())


def _reduce_max(network: Network) -> None:
    """Over height and width; one scale for input and output."""
    network.input_count(2, 2)
    network.check_options(27)
    axes = network.constant(1, "int32").reshape(-1).tolist()
    rank = len(network.tensor(0).shape)
    if rank != 4 or sorted(axis % rank for axis in axes) != [1, 2]:
        network.unknown(f"is over axes {axes} of {rank}; height and width, axes [1, 2] of 4, are supported")
    network.add(GlobalMaxPool(keep_dims=bool(network.option(0, "B"))), network.value())


def _softmax(network: Network) -> None:
    """Along the channels, beta 1; int8 output scale 1/256, zero point -128."""
    network.check_options(9)
    options = network.operation.options
    beta = 0.0 if options is None else options.number(0, "f")
    if beta != 1.0:
        network.unknown(f"has beta {beta:g}; 1 is supported")
    _unary(network, Softmax(), Quantization.of(1 / 256, -128))


def _reshape(network: Network) -> None:
    """To any fixed shape of batch 1; moves nothing."""
    network.input_count(1, 2)
    target = network.value_shape(network.output)
    if (groups := moves.shuffled_groups(network, target)) is not None:
        split, _ = network.take_back(2)
        network.add(ChannelShuffle(groups=groups), *split.inputs)
        return
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
    "CONCATENATION": moves.concatenation,
    "CONV_2D": layers.conv_2d,
    "DEPTHWISE_CONV_2D": layers.depthwise_conv_2d,
    "DEPTH_TO_SPACE": moves.depth_to_space,
    "DEQUANTIZE": _dequantize,
    "ELU": _elu,
    "EXPAND_DIMS": _reshape,
    "FULLY_CONNECTED": layers.fully_connected,
    "HARD_SWISH": _hard_swish,
    "LEAKY_RELU": _leaky_relu,
    "LOGISTIC": _logistic,
    "MAX_POOL_2D": _max_pool_2d,
    "MEAN": _mean,
    "MUL": _mul,
    "PAD": moves.pad,
    "PADV2": moves.padv2,
    "PRELU": layers.prelu,
    "QUANTIZE": _quantize,
    "REDUCE_MAX": _reduce_max,
    "RELU": _relu,
    "RELU6": _relu6,
    "RESHAPE": _reshape,
    "RESIZE_BILINEAR": moves.resize_bilinear,
    "RESIZE_NEAREST_NEIGHBOR": moves.resize_nearest_neighbor,
    "SLICE": moves.slice_,
    "SOFTMAX": _softmax,
    "SPACE_TO_DEPTH": moves.space_to_depth,
    "SQUEEZE": _reshape,
    "STRIDED_SLICE": moves.strided_slice,
    "SUB": _sub,
    "TANH": _tanh,
    "TRANSPOSE": moves.transpose,
    "TRANSPOSE_CONV": layers.transpose_conv,
}
RESHAPES = ("EXPAND_DIMS", "RESHAPE", "SQUEEZE")
"""Their further inputs only say the output's shape, which the file declares too."""
