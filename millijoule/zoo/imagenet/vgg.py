"""VGG."""

from __future__ import annotations

from millijoule.graph import Builder, Graph, Shape
from millijoule.ops import Conv2d, MaxPool2d
from millijoule.zoo.blocks import classify

CHANNELS = (64, 128, 256, 512, 512)
"""Of the five blocks, each of which ends in a 2x2 max pool."""

# Table 1: 3x3 convolutions in each block of configurations A, B, D and E.
A = (1, 1, 2, 2, 2)
B = (2, 2, 2, 2, 2)
D = (2, 2, 3, 3, 3)
E = (2, 2, 4, 4, 4)


def vgg11(*, classes: int = 1000, input_shape: Shape = (224, 224, 3)) -> Graph:
    """Configuration A: 132,863,336 parameters."""
    return _vgg("vgg11", A, classes, input_shape)


def vgg13(*, classes: int = 1000, input_shape: Shape = (224, 224, 3)) -> Graph:
    """Configuration B: 133,047,848 parameters."""
    return _vgg("vgg13", B, classes, input_shape)


def vgg16(*, classes: int = 1000, input_shape: Shape = (224, 224, 3)) -> Graph:
    """Configuration D: 138,357,544 parameters, 15,470,264,320 MACs."""
    return _vgg("vgg16", D, classes, input_shape)


def vgg19(*, classes: int = 1000, input_shape: Shape = (224, 224, 3)) -> Graph:
    """Configuration E: 143,667,240 parameters, 19,632,062,464 MACs."""
    return _vgg("vgg19", E, classes, input_shape)


def _vgg(name: str, convolutions: tuple[int, ...], classes: int, input_shape: Shape) -> Graph:
    """3x3 convolutions with ReLU throughout, then three dense layers.

    Source: K. Simonyan, A. Zisserman, "Very deep convolutional networks for large-scale image recognition", ICLR 2015,
    Table 1.
    """
    build = Builder(name, input_shape)
    for block, (channels, count) in enumerate(zip(CHANNELS, convolutions, strict=True), start=1):
        for number in range(1, count + 1):
            convolution = Conv2d(channels=channels, kernel=3, padding="same", activation="relu")
            build(f"conv{block}_{number}", convolution)
        build(f"pool{block}", MaxPool2d(kernel=2))
    return classify(build, classes)
