"""A graph as a torch module, and a model's answers."""

import re
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from millijoule.errors import DataError, ToolError
from millijoule.graph import Builder
from millijoule.model import Model, Quantization
from millijoule.ops import Add, Conv2d, Dense, Flatten, RadialBasis
from millijoule.train import accuracy, predict
from millijoule.train.network import (
    activations,
    build_network,
    network_of,
    predicted_labels,
    read_weights,
    write_weights,
)
from tests.networks import small_graph, small_int8_model
from tests.train.cases import graph_of, stripes


def random_model(graph, seed: int = 0) -> Model:
    random = np.random.default_rng(seed)
    return Model(graph, {n: random.normal(size=p.shape).astype(np.float32) for n, p in graph.params().items()})


def test_a_network_of_two_branches_is_what_its_nodes_say():
    """1x1 convolutions by hand: channels last, weights (out, kernel, kernel, in)."""
    build = Builder("branches", (2, 3, 2))
    left = build("left.conv", Conv2d(channels=3, kernel=1), "input")
    right = build("right.conv", Conv2d(channels=3, kernel=1), "input")
    model = random_model(build.graph(build("add", Add(), left, right), left))
    x = np.random.default_rng(1).normal(size=(4, 2, 3, 2)).astype(np.float32)
    found = {name: np.concatenate([part[name] for part in activations(model, x, batch=3)]) for name in ("add", left)}
    one, two = (
        x @ model.weights[f"{name}.weight"].reshape(3, 2).T + model.weights[f"{name}.bias"] for name in (left, right)
    )
    np.testing.assert_allclose(found[left], one, atol=1e-5)
    np.testing.assert_allclose(found["add"], one + two, atol=1e-5)


def test_activations_are_of_every_value_the_input_included():
    graph = small_graph()
    parts = list(activations(random_model(graph), np.zeros((5, 12, 12, 1), np.float32), batch=2))
    assert [len(part["input"]) for part in parts] == [2, 2, 1]
    assert {name: value.shape[1:] for name, value in parts[0].items()} == graph.shapes


def test_weights_are_written_and_read_back():
    model = random_model(small_graph())
    network = build_network(model.graph)
    assert not any(array.any() for array in read_weights(model.graph, network).values())
    write_weights(model.graph, network, model.weights)
    found = read_weights(model.graph, network)
    assert all(np.array_equal(found[name], model.weights[name]) for name in model.weights)
    with torch.no_grad():
        network.nodes[0].weight.zero_()
    assert found["c1.weight"].any(), "what was read is a copy"


def test_only_the_named_values_are_computed():
    network = network_of(random_model(small_graph()))
    found = network(torch.zeros(1, 12, 12, 1), values=("p1", "c1"))
    assert {name: tuple(value.shape) for name, value in found.items()} == {"c1": (1, 12, 12, 4), "p1": (1, 6, 6, 4)}


def test_predictions_do_not_depend_on_the_batch():
    model = random_model(small_graph())
    x = np.random.default_rng(0).normal(size=(7, 12, 12, 1)).astype(np.float32)
    np.testing.assert_allclose(predict(model, x, batch=3), predict(model, x), atol=1e-6)


def test_int8_predictions_are_the_reference_s_dequantized():
    model = small_int8_model()
    x = np.random.default_rng(0).integers(-128, 128, (5, 12, 12, 1), dtype=np.int8)
    raw = model.run(x)["softmax"]
    assert np.array_equal(predict(model, x, batch=2), (raw.astype(np.float32) + 128) / 256)


def test_accuracy_is_the_share_of_right_answers():
    dataset = stripes()
    graph = graph_of(Flatten(), Dense(features=2))
    weights = {"n1.weight": np.zeros((2, 36), np.float32), "n1.bias": np.array([0, 1], np.float32)}
    assert accuracy(Model(graph, weights), dataset.x_test, dataset.y_test) == np.mean(dataset.y_test == 1)
    assert accuracy(Model(graph, weights), dataset.x_test[:3], np.array([1, 1, 0])) == pytest.approx(2 / 3)
    with pytest.raises(DataError, match="10 images, 9 labels"):
        accuracy(Model(graph, weights), dataset.x_test, dataset.y_test[1:])
    with pytest.raises(DataError, match="0 images, 0 labels"):
        accuracy(Model(graph, weights), dataset.x_test[:0], dataset.y_test[:0])


def test_of_distances_the_least_names_the_class():
    outputs = np.array([[3.0, 1.0, 2.0]])
    assert predicted_labels(graph_of(RadialBasis(classes=3), shape=(4,)), outputs).tolist() == [1]
    assert predicted_labels(graph_of(Dense(features=3), shape=(4,)), outputs).tolist() == [0]


def test_an_int8_model_is_no_torch_network():
    with pytest.raises(DataError, match="'small' is int8; torch runs the float model"):
        network_of(small_int8_model())


def test_int8_models_are_evaluated_without_torch(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    images = np.random.default_rng(0).integers(0, 256, (6, 12, 12, 1), dtype=np.uint8)
    model = small_int8_model()
    answers = model.run((images.astype(np.int16) - 128).astype(np.int8))["softmax"].argmax(axis=1)
    assert accuracy(model, images, answers) == 1
    shifted_input = replace(
        model,
        quantization=dict(model.quantization) | {"input": Quantization.of(1 / 255, -128)},
        preprocess={"mean": [0.0], "std": [1.0]},
    )
    assert accuracy(shifted_input, images, answers) == 1
    with pytest.raises(ToolError, match=re.escape("need torch, which is missing: pip install 'millijoule[train]'")):
        accuracy(random_model(small_graph()), images, answers)
