"""A network that has lost its batch-norm gets it back, with the same answers."""

from dataclasses import replace

import numpy as np
import pytest

from millijoule import zoo
from millijoule.errors import ModelError
from millijoule.graph import Builder
from millijoule.model import Model
from millijoule.ops import Add, BatchNorm, Conv2d, Dense, Flatten, GlobalAveragePool, Relu, Relu6
from millijoule.passes import simplify
from millijoule.shrink import add_batch_norm
from millijoule.train import Dataset, predict, prepare
from millijoule.train.initial import initial_weights
from tests.networks import small_int8_model
from tests.train.cases import graph_of, stripes


def colours(side: int) -> Dataset:
    return replace(
        (data := stripes(side=side)), x_train=np.repeat(data.x_train, 3, 3), x_test=np.repeat(data.x_test, 3, 3)
    )


def residual() -> Model:
    """A residual block with biases and fused activations, whose pixels are of 0…255."""
    build = Builder("residual", (8, 8, 1))
    stem = build("stem", Conv2d(channels=4, kernel=3, padding="same", activation="relu6"))
    build("depthwise", Conv2d(channels=4, kernel=3, padding="same", groups=4, activation="relu"))
    branch = build("project", Conv2d(channels=4, kernel=1))
    build("sum", Add(activation="relu"), stem, branch)
    build("pool", GlobalAveragePool())
    build("classes", Dense(features=2))
    graph, random = build.graph(), np.random.default_rng(0)
    weights = {
        name: (array + random.normal(0, 0.3, array.shape)).astype(np.float32)
        for name, array in initial_weights(graph, 0).items()
    }
    return Model(
        graph,
        {**weights, "stem.weight": weights["stem.weight"] / np.float32(255)},
        preprocess={"mean": [0.0], "std": [1 / 255]},
    )


def test_answers_stay_the_same_and_channels_are_normalised():
    data, model = stripes(side=8), residual()
    normed = add_batch_norm(model, data)
    kinds = [type(node.op) for node in normed.graph.nodes]
    assert kinds == [
        *(Conv2d, BatchNorm, Relu6, Conv2d, BatchNorm, Relu, Conv2d, BatchNorm),
        *(Add, GlobalAveragePool, Dense),
    ]
    inputs = prepare(data.x_test, (8, 8, 1), model.preprocess)
    np.testing.assert_allclose(predict(normed, inputs), predict(model, inputs), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(predict(simplify(normed), inputs), predict(model, inputs), rtol=1e-4, atol=1e-5)
    trained_on = prepare(data.x_train, (8, 8, 1), model.preprocess)
    build = replace(normed.graph, outputs=("stem.norm",))
    seen = predict(replace(normed, graph=build), trained_on).astype(np.float64)
    scale, bias = (normed.weights[f"stem.norm.{name}"] for name in ("scale", "bias"))
    np.testing.assert_allclose(seen.mean(axis=(0, 1, 2)), bias, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(seen.std(axis=(0, 1, 2)), scale, rtol=1e-3)


def test_weights_get_the_size_with_which_training_begins():
    normed = add_batch_norm(residual(), stripes(side=8))
    for name, fan_in in (("stem", 9), ("depthwise", 9), ("project", 4)):
        assert np.mean(normed.weights[f"{name}.weight"] ** 2) == pytest.approx(2 / fan_in, rel=1e-4)


def test_a_folded_network_of_the_zoo_gets_a_norm_for_each_convolution():
    graph = zoo.resnet8(classes=2)
    random = np.random.default_rng(1)
    weights = {
        name: (array * random.uniform(0.5, 1.5, array.shape)).astype(np.float32)
        for name, array in initial_weights(graph, 0).items()
    }
    folded = simplify(Model(graph, weights))
    data = colours(32)
    normed = add_batch_norm(folded, data)
    norms = [node for node in normed.graph.nodes if isinstance(node.op, BatchNorm)]
    assert len(norms) == sum(isinstance(node.op, Conv2d) for node in graph.nodes)
    inputs = prepare(data.x_test, (32, 32, 3), {})
    np.testing.assert_allclose(predict(normed, inputs), predict(folded, inputs), rtol=1e-3, atol=1e-4)


def test_what_has_norms_or_no_convolutions_stays_as_it_is():
    data = stripes()
    for operators in (
        (Conv2d(channels=2, kernel=3), BatchNorm(), Relu(), Flatten(), Dense(features=2)),
        (Flatten(), Dense(features=2)),
    ):
        graph = graph_of(*operators)
        model = Model(graph, initial_weights(graph, 0))
        assert add_batch_norm(model, data) is model
    last = graph_of(Conv2d(channels=2, kernel=6))
    model = Model(last, initial_weights(last, 0))
    assert add_batch_norm(model, data) is model, "its convolution makes the output"
    with pytest.raises(ModelError, match="is int8"):
        add_batch_norm(small_int8_model(), data)
