"""Inception-v3."""

from __future__ import annotations

from millijoule.graph import Builder, Graph, Shape
from millijoule.ops import AveragePool2d, Concat, Dense, Dropout, GlobalAveragePool, MaxPool2d
from millijoule.zoo.blocks import around
from millijoule.zoo.inception.stem import Convolver, stem


def inception_v3(*, classes: int = 1000, input_shape: Shape = (299, 299, 3), auxiliary: bool = False) -> Graph:
    """Factorised convolutions in eleven modules: 23,834,568 parameters, 5,713,216,096 MACs.

    Batch-norm with ReLU after every convolution.
    auxiliary: also the classifier behind the last 17x17 module that helps training, as output 2: 27,161,264 parameters.

    Source: C. Szegedy et al., "Rethinking the inception architecture for computer vision", CVPR 2016, Table 1;
    channels as in the released model (TensorFlow, torchvision).
    """
    build = Builder("inception_v3", input_shape)
    convolve = Convolver(build)

    def averaged(name: str, channels: int, x: str) -> str:
        build(f"{name}_average", AveragePool2d(kernel=3, stride=1, padding=around(1), count_padding=True), x)
        return convolve(f"{name}_projection", channels)

    def module_a(name: str, pooled: int) -> None:
        x = build.last
        branches = [convolve(f"{name}_1x1", 64, x=x)]
        convolve(f"{name}_5x5_reduce", 48, x=x)
        branches.append(convolve(f"{name}_5x5", 64, 5, padding=2))
        convolve(f"{name}_double_reduce", 64, x=x)
        convolve(f"{name}_double_a", 96, 3, padding=1)
        branches.append(convolve(f"{name}_double_b", 96, 3, padding=1))
        branches.append(averaged(name, pooled, x))
        build(f"{name}_concat", Concat(), *branches)

    def module_c(name: str, inner: int) -> None:
        x = build.last
        branches = [convolve(f"{name}_1x1", 192, x=x)]
        convolve(f"{name}_7x7_reduce", inner, x=x)
        convolve(f"{name}_7x7_a", inner, (1, 7), padding=(0, 3))
        branches.append(convolve(f"{name}_7x7_b", 192, (7, 1), padding=(3, 0)))
        convolve(f"{name}_double_reduce", inner, x=x)
        convolve(f"{name}_double_a", inner, (7, 1), padding=(3, 0))
        convolve(f"{name}_double_b", inner, (1, 7), padding=(0, 3))
        convolve(f"{name}_double_c", inner, (7, 1), padding=(3, 0))
        branches.append(convolve(f"{name}_double_d", 192, (1, 7), padding=(0, 3)))
        branches.append(averaged(name, 192, x))
        build(f"{name}_concat", Concat(), *branches)

    def module_e(name: str) -> None:
        x = build.last
        branches = [convolve(f"{name}_1x1", 320, x=x)]
        y = convolve(f"{name}_3x3_reduce", 384, x=x)
        branches.append(convolve(f"{name}_3x3_a", 384, (1, 3), padding=(0, 1), x=y))
        branches.append(convolve(f"{name}_3x3_b", 384, (3, 1), padding=(1, 0), x=y))
        convolve(f"{name}_double_reduce", 448, x=x)
        y = convolve(f"{name}_double", 384, 3, padding=1)
        branches.append(convolve(f"{name}_double_a", 384, (1, 3), padding=(0, 1), x=y))
        branches.append(convolve(f"{name}_double_b", 384, (3, 1), padding=(1, 0), x=y))
        branches.append(averaged(name, 192, x))
        build(f"{name}_concat", Concat(), *branches)

    stem(build, convolve)  # 35x35
    for name, pooled in (("5b", 32), ("5c", 64), ("5d", 64)):
        with build.block(name):
            module_a(name, pooled)

    x = build.last  # to 17x17
    branches = [convolve("6a_3x3", 384, 3, stride=2, x=x)]
    convolve("6a_double_reduce", 64, x=x)
    convolve("6a_double_a", 96, 3, padding=1)
    branches.append(convolve("6a_double_b", 96, 3, stride=2))
    branches.append(build("6a_pool", MaxPool2d(kernel=3, stride=2), x))
    build("6a_concat", Concat(), *branches)
    for name, inner in (("6b", 128), ("6c", 160), ("6d", 160), ("6e", 192)):
        with build.block(name):
            module_c(name, inner)
    heads = []
    if auxiliary:
        x = build.last
        build("auxiliary_pool", AveragePool2d(kernel=5, stride=3))  # 5x5
        convolve("auxiliary_conv1", 128)
        convolve("auxiliary_conv2", 768, 5)  # 1x1
        build("auxiliary_average", GlobalAveragePool())
        heads.append(build("auxiliary_output", Dense(features=classes)))
        build.last = x

    x = build.last  # to 8x8
    convolve("7a_3x3_reduce", 192, x=x)
    branches = [convolve("7a_3x3", 320, 3, stride=2)]
    convolve("7a_7x7_reduce", 192, x=x)
    convolve("7a_7x7_a", 192, (1, 7), padding=(0, 3))
    convolve("7a_7x7_b", 192, (7, 1), padding=(3, 0))
    branches.append(convolve("7a_7x7_c", 192, 3, stride=2))
    branches.append(build("7a_pool", MaxPool2d(kernel=3, stride=2), x))
    build("7a_concat", Concat(), *branches)
    for name in ("7b", "7c"):
        with build.block(name):
            module_e(name)

    build("average", GlobalAveragePool())
    build("dropout", Dropout(rate=0.5))
    return build.graph(build("output", Dense(features=classes)), *heads)
