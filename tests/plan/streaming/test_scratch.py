"""Working memory of kernels in plans that stream."""

from dataclasses import replace

import numpy as np
import pytest

from millijoule.graph import Builder
from millijoule.ops import Conv2d
from millijoule.ops.base import Window
from millijoule.plan import PlanError
from millijoule.plan.streaming import execute, stream_plan, verify_stream
from millijoule.plan.streaming.network.kernels import count_bytes, divided_bytes
from millijoule.target import Target
from tests.networks import random_int8
from tests.plan.streaming.networks import random_model

DSP = Target("dsp")


def chain():
    """Three channels: with a multiple of four, no working memory is needed."""
    build = Builder("chain", (12, 8, 3))
    for number in range(3):
        build(f"c{number}", Conv2d(channels=3, kernel=3, padding="same"))
    return random_int8(build.graph())


@pytest.mark.parametrize("instructions", ["dsp", "armv6m"])
@pytest.mark.parametrize("seed", range(10))
def test_kernels_may_leave_anything_in_their_working_memory(seed, instructions):
    model = random_model(seed)
    x = np.random.default_rng(seed).integers(-128, 128, model.graph.inputs[0].shape, dtype=np.int8)
    expected = model.run(x[None])
    for contract in ("overwrite", "push"):
        planned = stream_plan(model, contract, target=Target(instructions))
        verify_stream(model, planned)
        assert planned.floor_bytes <= planned.lower_bound_bytes <= planned.arena_bytes
        for name, value in execute(model, planned, x).items():
            np.testing.assert_array_equal(value, expected[name][0])


def test_working_memory_is_held_while_its_step_fires():
    model = chain()
    planned = stream_plan(model, "push", target=DSP)
    for buffer in planned.buffers:
        if buffer.kind == "scratch":
            fired = {time for time, action in enumerate(planned.actions) if action[:2] == ("fire", buffer.value)}
            held = {time for piece in buffer.pieces for time in range(piece.first, piece.last + 1)}
            assert held == fired
            assert buffer.offset % 4 == 0
    assert sum(buffer.kind == "scratch" for buffer in planned.buffers) == 3


def test_a_graph_has_no_kernels_and_portable_ones_need_no_working_memory():
    model = chain()
    assert stream_plan(model.graph, target=DSP).arena_bytes == stream_plan(model).arena_bytes
    assert stream_plan(model, target=DSP).arena_bytes > stream_plan(model).arena_bytes


@pytest.mark.parametrize("kind", ["ring", "fresh", "stored"])
def test_working_memory_over_rows_is_found(kind):
    model = chain()
    planned = stream_plan(model, "push", target=DSP)
    rows = next(buffer for buffer in planned.buffers if buffer.kind == kind)
    buffers = (replace(b, offset=rows.offset) if b.kind == "scratch" else b for b in planned.buffers)
    with pytest.raises(PlanError, match=r"working memory|overwritten"):
        verify_stream(model, replace(planned, buffers=tuple(buffers)))


def test_working_memory_that_is_too_small_is_found():
    model = chain()
    planned = stream_plan(model, "push", target=DSP)
    buffers = (replace(b, row_bytes=b.row_bytes - 4) if b.kind == "scratch" else b for b in planned.buffers)
    with pytest.raises(PlanError, match=r"has no .* bytes of working memory"):
        verify_stream(model, replace(planned, buffers=tuple(buffers)))


@pytest.mark.parametrize(
    ("slots", "expected"),
    [(0, 0), (8, 0), (12, 0), (9, 3 * 5), (10, 3 * 5), (11, 3 * 5)],
    ids=lambda number: str(number),
)
def test_a_line_is_copied_where_the_end_of_a_ring_divides_it(slots, expected):
    """A map of 6 by 4 pixels: in a ring of whole lines, and in a stored map, every line lies side by side."""
    window = Window.over((6, 4, 5), (3, 3), (1, 1), (1, 1), "valid")
    assert divided_bytes(window, slots, 5) == expected


def test_no_more_of_a_line_is_copied_than_lies_under_the_window():
    """At the sides of the map two pixels are; in a ring of 10, no other line is divided."""
    window = Window.over((3, 4, 5), (1, 3), (1, 2), (1, 1), ((0, 0), (1, 1)))
    assert divided_bytes(window, 5, 5) == 3 * 5
    assert divided_bytes(window, 9, 5) == 2 * 5


def test_counts_take_as_many_bytes_as_the_highest_needs():
    assert [count_bytes([3, most]) for most in (255, 256, 65_535, 65_536)] == [1, 2, 2, 4]
    assert count_bytes([]) == 1
