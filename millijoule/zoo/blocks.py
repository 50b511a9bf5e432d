"""Lines of a table that several architectures share."""

from __future__ import annotations

from math import ceil

from millijoule.graph import Builder, Graph, Operator, Shape
from millijoule.ops import BatchNorm, Dense, Dropout, Flatten, Relu
from millijoule.ops.base import Pair

TORCH_EPSILON = 1e-5
"""Of torch's batch-norm; that of TensorFlow, 1e-3, is BatchNorm's default."""


def normalised(build: Builder, name: str, op: Operator, *inputs: str, epsilon: float = 1e-3) -> str:
    """`op`, then batch-norm; the last value's name."""
    build(name, op, *inputs)
    return build(f"{name}_norm", BatchNorm(epsilon=epsilon))


def normalised_relu(build: Builder, name: str, op: Operator, *inputs: str, epsilon: float = 1e-3) -> str:
    """`op`, then batch-norm and ReLU; the last value's name."""
    normalised(build, name, op, *inputs, epsilon=epsilon)
    return build(f"{name}_relu", Relu())


def classify(build: Builder, classes: int) -> Graph:
    """Two dense layers of 4096 with dropout, then one to the classes: how AlexNet and VGG end."""
    build("flatten", Flatten())
    build("fc6", Dense(features=4096, activation="relu"))
    build("dropout6", Dropout(rate=0.5))
    build("fc7", Dense(features=4096, activation="relu"))
    build("dropout7", Dropout(rate=0.5))
    build("fc8", Dense(features=classes))
    return build.graph()


def around(padding: int | Pair) -> tuple[Pair, Pair]:
    """The same padding before and after: of all sides, or (height, width)."""
    height, width = (padding, padding) if isinstance(padding, int) else padding
    return ((height, height), (width, width))


def rounding_up(x: Shape, kernel: int, stride: int, padding: int = 0) -> tuple[Pair, Pair]:
    """Padding for a pool that also uses the last, incomplete window (Caffe's pooling; torch's ceil_mode).

    x: the pool's input, (height, width, channels).
    """
    sides = []
    for size in x[:2]:
        outputs = ceil((size + 2 * padding - kernel) / stride) + 1
        if (outputs - 1) * stride >= size + padding:
            outputs -= 1  # the last window must begin inside the input
        sides.append((padding, max(padding, (outputs - 1) * stride + kernel - size - padding)))
    return (sides[0], sides[1])


def divisible(channels: float, divisor: int = 8) -> int:
    """The nearest multiple of `divisor`, never less than 90 % of `channels` (Sandler et al. 2018, reference code).

    Raises ValueError for 0 or less, which a width of 0 or less makes.
    """
    if channels <= 0:
        raise ValueError(f"a layer would have {channels:g} channels; the width must be more than 0")
    nearest = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return nearest if nearest >= 0.9 * channels else nearest + divisor
