"""TFLite files as a user exports them. Every operator is held against TFLM in tests/load and tests/ops."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import millijoule
from millijoule import zoo
from millijoule.errors import ModelError
from millijoule.export.tflite import network, to_tflite
from millijoule.graph import Builder
from millijoule.model import Model
from millijoule.ops import ChannelShuffle, Concat, Conv2d, MaxPool2d, Reshape, Transpose
from millijoule.train import predict
from millijoule.train.initial import initial_weights
from tests.load.cases import random_inputs, reloaded, run_tflm
from tests.networks import small_int8_model
from tests.ops.cases import CASES, INT8_CASES, int8_model
from tests.random_models import random_model


def test_random_networks_equal_tflm_and_come_back():
    compared = 0
    for seed in range(60):
        model = random_model(seed)
        try:
            data = to_tflite(model)
        except ModelError:
            continue
        (x,) = random_inputs(model, count=4)
        output = model.run(x)[model.graph.outputs[0]]
        np.testing.assert_array_equal(run_tflm(data, [x]).reshape(output.shape), output)
        loaded = reloaded(data, model.graph.name)
        np.testing.assert_array_equal(loaded.run(x)[loaded.graph.outputs[0]], output)
        compared += 1
    assert compared >= 20


@pytest.mark.parametrize("name", INT8_CASES)
def test_every_int8_operator_comes_back_bit_for_bit_or_is_refused(name, tmp_path):
    model = int8_model(name)
    if CASES[name].tflm_lacks and not CASES[name].wraps and name != "average_pool_counts_no_padding":
        with pytest.raises(ModelError, match=rf"node 'op' \({type(CASES[name].op).__name__}\)"):
            millijoule.export(model, "tflite", tmp_path / "op.tflite")
        assert not list(tmp_path.iterdir())
        return
    loaded = millijoule.load(millijoule.export(model, "tflite", tmp_path / "op.tflite"))
    inputs = random_inputs(model)
    outputs = model.run(*inputs)["op"]
    np.testing.assert_array_equal(loaded.run(*inputs)[loaded.graph.outputs[0]].reshape(outputs.shape), outputs)


def test_preprocessing_and_class_names_come_back(tmp_path):
    """Means that differ from channel to channel, so that the input is not pixel - 128."""
    model = small_int8_model()
    model = replace(model, labels=("a", "b", "ü"), preprocess={"mean": [0.2], "std": [0.31]})
    loaded = millijoule.load(millijoule.export(model, "tflite", tmp_path / "small.tflite"))
    assert loaded.labels == model.labels
    assert loaded.preprocess == model.preprocess


@pytest.mark.parametrize(
    "kept", [b"{", b"[1]", b'{"preprocess": {"std": [0]}}', b'{"preprocess": {"mean": 1}}', b'{"labels": [3]}', b"\xff"]
)
def test_damaged_metadata_is_refused(kept, monkeypatch):
    monkeypatch.setattr(network, "to_text", lambda model: kept.decode("latin-1"))
    data = to_tflite(small_int8_model())
    with pytest.raises(ModelError, match=r"^test\.tflite: its metadata 'millijoule' is damaged"):
        reloaded(data, "small")


def test_weights_lie_aligned():
    """Interpreters read them where they lie: TFLite's schema asks for 16 bytes."""
    model = small_int8_model()
    data = to_tflite(model)
    for name in ("c1.weight", "fc.weight"):
        assert data.index(model.weights[name].tobytes()) % 16 == 0


def test_what_tflite_lacks_is_named():
    with pytest.raises(ModelError, match=r"^node 'op' \(HardSigmoid\) has no operator in TFLite$"):
        to_tflite(int8_model("hard_sigmoid"))


