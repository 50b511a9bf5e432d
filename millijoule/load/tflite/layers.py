"""TFLite's operators that have weights, and what they share with others."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import cast

import numpy as np

from millijoule.load.tflite.network import INTEGER_TYPES, MIXED, Network, short
from millijoule.model import Quantization
from millijoule.ops import Conv2d, ConvTranspose2d, Dense, PRelu
from millijoule.ops.base import Activation

ACTIVATIONS = {0: "none", 1: "relu", 3: "relu6"}
PADDINGS = {0: "same", 1: "valid"}
FLOAT_TYPES = ("float32", "float16")
COMPRESSED = "weights stored as integers were turned into float32"
Weights = dict[str, tuple[np.ndarray, Quantization | None]]


def activation_of(network: Network, field: int) -> Activation:
    return cast(Activation, network.choice(field, ACTIVATIONS, "fused activation"))


def _weights(network: Network, axis: int, order: Sequence[int], value: int = 0, bias: int = 2) -> Weights:
    """Weight (input 1, channels along `axis`, transposed by `order` so that they come first) and bias (input `bias`).

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
    if not network.is_integer(value):
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
    if network.has_input(bias):
        biases = network.constant(bias, *(("int32",) if network.is_integer(value) else FLOAT_TYPES))
        if biases.size != channels:
            network.fail(f"has {biases.size} biases for {channels} output channels")
        if not np.isfinite(biases).all():
            name = short(network.tensor(bias))
            network.fail(f"biases '{name}' hold NaN or infinity: train or export the model again")
        weights["bias"] = (biases.reshape(-1).astype("int32" if network.is_integer(value) else "float32"), None)
    return weights


def _symmetric(network: Network, weights: Weights) -> np.ndarray:
    """The weight of a convolution."""
    weight, quantization = weights["weight"]
    if quantization is not None and quantization.zero_point and network.tensor(1).type == "int8":
        network.fail(f"int8 weights have zero point {quantization.zero_point}; TFLite's convolutions need 0")
    return weight


def _convolution(
    network: Network, weights: Weights, groups: int, activation_field: int, dilation_fields: tuple[int, int]
) -> None:
    weight = _symmetric(network, weights)
    op = network.make(
        Conv2d,
        channels=weight.shape[0],
        kernel=(weight.shape[1], weight.shape[2]),
        stride=(network.option(2, "i"), network.option(1, "i")),
        padding=network.choice(0, PADDINGS, "padding"),
        dilation=(network.option(dilation_fields[0], "i", 1), network.option(dilation_fields[1], "i", 1)),
        groups=groups,
        bias="bias" in weights,
        activation=activation_of(network, activation_field),
    )
    network.add(op, network.value(), weights=weights)


def conv_2d(network: Network) -> None:
    """Stride, dilation, groups; int8 weights per tensor or per channel; bias optional."""
    network.input_count(2, 3)
    network.check_options(1)
    weights = _weights(network, axis=0, order=(0, 1, 2, 3))
    channels, per_group = _channels(network), weights["weight"][0].shape[3]
    if per_group < 1 or channels % per_group:
        network.fail(f"has weights for {per_group} input channels; the input has {channels}")
    _convolution(network, weights, channels // per_group, activation_field=3, dilation_fields=(5, 4))


def depthwise_conv_2d(network: Network) -> None:
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


def fully_connected(network: Network) -> None:
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
    op = network.make(Dense, features=features, bias="bias" in weights, activation=activation_of(network, field=0))
    network.add(op, network.value(), weights=weights)


def transpose_conv(network: Network) -> None:
    """Stride, output padding; int8 weights per tensor or per channel; bias optional."""
    network.input_count(3, 4)
    network.check_options(49)
    if len(network.shapes[network.value(2)]) != 3:
        network.fail(f"reads '{network.value(2)}' of shape {network.shapes[network.value(2)]}; a map is needed")
    weights = _weights(network, axis=0, order=(0, 1, 2, 3), value=2, bias=3)
    weight = _symmetric(network, weights)
    stride = network.option(2, "i"), network.option(1, "i")
    same = network.choice(0, PADDINGS, "padding") == "same"
    ends, more = [], []
    for size, new, step, kernel in zip(
        network.shapes[network.value(2)], network.value_shape(network.output), stride, weight.shape[1:3], strict=False
    ):
        if step < 1:
            network.fail(f"stride is {stride}; it must be 1 or more")
        # Off the top goes half of what a convolution over the output would pad.
        top = max((-(-new // step) - 1) * step + kernel - new, 0) // 2 if same else 0
        bottom = (size - 1) * step + kernel - top - new
        ends.append((top, max(bottom, 0)))
        more.append(max(-bottom, 0))
    op = network.make(
        ConvTranspose2d,
        channels=weight.shape[0],
        kernel=weight.shape[1:3],
        stride=stride,
        padding=tuple(ends),
        output_padding=tuple(more),
        bias="bias" in weights,
        activation=activation_of(network, field=3),
    )
    network.add(op, network.value(2), weights=weights)


def prelu(network: Network) -> None:
    """With a constant slope for each channel, or one for all; int8 slopes have one scale."""
    network.input_count(2, 2)
    channels, stored = network.shapes[network.value()][-1], network.tensor(1)
    raw = network.constant(1, *FLOAT_TYPES, *INTEGER_TYPES)
    if (raw.shape[-1:] != (raw.size,) and raw.size != 1) or raw.size not in (1, channels):
        network.unknown(f"has slopes of shape {raw.shape}; one for each of {channels} channels is supported")
    slope, quantization = np.broadcast_to(raw.reshape(-1), (channels,)), None
    if network.is_integer():
        if raw.dtype.name not in INTEGER_TYPES:
            network.fail(f"has {raw.dtype.name} slopes on an integer input: {MIXED}")
        quantization = network.weight_quantization(1, 1, 0)
        slope = (slope.astype(np.int16) - (128 if stored.type == "uint8" else 0)).astype(np.int8)
    elif raw.dtype.name in INTEGER_TYPES:
        network.fail(f"has {raw.dtype.name} slopes on a float input: {MIXED}")
    else:
        slope = slope.astype(np.float32)
    network.add(PRelu(), network.value(), weights={"slope": (slope, quantization)})
