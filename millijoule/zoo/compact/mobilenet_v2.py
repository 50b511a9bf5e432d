"""MobileNetV2."""

from __future__ import annotations

from millijoule.graph import Builder, Graph, Shape
from millijoule.ops import Add, Conv2d, Dense, Dropout, GlobalAveragePool, Relu6
from millijoule.ops.base import Padding
from millijoule.zoo.blocks import TORCH_EPSILON, around, divisible, normalised

# Table 2: expansion t, channels c, repeats n, stride s.
BLOCKS = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


def mobilenet_v2(*, classes: int = 1000, input_shape: Shape = (224, 224, 3), width: float = 1.0) -> Graph:
    """Inverted residuals with linear bottlenecks: 3,504,872 parameters, 300,774,272 MACs.

    width: what all channels are multiplied with, to multiples of 8; the last convolution never has less than 1280.

    Source: M. Sandler et al., "MobileNetV2: inverted residuals and linear bottlenecks", CVPR 2018, Table 2; rounding
    and paddings as in torchvision.
    """
    build = Builder("mobilenet_v2", input_shape)
    convolve_relu6(
        build, "stem", Conv2d(channels=divisible(32 * width), kernel=3, stride=2, padding=around(1), bias=False)
    )
    block = 0
    for expansion, channels, repeats, stride in BLOCKS:
        for repeat in range(repeats):
            block += 1
            first = stride if repeat == 0 else 1
            with build.block(f"block{block}"):
                inverted_residual(build, f"block{block}", expansion, 3, divisible(channels * width), first)
    convolve_relu6(build, "last", Conv2d(channels=divisible(1280 * max(1.0, width)), kernel=1, bias=False))
    build("average", GlobalAveragePool())
    build("dropout", Dropout(rate=0.2))
    build("output", Dense(features=classes))
    return build.graph()


def convolve_relu6(build: Builder, name: str, op: Conv2d, epsilon: float = TORCH_EPSILON) -> None:
    with build.block(name):
        normalised(build, name, op, epsilon=epsilon)
        build(f"{name}_relu6", Relu6())


def inverted_residual(
    build: Builder,
    name: str,
    expansion: int,
    kernel: int,
    channels: int,
    stride: int,
    *,
    padding: Padding | None = None,
    epsilon: float = TORCH_EPSILON,
) -> None:
    """1x1 to `expansion` times the channels, depthwise, linear 1x1; added to the input where shapes agree."""
    x, inputs = build.last, build.shape[2]
    inner = expansion * inputs
    if expansion != 1:
        convolve_relu6(build, f"{name}_expand", Conv2d(channels=inner, kernel=1, bias=False), epsilon)
    depthwise = Conv2d(
        channels=inner,
        kernel=kernel,
        stride=stride,
        padding=padding or around(kernel // 2),
        groups=inner,
        bias=False,
    )
    convolve_relu6(build, f"{name}_depthwise", depthwise, epsilon)
    normalised(build, f"{name}_project", Conv2d(channels=channels, kernel=1, bias=False), epsilon=epsilon)
    if stride == 1 and inputs == channels:
        build(f"{name}_add", Add(), x, build.last)
