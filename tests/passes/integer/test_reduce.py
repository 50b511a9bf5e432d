"""What is removed from an int8 model must change no output byte, and what can be removed must be."""

from dataclasses import replace

import numpy as np
import pytest

from millijoule import zoo
from millijoule.errors import ModelError
from millijoule.graph import Builder
from millijoule.model import Model, Quantization
from millijoule.ops import Add, Conv2d, Dense, Flatten, MaxPool2d, Multiply, Pad, Relu, Requantize, Softmax
from millijoule.passes.integer import fold_pads, reduce
from millijoule.passes.integer.bounds import bounds
from tests.networks import random_int8
from tests.passes.integer.networks import extreme_inputs, random_model
from tests.random_models import random_model as model_of_any_operators

SEEDS = range(60)


def assert_equal_outputs(before: Model, after: Model) -> None:
    inputs = extreme_inputs(before)
    old, new = before.run(inputs), after.run(inputs)
    for one, two in zip(before.graph.outputs, after.graph.outputs, strict=True):
        np.testing.assert_array_equal(new[two], old[one])


@pytest.mark.parametrize("make", [random_model, model_of_any_operators])
@pytest.mark.parametrize("seed", SEEDS)
def test_random_networks_keep_their_outputs_and_their_bounds(seed, make):
    model = make(seed)
    values, proven = model.run(extreme_inputs(model)), bounds(model)
    for name, value in values.items():
        assert (value >= proven[name].low).all(), name
        assert (value <= proven[name].high).all(), name
    assert_equal_outputs(model, reduce(model).model)


def test_random_networks_exercise_every_reason():
    reductions = [reduce(random_model(seed)) for seed in SEEDS]
    reasons = {channel.reason for each in reductions for channel in each.channels}
    assert reasons == {"constant", "twin", "unread"}
    assert sum(each.macs[1] < each.macs[0] for each in reductions) > len(SEEDS) / 2
    assert any(each.nodes for each in reductions)


def chain(padding="valid", zero_point=-128, constant_bias=-(2**24)) -> Model:
    """conv of 4 channels, of which channel 1 is constant ─▶ 3x3 conv ─▶ dense."""
    build = Builder("chain", (6, 6, 2))
    build("a", Conv2d(channels=4, kernel=1, activation="relu"))
    build("b", Conv2d(channels=3, kernel=3, padding=padding))
    build("out", Dense(features=2))
    model = random_int8(build.graph())
    weights = {name: array.copy() for name, array in model.weights.items()}
    weights["a.weight"][1], weights["a.bias"][1] = 0, constant_bias
    quantization = dict(model.quantization)
    quantization["a"] = Quantization.of(float(quantization["a"].scale), zero_point)
    return Model(model.graph, weights, quantization)


def removed(model: Model) -> dict[tuple[str, int], str]:
    reduction = reduce(model)
    assert_equal_outputs(model, reduction.model)
    return {(each.value, each.channel): each.reason for each in reduction.channels}


def test_a_constant_channel_goes_into_the_next_bias():
    model = chain(constant_bias=2**24)
    (channel,) = reduce(model).channels
    assert (channel.value, channel.channel, channel.constant) == ("a", 1, 127)
    assert channel.sums == (2**24, 2**24)
    narrow = reduce(model).model
    assert narrow.weights["b.weight"].shape == (3, 3, 3, 3)
    weight, bias = model.weights["b.weight"].astype(int), model.weights["b.bias"]
    np.testing.assert_array_equal(narrow.weights["b.bias"], bias + weight[..., 1].sum(axis=(1, 2)) * (127 + 128))


def test_a_layer_without_bias_gets_one():
    model = chain(constant_bias=2**24)
    nodes = tuple(replace(node, op=replace(node.op, bias=node.name != "b")) for node in model.graph.nodes)
    weights = {name: array for name, array in model.weights.items() if name != "b.bias"}
    model = Model(replace(model.graph, nodes=nodes), weights, model.quantization)
    assert removed(model) == {("a", 1): "constant"}
    assert reduce(model).model.weights["b.bias"].any()


@pytest.mark.parametrize(
    ("padding", "bias", "expected"),
    [
        ("valid", 2**24, {("a", 1): "constant"}),
        ("same", 2**24, {}),
        ("same", -(2**24), {("a", 1): "constant"}),
    ],
    ids=["no padding", "padding differs from the constant", "the constant is the zero point"],
)
def test_padding_decides_whether_a_constant_folds(padding, bias, expected):
    assert removed(chain(padding, constant_bias=bias)) == expected


@pytest.mark.parametrize("bias", [2**30, 2**30 - 1, -(2**30), 2**31 - 1, -(2**31)])
def test_accumulators_near_the_ends_of_int32(bias):
    assert removed(chain(constant_bias=bias)) == {("a", 1): "constant"}


