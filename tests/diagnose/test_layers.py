"""Errors of a layer worked out by hand, and simulations at their two ends."""

from __future__ import annotations

import numpy as np
import pytest

from millijoule.diagnose.layers import layer_errors
from millijoule.diagnose.simulate import simulated
from millijoule.graph import Graph, Input, Node
from millijoule.model import Model, Quantization
from millijoule.ops import Dense
from millijoule.quantize import quantize
from millijoule.quantize.calibrate import ready_for_int8
from millijoule.train import accuracy
from tests.quantize.broken import digits_network

pytest.importorskip("torch")


def test_a_dense_layer_by_hand():
    """y = (x, 100 x, x / 1000) in steps of 1 from -8 to 247: the second saturates, the third is silent."""
    graph = Graph("hand", (Input("input", (1,)),), (Node("y", Dense(features=3, bias=False), ("input",)),), ("y",))
    model = Model(graph, {"y.weight": np.array([[1.0], [100.0], [0.001]], np.float32)})
    int8 = Model(
        graph,
        {"y.weight": np.array([[1], [100], [0]], np.int8)},
        {
            "input": Quantization.of(1.0, -128),
            "y": Quantization.of(1.0, -120),
            "y.weight": Quantization.of(1.0),
        },
    )
    x = np.array([[0.0], [1.0], [2.25], [3.0], [255.0]], np.float32)
    entry, layer = layer_errors(model, int8, x)
    assert (entry.layer, entry.operator, entry.saturated) == ("input", "input", 0.0)
    assert entry.alone_db == pytest.approx(10 * np.log10(np.sum(x**2) / 0.25**2))
    real = x * [1.0, 100.0, 0.001]
    found = np.minimum(np.round(x) * [1.0, 100.0, 0.0], 247)
    ratio = 10 * np.log10(np.sum(real**2) / np.sum((real - found) ** 2))
    assert layer.alone_db == pytest.approx(ratio)
    assert layer.whole_db == pytest.approx(ratio)
    # 300, 25,500 of the second; 255 of the first: beyond 247.5.
    assert layer.saturated == pytest.approx(3 / 15)
    assert (layer.dead_channels, layer.channels) == (1, 3)
    assert layer.steps_used == 248 / 256
    assert layer.loudest == pytest.approx(100.0)


def test_simulations_end_at_int8_and_at_float():
    model, data = digits_network()
    ready, int8 = ready_for_int8(model), quantize(model, data.x_train, ranges="percentile")
    x, y = data.x_test, data.y_test

    def reached(kept):
        (output,) = ready.graph.outputs
        values = simulated(ready, int8, x, kept, [output])
        return np.mean(values[output].argmax(axis=1) == y)

    every = [node.name for node in ready.graph.nodes]
    assert reached({}) == pytest.approx(accuracy(int8, x, y), abs=2 / len(x))
    assert reached(dict.fromkeys(every, "float")) == accuracy(model, x, y)
    assert reached(dict.fromkeys(every, "int16")) == accuracy(model, x, y)
