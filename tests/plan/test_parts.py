"""Values that are parts of larger pixels: which are, what memory they take, and that wrong ones are rejected."""

from dataclasses import replace

import pytest

from millijoule import zoo
from millijoule.graph import Builder, Graph
from millijoule.ops import Add, AveragePool2d, Concat, Conv2d, Dense, Flatten, MaxPool2d, Relu, Resize2d, Slice, Softmax
from millijoule.passes import simplify
from millijoule.plan import Plan, PlanError, plan, verify
from millijoule.plan.parts import Place, parts
from tests.plan.test_plan import spans


def planned(graph: Graph) -> Plan:
    found = plan(graph)
    verify(graph, found)
    return found


def fire() -> Graph:
    """input 4x4x1 → squeeze 2 → 3 and 5 side by side → 2."""
    build = Builder("fire", (4, 4, 1))
    squeeze = build("squeeze", Conv2d(channels=2, kernel=1))
    build("a", Conv2d(channels=3, kernel=1), squeeze)
    build("b", Conv2d(channels=5, kernel=3, padding="same"), squeeze)
    build("both", Concat(), "a", "b")
    build("out", Conv2d(channels=2, kernel=1))
    return build.graph()


def test_a_concatenation_is_written_by_the_kernels_of_its_inputs():
    graph = fire()
    assert spans(graph) == [("input", 16, 0, 1), ("squeeze", 32, 1, 3), ("a b both", 128, 2, 5), ("out", 32, 5, 5)]
    found = planned(graph)
    assert found.joined == {"both"}
    assert found.pixel_bytes == {"a": 8, "b": 8}
    assert found.offsets["a"] == found.offsets["both"]
    assert found.offsets["b"] == found.offsets["both"] + 3
    # With a copy: squeeze, a and b, or a, b and both.
    assert found.arena_bytes == 32 + 128


def dense_block() -> Graph:
    """Each layer reads all before it."""
    build = Builder("dense", (2, 2, 1))
    values = [build("x0", Conv2d(channels=4, kernel=1))]
    for number in range(1, 4):
        if number > 1:
            build(f"cat{number}", Concat(), *values)
        build(f"norm{number}", Conv2d(channels=build.shape[2], kernel=1, groups=build.shape[2]))
        values.append(build(f"x{number}", Conv2d(channels=2, kernel=3, padding="same")))
    build("all", Concat(), *values)
    build("out", Conv2d(channels=1, kernel=1))
    return build.graph()


def test_concatenations_that_grow_are_one():
    found = planned(dense_block())
    assert found.joined == {"cat2", "cat3", "all"}
    places = {value: at - found.offsets["all"] for value, at in found.offsets.items() if value in found.pixel_bytes}
    assert places == {"x0": 0, "x1": 4, "x2": 6, "x3": 8, "cat2": 0, "cat3": 0}
    assert set(found.pixel_bytes.values()) == {10}


def test_a_concatenation_in_another():
    build = Builder("nested", (2, 2, 1))
    for name in ("a", "b", "c"):
        build(name, Conv2d(channels=2, kernel=1), "input")
    build("inner", Concat(), "b", "c")
    build("outer", Concat(), "a", "inner")
    graph = build.graph()
    assert parts(graph) == {
        "a": Place("outer", 0), "inner": Place("outer", 2), "b": Place("outer", 2), "c": Place("outer", 4)
    }  # fmt: skip
    assert planned(graph).joined == {"inner", "outer"}


def test_halves_are_read_where_they_lie():
    build = Builder("halves", (2, 2, 1))
    x = build("x", Conv2d(channels=4, kernel=1))
    kept = build("kept", Slice(begin=(0, 0, 0), size=(2, 2, 2)), x)
    build("branch", Slice(begin=(0, 0, 2), size=(2, 2, 2)), x)
    build("y", Conv2d(channels=2, kernel=1), "branch")
    build("joined", Concat(), kept, "y")
    found = planned(build.graph())
    assert found.pixel_bytes == {"kept": 4, "branch": 4, "y": 4}
    assert found.joined == {"kept", "branch"}
    assert found.offsets["branch"] == found.offsets["x"] + 2


@pytest.mark.parametrize(
    ("op", "reader", "reason"),
    [
        (Flatten(), Dense(features=3), "an alias lies in one piece"),
        (Conv2d(channels=1, kernel=3), None, "its windows are runs of bytes"),
        (Softmax(), None, "its kernel goes from number to number"),
        (Slice(begin=(0, 0, 0), size=(2, 2, 1)), None, "a slice of rows is copied"),
    ],
)
def test_what_cannot_be_read_as_a_part_is_none(op, reader, reason):
    build = Builder("read", (4, 4, 1))
    build("x", Conv2d(channels=3, kernel=1))
    build("y", Conv2d(channels=2, kernel=1), "input")
    build("both", Concat(), "x", "y")
    build("other", op, "x")
    if reader is not None:
        build("last", reader)
    graph = build.graph("both", build.last)
    assert parts(graph) == {"y": Place("both", 3)}, reason
    planned(graph)


def test_what_is_seen_from_outside_is_no_part():
    build = Builder("outside", (4, 4, 1))
    build("x", Conv2d(channels=3, kernel=1))
    build("both", Concat(), "x", "input")
    graph = build.graph("x", "both")
    assert parts(graph) == {}
    planned(graph)


