"""EfficientNet-Lite0."""

from __future__ import annotations

from millijoule.graph import Builder, Graph, Shape
from millijoule.ops import Conv2d, Dense, Dropout, GlobalAveragePool
from millijoule.zoo.compact.mobilenet_v2 import convolve_relu6, inverted_residual

# EfficientNet-B0, Table 1: expansion, kernel, channels, repeats, stride.
BLOCKS = (
    (1, 3, 16, 1, 1),
    (6, 3, 24, 2, 2),
    (6, 5, 40, 2, 2),
    (6, 3, 80, 3, 2),
    (6, 5, 112, 3, 1),
    (6, 5, 192, 4, 2),
    (6, 3, 320, 1, 1),
)
EPSILON = 1e-3


def efficientnet_lite0(*, classes: int = 1000, input_shape: Shape = (224, 224, 3)) -> Graph:
    """EfficientNet-B0 without squeeze-and-excite and with ReLU6, so that it quantizes well: 4,652,008 parameters.

    Source: M. Tan, Q. Le, "EfficientNet: rethinking model scaling for convolutional neural networks", ICML 2019,
    Table 1; the Lite variant of 2020 (tensorflow/tpu, models/official/efficientnet/lite).
    """
    build = Builder("efficientnet_lite0", input_shape)
    stem = Conv2d(channels=32, kernel=3, stride=2, padding="same", bias=False)
    convolve_relu6(build, "stem", stem, EPSILON)
    block = 0
    for expansion, kernel, channels, repeats, stride in BLOCKS:
        for repeat in range(repeats):
            block += 1
            first = stride if repeat == 0 else 1
            name = f"block{block}"
            with build.block(name):
                inverted_residual(build, name, expansion, kernel, channels, first, padding="same", epsilon=EPSILON)
    convolve_relu6(build, "last", Conv2d(channels=1280, kernel=1, bias=False), EPSILON)
    build("average", GlobalAveragePool())
    build("dropout", Dropout(rate=0.2))
    build("output", Dense(features=classes))
    return build.graph()
