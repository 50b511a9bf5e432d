"""MobileNetV1."""

from __future__ import annotations

from millijoule.graph import Builder, Graph, Shape
from millijoule.ops import Conv2d, Dense, Dropout, GlobalAveragePool
from millijoule.zoo.blocks import normalised_relu

# (channels at width 1, stride) of each depthwise separable block: Table 1. The table gives the last block stride 2,
# which contradicts the shapes printed beside it; all implementations have 1.
BLOCKS = (
    (64, 1),
    (128, 2),
    (128, 1),
    (256, 2),
    (256, 1),
    (512, 2),
    *[(512, 1)] * 5,
    (1024, 2),
    (1024, 1),
)


def mobilenet_v1(*, classes: int = 1000, input_shape: Shape = (224, 224, 3), width: float = 1.0) -> Graph:
    """A stem and 13 depthwise separable blocks: 4,231,976 parameters, 568,740,352 MACs.

    width: what all channels are multiplied with; the result is cut to a whole number.

    Source: A. Howard et al., "MobileNets: efficient convolutional neural networks for mobile vision applications",
    2017, Table 1.
    """
    build = Builder("mobilenet_v1", input_shape)
    channels = int(32 * width)
    normalised_relu(build, "stem", Conv2d(channels=channels, kernel=3, stride=2, padding="same", bias=False))
    separable_blocks(build, channels, width, bias=False)
    build("average", GlobalAveragePool())
    build("dropout", Dropout(rate=0.001))
    build("output", Dense(features=classes))
    return build.graph()


def separable_blocks(build: Builder, channels: int, width: float, bias: bool) -> None:
    """The 13 blocks of Table 1 behind a stem of `channels`: 3x3 depthwise, 1x1, each with batch-norm and ReLU."""
    for block, (full, stride) in enumerate(BLOCKS, start=1):
        depthwise = Conv2d(channels=channels, kernel=3, stride=stride, padding="same", groups=channels, bias=bias)
        channels = int(full * width)
        normalised_relu(build, f"block{block}_depthwise", depthwise)
        normalised_relu(build, f"block{block}_pointwise", Conv2d(channels=channels, kernel=1, bias=bias))
