"""Scales and zero points by TFLite's rules, on ranges worked out by hand."""

import numpy as np
import pytest

from millijoule.graph import Builder
from millijoule.model import Model, Quantization
from millijoule.ops import (
    Add,
    Concat,
    Conv2d,
    Dense,
    Flatten,
    MaxPool2d,
    Pad,
    Relu6,
    Requantize,
    Sigmoid,
    Softmax,
    Tanh,
)
from millijoule.quantize.scales import (
    fixed_input,
    prescribed_output,
    quantization_of_range,
    separate_shared_scales,
    value_quantization,
)

TINY = 2.0**-30


@pytest.mark.parametrize(
    ("low", "high", "scale", "zero_point"),
    [
        (0.0, 255.0, 1.0, -128),
        (-255.0, 0.0, 1.0, 127),
        (-128.0, 127.0, 1.0, 0),
        (-1.0, 1.04, 0.008, -3),  # -128 + 125
        (-0.3, 1.0, 1.3 / 255, -69),  # -128 + 0.3 * 255 / 1.3 = -69.15
        (2.0, 5.1, 0.02, -128),  # widened to contain 0
        (-5.1, -2.0, 0.02, 127),
        (-2.0, 6.0, 8 / 255, -64),  # -128 + 63.75
    ],
)
def test_a_range_is_widened_to_0_and_spread_over_255_steps(low, high, scale, zero_point):
    found = quantization_of_range(low, high, TINY)
    assert found.scale == np.float32(scale)
    assert found.zero_point == zero_point
    assert found.dequantize(np.array([zero_point])) == 0


def test_what_is_always_0_and_what_is_all_but_0():
    assert quantization_of_range(0.0, 0.0, TINY) == Quantization.of(1.0, -128)
    assert quantization_of_range(0.0, 1e-30, TINY).scale == np.float32(TINY)


@pytest.mark.parametrize(
    ("op", "expected"),
    [
        (Softmax(), Quantization.of(1 / 256, -128)),
        (Sigmoid(), Quantization.of(1 / 256, -128)),
        (Tanh(), Quantization.of(1 / 128, 0)),
        (Tanh(amplitude=1.7159, slope=2 / 3), Quantization.of(1.7159 / 128, 0)),
        (Dense(features=2), None),
    ],
)
def test_prescribed_outputs(op, expected):
    assert prescribed_output(op) == expected


def test_the_input_of_one_mean_and_deviation_is_the_pixel_less_128():
    pixels = np.arange(256)
    for mean, std in ((0.0, 1.0), (33 / 255, 0.3), (128 / 255, 0.25), (1.0, 0.5)):
        found = fixed_input({"mean": [mean], "std": [std]})
        real = (pixels.astype(np.float32) / np.float32(255) - np.float32(mean)) / np.float32(std)
        assert np.array_equal(found.quantize(real), pixels - 128)
    assert fixed_input({"mean": [0.5, 0.5, 0.4], "std": [0.2, 0.2, 0.2]}) is None
    assert fixed_input({"mean": [0.5, 0.5, 0.5], "std": [0.2, 0.2, 0.3]}) is None
    assert fixed_input({"mean": [1.2], "std": [1.0]}) is None, "0 would lie outside int8"
    assert fixed_input({}) == Quantization.of(1 / 255, -128)


def quantized(graph, ranges, given=None):
    return value_quantization(graph, {name: ranges.get(name, (0.0, 1.0)) for name in graph.shapes}, given, TINY)


def test_pooling_padding_and_reshapes_keep_the_scale_and_the_widest_range_decides():
    build = Builder("chain", (4, 4, 1))
    build("conv", Conv2d(channels=1, kernel=1))
    build("pool", MaxPool2d(kernel=2))
    build("pad", Pad(padding=((1, 1), (1, 1))))
    build("flatten", Flatten())
    build("dense", Dense(features=2))
    found = quantized(build.graph(), {"conv": (-1.0, 3.0), "pool": (-0.5, 4.1), "dense": (0.0, 2.55)})
    assert found["conv"] == found["pool"] == found["pad"] == found["flatten"]
    assert found["conv"] == quantization_of_range(-1.0, 4.1, TINY)
    assert found["dense"] == Quantization.of(0.01, -128)
    assert found["input"] == quantization_of_range(0.0, 1.0, TINY)


def test_a_prescribed_scale_decides_for_its_group_and_a_given_one_for_the_input_s():
    build = Builder("chain", (2, 2, 1))
    build("pool", MaxPool2d(kernel=1))
    build("dense", Dense(features=3))
    build("sigmoid", Sigmoid())
    build("flatten", Flatten())
    given = Quantization.of(0.125, 3)
    found = quantized(build.graph(), {"pool": (-9, 9), "flatten": (0, 0.2)}, given)
    assert found["input"] == found["pool"] == given
    assert found["sigmoid"] == found["flatten"] == Quantization.of(1 / 256, -128)


def test_concatenated_values_share_the_union_of_their_ranges():
    build = Builder("branches", (4, 4, 1))
    left = build("left", Conv2d(channels=1, kernel=1), "input")
    right = build("right", Conv2d(channels=2, kernel=1), "input")
    pool = build("pool", MaxPool2d(kernel=1), right)
    graph = build.graph(build("concat", Concat(), left, pool))
    assert separate(graph).nodes == graph.nodes
    found = quantized(graph, {"left": (-1.0, 0.5), "right": (0.0, 6.0), "concat": (-1.0, 6.0)})
    assert found["left"] == found["right"] == found["pool"] == found["concat"] == quantization_of_range(-1, 6, TINY)


def test_additions_have_scales_of_their_own():
    build = Builder("residual", (4, 4, 1))
    left = build("left", Conv2d(channels=1, kernel=1), "input")
    graph = build.graph(build("add", Add(), left, "input"))
    found = quantized(graph, {"left": (0.0, 2.55), "input": (0.0, 5.1), "add": (0.0, 7.65)})
    assert [found[name].scale for name in ("left", "input", "add")] == [np.float32(s) for s in (0.01, 0.02, 0.03)]


def separate(graph):
    weights = {name: np.zeros(param.shape, np.float32) for name, param in graph.params().items()}
    return separate_shared_scales(Model(graph, weights)).graph


def test_a_concatenation_s_input_whose_scale_is_not_free_is_requantized():
    """The graph's input, a prescribed output and a value with another reader; relu6 hands its input's bonds on."""
    build = Builder("bound", (4, 4, 1))
    prescribed = build("sigmoid", Sigmoid(), "input")
    shared = build("shared", Conv2d(channels=1, kernel=1), "input")
    free = build("free", Conv2d(channels=1, kernel=1), shared)
    through = build("through", Relu6(), prescribed)
    graph = separate(build.graph(build("concat", Concat(), "input", through, shared, free)))
    concat = graph.by_name["concat"]
    assert concat.inputs == ("concat.requantize0", "concat.requantize1", "concat.requantize2", "free")
    for index, name in enumerate(("input", "through", "shared")):
        node = graph.by_name[f"concat.requantize{index}"]
        assert (node.op, node.inputs) == (Requantize(), (name,))
