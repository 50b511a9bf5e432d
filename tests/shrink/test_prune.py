"""Channels are taken out where they matter least for what they bring, until the budget is met."""

from dataclasses import replace

import numpy as np
import pytest

import millijoule as mj
from millijoule import zoo
from millijoule.errors import DeviceError, ModelError, OptionError
from millijoule.graph import Builder, Graph
from millijoule.model import Model
from millijoule.ops import Add, BatchNorm, Conv2d, Dense, Flatten, GlobalAveragePool, MaxPool2d, Relu, Softmax
from millijoule.passes import simplify
from millijoule.shrink import prune, retraining
from millijoule.shrink.pruning.budget import Macs, Ram
from millijoule.shrink.pruning.channels import find_channels
from millijoule.shrink.pruning.importance import importance, relative
from millijoule.shrink.pruning.narrow import narrow_graph
from millijoule.shrink.pruning.search import choose_channels
from millijoule.train import Dataset, predict
from millijoule.train.initial import initial_weights
from millijoule.train.loop import choose
from millijoule.train.loss import make_loss
from tests.networks import small_int8_model
from tests.train.cases import graph_of, stripes


def chain(*widths: int) -> Graph:
    """1x1 convolutions of a 4x4 map: 16 MACs for each pair of channels of two layers."""
    build = Builder("chain", (4, 4, 2))
    for index, width in enumerate(widths):
        build(f"c{index}", Conv2d(channels=width, kernel=1, activation="relu"))
    build("pool", GlobalAveragePool())
    build("output", Dense(features=2))
    return build.graph()


def widths(graph: Graph) -> list[int]:
    return [node.op.channels for node in graph.nodes if isinstance(node.op, Conv2d)]


def kept_channels(graph: Graph, matters, budget, multiple: int = 1) -> dict[str, list[int]]:
    """By convolution, the channels that stay."""
    channels = find_channels(graph)
    values = np.ones(len(channels.fixed))
    for name, of_channels in matters.items():
        values[channels.units[name]] = of_channels
    kept = choose_channels(graph, channels, values, budget, multiple)
    return {name: np.flatnonzero(kept[channels.units[name]]).tolist() for name in matters}


def test_the_least_important_channels_go_first():
    assert Macs(0).cost(chain(4)) == 2 * 4 * 16 + 4 * 2
    matters = {"c0": [3.0, 1.0, 4.0, 2.0]}
    assert kept_channels(chain(4), matters, Macs(2 * 4 * 16 + 7)) == {"c0": [0, 2, 3]}
    assert kept_channels(chain(4), matters, Macs(2 * (2 * 16 + 2))) == {"c0": [0, 2]}
    assert kept_channels(chain(4), matters, Macs(2 * 4 * 16 + 8)) == {"c0": [0, 1, 2, 3]}


def test_importance_is_weighed_against_what_goes_with_it():
    """A channel of c1 brings 16 · (2 + 8) MACs, one of c0 16 · (2 + 2): two and a half times as many."""
    graph = chain(2, 2, 8)
    budget = Macs(Macs(0).cost(graph) - 160)
    assert kept_channels(graph, {"c0": [1.0, 9.0], "c1": [2.0, 9.0]}, budget) == {"c0": [0, 1], "c1": [1]}
    assert kept_channels(graph, {"c0": [1.0, 9.0], "c1": [3.0, 9.0]}, budget) == {"c0": [1], "c1": [0, 1]}


def test_what_is_more_than_enough_does_not_count():
    graph = chain(2, 2, 8)
    budget = Macs(Macs(0).cost(graph) - 1)
    assert kept_channels(graph, {"c0": [1.0, 9.0], "c1": [2.0, 9.0], "c2": [0.5] * 8}, budget) == {
        "c0": [0, 1],
        "c1": [0, 1],
        "c2": [1, 2, 3, 4, 5, 6, 7],
    }


def test_widths_stay_multiples():
    graph = chain(12, 10, 3)
    for share in (0.9, 0.5, 0.3):
        channels = find_channels(graph)
        random = np.random.default_rng(0).random(len(channels.fixed))
        kept = choose_channels(graph, channels, random, Macs(share * Macs(0).cost(graph)), 4)
        counts = [int(kept[channels.units[f"c{index}"]].sum()) for index in range(3)]
        assert all(count % 4 == 0 or count == whole for count, whole in zip(counts, (12, 10, 3), strict=True))


