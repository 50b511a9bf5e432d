"""Xception."""

from __future__ import annotations

from millijoule.graph import Builder, Graph, Shape
from millijoule.ops import Add, BatchNorm, Conv2d, Dense, GlobalAveragePool, MaxPool2d, Relu
from millijoule.zoo.blocks import normalised, normalised_relu


def xception(*, classes: int = 1000, input_shape: Shape = (299, 299, 3)) -> Graph:
    """Depthwise separable convolutions with residual connections: 22,855,952 parameters.

    A separable convolution is a 3x3 depthwise and a 1x1 convolution with nothing between, then batch-norm.

    Source: F. Chollet, "Xception: deep learning with depthwise separable convolutions", CVPR 2017, figure 5;
    paddings as in the released model (Keras). The shortcut of a block runs last, as in the PyTorch port (timm).
    """
    build = Builder("xception", input_shape)

    def separable(name: str, channels: int) -> None:
        inputs = build.shape[2]
        with build.block(name):
            build(f"{name}_depthwise", Conv2d(channels=inputs, kernel=3, padding="same", groups=inputs, bias=False))
            build(name, Conv2d(channels=channels, kernel=1, bias=False))
        build(f"{name}_norm", BatchNorm())

    def halving(name: str, first: int, channels: int, relu_first: bool = True) -> None:
        """Two separable convolutions and a pool, beside a 1x1 convolution of stride 2."""
        with build.block(name):
            x = build.last
            if relu_first:
                build(f"{name}_relu1", Relu())
            separable(f"{name}_conv1", first)
            build(f"{name}_relu2", Relu())
            separable(f"{name}_conv2", channels)
            y = build(f"{name}_pool", MaxPool2d(kernel=3, stride=2, padding="same"))
            shortcut = Conv2d(channels=channels, kernel=1, stride=2, padding="same", bias=False)
            build(f"{name}_add", Add(), y, normalised(build, f"{name}_shortcut", shortcut, x))

    # Entry flow
    normalised_relu(build, "conv1", Conv2d(channels=32, kernel=3, stride=2, bias=False))  # 149x149
    normalised_relu(build, "conv2", Conv2d(channels=64, kernel=3, bias=False))  # 147x147
    halving("block2", 128, 128, relu_first=False)  # 74x74
    halving("block3", 256, 256)  # 37x37
    halving("block4", 728, 728)  # 19x19

    # Middle flow
    for block in range(5, 13):
        x = build.last
        with build.block(f"block{block}"):
            for number in (1, 2, 3):
                build(f"block{block}_relu{number}", Relu())
                separable(f"block{block}_conv{number}", 728)
            build(f"block{block}_add", Add(), build.last, x)

    # Exit flow
    halving("block13", 728, 1024)  # 10x10
    separable("block14_conv1", 1536)
    build("block14_relu1", Relu())
    separable("block14_conv2", 2048)
    build("block14_relu2", Relu())
    build("average", GlobalAveragePool())
    build("output", Dense(features=classes))
    return build.graph()
