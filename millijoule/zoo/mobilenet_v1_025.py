"""MobileNetV1 0.25 of MLPerf Tiny: visual wake words."""

from __future__ import annotations

from millijoule.graph import Builder, Graph, Shape
from millijoule.ops import Conv2d, Dense, GlobalAveragePool, Softmax
from millijoule.zoo.blocks import normalised_relu

# (channels at width 1, stride) of each depthwise separable block: Table 1 of the paper.
BLOCKS = (
    (64, 1),
    (128, 2),
    (128, 1),
    (256, 2),
    (256, 1),
    (512, 2),
    (512, 1),
    (512, 1),
    (512, 1),
    (512, 1),
    (512, 1),
    (1024, 2),
    (1024, 1),
)


def mobilenet_v1_025(*, classes: int = 2, input_shape: Shape = (96, 96, 3), width: float = 0.25) -> Graph:
    """A stem and 13 depthwise separable blocks: 3x3 depthwise, 1x1, each with batch-norm and ReLU.

    width: what the channels of the paper are multiplied with; the result is cut to a whole number.
    Folded: 210,850 parameters and 7,489,664 MACs at the default arguments.

    Source: mlcommons/tiny, benchmark/training/visual_wake_words/vww_model.py; C. Banbury et al., "MLPerf Tiny
    Benchmark", NeurIPS Datasets and Benchmarks 2021; after A. Howard et al., "MobileNets: efficient convolutional
    neural networks for mobile vision applications", 2017, Table 1. The last block's stride is 1, as in the reference;
    the paper's table says 2, which contradicts the shapes printed beside it.
    """
    build = Builder("mobilenet_v1_025", input_shape)
    channels = int(32 * width)
    normalised_relu(build, "stem", Conv2d(channels=channels, kernel=3, stride=2, padding="same"))
    for block, (full, stride) in enumerate(BLOCKS, start=1):
        depthwise = Conv2d(channels=channels, kernel=3, stride=stride, padding="same", groups=channels)
        channels = int(full * width)
        normalised_relu(build, f"block{block}_depthwise", depthwise)
        normalised_relu(build, f"block{block}_pointwise", Conv2d(channels=channels, kernel=1))
    build("pool", GlobalAveragePool())
    build("output", Dense(features=classes))
    build("softmax", Softmax())
    return build.graph()
