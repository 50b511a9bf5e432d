"""Plans for two memories: what lies where, and how much goes to and fro."""

from dataclasses import replace

import numpy as np
import pytest

from millijoule import zoo
from millijoule.errors import OptionError
from millijoule.graph import Builder
from millijoule.ops import Conv2d, GlobalAveragePool
from millijoule.passes import simplify
from millijoule.plan import PlanError
from millijoule.plan.streaming import execute, stream_plan, two_memories, verify_stream
from millijoule.plan.streaming.plan import Memories
from tests.plan.streaming.networks import random_model

PLENTY = 1_000_000


@pytest.mark.parametrize("seed", range(6))
def test_a_smaller_fast_memory_computes_the_same(seed):
    model = random_model(seed)
    x = np.random.default_rng(seed).integers(-128, 128, model.graph.inputs[0].shape, dtype=np.int8)
    expected = model.run(x[None])
    least = stream_plan(model).arena_bytes
    planned = two_memories(model, least * 3 // 4, PLENTY)
    verify_stream(model, planned)
    assert planned.memories is not None
    assert planned.memories.fast_bytes <= least * 3 // 4
    assert planned.memories.fast_bytes + planned.memories.slow_bytes == planned.arena_bytes
    for buffer in planned.buffers:
        assert buffer.end <= planned.memories.fast_bytes or buffer.offset >= planned.memories.fast_bytes
    for name, value in execute(model, planned, x).items():
        np.testing.assert_array_equal(value, expected[name][0])


def test_what_fits_has_no_traffic_and_streams_little():
    graph = simplify(zoo.resnet8())
    planned = two_memories(graph, 60_000, PLENTY)
    assert planned.memories is not None
    assert (planned.memories.slow_bytes, planned.memories.traffic_bytes) == (0, 0)
    assert planned.streamed_steps == 0


def test_less_fast_memory_is_more_traffic():
    graph = simplify(zoo.resnet8())
    traffic = []
    for fast in (16_000, 8_000, 4_000):
        planned = two_memories(graph, fast, PLENTY)
        assert planned.memories is not None
        traffic.append(planned.memories.traffic_bytes)
    assert traffic[0] == 0
    assert 0 < traffic[1] < traffic[2]


def test_traffic_is_what_kernels_read_and_write():
    build = Builder("one", (8, 4, 2))
    build("c", Conv2d(channels=2, kernel=(3, 1), padding="same"))
    build("mean", GlobalAveragePool())
    graph = build.graph()
    planned = two_memories(graph, 40, PLENTY)
    verify_stream(graph, planned)
    assert planned.memories is not None
    slow = {(b.kind, b.value) for b in planned.buffers if b.offset >= planned.memories.fast_bytes}
    assert slow == {("stored", "input")}
    # Each of 8 windows reads 3 lines of 8 bytes, the first and the last one less.
    assert planned.memories.traffic_bytes == (8 * 3 - 2) * 8


def test_a_wrong_split_is_found():
    model = random_model(4)
    planned = two_memories(model, stream_plan(model).arena_bytes * 3 // 4, PLENTY)
    assert planned.memories is not None
    fast, slow, traffic = planned.memories.fast_bytes, planned.memories.slow_bytes, planned.memories.traffic_bytes
    for memories, what in (
        (Memories(fast, slow, traffic - 1), f"traffic is {traffic} bytes, not {traffic - 1}"),
        (Memories(fast, slow + 1, traffic), f"{fast} and {slow + 1} bytes are no arena of {fast + slow}"),
        (Memories(fast + 1, slow - 1, traffic), "does not lie in the fast memory alone"),
        (Memories(0, fast + slow, traffic), "does not lie in the fast memory alone"),
    ):
        with pytest.raises(PlanError, match=what):
            verify_stream(model, replace(planned, memories=memories))


def test_what_cannot_fit_is_refused():
    graph = simplify(zoo.resnet8())
    with pytest.raises(OptionError, match=r"100 bytes and a slow one of 1,000,000: rows and working memory need more"):
        two_memories(graph, 100, PLENTY)
    with pytest.raises(OptionError, match=r"a slow one of 10: .* bytes would lie in the slow one"):
        two_memories(graph, 8_000, 10)
