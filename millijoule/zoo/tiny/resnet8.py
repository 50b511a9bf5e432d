"""ResNet-8 of MLPerf Tiny: image classification."""

from __future__ import annotations

from millijoule.graph import Builder, Graph, Shape
from millijoule.ops import Add, Conv2d, Dense, GlobalAveragePool, Relu, Softmax
from millijoule.zoo.blocks import normalised, normalised_relu


def resnet8(*, classes: int = 10, input_shape: Shape = (32, 32, 3), filters: int = 16) -> Graph:
    """A stem and three residual stacks of one block; the shortcuts that change shape are 1x1 without batch-norm.

    Folded: 77,706 parameters and 12,501,632 MACs at the default arguments; the reference's larger network has 40
    filters.

    Source: mlcommons/tiny, benchmark/training/image_classification/keras_model.py (resnet_v1_eembc); C. Banbury et
    al., "MLPerf Tiny Benchmark", NeurIPS Datasets and Benchmarks 2021; after K. He et al., "Deep residual learning
    for image recognition", CVPR 2016.
    """
    build = Builder("resnet8", input_shape)
    x = normalised_relu(build, "stem", Conv2d(channels=filters, kernel=3, padding="same"))
    for stack, (channels, stride) in enumerate([(filters, 1), (2 * filters, 2), (4 * filters, 2)], start=1):
        normalised_relu(build, f"stack{stack}_a", Conv2d(channels=channels, kernel=3, stride=stride, padding="same"), x)
        y = normalised(build, f"stack{stack}_b", Conv2d(channels=channels, kernel=3, padding="same"))
        if stride != 1:
            x = build(f"stack{stack}_shortcut", Conv2d(channels=channels, kernel=1, stride=stride), x)
        build(f"stack{stack}_add", Add(), x, y)
        x = build(f"stack{stack}_relu", Relu())
    build("pool", GlobalAveragePool())
    build("output", Dense(features=classes))
    build("softmax", Softmax())
    return build.graph()
