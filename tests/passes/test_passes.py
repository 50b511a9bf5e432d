"""Each pass: what it states holds after it, and the outputs are those from before."""

import numpy as np
import pytest

from millijoule import zoo
from millijoule.errors import ModelError
from millijoule.graph import Builder, Graph, Operator
from millijoule.model import Model
from millijoule.ops import (
    Add,
    AveragePool2d,
    BatchNorm,
    Conv2d,
    Dense,
    Dropout,
    Flatten,
    GlobalAveragePool,
    MaxPool2d,
    Multiply,
    Pad,
    RadialBasis,
    Relu,
    Relu6,
    Reshape,
    Scale,
    Softmax,
    Subsample2d,
    TableConv2d,
    Tanh,
)
from millijoule.passes import (
    densify,
    fold_batch_norm,
    fuse_activations,
    remove_identities,
    remove_unread,
    simplify,
)
from tests.networks import SMALL_NETWORKS, small_int8_model

torch = pytest.importorskip("torch")
from millijoule.train.network import network_of  # noqa: E402


def random_model(graph: Graph, seed: int = 0) -> Model:
    """A float model whose every number matters; variances are positive."""
    rng = np.random.default_rng(seed)
    weights = {
        name: rng.uniform(0.2, 2.0, param.shape) if name.endswith(".variance") else rng.normal(0, 0.5, param.shape)
        for name, param in graph.params().items()
    }
    return Model(graph, {name: array.astype(np.float32) for name, array in weights.items()} | zoo.constants(graph))


def outputs(model: Model, batch: int = 4) -> list[np.ndarray]:
    """The outputs for random inputs, in order."""
    rng = np.random.default_rng(1)
    inputs = [
        torch.from_numpy(rng.normal(0, 1, (batch, *each.shape)).astype(np.float32)) for each in model.graph.inputs
    ]
    with torch.inference_mode():
        found = network_of(model)(*inputs, values=model.graph.outputs)
    return [found[name].numpy() for name in model.graph.outputs]


def assert_equal_outputs(before: Model, after: Model) -> None:
    for old, new in zip(outputs(before), outputs(after), strict=True):
        assert np.ptp(old) > 0
        np.testing.assert_allclose(new, old, rtol=1e-4, atol=1e-4 * np.abs(old).max())


def operators(graph: Graph) -> list[str]:
    return [type(node.op).__name__ for node in graph.nodes]


def check(one_pass, graph: Graph, expected: list[str]) -> Model:
    """The pass on a graph and on a model gives `expected` operators and equal outputs, and leaves its input alone."""
    model = random_model(graph)
    copy = {name: array.copy() for name, array in model.weights.items()}
    after = one_pass(model)
    assert operators(after.graph) == expected
    assert after.graph == one_pass(graph)
    assert model.graph == graph
    assert all(np.array_equal(model.weights[name], copy[name]) for name in copy)
    assert one_pass(after).graph == after.graph, "a second time changes nothing"
    assert_equal_outputs(model, after)
    return after


def chain(input_shape: tuple[int, ...], *operators: Operator) -> Graph:
    build = Builder("chain", input_shape)
    for index, op in enumerate(operators):
        build(f"n{index}", op)
    return build.graph()


@pytest.mark.parametrize(
    ("input_shape", "producer"),
    [
        ((6, 5, 3), Conv2d(channels=4, kernel=3)),
        ((6, 5, 3), Conv2d(channels=4, kernel=3, bias=False, padding="same", stride=2)),
        ((6, 5, 4), Conv2d(channels=4, kernel=3, groups=4, bias=False)),
        ((6, 5, 4), Conv2d(channels=8, kernel=3, groups=2)),
        ((7,), Dense(features=5)),
        ((2, 3, 2), Dense(features=5, bias=False)),
    ],
    ids=repr,
)
def test_batch_norm_is_folded_into_what_is_in_front(input_shape, producer):
    kind = type(producer).__name__
    after = check(fold_batch_norm, chain(input_shape, producer, BatchNorm(epsilon=0.01), Tanh()), [kind, "Tanh"])
    assert after.graph.nodes[0].op.bias
    assert after.weights.keys() == {"n0.weight", "n0.bias"}


def test_two_batch_norms_fold_into_one_convolution():
    check(fold_batch_norm, chain((5, 5, 2), Conv2d(channels=3, kernel=3), BatchNorm(), BatchNorm()), ["Conv2d"])


@pytest.mark.parametrize(
    ("input_shape", "before", "expected"),
    [
        ((5, 5, 2), [], []),
        ((5, 5, 2), [MaxPool2d(kernel=2)], ["MaxPool2d"]),
        ((5, 5, 2), [Conv2d(channels=3, kernel=3, activation="relu")], ["Conv2d"]),
    ],
)
def test_batch_norm_behind_anything_else_becomes_a_depthwise_convolution(input_shape, before, expected):
    after = check(fold_batch_norm, chain(input_shape, *before, BatchNorm(), Tanh()), [*expected, "Conv2d", "Tanh"])
    op = after.graph.nodes[len(before)].op
    assert (op.kernel, op.groups, op.bias) == ((1, 1), op.channels, True)


