"""The ResNets for CIFAR-10."""

from __future__ import annotations

from millijoule.graph import Builder, Graph, Shape
from millijoule.ops import Add, Conv2d, Dense, GlobalAveragePool, MaxPool2d, Pad, Relu
from millijoule.zoo.blocks import TORCH_EPSILON, around, normalised, normalised_relu


def resnet20(*, classes: int = 10, input_shape: Shape = (32, 32, 3)) -> Graph:
    """3 blocks in each stage: 269,722 parameters."""
    return _resnet("resnet20", 3, classes, input_shape)


def resnet32(*, classes: int = 10, input_shape: Shape = (32, 32, 3)) -> Graph:
    """5 blocks in each stage: 464,154 parameters."""
    return _resnet("resnet32", 5, classes, input_shape)


def resnet44(*, classes: int = 10, input_shape: Shape = (32, 32, 3)) -> Graph:
    """7 blocks in each stage: 658,586 parameters."""
    return _resnet("resnet44", 7, classes, input_shape)


def resnet56(*, classes: int = 10, input_shape: Shape = (32, 32, 3)) -> Graph:
    """9 blocks in each stage: 853,018 parameters."""
    return _resnet("resnet56", 9, classes, input_shape)


def resnet110(*, classes: int = 10, input_shape: Shape = (32, 32, 3)) -> Graph:
    """18 blocks in each stage: 1,727,962 parameters."""
    return _resnet("resnet110", 18, classes, input_shape)


def _resnet(name: str, blocks: int, classes: int, input_shape: Shape) -> Graph:
    """6n + 2 layers: a stem and three stages of n basic blocks with 16, 32 and 64 channels.

    A shortcut that changes shape takes every second position and adds channels of zeros (option A), so that shortcuts
    have no parameters.

    Source: K. He, X. Zhang, S. Ren, J. Sun, "Deep residual learning for image recognition", CVPR 2016, section 4.2.
    """
    build = Builder(name, input_shape)
    stem = Conv2d(channels=16, kernel=3, padding=around(1), bias=False)
    x = normalised_relu(build, "stem", stem, epsilon=TORCH_EPSILON)
    for stage, channels in enumerate((16, 32, 64), start=1):
        for number in range(1, blocks + 1):
            block, stride = f"stage{stage}_block{number}", 2 if stage > 1 and number == 1 else 1
            with build.block(block):
                first = Conv2d(channels=channels, kernel=3, stride=stride, padding=around(1), bias=False)
                second = Conv2d(channels=channels, kernel=3, padding=around(1), bias=False)
                y = normalised_relu(build, f"{block}_a", first, x, epsilon=TORCH_EPSILON)
                y = normalised(build, f"{block}_b", second, y, epsilon=TORCH_EPSILON)
                if stride > 1:
                    build(f"{block}_every_second", MaxPool2d(kernel=1, stride=2), x)
                    x = build(f"{block}_zeros", Pad(channels=(channels // 4, channels // 4)))
                build(f"{block}_add", Add(), y, x)
                x = build(f"{block}_relu", Relu())
    build("average", GlobalAveragePool())
    build("output", Dense(features=classes))
    return build.graph()
