"""ONNX's layers with weights, pools, and functions of one number."""

from __future__ import annotations

from math import ceil, inf
from typing import Literal

import numpy as np

from millijoule.graph import Operator
from millijoule.load.channels_first import Value
from millijoule.load.onnx.network import OnnxNetwork, pads
from millijoule.load.onnx.patterns import multiple
from millijoule.model import Quantization
from millijoule.ops import (
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

Sides = tuple[tuple[int, int], ...]


def _spatial(network: OnnxNetwork, kernel: list[int]) -> tuple[list[int], list[int]]:
    """(stride, dilation) of as many axes as the kernel has."""
    rank = len(network.value().axes) - 2
    if len(kernel) != rank or rank not in (1, 2):
        network.unknown(f"its kernel is {kernel} and its input has {rank} spatial axes; 1 or 2 are known")
    stride = network.ints("strides") or [1] * rank
    dilation = network.ints("dilations") or [1] * rank
    if len(stride) != rank or len(dilation) != rank or min(*stride, *dilation, *kernel) < 1:
        network.fail(f"kernel {kernel}, strides {stride} and dilations {dilation} make no sense together")
    return stride, dilation


def _padding(network: OnnxNetwork, kernel: list[int], stride: list[int], dilation: list[int]) -> Sides:
    """From `pads` or `auto_pad`."""
    mode = network.attribute("auto_pad", "NOTSET")
    rank = len(kernel)
    if mode in ("NOTSET", ""):
        given = network.ints("pads") or [0] * 2 * rank
        if len(given) != 2 * rank or min(given) < 0:
            network.fail(f"pads are {given}; {2 * rank} sizes of 0 or more are needed")
        return pads(given)
    if mode == "VALID":
        return ((0, 0),) * rank
    if mode not in ("SAME_UPPER", "SAME_LOWER"):
        network.fail(f"auto_pad is '{mode}', which ONNX does not know")
    sides = []
    for size, k, s, d in zip(network.value().shape[2:], kernel, stride, dilation, strict=True):
        total = max((ceil(size / s) - 1) * s + (k - 1) * d + 1 - size, 0)
        small, large = total // 2, total - total // 2
        sides.append((small, large) if mode == "SAME_UPPER" else (large, small))
    return tuple(sides)


def _weight(network: OnnxNetwork, axis: int) -> tuple[np.ndarray, Quantization | None]:
    """The weight (input 1), integers with their scales if its layer works on integers."""
    integers = network.integers.get(network.input_name(1))
    if integers is None or not network.is_int8:
        return network.constant(1), None
    if integers.quantization.scales.size > 1 and integers.axis % integers.array.ndim != axis:
        network.fail(f"its weights have scales along axis {integers.axis}; along {axis} is needed")
    return integers.array, integers.quantization


def _conv(network: OnnxNetwork) -> None:
    """Of one or two dimensions: stride, dilation, groups, padding; bias optional."""
    weight, scales = _weight(network, 0)
    kernel = list(weight.shape[2:])
    stride, dilation = _spatial(network, kernel)
    result = network.build.conv(
        network.name,
        network.value(),
        weight,
        network.optional(2),
        stride=stride,
        padding=_padding(network, kernel, stride, dilation),
        dilation=dilation,
        groups=network.attribute("group", 1),
        scales=scales,
    )
    network.give(result)


def _conv_transpose(network: OnnxNetwork) -> None:
    """Of one or two dimensions: stride, dilation, groups, padding, output padding or shape; bias optional."""
    weight, scales = _weight(network, 1)
    if scales is not None and scales.scales.size > 1 and network.attribute("group", 1) > 1:
        network.unknown("it has groups and integer weights with a scale for each channel")
    kernel = list(weight.shape[2:])
    stride, dilation = _spatial(network, kernel)
    more = network.ints("output_padding") or [0] * len(kernel)
    mode, shape = network.attribute("auto_pad", "NOTSET"), network.ints("output_shape")
    sizes = network.value().shape[2:]
    full = [
        (n - 1) * s + (k - 1) * d + 1 + m for n, s, k, d, m in zip(sizes, stride, kernel, dilation, more, strict=True)
    ]
    if shape is not None or mode in ("SAME_UPPER", "SAME_LOWER"):
        wanted = shape[-len(kernel) :] if shape is not None else [n * s for n, s in zip(sizes, stride, strict=True)]
        totals = [size - want for size, want in zip(full, wanted, strict=True)]
        halves = [(total // 2, total - total // 2) for total in totals]
        # ONNX: the odd row is cut at the end with SAME_UPPER, at the start otherwise.
        padding = tuple(half if mode == "SAME_UPPER" else half[::-1] for half in halves)
    else:
        padding = _padding(network, kernel, stride, dilation)
    result = network.build.conv_transpose(
        network.name,
        network.value(),
        weight,
        network.optional(2),
        stride=stride,
        padding=padding,
        output_padding=more,
        dilation=dilation,
        groups=network.attribute("group", 1),
        scales=scales,
    )
    network.give(result)


def _gemm(network: OnnxNetwork) -> None:
    """With constant weights, a dense layer; of two computed matrices, their product; alpha, beta, transA, transB."""
    build, alpha, beta = network.build, network.attribute("alpha", 1.0), network.attribute("beta", 1.0)
    x = network.value()
    if len(x.axes) != 2:
        network.fail(f"its input has shape {x.shape}; a matrix is needed")
    if network.attribute("transA", 0):
        x = x.transposed((1, 0))
    transposed = bool(network.attribute("transB", 0))
    bias = None
    if network.is_constant(1):
        weight, scales = _weight(network, 0 if transposed else 1)
        weight = weight if transposed else weight.T
        if alpha != 1.0:
            if scales is not None:
                scales = Quantization(scales.scales * np.float32(alpha), scales.zero_point)
            else:
                weight = weight * np.float32(alpha)
        if network.has(2) and network.is_constant(2):
            bias = network.constant(2) * np.float32(beta)
        features = len(weight)
        direct = bias is not None and bias.size in (1, features) and bias.shape[-1:] in ((), (1,), (features,))
        vector = np.broadcast_to(bias.reshape(-1), (features,)) if direct and bias is not None else None
        y = build.dense(network.name, x, weight, vector, scales=scales)
        if bias is not None and not direct:
            y = build.scale(network.name, y, 1.0, bias)
    else:
        other = network.value(1)
        y = build.matmul(network.name, x, other.transposed((1, 0)) if transposed else other)
        if alpha != 1.0:
            y = build.scale(network.name, y, alpha)
        if network.has(2) and network.is_constant(2):
            y = build.scale(network.name, y, 1.0, network.constant(2) * np.float32(beta))
    if network.has(2) and not network.is_constant(2):
        other = network.value(2)
        y = build.binary(network.name, "add", y, other if beta == 1.0 else build.scale(network.name, other, beta))
    network.give(y)


def _mat_mul(network: OnnxNetwork) -> None:
    """With a constant matrix, a dense layer at every row; of two computed values, their product."""
    build = network.build
    if network.is_constant(1):
        weight, scales = _weight(network, 1)
        if weight.ndim > 2 and all(size == 1 for size in weight.shape[:-2]):
            weight = weight.reshape(weight.shape[-2:])
        if weight.ndim != 2:
            network.unknown(f"its constant has shape {weight.shape}; a matrix is known")
        network.give(build.dense(network.name, network.value(), weight.T, scales=scales))
    elif network.is_constant(0):
        weight, x = network.constant(0), network.value(1)
        if weight.ndim != 2 or len(x.axes) < 2:
            network.unknown(f"its constant has shape {weight.shape}; a matrix is known")
        swapped = (*range(len(x.axes) - 2), len(x.axes) - 1, len(x.axes) - 2)
        network.give(build.dense(network.name, x.transposed(swapped), weight).transposed(swapped))
    else:
        network.give(build.matmul(network.name, network.value(0), network.value(1)))


def _batch_normalization(network: OnnxNetwork) -> None:
    """With the statistics of training."""
    scale, bias, mean, variance = (network.constant(slot).reshape(-1) for slot in range(1, 5))
    epsilon = network.attribute("epsilon", 1e-5)
    network.give(network.build.batch_norm(network.name, network.value(), scale, bias, mean, variance, epsilon=epsilon))


def _layer_normalization(network: OnnxNetwork) -> None:
    """Over the last axes; scale and bias."""
    x = network.value()
    axis = network.axis(network.attribute("axis", -1), len(x.axes))
    sizes = x.shape[axis:]
    scale, bias = (None if (a := network.optional(slot)) is None else np.broadcast_to(a, sizes) for slot in (1, 2))
    epsilon = network.attribute("epsilon", 1e-5)
    network.give(network.build.layer_norm(network.name, x, scale, bias, axes=len(x.axes) - axis, epsilon=epsilon))


def _lrn(network: OnnxNetwork) -> None:
    """Across channels, an odd number of them; ONNX divides alpha by their number."""
    size = network.attribute("size")
    if not isinstance(size, int) or size < 1:
        network.fail(f"attribute size is {size!r}; a whole number is needed")
    if size % 2 == 0:
        network.unknown(f"it looks at {size} channels; an odd number is known")
    alpha, beta, k = (network.attribute(n, d) for n, d in (("alpha", 1e-4), ("beta", 0.75), ("bias", 1.0)))
    network.give(
        network.build.local_response_norm(network.name, network.value(), size=size, alpha=alpha / size, beta=beta, k=k)
    )


def _window(network: OnnxNetwork) -> tuple[list[int], list[int], Sides, bool]:
    """(kernel, stride, padding, whether ceil mode added padding) of a pool without dilation."""
    kernel = network.ints("kernel_shape")
    if kernel is None:
        network.fail("has no kernel_shape")
    stride, dilation = _spatial(network, kernel)
    if any(step != 1 for step in dilation):
        network.unknown(f"its dilations are {dilation}; 1 is known")
    padding = _padding(network, kernel, stride, dilation)
    if not network.attribute("ceil_mode", 0):
        return kernel, stride, padding, False
    wider = []
    for size, k, s, (before, after) in zip(network.value().shape[2:], kernel, stride, padding, strict=True):
        outputs = ceil((size + before + after - k) / s) + 1
        # A window that starts in the padding at the end sees nothing.
        outputs -= (outputs - 1) * s >= size + before
        wider.append((before, max(after, (outputs - 1) * s + k - size - before)))
    return kernel, stride, tuple(wider), tuple(wider) != padding


def _max_pool(network: OnnxNetwork) -> None:
    """Any window and stride, ceil mode; without dilation and indices."""
    kernel, stride, padding, _ = _window(network)
    network.give(network.build.max_pool(network.name, network.value(), kernel, stride, padding))


def _average_pool(network: OnnxNetwork) -> None:
    """Any window and stride, ceil mode; padding counts or not; without dilation. Over the whole map, a global pool."""
    kernel, stride, padding, widened = _window(network)
    x = network.value()
    counts = bool(network.attribute("count_include_pad", 0))
    if counts and widened:
        network.unknown("it counts padding in ceil mode")
    whole = tuple(kernel) == x.shape[2:] and not any(any(side) for side in padding)
    # Of integers, the two round differently.
    if whole and not network.is_int8:
        network.give(network.build.reduce(network.name, x, range(2, len(x.axes)), "mean", keep=True))
        return
    network.give(network.build.average_pool(network.name, x, kernel, stride, padding, count_padding=counts))


def _global(network: OnnxNetwork, kind: Literal["mean", "max"]) -> None:
    x = network.value()
    network.give(network.build.reduce(network.name, x, range(2, len(x.axes)), kind, keep=True))


def _global_average_pool(network: OnnxNetwork) -> None:
    """Over all positions."""
    _global(network, "mean")


def _global_max_pool(network: OnnxNetwork) -> None:
    """Over all positions."""
    _global(network, "max")


def _unary(network: OnnxNetwork, op: Operator) -> None:
    network.give(network.build.activation(network.name, op, network.value()))


def _relu(network: OnnxNetwork) -> None:
    """max(x, 0)."""
    _unary(network, Relu())


def _clip(network: OnnxNetwork) -> None:
    """Between any two numbers: ReLU, ReLU6, or one of them between two scales."""
    if network.opset < 11:
        low, high = network.attribute("min", -inf), network.attribute("max", inf)
    else:
        limits = [network.optional(slot) for slot in (1, 2)]
        low, high = (
            missing if limit is None else float(limit.reshape(-1)[0])
            for limit, missing in zip(limits, (-inf, inf), strict=True)
        )
    network.give(_clipped(network, network.value(), low, high))


def _clipped(network: OnnxNetwork, x: Value, low: float, high: float) -> Value:
    build, name = network.build, network.name
    # float32's extremes stand for no limit.
    low, high = (-inf if low < -3e38 else low), (inf if high > 3e38 else high)
    if low >= high:
        network.unknown(f"its limits are {low:g} and {high:g}")
    if low == -inf and high == inf:
        return x
    if (low, high) in ((0.0, inf), (0.0, 6.0)):
        return build.activation(name, Relu() if high == inf else Relu6(), x)
    if high == inf:
        return build.scale(name, build.activation(name, Relu(), build.scale(name, x, 1.0, -low)), 1.0, low)
    if low == -inf:
        return build.scale(name, build.activation(name, Relu(), build.scale(name, x, -1.0, high)), -1.0, high)
    step = (high - low) / 6
    return build.scale(name, build.activation(name, Relu6(), build.scale(name, x, 1 / step, -low / step)), step, low)


def _hard_sigmoid(network: OnnxNetwork) -> None:
    """min(max(alpha * x + beta, 0), 1)."""
    alpha, beta = network.attribute("alpha", 0.2), network.attribute("beta", 0.5)
    if abs(alpha - 1 / 6) < 1e-4 and beta == 0.5:
        _unary(network, HardSigmoid())
    else:
        network.give(_clipped(network, network.build.scale(network.name, network.value(), alpha, beta), 0.0, 1.0))


def _leaky_relu(network: OnnxNetwork) -> None:
    """x where it is positive, else alpha * x."""
    _unary(network, LeakyRelu(slope=network.attribute("alpha", 0.01)))


def _elu(network: OnnxNetwork) -> None:
    """x where it is positive, else alpha * (exp(x) - 1)."""
    _unary(network, Elu(alpha=network.attribute("alpha", 1.0)))


def _prelu(network: OnnxNetwork) -> None:
    """A slope for each channel, or one for all."""
    x, (slope, scales) = network.value(), _weight(network, 0)
    per_channel = slope.size == 1 or (len(x.axes) - slope.ndim in (0, 1) and slope.size == x.shape[1])
    if not per_channel or (slope.size > 1 and slope.shape[1 - len(x.axes) + slope.ndim] != x.shape[1]):
        network.unknown(f"its slopes have shape {slope.shape}; one for each channel is known")
    network.give(network.build.prelu(network.name, x, slope, scales=scales))


def _gelu(network: OnnxNetwork) -> None:
    """Exact, by erf."""
    if network.attribute("approximate", "none") != "none":
        network.unknown("it is approximated by tanh")
    _unary(network, Gelu())


def _swish(network: OnnxNetwork) -> None:
    """x * sigmoid(x)."""
    if network.attribute("alpha", 1.0) != 1.0:
        network.unknown("its alpha is not 1")
    _unary(network, Swish())


def _hard_swish(network: OnnxNetwork) -> None:
    """x * min(max(x + 3, 0), 6) / 6."""
    _unary(network, HardSwish())


def _sigmoid(network: OnnxNetwork) -> None:
    """1 / (1 + exp(-x))."""
    _unary(network, Sigmoid())


def _tanh(network: OnnxNetwork) -> None:
    """The hyperbolic tangent, of a multiple too."""
    x, slope = multiple(network, network.input_name(0))
    if slope == 1.0 or x not in network.values:
        _unary(network, Tanh())
    else:
        network.give(network.build.activation(network.name, Tanh(slope=slope), network.values[x]))


LAYERS = {
    "AveragePool": _average_pool,
    "BatchNormalization": _batch_normalization,
    "Clip": _clip,
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "Elu": _elu,
    "Gelu": _gelu,
    "Gemm": _gemm,
    "GlobalAveragePool": _global_average_pool,
    "GlobalMaxPool": _global_max_pool,
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": _hard_swish,
    "LRN": _lrn,
    "LayerNormalization": _layer_normalization,
    "LeakyRelu": _leaky_relu,
    "MatMul": _mat_mul,
    "MaxPool": _max_pool,
    "PRelu": _prelu,
    "Relu": _relu,
    "Sigmoid": _sigmoid,
    "Swish": _swish,
    "Tanh": _tanh,
}
