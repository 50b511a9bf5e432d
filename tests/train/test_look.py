"""What `look` finds, on networks whose filters and maps are known."""

import numpy as np
import pytest

from millijoule import zoo
from millijoule.errors import ModelError
from millijoule.model import Model
from millijoule.ops import Conv2d, Dense, Flatten, GlobalAveragePool, Relu
from millijoule.train import evaluate
from millijoule.train.initial import initial_weights
from millijoule.train.look import feature_maps, first_filters, look, occlusion
from tests.networks import small_int8_model
from tests.train.cases import graph_of, stripes

PREPROCESS = {"mean": [0.0], "std": [1.0]}


def bright_spot_model() -> Model:
    """Two classes: the sum of the pixels of the upper half, and of the lower half."""
    graph = graph_of(Flatten(), Dense(features=2), shape=(10, 10, 1))
    weight = np.zeros((2, 10, 10), np.float32)
    weight[0, :5], weight[1, 5:] = 1, 1
    return Model(
        graph, {"n1.weight": weight.reshape(2, 100), "n1.bias": np.zeros(2, np.float32)}, preprocess=PREPROCESS
    )


def test_hiding_what_decides_lowers_the_score_and_hiding_the_rest_does_not():
    image = np.zeros((10, 10, 1), np.uint8)
    image[2:4, 6:8] = 255
    found = occlusion(bright_spot_model(), image, 0)
    assert found.shape == (9, 9)  # a square of 2, moved by 1
    row, column = np.unravel_index(found.argmin(), found.shape)
    assert (row, column) == (2, 6)
    assert found[7, 0] > found[2, 6] + 0.3


def test_filters_are_the_first_weights_as_images():
    model = bright_spot_model()
    name, filters = first_filters(model, (10, 10, 1))
    assert name == "n1"
    assert filters.shape == (2, 10, 10, 1)
    assert filters[0, :5].all()
    graph = zoo.lenet5()
    weights = initial_weights(graph, 0)
    name, filters = first_filters(Model(graph, weights), (32, 32, 1))
    assert name == "c1"
    assert np.array_equal(filters, weights["c1.weight"])
    int8 = small_int8_model()
    name, filters = first_filters(int8, (12, 12, 1))
    scales = int8.quantization[f"{name}.weight"].scales
    np.testing.assert_allclose(filters[2], int8.weights[f"{name}.weight"][2] * scales[2], rtol=1e-6)
    with pytest.raises(ModelError, match="no filters to show"):
        first_filters(Model(graph_of(Relu(), GlobalAveragePool()), {}), (6, 6, 1))


def test_maps_are_those_of_the_image():
    graph = graph_of(Conv2d(channels=2, kernel=1), Relu(), Flatten(), Dense(features=2), shape=(3, 3, 1))
    weights = {name: np.zeros(param.shape, np.float32) for name, param in graph.params().items()}
    weights["n0.weight"][:, 0, 0, 0] = 1, -1
    image = np.arange(0, 90, 10, dtype=np.uint8).reshape(1, 3, 3, 1)
    maps = feature_maps(Model(graph, weights, preprocess=PREPROCESS), image)
    assert list(maps) == ["n0", "n1"]
    np.testing.assert_allclose(maps["n0"][..., 1], image[0, :, :, 0] / -255, rtol=1e-6)
    assert not maps["n1"][..., 1].any()


def test_all_of_it_for_float_and_int8_models():
    images = np.random.default_rng(0).integers(0, 256, (30, 12, 12, 1), dtype=np.uint8)
    labels = np.arange(30) % 3
    model = small_int8_model()
    seen = look(model, images[0], "image 0", 0, evaluate(model, images, labels, "random"), images)
    assert len(seen.mistakes) == min(24, int((seen.evaluation.answers != labels).sum()))
    assert seen.maps
    assert seen.scores.sum() == pytest.approx(1, abs=0.02)
    dataset = stripes(side=10)
    model = bright_spot_model()
    evaluation = evaluate(model, dataset.x_test, dataset.y_test, "stripes")
    assert look(model, dataset.x_test[1], "x", 1, evaluation, dataset.x_test).maps == {}
