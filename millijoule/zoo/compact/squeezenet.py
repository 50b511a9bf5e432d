"""SqueezeNet."""

from __future__ import annotations

from millijoule.graph import Builder, Graph, Shape
from millijoule.ops import Concat, Conv2d, Dropout, GlobalAveragePool, MaxPool2d
from millijoule.zoo.blocks import around, rounding_up

# Table 1: squeeze 1x1, then expand 1x1 and as many expand 3x3, of fire modules 2 to 9.
FIRE = {2: (16, 64), 3: (16, 64), 4: (32, 128), 5: (32, 128), 6: (48, 192), 7: (48, 192), 8: (64, 256), 9: (64, 256)}


def squeezenet1_0(*, classes: int = 1000, input_shape: Shape = (224, 224, 3)) -> Graph:
    """AlexNet's accuracy with a fiftieth of its parameters: 1,248,424."""
    stem = Conv2d(channels=96, kernel=7, stride=2, activation="relu")
    return _squeezenet("squeezenet1_0", stem, (1, 4, 8), classes, input_shape)


def squeezenet1_1(*, classes: int = 1000, input_shape: Shape = (224, 224, 3)) -> Graph:
    """The authors' cheaper version: a smaller stem and earlier pools, 1,235,496 parameters."""
    stem = Conv2d(channels=64, kernel=3, stride=2, activation="relu")
    return _squeezenet("squeezenet1_1", stem, (1, 3, 5), classes, input_shape)


def _squeezenet(name: str, stem: Conv2d, pools: tuple[int, ...], classes: int, input_shape: Shape) -> Graph:
    """A stem, eight fire modules, a 1x1 convolution to the classes and a global average; no dense layer.

    pools: the layers behind which a 3x3 max pool halves the map, rounding up. Two networks, since the authors moved
    the pools.

    Source: F. Iandola et al., "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and <0.5MB model size",
    2016, Table 1; version 1.1 and rounding as in the authors' Caffe models,
    conv10 without their padding in 1.0, as in torchvision.
    """
    build = Builder(name, input_shape)
    build("conv1", stem)
    for number in range(1, 10):
        if number in FIRE:
            with build.block(f"fire{number}"):
                squeeze, expand = FIRE[number]
                x = build(f"fire{number}_squeeze", Conv2d(channels=squeeze, kernel=1, activation="relu"))
                small = build(f"fire{number}_1x1", Conv2d(channels=expand, kernel=1, activation="relu"), x)
                large = Conv2d(channels=expand, kernel=3, padding=around(1), activation="relu")
                build(f"fire{number}_concat", Concat(), small, build(f"fire{number}_3x3", large, x))
        if number in pools:
            padding = rounding_up(build.shape, 3, 2)
            build(f"pool{number}", MaxPool2d(kernel=3, stride=2, padding=padding))
    build("dropout", Dropout(rate=0.5))
    build("conv10", Conv2d(channels=classes, kernel=1, activation="relu"))
    build("average", GlobalAveragePool())
    return build.graph()
