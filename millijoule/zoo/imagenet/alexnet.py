"""AlexNet, as published in 2012 and as torchvision builds it."""

from __future__ import annotations

from millijoule.graph import Builder, Graph, Shape
from millijoule.ops import Conv2d, Dense, Dropout, Flatten, LocalResponseNorm, MaxPool2d
from millijoule.zoo.blocks import around, classify


def alexnet(*, classes: int = 1000, input_shape: Shape = (227, 227, 3)) -> Graph:
    """Five convolutions and three dense layers; layers 2, 4 and 5 in two groups, one for each GPU.

    ReLU, local response normalisation, overlapping max pooling (3x3 moved by 2), dropout.
    60,965,224 parameters, 724,406,816 MACs. The paper says 224x224; 55x55 outputs of the first layer need 227x227, as
    in the authors' code and Caffe.

    Source: A. Krizhevsky, I. Sutskever, G. Hinton, "ImageNet classification with deep convolutional neural networks",
    NeurIPS 2012, figure 2; dropout section 4.2; normalisation section 3.3.
    """
    build = Builder("alexnet", input_shape)
    build("conv1", Conv2d(channels=96, kernel=11, stride=4, activation="relu"))  # 55x55x96
    build("norm1", LocalResponseNorm())
    build("pool1", MaxPool2d(kernel=3, stride=2))  # 27x27x96
    build("conv2", Conv2d(channels=256, kernel=5, padding="same", groups=2, activation="relu"))
    build("norm2", LocalResponseNorm())
    build("pool2", MaxPool2d(kernel=3, stride=2))  # 13x13x256
    build("conv3", Conv2d(channels=384, kernel=3, padding="same", activation="relu"))
    build("conv4", Conv2d(channels=384, kernel=3, padding="same", groups=2, activation="relu"))
    build("conv5", Conv2d(channels=256, kernel=3, padding="same", groups=2, activation="relu"))
    build("pool5", MaxPool2d(kernel=3, stride=2))  # 6x6x256
    return classify(build, classes)


def alexnet_torchvision(*, classes: int = 1000, input_shape: Shape = (224, 224, 3)) -> Graph:
    """AlexNet in one tower, without normalisation, as torchvision has it: 61,100,840 parameters, 714,188,480 MACs.

    Source: A. Krizhevsky, "One weird trick for parallelizing convolutional neural networks", 2014; torchvision
    models/alexnet.py.
    """
    build = Builder("alexnet_torchvision", input_shape)
    build("conv1", Conv2d(channels=64, kernel=11, stride=4, padding=around(2), activation="relu"))  # 55x55x64
    build("pool1", MaxPool2d(kernel=3, stride=2))  # 27x27x64
    build("conv2", Conv2d(channels=192, kernel=5, padding="same", activation="relu"))
    build("pool2", MaxPool2d(kernel=3, stride=2))  # 13x13x192
    build("conv3", Conv2d(channels=384, kernel=3, padding="same", activation="relu"))
    build("conv4", Conv2d(channels=256, kernel=3, padding="same", activation="relu"))
    build("conv5", Conv2d(channels=256, kernel=3, padding="same", activation="relu"))
    build("pool5", MaxPool2d(kernel=3, stride=2))  # 6x6x256
    build("flatten", Flatten())
    build("dropout6", Dropout(rate=0.5))
    build("fc6", Dense(features=4096, activation="relu"))
    build("dropout7", Dropout(rate=0.5))
    build("fc7", Dense(features=4096, activation="relu"))
    build("fc8", Dense(features=classes))
    return build.graph()
