"""The count of a network: totals, memory, JSON."""

import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millijoule import zoo
from millijoule.cost import Cost, LayerCost, cost
from millijoule.errors import OptionError
from millijoule.graph import Builder, Graph, Input
from millijoule.model import Model
from millijoule.ops import Add, Conv2d, Dense, Flatten, MaxPool2d, Relu
from millijoule.passes import simplify
from tests.networks import SMALL_NETWORKS, small_int8_model


def random_model(graph: Graph) -> Model:
    rng = np.random.default_rng(0)
    return Model(graph, {name: rng.random(param.shape, np.float32) for name, param in graph.params().items()})


def test_by_hand():
    build = Builder("hand", (4, 4, 2))
    build("conv", Conv2d(channels=3, kernel=3, activation="relu"))
    build("flat", Flatten())
    build("fc", Dense(features=5, bias=False))
    found = cost(build.graph())
    conv, flat, dense = found.layers
    assert conv == LayerCost(
        name="conv",
        operator="Conv2d",
        family="convolution",
        output_shape=(2, 2, 3),
        params=3 * 18 + 3,
        macs=12 * 18,
        flops=2 * 12 * 18,
        additions=12,
        operations=12,
        neurons=12,
        size_bytes=4 * 57,
        read_bytes=4 * (32 + 57),
        written_bytes=4 * 12,
        live_bytes=4 * (32 + 12),
        eager_live_bytes=4 * (32 + 12),
        receptive_field=(3, 3),
        stride=(1, 1),
        counted=True,
    )
    assert (flat.macs, flat.read_bytes, flat.written_bytes, flat.live_bytes) == (0, 0, 0, 4 * 12)
    assert (dense.macs, dense.additions, dense.size_bytes, dense.live_bytes) == (60, 0, 240, 4 * (12 + 5))
    assert (found.params, found.macs, found.additions, found.connections) == (117, 276, 12, 288)
    assert found.size_bytes == 4 * 117
    assert found.activation_bytes == 4 * (32 + 12 + 5)
    assert (found.peak_ram_bytes, found.peak_layer) == (4 * 44, "conv")


def test_a_residual_is_kept_until_it_is_read():
    build = Builder("residual", (8,))
    first = build("first", Dense(features=8))
    build("wide", Dense(features=100))
    last = build("narrow", Dense(features=8))
    build("add", Add(), first, last)
    found = cost(build.graph(), bytes_per_weight=1)
    assert [layer.live_bytes for layer in found.layers] == [16, 108, 8 + 100 + 8, 24]
    assert (found.peak_ram_bytes, found.peak_layer) == (116, "narrow")


def test_outputs_live_to_the_end_and_aliases_share_bytes():
    build = Builder("two_outputs", (4, 4, 1))
    early = build("pool", MaxPool2d(kernel=2))
    build("flat", Flatten())
    build("fc", Dense(features=10))
    late = build("relu", Relu())
    found = cost(build.graph(early, late), bytes_per_weight=1)
    assert [layer.live_bytes for layer in found.layers] == [20, 4, 14, 24]
    assert found.activation_bytes == 16 + 4 + 10 + 10


def test_a_graph_without_nodes_is_its_input():
    found = cost(Graph("wire", (Input("x", (3, 3, 1)),), (), ("x",)))
    assert (found.params, found.macs, found.peak_ram_bytes, found.peak_layer) == (0, 0, 36, "x")


# int8, layer by layer, input and output included. MobileNetV1 and DS-CNN: as Bosch published for MLPerf Tiny; the
# others by hand: 3 maps of 32x32x16, 640 + 128 features, 28x28x6 + 14x14x6.
PEAKS = {"resnet8": 49_152, "mobilenet_v1_025": 55_296, "ds_cnn": 16_000, "autoencoder": 768, "lenet5": 5_880}


