"""The network that learns CIFAR-10 in ten passes."""

from __future__ import annotations

from millijoule.graph import Builder, Graph, Shape
from millijoule.ops import BatchNorm, Conv2d, Dense, Factor, Flatten, Gelu, MaxPool2d


def airbench94(*, classes: int = 10, input_shape: Shape = (32, 32, 3)) -> Graph:
    """A 2x2 convolution and three blocks of two: 1,972,792 parameters, of which training leaves 288 (`whiten`) alone.

    Batch-norm's scales are trained here; there they stay 1. Recipe `airbench94` trains it as the paper does.

    Source: K. Jordan, "94% on CIFAR-10 in 3.29 seconds on a single GPU", arXiv 2404.00498; its widths are those of
    KellerJordan/cifar10-airbench, legacy/airbench94.py.
    """
    build = Builder("airbench94", input_shape)
    build("whiten", Conv2d(channels=2 * 2 * 2 * input_shape[-1], kernel=2))
    build("whiten_gelu", Gelu())
    for block, channels in enumerate((64, 256, 256), start=1):
        build(f"block{block}_a", Conv2d(channels=channels, kernel=3, padding="same", bias=False))
        build(f"block{block}_pool", MaxPool2d(kernel=2, stride=2))
        build(f"block{block}_a_norm", BatchNorm(epsilon=1e-12, momentum=0.4))
        build(f"block{block}_a_gelu", Gelu())
        build(f"block{block}_b", Conv2d(channels=channels, kernel=3, padding="same", bias=False))
        build(f"block{block}_b_norm", BatchNorm(epsilon=1e-12, momentum=0.4))
        build(f"block{block}_b_gelu", Gelu())
    build("pool", MaxPool2d(kernel=3, stride=3))
    build("flatten", Flatten())
    build("output", Dense(features=classes, bias=False))
    build("ninth", Factor(factor=1 / 9))
    return build.graph()
