"""Lifetimes, sharing and the plans of known networks."""

from dataclasses import dataclass
from math import prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millijoule import zoo
from millijoule.errors import ModelError, OptionError
from millijoule.graph import Builder, Graph, Input, Node, Operator, OperatorCost
from millijoule.model import Model, OperatorQuantization, Quantization
from millijoule.ops import Add, Concat, Conv2d, Dense, Flatten, LocalResponseNorm, Multiply, Relu, Reshape, Slice
from millijoule.ops.base import Call
from millijoule.passes import simplify
from millijoule.plan import plan, verify
from millijoule.plan.lifetimes import lifetimes
from millijoule.plan.placement import most_live
from tests.networks import small_graph, small_int8_model


@dataclass(frozen=True, kw_only=True)
class Blur(Operator):
    """An operator whose kernel asks for working memory: two calls, which share it."""

    scratch: int

    def shape(self, x):
        return x

    def cost(self, x):
        return OperatorCost()

    def module(self, x):
        raise NotImplementedError

    def call(self, x, weights, quantization, target):
        return tuple(Call("mj_blur", "blur.h", {}, scratch_bytes=size) for size in (self.scratch, self.scratch // 2))


@dataclass(frozen=True, kw_only=True)
class OverFirst(Blur):
    """Two inputs of which the output may overwrite the first only."""

    scratch: int = 0
    in_place = (0,)

    def shape(self, x, y):
        return x


@dataclass(frozen=True, kw_only=True)
class Halve(Blur):
    """An operator in place whose output is smaller than its input."""

    scratch: int = 0
    in_place = (0,)

    def shape(self, x):
        return (x[0] // 2, *x[1:])


def quantized(graph: Graph) -> Model:
    """An int8 model of a graph whose operators have no numbers."""
    return Model(graph, {}, dict.fromkeys(graph.shapes, Quantization.of(1.0)))


def spans(network) -> list[tuple[str, int, int, int]]:
    return [(" ".join(held.values), held.bytes, held.first, held.last) for held in lifetimes(network)]


def test_a_value_lives_from_its_writer_to_its_last_reader():
    build = Builder("chain", (2, 2, 1))
    build("a", Conv2d(channels=3, kernel=1))
    build("b", Conv2d(channels=2, kernel=1))
    build("c", Conv2d(channels=4, kernel=1), "a")
    build("sum", Add(), "c", "c")
    build("out", OverFirst(), "b", "sum")
    assert spans(build.graph()) == [
        ("input", 4, 0, 1),
        ("a", 12, 1, 3),
        ("b out", 8, 2, 5),
        ("c sum", 16, 3, 5),
    ]


def test_outputs_live_to_the_end_and_unread_values_for_one_step():
    build = Builder("two", (4,))
    build("a", Dense(features=3))
    build("unread", Dense(features=5), "a")
    build("b", Dense(features=2), "a")
    build("c", Dense(features=1), "b")
    graph = Graph("two", (*build.inputs, Input("spare", (7,))), tuple(build.nodes), ("a", "c"))
    assert spans(graph) == [
        ("input", 4, 0, 1),
        ("spare", 7, 0, 0),
        ("a", 3, 1, 4),
        ("unread", 5, 2, 2),
        ("b", 2, 3, 4),
        ("c", 1, 4, 4),
    ]


def test_an_input_that_is_an_output_lives_to_the_end():
    build = Builder("through", (4,))
    build("a", Dense(features=3))
    assert spans(build.graph("input", "a")) == [("input", 4, 0, 1), ("a", 3, 1, 1)]


def test_aliases_share_and_keep_memory_alive():
    build = Builder("alias", (2, 2, 3))
    build("flat", Flatten())
    build("a", Dense(features=12))
    build("again", Reshape(target=(12,)), "flat")
    build("sum", Add(), "a", "again")
    assert spans(build.graph()) == [("input flat again", 12, 0, 4), ("a sum", 12, 2, 4)]


def test_in_place_takes_the_first_input_that_dies():
    build = Builder("residual", (4,))
    x = build("x", Dense(features=4))
    y = build("y", Dense(features=4))
    build("sum", Add(), x, y)
    build("relu", Relu())
    build("product", Multiply(), "relu", y)
    assert spans(build.graph()) == [("input", 4, 0, 1), ("x sum relu product", 4, 1, 5), ("y", 4, 2, 5)]


def test_in_place_spares_what_is_read_later():
    build = Builder("later", (4,))
    x = build("x", Dense(features=4))
    relu = build("relu", Relu(), x)
    build("sum", Add(), x, relu)
    assert spans(build.graph()) == [("input", 4, 0, 1), ("x sum", 4, 1, 3), ("relu", 4, 2, 3)]


def test_in_place_spares_the_alias_that_is_read_later():
    build = Builder("alias_later", (2, 2, 1))
    flat = build("flat", Flatten(), "input")
    relu = build("relu", Relu(), "input")
    build("other", Flatten(), relu)
    build("sum", Add(), flat, "other")
    assert spans(build.graph()) == [("input flat sum", 4, 0, 4), ("relu other", 4, 2, 4)]


def test_in_place_spares_outputs():
    build = Builder("kept", (4,))
    x = build("x", Dense(features=4))
    build("relu", Relu())
    assert spans(build.graph(x, "relu")) == [("input", 4, 0, 1), ("x", 4, 1, 2), ("relu", 4, 2, 2)]


def test_in_place_needs_an_input_of_the_same_size():
    build = Builder("halves", (4,))
    build("half", Halve())
    assert spans(build.graph()) == [("input", 4, 0, 1), ("half", 2, 1, 1)]


def test_a_value_added_to_itself_is_in_place():
    build = Builder("double", (4,))
    build("x", Dense(features=4))
    build("sum", Add(), "x", "x")
    assert spans(build.graph()) == [("input", 4, 0, 1), ("x sum", 4, 1, 2)]


def test_memory_that_an_input_not_to_be_overwritten_shares_is_spared():
    nodes = (
        Node("flat", Flatten(), ("input",)),
        Node("over", OverFirst(), ("input", "flat")),
        Node("end", OverFirst(), ("over", "flat")),
    )
    graph = Graph("shared", (Input("input", (2, 2, 1)),), nodes, ("end",))
    assert spans(graph) == [("input flat", 4, 0, 3), ("over end", 4, 2, 3)]


def test_working_memory_is_held_in_its_step_only():
    build = Builder("blur", (4, 4, 1))
    build("a", Blur(scratch=10))
    build("b", Blur(scratch=0))
    build("c", Blur(scratch=6))
    graph = build.graph()
    model = quantized(graph)
    assert spans(model) == [
        ("input", 16, 0, 1),
        ("a", 16, 1, 2),
        ("a.scratch", 10, 1, 1),
        ("b", 16, 2, 3),
        ("c", 16, 3, 3),
        ("c.scratch", 6, 3, 3),
    ]
    assert [name for name, *_ in spans(graph)] == ["input", "a", "b", "c"]
    planned = plan(model)
    verify(model, planned)
    assert planned.arena_bytes == 42
    assert planned.offsets["a.scratch"] % 4 == 0


def test_an_operator_without_a_kernel_is_named():
    build = Builder("norm", (4, 4, 2))
    build("lrn", LocalResponseNorm(size=3, alpha=1e-4, beta=0.75, k=1.0))
    with pytest.raises(ModelError, match=r"node 'lrn' \(LocalResponseNorm\)"):
        plan(quantized(build.graph()))


# Executed layer by layer, int8, the input included, additions in place.
@pytest.mark.parametrize(
    ("name", "arena"),
    [
        ("resnet8", 49_152),
        ("mobilenet_v1_025", 55_296),
        ("ds_cnn", 16_000),
        ("autoencoder", 768),
        ("lenet5", 5_880),
    ],
)
def test_known_networks_reach_their_known_arena(name, arena):
    graph = simplify(zoo.get(name))
    planned = plan(graph)
    verify(graph, planned)
    assert planned.arena_bytes == planned.lower_bound_bytes == max(planned.live_bytes) == arena
    assert planned.is_optimal
    assert planned.steps == ("input", *(node.name for node in graph.nodes))


def test_every_network_of_the_zoo_as_it_is_trained():
    for entry in zoo.entries():
        graph = entry.function()
        planned = plan(graph)
        verify(graph, planned)
        assert planned.is_optimal


def test_an_int8_model_and_its_graph_have_the_same_plan():
    assert plan(small_int8_model()) == plan(small_graph())


@pytest.mark.parametrize("alignment", [1, 2, 4, 8, 16])
def test_offsets_are_aligned(alignment):
    planned = plan(small_graph(), alignment=alignment)
    assert all(offset % alignment == 0 for offset in planned.offsets.values())


@pytest.mark.parametrize("alignment", [0, 3, 32, -4])
def test_an_alignment_that_the_arena_does_not_have(alignment):
    with pytest.raises(OptionError, match=f"alignment is {alignment}; it must be one of 1, 2, 4, 8, 16"):
        plan(small_graph(), alignment=alignment)


def test_plans_as_json():
    value = plan(small_graph()).to_json()
    assert value.keys() == {
        "model", "arena_bytes", "lower_bound_bytes", "instructions", "steps", "buffers", "joined", "notes"
    }  # fmt: skip
    assert value["buffers"][0] == {"values": ["input"], "bytes": 144, "first": 0, "last": 1, "offset": 576, "parts": []}
    assert value["joined"] == value["notes"] == []


@st.composite
def graphs(draw) -> Graph:
    """Random networks on maps of 2x3: branches, joins, aliases, in-place operators, several inputs and outputs."""
    inputs = tuple(Input(f"in{i}", (2, 3, draw(st.integers(1, 3)))) for i in range(draw(st.integers(1, 2))))
    shapes = {input.name: input.shape for input in inputs}
    nodes = []
    for index in range(draw(st.integers(1, 12))):
        names = sorted(shapes)
        x = draw(st.sampled_from(names))
        same = [name for name in names if shapes[name] == shapes[x]]
        choices = [(Relu(), (x,)), (Reshape(target=(prod(shapes[x]),)), (x,)), (Reshape(target=shapes[x]), (x,))]
        choices += [(Add(), (x, draw(st.sampled_from(same)))), (OverFirst(), (x, draw(st.sampled_from(same))))]
        if len(shapes[x]) == 3:
            maps = [name for name in names if len(shapes[name]) == 3]
            choices += [(Concat(), (x, draw(st.sampled_from(maps)))), (Concat(), (*maps, x))]
            begin = draw(st.integers(0, shapes[x][2] - 1))
            size = draw(st.integers(1, shapes[x][2] - begin))
            choices += [(Slice(begin=(0, 0, begin), size=(*shapes[x][:2], size)), (x,))]
            choices += [(Conv2d(channels=draw(st.integers(1, 5)), kernel=1), (x,))]
        op, reads = draw(st.sampled_from(choices))
        node = Node(f"n{index}", op, reads)
        nodes.append(node)
        shapes[node.name] = op.shape(*(shapes[name] for name in reads))
    outputs = tuple(draw(st.lists(st.sampled_from(sorted(shapes)), min_size=1, max_size=3, unique=True)))
    return Graph("random", inputs, tuple(nodes), outputs)


@settings(deadline=None, max_examples=150)
@given(graphs(), st.sampled_from([1, 4]))
def test_random_networks_are_planned_without_a_wrong_byte(graph, alignment):
    planned = plan(graph, alignment=alignment)
    verify(graph, planned)
    items = [(buffer.first, buffer.last, buffer.bytes) for buffer in planned.buffers]
    assert planned.arena_bytes >= planned.lower_bound_bytes >= most_live(items, alignment)
    assert planned.arena_bytes == max(buffer.end for buffer in planned.buffers)
    assert max(planned.live_bytes) <= planned.arena_bytes
    assert sorted(value for buffer in planned.buffers for value in buffer.values) == sorted(graph.shapes)


@settings(deadline=None, max_examples=100)
@given(graphs())
def test_executing_on_the_planned_arena_gives_the_same_numbers(graph):
    """The plan as a program would use it: every operator reads and writes one shared array."""
    planned, unit = plan(graph), Quantization.of(1.0)
    arena = np.zeros(planned.arena_bytes, np.int8)

    def at(name: str) -> np.ndarray:
        """The addresses of a value."""
        *_, channels = shape = graph.shapes[name]
        pixels = np.arange(prod(shape) // channels)[:, None] * planned.pixel_bytes.get(name, channels)
        return planned.offsets[name] + (pixels + np.arange(channels)).ravel()

    def compute(node: Node, x: list[np.ndarray]) -> np.ndarray:
        """Any function of the inputs that tells them, and the nodes, apart; what moves numbers does."""
        if isinstance(node.op, Concat | Slice):
            maps = (array.reshape(1, *shape) for array, shape in zip(x, graph.input_shapes(node), strict=True))
            same = OperatorQuantization((unit,) * len(x), {}, unit)
            return node.op.int8(*maps, weights={}, quantization=same).ravel()
        total = sum(np.int64(3 + i) * np.resize(array, prod(graph.shapes[node.name])) for i, array in enumerate(x))
        return ((total + 7 * sum(map(ord, node.name))) % 251 - 125).astype(np.int8)

    rng = np.random.default_rng(0)
    values = {input.name: rng.integers(-128, 128, prod(input.shape), dtype=np.int8) for input in graph.inputs}
    for input in graph.inputs:
        arena[at(input.name)] = values[input.name]
    for node in graph.nodes:
        if node.op.alias:
            values[node.name] = values[node.inputs[0]]
        else:
            values[node.name] = compute(node, [values[name] for name in node.inputs])
            if node.name not in planned.joined:
                arena[at(node.name)] = compute(node, [arena[at(name)] for name in node.inputs])
    for output in graph.outputs:
        assert np.array_equal(arena[at(output)], values[output])
