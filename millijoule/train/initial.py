"""The numbers that training starts from."""

from __future__ import annotations

from math import prod

import numpy as np

from millijoule import zoo
from millijoule.errors import ModelError
from millijoule.graph import Graph, Node, Param
from millijoule.ops.activation import Gelu, HardSwish, LeakyRelu, PRelu, Relu, Relu6, Sigmoid, Swish, Tanh
from millijoule.ops.base import pair
from millijoule.ops.conv import Conv2d, TableConv2d
from millijoule.ops.dense import Dense
from millijoule.ops.norm import BatchNorm, LayerNorm, Scale
from millijoule.ops.pool import Subsample2d
from millijoule.train.network import consumers

RELU_LIKE = (Relu, Relu6, HardSwish, Swish, Gelu)
PRELU_SLOPE = 0.25
"""At the start of training (He et al. 2015, section 2.1)."""


def initial_weights(graph: Graph, seed: int) -> dict[str, np.ndarray]:
    """Every array of the graph, float32, as training begins; the same for the same seed.

    Weights are drawn from a normal distribution with variance gain / fan-in: gain 2 where a ReLU or a smooth form of it
    follows (He et al. 2015, "Delving deep into rectifiers", eq. 10; eq. 15 for a leaky one), else 1 (LeCun et al. 1998,
    "Efficient BackProp", eq. 16) over the square of the slope that the next nonlinearity has at 0: 16 for a sigmoid,
    which would else shrink what passes. A nonlinearity that ends the network does not count.
    Trainable sub-sampling starts as an average. Biases and batch-norm's means are 0, its variances and the scales of
    norms 1, the slopes of PReLU 0.25.
    Constants are those of the zoo. Raises ModelError for a constant that the zoo does not know.
    """
    constants = zoo.constants(graph)
    weights = {}
    for index, node in enumerate(graph.nodes):
        random = np.random.default_rng([seed, index])
        for name, param in node.op.params(*graph.input_shapes(node)).items():
            key = f"{node.name}.{name}"
            if param.kind == "constant":
                if key not in constants:
                    raise ModelError(
                        f"array '{key}' is a constant of the architecture, and the zoo has no value for it"
                    )
                weights[key] = np.asarray(constants[key], np.float32)
            else:
                weights[key] = _initial(graph, node, name, param, random).astype(np.float32)
    return weights


def _initial(graph: Graph, node: Node, name: str, param: Param, random: np.random.Generator) -> np.ndarray:
    if isinstance(node.op, Subsample2d) and name == "weight":
        return np.full(param.shape, 1 / prod(pair(node.op.kernel)))
    if isinstance(node.op, BatchNorm | LayerNorm | Scale):
        return np.full(param.shape, 1.0 if name in ("scale", "weight", "variance") else 0.0)
    if isinstance(node.op, PRelu):
        return np.full(param.shape, PRELU_SLOPE)
    if param.kind != "weight":
        return np.zeros(param.shape)
    fan_in = np.array(prod(param.shape[1:]))
    if isinstance(node.op, TableConv2d):
        # One kernel for each connection: as many add up as the output channel has inputs.
        fan_in = (
            np.repeat([len(row) for row in node.op.table], [len(row) for row in node.op.table])[:, None, None] * fan_in
        )
    return random.normal(0.0, 1.0, param.shape) * np.sqrt(_gain(graph, node) / fan_in)


def _gain(graph: Graph, node: Node) -> float:
    """By how much the variance of a node's output must exceed its input's, so that what follows keeps it."""
    while True:
        if getattr(node.op, "activation", "none") != "none" or isinstance(node.op, RELU_LIKE):
            return 2.0
        if isinstance(node.op, LeakyRelu | PRelu):
            slope = node.op.slope if isinstance(node.op, LeakyRelu) else PRELU_SLOPE
            return 2.0 / (1.0 + slope**2)
        if isinstance(node.op, Sigmoid):
            return 16.0
        if isinstance(node.op, Tanh):
            return (node.op.amplitude * node.op.slope) ** -2
        readers = consumers(graph, node.name)
        if (
            len(readers) != 1
            or readers[0].name in graph.outputs
            or isinstance(readers[0].op, Conv2d | TableConv2d | Dense)
        ):
            return 1.0
        node = readers[0]
