"""Cross-layer equalization: the same network, with channels that int8 keeps."""

from __future__ import annotations

import numpy as np
import pytest

from millijoule.graph import Builder
from millijoule.model import Model
from millijoule.ops import (
    Add,
    AveragePool2d,
    Conv2d,
    ConvTranspose2d,
    Dense,
    Flatten,
    GlobalAveragePool,
    MaxPool2d,
    Pad,
    Relu,
    Softmax,
)
from millijoule.quantize import quantize
from millijoule.quantize.equalize import equalize_layers
from tests.quantize.broken import scaled_channels

torch = pytest.importorskip("torch")


def chain() -> Builder:
    """Every kind of pair: with pools, padding and ReLUs between, depthwise, transposed, over Flatten, dense."""
    build = Builder("chain", (12, 12, 2))
    build("stem", Conv2d(channels=4, kernel=3, padding="same", activation="relu"))
    build("pool", MaxPool2d(kernel=2))
    build("depthwise", Conv2d(channels=8, kernel=3, groups=4, padding="same"))
    build("relu", Relu())
    build("pad", Pad(padding=((1, 0), (0, 1))))
    build("pointwise", Conv2d(channels=6, kernel=1, bias=False, activation="relu"))
    build("up", ConvTranspose2d(channels=5, kernel=2, stride=2))
    build("grouped", Conv2d(channels=5, kernel=3, groups=5))
    build("average", AveragePool2d(kernel=2))
    build("flat", Flatten())
    build("dense", Dense(features=7, activation="relu"))
    build("head", Dense(features=3))
    build("softmax", Softmax())
    return build


def random_model(build: Builder) -> Model:
    rng = np.random.default_rng(0)
    graph = build.graph()
    arrays = {name: rng.standard_normal(param.shape, np.float32) for name, param in graph.params().items()}
    for name, array in arrays.items():
        if name.endswith("weight"):
            array *= np.exp(rng.uniform(-4, 4, len(array))).reshape(-1, *(1 for _ in array.shape[1:]))
    return Model(graph, arrays)


def test_outputs_stay_and_ranges_meet():
    from millijoule.train.network import predict

    model = random_model(chain())
    equal = equalize_layers(model)
    x = np.random.default_rng(1).standard_normal((3, 12, 12, 2), np.float32)
    np.testing.assert_allclose(predict(equal, x), predict(model, x), rtol=1e-4, atol=1e-5)

    def ranges(first: str, second: str, columns) -> tuple[np.ndarray, np.ndarray]:
        weight = equal.weights[f"{first}.weight"]
        return np.abs(weight.reshape(len(weight), -1)).max(axis=1), columns(np.abs(equal.weights[f"{second}.weight"]))

    pairs = {
        ("stem", "depthwise"): lambda weight: weight.reshape(4, -1).max(axis=1),
        ("depthwise", "pointwise"): lambda weight: weight.reshape(-1, 8).max(axis=0),
        ("up", "grouped"): lambda weight: weight.reshape(5, -1).max(axis=1),
        ("grouped", "dense"): lambda weight: weight.reshape(-1, 5).max(axis=0),
        ("dense", "head"): lambda weight: weight.max(axis=0),
    }
    for names, columns in pairs.items():
        np.testing.assert_allclose(*ranges(*names, columns), rtol=0.01)
    assert not np.allclose(equal.weights["stem.weight"], model.weights["stem.weight"])


def test_what_saturates_or_is_read_twice_stays():
    build = Builder("stays", (4, 4, 2))
    first = build("relu6", Conv2d(channels=3, kernel=1, activation="relu6"))
    second = build("twice", Conv2d(channels=3, kernel=1), first)
    build("third", Conv2d(channels=3, kernel=1), second)
    build("sum", Add(), "third", second)
    build("pool", GlobalAveragePool())
    model = random_model(build)
    equal = equalize_layers(model)
    for name, array in model.weights.items():
        np.testing.assert_array_equal(equal.weights[name], array)


def test_it_brings_back_what_one_loud_channel_costs():
    """The same function, but one channel 5,000 times as loud: int8 steps of the layer hear nothing else."""
    from millijoule.train import accuracy

    model, data = scaled_channels()
    x, y = data.x_test, data.y_test
    sound = accuracy(model, x, y)
    plain = accuracy(quantize(model, data.x_train), x, y)
    equalized = accuracy(quantize(model, data.x_train, equalize=True), x, y)
    assert plain < sound - 0.2
    assert equalized > sound - 0.02
