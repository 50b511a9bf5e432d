"""DS-CNN of MLPerf Tiny: keyword spotting."""

from __future__ import annotations

from millijoule.graph import Builder, Graph, Shape
from millijoule.ops import Conv2d, Dense, Dropout, GlobalAveragePool, Softmax
from millijoule.zoo.blocks import normalised_relu


def ds_cnn(*, classes: int = 12, input_shape: Shape = (49, 10, 1), filters: int = 64) -> Graph:
    """A 10x4 convolution and four depthwise separable blocks, each layer with batch-norm and ReLU.

    input_shape: 49 time steps of 10 mel-frequency cepstral coefficients. `same` padding is uneven here: 4 rows above
    and 5 below, 1 column on each side.
    Folded: 22,604 parameters and 2,656,768 MACs at the default arguments.

    Source: mlcommons/tiny, benchmark/training/keyword_spotting/keras_model.py (ds_cnn); C. Banbury et al., "MLPerf
    Tiny Benchmark", NeurIPS Datasets and Benchmarks 2021; after Y. Zhang et al., "Hello Edge: keyword spotting on
    microcontrollers", 2017. The pool covers the whole 25x5 map, as in the published model file.
    """
    build = Builder("ds_cnn", input_shape)
    normalised_relu(build, "stem", Conv2d(channels=filters, kernel=(10, 4), stride=2, padding="same"))
    build("stem_dropout", Dropout(rate=0.2))
    for block in range(1, 5):
        depthwise = Conv2d(channels=filters, kernel=3, padding="same", groups=filters)
        normalised_relu(build, f"block{block}_depthwise", depthwise)
        normalised_relu(build, f"block{block}_pointwise", Conv2d(channels=filters, kernel=1))
    build("dropout", Dropout(rate=0.4))
    build("pool", GlobalAveragePool())
    build("output", Dense(features=classes))
    build("softmax", Softmax())
    return build.graph()