def test_ram_is_that_of_the_plan_and_both_of_two_equal_peaks_go_down():
    build = Builder("peaks", (8, 8, 1))
    build("a", Conv2d(channels=8, kernel=3, padding="same", activation="relu"))
    build("b", Conv2d(channels=8, kernel=3, padding="same", activation="relu"))
    build("small", MaxPool2d(kernel=4))
    build("c", Conv2d(channels=128, kernel=1, activation="relu"))
    build("d", Conv2d(channels=128, kernel=1, activation="relu"))
    build("flat", GlobalAveragePool())
    graph = build.graph(build("output", Dense(features=2)))
    assert Ram(0).cost(graph) == mj.plan(simplify(graph)).arena_bytes == 2 * 8 * 64 == 2 * 128 * 4
    channels = find_channels(graph)
    kept = choose_channels(graph, channels, np.ones(len(channels.fixed)), Ram(700), 4)
    counts = {name: int(kept[channels.units[name]].sum()) for name in "abcd"}
    assert 64 * (counts["a"] + counts["b"]) <= 700
    assert 4 * (counts["c"] + counts["d"]) <= 700


def trained(graph: Graph):
    data = stripes(count=80)
    return mj.train(graph, data, epochs=2, batch_size=8, progress=False, must_learn=False), data


def residual() -> Graph:
    build = Builder("residual", (6, 6, 1))
    build("stem", Conv2d(channels=8, kernel=3, padding="same", bias=False))
    build("norm", BatchNorm())
    stem = build("relu", Relu())
    build("a", Conv2d(channels=8, kernel=3, padding="same", activation="relu"))
    build("b", Conv2d(channels=8, kernel=3, padding="same"))
    build("add", Add(activation="relu"), stem, "b")
    build("flat", Flatten())
    build("output", Dense(features=2))
    return build.graph(build("softmax", Softmax()))


def test_importance_is_the_slope_of_the_loss_along_the_weights_that_read_a_channel():
    """Held against differences of the loss itself, with weights of the readers a little smaller."""
    model, data = trained(residual())
    channels = find_channels(model.graph)
    loss = make_loss(model.graph, choose("auto", 80, 0, {}), data.y_train)
    inputs = np.random.default_rng(0).normal(0, 1, (16, 6, 6, 1)).astype(np.float32)
    labels = data.y_train[:16]
    found = importance(model, channels, loss, inputs, labels)

    def cross_entropy(weights) -> float:
        shares = predict(replace(model, weights=weights), inputs).astype(np.float64)
        return -np.log(shares[np.arange(16), labels]).mean()

    step = 0.02
    for value, readers in {"add": ["a.weight", "output.weight"], "a": ["b.weight"]}.items():
        for unit in np.unique(channels.units[value]):
            sides = []
            for sign in (1, -1):
                weights = dict(model.weights)
                for name in readers:
                    mine = np.resize(channels.units[value] == unit, weights[name].shape[-1])
                    weights[name] = weights[name] * np.where(mine, 1 + sign * step, 1).astype(np.float32)
                sides.append(cross_entropy(weights))
            slope = (sides[0] - sides[1]) / (2 * step)
            assert found[unit] == pytest.approx(slope**2, rel=0.05, abs=1e-7)


@pytest.mark.parametrize("share", [0.9, 0.5, 0.2])
def test_a_pruned_model_is_within_its_budget_and_can_be_trained(share):
    model, data = trained(residual())
    pruned = prune(model, data, macs=share, multiple=2)
    whole, left = mj.cost(model.graph).macs, mj.cost(pruned.graph).macs
    assert 0.5 * share * whole < left <= share * whole
    assert prune(model, data, macs=float(left), multiple=2).graph == pruned.graph, "a number of MACs is one too"
    again = mj.train(pruned.graph, data, start=pruned.weights, epochs=2, batch_size=8, progress=False)
    assert again.graph == pruned.graph


