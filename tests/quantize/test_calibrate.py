"""The int8 form of a float model, by TFLite's rules."""

import re
import sys

import numpy as np
import pytest

import millijoule as mj
from millijoule.errors import DataError, ModelError, OptionError, ToolError
from millijoule.graph import Builder
from millijoule.model import Model, Quantization
from millijoule.ops import BatchNorm, Concat, Conv2d, Dense, Flatten, LocalResponseNorm, Relu, Softmax
from millijoule.quantize import quantize
from millijoule.train import Dataset, accuracy, predict
from millijoule.train.data import stratified_split
from tests.networks import small_graph, small_int8_model
from tests.train.cases import graph_of

PREPROCESS = {"mean": [0.0], "std": [1.0]}


def images(count: int = 32, shape: tuple[int, ...] = (12, 12, 1)) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, *shape), dtype=np.uint8)


def random_model(graph, **fixed: np.ndarray) -> Model:
    random = np.random.default_rng(1)
    weights = {
        name: random.normal(0, 0.2, param.shape).astype(np.float32) for name, param in graph.params().items()
    } | {name.replace("__", "."): array.astype(np.float32) for name, array in fixed.items()}
    return Model(graph, weights, labels=("a", "b"), preprocess=PREPROCESS)


def test_a_dense_layer_worked_out_by_hand():
    """Input scale 1/255 as pixel - 128; one weight scale for the layer; bias scale = input scale · weight scale."""
    graph = graph_of(Flatten(), Dense(features=2), shape=(1, 2, 1))
    weight, bias = np.array([[0.5, -1.27], [0.254, 0.0]]), np.array([0.1, -0.2])
    x = np.array([[0, 0], [255, 0], [0, 255], [255, 255]] * 8, np.uint8).reshape(32, 1, 2, 1)
    model = quantize(random_model(graph, n1__weight=weight, n1__bias=bias), x)
    assert model.quantization["input"] == model.quantization["n0"] == Quantization.of(1 / 255, -128)
    assert model.quantization["n1.weight"] == Quantization.of(0.01)
    assert model.weights["n1.weight"].tolist() == [[50, -127], [25, 0]]
    assert model.weights["n1.weight"].dtype == np.int8
    assert model.weights["n1.bias"].tolist() == [2550, -5100]
    assert model.weights["n1.bias"].dtype == np.int32
    # Outputs: 0.1, 0.6, -1.17, -0.67 and -0.2, 0.054, -0.2, 0.054, so -1.17…0.6 in 255 steps.
    assert model.quantization["n1"].scale == pytest.approx(1.77 / 255, rel=1e-6)
    assert model.quantization["n1"].zero_point == round(-128 + 1.17 * 255 / 1.77)
    assert (model.labels, model.preprocess) == (("a", "b"), PREPROCESS)


def test_convolutions_have_a_scale_for_each_output_channel():
    graph = graph_of(Conv2d(channels=3, kernel=1), shape=(12, 12, 2))
    weight = np.array([[1.27, -0.01], [-2.54, 2.54], [0.0, 0.0]]).reshape(3, 1, 1, 2)
    preprocess = {"mean": [0.0, 0.0], "std": [1.0, 1.0]}
    model = Model(
        graph, {"n0.weight": weight.astype(np.float32), "n0.bias": np.zeros(3, np.float32)}, None, (), preprocess
    )
    real = np.random.default_rng(0).random((32, 12, 12, 2), np.float32)
    found = quantize(model, real)
    assert found.quantization["n0.weight"].scales[:2].tolist() == [np.float32(0.01), np.float32(0.02)]
    assert found.weights["n0.weight"].reshape(3, 2).tolist() == [[127, -1], [-127, 127], [0, 0]]
    assert found.quantization["n0.weight"].scales[2] == np.float32(2.0**-30), "never 0"


def test_dense_per_channel_if_asked():
    graph = graph_of(Flatten(), Dense(features=2), shape=(2, 2, 1))
    weight = np.array([[1.27, 0, 0, 0], [0.127, 0, 0, 0]])
    model = random_model(graph, n1__weight=weight)
    one, each = (quantize(model, images(shape=(2, 2, 1)), dense_per_channel=flag) for flag in (False, True))
    assert one.quantization["n1.weight"] == Quantization.of(0.01)
    assert each.quantization["n1.weight"] == Quantization(np.array([0.01, 0.001], np.float32))


