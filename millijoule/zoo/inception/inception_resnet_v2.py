"""Inception-ResNet-v2."""

from __future__ import annotations

from millijoule.graph import Builder, Graph, Shape
from millijoule.ops import (
    Add,
    AveragePool2d,
    Concat,
    Conv2d,
    Dense,
    Dropout,
    Factor,
    GlobalAveragePool,
    MaxPool2d,
    Relu,
)
from millijoule.zoo.blocks import around
from millijoule.zoo.inception.stem import Convolver, stem


def inception_resnet_v2(*, classes: int = 1000, input_shape: Shape = (299, 299, 3)) -> Graph:
    """Inception modules as residuals, scaled down before they are added: 55,843,464 parameters.

    Batch-norm with ReLU after every convolution but the last of each residual.

    Source: C. Szegedy, S. Ioffe, V. Vanhoucke, A. Alemi, "Inception-v4, Inception-ResNet and the impact of residual
    connections on learning", AAAI 2017; stem and numbers of modules (10, 20, 10) as in the released model.
    """
    build = Builder("inception_resnet_v2", input_shape)
    convolve = Convolver(build)

    def add_residual(name: str, x: str, branches: list[str], channels: int, factor: float, relu: bool = True) -> None:
        build(f"{name}_concat", Concat(), *branches)
        build(f"{name}_up", Conv2d(channels=channels, kernel=1))
        residual = build(f"{name}_scaled", Factor(factor=factor))
        build(f"{name}_add", Add(), x, residual)
        if relu:
            build(f"{name}_relu", Relu())

    def block35(name: str) -> None:
        x = build.last
        branches = [convolve(f"{name}_1x1", 32, x=x)]
        convolve(f"{name}_3x3_reduce", 32, x=x)
        branches.append(convolve(f"{name}_3x3", 32, 3, padding=1))
        convolve(f"{name}_double_reduce", 32, x=x)
        convolve(f"{name}_double_a", 48, 3, padding=1)
        branches.append(convolve(f"{name}_double_b", 64, 3, padding=1))
        add_residual(name, x, branches, 320, 0.17)

    def block17(name: str) -> None:
        x = build.last
        branches = [convolve(f"{name}_1x1", 192, x=x)]
        convolve(f"{name}_7x7_reduce", 128, x=x)
        convolve(f"{name}_7x7_a", 160, (1, 7), padding=(0, 3))
        branches.append(convolve(f"{name}_7x7_b", 192, (7, 1), padding=(3, 0)))
        add_residual(name, x, branches, 1088, 0.10)

    def block8(name: str, factor: float, relu: bool) -> None:
        x = build.last
        branches = [convolve(f"{name}_1x1", 192, x=x)]
        convolve(f"{name}_3x3_reduce", 192, x=x)
        convolve(f"{name}_3x3_a", 224, (1, 3), padding=(0, 1))
        branches.append(convolve(f"{name}_3x3_b", 256, (3, 1), padding=(1, 0)))
        add_residual(name, x, branches, 2080, factor, relu)

    x = stem(build, convolve)  # 35x35

    branches = [convolve("5b_1x1", 96, x=x)]
    convolve("5b_5x5_reduce", 48, x=x)
    branches.append(convolve("5b_5x5", 64, 5, padding=2))
    convolve("5b_double_reduce", 64, x=x)
    convolve("5b_double_a", 96, 3, padding=1)
    branches.append(convolve("5b_double_b", 96, 3, padding=1))
    build("5b_average", AveragePool2d(kernel=3, stride=1, padding=around(1)), x)
    branches.append(convolve("5b_projection", 64))
    build("5b_concat", Concat(), *branches)
    for number in range(1, 11):
        with build.block(f"block35_{number}"):
            block35(f"block35_{number}")

    x = build.last  # to 17x17
    branches = [convolve("6a_3x3", 384, 3, stride=2, x=x)]
    convolve("6a_double_reduce", 256, x=x)
    convolve("6a_double_a", 256, 3, padding=1)
    branches.append(convolve("6a_double_b", 384, 3, stride=2))
    branches.append(build("6a_pool", MaxPool2d(kernel=3, stride=2), x))
    build("6a_concat", Concat(), *branches)
    for number in range(1, 21):
        with build.block(f"block17_{number}"):
            block17(f"block17_{number}")

    x = build.last  # to 8x8
    convolve("7a_a_reduce", 256, x=x)
    branches = [convolve("7a_a", 384, 3, stride=2)]
    convolve("7a_b_reduce", 256, x=x)
    branches.append(convolve("7a_b", 288, 3, stride=2))
    convolve("7a_c_reduce", 256, x=x)
    convolve("7a_c", 288, 3, padding=1)
    branches.append(convolve("7a_d", 320, 3, stride=2))
    branches.append(build("7a_pool", MaxPool2d(kernel=3, stride=2), x))
    build("7a_concat", Concat(), *branches)
    for number in range(1, 10):
        with build.block(f"block8_{number}"):
            block8(f"block8_{number}", 0.20, relu=True)
    with build.block("block8_10"):
        block8("block8_10", 1.0, relu=False)

    convolve("conv6", 1536)
    build("average", GlobalAveragePool())
    build("dropout", Dropout(rate=0.2))
    build("output", Dense(features=classes))
    return build.graph()
