"""Sequences of actions as nested loops."""

import random

import pytest

from millijoule import zoo
from millijoule.passes import simplify
from millijoule.plan.streaming import stream_plan
from millijoule.plan.streaming.loops import Loop, length, loops, shallow, unrolled


@pytest.mark.parametrize(
    ("sequence", "program"),
    [
        ([], ()),
        ([7], (7,)),
        ([1, 1, 1], (Loop(3, (1,)),)),
        ([1, 2, 1, 2, 3], (Loop(2, (1, 2)), 3)),
        # A loop in a loop: rows of pixels.
        ([0, *([1] * 4), 2, 0, *([1] * 4), 2, 5], (Loop(2, (0, Loop(4, (1,)), 2)), 5)),
        # Loops of another number of times are other loops.
        ([1, 1, 2, 1, 1, 1, 2], (Loop(2, (1,)), 2, Loop(3, (1,)), 2)),
        ([1, 2, 3, 4], (1, 2, 3, 4)),
    ],
)
def test_repeats_become_loops(sequence, program):
    assert loops(sequence) == program
    assert list(unrolled(program)) == sequence


@pytest.mark.parametrize("seed", range(50))
def test_loops_give_their_sequence_back(seed):
    generator = random.Random(seed)
    sequence = [generator.randrange(3) for _ in range(20)]
    for _ in range(3):
        begin = generator.randrange(len(sequence))
        sequence += sequence[begin : begin + generator.randrange(1, 20)] * generator.randrange(1, 5)
    program = loops(sequence)
    assert list(unrolled(program)) == sequence
    assert length(program) <= len(sequence)


def test_loops_that_are_too_deep_are_written_out():
    deep = (Loop(2, (Loop(3, (0, 1)), 2)), 4)
    assert shallow(deep, 1) == (Loop(2, (0, 1, 0, 1, 0, 1, 2)), 4)
    assert shallow(deep, 2) == deep


def test_thousands_of_pixels_are_a_few_hundred_numbers():
    actions = stream_plan(simplify(zoo.resnet8()), "push").actions
    numbers: dict[tuple[object, ...], int] = {}
    sequence = [numbers.setdefault((each.do, each.name, each.fresh), len(numbers)) for each in actions]
    assert len(sequence) > 5_000
    assert length(loops(sequence)) < 400