@pytest.mark.parametrize("name", PEAKS)
def test_peak_ram_of_what_is_deployed(name):
    assert cost(simplify(zoo.get(name)), bytes_per_weight=1).peak_ram_bytes == PEAKS[name]


@pytest.mark.parametrize("entry", SMALL_NETWORKS, ids=lambda entry: entry.name)
def test_a_model_costs_what_its_graph_costs(entry):
    graph = entry.function()
    model = random_model(graph)
    assert cost(model) == cost(graph)
    assert cost(model).size_bytes == sum(array.nbytes for array in model.weights.values())
    assert cost(simplify(model)) == cost(simplify(graph))


def test_an_int8_model_has_bytes_as_weights_and_words_as_biases():
    model = small_int8_model()
    found = cost(model)
    assert found.size_bytes == sum(array.nbytes for array in model.weights.values())
    assert found == cost(model.graph, bytes_per_weight=1)
    assert cost(model.graph, bytes_per_weight=2).size_bytes == 2 * found.params


def test_totals_are_the_sums_of_the_layers():
    found = cost(zoo.resnet8())
    for name in ("params", "macs", "additions", "operations", "size_bytes"):
        assert getattr(found, name) == sum(getattr(layer, name) for layer in found.layers)
    assert found.peak_ram_bytes == max(layer.live_bytes for layer in found.layers)


def test_json_has_exactly_the_fields():
    found = cost(zoo.lenet5())
    result = json.loads(json.dumps(found.to_json()))
    assert list(result) == list(Cost.__dataclass_fields__)
    assert all(list(layer) == list(LayerCost.__dataclass_fields__) for layer in result["layers"])
    assert result["layers"][0]["output_shape"] == [28, 28, 6]
    assert result["macs"] == 416_520


def test_bytes_per_weight_must_be_positive():
    with pytest.raises(OptionError, match="bytes_per_weight is 0"):
        cost(zoo.lenet5(), bytes_per_weight=0)


def test_a_network_larger_than_memory_is_counted():
    code = (
        "import sys; from millijoule.graph import Builder; from millijoule.ops import Conv2d, Dense; "
        "from millijoule.cost import cost; build = Builder('huge', (224, 224, 3)); "
        "build('conv', Conv2d(channels=100_000, kernel=224)); build('fc', Dense(features=1_000_000)); "
        "found = cost(build.graph()); assert found.size_bytes > 400 * 10**9, found.size_bytes; "
        "assert 'torch' not in sys.modules; "
        "peak_kib = int(open('/proc/self/status').read().split('VmHWM:')[1].split()[0]); assert peak_kib < 300_000"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_live_bytes_are_those_of_a_replay(data):
    """A random graph of additions: replay which values later steps need."""
    build = Builder("random", (3,))
    values = [build.input]
    for index in range(data.draw(st.integers(1, 8))):
        picked = [data.draw(st.sampled_from(values)) for _ in range(2)]
        op = Add() if data.draw(st.booleans()) else Flatten()
        values.append(build(f"n{index}", op, *(picked if isinstance(op, Add) else picked[:1])))
    outputs = data.draw(st.lists(st.sampled_from(values[1:]), min_size=1, unique=True))
    graph = build.graph(*outputs)

    root = {build.input: build.input}
    for node in graph.nodes:
        root[node.name] = root[node.inputs[0]] if node.op.alias else node.name
    for step, layer in enumerate(cost(graph, bytes_per_weight=1).layers):
        made = {root[name] for name in values[: step + 2]}
        needed_now = {root[name] for name in (*graph.nodes[step].inputs, graph.nodes[step].name)}
        needed_now |= {build.input} if step == 0 else set()
        needed_later = {root[name] for node in graph.nodes[step + 1 :] for name in node.inputs}
        needed_later |= {root[name] for name in outputs} | {root[node.name] for node in graph.nodes[step + 1 :]}
        assert layer.live_bytes == 3 * len(made & (needed_now | needed_later))
