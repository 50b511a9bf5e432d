"""ATen's layers, poolings and functions as this package's: one function or table line for each operator.

A function takes the network and the operator's arguments in the order of its schema, defaults filled in, and returns
its result. The first line of its docstring is what the documentation says of the operator.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil, floor, prod
from typing import Any

import numpy as np

from millijoule.graph import Operator
from millijoule.load.channels_first import Value
from millijoule.load.torch.arrange import ARRANGEMENTS
from millijoule.load.torch.network import Known, TorchNetwork
from millijoule.ops import (
    Attention,
    Elu,
    Gelu,
    HardSigmoid,
    HardSwish,
    LeakyRelu,
    Relu,
    Relu6,
    Sigmoid,
    Swish,
    Tanh,
)

Sizes = Sequence[int]


def _spread(sizes: Any, rank: int, default: int = 0) -> list[int]:
    """One size for each of `rank` axes: torch gives one for all, or none for the default."""
    sizes = [sizes] if isinstance(sizes, int) else list(sizes or [default])
    return [int(size) for size in (sizes * rank if len(sizes) == 1 else sizes)]


def _kernel(network: TorchNetwork, x: Any, weight: Any) -> tuple[Value, np.ndarray, int]:
    """(the input of a convolution, its weight, along how many axes the kernel moves)."""
    value, array = network.value(x), network.array(weight)
    rank = array.ndim - 2
    if rank not in (1, 2) or len(value.shape) != array.ndim:
        network.unknown(f"it has {rank} dimensions; 1 and 2 are known")
    return value, array, rank


def _conv(
    network: TorchNetwork, x: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any, groups: int
) -> Value:
    """1-D and 2-D: stride, padding (also `same` and `valid`), dilation, groups."""
    value, array, rank = _kernel(network, x, weight)
    dilation = _spread(dilation, rank, 1)
    if padding == "valid":
        padding = 0
    if padding == "same":
        totals = [step * (size - 1) for step, size in zip(dilation, array.shape[2:], strict=True)]
        sides = [(total // 2, total - total // 2) for total in totals]
    else:
        sides = [(size, size) for size in _spread(padding, rank)]
    made = network.build.conv(
        network.name,
        value,
        array,
        network.optional(bias),
        stride=_spread(stride, rank, 1),
        padding=sides,
        dilation=dilation,
        groups=groups,
    )
    return network.layer(made, weight, bias)


def _conv_transpose(
    network: TorchNetwork,
    x: Any,
    weight: Any,
    bias: Any,
    stride: Any,
    padding: Any,
    output_padding: Any,
    groups: int,
    dilation: Any,
) -> Value:
    """1-D and 2-D: stride, padding, output padding, dilation, groups."""
    value, array, rank = _kernel(network, x, weight)
    made = network.build.conv_transpose(
        network.name,
        value,
        array,
        network.optional(bias),
        stride=_spread(stride, rank, 1),
        padding=[(size, size) for size in _spread(padding, rank)],
        output_padding=_spread(output_padding, rank),
        dilation=_spread(dilation, rank, 1),
        groups=groups,
    )
    return network.layer(made, weight, bias)


def _convolution(
    network: TorchNetwork,
    x: Any,
    weight: Any,
    bias: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    transposed: bool,
    output_padding: Any,
    groups: int,
) -> Value:
    """What core ATen makes of convolutions."""
    if transposed:
        return _conv_transpose(network, x, weight, bias, stride, padding, output_padding, groups, dilation)
    return _conv(network, x, weight, bias, stride, padding, dilation, groups)


def _linear(network: TorchNetwork, x: Any, weight: Any, bias: Any) -> Value:
    """Of the last axis, for each of any others."""
    made = network.build.dense(network.name, network.value(x), network.array(weight), network.optional(bias))
    return network.layer(made, weight, bias)


def _matmul(network: TorchNetwork, a: Any, b: Any) -> Value:
    """Of two values, of any rank; or of a value and a constant matrix, which is a dense layer."""
    if isinstance(b, Known) and b.tensor.ndim == 2:
        return _linear(network, a, Known(b.tensor.t(), b.origins), None)
    return network.build.matmul(network.name, network.value(a), network.value(b))


def _addmm(network: TorchNetwork, bias: Any, x: Any, weight: Any, beta: float, alpha: float) -> Value:
    """A dense layer: bias + x @ weight."""
    if (beta, alpha) != (1, 1) or not isinstance(bias, Known) or not isinstance(weight, Known):
        network.unknown("it adds or scales computed values")
    return _linear(network, x, Known(weight.tensor.t(), weight.origins), bias)


def _attention(
    network: TorchNetwork,
    query: Any,
    key: Any,
    value: Any,
    mask: Any,
    dropout: float,
    causal: bool,
    scale: float | None,
    grouped: bool,
) -> Value:
    """Scaled dot products of (1, heads, tokens, features); without a mask."""
    query, key, value = (network.value(x) for x in (query, key, value))
    batch, heads, tokens, features = query.shape if len(query.shape) == 4 else (0, 0, 0, 0)
    usual = scale is None or abs(scale * features**0.5 - 1) < 1e-6
    if batch != 1 or mask is not None or causal or grouped or not usual:
        network.unknown("it has a mask, a scale of its own, or a batch")
    build = network.build
    rows = [build.laid(x, (2,), (1, 3)) for x in (query, key, value)]
    made = build.node(network.name, Attention(heads=heads), *rows)
    split = build.reshape(Value.of(made, (tokens, prod(value.shape[1::2])), [0, 1]), (1, tokens, heads, value.shape[3]))
    return build.transpose(split, (0, 2, 1, 3))


def _batch_norm(
    network: TorchNetwork,
    x: Any,
    weight: Any,
    bias: Any,
    mean: Any,
    variance: Any,
    training: bool,
    momentum: float,
    epsilon: float,
    *_: Any,
) -> Value:
    """As in inference; without an affine part it is a constant scale."""
    x = network.value(x)
    if training or mean is None or variance is None:
        network.unknown("it normalises by the batch's own statistics: call module.eval(), and track them")
    if weight is None or bias is None:
        factor = 1 / np.sqrt(network.array(variance) + epsilon)
        offset = -network.array(mean) * factor
        sizes = (-1, *[1] * (len(x.shape) - 2))
        return network.scaled(x, factor.reshape(sizes), offset.reshape(sizes))
    arrays = [network.array(each) for each in (weight, bias, mean, variance)]
    return network.layer(network.build.batch_norm(network.name, x, *arrays, epsilon=epsilon), weight, bias)


def _batch_norm_core(
    network: TorchNetwork, x: Any, weight: Any, bias: Any, mean: Any, variance: Any, momentum: float, epsilon: float
) -> list[Value | None]:
    """What core ATen makes of batch-norm."""
    return [_batch_norm(network, x, weight, bias, mean, variance, False, momentum, epsilon), None, None]


def _layer_norm(network: TorchNetwork, x: Any, shape: Sizes, weight: Any, bias: Any, epsilon: float, *_: Any) -> Value:
    """Over the last axes."""
    x = network.value(x)
    if weight is None:
        network.unknown("it has no affine part")
    arrays = (network.array(weight), network.optional(bias))
    made = network.build.layer_norm(network.name, x, *arrays, axes=len(shape), epsilon=epsilon)
    return network.layer(made, weight, bias)


def _layer_norm_core(network: TorchNetwork, *arguments: Any) -> list[Value | None]:
    """What core ATen makes of layer-norm."""
    return [_layer_norm(network, *arguments), None, None]


def _prelu(network: TorchNetwork, x: Any, weight: Any) -> Value:
    """One slope for each channel."""
    x = network.value(x)
    if network.array(weight).size != x.shape[1]:
        network.unknown("it has one slope for several channels")
    return network.layer(network.build.prelu(network.name, x, network.array(weight)), weight)


def _ceil_padding(size: int, kernel: int, stride: int, pad: int) -> int:
    """How much more padding after makes the last, incomplete window: torch counts windows that start inside."""
    count = ceil((size + 2 * pad - kernel) / stride) + 1
    if (count - 1) * stride >= size + pad:
        count -= 1
    return max((count - 1) * stride + kernel - size - pad, pad)


def _window(x: Value, kernel: Any, stride: Any, padding: Any, ceil_mode: bool) -> tuple[list[int], list[int], Any]:
    rank = len(x.shape) - 2
    kernel = _spread(kernel, rank)
    stride = _spread(stride, rank) if stride else kernel
    pads = _spread(padding, rank)
    sides = [(pad, pad) for pad in pads]
    if ceil_mode:
        after = map(_ceil_padding, x.shape[2:], kernel, stride, pads)
        sides = list(zip(pads, after, strict=True))
    return kernel, stride, sides


def _max_pool(
    network: TorchNetwork, x: Any, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool
) -> Value:
    """1-D and 2-D, ceil mode too; no dilation."""
    x = network.value(x)
    if set(_spread(dilation, 2, 1)) != {1}:
        network.unknown("it has a dilation")
    return network.build.max_pool(network.name, x, *_window(x, kernel, stride, padding, ceil_mode))


def _max_pool_with_indices(network: TorchNetwork, *arguments: Any) -> list[Value | None]:
    """What core ATen makes of max pooling; the indices are not known."""
    return [_max_pool(network, *arguments), None]


def _average_pool(
    network: TorchNetwork,
    x: Any,
    kernel: Any,
    stride: Any,
    padding: Any,
    ceil_mode: bool,
    count_padding: bool = True,
    divisor: int | None = None,
) -> Value:
    """1-D and 2-D; padding counts or not; ceil mode where padding does not count or there is none."""
    x = network.value(x)
    kernel, stride, sides = _window(x, kernel, stride, padding, ceil_mode)
    more = any(after > before for before, after in sides)
    if divisor is not None or (count_padding and more and any(before for before, _ in sides)):
        network.unknown("it has a divisor of its own, or counts padding in ceil mode")
    counts = count_padding and any(before for before, _ in sides)
    return network.build.average_pool(network.name, x, kernel, stride, sides, count_padding=counts)


def _adaptive(network: TorchNetwork, x: Any, size: Any, kind: str) -> Value:
    x = network.value(x)
    rank = len(x.shape) - 2
    size = [new if new is not None else old for new, old in zip(_spread(size, rank), x.shape[2:], strict=True)]
    if list(size) == list(x.shape[2:]):
        return x
    if set(size) == {1}:
        axes = range(2, len(x.shape))
        return network.build.reduce(network.name, x, axes, "mean" if kind == "average" else "max", keep=True)
    if any(old % new for old, new in zip(x.shape[2:], size, strict=True)):
        return _uneven(network, x, size, kind)
    kernel = [old // new for old, new in zip(x.shape[2:], size, strict=True)]
    pool = network.build.average_pool if kind == "average" else network.build.max_pool
    return pool(network.name, x, kernel, kernel, [(0, 0)] * rank)


def _uneven(network: TorchNetwork, x: Value, size: Sizes, kind: str) -> Value:
    """Windows of unequal sizes: along one axis after the other, a pooling for each output position, side by side."""
    build = network.build
    for axis, new in enumerate(size, start=2):
        old = x.shape[axis]
        if old == new:
            continue
        parts = []
        for i in range(new):
            begin, end = floor(i * old / new), ceil((i + 1) * old / new)
            part = build.slice(f"{network.name}.part", x, axis, begin, end)
            name = f"{network.name}.window"
            parts.append(build.reduce(name, part, [axis], "mean" if kind == "average" else "max", keep=True))
        x = build.concat(network.name, parts, axis)
    return x


def _adaptive_average(network: TorchNetwork, x: Any, size: Any) -> Value:
    """To any size, also one that does not divide the input's."""
    return _adaptive(network, x, size, "average")


