"""Small networks that several tests share."""

import numpy as np

from millijoule import zoo
from millijoule.cost import cost
from millijoule.graph import Builder, Graph
from millijoule.model import Model, Quantization
from millijoule.ops import Add, AveragePool2d, Conv2d, Dense, Flatten, MaxPool2d, Softmax

SMALL_NETWORKS = [entry for entry in zoo.entries() if cost(entry.function()).macs < 20_000_000]
"""Entries of the zoo that are quick to run."""


def small_graph() -> Graph:
    """A residual network of every common operator: 12x12 grey images, 3 classes."""
    build = Builder("small", (12, 12, 1))
    build("c1", Conv2d(channels=4, kernel=3, padding="same", activation="relu"))
    first = build("p1", MaxPool2d(kernel=2))
    build("dw", Conv2d(channels=4, kernel=3, padding="same", groups=4, activation="relu6"))
    second = build("pw", Conv2d(channels=4, kernel=1))
    build("add", Add(activation="relu"), first, second)
    build("p2", AveragePool2d(kernel=2))
    build("flat", Flatten())
    build("fc", Dense(features=3))
    build("softmax", Softmax())
    return build.graph()


def random_int8(graph: Graph, seed: int = 0) -> Model:
    """An int8 model of `graph` with random numbers whose outputs are not all saturated."""
    rng = np.random.default_rng(seed)
    weights: dict[str, np.ndarray] = {}
    quantization = {input.name: Quantization.of(1 / 255, -128) for input in graph.inputs}
    for node in graph.nodes:
        source = quantization[node.inputs[0]]
        if isinstance(node.op, Conv2d | Dense):
            params = node.op.params(*graph.input_shapes(node))
            shape = params["weight"].shape
            weights[f"{node.name}.weight"] = rng.integers(-127, 128, shape, dtype=np.int8)
            weights[f"{node.name}.bias"] = rng.integers(-2000, 2000, shape[0], dtype=np.int32)
            per_channel = isinstance(node.op, Conv2d)
            scales = rng.uniform(0.002, 0.01, shape[0] if per_channel else 1).astype(np.float32)
            quantization[f"{node.name}.weight"] = Quantization(scales)
            low = -128 if node.op.activation != "none" else int(rng.integers(-20, 20))
            fan_in = int(np.prod(shape[1:]))
            quantization[node.name] = Quantization.of(float(source.scale) * 0.4 * fan_in**0.5, low)
        elif isinstance(node.op, Add):
            quantization[node.name] = Quantization.of(float(source.scale) * 1.5, -128)
        elif isinstance(node.op, Softmax):
            quantization[node.name] = Quantization.of(1 / 256, -128)
        else:
            quantization[node.name] = source
    return Model(graph, weights, quantization)


def small_int8_model() -> Model:
    return random_int8(small_graph())