@pytest.mark.parametrize("also_read", ["", "split", "turn"])
def test_a_shuffle_of_channels_comes_back_as_one_where_nothing_reads_its_parts(also_read):
    build = Builder("shuffled", (4, 5, 6))
    build("conv", Conv2d(channels=12, kernel=1))
    build("split", Reshape(target=(20, 3, 4)))
    build("turn", Transpose(order=(0, 2, 1)))
    join = build("join", Reshape(target=(4, 5, 12)))
    graph = build.graph(join, *([also_read] if also_read else []))
    int8 = millijoule.quantize(Model(graph, initial_weights(graph, 0)), np.random.default_rng(0).random((32, 4, 5, 6)))
    data, (x,) = to_tflite(int8), random_inputs(int8, count=4)
    loaded = reloaded(data, "shuffled")
    ours, theirs = int8.run(x), loaded.run(x)
    for mine, other in zip(int8.graph.outputs, loaded.graph.outputs, strict=True):
        np.testing.assert_array_equal(theirs[other], ours[mine])
    kinds = [type(node.op) for node in loaded.graph.nodes]
    assert kinds == ([Conv2d, Reshape, Transpose, Reshape] if also_read else [Conv2d, ChannelShuffle])


def test_a_shufflenet_equals_tflm_and_comes_back_with_its_shuffles():
    graph = zoo.shufflenet_v2(input_shape=(32, 32, 3), classes=10)
    model = Model(graph, initial_weights(graph, 0))
    int8 = millijoule.quantize(model, np.random.default_rng(0).integers(0, 256, (32, 32, 32, 3), dtype=np.uint8))
    data, (x,) = to_tflite(int8), random_inputs(int8, count=2)
    expected = int8.run(x)[int8.graph.outputs[0]]
    np.testing.assert_array_equal(run_tflm(data, [x]).reshape(expected.shape), expected)
    loaded = reloaded(data, "shuffled")
    np.testing.assert_array_equal(loaded.run(x)[loaded.graph.outputs[0]], expected)
    shuffles, theirs = (
        [node.op for node in each.graph.nodes if isinstance(node.op, ChannelShuffle | Transpose)]
        for each in (int8, loaded)
    )
    assert theirs == shuffles == [ChannelShuffle(groups=2)] * 16


def padded_pool(activation: str) -> Model:
    """3x3 maxima of a convolution's map, padded as TFLite's pools cannot."""
    build = Builder("padded", (8, 8, 3))
    build("conv", Conv2d(channels=4, kernel=1, activation=activation))
    build("pool", MaxPool2d(kernel=3, stride=2, padding=((1, 1), (1, 1))))
    graph = build.graph()
    return Model(graph, initial_weights(graph, 0))


def test_maxima_beside_the_border_are_padded_with_zeros_where_nothing_is_less(tmp_path):
    model, x = padded_pool("relu"), np.random.default_rng(0).standard_normal((32, 8, 8, 3)).astype(np.float32)
    again = millijoule.load(millijoule.export(model, "tflite", tmp_path / "float.tflite"))
    np.testing.assert_array_equal(predict(again, x), predict(model, x))
    int8 = millijoule.quantize(model, x)
    data = to_tflite(int8)
    (inputs,) = random_inputs(int8, count=4)
    expected = int8.run(inputs)["pool"]
    np.testing.assert_array_equal(run_tflm(data, [inputs]).reshape(expected.shape), expected)
    loaded = reloaded(data, "padded")
    np.testing.assert_array_equal(loaded.run(inputs)[loaded.graph.outputs[0]], expected)
    for below_zero in (padded_pool("none"), millijoule.quantize(padded_pool("none"), x)):
        with pytest.raises(ModelError, match=r"node 'pool' \(MaxPool2d\) pads \(\(1, 1\), \(1, 1\)\); TFLite's pools"):
            millijoule.export(below_zero, "tflite", tmp_path / "refused.tflite")


def test_more_values_than_tflm_concatenates_at_once_are_joined_in_turn():
    build = Builder("many", (4, 4, 3))
    branches = [build(f"c{index}", Conv2d(channels=1 + index % 3, kernel=1), build.input) for index in range(23)]
    graph = build.graph(build("all", Concat(), *branches))
    random = np.random.default_rng(0)
    weights = {name: random.normal(0, 0.3, each.shape).astype(np.float32) for name, each in graph.params().items()}
    int8 = millijoule.quantize(Model(graph, weights), random.standard_normal((32, 4, 4, 3)).astype(np.float32))
    data, (x,) = to_tflite(int8), random_inputs(int8, count=4)
    expected = int8.run(x)["all"]
    np.testing.assert_array_equal(run_tflm(data, [x]).reshape(expected.shape), expected)
    loaded = reloaded(data, "many")
    np.testing.assert_array_equal(loaded.run(x)[loaded.graph.outputs[0]], expected)