def _adaptive_max(network: TorchNetwork, x: Any, size: Any) -> list[Value | None]:
    """To any size, also one that does not divide the input's; the indices are not known."""
    return [_adaptive(network, x, size, "max"), None]


def _gelu(network: TorchNetwork, x: Any, approximate: str) -> Value:
    """Exact only."""
    if approximate != "none":
        network.unknown("it is the approximation by tanh")
    return network.build.activation(network.name, Gelu(), network.value(x))


def _clamp(network: TorchNetwork, x: Any, low: Any, high: Any = None) -> Value:
    """From 0 up, and from 0 to 6."""
    kinds: dict[tuple[Any, Any], Operator] = {(0, None): Relu(), (0, 6): Relu6()}
    if (low, high) not in kinds:
        network.unknown(f"it clamps to {low} to {high}; 0 up, and 0 to 6, are known")
    return network.build.activation(network.name, kinds[low, high], network.value(x))


def _leaky_relu(network: TorchNetwork, x: Any, slope: float) -> Value:
    """Any slope."""
    return network.build.activation(network.name, LeakyRelu(slope=float(slope)), network.value(x))


def _elu(network: TorchNetwork, x: Any, alpha: float, scale: float, input_scale: float) -> Value:
    """Any alpha."""
    if (scale, input_scale) != (1, 1):
        network.unknown("it is scaled")
    return network.build.activation(network.name, Elu(alpha=float(alpha)), network.value(x))