def test_a_pruned_model_is_within_its_ram():
    model, data = trained(residual())
    before = mj.plan(simplify(model.graph)).arena_bytes
    pruned = prune(model, data, ram_bytes=before * 3 // 4, multiple=1)
    assert mj.plan(simplify(pruned.graph)).arena_bytes <= before * 3 // 4


def test_a_pruned_model_is_within_its_energy():
    model, data = trained(residual())
    device = "nucleo-l4r5zi"
    before = mj.predict_energy(model.graph, device).energy_mj.value
    pruned = prune(model, data, energy_mj=0.7 * before, device=device, multiple=1)
    assert 0.4 * before < mj.predict_energy(pruned.graph, device).energy_mj.value <= 0.7 * before


@pytest.mark.parametrize("name", ["resnet20", "mobilenet_v1_025", "ds_cnn", "mcunet_vww"])
def test_networks_of_the_zoo_meet_half_their_macs(name):
    graph = zoo.get(name)
    channels = find_channels(graph)
    random = np.random.default_rng(0).random(len(channels.fixed))
    budget = Macs(0.5 * Macs(0).cost(graph))
    kept = choose_channels(graph, channels, random, budget, 4)
    assert 0.44 < Macs(0).cost(narrow_graph(graph, channels, kept)) / Macs(0).cost(graph) <= 0.5


def test_budgets_and_models_that_make_no_sense():
    model, data = trained(residual())
    with pytest.raises(OptionError, match=r"cannot be pruned to 10 MACs: the least possible is \d[\d,]* MACs, of"):
        prune(model, data, macs=10.0)
    with pytest.raises(OptionError, match=r"cannot be pruned to 60 bytes: the least possible is \d+ bytes, of \d+"):
        prune(model, data, ram_bytes=60)
    three = Dataset("three", data.x_train, np.arange(80) % 3, data.x_test, np.arange(20) % 3, ("a", "b", "c"))
    with pytest.raises(ModelError, match="has 2 outputs, data set 'three' has 3 classes"):
        prune(model, three, macs=0.5)
    for budgets in ({}, {"macs": 0.5, "ram_bytes": 1000}):
        with pytest.raises(OptionError, match="one budget"):
            prune(model, data, **budgets)
    with pytest.raises(
        OptionError, match=r"to 0.001 mJ on nucleo-l4r5zi: the least possible is [\d.]+ mJ on nucleo-l4"
    ):
        prune(model, data, energy_mj=0.001, device="nucleo-l4r5zi")
    with pytest.raises(OptionError, match="energy is that of a device"):
        prune(model, data, energy_mj=1.0)
    with pytest.raises(DeviceError, match="'host' is this computer"):
        prune(model, data, energy_mj=1.0, device="host")
    with pytest.raises(OptionError, match="multiple is 0"):
        prune(model, data, macs=0.5, multiple=0)
    with pytest.raises(ModelError, match="prune the float model"):
        prune(small_int8_model(), data, macs=0.5)


def test_what_has_no_channels_to_lose_says_the_least():
    graph = graph_of(Flatten(), Dense(features=2))
    model = Model(graph, initial_weights(graph, 0), labels=("a", "b"), preprocess={"mean": [0.0], "std": [1.0]})
    with pytest.raises(OptionError, match="the least possible is 72 MACs, of 72 MACs now"):
        prune(model, stripes(), macs=0.5)


def test_a_pruned_network_is_trained_as_long_and_as_fast_as_the_whole_one():
    settings = {"epochs": 40, "learning_rate": 0.2, "schedule": "one_cycle", "until": 0.9, "patience": 3}
    assert retraining(settings) == settings | {"until": 0.0, "patience": 0}


def test_layers_are_compared_by_what_matters_within_them():
    """Of c1's channels each matters as much as c0's do, whatever the size of the numbers; c1's bring more."""
    graph = chain(4, 4, 8)
    channels = find_channels(graph)
    values = np.ones(len(channels.fixed))
    values[channels.units["c0"]] = [1.0, 2.0, 2.0, 4.0]
    values[channels.units["c1"]] = [100.0, 200.0, 200.0, 400.0]
    compared = relative(values, channels)
    for name in ("c0", "c1"):
        assert compared[channels.units[name]].tolist() == [0.2, 0.4, 0.4, 0.8]
    kept = choose_channels(graph, channels, compared, Macs(Macs(0).cost(graph) - 192), 1)
    assert np.flatnonzero(~kept).tolist() == [channels.units["c1"][0]]


def test_layers_of_no_importance_are_left_as_they_are():
    channels = find_channels(chain(2, 2))
    assert relative(np.zeros(len(channels.fixed)), channels).tolist() == [0.0] * len(channels.fixed)
