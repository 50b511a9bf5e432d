"""MobileNetV3."""

from __future__ import annotations

from dataclasses import dataclass

from millijoule.graph import Builder, Graph, Shape
from millijoule.ops import Add, Conv2d, Dense, Dropout, GlobalAveragePool, HardSigmoid, HardSwish, Multiply, Relu
from millijoule.zoo.blocks import around, divisible, normalised

EPSILON = 1e-3


@dataclass(frozen=True)
class _Row:
    """A row of Table 1 or 2: kernel, expanded channels, output channels, squeeze-and-excite, hard swish, stride."""

    kernel: int
    expanded: int
    channels: int
    squeeze: bool
    swish: bool
    stride: int


# Table 1
LARGE = (
    _Row(3, 16, 16, False, False, 1),
    _Row(3, 64, 24, False, False, 2),
    _Row(3, 72, 24, False, False, 1),
    _Row(5, 72, 40, True, False, 2),
    _Row(5, 120, 40, True, False, 1),
    _Row(5, 120, 40, True, False, 1),
    _Row(3, 240, 80, False, True, 2),
    _Row(3, 200, 80, False, True, 1),
    _Row(3, 184, 80, False, True, 1),
    _Row(3, 184, 80, False, True, 1),
    _Row(3, 480, 112, True, True, 1),
    _Row(3, 672, 112, True, True, 1),
    _Row(5, 672, 160, True, True, 2),
    _Row(5, 960, 160, True, True, 1),
    _Row(5, 960, 160, True, True, 1),
)
# Table 2
SMALL = (
    _Row(3, 16, 16, True, False, 2),
    _Row(3, 72, 24, False, False, 2),
    _Row(3, 88, 24, False, False, 1),
    _Row(5, 96, 40, True, True, 2),
    _Row(5, 240, 40, True, True, 1),
    _Row(5, 240, 40, True, True, 1),
    _Row(5, 120, 48, True, True, 1),
    _Row(5, 144, 48, True, True, 1),
    _Row(5, 288, 96, True, True, 2),
    _Row(5, 576, 96, True, True, 1),
    _Row(5, 576, 96, True, True, 1),
)


def mobilenet_v3_large(*, classes: int = 1000, input_shape: Shape = (224, 224, 3), width: float = 1.0) -> Graph:
    """Table 1: 5,483,032 parameters, 217 M MACs."""
    return _mobilenet_v3("mobilenet_v3_large", LARGE, 1280, classes, input_shape, width)


def mobilenet_v3_small(*, classes: int = 1000, input_shape: Shape = (224, 224, 3), width: float = 1.0) -> Graph:
    """Table 2: 2,542,856 parameters, 57 M MACs."""
    return _mobilenet_v3("mobilenet_v3_small", SMALL, 1024, classes, input_shape, width)


def _mobilenet_v3(
    name: str, rows: tuple[_Row, ...], features: int, classes: int, input_shape: Shape, width: float
) -> Graph:
    """Inverted residuals with squeeze-and-excite and hard swish, found by search.

    width: what all channels are multiplied with, to multiples of 8.

    Source: A. Howard et al., "Searching for MobileNetV3", ICCV 2019; rounding and paddings as in torchvision.
    """
    build = Builder(name, input_shape)

    def convolve(name: str, op: Conv2d, swish: bool) -> None:
        with build.block(name):
            normalised(build, name, op, epsilon=EPSILON)
            if swish:
                build(f"{name}_swish", HardSwish())
            else:
                build(f"{name}_relu", Relu())

    stem = Conv2d(channels=divisible(16 * width), kernel=3, stride=2, padding=around(1), bias=False)
    convolve("stem", stem, swish=True)
    for number, row in enumerate(rows, start=1):
        block, x, inputs = f"block{number}", build.last, build.shape[2]
        expanded, channels = divisible(row.expanded * width), divisible(row.channels * width)
        with build.block(block):
            if expanded != inputs:
                convolve(f"{block}_expand", Conv2d(channels=expanded, kernel=1, bias=False), row.swish)
            depthwise = Conv2d(
                channels=expanded,
                kernel=row.kernel,
                stride=row.stride,
                padding=around(row.kernel // 2),
                groups=expanded,
                bias=False,
            )
            convolve(f"{block}_depthwise", depthwise, row.swish)
            if row.squeeze:
                squeeze_and_excite(build, block, divisible(expanded // 4))
            normalised(build, f"{block}_project", Conv2d(channels=channels, kernel=1, bias=False), epsilon=EPSILON)
            if row.stride == 1 and inputs == channels:
                build(f"{block}_add", Add(), build.last, x)
    convolve("last", Conv2d(channels=6 * build.shape[2], kernel=1, bias=False), swish=True)
    build("average", GlobalAveragePool())
    build("features", Dense(features=divisible(features * width)))
    build("features_swish", HardSwish())
    build("dropout", Dropout(rate=0.2))
    build("output", Dense(features=classes))
    return build.graph()


def squeeze_and_excite(build: Builder, name: str, squeezed: int) -> None:
    """Each channel times a gate between 0 and 1 that depends on the means of all channels (Hu et al. 2018)."""
    x, channels = build.last, build.shape[2]
    build(f"{name}_squeeze", GlobalAveragePool(keep_dims=True))
    build(f"{name}_squeeze_conv", Conv2d(channels=squeezed, kernel=1, activation="relu"))
    build(f"{name}_excite_conv", Conv2d(channels=channels, kernel=1))
    gate = build(f"{name}_excite", HardSigmoid())
    build(f"{name}_gated", Multiply(), x, gate)
