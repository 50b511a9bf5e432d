"""The numbers that training starts from."""

import re

import numpy as np
import pytest

from millijoule import zoo
from millijoule.errors import ModelError, OptionError
from millijoule.ops import (
    BatchNorm,
    Conv2d,
    Dense,
    Flatten,
    HardSwish,
    LayerNorm,
    LeakyRelu,
    MaxPool2d,
    PRelu,
    RadialBasis,
    Relu,
    Scale,
    Sigmoid,
    Subsample2d,
    Swish,
    TableConv2d,
    Tanh,
)
from millijoule.train.initial import initial_weights, whitening
from tests.train.cases import graph_of

LECUN = Tanh(amplitude=1.7159, slope=2 / 3)

# What follows the weights → the gain of the variance over 1 / fan-in.
GAINS = {
    "nothing": ((), 1.0),
    "relu": ((Relu(),), 2.0),
    "batch-norm and relu": ((BatchNorm(), Relu()), 2.0),
    "pooling and relu": ((MaxPool2d(kernel=2), Relu()), 2.0),
    "another convolution before the relu": ((Conv2d(channels=1, kernel=1), Relu()), 1.0),
    "sigmoid: its slope at 0 is 1/4": ((Sigmoid(),), 16.0),
    "hard swish": ((HardSwish(),), 2.0),
    "batch-norm and swish": ((BatchNorm(), Swish()), 2.0),
    "leaky relu": ((LeakyRelu(slope=0.5),), 2 / 1.25),
    "prelu": ((PRelu(),), 2 / 1.0625),
    "tanh": ((Tanh(),), 1.0),
    "tanh of LeCun": ((LECUN,), (1.7159 * 2 / 3) ** -2),
}


@pytest.mark.parametrize("case", GAINS)
@pytest.mark.parametrize(
    ("op", "shape", "fan_in"),
    [(Conv2d(channels=64, kernel=3), (8, 8, 16), 144), (Dense(features=100), (300,), 300)],
    ids=["conv", "dense"],
)
def test_variance_follows_fan_in_and_the_next_nonlinearity(op, shape, fan_in, case):
    following, gain = GAINS[case]
    if len(shape) == 1 and any(not isinstance(other, Relu | Sigmoid | Tanh) for other in following):
        pytest.skip("operators on maps")
    last = (Dense(features=2),) if len(shape) == 1 else (Conv2d(channels=2, kernel=1),)
    weights = initial_weights(graph_of(op, *following, *last, shape=shape), seed=0)
    assert weights["n0.weight"].dtype == np.float32
    assert weights["n0.weight"].var() == pytest.approx(gain / fan_in, rel=0.05)
    assert abs(weights["n0.weight"].mean()) < 0.01
    assert not weights["n0.bias"].any()


def test_norms_change_nothing_at_the_start():
    graph = graph_of(Conv2d(channels=3, kernel=1), BatchNorm(), Scale(), LayerNorm(), PRelu(), shape=(4, 4, 2))
    weights = initial_weights(graph, seed=0)
    for name in ("n1.scale", "n1.variance", "n2.weight", "n3.scale"):
        assert np.all(weights[name] == 1.0)
    for name in ("n1.mean", "n1.bias", "n2.bias", "n3.bias"):
        assert np.all(weights[name] == 0.0)
    assert np.all(weights["n4.slope"] == 0.25)


def test_a_fused_activation_counts_like_one_of_its_own():
    weights = initial_weights(graph_of(Dense(features=100, activation="relu"), shape=(300,)), seed=0)
    assert weights["n0.weight"].var() == pytest.approx(2 / 300, rel=0.05)


def test_signals_keep_their_size_through_the_networks_of_the_zoo():
    """What the gains are for: outputs at the start are neither 0 nor huge."""
    from millijoule.model import Model
    from millijoule.train import predict

    inputs = np.random.default_rng(0).normal(size=(64, 28, 28, 1)).astype(np.float32)
    for graph in (zoo.perceptron(), zoo.lenet5(input_shape=(28, 28, 1))):
        outputs = predict(Model(graph, initial_weights(graph, seed=1)), inputs)
        assert 0.3 < outputs.std() < 3


def test_the_layer_of_the_output_has_gain_1_whatever_function_ends_it():
    weights = initial_weights(graph_of(Dense(features=100), Sigmoid(), shape=(300,)), seed=0)
    assert weights["n0.weight"].var() == pytest.approx(1 / 300, rel=0.05)