def test_sums_that_may_leave_int32_prove_nothing():
    model = chain()
    weights = dict(model.weights)
    weights["a.weight"] = np.where(np.arange(4).reshape(4, 1, 1, 1) == 1, 100, weights["a.weight"]).astype(np.int8)
    weights["a.bias"] = np.where(np.arange(4) == 1, 2**31 - 1, weights["a.bias"]).astype(np.int32)
    proven = bounds(Model(model.graph, weights, model.quantization))["a"]
    assert (proven.low[..., 1] == -128).all()
    assert (proven.high[..., 1] == 127).all()


def test_a_residual_channel_goes_only_if_it_goes_on_all_paths():
    def network(constant: dict[str, list[int]]) -> Model:
        build = Builder("residual", (4, 4, 2))
        build("a", Conv2d(channels=3, kernel=1, activation="relu"))
        build("b", Conv2d(channels=3, kernel=1, activation="relu"), "a")
        build("sum", Add(), "a", "b")
        build("out", Dense(features=2))
        model = random_int8(build.graph())
        weights = {name: array.copy() for name, array in model.weights.items()}
        for name, channels in constant.items():
            weights[f"{name}.weight"][channels], weights[f"{name}.bias"][channels] = 0, -(2**20)
        return Model(model.graph, weights, model.quantization)

    assert removed(network({"b": [1]})) == {}
    both = {(name, 1): "constant" for name in ("a", "b", "sum")}
    assert removed(network({"a": [1], "b": [1, 2]})) == both


def test_constants_go_through_depthwise_convolutions_and_pools():
    build = Builder("depthwise", (8, 8, 1))
    build("a", Conv2d(channels=4, kernel=3, activation="relu"))
    build("dw", Conv2d(channels=4, kernel=3, padding="same", groups=4, activation="relu"))
    build("pool", MaxPool2d(kernel=2))
    build("flat", Flatten())
    build("out", Dense(features=2))
    model = random_int8(build.graph())
    weights = {name: array.copy() for name, array in model.weights.items()}
    weights["a.bias"][2] = -(2**24)
    weights["dw.bias"][2] = 2**24
    model = Model(model.graph, weights, model.quantization)
    assert removed(model) == {("a", 2): "constant", ("dw", 2): "constant"}
    assert reduce(model).model.graph.shapes["flat"] == (27,)


def test_twins_merge_where_the_sum_of_their_weights_fits():
    def network(second: int) -> Model:
        model = chain("same")
        weights = {name: array.copy() for name, array in model.weights.items()}
        weights["a.bias"][1] = 5
        weights["a.weight"][3], weights["a.bias"][3] = weights["a.weight"][0], weights["a.bias"][0]
        weights["b.weight"][..., 0], weights["b.weight"][..., 3] = 60, second
        quantization = dict(model.quantization)
        scales = quantization["a.weight"].scales.copy()
        scales[3] = scales[0]
        quantization["a.weight"] = Quantization(scales)
        return Model(model.graph, weights, quantization)

    assert removed(network(67)) == {("a", 3): "twin", ("a", 1): "constant"}
    assert removed(network(68)) == {("a", 1): "constant"}


def test_a_channel_that_only_dead_channels_read_is_unread():
    model = chain()
    weights = {name: array.copy() for name, array in model.weights.items()}
    weights["b.weight"][..., 3] = 0
    assert removed(Model(model.graph, weights, model.quantization)) == {("a", 1): "constant", ("a", 3): "unread"}


def test_nodes_that_return_their_input_are_removed():
    build = Builder("identities", (4, 4, 2))
    build("a", Conv2d(channels=3, kernel=1, activation="relu"))
    build("relu", Relu())
    build("requantize", Requantize())
    build("zero", Conv2d(channels=3, kernel=1, activation="relu"), "a")
    build("sum", Add(), "requantize", "zero")
    build("one", Conv2d(channels=3, kernel=1), "a")
    build("product", Multiply(), "sum", "one")
    build("out", Dense(features=2))
    model = random_int8(build.graph())
    weights = {name: array.copy() for name, array in model.weights.items()}
    weights["zero.weight"][:], weights["zero.bias"][:] = 0, -(2**20)
    weights["one.weight"][:], weights["one.bias"][:] = 0, 2**24
    quantization = dict(model.quantization)
    for name in ("relu", "requantize", "sum", "product", "zero"):
        quantization[name] = quantization["a"]
    quantization["one"] = Quantization.of(1 / 127, 0)
    reduction = reduce(Model(model.graph, weights, quantization))
    assert_equal_outputs(reduction.original, reduction.model)
    assert [node.name for node in reduction.model.graph.nodes] == ["a", "out"]
    returned = {"relu": "a", "requantize": "relu", "sum": "requantize", "product": "sum", "zero": "", "one": ""}
    assert reduction.nodes == returned