def test_batch_norm_of_a_flat_value_is_put_between_reshapes():
    check(fold_batch_norm, chain((6,), BatchNorm()), ["Reshape", "Conv2d", "Reshape"])
    check(fold_batch_norm, chain((6,), Tanh(), BatchNorm(), Relu()), ["Tanh", "Reshape", "Conv2d", "Reshape", "Relu"])


def test_batch_norm_leaves_a_layer_alone_that_others_read():
    build = Builder("shared", (5, 5, 2))
    conv = build("conv", Conv2d(channels=2, kernel=1))
    norm = build("norm", BatchNorm())
    build("add", Add(), conv, norm)
    after = check(fold_batch_norm, build.graph(), ["Conv2d", "Conv2d", "Add"])
    assert after.graph.nodes[1].name == "norm"
    check(fold_batch_norm, build.graph("conv", "norm"), ["Conv2d", "Conv2d", "Add"])


def test_a_folded_output_is_the_layer_in_front():
    after = check(fold_batch_norm, chain((4, 4, 1), Conv2d(channels=2, kernel=3), BatchNorm()), ["Conv2d"])
    assert after.graph.outputs == ("n0",)


@pytest.mark.parametrize(
    "producer",
    [
        Conv2d(channels=4, kernel=3),
        Dense(features=6),
        MaxPool2d(kernel=2),
        AveragePool2d(kernel=2),
    ],
    ids=repr,
)
@pytest.mark.parametrize(("activation", "name"), [(Relu(), "relu"), (Relu6(), "relu6")])
def test_activations_are_fused(producer, activation, name):
    after = check(fuse_activations, chain((6, 6, 2), producer, activation), [type(producer).__name__])
    assert after.graph.nodes[0].op.activation == name


@pytest.mark.parametrize("op", [Add(), Multiply()], ids=repr)
def test_activations_are_fused_into_operators_of_two_values(op):
    build = Builder("two", (4, 4, 2))
    left = build("left", Conv2d(channels=3, kernel=1))
    right = build("right", Conv2d(channels=3, kernel=1), build.input)
    build("both", op, left, right)
    build("relu", Relu())
    after = check(fuse_activations, build.graph(), ["Conv2d", "Conv2d", type(op).__name__])
    assert after.graph.by_name["both"].op.activation == "relu"


def test_activations_that_must_stay():
    conv = Conv2d(channels=3, kernel=1)
    check(fuse_activations, chain((4, 4, 2), Relu()), ["Relu"])
    check(fuse_activations, chain((4, 4, 2), GlobalAveragePool(), Relu()), ["GlobalAveragePool", "Relu"])
    check(fuse_activations, chain((4, 4, 2), conv, Tanh(), Relu()), ["Conv2d", "Tanh", "Relu"])
    check(fuse_activations, chain((4, 4, 2), conv, Relu(), Relu6()), ["Conv2d", "Relu6"])
    build = Builder("shared", (4, 4, 2))
    x = build("conv", conv)
    y = build("relu", Relu())
    build("add", Add(), x, y)
    check(fuse_activations, build.graph(), ["Conv2d", "Relu", "Add"])
    check(fuse_activations, build.graph("conv", "relu"), ["Conv2d", "Relu", "Add"])


def test_identities_are_removed():
    graph = chain(
        (4, 4, 2),
        Dropout(rate=0.5),
        Reshape(target=(4, 4, 2)),
        Pad(padding=((0, 0), (0, 0))),
        Conv2d(channels=3, kernel=1),
        Flatten(),
        Flatten(),
        Dense(features=5),
        Dropout(rate=0.2),
    )
    after = check(remove_identities, graph, ["Conv2d", "Flatten", "Dense"])
    assert after.graph.outputs == ("n6",)


def test_what_is_no_identity_stays():
    graph = chain((4, 4, 2), Pad(padding=((0, 1), (0, 0))), Reshape(target=(5, 2, 4)), Tanh())
    check(remove_identities, graph, ["Pad", "Reshape", "Tanh"])
    check(remove_identities, chain((4, 4, 2), Dropout(rate=0.5)), ["Dropout"])


def test_a_removed_identity_that_is_read_twice():
    build = Builder("twice", (4,))
    build("fc", Dense(features=4))
    x = build("dropout", Dropout(rate=0.5))
    build("add", Add(), x, x)
    after = check(remove_identities, build.graph(), ["Dense", "Add"])
    assert after.graph.by_name["add"].inputs == ("fc", "fc")


