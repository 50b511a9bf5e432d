"""The perceptron, Rosenblatt 1958."""

from __future__ import annotations

from millijoule.graph import Builder, Graph, Shape
from millijoule.ops import Dense, Flatten


def perceptron(*, classes: int = 10, input_shape: Shape = (28, 28, 1)) -> Graph:
    """One weighted sum for each class; the threshold of the paper is the decision for the largest sum.

    Source: F. Rosenblatt, "The perceptron: a probabilistic model for information storage and organization in the
    brain", Psychological Review 65, 1958.
    """
    build = Builder("perceptron", input_shape)
    build("flatten", Flatten())
    build("output", Dense(features=classes))
    return build.graph()
