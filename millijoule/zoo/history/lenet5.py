"""LeNet-5 in its modern form."""

from __future__ import annotations

from millijoule.graph import Builder, Graph, Shape
from millijoule.ops import Conv2d, Dense, Flatten, MaxPool2d


def lenet5(*, classes: int = 10, input_shape: Shape = (32, 32, 1)) -> Graph:
    """LeNet-5 as it is usually built today: ReLU, max pooling, C3 reads every map, ten logits as output.

    61,706 parameters and 416,520 MACs at the default arguments; `lenet5_1998` is the network of the paper.

    Source: Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, "Gradient-based learning applied to document recognition",
    Proceedings of the IEEE 86(11), 1998, section II.B.
    """
    build = Builder("lenet5", input_shape)
    build("c1", Conv2d(channels=6, kernel=5, activation="relu"))  # 28x28x6
    build("s2", MaxPool2d(kernel=2))  # 14x14x6
    build("c3", Conv2d(channels=16, kernel=5, activation="relu"))  # 10x10x16
    build("s4", MaxPool2d(kernel=2))  # 5x5x16
    build("flatten", Flatten())  # 400
    build("c5", Dense(features=120, activation="relu"))
    build("f6", Dense(features=84, activation="relu"))
    build("output", Dense(features=classes))
    return build.graph()
