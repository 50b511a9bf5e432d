"""The numbers that training starts from."""

from __future__ import annotations

from math import prod

import numpy as np

from millijoule import zoo
from millijoule.errors import ModelError, OptionError
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
LEAST_VARIANCE = 5e-4
"""Is added to the variance of a direction before it is scaled to 1 (Jordan 2024, "94% on CIFAR-10 in 3.29 seconds")."""


def initial_weights(graph: Graph, seed: int, *, dirac: bool = False) -> dict[str, np.ndarray]:
    """Every array of the graph, float32, as training begins; the same for the same seed.

    Weights are drawn from a normal distribution with variance gain / fan-in: gain 2 where a ReLU or a smooth form of it
    follows (He et al. 2015, "Delving deep into rectifiers", eq. 10; eq. 15 for a leaky one), else 1 (LeCun et al. 1998,
    "Efficient BackProp", eq. 16) over the square of the slope that the next nonlinearity has at 0: 16 for a sigmoid,
    which would else shrink what passes. A nonlinearity that ends the network does not count.
    Trainable sub-sampling starts as an average. Biases and batch-norm's means are 0, its variances and the scales of
    norms 1, the slopes of PReLU 0.25.

    dirac: a convolution with a kernel of odd sides begins with a 1 at its centre from each input channel to the output
    channel of the same number (in each group); output channels for which there is no input are drawn with gain 1, the
    same length on average.

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
                weights[key] = _initial(graph, node, name, param, random, dirac).astype(np.float32)
    return weights


def whitening(graph: Graph, inputs: np.ndarray) -> dict[str, np.ndarray]:
    """{array: weights} of the first convolution, so that its outputs are whitened patches of its input.

    inputs: float32 (n, *input shape), prepared. A filter is an eigenvector of the patches' second moments over the
    root of its eigenvalue, those of the largest eigenvalues first; the second half of the filters are their negatives
    (Jordan 2024, section 3.2; after Page 2019, "How to train your ResNet"). Errors as `first_convolution` has them.
    """
    name, op = first_convolution(graph)
    kernel = pair(op.kernel)
    windows = np.lib.stride_tricks.sliding_window_view(inputs, kernel, axis=(1, 2))  # (n, h, w, in, kernel, kernel)
    patches = windows.transpose(0, 1, 2, 4, 5, 3).reshape(-1, prod(kernel) * inputs.shape[-1])
    variances, directions = np.linalg.eigh(patches.T.astype(np.float64) @ patches / len(patches))
    filters = (directions / np.sqrt(variances + LEAST_VARIANCE)).T[::-1][: op.channels // 2]
    both = np.concatenate([filters, -filters]).reshape(op.channels, *kernel, inputs.shape[-1])
    return {f"{name}.weight": both.astype(np.float32)}


def first_convolution(graph: Graph) -> tuple[str, Conv2d]:
    """(name, operator) of the first convolution. Raises OptionError if it cannot whiten the network's input."""
    for node in graph.nodes:
        op = node.op
        if isinstance(op, Conv2d) and node.inputs == (graph.inputs[0].name,):
            break
    else:
        raise OptionError(f"network '{graph.name}' does not begin with a convolution: leave whiten out")
    dilation = pair(op.dilation)
    most = 2 * prod(pair(op.kernel)) * graph.inputs[0].shape[2]
    if op.groups > 1 or dilation != (1, 1) or op.channels % 2 or op.channels > most:
        raise OptionError(
            f"convolution '{node.name}' of network '{graph.name}' has {op.channels} channels, {op.groups} groups, "
            f"dilation {dilation}: whiten needs an even number of channels, at most {most}, 1 group, dilation (1, 1)"
        )
    return node.name, op


def _initial(graph: Graph, node: Node, name: str, param: Param, random: np.random.Generator, dirac: bool) -> np.ndarray:
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
    drawn = random.normal(0.0, 1.0, param.shape)
    if dirac and isinstance(node.op, Conv2d) and all(side % 2 for side in pair(node.op.kernel)):
        return _passing_on(drawn / np.sqrt(fan_in), node.op.groups)
    return drawn * np.sqrt(_gain(graph, node) / fan_in)


def _passing_on(weight: np.ndarray, groups: int) -> np.ndarray:
    """weight (out, height, width, in / groups), in each group the first outputs the inputs themselves."""
    out, height, width, inputs = weight.shape
    for group in range(groups):
        first = group * (out // groups)
        for channel in range(min(inputs, out // groups)):
            weight[first + channel] = 0.0
            weight[first + channel, height // 2, width // 2, channel] = 1.0
    return weight


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