def _activation(op: Operator) -> Callable[[TorchNetwork, Any], Value]:
    return lambda network, x: network.build.activation(network.name, op, network.value(x))


LAYERS: dict[str, Callable[..., Any]] = {
    "_adaptive_avg_pool2d": _adaptive_average,
    "_native_batch_norm_legit_no_training": _batch_norm_core,
    "adaptive_avg_pool1d": _adaptive_average,
    "adaptive_avg_pool2d": _adaptive_average,
    "adaptive_max_pool1d": _adaptive_max,
    "adaptive_max_pool2d": _adaptive_max,
    "addmm": _addmm,
    "avg_pool1d": _average_pool,
    "avg_pool2d": _average_pool,
    "batch_norm": _batch_norm,
    "bmm": _matmul,
    "clamp": _clamp,
    "clamp_min": _clamp,
    "conv1d": _conv,
    "conv2d": _conv,
    "conv_transpose1d": _conv_transpose,
    "conv_transpose2d": _conv_transpose,
    "convolution": _convolution,
    "elu": _elu,
    "gelu": _gelu,
    "hardsigmoid": _activation(HardSigmoid()),
    "hardswish": _activation(HardSwish()),
    "hardtanh": _clamp,
    "layer_norm": _layer_norm,
    "leaky_relu": _leaky_relu,
    "linear": _linear,
    "matmul": _matmul,
    "max_pool1d": _max_pool,
    "max_pool2d": _max_pool,
    "max_pool2d_with_indices": _max_pool_with_indices,
    "mm": _matmul,
    "native_layer_norm": _layer_norm_core,
    "prelu": _prelu,
    "relu": _activation(Relu()),
    "relu6": _activation(Relu6()),
    "scaled_dot_product_attention": _attention,
    "sigmoid": _activation(Sigmoid()),
    "silu": _activation(Swish()),
    "tanh": _activation(Tanh()),
}

SUPPORTED = LAYERS | ARRANGEMENTS
