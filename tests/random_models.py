"""Random int8 networks: operators, shapes, strides, paddings, zero points, scales and weights at their ends."""

from __future__ import annotations

import numpy as np

from millijoule.graph import Graph, Input, Node, Operator, Shape
from millijoule.model import Model, Quantization
from millijoule.ops import (
    Add,
    AddNumber,
    AveragePool2d,
    ChannelShuffle,
    Concat,
    Conv2d,
    ConvTranspose2d,
    Dense,
    DepthToSpace,
    Elu,
    Factor,
    Flatten,
    Gelu,
    GlobalAveragePool,
    GlobalMaxPool,
    HardSigmoid,
    HardSwish,
    LeakyRelu,
    MaxPool2d,
    Mean,
    Multiply,
    MultiplyNumber,
    Pad,
    PRelu,
    Relu,
    Relu6,
    Requantize,
    Reshape,
    Resize2d,
    Sigmoid,
    Slice,
    Softmax,
    SpaceToDepth,
    Subtract,
    Swish,
    Tanh,
    Transpose,
)
from millijoule.ops.quantization import SAME_SCALE, prescribed_output

ACTIVATIONS = ("none", "relu", "relu6")
KINDS = (
    "conv",
    "conv",
    "pointwise",
    "depthwise",
    "groups",
    "transposed",
    "join",
    "branches",
    "branches",
    "gate",
    "pool",
    "unary",
    "move",
    "pad",
)
LARGEST = 4000
"""Numbers of a value: what grows beyond is left out."""


