"""Quantization-aware training computes with the numbers of the int8 form, and improves it."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import millijoule as mj
from millijoule.errors import ModelError, OptionError
from millijoule.graph import Builder, Graph
from millijoule.model import Model, Quantization
from millijoule.ops import (
    Add,
    AveragePool2d,
    BatchNorm,
    Concat,
    Conv2d,
    ConvTranspose2d,
    Dense,
    Flatten,
    GlobalAveragePool,
    HardSwish,
    LeakyRelu,
    MaxPool2d,
    Multiply,
    PRelu,
    Relu,
    Sigmoid,
    Softmax,
    Subtract,
    Swish,
    Tanh,
)
from millijoule.quantize import quantize
from millijoule.quantize.calibrate import calibrate, ready_for_int8
from millijoule.quantize.scales import fixed_input
from millijoule.shrink import quantize_aware
from millijoule.shrink.aware.network import RANGES, aware_network
from millijoule.train import Dataset, accuracy, prepare, quantized_inputs
from millijoule.train.initial import initial_weights
from tests.networks import small_graph, small_int8_model
from tests.train.cases import graph_of, stripes

SHAPE = (8, 8, 4)


def two_branches(op) -> Graph:
    build = Builder("branches", SHAPE)
    first = build("first", Conv2d(channels=4, kernel=3, padding="same", activation="relu"))
    second = build("second", Conv2d(channels=4, kernel=1), build.input)
    return build.graph(build("both", op, first, second))


OPERATORS = {
    "conv": graph_of(Conv2d(channels=6, kernel=3, padding="same", activation="relu"), shape=SHAPE),
    "conv relu6": graph_of(Conv2d(channels=6, kernel=3, stride=2, activation="relu6"), shape=SHAPE),
    "depthwise": graph_of(Conv2d(channels=4, kernel=3, groups=4), shape=SHAPE),
    "transposed": graph_of(ConvTranspose2d(channels=3, kernel=2, stride=2), shape=SHAPE),
    "dense": graph_of(Dense(features=5), shape=SHAPE),
    "prelu": graph_of(PRelu(), shape=SHAPE),
    "average pool": graph_of(AveragePool2d(kernel=2), shape=SHAPE),
    "max pool": graph_of(MaxPool2d(kernel=2), shape=SHAPE),
    "global pool": graph_of(GlobalAveragePool(), shape=SHAPE),
    "leaky": graph_of(LeakyRelu(slope=0.11), shape=SHAPE),
    "hard swish": graph_of(HardSwish(), shape=SHAPE),
    "swish": graph_of(Swish(), shape=SHAPE),
    "sigmoid": graph_of(Sigmoid(), shape=SHAPE),
    "tanh": graph_of(Tanh(), shape=SHAPE),
    "softmax": graph_of(Softmax(), shape=(10,)),
    "flatten": graph_of(Flatten(), shape=SHAPE),
    "add": two_branches(Add(activation="relu")),
    "subtract": two_branches(Subtract()),
    "multiply": two_branches(Multiply()),
    "concat": two_branches(Concat()),
}


FEW_BITS = {"global pool", "leaky"}
"""Their multipliers are near 1, which leaves few bits between the two roundings: one in 2**(bits + 1) may differ."""


def random_model(graph: Graph, channels: int = 4) -> Model:
    random = np.random.default_rng(1)
    weights = {name: random.normal(0, 0.3, p.shape).astype(np.float32) for name, p in graph.params().items()}
    preprocess = {"mean": [128 / 255] * channels, "std": [0.25] * channels}
    return Model(graph, weights, preprocess=preprocess)


def aware(model: Model, inputs: np.ndarray) -> torch.nn.Module:
    model = ready_for_int8(model)
    return aware_network(model, calibrate(model, inputs, "minmax", 64), None, False)


@pytest.mark.parametrize("name", OPERATORS)
def test_in_training_an_operator_computes_the_numbers_of_its_int8_form(name):
    """Fed with the same numbers, it is one step away at most, and that in few values."""
    graph = OPERATORS[name]
    inputs = np.random.default_rng(2).normal(0, 1, (32, *graph.inputs[0].shape)).astype(np.float32)
    network = aware(random_model(graph), inputs)
    integer = network.integer()
    expected = integer.run(integer.quantization["input"].quantize(inputs))
    found = network.train()(torch.from_numpy(inputs), values=tuple(integer.graph.shapes))
    for value, reals in found.items():
        quantization = integer.quantization[value]
        steps = reals.detach().numpy() / np.float64(quantization.scale) + quantization.zero_point
        assert np.allclose(steps, np.round(steps), atol=1e-3), "every value is on the grid"
        apart = np.abs(np.round(steps) - expected[value])
        # What two branches bring may be a step away already.
        assert apart.max() <= (2 if value == "both" else 1)
        assert np.mean(apart > 0) < (1 / 8 if name in FEW_BITS else 0.01)


def test_in_evaluation_it_is_the_integer_reference_bit_for_bit():
    model = ready_for_int8(random_model(small_graph(), channels=1))
    images = np.random.default_rng(0).integers(0, 256, (32, 12, 12, 1), dtype=np.uint8)
    observed = calibrate(model, images, "minmax", 32)
    network = aware_network(model, observed, fixed_input(model.preprocess), False).eval()
    expected = quantize(model, images)
    found = network(torch.from_numpy(prepare(images, (12, 12, 1), model.preprocess)), values=("add", "softmax"))
    reference = expected.run(quantized_inputs(expected, images))
    for value, reals in found.items():
        assert np.array_equal(reals.numpy(), expected.quantization[value].dequantize(reference[value]))


def test_gradients_pass_through_rounding_and_not_where_a_value_saturates():
    graph = graph_of(Dense(features=2, bias=False), shape=(3,))
    model = Model(graph, {"n0.weight": np.array([[1, 2, 3], [4, 5, 6]], np.float32)})
    ranges = {"input": (-1.0, 1.0), "n0": (-3.0, 3.0)}
    network = aware_network(model, ranges, None, False).train()
    x = torch.tensor([[0.1, -0.2, 0.3], [0.9, 0.9, 0.9]])
    network(x)["n0"].sum().backward()
    weight = network.nodes[0].weight
    # 0.6 and 1.2 lie within -3…3; 5.4 and 13.5 do not, so that the second image teaches nothing.
    expected = np.tile(np.round(x[0].numpy() / (2 / 255)) * (2 / 255), (2, 1))
    assert np.allclose(weight.grad.numpy(), expected, atol=1e-6)


def test_ranges_follow_the_batches():
    graph = graph_of(Relu(), shape=(3,))
    network = aware_network(Model(graph, {}), {"input": (-1.0, 1.0), "n0": (0.0, 1.0)}, None, False)
    network.eval()(torch.ones(1, 3))
    assert getattr(network, RANGES).tolist() == [[-1, 1], [0, 1]]
    network.train()(torch.full((1, 3), 0.5))
    assert np.allclose(getattr(network, RANGES).numpy(), [[-1, 1], [0.01 * 64 / 127.5, 0.99 + 0.01 * 64 / 127.5]])


def test_narrower_ranges_stay_the_same_share_of_the_batches_extremes():
    graph = graph_of(Relu(), shape=(3,))
    narrow, whole = {"input": (-1.0, 1.0), "n0": (0.0, 0.75)}, {"input": (-1.0, 1.0), "n0": (0.0, 1.0)}
    network = aware_network(Model(graph, {}), narrow, None, False, whole).train()
    network(torch.full((1, 3), 0.5))
    assert np.allclose(getattr(network, RANGES)[1].numpy(), [0.01 * 64 / 127.5, 0.75 * (0.99 + 0.01 * 64 / 127.5)])


def trained(**settings) -> tuple[Model, Dataset]:
    graph = graph_of(
        Conv2d(channels=4, kernel=3, bias=False), BatchNorm(), Relu(), Flatten(), Dense(features=2), Softmax()
    )  # fmt: skip
    data = stripes(count=80, noise=65)
    settings = {"epochs": 1, "batch_size": 8, "learning_rate": 0.003, **settings}
    return mj.train(graph, data, must_learn=False, progress=False, **settings), data


def three_classes(data: Dataset) -> Dataset:
    labels = (np.arange(len(y)) % 3 for y in (data.y_train, data.y_test))
    return Dataset("stripes", data.x_train, next(labels), data.x_test, next(labels), ("a", "b", "c"))


def test_it_learns_and_gives_an_int8_model_like_post_training_quantization():
    model, data = trained()
    seen = []
    int8 = quantize_aware(model, data, epochs=6, batch_size=8, learning_rate=0.02, progress=False, on_epoch=seen.append)
    plain = quantize(model, data.x_train)
    assert int8.graph == plain.graph
    assert (int8.labels, int8.preprocess) == (plain.labels, plain.preprocess)
    assert int8.quantization.keys() == plain.quantization.keys()
    assert int8.quantization["input"] == plain.quantization["input"], "a camera's pixels go in as they are"
    assert any(np.any(int8.weights[name] != plain.weights[name]) for name in plain.weights)
    assert seen[-1].loss < seen[0].loss
    assert accuracy(int8, data.x_test, data.y_test) > accuracy(plain, data.x_test, data.y_test)


def test_training_as_int8_begins_with_the_ranges_that_are_asked_for():
    model, data = trained()
    settings = {"epochs": 1, "learning_rate": 1e-9, "batch_size": 8, "progress": False}
    wide, narrow = (quantize_aware(model, data, ranges=ranges, **settings).quantization for ranges in ("minmax", "mse"))
    expected = quantize(model, data.x_train, ranges="mse").quantization
    assert narrow["n4"].scale < wide["n4"].scale
    assert narrow["n4"].scale == pytest.approx(expected["n4"].scale, rel=0.05)
    with pytest.raises(OptionError, match="ranges is 'all'; it must be one of minmax"):
        quantize_aware(model, data, ranges="all", **settings)


def test_what_was_kept_is_what_was_counted():
    """The accuracy on held-out images that decides is that of the model that comes out."""
    model, data = trained()
    seen = []
    int8 = quantize_aware(model, data, epochs=3, validation=0.0, batch_size=8, progress=False, on_epoch=seen.append)
    assert accuracy(int8, data.x_train, data.y_train) == max(each.accuracy for each in seen)


def test_training_goes_on_where_it_stopped(tmp_path):
    model, data = trained()
    settings = {"batch_size": 8, "epochs": 4, "schedule": "constant", "progress": False}
    whole = quantize_aware(model, data, **settings)
    quantize_aware(model, data, checkpoint=tmp_path, **settings, until=1e-9)
    resumed = quantize_aware(model, data, checkpoint=tmp_path, **settings)
    assert all(np.array_equal(whole.weights[name], resumed.weights[name]) for name in whole.weights)
    assert whole.quantization == resumed.quantization


def test_training_does_not_go_on_with_other_ranges(tmp_path):
    model, data = trained()
    settings = {"batch_size": 8, "epochs": 1, "progress": False, "checkpoint": tmp_path}
    quantize_aware(model, data, **settings)
    with pytest.raises(OptionError, match=r"another ranges \(minmax there, percentile asked for\)"):
        quantize_aware(model, data, ranges="percentile", **settings)
    with pytest.raises(OptionError, match=r"another dense_per_channel \(False there, True asked for\)"):
        quantize_aware(model, data, dense_per_channel=True, **settings)


def test_a_model_of_a_file_that_says_nothing_of_pixels_is_trained_on_those_of_0_to_1():
    pixels = {"mean": [0.0], "std": [1.0]}
    model, data = trained(preprocess=pixels, epochs=4, learning_rate=0.03)
    bare = Model(model.graph, model.weights)
    int8 = quantize_aware(bare, data, epochs=1, batch_size=8, progress=False)
    assert int8.quantization["input"] == Quantization.of(1 / 255, -128)
    assert (int8.preprocess, int8.labels) == (pixels, data.classes)
    assert quantized_inputs(int8, np.array([[[[7]]]], np.uint8).repeat(6, 1).repeat(6, 2)).flat[0] == 7 - 128


def test_models_and_settings_that_do_not_suit():
    model, data = trained()
    with pytest.raises(ModelError, match="int8 already"):
        quantize_aware(small_int8_model(), data)
    with pytest.raises(ModelError, match=r"has 2 outputs, data set 'stripes' has 3 classes"):
        quantize_aware(model, three_classes(data))
    with pytest.raises(OptionError, match="there is no setting 'epoch'"):
        quantize_aware(model, data, epoch=3)
    with pytest.raises(OptionError, match=r"first_size is 0\.5; int8 ranges are those of images of full size"):
        quantize_aware(model, data, first_size=0.5)


def test_a_network_of_large_pixels_learns_as_that_of_small_ones_does():
    """A file that expects 0…255 instead of 0…1 has weights 1/256 as large; to the bit, where the factor is 256."""
    data = stripes()
    graph = graph_of(Conv2d(channels=4, kernel=3, activation="relu"), Flatten(), Dense(features=2))
    small = Model(graph, initial_weights(graph, 0), preprocess={"mean": [0.0], "std": [1.0]})
    large = replace(
        small,
        weights={**small.weights, "n0.weight": small.weights["n0.weight"] / np.float32(256)},
        preprocess={"mean": [0.0], "std": [1 / 256]},
    )
    one, other = (
        quantize_aware(model, data, epochs=2, batch_size=8, learning_rate=0.01, progress=False)
        for model in (small, large)
    )
    assert not np.array_equal(one.weights["n0.weight"], quantize(small, data.x_train).weights["n0.weight"])
    for name, array in one.weights.items():
        np.testing.assert_array_equal(other.weights[name], array)
    assert other.quantization["input"].scale == 256 * one.quantization["input"].scale
    assert other.quantization["n1"] == one.quantization["n1"]
    assert other.preprocess == large.preprocess
    np.testing.assert_array_equal(quantized_inputs(other, data.x_test), quantized_inputs(one, data.x_test))
