"""Channel shuffles that go into weights: outputs are equal, byte for byte, and those stay that cannot go."""

import numpy as np
import pytest

from millijoule.graph import Builder, Graph
from millijoule.model import Model
from millijoule.ops import (
    Add,
    AveragePool2d,
    ChannelShuffle,
    Concat,
    Conv2d,
    Dense,
    Flatten,
    GlobalAveragePool,
    MaxPool2d,
    PRelu,
    Relu,
    Slice,
)
from millijoule.passes.integer import reduce
from millijoule.passes.integer.shuffles import fold_shuffles
from millijoule.quantize import quantize
from millijoule.train.initial import initial_weights


def random_int8(graph: Graph) -> Model:
    rng = np.random.default_rng(0)
    weights = {
        name: array + rng.normal(size=array.shape).astype(np.float32) / 4
        for name, array in initial_weights(graph, seed=0).items()
    }
    images = rng.normal(size=(32, *graph.inputs[0].shape)).astype(np.float32)
    return quantize(Model(graph, weights), images)


def shuffles(model: Model) -> list[str]:
    return [node.name for node in model.graph.nodes if isinstance(node.op, ChannelShuffle)]


def grouped() -> Builder:
    """A grouped convolution of 12 channels, shuffled: nothing before it can take the shuffle."""
    build = Builder("shuffled", (4, 4, 6))
    build("grouped", Conv2d(channels=12, kernel=1, groups=3))
    build("shuffle", ChannelShuffle(groups=3))
    return build


def depthwise(stride: int = 1) -> Conv2d:
    return Conv2d(channels=12, kernel=3, groups=12, stride=stride, padding="same")


def check(graph: Graph, left: list[str]) -> None:
    model = random_int8(graph)
    folded = fold_shuffles(model)
    assert shuffles(folded) == left
    images = np.random.default_rng(1).integers(-128, 128, (8, *graph.inputs[0].shape), dtype=np.int8)
    for each in (folded, reduce(model).model):
        np.testing.assert_array_equal(each.run(images)[graph.outputs[0]], model.run(images)[graph.outputs[0]])
    assert len(np.unique(model.run(images)[graph.outputs[0]])) > 4


@pytest.mark.parametrize(
    "between",
    [
        [],
        [depthwise(2)],
        [PRelu(), MaxPool2d(kernel=2), depthwise(), Relu()],
        [AveragePool2d(kernel=2), depthwise()],
    ],
)
def test_behind_it_a_dense_convolution(between):
    build = grouped()
    for number, op in enumerate(between):
        build(f"between{number}", op)
    build("dense", Conv2d(channels=5, kernel=3, padding="same"))
    check(build.graph(), [])


@pytest.mark.parametrize(
    "between", [[GlobalAveragePool()], [Flatten()], [GlobalAveragePool(keep_dims=True), Flatten()]]
)
def test_behind_it_a_dense_layer(between):
    build = grouped()
    for number, op in enumerate(between):
        build(f"between{number}", op)
    build("dense", Dense(features=7))
    check(build.graph(), [])


def test_behind_it_two_branches():
    build = grouped()
    build("left", depthwise(), "shuffle")
    build("left_out", Conv2d(channels=4, kernel=1))
    build("right_out", Conv2d(channels=4, kernel=1), "shuffle")
    build("sum", Add(), "left_out", "right_out")
    check(build.graph(), [])


def test_before_it_a_dense_convolution():
    build = Builder("shuffled", (4, 4, 6))
    build("dense", Conv2d(channels=12, kernel=3, padding="same"))
    build("depthwise", depthwise())
    build("shuffle", ChannelShuffle(groups=3))
    build("out", Conv2d(channels=12, kernel=1, groups=3))
    check(build.graph(), [])


def test_shuffles_that_stay():
    """Between grouped convolutions, before a split, before a sum, where it is an output, and where others read too."""
    build = grouped()
    build("out", Conv2d(channels=12, kernel=1, groups=3))
    check(build.graph(), ["shuffle"])
    build = grouped()
    kept = build("kept", Slice(begin=(0, 0, 0), size=(4, 4, 6)), "shuffle")
    build("branch", Conv2d(channels=6, kernel=1), "shuffle")
    check(build.graph(build("out", Concat(), kept, "branch")), ["shuffle"])
    build = grouped()
    build("sum", Add(), "shuffle", "grouped")
    build("out", Conv2d(channels=3, kernel=1))
    check(build.graph(), ["shuffle"])
    check(grouped().graph(), ["shuffle"])
    build = Builder("read_twice", (4, 4, 6))
    build("dense", Conv2d(channels=12, kernel=1))
    build("shuffle", ChannelShuffle(groups=3))
    build("sum", Add(), "shuffle", "dense")
    check(build.graph(), ["shuffle"])