def test_a_value_that_is_given_twice_is_copied():
    build = Builder("twice", (4, 4, 1))
    build("x", Conv2d(channels=3, kernel=1))
    build("y", Conv2d(channels=3, kernel=1), "input")
    build("both", Concat(), "x", "y", "x")
    graph = build.graph()
    assert parts(graph) == {"y": Place("both", 3)}
    planned(graph)


def test_a_value_that_belongs_elsewhere_in_what_it_would_lie_in_is_copied():
    """`x` would lie in `inner`, and so in `outer`, which copies it to two other places."""
    build = Builder("again", (2, 3, 1))
    build("x", Relu())
    build("inner", Concat(), "input", "x")
    build("y", Relu(), "input")
    build("outer", Concat(), "inner", "y", "x", "x")
    graph = build.graph()
    assert parts(graph) == {"inner": Place("outer", 0), "y": Place("outer", 2)}
    planned(graph)


def test_what_a_concatenation_would_change_before_it_is_read_is_found():
    build = Builder("twice", (4, 4, 1))
    build("x", Conv2d(channels=3, kernel=1))
    build("y", Conv2d(channels=3, kernel=1), "input")
    build("both", Concat(), "x", "y", "x")
    graph = build.graph()
    found = planned(graph)
    moved = tuple(replace(each, offset=found.offsets["both"]) if "x" in each.values else each for each in found.buffers)
    with pytest.raises(PlanError, match="'both'"):
        verify(graph, replace(found, buffers=moved))


def test_a_skip_connection_is_copied_where_its_concatenation_would_lie_in_the_way():
    """As in U-Net: what lies between is largest."""
    build = Builder("skip", (8, 8, 1))
    skip = build("skip", Conv2d(channels=2, kernel=1))
    build("wide", Conv2d(channels=16, kernel=1))
    build("down", MaxPool2d(kernel=2))
    build("up", Resize2d(size=(8, 8)))
    build("both", Concat(), skip, "up")
    graph = build.graph()
    assert set(parts(graph)) == {"skip", "up"}
    found = planned(graph)
    assert found.pixel_bytes.keys() == {"up"}
    assert found.arena_bytes == 64 * (2 + 18) + 16 * 16


@pytest.mark.parametrize(
    ("name", "joined", "arena"),
    # Every concatenation of DenseNet and SqueezeNet; of ShuffleNet V2 all slices, and the first one of each stage.
    [("densenet121", 58, 155_648), ("squeezenet1_1", 8, 75_904), ("shufflenet_v2", 13 + 13 + 3, 36_864)],
)
def test_networks_of_the_zoo(name, joined, arena):
    found = planned(simplify(zoo.get(name, input_shape=(64, 64, 3))))
    assert (len(found.joined), found.arena_bytes) == (joined, arena)


def with_part(graph: Graph, value: str, **change: int) -> Plan:
    """The plan of a graph, that part changed."""
    found = plan(graph)
    return replace(
        found,
        buffers=tuple(
            replace(
                buffer,
                parts=tuple(replace(part, **change) if part.value == value else part for part in buffer.parts),
            )
            for buffer in found.buffers
        ),
    )


@pytest.mark.parametrize(
    ("value", "change", "words"),
    [
        ("b", {"offset": 2}, ["step 'both'", "reads byte 2 of 'a'", "byte 0 of 'b'"]),
        ("b", {"offset": 4}, ["step 'b'", "writes 'b' at 4 to 128 over 'squeeze'"]),
        ("a", {"pixel_bytes": 7}, ["step 'both'", "reads byte"]),
        ("a", {"pixel_bytes": 3}, ["step 'both'", "reads byte"]),
    ],
)
def test_a_part_in_another_place_is_rejected(value, change, words):
    with pytest.raises(PlanError) as error:
        verify(fire(), with_part(fire(), value, **change))
    for word in words:
        assert word in str(error.value)


def test_a_part_that_a_kernel_cannot_write_is_rejected():
    build = Builder("chain", (2, 2, 2))
    build("x", Softmax())
    build("y", AveragePool2d(kernel=1))
    build("both", Concat(), "x", "y")
    graph = build.graph()
    found = plan(graph)
    assert found.pixel_bytes.keys() == {"y"}
    whole = next(buffer for buffer in found.buffers if "both" in buffer.values)
    part = replace(whole.parts[0], value="x", offset=0)
    wrong = replace(whole, values=("x", *whole.values), parts=(part, *whole.parts), first=1)
    moved = tuple(wrong if buffer == whole else buffer for buffer in found.buffers if buffer.values != ("x",))
    with pytest.raises(PlanError, match="step 'x' cannot leave other bytes between the pixels of 'x'"):
        verify(graph, replace(found, buffers=moved))


def test_a_concatenation_that_only_seems_to_have_nothing_to_do_is_rejected():
    build = Builder("twice", (4, 4, 1))
    build("x", Conv2d(channels=3, kernel=1))
    build("both", Concat(), "x", "x")
    build("sum", Add(), "both", "both")
    graph = build.graph()
    with pytest.raises(PlanError, match="step 'both' reads byte 0 of 'both'"):
        verify(graph, replace(plan(graph), joined=frozenset({"both"})))
