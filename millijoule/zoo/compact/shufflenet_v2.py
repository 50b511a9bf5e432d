"""ShuffleNet v2."""

from __future__ import annotations

from millijoule.graph import Builder, Graph, Shape
from millijoule.ops import ChannelShuffle, Concat, Conv2d, Dense, GlobalAveragePool, MaxPool2d, Slice
from millijoule.zoo.blocks import TORCH_EPSILON, around, normalised, normalised_relu

# Table 5: channels of stages 2, 3 and 4 and of the last convolution, by width.
CHANNELS = {
    0.5: (48, 96, 192, 1024),
    1.0: (116, 232, 464, 1024),
    1.5: (176, 352, 704, 1024),
    2.0: (244, 488, 976, 2048),
}
UNITS = (4, 8, 4)


def shufflenet_v2(*, classes: int = 1000, input_shape: Shape = (224, 224, 3), width: float = 1.0) -> Graph:
    """Half of the channels pass by, the others are convolved, then the halves are shuffled: 2,278,604 parameters.

    width: 0.5, 1, 1.5 or 2 of Table 5. In units that halve the map both branches give half of the channels, as in
    torchvision; the authors' released code keeps 24 in one branch of stage 2's first unit (146 M MACs at width 1).

    Source: N. Ma, X. Zhang, H. Zheng, J. Sun, "ShuffleNet V2: practical guidelines for efficient CNN architecture
    design", ECCV 2018, Table 5 and figure 3.
    """
    if width not in CHANNELS:
        raise ValueError(f"width is {width}; Table 5 has {', '.join(map(str, CHANNELS))}")
    *stages, last = CHANNELS[width]
    build = Builder("shufflenet_v2", input_shape)
    stem = Conv2d(channels=24, kernel=3, stride=2, padding=around(1), bias=False)
    normalised_relu(build, "stem", stem, epsilon=TORCH_EPSILON)  # 112x112
    build("pool", MaxPool2d(kernel=3, stride=2, padding=around(1)))  # 56x56
    for stage, (channels, units) in enumerate(zip(stages, UNITS, strict=True), start=2):
        for number in range(1, units + 1):
            unit = _halving_unit if number == 1 else _basic_unit
            with build.block(f"stage{stage}_unit{number}"):
                unit(build, f"stage{stage}_unit{number}", channels)
    normalised_relu(build, "last", Conv2d(channels=last, kernel=1, bias=False), epsilon=TORCH_EPSILON)
    build("average", GlobalAveragePool())
    build("output", Dense(features=classes))
    return build.graph()


def _basic_unit(build: Builder, name: str, channels: int) -> None:
    """Figure 3c."""
    x, (height, width, _), half = build.last, build.shape, channels // 2
    size = (height, width, half)
    kept = build(f"{name}_kept", Slice(begin=(0, 0, 0), size=size), x)
    build(f"{name}_branch", Slice(begin=(0, 0, half), size=size), x)
    _join(build, name, kept, _branch(build, name, half, 1))


def _halving_unit(build: Builder, name: str, channels: int) -> None:
    """Figure 3d."""
    x, inputs, half = build.last, build.shape[2], channels // 2
    depthwise = Conv2d(channels=inputs, kernel=3, stride=2, padding=around(1), groups=inputs, bias=False)
    normalised(build, f"{name}_left_depthwise", depthwise, epsilon=TORCH_EPSILON)
    left = normalised_relu(build, f"{name}_left", Conv2d(channels=half, kernel=1, bias=False), epsilon=TORCH_EPSILON)
    build.last = x
    _join(build, name, left, _branch(build, name, half, 2))


def _branch(build: Builder, name: str, channels: int, stride: int) -> str:
    first = Conv2d(channels=channels, kernel=1, bias=False)
    depthwise = Conv2d(channels=channels, kernel=3, stride=stride, padding=around(1), groups=channels, bias=False)
    last = Conv2d(channels=channels, kernel=1, bias=False)
    normalised_relu(build, f"{name}_a", first, epsilon=TORCH_EPSILON)
    normalised(build, f"{name}_depthwise", depthwise, epsilon=TORCH_EPSILON)
    return normalised_relu(build, f"{name}_b", last, epsilon=TORCH_EPSILON)


def _join(build: Builder, name: str, left: str, right: str) -> None:
    build(f"{name}_concat", Concat(), left, right)
    build(f"{name}_shuffle", ChannelShuffle(groups=2))
