"""ResNet."""

from __future__ import annotations

from typing import Literal

from millijoule.graph import Builder, Graph, Shape
from millijoule.ops import Add, Conv2d, Dense, GlobalAveragePool, MaxPool2d, Relu
from millijoule.zoo.blocks import TORCH_EPSILON, around, normalised, normalised_relu

CHANNELS = (64, 128, 256, 512)
"""Of the stages' 3x3 convolutions; a bottleneck block puts out four times as many."""

Stride = Literal["1x1", "3x3"]


def resnet18(*, classes: int = 1000, input_shape: Shape = (224, 224, 3)) -> Graph:
    """Basic blocks, 2 in each stage: 11,689,512 parameters, 1.81 G MACs."""
    return _resnet("resnet18", (2, 2, 2, 2), classes, input_shape, None)


def resnet34(*, classes: int = 1000, input_shape: Shape = (224, 224, 3)) -> Graph:
    """Basic blocks, 3, 4, 6 and 3: 21,797,672 parameters, 3.66 G MACs."""
    return _resnet("resnet34", (3, 4, 6, 3), classes, input_shape, None)


def resnet50(*, classes: int = 1000, input_shape: Shape = (224, 224, 3), stride_in: Stride = "3x3") -> Graph:
    """Bottleneck blocks, 3, 4, 6 and 3: 25,557,032 parameters; see `resnet152` for `stride_in`."""
    return _resnet("resnet50", (3, 4, 6, 3), classes, input_shape, stride_in)


def resnet101(*, classes: int = 1000, input_shape: Shape = (224, 224, 3), stride_in: Stride = "3x3") -> Graph:
    """Bottleneck blocks, 3, 4, 23 and 3: 44,549,160 parameters; see `resnet152` for `stride_in`."""
    return _resnet("resnet101", (3, 4, 23, 3), classes, input_shape, stride_in)


def resnet152(*, classes: int = 1000, input_shape: Shape = (224, 224, 3), stride_in: Stride = "3x3") -> Graph:
    """Bottleneck blocks, 3, 8, 36 and 3: 60,192,808 parameters.

    stride_in: which convolution of a stage's first block halves the map: the first `1x1` (the paper and its Caffe
    models: 11,282,415,616 MACs) or the `3x3` (torchvision and most that followed: 11,513,626,624 MACs).
    """
    return _resnet("resnet152", (3, 8, 36, 3), classes, input_shape, stride_in)


def _resnet(name: str, blocks: tuple[int, ...], classes: int, input_shape: Shape, stride_in: Stride | None) -> Graph:
    """A stem, four stages of residual blocks with batch-norm, a global average, one dense layer.

    stride_in: None for basic blocks of two 3x3 convolutions.

    Source: K. He, X. Zhang, S. Ren, J. Sun, "Deep residual learning for image recognition", CVPR 2016, Table 1.
    """
    if stride_in not in (None, "1x1", "3x3"):
        raise ValueError(f"stride_in is {stride_in!r}; it must be '1x1' or '3x3'")
    build = Builder(name, input_shape)
    stem = Conv2d(channels=64, kernel=7, stride=2, padding=around(3), bias=False)
    normalised_relu(build, "stem", stem, epsilon=TORCH_EPSILON)  # 112x112
    x = build("pool", MaxPool2d(kernel=3, stride=2, padding=around(1)))  # 56x56
    for stage, (channels, count) in enumerate(zip(CHANNELS, blocks, strict=True), start=1):
        with build.block(f"stage{stage}"):
            for number in range(1, count + 1):
                stride = 2 if stage > 1 and number == 1 else 1
                block = f"stage{stage}_block{number}"
                with build.block(block):
                    if stride_in is None:
                        y, outputs = _basic(build, block, x, channels, stride), channels
                    else:
                        y, outputs = _bottleneck(build, block, x, channels, stride, stride_in), 4 * channels
                    if number == 1 and (stride > 1 or stride_in is not None):
                        shortcut = Conv2d(channels=outputs, kernel=1, stride=stride, bias=False)
                        x = normalised(build, f"{block}_shortcut", shortcut, x, epsilon=TORCH_EPSILON)
                    build(f"{block}_add", Add(), y, x)
                    x = build(f"{block}_relu", Relu())
    build("average", GlobalAveragePool())
    build("output", Dense(features=classes))
    return build.graph()


def _basic(build: Builder, block: str, x: str, channels: int, stride: int) -> str:
    first = Conv2d(channels=channels, kernel=3, stride=stride, padding=around(1), bias=False)
    second = Conv2d(channels=channels, kernel=3, padding=around(1), bias=False)
    y = normalised_relu(build, f"{block}_a", first, x, epsilon=TORCH_EPSILON)
    return normalised(build, f"{block}_b", second, y, epsilon=TORCH_EPSILON)


def _bottleneck(build: Builder, block: str, x: str, channels: int, stride: int, stride_in: Stride) -> str:
    early, late = (stride, 1) if stride_in == "1x1" else (1, stride)
    reduce = Conv2d(channels=channels, kernel=1, stride=early, bias=False)
    middle = Conv2d(channels=channels, kernel=3, stride=late, padding=around(1), bias=False)
    expand = Conv2d(channels=4 * channels, kernel=1, bias=False)
    y = normalised_relu(build, f"{block}_a", reduce, x, epsilon=TORCH_EPSILON)
    y = normalised_relu(build, f"{block}_b", middle, y, epsilon=TORCH_EPSILON)
    return normalised(build, f"{block}_c", expand, y, epsilon=TORCH_EPSILON)
