"""The deep belief network, Hinton, Osindero and Teh 2006."""

from __future__ import annotations

from millijoule.graph import Builder, Graph, Shape
from millijoule.ops import Dense, Flatten, Sigmoid


def deep_belief(
    *, classes: int = 10, input_shape: Shape = (28, 28, 1), hidden: tuple[int, ...] = (500, 500, 2000)
) -> Graph:
    """784-500-500-2000-10 as a feed-forward network of sigmoid units: what the stacked machines become at recognition.

    hidden: the units of each restricted Boltzmann machine's hidden layer, from the input on.

    Source: G. Hinton, S. Osindero, Y. Teh, "A fast learning algorithm for deep belief nets", Neural Computation 18,
    2006, figure 1.
    """
    build = Builder("deep_belief", input_shape)
    build("flatten", Flatten())
    for number, units in enumerate(hidden, start=1):
        build(f"hidden{number}", Dense(features=units))
        build(f"hidden{number}_sigmoid", Sigmoid())
    build("output", Dense(features=classes))
    return build.graph()
