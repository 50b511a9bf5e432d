"""ShuffleNet v1."""

from __future__ import annotations

from millijoule.graph import Builder, Graph, Shape
from millijoule.ops import (
    Add,
    AveragePool2d,
    ChannelShuffle,
    Concat,
    Conv2d,
    Dense,
    GlobalAveragePool,
    MaxPool2d,
    Relu,
)
from millijoule.zoo.blocks import TORCH_EPSILON, around, normalised, normalised_relu

# Table 1: output channels of stage 2 by groups; each later stage has twice as many.
STAGE2_CHANNELS = {1: 144, 2: 200, 3: 240, 4: 272, 8: 384}
UNITS = (4, 8, 4)


def shufflenet_v1(
    *, classes: int = 1000, input_shape: Shape = (224, 224, 3), groups: int = 3, width: float = 1.0
) -> Graph:
    """Grouped 1x1 convolutions, and channels shuffled between the groups: 1,865,728 parameters, 137,460,672 MACs.

    groups: 1, 2, 3, 4 or 8 of Table 1. width: what the stages' channels are multiplied with; 2: 5,448,208 parameters.
    The stem keeps its 24 channels, and the first 1x1 convolution of stage 2 is not grouped. The order of execution, and
    what lives meanwhile, are those of the authors' PyTorch code (megvii-model/ShuffleNet-Series, ShuffleNetV1): one
    call runs all units, and the last ReLU of a unit is a function of an expression, so that it makes a new value.

    Source: X. Zhang, X. Zhou, M. Lin, J. Sun, "ShuffleNet: an extremely efficient convolutional neural network for
    mobile devices", CVPR 2018, Table 1 and figure 2.
    """
    if groups not in STAGE2_CHANNELS:
        raise ValueError(f"groups is {groups}; Table 1 has {', '.join(map(str, STAGE2_CHANNELS))}")
    build = Builder("shufflenet_v1", input_shape)
    stem = Conv2d(channels=24, kernel=3, stride=2, padding=around(1), bias=False)
    normalised_relu(build, "stem", stem, epsilon=TORCH_EPSILON)  # 112x112
    build("pool", MaxPool2d(kernel=3, stride=2, padding=around(1)))  # 56x56
    with build.block("features"):
        for stage, units in enumerate(UNITS, start=2):
            channels = int(STAGE2_CHANNELS[groups] * width) * 2 ** (stage - 2)
            for number in range(1, units + 1):
                name = f"stage{stage}_unit{number}"
                with build.block(name):
                    _unit(build, name, channels, groups, stride=2 if number == 1 else 1)
    build("average", GlobalAveragePool())
    build("output", Dense(features=classes))
    return build.graph()


def _unit(build: Builder, name: str, channels: int, groups: int, stride: int) -> None:
    """Figure 2: with stride 1 the branch is added to the input (b), with stride 2 joined to its average pool (c)."""
    x, inputs = build.last, build.shape[2]
    inner = channels // 4
    outputs = channels - inputs if stride == 2 else channels
    reduce = Conv2d(channels=inner, kernel=1, groups=1 if inputs == 24 else groups, bias=False)
    normalised_relu(build, f"{name}_reduce", reduce, epsilon=TORCH_EPSILON)
    if groups > 1:
        build(f"{name}_shuffle", ChannelShuffle(groups=groups))
    depthwise = Conv2d(channels=inner, kernel=3, stride=stride, padding=around(1), groups=inner, bias=False)
    normalised(build, f"{name}_depthwise", depthwise, epsilon=TORCH_EPSILON)
    expand = Conv2d(channels=outputs, kernel=1, groups=groups, bias=False)
    y = normalised(build, f"{name}_expand", expand, epsilon=TORCH_EPSILON)
    if stride == 2:
        pool = AveragePool2d(kernel=3, stride=2, padding=around(1), count_padding=True)
        with build.block("join"):
            x = build(f"{name}_pool", pool, x)
            y = build(f"{name}_relu", Relu(), y, out_of_place=True)
            build(f"{name}_concat", Concat(), x, y)
    else:
        with build.block("join"):
            build(f"{name}_add", Add(), x, y)
            build(f"{name}_relu", Relu(), out_of_place=True)