def test_a_requantization_that_changes_numbers_stays():
    build = Builder("requantized", (4, 4, 2))
    build("a", Conv2d(channels=3, kernel=1))
    build("requantize", Requantize())
    build("out", Dense(features=2))
    model = random_int8(build.graph())
    quantization = dict(model.quantization)
    quantization["requantize"] = Quantization.of(float(quantization["a"].scale) * 1.01, quantization["a"].zero_point)
    assert reduce(Model(model.graph, model.weights, quantization)).nodes == {}


def test_what_all_matters_stays_as_it_is():
    build = Builder("dense", (3,))
    build("out", Dense(features=2))
    build("softmax", Softmax())
    model = random_int8(build.graph())
    reduction = reduce(model)
    assert reduction.channels == ()
    assert reduction.notes == ()
    assert reduction.model.graph == model.graph


def test_its_json_adds_up():
    reduction = reduce(random_model(3))
    values = reduction.to_json()
    assert values["macs"] == sum(layer["macs"] for layer in values["layers"]) == reduction.macs[0]
    assert values["macs_left"] == sum(layer["macs_left"] for layer in values["layers"]) == reduction.macs[1]
    assert values["weights_left"] == sum(
        array.size for name, array in reduction.model.weights.items() if name.endswith(".weight")
    )
    for layer in values["layers"]:
        if layer["operator"] == "Conv2d" and layer["channels_left"]:
            gone = layer["constant"] + layer["twin"] + layer["unread"]
            assert layer["channels"] == layer["channels_left"] + gone


def test_float_models_are_refused():
    graph = zoo.lenet5()
    params = {name: np.zeros(param.shape, np.float32) for name, param in graph.params().items()}
    with pytest.raises(ModelError, match="is float; constant channels are found in int8 models"):
        reduce(Model(graph, params))


def padded_chain(*, also_read: bool = False, zero_point: int = -10) -> Model:
    """pad ─▶ two convolutions, one of which pads too, ─▶ sum; or the pad is read by something else as well."""
    build = Builder("padded", (6, 5, 2))
    pad = build("pad", Pad(padding=((1, 2), (0, 1))))
    one = build("one", Conv2d(channels=3, kernel=3, padding=((0, 1), (1, 0))), pad)
    two = build("two", Conv2d(channels=3, kernel=(3, 2), padding=((1, 0), (0, 0))), pad)
    build("sum", Add(), one, two)
    if also_read:
        build("pool", MaxPool2d(kernel=2, stride=2), pad)
    model = random_int8(build.graph("sum", "pool") if also_read else build.graph())
    quantization = dict(model.quantization)
    quantization["input"] = quantization["pad"] = Quantization.of(0.05, zero_point)
    quantization |= {"pool": quantization["pad"]} if also_read else {}
    return replace(model, quantization=quantization)


def test_pads_go_into_the_convolutions_that_read_them():
    model = padded_chain()
    folded = fold_pads(model)
    assert [node.name for node in folded.graph.nodes] == ["one", "two", "sum"]
    assert folded.graph.by_name["one"].op.padding == ((1, 3), (1, 1))
    assert folded.graph.by_name["two"].op.padding == ((2, 2), (0, 1))
    assert_equal_outputs(model, folded)
    assert reduce(model).nodes.keys() == {"pad"}


def test_channels_of_padded_shortcuts_stay():
    """A shortcut that adds channels of zeros, as in ResNets for CIFAR-10, moves the channels that it passes on."""
    build = Builder("option_a", (6, 5, 2))
    x = build("x", Conv2d(channels=4, kernel=1, activation="relu"))
    wider = build("wider", Pad(channels=(2, 2)), x)
    y = build("y", Conv2d(channels=8, kernel=3, padding="same"), x)
    build("sum", Add(), y, wider)
    build("out", Dense(features=3))
    model = random_int8(build.graph())
    weights = {name: array.copy() for name, array in model.weights.items()}
    weights["x.weight"][2], weights["x.weight"][3] = weights["x.weight"][1], 0
    weights["x.bias"][2], weights["x.bias"][3] = weights["x.bias"][1], -(2**24)
    quantization = model.quantization | {"wider": model.quantization["x"]}
    model = Model(model.graph, weights, quantization)
    assert_equal_outputs(model, reduce(model).model)


def test_a_pad_that_a_pool_reads_stays():
    model = padded_chain(also_read=True)
    assert fold_pads(model) is model
