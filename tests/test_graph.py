"""A bad graph cannot be constructed, and the error says where and what."""

from __future__ import annotations

import dataclasses

import pytest

from millijoule.errors import ModelError
from millijoule.graph import Builder, Graph, Input, Node, Param
from millijoule.ops import Add, BatchNorm, Concat, Conv2d, Dense, Flatten, MaxPool2d, Relu

X = Input("x", (4, 4, 2))


def graph(*nodes: Node, inputs: tuple[Input, ...] = (X,), outputs: tuple[str, ...] | None = None) -> Graph:
    return Graph("net", inputs, nodes, (nodes[-1].name,) if outputs is None else outputs)


def test_shapes_follow_the_nodes():
    found = graph(
        Node("conv", Conv2d(channels=3, kernel=3), ("x",)),
        Node("relu", Relu(), ("conv",)),
        Node("add", Add(), ("relu", "conv")),
        Node("flat", Flatten(), ("add",)),
    )
    assert found.shapes == {"x": (4, 4, 2), "conv": (2, 2, 3), "relu": (2, 2, 3), "add": (2, 2, 3), "flat": (12,)}
    assert list(found.shapes) == ["x", "conv", "relu", "add", "flat"]
    assert found.input_shapes(found.by_name["add"]) == ((2, 2, 3), (2, 2, 3))


def test_params_are_named_by_node_and_array():
    found = graph(Node("conv", Conv2d(channels=3, kernel=(3, 1)), ("x",)), Node("norm", BatchNorm(), ("conv",)))
    params = found.params()
    assert params["conv.weight"] == Param((3, 3, 1, 2), "weight")
    assert params["conv.bias"] == Param((3,), "bias")
    assert list(params) == ["conv.weight", "conv.bias", "norm.scale", "norm.bias", "norm.mean", "norm.variance"]
    assert [param.trainable for param in params.values()] == [True, True, True, True, False, False]
    assert params["conv.weight"].count == 18


def test_the_builder_reads_what_was_added_last_or_what_is_named():
    build = Builder("net", (4, 4, 2))
    first = build("first", Relu())
    build("second", Relu())
    build("both", Concat(), first, "second")
    found = build.graph()
    assert [node.inputs for node in found.nodes] == [("input",), ("first",), ("first", "second")]
    assert found.outputs == ("both",)
    assert build.graph(first, "both").outputs == ("first", "both")


def test_a_graph_is_its_parts():
    one, other = (graph(Node("relu", Relu(), ("x",))) for _ in range(2))
    assert one == other
    assert one != dataclasses.replace(one, name="other")
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.name = "other"


WRONG = [
    (
        lambda: graph(Node("conv", Conv2d(channels=3, kernel=5), ("x",))),
        r"node 'conv' \(Conv2d\): the window reaches over 5 rows of height, the padded input has 4: use a smaller",
    ),
    (
        lambda: graph(Node("conv", Conv2d(channels=4, kernel=1, groups=4), ("x",))),
        r"node 'conv' \(Conv2d\): 2 input channels cannot be split into 4 groups",
    ),
    (
        lambda: graph(Node("pool", MaxPool2d(kernel=2), ("x",)), Node("sum", Add(), ("pool", "x"))),
        r"node 'sum' \(Add\): the inputs have shapes \(2, 2, 2\) and \(4, 4, 2\)",
    ),
    (
        lambda: graph(Node("flat", Flatten(), ("x",)), Node("conv", Conv2d(channels=1, kernel=1), ("flat",))),
        r"node 'conv' \(Conv2d\): the input has shape \(32,\); a map .* of 3 sizes is needed",
    ),
    (lambda: graph(Node("relu", Relu(), ("y",))), "node 'relu' reads 'y', which no earlier node produces"),
    (
        lambda: graph(Node("a", Relu(), ("b",)), Node("b", Relu(), ("a",))),
        "node 'a' reads 'b', which no earlier node produces",
    ),
    (lambda: graph(Node("a", Relu(), ("a",))), "node 'a' reads 'a', which no earlier node produces"),
    (lambda: graph(Node("a", Relu(), ("x",)), Node("a", Relu(), ("x",))), "graph 'net': two values are named 'a'"),
    (lambda: graph(Node("x", Relu(), ("x",))), "graph 'net': two values are named 'x'"),
    (lambda: graph(Node("a", Relu(), ("x",)), inputs=(X, X)), "graph 'net': two inputs are named 'x'"),
    (
        lambda: graph(Node("a", Relu(), ("x",)), inputs=(Input("x", (4, 0, 2)),)),
        r"graph 'net': input 'x' has shape \(4, 0, 2\); every size must be 1 or more",
    ),
    (lambda: graph(Node("a", Relu(), ("x",)), inputs=(Input("x", ()),)), r"input 'x' has shape \(\)"),
    (lambda: graph(Node("a", Relu(), ("x",)), outputs=("b",)), "graph 'net': output 'b' is produced by no node"),
    (lambda: graph(Node("a", Relu(), ("x",)), outputs=()), "graph 'net' has no output"),
    # The number of inputs is a matter of the graph, not of Python.
    (lambda: graph(Node("a", Relu(), ("x", "x"))), r"node 'a' \(Relu\): it reads 2 values; it takes 1"),
    (lambda: graph(Node("a", Add(), ("x",))), r"node 'a' \(Add\): it reads 1 value; it takes 2"),
    (lambda: graph(Node("a", Dense(features=2), ())), r"node 'a' \(Dense\): it reads 0 values; it takes 1"),
]


@pytest.mark.parametrize(("make", "message"), WRONG, ids=[message for _, message in WRONG])
def test_a_bad_graph_cannot_be_constructed(make, message):
    with pytest.raises(ModelError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)