def test_nodes_that_nobody_reads_are_removed():
    build = Builder("unread", (4, 4, 2))
    x = build("conv", Conv2d(channels=3, kernel=1))
    build("aside", Conv2d(channels=2, kernel=3), x)
    build("aside_relu", Relu())
    build("pool", GlobalAveragePool(), x)
    after = check(remove_unread, build.graph(), ["Conv2d", "GlobalAveragePool"])
    assert after.weights.keys() == {"conv.weight", "conv.bias"}


def test_a_convolution_with_a_table_becomes_one_with_zeros():
    table = ((0, 1), (2,), (0, 2), (0, 1, 2))
    after = check(densify, chain((6, 6, 3), TableConv2d(table=table, kernel=3), Tanh()), ["Conv2d", "Tanh"])
    weight = after.weights["n0.weight"]
    assert weight.shape == (4, 3, 3, 3)
    for output, inputs in enumerate(table):
        assert [bool(np.any(weight[output, :, :, index])) for index in range(3)] == [i in inputs for i in range(3)]


def test_subsampling_becomes_a_depthwise_convolution():
    after = check(densify, chain((6, 4, 3), Subsample2d(kernel=2)), ["Conv2d"])
    op = after.graph.nodes[0].op
    assert (op.kernel, op.stride, op.groups, op.channels) == ((2, 2), (2, 2), 3, 3)


def test_the_largest_output_names_the_class_whose_distance_was_least():
    model = random_model(chain((8,), Dense(features=6), Tanh(), RadialBasis(classes=5)))
    after = densify(model)
    assert operators(after.graph) == ["Dense", "Tanh", "Dense"]
    assert after.graph == densify(model.graph)
    (distances,), (scores,) = outputs(model, batch=64), outputs(after, batch=64)
    assert len(np.unique(distances.argmin(axis=1))) > 1
    assert np.array_equal(scores.argmax(axis=1), distances.argmin(axis=1))
    # scores = (|x|² - distances) / 2: their differences are half those of the distances, the other way round.
    np.testing.assert_allclose(np.diff(scores), -np.diff(distances) / 2, rtol=1e-4, atol=1e-4)


def test_distances_that_another_node_reads_stay():
    check(densify, chain((8,), RadialBasis(classes=5), Tanh()), ["RadialBasis", "Tanh"])


@pytest.mark.parametrize("entry", SMALL_NETWORKS, ids=lambda entry: entry.name)
def test_simplified_networks_answer_as_before(entry):
    small = {"mobilenet_v1_025": {"input_shape": (48, 48, 3)}}
    graph = entry.function(**small.get(entry.name, {}))
    model = random_model(graph)
    after = simplify(model)
    assert after.graph == simplify(graph)
    assert after.graph.inputs == graph.inputs
    assert all(array.dtype == np.float32 for array in after.weights.values())
    gone = (BatchNorm, Dropout, Relu, Relu6, TableConv2d, Subsample2d, RadialBasis)
    assert not [node for node in after.graph.nodes if isinstance(node.op, gone)]
    for node in after.graph.nodes:
        assert type(node.op).int8 is not Operator.int8, "what is left can be quantized"
    if entry.name == "lenet5_1998":
        (distances,), (scores,) = outputs(model), outputs(after)
        assert np.array_equal(scores.argmax(axis=1), distances.argmin(axis=1))
    else:
        assert_equal_outputs(model, after)


def test_simplified_networks_are_those_of_the_published_files():
    def counted(name: str) -> dict[str, int]:
        names = [name for name in operators(simplify(zoo.get(name))) if name != "Flatten"]
        return {each: names.count(each) for each in sorted(set(names))}

    head = {"Dense": 1, "GlobalAveragePool": 1, "Softmax": 1}
    assert counted("resnet8") == {"Add": 3, "Conv2d": 9, **head}
    assert counted("mobilenet_v1_025") == {"Conv2d": 27, **head}
    assert counted("ds_cnn") == {"Conv2d": 9, **head}
    assert counted("autoencoder") == {"Dense": 10}


def test_labels_and_preprocessing_are_kept():
    model = random_model(chain((4,), Dense(features=2), BatchNorm(), Softmax()))
    named = Model(model.graph, model.weights, labels=("cat", "dog"), preprocess={"mean": [0.5], "std": [0.2]})
    after = simplify(named)
    assert (after.labels, after.preprocess) == (named.labels, named.preprocess)


def test_an_int8_model_is_refused():
    with pytest.raises(ModelError, match="'small' is int8"):
        simplify(small_int8_model())


def test_padding_that_counts_becomes_pad():
    pool = AveragePool2d(kernel=3, stride=2, padding=((1, 1), (1, 0)), count_padding=True)
    check(densify, chain((7, 7, 3), pool), ["Pad", "AveragePool2d"])


def test_scale_is_folded_like_batch_norm():
    graph = chain((5, 5, 2), Conv2d(channels=3, kernel=3), Scale(), Relu(), Scale(bias=False))
    check(fold_batch_norm, graph, ["Conv2d", "Relu", "Conv2d"])