def test_a_bias_that_weights_cannot_reach_widens_their_scale():
    """Else it would leave int32 and wrap."""
    graph = graph_of(Flatten(), Dense(features=1), shape=(1, 1, 1))
    x = np.array([0, 255] * 16, np.uint8).reshape(32, 1, 1, 1)
    found = quantize(random_model(graph, n1__weight=np.array([[1e-3]]), n1__bias=np.array([1000.0])), x)
    assert int(found.weights["n1.bias"][0]) == pytest.approx(2**30, rel=1e-6)
    scale = found.quantization["input"].scale * found.quantization["n1.weight"].scale
    assert int(found.weights["n1.bias"][0]) * float(scale) == pytest.approx(1000)


@pytest.mark.parametrize("ranges", ["minmax", "percentile", "mse"])
def test_outputs_are_those_of_the_float_model_within_a_few_steps(ranges):
    model = random_model(small_graph())
    x = images(64)
    int8 = quantize(model, x, ranges=ranges)
    expected = predict(model, x.astype(np.float32) / 255)
    found = predict(int8, (x.astype(np.int16) - 128).astype(np.int8))
    assert np.abs(found - expected).max() < 6 / 256
    assert np.ptp(expected) > 0.1


def test_the_graph_is_simplified_and_concatenations_are_requantized():
    build = Builder("two", (6, 6, 1))
    left = build("left", Conv2d(channels=2, kernel=3, padding="same"), "input")
    left = build("norm", BatchNorm(), left)
    left = build("relu", Relu(), left)
    build("concat", Concat(), left, "input")
    build("flatten", Flatten())
    build("classes", Dense(features=2))
    build("softmax", Softmax())
    model = random_model(build.graph(), norm__variance=np.ones(2), norm__scale=np.ones(2))
    found = quantize(model, images(shape=(6, 6, 1)))
    assert not [node.name for node in found.graph.nodes if isinstance(node.op, BatchNorm | Relu)]
    quantization = found.quantization
    concat = found.graph.by_name["concat"]
    assert concat.inputs[1] == "concat.requantize1"
    assert quantization[concat.inputs[0]] == quantization[concat.inputs[1]] == quantization["concat"]
    assert quantization["softmax"] == Quantization.of(1 / 256, -128)
    assert quantization["input"] == Quantization.of(1 / 255, -128)


def test_at_most_so_many_samples_evenly_spaced_decide():
    graph = graph_of(Flatten(), Dense(features=1), shape=(1, 1, 1))
    model = random_model(graph, n1__weight=np.array([[1.0]]), n1__bias=np.array([0.0]))
    x = np.full((63, 1, 1, 1), 102, np.uint8)
    x[1] = 255  # of every second one, it is left out
    assert quantize(model, x, samples=63).quantization["n1"].scale == np.float32(1 / 255)
    assert quantize(model, x, samples=32).quantization["n1"].scale == pytest.approx(0.4 / 255)


def test_digits_lose_at_most_half_a_point():
    whole = mj.load_data("digits")
    _, part = stratified_split(whole.y_train, 0.6, 0)
    digits = Dataset("part", whole.x_train[part], whole.y_train[part], whole.x_test, whole.y_test, whole.classes)
    model = mj.train(mj.zoo.lenet5(), digits, epochs=10)
    float_accuracy = accuracy(model, digits.x_test, digits.y_test)
    assert float_accuracy > 0.95
    for ranges in ("minmax", "percentile", "mse"):
        int8 = quantize(model, digits.x_train, ranges=ranges)
        assert accuracy(int8, digits.x_test, digits.y_test) >= float_accuracy - 0.005


def test_models_and_images_that_cannot_be_quantized():
    model = random_model(small_graph())
    with pytest.raises(ModelError, match="'small' is int8 already"):
        quantize(small_int8_model(), images())
    with pytest.raises(ModelError, match=r"node 'n0' \(LocalResponseNorm\) has no int8 form"):
        quantize(random_model(graph_of(LocalResponseNorm(), shape=(12, 12, 1))), images())
    with pytest.raises(DataError, match="there is no calibration image"):
        quantize(model, images(0))
    with pytest.raises(DataError, match=re.escape("calibration images have shape (4, 12, 12)")):
        quantize(model, images(4)[..., 0])
    with pytest.raises(DataError, match=re.escape("are float64 of shape (5, 5, 1); uint8 images, or prepared float32")):
        quantize(model, np.zeros((4, 5, 5, 1)))
    with pytest.raises(OptionError, match="samples is 31; at least 32 calibration images are needed"):
        quantize(model, images(), samples=31)
    with pytest.raises(OptionError, match="there are 31 images; at least 32 calibration images are needed"):
        quantize(model, images(31))
    with pytest.raises(OptionError, match="ranges is 'max'; it must be one of minmax, percentile, mse"):
        quantize(model, images(), ranges="max")


def test_without_torch_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ToolError, match=re.escape("pip install 'millijoule[train]'")):
        quantize(random_model(small_graph()), images())
