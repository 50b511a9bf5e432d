"""Random int8 networks: operators, shapes, strides, paddings, zero points, scales and weights at their ends."""

from __future__ import annotations

import numpy as np

from millijoule.graph import Graph, Input, Node, Operator, Shape
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
    Relu,
    Requantize,
    Sigmoid,
    Softmax,
)
from millijoule.ops.quantization import SAME_SCALE, prescribed_output

ACTIVATIONS = ("none", "relu", "relu6")


def random_model(seed: int) -> Model:
    """An int8 model named `random_<seed>` of up to eight nodes, with residual additions."""
    return _Growing(seed).model()


class _Growing:
    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.name = f"random_{seed}"
        height, width = (int(size) for size in self.rng.integers(1, 13, 2))
        self.input = Input("input", (height, width, self.channels()))
        self.shapes: dict[str, Shape] = {"input": self.input.shape}
        self.nodes: list[Node] = []
        self.weights: dict[str, np.ndarray] = {}
        self.quantization = {"input": self.random_quantization()}
        self.last = "input"

    def model(self) -> Model:
        for _ in range(int(self.rng.integers(1, 7))):
            self.grow()
        if len(self.shapes[self.last]) == 3 and self.rng.random() < 0.5:
            self.add(GlobalAveragePool() if self.rng.random() < 0.4 else Flatten())
            self.add_layer(Dense(features=int(self.rng.integers(1, 20)), activation=self.activation()))
            if self.rng.random() < 0.3:
                self.add(Softmax())
        graph = Graph(self.name, (self.input,), tuple(self.nodes), (self.last,))
        return Model(graph, self.weights, self.quantization)

    def grow(self) -> None:
        if len(self.shapes[self.last]) != 3:
            return
        kind = self.rng.choice(["conv", "pointwise", "depthwise", "groups", "join", "pool", "unary", "pad"])
        channels = self.shapes[self.last][2]
        if kind == "join":
            same = [name for name, shape in self.shapes.items() if shape == self.shapes[self.last]]
            other = str(self.rng.choice(same))
            if self.quantization[other] == self.quantization[self.last] and self.rng.random() < 0.3:
                self.add(Concat(), self.last, other)
            else:
                self.add((Add if self.rng.random() < 0.7 else Multiply)(activation=self.activation()), self.last, other)
        elif kind == "pool":
            kernel = self.kernel(4)
            pool = MaxPool2d if self.rng.random() < 0.5 else AveragePool2d
            padding = "same" if min(kernel) > 1 and self.rng.random() < 0.5 else "valid"
            self.add(pool(kernel=kernel, stride=self.stride(), padding=padding, activation=self.activation()))
        elif kind == "unary":
            self.add([Relu(), Sigmoid(), Requantize()][self.rng.integers(3)])
        elif kind == "pad":
            (a, b), (c, d) = self.rng.integers(0, 3, (2, 2)).tolist()
            self.add(Pad(padding=((a, b), (c, d))))
        elif kind == "depthwise":
            self.add_conv(channels, channels, 6)
        elif kind == "groups":
            groups = int(self.rng.choice([n for n in range(1, channels + 1) if channels % n == 0]))
            self.add_conv(groups * int(self.rng.integers(1, 5)), groups, 4)
        else:
            self.add_conv(self.channels(), 1, 1 if kind == "pointwise" else 5)

    def add_conv(self, channels: int, groups: int, largest: int) -> None:
        padding = [
            "same",
            "valid",
            tuple((int(before), int(after)) for before, after in self.rng.integers(0, 3, (2, 2))),
        ][self.rng.integers(3)]
        dilation = (1, 1) if self.rng.random() < 0.8 else tuple(self.rng.integers(1, 4, 2).tolist())
        op = Conv2d(
            channels=channels,
            kernel=self.kernel(largest),
            stride=self.stride(),
            padding=padding,
            dilation=dilation,
            groups=groups,
            bias=bool(self.rng.random() < 0.8),
            activation=self.activation(),
        )
        self.add_layer(op)

    def add_layer(self, op: Conv2d | Dense) -> None:
        x = self.shapes[self.last]
        try:
            op.shape(x)
        except ValueError:  # the window does not fit
            return
        name = f"{self.name}_{len(self.nodes)}"
        params = op.params(x)
        shape = params["weight"].shape
        weight = self.rng.integers(-127, 128, shape)
        if self.rng.random() < 0.2:
            weight = self.rng.choice([-128, -127, 127], shape)
        weight[self.rng.random(len(weight)) < 0.1] = 0
        self.weights[f"{name}.weight"] = weight.astype(np.int8)
        terms = int(np.prod(shape[1:]))
        if "bias" in params:
            reach = float(
                self.rng.choice([0, 1000, 100.0 * terms, 2.0**30, 2.0**31 - 1], p=[0.1, 0.4, 0.4, 0.05, 0.05])
            )
            self.weights[f"{name}.bias"] = self.rng.uniform(-reach, reach, shape[0]).astype(np.int32)
        output = self.random_quantization()
        # The ratio of scales that spreads typical sums over int8, or one far from it.
        ratio = np.exp2(-np.log2(terms) / 2 - 6 + self.rng.normal(0, 1, len(weight) if self.rng.random() < 0.7 else 1))
        if self.rng.random() < 0.15:
            ratio = ratio * np.exp2(self.rng.uniform(-30, 12))
        scales = ratio * float(output.scale) / float(self.quantization[self.last].scale)
        self.quantization[f"{name}.weight"] = Quantization(scales.astype(np.float32))
        self.add(op, output=output)

    def add(self, op: Operator, *inputs: str, output: Quantization | None = None) -> None:
        inputs = inputs or (self.last,)
        try:
            shape = op.shape(*(self.shapes[name] for name in inputs))
        except ValueError:
            return
        name = f"{self.name}_{len(self.nodes)}"
        given = self.quantization[inputs[0]]
        if isinstance(op, SAME_SCALE):
            output = given
        elif isinstance(op, Add):
            largest = max(float(self.quantization[name].scale) for name in inputs)
            output = Quantization.of(largest * float(self.rng.uniform(0.3, 3)), self.zero_point())
        elif isinstance(op, Multiply):
            product = float(given.scale) * float(self.quantization[inputs[1]].scale)
            output = Quantization.of(product * float(np.exp2(self.rng.uniform(-2, 9))), self.zero_point())
        self.quantization[name] = prescribed_output(op) or output or self.random_quantization()
        self.nodes.append(Node(name, op, tuple(inputs)))
        self.shapes[name] = shape
        self.last = name

    def channels(self) -> int:
        return int(self.rng.choice([1, 2, 3, 4, 5, 8, 12, 16, 17, 20]))

    def kernel(self, largest: int) -> tuple[int, int]:
        size = int(self.rng.integers(1, largest + 1))
        return (size, size) if self.rng.random() < 0.6 else (size, int(self.rng.integers(1, largest + 1)))

    def stride(self) -> tuple[int, int]:
        both = int(self.rng.choice([1, 1, 1, 2, 3]))
        return (both, both) if self.rng.random() < 0.8 else (both, int(self.rng.integers(1, 4)))

    def activation(self) -> str:
        return str(self.rng.choice(ACTIVATIONS))

    def zero_point(self) -> int:
        return int(self.rng.choice([-128, 0, 127, int(self.rng.integers(-128, 128))]))

    def random_quantization(self) -> Quantization:
        return Quantization.of(float(np.exp2(self.rng.uniform(-8, -3))), self.zero_point())
