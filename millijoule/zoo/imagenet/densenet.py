"""DenseNet."""

from __future__ import annotations

from millijoule.graph import Builder, Graph, Shape
from millijoule.ops import AveragePool2d, BatchNorm, Concat, Conv2d, Dense, GlobalAveragePool, MaxPool2d, Relu
from millijoule.zoo.blocks import TORCH_EPSILON, around, normalised_relu


def densenet121(*, classes: int = 1000, input_shape: Shape = (224, 224, 3)) -> Graph:
    """Blocks of 6, 12, 24 and 16 layers: 7,978,856 parameters."""
    return _densenet("densenet121", (6, 12, 24, 16), classes, input_shape)


def densenet169(*, classes: int = 1000, input_shape: Shape = (224, 224, 3)) -> Graph:
    """Blocks of 6, 12, 32 and 32 layers: 14,149,480 parameters."""
    return _densenet("densenet169", (6, 12, 32, 32), classes, input_shape)


def densenet201(*, classes: int = 1000, input_shape: Shape = (224, 224, 3)) -> Graph:
    """Blocks of 6, 12, 48 and 32 layers: 20,013,928 parameters."""
    return _densenet("densenet201", (6, 12, 48, 32), classes, input_shape)


def _densenet(name: str, blocks: tuple[int, ...], classes: int, input_shape: Shape, growth: int = 32) -> Graph:
    """Every layer of a block reads the outputs of all before it; batch-norm and ReLU come before a convolution.

    growth: channels that each layer adds, after a bottleneck of four times as many. Transitions halve channels and map.

    Source: G. Huang, Z. Liu, L. van der Maaten, K. Weinberger, "Densely connected convolutional networks", CVPR 2017,
    Table 1 (DenseNet-BC, compression 0.5).
    """
    build = Builder(name, input_shape)
    stem = Conv2d(channels=64, kernel=7, stride=2, padding=around(3), bias=False)
    normalised_relu(build, "stem", stem, epsilon=TORCH_EPSILON)  # 112x112
    x = build("pool", MaxPool2d(kernel=3, stride=2, padding=around(1)))  # 56x56
    for block, layers in enumerate(blocks, start=1):
        with build.block(f"block{block}"):
            values = [x]
            for number in range(1, layers + 1):
                values.append(_layer(build, f"block{block}_layer{number}", values, growth))
            x = build(f"block{block}_concat", Concat(), *values)
        if block < len(blocks):
            _activated(build, f"transition{block}", x)
            build(f"transition{block}_conv", Conv2d(channels=build.shape[2] // 2, kernel=1, bias=False))
            x = build(f"transition{block}_pool", AveragePool2d(kernel=2))
    _activated(build, "final", x)
    build("average", GlobalAveragePool())
    build("output", Dense(features=classes))
    return build.graph()


def _layer(build: Builder, name: str, values: list[str], growth: int) -> str:
    """All values before it, joined; a 1x1 and a 3x3 convolution; the name of what it adds to them."""
    with build.block(name):
        x = build(f"{name}_concat", Concat(), *values) if len(values) > 1 else values[0]
        with build.block("bottleneck"):
            _activated(build, f"{name}_a", x)
            build(f"{name}_bottleneck", Conv2d(channels=4 * growth, kernel=1, bias=False))
        _activated(build, f"{name}_b", build.last)
        return build(f"{name}_conv", Conv2d(channels=growth, kernel=3, padding=around(1), bias=False))


def _activated(build: Builder, name: str, x: str) -> None:
    build(f"{name}_norm", BatchNorm(epsilon=TORCH_EPSILON), x)
    build(f"{name}_relu", Relu())
