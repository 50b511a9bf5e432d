"""The network with one hidden layer, Rumelhart, Hinton and Williams 1986."""

from __future__ import annotations

from millijoule.graph import Builder, Graph, Shape
from millijoule.ops import Dense, Flatten, Sigmoid


def two_layer(*, classes: int = 10, input_shape: Shape = (28, 28, 1), hidden: int = 300) -> Graph:
    """Two layers of sigmoid units. The default is the 28x28-300-10 network of LeCun et al. 1998.

    Source: D. E. Rumelhart, G. E. Hinton, R. J. Williams, "Learning representations by back-propagating errors",
    Nature 323, 1986.
    """
    build = Builder("two_layer", input_shape)
    build("flatten", Flatten())
    build("hidden", Dense(features=hidden))
    build("hidden_sigmoid", Sigmoid())
    build("output", Dense(features=classes))
    build("output_sigmoid", Sigmoid())
    return build.graph()