def random_model(seed: int) -> Model:
    """An int8 model named `random_<seed>` with residual sums, gates and concatenations."""
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
        for _ in range(int(self.rng.integers(1, 9))):
            self.grow()
        if len(self.shapes[self.last]) == 3 and self.rng.random() < 0.5:
            self.add(GlobalAveragePool() if self.rng.random() < 0.4 else Flatten())
            self.add_layer(Dense(features=int(self.rng.integers(1, 20)), activation=self.activation()))
            if self.rng.random() < 0.3:
                self.add(Softmax())
        if all(node.op.alias for node in self.nodes):
            self.add_unary()
        graph = Graph(self.name, (self.input,), tuple(self.nodes), (self.last,))
        return Model(graph, self.weights, self.quantization)

    def grow(self) -> None:
        if len(self.shapes[self.last]) != 3:
            return
        kind = self.rng.choice(KINDS)
        channels = self.shapes[self.last][2]
        if kind == "join":
            self.join()
        elif kind == "branches":
            self.branches()
        elif kind == "gate":
            values = self.last
            self.add([GlobalAveragePool(keep_dims=True), GlobalMaxPool(keep_dims=True)][self.rng.integers(2)])
            self.add_conv(channels, 1, 1)
            self.add([Sigmoid(), HardSigmoid()][self.rng.integers(2)])
            self.add(Multiply(), values, self.last)
        elif kind == "pool":
            kernel = self.kernel(4)
            pool = MaxPool2d if self.rng.random() < 0.5 else AveragePool2d
            padding = "same" if min(kernel) > 1 and self.rng.random() < 0.5 else "valid"
            self.add(pool(kernel=kernel, stride=self.stride(), padding=padding, activation=self.activation()))
        elif kind == "unary":
            self.add_unary()
        elif kind == "move":
            self.move()
        elif kind == "pad":
            (a, b), (c, d) = self.rng.integers(0, 3, (2, 2)).tolist()
            self.add(Pad(padding=((a, b), (c, d))))
        elif kind == "depthwise":
            self.add_conv(channels, channels, 6)
        elif kind == "groups":
            groups = int(self.rng.choice([n for n in range(1, channels + 1) if channels % n == 0]))
            self.add_conv(groups * int(self.rng.integers(1, 5)), groups, 4)
        elif kind == "transposed":
            cut, more = self.rng.integers(0, 3, (2, 2)).tolist(), self.rng.integers(0, 2, 2).tolist()
            op = ConvTranspose2d(
                channels=int(self.rng.integers(1, 9)),
                kernel=self.kernel(4),
                stride=self.stride(),
                padding=(tuple(cut[0]), tuple(cut[1])),
                output_padding=tuple(more),
                bias=bool(self.rng.random() < 0.8),
                activation=self.activation(),
            )
            self.add_layer(op)
        else:
            self.add_conv(self.channels(), 1, 1 if kind == "pointwise" else 5)

    def join(self) -> None:
        """With another value of the same shape, side by side with one of the same map, or with a number."""
        shape = self.shapes[self.last]
        beside = [name for name, other in self.shapes.items() if len(other) == 3 and other[:2] == shape[:2]]
        same = [name for name in beside if self.shapes[name] == shape]
        choice, activation = self.rng.random(), self.activation()
        if choice < 0.2:
            kind = AddNumber if choice < 0.1 else MultiplyNumber
            self.add(kind(scale=float(self.rng.uniform(0.001, 0.1)), steps=int(self.rng.integers(-90, 90))))
        elif choice < 0.5:
            parts = [str(name) for name in self.rng.choice(beside, int(self.rng.integers(1, 3)))]
            first, values = self.last, [self.last]
            for part in parts:
                if self.quantization[part] != self.quantization[first]:
                    self.add(Requantize(), part, output=self.quantization[first])
                    part = self.last
                values.append(part)
            self.add(Concat(), *values)
        else:
            kind = [Add, Add, Subtract, Multiply][self.rng.integers(4)]
            self.add(kind(activation=activation), self.last, str(self.rng.choice(same)))

    def branches(self) -> None:
        """Side by side, values of one map and one quantization, each made of what was there before or of another."""
        x, values, given = self.last, [], [self.last]
        for _ in range(int(self.rng.integers(2, 6))):
            self.last = source = str(self.rng.choice(given))
            self.branch(self.quantization[x])
            is_beside = self.shapes[self.last][:2] == self.shapes[x][:2] and self.last != source
            if is_beside and self.quantization[self.last] == self.quantization[x]:
                values.append(self.last)
                given.append(self.last)
            if len(values) > 1 and self.rng.random() < 0.4:
                self.add(Concat(), *values)
                given.append(self.last)
        if len(values) > 1:
            self.rng.shuffle(values)
            self.add(Concat(), *values)

    def branch(self, output: Quantization) -> None:
        height, width, channels = x = self.shapes[self.last]
        kind = self.rng.choice(["conv", "pointwise", "depthwise", "pool", "unary", "slice", "resize", "sum"])
        same = [name for name, shape in self.shapes.items() if shape == x]
        if kind in ("conv", "pointwise", "depthwise"):
            kernel = (1, 1) if kind == "pointwise" else self.kernel(5)
            outputs, groups = (channels, channels) if kind == "depthwise" else (self.channels(), 1)
            op = Conv2d(channels=outputs, kernel=kernel, padding="same", groups=groups, activation=self.activation())
            self.add_layer(op, output)
        elif kind == "pool":
            pool = [MaxPool2d, AveragePool2d][self.rng.integers(2)]
            self.add(pool(kernel=self.kernel(3), stride=1, padding="same", activation=self.activation()))
        elif kind == "unary":
            self.add([Relu(), Requantize(), HardSwish()][self.rng.integers(3)], output=output)
        elif kind == "slice":
            begin = int(self.rng.integers(channels))
            size = int(self.rng.integers(1, channels - begin + 1))
            self.add(Slice(begin=(0, 0, begin), size=(height, width, size)))
        elif kind == "resize":
            mode = str(self.rng.choice(["nearest", "bilinear"]))
            self.add(Resize2d(size=(height, width), mode=mode, align="half_pixel"))
        else:
            self.add([Add(), Multiply()][self.rng.integers(2)], self.last, str(self.rng.choice(same)))

    def add_unary(self) -> None:
        if np.prod(self.shapes[self.last]) > LARGEST:
            return
        slope = float(self.rng.choice([0.01, 0.2, 0.25, 1.5, -0.5]))
        curves = [Relu(), Relu6(), Sigmoid(), Tanh(), Requantize(), LeakyRelu(slope=slope), Elu(), HardSigmoid()]
        curves += [HardSwish(), Swish(), Gelu(), PRelu(), Factor(factor=slope)]
        op = curves[self.rng.integers(len(curves))]
        if isinstance(op, PRelu):
            slopes, name = self.rng.integers(-128, 128, self.shapes[self.last][-1]), f"{self.name}_{len(self.nodes)}"
            self.weights[f"{name}.slope"] = slopes.astype(np.int8)
            self.quantization[f"{name}.slope"] = self.random_quantization()
        given = float(self.quantization[self.last].scale)
        ratio = float(np.exp2(self.rng.uniform(-5, 3))) if self.rng.random() < 0.7 else 1.0
        self.add(op, output=Quantization.of(given * ratio, self.zero_point()))

    def move(self) -> None:
        height, width, channels = x = self.shapes[self.last]
        size = tuple(int(self.rng.integers(1, length + 1)) for length in x)
        begin = tuple(int(self.rng.integers(0, length - part + 1)) for length, part in zip(x, size, strict=True))
        mode = str(self.rng.choice(["nearest", "bilinear"]))
        align = str(self.rng.choice(["half_pixel", "corners", "asymmetric"]))
        moves: list[Operator] = [
            Slice(begin=begin, size=size),
            Slice(begin=(0, 0, 0), size=tuple(-(-length // 2) for length in x), step=(2, 2, 2)),
            Resize2d(size=tuple(self.rng.integers(1, 16, 2).tolist()), mode=mode, align=align),
            Resize2d(size=(2 * height, 2 * width), mode=mode, align=align),
            ChannelShuffle(groups=int(self.rng.choice([n for n in range(1, channels + 1) if channels % n == 0]))),
            DepthToSpace(block=2, order=str(self.rng.choice(["depth", "channel"]))),
            SpaceToDepth(block=2),
            Reshape(target=(width, height, channels)),
            Transpose(order=tuple(self.rng.permutation(3).tolist())),
            Mean(axes=(int(self.rng.integers(2)),), keep_dims=True),
        ]
        self.add(moves[self.rng.integers(len(moves))])

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

    def add_layer(self, op: Conv2d | ConvTranspose2d | Dense, output: Quantization | None = None) -> None:
        x = self.shapes[self.last]
        try:
            if np.prod(op.shape(x)) > LARGEST:
                return
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
        output = output or self.random_quantization()
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
        if np.prod(shape) > LARGEST:
            return
        name = f"{self.name}_{len(self.nodes)}"
        given = self.quantization[inputs[0]]
        if isinstance(op, SAME_SCALE):
            output = given
        elif isinstance(op, Add | Subtract):
            largest = max(float(self.quantization[name].scale) for name in inputs)
            output = Quantization.of(largest * float(self.rng.uniform(0.3, 3)), self.zero_point())
        elif isinstance(op, Multiply):
            product = float(given.scale) * float(self.quantization[inputs[1]].scale)
            output = Quantization.of(product * float(np.exp2(self.rng.uniform(-2, 9))), self.zero_point())
        elif isinstance(op, AddNumber | MultiplyNumber):
            scales = float(given.scale), op.scale
            typical = max(scales) if isinstance(op, AddNumber) else scales[0] * scales[1] * 2**7
            output = Quantization.of(typical * float(self.rng.uniform(0.3, 3)), self.zero_point())
        self.quantization[name] = prescribed_output(op) or output or self.random_quantization()
        self.nodes.append(Node(name, op, tuple(inputs)))
        self.shapes[name] = shape
        self.last = name

    def channels(self) -> int:
        return int(self.rng.choice([1, 2, 3, 4, 5, 8, 12, 16, 17, 20, 32, 40]))

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
