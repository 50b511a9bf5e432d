"""Random networks for streaming: strides, windows of all sizes, branches of unequal length, gates, barriers."""

import numpy as np

from millijoule.graph import Builder, Graph
from millijoule.model import Model, Quantization
from millijoule.ops import (
    Add,
    AveragePool2d,
    ChannelShuffle,
    Concat,
    Conv2d,
    Dense,
    Flatten,
    GlobalAveragePool,
    MaxPool2d,
    Multiply,
    Pad,
    Requantize,
    Softmax,
    Transpose,
)
from millijoule.plan.streaming import StreamPlan
from millijoule.plan.streaming.planner import assemble, network_of
from millijoule.plan.streaming.search.needs import alone
from millijoule.target import SCALAR, Target
from tests.networks import random_int8

SHARED = Quantization.of(0.05, -10)


def random_graph(seed: int, blocks: int = 4, multiple: int = 1) -> Graph:
    """multiple: of which all numbers of channels are one but the input's: kernels ask for it."""
    rng = np.random.default_rng(seed)
    build = Builder("random", (int(rng.integers(5, 15)), int(rng.integers(3, 8)), int(rng.integers(1, 4))))
    last, channels = "input", build.inputs[0].shape[2]

    def conv(name: str, source: str, out: int, kernel: int, stride: int = 1, groups: int = 1) -> str:
        height = (kernel, int(rng.integers(1, 4)))
        options = {"padding": "same", "groups": groups, "stride": (stride, 1), "dilation": (int(rng.integers(1, 3)), 1)}
        if stride > 1:
            options["dilation"] = 1
        return build(name, Conv2d(channels=out, kernel=height, activation="relu", **options), source)

    for number in range(int(rng.integers(1, blocks + 1))):
        name, kind = f"b{number}", int(rng.integers(10))
        out = multiple * int(rng.integers(2, 7))
        if kind <= 2:
            last, channels = conv(name, last, out, int(rng.integers(1, 6)), int(rng.integers(1, 4))), out
        elif kind == 3:
            last = conv(f"{name}_dw", last, channels, 3, int(rng.integers(1, 3)), channels)
            last, channels = conv(f"{name}_pw", last, out, 1), out
        elif kind == 4:
            long = conv(f"{name}_a", last, channels, 3)
            if rng.integers(2):
                long = conv(f"{name}_b", long, channels, 3)
            last = build(f"{name}_sum", Add(activation="relu"), *((long, last) if rng.integers(2) else (last, long)))
        elif kind == 5:
            one, two = conv(f"{name}_a", last, 2 * multiple, 3, 2), conv(f"{name}_b", last, 3 * multiple, 1, 2)
            last, channels = build(f"{name}_cat", Concat(), one, two), 5 * multiple
        elif kind == 6:
            pool = (MaxPool2d, AveragePool2d)[rng.integers(2)]
            stride = (int(rng.integers(1, 3)), 1)
            last = build(name, pool(kernel=(int(rng.integers(2, 4)), 2), stride=stride, padding="same"), last)
        elif kind == 7:
            build(f"{name}_mean", GlobalAveragePool(), last)
            gate = build(f"{name}_gate", Dense(features=channels, activation="relu"))
            last = build(f"{name}_scaled", Multiply(), last, gate)
        elif kind == 8:
            last = build(name, Pad(padding=((int(rng.integers(2)), 1), (0, 1))), last)
            last = build(f"{name}_q", Requantize(), last)
        else:
            if channels % 2 == 0:
                last = build(f"{name}_shuffle", ChannelShuffle(groups=2), last)
            last = build(name, Transpose(order=(1, 0, 2)), last)
    end = int(rng.integers(4))
    if end == 0:
        build("mean", GlobalAveragePool(), last)
    elif end == 1:
        build("flat", Flatten(), last)
    if end < 3:
        build("out", Dense(features=3))
        build("softmax", Softmax())
    return build.graph()


def random_model(seed: int, blocks: int = 4, multiple: int = 1) -> Model:
    model = random_int8(random_graph(seed, blocks, multiple), seed)
    quantization = dict(model.quantization or {})
    for node in model.graph.nodes:
        if isinstance(node.op, Concat):
            for name in (*node.inputs, node.name):
                quantization[name] = SHARED
        elif isinstance(node.op, Requantize):
            quantization[node.name] = Quantization.of(float(quantization[node.inputs[0]].scale) * 1.3, -7)
        elif isinstance(node.op, MaxPool2d | AveragePool2d | Pad | Flatten | ChannelShuffle | Transpose):
            quantization[node.name] = quantization[node.inputs[0]]
    return Model(model.graph, model.weights, quantization)


def by_pixels(model: Model, contract: str, target: Target = SCALAR) -> StreamPlan:
    """A plan that streams pixel by pixel all that can be streamed."""
    network = network_of(model, contract, target)
    segments = []
    for first, stop in dict.fromkeys(network.pixels.runs):
        by_row = stop - first == 1 and network.pixels.rows.steps[first].whole
        segments.append(alone(network if by_row else network.pixels, first, stop))
    return assemble(model, network, segments, 1)


def small_graph(seed: int) -> Graph:
    """Few rows and steps, so that every order of execution can be looked at: chains, residuals and shortcuts."""
    rng = np.random.default_rng(seed)
    build = Builder("small", (int(rng.integers(4, 8)), int(rng.integers(2, 4)), int(rng.integers(1, 4))))
    last = build("c0", Conv2d(channels=int(rng.integers(1, 5)), kernel=(3, 1), padding="same"))
    for number in range(int(rng.integers(1, 4))):
        stride = (int(rng.integers(1, 3)), 1)
        out = int(rng.integers(1, 5))
        kind = int(rng.integers(4))
        if kind == 0:
            last = build(f"c{number + 1}", Conv2d(channels=out, kernel=(3, 1), stride=stride, padding="same"), last)
        elif kind == 1:
            last = build(f"p{number}", MaxPool2d(kernel=(2, 1), stride=(2, 1), padding="same"), last)
        elif kind == 2:
            channels = (build.graph(last).shapes[last])[2]
            long = build(f"a{number}", Conv2d(channels=channels, kernel=(3, 1), padding="same"), last)
            last = build(f"s{number}", Add(), long, last)
        else:
            one = build(f"x{number}", Conv2d(channels=out, kernel=(3, 1), stride=stride, padding="same"), last)
            two = build(f"y{number}", Conv2d(channels=2, kernel=1, stride=stride, padding="same"), last)
            last = build(f"z{number}", Concat(), one, two)
    if rng.integers(2):
        build("mean", GlobalAveragePool(), last)
    return build.graph()
