"""Requantization as steps, and the lines that take them: against the two roundings, number by number."""

import numpy as np
import pytest

from millijoule.fixedpoint import multiply_by_quantized_multiplier
from millijoule.ops.steps import ACCUMULATOR_SCALE, FRACTION_BITS, LARGEST_REACH, armv6m_lines, dsp_lines, steps

CHANNELS = 40


def random_channels(seed: int, shifts: tuple[int, int]):
    """(low, high), (multiplier, shift) of channels whose results reach over most of int8, or over little."""
    rng = np.random.default_rng(seed)
    multiplier = rng.integers(2**30, 2**31, CHANNELS)
    shift = -rng.integers(*shifts, CHANNELS)
    reach = np.minimum(rng.uniform(0.1, 900, CHANNELS) * 2.0 ** (31 - shift) / multiplier, 2.0**22)
    low, high = -reach * rng.uniform(0, 1, CHANNELS), reach * rng.uniform(0, 1, CHANNELS)
    return (low.astype(np.int64), high.astype(np.int64)), (multiplier, shift)


def results(accumulator, multipliers, zero_point, activation):
    multiplier, shift = (part[:, None] for part in multipliers)
    return np.clip(multiply_by_quantized_multiplier(accumulator, multiplier, shift) + zero_point, *activation)


def around_steps(found):
    """Every first accumulator of a step, its neighbours and both ends: (channels, n)."""
    near = np.concatenate([found.first + i for i in (-2, -1, 0, 1)], axis=1)
    ends = np.stack([found.low, found.high], axis=1)
    return np.clip(np.concatenate([near, ends], axis=1), ends[:, :1], ends[:, 1:])


def test_a_step_begins_where_its_result_is_first_reached():
    bounds = np.array([-700, -20, 3]), np.array([900, 20, 5])
    multipliers = np.array([1518500250, 2**30, 2**31 - 1]), np.array([-2, -1, -9])
    found = steps(*bounds, multipliers, 7, (-100, 90))
    for low, high, first, *pair in zip(*bounds, found.first, *multipliers, strict=True):
        accumulator = np.arange(low, high + 1)
        reached = results(accumulator[None], [np.array([part]) for part in pair], 7, (-100, 90))
        below = (reached < found.results[:, None]).sum(axis=1)
        assert first.tolist() == (low + below).tolist()
    assert found.constant.tolist() == [False, False, True]
    assert found.bottom[2] == 7


def test_there_are_no_steps_where_shifting_may_wrap():
    bounds = np.array([-5]), np.array([5])
    assert steps(*bounds, (np.array([2**30]), np.array([1])), 0, (-128, 127)) is None
    assert steps(np.array([-5]), np.array([2**31]), (np.array([2**30]), np.array([-1])), 0, (-128, 127)) is None


@pytest.mark.parametrize(("zero_point", "activation"), [(-128, (-128, 127)), (-3, (-3, 127)), (17, (17, 60))])
@pytest.mark.parametrize("seed", range(4))
def test_a_line_gives_what_two_roundings_give(seed, zero_point, activation):
    bounds, multipliers = random_channels(seed, (5, 11))
    found = steps(*bounds, multipliers, zero_point, activation)
    lines = dsp_lines(found, multipliers, zero_point)
    assert lines is not None
    start, slope, offset = (part[:, None].astype(np.int64) for part in lines.T)
    accumulator = around_steps(found)
    sums = ACCUMULATOR_SCALE * accumulator + start
    assert np.all(np.abs(sums) < 2**31)
    by_line = np.clip(((sums * slope >> 32) + offset) >> FRACTION_BITS, *activation)
    np.testing.assert_array_equal(by_line, results(accumulator, multipliers, zero_point, activation))


@pytest.mark.parametrize(("zero_point", "activation"), [(-128, (-128, 127)), (-3, (-3, 127)), (17, (17, 60))])
@pytest.mark.parametrize("seed", range(4))
def test_a_line_in_32_bits_gives_what_two_roundings_give(seed, zero_point, activation):
    bounds, multipliers = random_channels(seed, (2, 11))
    found = steps(*bounds, multipliers, zero_point, activation)
    lines = armv6m_lines(found, multipliers)
    assert lines is not None
    start, end, slope, fraction, offset = (part[:, None].astype(np.int64) for part in lines.T)
    accumulator = around_steps(found)
    x = accumulator + start
    inside = np.minimum(x, end)
    assert np.all((inside // 16) * fraction < 2**32)
    on_line = inside * slope + ((inside // 16) * fraction >> 12) + offset
    assert np.all(np.abs(np.where(x < 0, 0, on_line)) < 2**31)
    found_results = np.where(x < 0, (offset >> 24) - 1, on_line >> 24)
    np.testing.assert_array_equal(found_results, results(accumulator, multipliers, zero_point, activation))


def test_no_line_in_32_bits_where_results_change_over_too_many_accumulators():
    multipliers = np.array([2**30]), np.array([-13])
    found = steps(np.array([0]), np.array([2 * LARGEST_REACH]), multipliers, -128, (-128, 127))
    assert armv6m_lines(found, multipliers) is None


def test_no_line_where_ties_are_rounded_both_ways():
    multipliers = np.array([1518500250]), np.array([-7])
    found = steps(np.array([-40000]), np.array([40000]), multipliers, 0, (-128, 127))
    assert dsp_lines(found, multipliers, 0) is None
    assert armv6m_lines(found, multipliers) is None


def test_no_line_where_the_multiplier_leaves_int32():
    multipliers = np.array([2**31 - 1]), np.array([-2])
    found = steps(np.array([-4000]), np.array([4000]), multipliers, -128, (-128, 127))
    assert dsp_lines(found, multipliers, -128) is None
