"""Network in network."""

from __future__ import annotations

from millijoule.graph import Builder, Graph, Shape
from millijoule.ops import Conv2d, Dropout, GlobalAveragePool, MaxPool2d
from millijoule.zoo.blocks import rounding_up


def nin(*, classes: int = 1000, input_shape: Shape = (224, 224, 3)) -> Graph:
    """Each convolution is followed by two of 1x1, a small network at every position; no dense layer.

    7,595,176 parameters, 1,100,188,800 MACs. The average over the last map takes the place of dense layers.

    Source: M. Lin, Q. Chen, S. Yan, "Network in network", ICLR 2014; the ImageNet network is the authors' Caffe model,
    whose pools round up.
    """
    build = Builder("nin", input_shape)

    def block(number: int, convolution: Conv2d, *mixing: int) -> None:
        build(f"conv{number}", convolution)
        for index, channels in enumerate(mixing, start=1):
            build(f"conv{number}_mix{index}", Conv2d(channels=channels, kernel=1, activation="relu"))

    def pool(number: int) -> None:
        padding = rounding_up(build.shape, 3, 2)
        build(f"pool{number}", MaxPool2d(kernel=3, stride=2, padding=padding))

    block(1, Conv2d(channels=96, kernel=11, stride=4, activation="relu"), 96, 96)  # 54x54
    pool(1)  # 27x27
    block(2, Conv2d(channels=256, kernel=5, padding="same", activation="relu"), 256, 256)
    pool(2)  # 13x13
    block(3, Conv2d(channels=384, kernel=3, padding="same", activation="relu"), 384, 384)
    pool(3)  # 6x6
    build("dropout", Dropout(rate=0.5))
    block(4, Conv2d(channels=1024, kernel=3, padding="same", activation="relu"), 1024, classes)
    build("pool4", GlobalAveragePool())
    return build.graph()
