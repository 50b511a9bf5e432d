"""Rewrites that make an architecture cheaper: the operators they leave, and counts by hand."""

import pytest

from millijoule import zoo
from millijoule.cost import cost
from millijoule.errors import ModelError
from millijoule.graph import Builder, Graph
from millijoule.ops import Add, Conv2d, Dense, Dropout, Flatten, MaxPool2d, Relu, Resize2d, Slice
from millijoule.passes.cheaper import (
    add_bottlenecks,
    pool_instead_of_dense,
    scale_resolution,
    scale_width,
    separate_convolutions,
)


def vgg_like() -> Graph:
    build = Builder("vgg_like", (16, 16, 3))
    build("conv1", Conv2d(channels=64, kernel=3, padding="same", activation="relu"))
    build("conv2", Conv2d(channels=128, kernel=3, padding="same", stride=2, activation="relu"))
    build("pool", MaxPool2d(kernel=2))
    build("flat", Flatten())
    build("fc1", Dense(features=100, activation="relu"))
    build("drop", Dropout(rate=0.5))
    build("fc2", Dense(features=10))
    return build.graph()


def listed(graph: Graph) -> list[str]:
    return [f"{node.name}:{type(node.op).__name__}" for node in graph.nodes]


def test_one_global_pool_takes_the_place_of_dense_layers():
    after = pool_instead_of_dense(vgg_like())
    assert listed(after)[2:] == ["pool:MaxPool2d", "global_pool:GlobalAveragePool", "fc2:Dense"]
    assert cost(after).params_by_family["dense"] == 128 * 10 + 10
    assert after.outputs == ("fc2",)


def test_a_convolution_becomes_depthwise_and_pointwise():
    after = separate_convolutions(vgg_like())
    assert listed(after)[:3] == ["conv1:Conv2d", "conv2_depthwise:Conv2d", "conv2:Conv2d"]
    depthwise, pointwise = (after.by_name[name].op for name in ("conv2_depthwise", "conv2"))
    assert (depthwise.groups, depthwise.stride, depthwise.activation) == (64, (2, 2), "none")
    assert (pointwise.kernel, pointwise.channels, pointwise.activation) == ((1, 1), 128, "relu")
    # Howard et al. 2017, section 3.1: 1/N + 1/k^2 of the MACs.
    before, now = cost(vgg_like()).layers[1].macs, sum(layer.macs for layer in cost(after).layers[1:3])
    assert now / before == pytest.approx(1 / 128 + 1 / 9)


def test_a_bottleneck_convolves_a_quarter_of_the_channels():
    after = add_bottlenecks(vgg_like())
    assert [name for name in listed(after) if "conv2" in name] == [
        "conv2_squeeze:Conv2d",
        "conv2_spatial:Conv2d",
        "conv2:Conv2d",
    ]
    positions = 8 * 8
    layers = {layer.name: layer for layer in cost(after).layers}
    assert layers["conv2_squeeze"].macs == 16 * 16 * 64 * 16
    assert layers["conv2_spatial"].macs == positions * 16 * 9 * 16
    assert layers["conv2"].macs == positions * 16 * 128


def test_width_scales_all_but_the_classes():
    after = scale_width(vgg_like(), 0.5)
    assert [after.by_name[name].op.channels for name in ("conv1", "conv2")] == [32, 64]
    assert [after.by_name[name].op.features for name in ("fc1", "fc2")] == [48, 10]


def test_width_of_a_depthwise_network_follows_its_inputs():
    after = scale_width(zoo.get("mobilenet_v1_025"), 0.5)
    assert cost(after).macs < 0.4 * cost(zoo.get("mobilenet_v1_025")).macs
    assert after.shapes[after.outputs[0]] == (2,)


def test_both_branches_of_a_residual_scale_alike():
    after = scale_width(zoo.get("resnet8"), 0.5)
    assert cost(after).macs / cost(zoo.get("resnet8")).macs == pytest.approx(0.25, abs=0.02)


def test_shortcuts_that_pad_channels_scale_too():
    after = scale_width(zoo.get("resnet20"), 0.5)
    assert cost(after).macs / cost(zoo.get("resnet20")).macs == pytest.approx(0.25, abs=0.02)


def test_pixels_are_not_pooled():
    with pytest.raises(ModelError, match="no dense layer reads a flattened map of features"):
        pool_instead_of_dense(zoo.get("multilayer"))


def test_resolution_scales_positions():
    after = scale_resolution(vgg_like(), 0.5)
    assert after.inputs[0].shape == (8, 8, 3)
    assert cost(after).macs_by_family["convolution"] * 4 == cost(vgg_like()).macs_by_family["convolution"]


def test_operators_that_name_sizes_follow():
    build = Builder("sized", (16, 16, 3))
    build("conv", Conv2d(channels=64, kernel=1))
    build("half", Slice(begin=(0, 0, 32), size=(16, 16, 32)))
    build("small", Resize2d(size=(8, 8)))
    graph = build.graph()
    assert scale_width(graph, 0.5).shapes["half"] == (16, 16, 32)
    assert scale_resolution(graph, 0.5).shapes["small"] == (4, 4, 32)


@pytest.mark.parametrize(
    ("rewrite", "reason"),
    [
        (pool_instead_of_dense, "no dense layer"),
        (separate_convolutions, "no full convolution"),
        (add_bottlenecks, "no full convolution"),
        (lambda graph: scale_resolution(graph, 0.05), "at 'conv'"),
    ],
)
def test_what_does_not_apply_says_why(rewrite, reason):
    build = Builder("plain", (8, 8, 3))
    x = build("conv", Conv2d(channels=4, kernel=3))
    build("relu", Relu())
    build("sum", Add(), x, build.last)
    with pytest.raises(ModelError, match=reason):
        rewrite(build.graph())
