"""Random int8 networks, some of whose channels cannot matter."""

import numpy as np

from millijoule.graph import Builder
from millijoule.model import Model, Quantization
from millijoule.ops import (
    Add,
    AveragePool2d,
    Concat,
    Conv2d,
    Dense,
    Flatten,
    GlobalAveragePool,
    MaxPool2d,
    Multiply,
    Pad,
    Requantize,
)
from tests.networks import random_int8

SAME = Quantization.of(0.05, -10)


def random_graph(rng: np.random.Generator):
    """Blocks in random order: plain, depthwise, residual, gated, two branches side by side, pooled, padded."""
    build = Builder("random", (int(rng.integers(6, 10)), int(rng.integers(6, 10)), int(rng.integers(1, 4))))
    activations = ("none", "relu", "relu6")

    def conv(name: str, channels: int, kernel: int, groups: int = 1) -> None:
        activation = activations[rng.integers(3)]
        build(name, Conv2d(channels=channels, kernel=kernel, groups=groups, padding="same", activation=activation))

    channels = int(rng.integers(4, 9))
    conv("first", channels, 3)
    for number in range(int(rng.integers(2, 5))):
        block, before = int(rng.integers(7)), build.last
        name = f"b{number}"
        if block == 0:
            conv(f"{name}_dw", channels, 3, groups=channels)
            channels = int(rng.integers(4, 9))
            conv(f"{name}_pw", channels, 1)
        elif block in (1, 2):
            build(f"{name}_pw", Conv2d(channels=channels, kernel=1, activation="relu"), before)
            build(f"{name}_end", (Add if block == 1 else Multiply)(activation="relu"), before, build.last)
        elif block == 3:
            one = build(f"{name}_one", Conv2d(channels=3, kernel=3, padding="same", activation="relu"), before)
            two = build(f"{name}_two", Conv2d(channels=4, kernel=1, activation="relu"), before)
            build(f"{name}_end", Concat(), one, two)
            channels = 7
        elif block == 4:
            pool = MaxPool2d if rng.integers(2) else AveragePool2d
            build(f"{name}_end", pool(kernel=2, stride=1, padding="same"))
        elif block == 5:
            build(f"{name}_pad", Pad(padding=((1, 0), (0, 1))))
            channels = int(rng.integers(4, 9))
            build(f"{name}_end", Conv2d(channels=channels, kernel=2, stride=int(rng.integers(1, 3))))
        else:
            build(f"{name}_end", Requantize())
    if rng.integers(2):
        build("mean", GlobalAveragePool())
    elif rng.integers(2):
        build("flat", Flatten())
    build("hidden", Dense(features=6, activation="relu"))
    build("out", Dense(features=3))
    return build.graph()


def random_model(seed: int) -> Model:
    """Random numbers; about a third of the channels never vary, and a few are copies of others."""
    rng = np.random.default_rng(seed)
    model = random_int8(random_graph(rng), seed)
    weights, quantization = dict(model.weights), dict(model.quantization or {})
    for node in model.graph.nodes:
        inputs = [quantization[name] for name in node.inputs]
        if isinstance(node.op, Concat):
            for name in (*node.inputs, node.name):
                quantization[name] = SAME
        elif isinstance(node.op, MaxPool2d | AveragePool2d | Pad | Flatten):
            quantization[node.name] = inputs[0]
        elif isinstance(node.op, Requantize | GlobalAveragePool) and rng.integers(2):
            quantization[node.name] = Quantization.of(float(inputs[0].scale) * rng.uniform(0.5, 2), -30)
        if f"{node.name}.weight" in weights:
            _plant(rng, node.name, weights, quantization)
    return Model(model.graph, {name: weights[name] for name in model.graph.params()}, quantization)


def _plant(rng, name, weights, quantization) -> None:
    weight, bias = weights[f"{name}.weight"].copy(), weights[f"{name}.bias"].copy()
    scales = np.broadcast_to(quantization[f"{name}.weight"].scales, len(weight)).copy()
    for channel in range(len(weight)):
        kind = rng.integers(9)
        if kind == 0:
            weight[channel], bias[channel] = 0, rng.integers(-(2**30), 2**30)
        elif kind == 1:
            bias[channel] = rng.choice([-(2**24), 2**24])
        elif kind == 2 and channel:
            other = rng.integers(channel)
            weight[channel], bias[channel], scales[channel] = weight[other] // 2, bias[other], scales[other]
            weight[other] = weight[channel]
    weights[f"{name}.weight"], weights[f"{name}.bias"] = weight, bias
    if quantization[f"{name}.weight"].scales.size > 1:
        quantization[f"{name}.weight"] = Quantization(scales)


def extreme_inputs(model: Model, count: int = 24) -> np.ndarray:
    """Noise, and inputs at both ends of int8, whole or position by position."""
    rng = np.random.default_rng(0)
    shape = model.graph.inputs[0].shape
    noise = rng.integers(-128, 128, (count, *shape))
    ends = np.where(rng.random((count, *shape)) < rng.random((count, 1, 1, 1)), -128, 127)
    flat = np.broadcast_to(np.linspace(-128, 127, 5).astype(int).reshape(5, 1, 1, 1), (5, *shape))
    return np.concatenate([noise, ends, flat]).astype(np.int8)
