"""The dense autoencoder of MLPerf Tiny: anomaly detection."""

from __future__ import annotations

from math import prod

from millijoule.graph import Builder, Graph, Shape
from millijoule.ops import Dense
from millijoule.zoo.blocks import normalised_relu


def autoencoder(*, input_shape: Shape = (640,), code: int = 8) -> Graph:
    """640-128-128-128-128-8-128-128-128-128-640, batch-norm and ReLU after every hidden layer.

    The distance between input and output tells how unusual a sound is. The default input is 5 frames of
    128 mel bands. Folded: 265,864 parameters and 264,192 MACs at the default arguments.

    Source: mlcommons/tiny, benchmark/training/anomaly_detection/keras_model.py; C. Banbury et al., "MLPerf Tiny
    Benchmark", NeurIPS Datasets and Benchmarks 2021; after Y. Koizumi et al., "Description and discussion on
    DCASE2020 challenge task 2", 2020.
    """
    build = Builder("autoencoder", input_shape)
    for number, units in enumerate((128, 128, 128, 128, code, 128, 128, 128, 128), start=1):
        normalised_relu(build, f"hidden{number}", Dense(features=units))
    build("output", Dense(features=prod(input_shape)))
    return build.graph()
