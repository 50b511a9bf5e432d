"""Channels that hang together go together, and what is left computes what it did."""

from math import prod

import numpy as np
import pytest

from millijoule import zoo
from millijoule.graph import Builder, Graph
from millijoule.model import Model
from millijoule.ops import (
    Add,
    BatchNorm,
    ChannelShuffle,
    Concat,
    Conv2d,
    ConvTranspose2d,
    Dense,
    Flatten,
    GlobalAveragePool,
    LocalResponseNorm,
    Multiply,
    Pad,
    PRelu,
    Relu,
    Reshape,
    Sigmoid,
    Slice,
    Softmax,
)
from millijoule.ops.conv import Convolution
from millijoule.shrink.pruning.channels import Channels, find_channels
from millijoule.shrink.pruning.narrow import narrow, narrow_graph
from millijoule.train import predict
from millijoule.train.initial import initial_weights
from tests.networks import SMALL_NETWORKS

FEATURES = 3


def random_half(channels: Channels, seed: int = 0) -> np.ndarray:
    """About half of the units that may go are gone, of every layer at least one stays."""
    random = np.random.default_rng(seed)
    kept = np.ones(len(channels.fixed), bool)
    for layer in channels.layers:
        kept[random.permutation(layer.units)[: len(layer.units) // 2]] = False
    return kept


def not_reading(model: Model, channels: Channels, kept: np.ndarray) -> Model:
    """The model with the weights at 0 that read channels which are not kept: by hand, weight by weight."""
    weights = dict(model.weights)
    for node in model.graph.nodes:
        if not isinstance(node.op, Convolution | Dense):
            continue
        stays = kept[channels.units[node.inputs[0]]]
        weight = weights[f"{node.name}.weight"].copy()
        if isinstance(node.op, Dense):
            positions = prod(model.graph.shapes[node.inputs[0]][:-1])
            for position in range(positions):
                for channel in np.flatnonzero(~stays):
                    weight[:, position * len(stays) + channel] = 0
        elif node.op.groups != len(stays):
            inputs, outputs = len(stays) // node.op.groups, node.op.channels // node.op.groups
            for channel in np.flatnonzero(~stays):
                group, place = divmod(int(channel), inputs)
                weight[group * outputs : (group + 1) * outputs, :, :, place] = 0
        weights[f"{node.name}.weight"] = weight
    return Model(model.graph, weights)


def check(graph: Graph, seed: int = 0) -> Graph:
    random = np.random.default_rng(seed)
    weights = {
        name: array + random.normal(0, 0.1, array.shape).astype(np.float32) ** 2
        for name, array in initial_weights(graph, seed).items()
    }
    model, channels = Model(graph, weights), find_channels(graph)
    kept = random_half(channels, seed)
    small = narrow(model, channels, kept)
    assert small.graph == narrow_graph(graph, channels, kept)
    inputs = random.normal(0, 1, (2, *graph.inputs[0].shape)).astype(np.float32)
    expected = predict(not_reading(model, channels, kept), inputs)
    assert np.ptp(expected) > 0
    assert np.allclose(predict(small, inputs), expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())
    return small.graph


@pytest.mark.parametrize("entry", SMALL_NETWORKS, ids=lambda entry: entry.name)
def test_a_network_of_the_zoo_with_fewer_channels_is_the_one_that_does_not_read_them(entry):
    graph = entry.function()
    if any(isinstance(node.op, LocalResponseNorm) for node in graph.nodes):
        pytest.skip("a local response norm also reads its neighbours")
    check(graph)


@pytest.mark.parametrize("entry", zoo.entries(), ids=lambda entry: entry.name)
def test_every_network_of_the_zoo_can_lose_channels(entry):
    graph = entry.function()
    channels = find_channels(graph)
    small = narrow_graph(graph, channels, random_half(channels))
    assert small.shapes[small.outputs[0]] == graph.shapes[graph.outputs[0]]
    assert small.inputs == graph.inputs
    widths = [(graph.shapes[name][-1], small.shapes[name][-1]) for name in graph.shapes]
    assert all(1 <= narrow <= wide for wide, narrow in widths)
    if len(graph.nodes) > 2 and entry.name != "shufflenet_v1":  # whose shuffles tie almost all channels
        assert sum(narrow for _, narrow in widths) < 0.85 * sum(wide for wide, _ in widths)


def every_tie() -> Graph:
    build = Builder("ties", (6, 6, 2))
    stem = build("stem", Conv2d(channels=8, kernel=3, padding="same", bias=False))
    build("norm", BatchNorm())
    stem = build("relu", Relu())
    build("grouped", Conv2d(channels=16, kernel=3, padding="same", groups=4))
    build("shuffle", ChannelShuffle(groups=4))
    build("half", Slice(begin=(0, 0, 4), size=(6, 6, 8)))
    side = build("multiplier", Conv2d(channels=16, kernel=1, groups=8), "half")
    build("gate", GlobalAveragePool(keep_dims=True), side)
    build("squeeze", Conv2d(channels=4, kernel=1, activation="relu"))
    build("excite", Conv2d(channels=16, kernel=1))
    build("sigmoid", Sigmoid())
    gated = build("gated", Multiply(), side, "sigmoid")
    narrow = build("narrow", Conv2d(channels=8, kernel=1), stem)
    wide = build("padded", Pad(channels=(3, 5)), narrow)
    added = build("added", Add(), gated, wide)
    up = build("up", ConvTranspose2d(channels=6, kernel=1), added)
    both = build("both", Concat(), up, stem)
    build("prelu", PRelu(), both)
    build("flat", Flatten())
    build("map", Reshape(target=(36, 1, 14)))
    build("hidden", Dense(features=FEATURES + 5))
    build("output", Dense(features=FEATURES))
    return build.graph(build("softmax", Softmax()))


@pytest.mark.parametrize("seed", range(5))
def test_all_that_ties_channels_at_once(seed):
    graph = every_tie()
    small = check(graph, seed)
    assert small.shapes["output"] == (FEATURES,)
    assert small.shapes["stem"][-1] == small.shapes["relu"][-1] == 4
    assert small.shapes["gated"] == small.shapes["padded"] == (6, 6, 8)


def test_what_is_tied_to_what():
    channels = find_channels(every_tie())
    units = channels.units
    assert channels.fixed[units["input"]].all()
    assert channels.fixed[units["output"]].all()
    assert not channels.fixed[units["stem"]].any()
    assert np.array_equal(units["stem"], units["relu"])
    # Four groups of two input and four output channels: the same place of each group is one unit.
    assert len(set(units["stem"])) == 2
    assert np.array_equal(units["padded"][3:11], units["narrow"]), "padding moves channels by what stands before"
    assert np.array_equal(units["gated"], units["added"])
    assert np.array_equal(units["padded"], units["added"])
    assert np.array_equal(units["both"], np.concatenate([units["up"], units["relu"]]))
    assert np.array_equal(units["flat"], np.tile(units["both"], 36))
    assert np.array_equal(units["map"], units["both"])
