"""The verifier must reject every plan that would go wrong, and say where."""

from dataclasses import replace

import pytest

from millijoule.errors import ModelError
from millijoule.graph import Builder, Graph
from millijoule.ops import Add, Conv2d, Dense, Flatten, Relu
from millijoule.plan import Buffer, Plan, PlanError, plan, verify
from tests.networks import small_graph
from tests.plan.test_plan import Blur, quantized


def residual() -> Graph:
    """input 16 → a 16 → b 16 → add of both, in place → flat, its alias → 2 outputs."""
    build = Builder("residual", (4, 4, 1))
    build("a", Conv2d(channels=1, kernel=3, padding="same"))
    build("b", Conv2d(channels=1, kernel=3, padding="same"))
    build("sum", Add(), "a", "b")
    build("flat", Flatten())
    build("out", Dense(features=2))
    return build.graph()


def plan_at(**offsets: int) -> Plan:
    """A plan of `residual` with every value in a buffer of its own."""
    graph = residual()
    offsets = {"input": 0, "a": 16, "b": 32, "sum": 48, "flat": 48, "out": 64} | offsets
    buffers = tuple(
        Buffer((name,), graph.shapes[name][0] if len(graph.shapes[name]) == 1 else 16, 0, 5, offset)
        for name, offset in offsets.items()
    )
    return Plan("residual", ("input", *graph.by_name), buffers, 66, 0)


def assert_rejected(bad: Plan, *words: str, graph: Graph | None = None) -> None:
    with pytest.raises(PlanError) as error:
        verify(graph or residual(), bad)
    message = str(error.value)
    assert "\n" not in message
    for word in words:
        assert word in message


def test_accepts_what_is_right():
    verify(residual(), plan_at())
    verify(residual(), plan_at(out=0))
    verify(residual(), plan_at(b=0, sum=0, flat=0))
    verify(residual(), plan_at(sum=16, flat=16))
    verify(residual(), plan(residual()))


def test_plan_errors_are_model_errors():
    assert issubclass(PlanError, ModelError)


def test_a_value_over_one_that_is_still_needed():
    assert_rejected(plan_at(b=20), "step 'b'", "writes 'b' at 20 to 35", "'a' at 16 to 31", "address 20")


def test_a_residual_overwritten_before_it_is_read():
    build = Builder("long", (4, 4, 1))
    for name in ("a", "b", "c"):
        build(name, Conv2d(channels=1, kernel=3, padding="same"))
    build("sum", Add(), "a", "c")
    graph = build.graph()
    good = plan(graph)
    verify(graph, good)
    a = good.offsets["a"]
    bad = replace(good, buffers=tuple(replace(b, offset=a + 4) if b.name == "c" else b for b in good.buffers))
    assert_rejected(
        replace(bad, arena_bytes=99), "step 'sum'", "byte 4 of 'a'", f"address {a + 4}", "byte 0 of 'c'", graph=graph
    )


def test_an_input_overwritten_too_early():
    """A convolution is not element by element: it may not write over what it still reads."""
    assert_rejected(plan_at(a=0), "step 'a'", "writes 'a' at 0 to 15 over 'input' at 0 to 15")


def test_in_place_needs_the_very_same_place():
    assert_rejected(plan_at(sum=17, flat=17), "step 'sum'", "over 'a' at 16 to 31", "address 17")


def test_in_place_needs_an_operator_that_allows_it():
    build = Builder("chain", (8,))
    build("x", Dense(features=8))
    graph = build.graph()
    bad = Plan("chain", ("input", "x"), (Buffer(("input", "x"), 8, 0, 1, 0),), 8, 8)
    assert_rejected(bad, "writes 'x' at 0 to 7 over 'input'", graph=graph)


def test_an_in_place_result_over_an_input_that_is_read_again():
    build = Builder("again", (4,))
    x = build("x", Dense(features=4))
    relu = build("relu", Relu(), x)
    build("out", Add(), x, relu)
    graph = build.graph()
    bad = Plan(
        "again",
        ("input", "x", "relu", "out"),
        (Buffer(("input",), 4, 0, 1, 0), Buffer(("x", "relu", "out"), 4, 1, 3, 4)),
        8,
        8,
    )
    assert_rejected(bad, "step 'out'", "reads byte 0 of 'x' at address 4", "byte 0 of 'relu'", graph=graph)


