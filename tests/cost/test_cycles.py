"""Cycles from instructions: a range with its source, or nothing."""

from dataclasses import replace

import pytest

from millijoule.cost.cycles import CYCLES_PER_INSTRUCTION, estimate_cycles
from millijoule.cost.device import COMPILED_FOR, list_devices, load_device


def test_an_estimate_is_instructions_times_cycles_at_the_highest_clock():
    estimate = estimate_cycles(load_device("nucleo-l4r5zi"), 1_000_000)
    assert (estimate.cycles, estimate.cycles_low, estimate.cycles_high) == (1_340_000, 1_200_000, 1_650_000)
    assert estimate.latency_ms == pytest.approx(1_340_000 / 120_000)
    assert estimate.latency_low_ms == pytest.approx(10.0)
    assert estimate.latency_high_ms == pytest.approx(13.75)
    assert "left out" in estimate.source


def test_ranges_hold_their_mean_and_name_a_source():
    assert CYCLES_PER_INSTRUCTION.keys() <= COMPILED_FOR.keys()
    for known in CYCLES_PER_INSTRUCTION.values():
        assert 0 < known.low < known.mean < known.high < 3
        assert known.source


def test_nothing_is_said_where_nothing_is_known():
    assert estimate_cycles(load_device("host"), 1000) is None
    assert estimate_cycles(replace(load_device("nucleo-l4r5zi"), core="cortex-m3"), 1000) is None
    assert estimate_cycles(replace(load_device("nucleo-l4r5zi"), core="cortex-m55"), 1000) is None
    assert {device.core for device in list_devices()} - CYCLES_PER_INSTRUCTION.keys() == {"", "cortex-m3", "cortex-m55"}
