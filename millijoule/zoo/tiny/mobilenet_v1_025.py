"""MobileNetV1 0.25 of MLPerf Tiny: visual wake words."""

from __future__ import annotations

from millijoule.graph import Builder, Graph, Shape
from millijoule.ops import Conv2d, Dense, GlobalAveragePool, Softmax
from millijoule.zoo.blocks import normalised_relu
from millijoule.zoo.compact.mobilenet_v1 import separable_blocks


def mobilenet_v1_025(*, classes: int = 2, input_shape: Shape = (96, 96, 3), width: float = 0.25) -> Graph:
    """A stem and 13 depthwise separable blocks: 3x3 depthwise, 1x1, each with batch-norm and ReLU.

    width: what the channels of the paper are multiplied with; the result is cut to a whole number.
    Folded: 210,850 parameters and 7,489,664 MACs at the default arguments.

    Source: mlcommons/tiny, benchmark/training/visual_wake_words/vww_model.py; C. Banbury et al., "MLPerf Tiny
    Benchmark", NeurIPS Datasets and Benchmarks 2021; after A. Howard et al., "MobileNets: efficient convolutional
    neural networks for mobile vision applications", 2017, Table 1.
    """
    build = Builder("mobilenet_v1_025", input_shape)
    channels = int(32 * width)
    normalised_relu(build, "stem", Conv2d(channels=channels, kernel=3, stride=2, padding="same"))
    separable_blocks(build, channels, width, bias=True)
    build("pool", GlobalAveragePool())
    build("output", Dense(features=classes))
    build("softmax", Softmax())
    return build.graph()