def test_an_alias_elsewhere():
    assert_rejected(plan_at(flat=0), "step 'flat'", "reads byte 0 of 'flat' at address 0")
    assert_rejected(plan_at(flat=47), "byte 0 of 'flat' at address 47", "byte 15 of 'b'")


def test_an_arena_that_is_too_small():
    assert_rejected(replace(plan_at(), arena_bytes=65), "step 'out'", "'out' at address 64 to 65", "arena of 65 bytes")
    assert_rejected(plan_at(input=-4), "step 'input'", "'input' at address -4", "outside the arena")


def test_a_value_without_a_place():
    good = plan_at()
    without = replace(good, buffers=tuple(buffer for buffer in good.buffers if buffer.name != "b"))
    assert_rejected(without, "step 'b'", "'b'", "no place")


def test_an_output_overwritten_before_the_end():
    build = Builder("two", (4,))
    for name in ("a", "b", "c"):
        build(name, Dense(features=4))
    graph = build.graph("a", "c")
    buffers = tuple(Buffer((name,), 4, 0, 3, at) for name, at in {"input": 0, "a": 4, "b": 8, "c": 4}.items())
    bad = Plan("two", ("input", "a", "b", "c"), buffers, 12, 12)
    assert_rejected(bad, "step 'the end'", "byte 0 of 'a' at address 4", "byte 0 of 'c'", graph=graph)


@pytest.mark.parametrize(
    ("offset", "words"),
    [
        (8, ["writes 'b.scratch' at 8 to 15", "'a' at 0 to 15"]),
        (20, ["writes 'b.scratch' at 20 to 27", "'b' at 16 to 31"]),
        (60, ["'b.scratch' at address 60", "outside"]),
        (None, ["'b.scratch'", "no place"]),
        (40, ["step 'c'", "'keep' at address 40"]),
    ],
)
def test_working_memory_that_harms(offset, words):
    build = Builder("blur", (4, 4, 1))
    build("keep", Conv2d(channels=1, kernel=1))
    build("a", Blur(scratch=0), "input")
    build("b", Blur(scratch=8))
    build("c", Add(), "b", "keep")
    graph = build.graph()
    places = {"input": 16, "keep": 32, "a": 0, "b": 16, "c": 48}
    buffers = [Buffer((name,), 16, 0, 4, at) for name, at in places.items()]
    if offset is not None:
        buffers.append(Buffer(("b.scratch",), 8, 3, 3, offset))
    model = quantized_with_convolution(graph)
    with pytest.raises(PlanError) as error:
        verify(model, Plan("blur", ("input", *graph.by_name), tuple(buffers), 64, 0))
    for word in words:
        assert word in str(error.value)


def quantized_with_convolution(graph: Graph):
    import numpy as np

    from millijoule.model import Model

    model = quantized(Graph("none", graph.inputs, (), (graph.inputs[0].name,)))
    entry = next(iter(model.quantization.values()))
    weights = {"keep.weight": np.ones((1, 1, 1, 1), np.int8), "keep.bias": np.zeros(1, np.int32)}
    return Model(graph, weights, dict.fromkeys([*graph.shapes, "keep.weight"], entry))


def test_every_small_shift_of_a_full_arena_is_found():
    """In a plan without slack, moving any buffer that is read must be noticed."""
    graph = small_graph()
    good = plan(graph)
    verify(graph, good)
    fullest = max(range(len(good.steps)), key=lambda step: good.live_bytes[step])
    for index, buffer in enumerate(good.buffers):
        if buffer.first <= fullest <= buffer.last:
            for shift in (-1, 1):
                moved = list(good.buffers)
                moved[index] = replace(buffer, offset=buffer.offset + shift)
                with pytest.raises(PlanError):
                    verify(graph, replace(good, buffers=tuple(moved)))
