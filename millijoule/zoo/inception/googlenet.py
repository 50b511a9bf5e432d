"""GoogLeNet, as published in 2014 and as torchvision builds it."""

from __future__ import annotations

from collections.abc import Callable

from millijoule.graph import Builder, Graph, Shape
from millijoule.ops import (
    AveragePool2d,
    Concat,
    Conv2d,
    Dense,
    Dropout,
    Flatten,
    GlobalAveragePool,
    LocalResponseNorm,
    MaxPool2d,
)
from millijoule.zoo.blocks import around, normalised_relu, rounding_up

# Table 1: #1x1, #3x3 reduce, #3x3, #5x5 reduce, #5x5, pool proj.
MODULES = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}
Convolution = Callable[..., str]
"""(name, channels, kernel, stride, input) → name: a convolution with what follows it."""


def googlenet(*, classes: int = 1000, input_shape: Shape = (224, 224, 3), auxiliary: bool = False) -> Graph:
    """Nine inception modules, a global average, one dense layer: 6,998,552 parameters, 1,582,671,872 MACs.

    auxiliary: also the two classifiers behind modules 4a and 4d that help training, as outputs 2 and 3: 13,378,280
    parameters. Pools round up, as in the authors' Caffe model.

    Source: C. Szegedy et al., "Going deeper with convolutions", CVPR 2015, Table 1 and section 5.
    """
    build = Builder("googlenet", input_shape)

    def convolve(name: str, channels: int, kernel: int = 1, stride: int = 1, x: str = "") -> str:
        op = Conv2d(channels=channels, kernel=kernel, stride=stride, padding=around(kernel // 2), activation="relu")
        return build(name, op, x or build.last)

    normalisation = LocalResponseNorm(alpha=1e-4 / 5, k=1.0)  # Caffe divides its alpha, 1e-4, by size
    convolve("conv1", 64, 7, 2)  # 112x112
    _pool(build, "pool1")
    build("norm1", normalisation)
    convolve("conv2_reduce", 64)
    convolve("conv2", 192, 3)  # 56x56
    build("norm2", normalisation)
    _pool(build, "pool2")
    heads = _modules(build, convolve, kernel5=5, last_pool=3, auxiliary=classes if auxiliary else None)
    return _classify(build, classes, dropout=0.4, heads=heads)


def googlenet_torchvision(*, classes: int = 1000, input_shape: Shape = (224, 224, 3), auxiliary: bool = False) -> Graph:
    """GoogLeNet with batch-norm, without local response normalisation: 6,624,904 parameters.

    The 5x5 branch has 3x3 kernels, and the last pool is 2x2, as in torchvision's models/googlenet.py, whose weights
    were converted from TensorFlow's.
    auxiliary: as in `googlenet`: 13,004,888 parameters. Their pools are those of the paper, 5x5 moved by 3;
    torchvision's adaptive pools overlap unevenly.
    """
    build = Builder("googlenet_torchvision", input_shape)

    def convolve(name: str, channels: int, kernel: int = 1, stride: int = 1, x: str = "") -> str:
        op = Conv2d(channels=channels, kernel=kernel, stride=stride, padding=around(kernel // 2), bias=False)
        with build.block(name):
            return normalised_relu(build, name, op, x or build.last)

    convolve("conv1", 64, 7, 2)
    _pool(build, "pool1")
    convolve("conv2_reduce", 64)
    convolve("conv2", 192, 3)
    _pool(build, "pool2")
    heads = _modules(build, convolve, kernel5=3, last_pool=2, auxiliary=classes if auxiliary else None)
    return _classify(build, classes, dropout=0.2, heads=heads)


def _pool(build: Builder, name: str, kernel: int = 3) -> None:
    build(name, MaxPool2d(kernel=kernel, stride=2, padding=rounding_up(build.shape, kernel, 2)))


def _modules(build: Builder, convolve: Convolution, kernel5: int, last_pool: int, auxiliary: int | None) -> list[str]:
    """All modules and the pools between them; the outputs of the classifiers, of `auxiliary` classes, if any."""
    heads = []
    for module, channels in MODULES.items():
        with build.block(module):
            x = _module(build, convolve, module, channels, kernel5)
        if auxiliary is not None and module in ("4a", "4d"):
            heads.append(_auxiliary(build, convolve, module, auxiliary))
            build.last = x
        if module == "3b":
            _pool(build, "pool3")
        elif module == "4e":
            _pool(build, "pool4", last_pool)
    return heads


def _module(build: Builder, convolve: Convolution, module: str, channels: tuple[int, ...], kernel5: int) -> str:
    """Four branches side by side (figure 2b)."""
    direct, reduce3, conv3, reduce5, conv5, projection = channels
    x = build.last
    branches = [convolve(f"{module}_1x1", direct, x=x)]
    convolve(f"{module}_3x3_reduce", reduce3, x=x)
    branches.append(convolve(f"{module}_3x3", conv3, 3))
    convolve(f"{module}_5x5_reduce", reduce5, x=x)
    branches.append(convolve(f"{module}_5x5", conv5, kernel5))
    build(f"{module}_pool", MaxPool2d(kernel=3, stride=1, padding=around(1)), x)
    branches.append(convolve(f"{module}_pool_projection", projection))
    return build(f"{module}_concat", Concat(), *branches)


def _auxiliary(build: Builder, convolve: Convolution, module: str, classes: int) -> str:
    name = f"auxiliary_{module}"
    build(f"{name}_pool", AveragePool2d(kernel=5, stride=3))  # 4x4
    convolve(f"{name}_conv", 128)
    build(f"{name}_flatten", Flatten())
    build(f"{name}_fc", Dense(features=1024, activation="relu"))
    build(f"{name}_dropout", Dropout(rate=0.7))
    return build(f"{name}_output", Dense(features=classes))


def _classify(build: Builder, classes: int, dropout: float, heads: list[str]) -> Graph:
    build("average", GlobalAveragePool())
    build("dropout", Dropout(rate=dropout))
    return build.graph(build("output", Dense(features=classes)), *heads)