def test_every_connection_of_a_table_counts_as_fan_in():
    table = ((0,), (0, 1, 2, 3))
    weights = initial_weights(graph_of(TableConv2d(table=table, kernel=30), shape=(40, 40, 4)), seed=0)["n0.weight"]
    assert weights[:1].var() == pytest.approx(1 / 900, rel=0.2)
    assert weights[1:].var() == pytest.approx(1 / 3600, rel=0.2)


def test_subsampling_starts_as_an_average_and_batch_norm_as_nothing():
    weights = initial_weights(graph_of(Subsample2d(kernel=2), BatchNorm()), seed=0)
    assert weights["n0.weight"].tolist() == [0.25]
    assert [weights[f"n1.{name}"].tolist() for name in ("scale", "variance", "mean", "bias")] == [[1], [1], [0], [0]]


def test_constants_are_those_of_the_architecture():
    weights = initial_weights(zoo.lenet5_1998(), seed=5)
    assert np.array_equal(weights["output.weight"], zoo.constants("lenet5_1998")["output.weight"])
    with pytest.raises(ModelError, match=re.escape("array 'n1.weight' is a constant of the architecture")):
        initial_weights(graph_of(Flatten(), RadialBasis(classes=2)), seed=0)


def test_seeds_decide_and_layers_of_one_shape_differ():
    graph = graph_of(Dense(features=9), Dense(features=9), shape=(9,))
    first, again, other = (initial_weights(graph, seed) for seed in (0, 0, 1))
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert not np.array_equal(first["n0.weight"], other["n0.weight"])
    assert not np.array_equal(first["n0.weight"], first["n1.weight"])


def test_dirac_convolutions_pass_their_inputs_on():
    from millijoule.model import Model
    from millijoule.train import predict

    graph = graph_of(
        Conv2d(channels=64, kernel=3, padding="same"), Conv2d(channels=16, kernel=(1, 5), padding="same", groups=4),
        shape=(7, 7, 4),
    )  # fmt: skip
    weights = initial_weights(graph, 0, dirac=True)
    inputs = np.random.default_rng(0).normal(size=(2, 7, 7, 4)).astype(np.float32)
    np.testing.assert_array_equal(predict(Model(graph, weights), inputs)[..., :4], inputs)
    in_groups = np.arange(16).reshape(4, 4)
    found = [np.flatnonzero(weights["n1.weight"][channel, 0, 2]).tolist() for channel in in_groups.ravel()]
    assert found == [[channel % 4] for channel in in_groups.ravel()]
    lengths = np.square(weights["n0.weight"]).sum(axis=(1, 2, 3))
    assert lengths[4:].mean() == pytest.approx(1.0, rel=0.1)
    even = graph_of(Conv2d(channels=4, kernel=2), shape=(7, 7, 4))
    assert np.array_equal(initial_weights(even, 0, dirac=True)["n0.weight"], initial_weights(even, 0)["n0.weight"])


def test_whitened_patches_have_no_correlation():
    """The second moments of the filters' outputs, of all patches: the identity, but for the least variance."""
    from millijoule.model import Model
    from millijoule.train import predict

    random = np.random.default_rng(0)
    inputs = random.normal(size=(20, 9, 9, 3)).cumsum(axis=1).cumsum(axis=2).astype(np.float32)
    for channels in (24, 10):
        graph = graph_of(Conv2d(channels=channels, kernel=2), shape=(9, 9, 3))
        weights = initial_weights(graph, 0) | whitening(graph, inputs)
        outputs = predict(Model(graph, weights), inputs).reshape(-1, channels).astype(np.float64)
        half = channels // 2
        np.testing.assert_allclose(outputs[:, half:], -outputs[:, :half], rtol=0, atol=1e-5)
        np.testing.assert_allclose(
            outputs[:, :half].T @ outputs[:, :half] / len(outputs), np.eye(half), rtol=0, atol=0.01
        )


@pytest.mark.parametrize(
    ("op", "words"),
    [
        (
            Conv2d(channels=26, kernel=2),
            r"has 26 channels, 1 groups, dilation \(1, 1\): whiten needs an even number of channels, at most 24",
        ),
        (Conv2d(channels=5, kernel=2), "has 5 channels"),
        (Conv2d(channels=6, kernel=2, groups=3), "6 channels, 3 groups"),
        (Conv2d(channels=6, kernel=2, dilation=2), r"dilation \(2, 2\)"),
    ],
)
def test_convolutions_that_cannot_whiten(op, words):
    with pytest.raises(OptionError, match=words):
        whitening(graph_of(op, shape=(9, 9, 3)), np.zeros((1, 9, 9, 3), np.float32))
