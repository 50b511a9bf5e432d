"""The network with any number of hidden layers, Rumelhart, Hinton and Williams 1986."""

from __future__ import annotations

from millijoule.graph import Builder, Graph, Shape
from millijoule.ops import Dense, Flatten, Sigmoid


def multilayer(*, classes: int = 10, input_shape: Shape = (28, 28, 1), hidden: tuple[int, ...] = (300, 100)) -> Graph:
    """Layers of sigmoid units. The default is the 28x28-300-100-10 network of LeCun et al. 1998.

    hidden: the units of each hidden layer, from the input on.

    Source: D. E. Rumelhart, G. E. Hinton, R. J. Williams, "Learning representations by back-propagating errors",
    Nature 323, 1986.
    """
    build = Builder("multilayer", input_shape)
    build("flatten", Flatten())
    for number, units in enumerate(hidden, start=1):
        build(f"hidden{number}", Dense(features=units))
        build(f"hidden{number}_sigmoid", Sigmoid())
    build("output", Dense(features=classes))
    build("output_sigmoid", Sigmoid())
    return build.graph()
