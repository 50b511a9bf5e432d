"""Cycles by kind of instruction: hand-counted mixes, and where nothing is told."""

from dataclasses import replace

import pytest

from millijoule.cost.core_cycles import CORE_TABLES, KINDS, core_cycles
from millijoule.cost.cycles import estimate_cycles
from millijoule.cost.device import COMPILED_FOR, load_device

BOARD = load_device("nucleo-l4r5zi")
MORE = {"words", "taken", "load_after_load", "vector_overlap", "second"}


def of(core: str, **mix: int) -> int:
    return core_cycles(replace(BOARD, core=core), mix).cycles


def test_tables_name_kinds_that_are_counted():
    assert CORE_TABLES.keys() <= COMPILED_FOR.keys()
    for table in CORE_TABLES.values():
        assert table.more.keys() <= {*KINDS, *MORE}
        assert table.source.startswith(("Arm", "no table"))


def test_examples_of_arms_manuals():
    """DDI 0337, load/store timings: three loads one after another take four cycles. LDM of four: five."""
    assert of("cortex-m4", load=3, load_after_load=2) == 4
    assert of("cortex-m4", multiple=1, words=4) == 5
    assert of("cortex-m4", other=2, branch=1, taken=1) == 5
    assert of("cortex-m3", long_multiply=1) == 3
    assert of("cortex-m0plus", load=2, load_after_load=1, branch=1, taken=1) == 6
    assert of("cortex-m7", load=2, other=2, second=2) == 2
    assert of("cortex-m55", vector_memory=2, vector_compute=2, vector_overlap=3, loop=1) == 6


def test_times_are_at_the_highest_clock():
    assert core_cycles(BOARD, {"other": 120_000}).latency_ms == pytest.approx(1.0)


def test_nothing_is_told_without_a_table():
    assert core_cycles(replace(BOARD, core="cortex-m85"), {"other": 1}) is None
    assert core_cycles(load_device("host"), {"other": 1}) is None


def test_boards_take_more_than_their_core():
    core = core_cycles(BOARD, {"other": 1_000_000})
    estimate = estimate_cycles(BOARD, 999, core)
    assert (estimate.cycles, estimate.cycles_low, estimate.cycles_high) == (1_170_000, 1_030_000, 1_440_000)
    assert core.cycles < estimate.cycles_low
    h7 = load_device("nucleo-h743zi")
    assert estimate_cycles(h7, 1000, core_cycles(h7, {"other": 1000})).cycles == 830
    assert estimate_cycles(h7, 1000, core_cycles(h7, {"other": 1000}), wide_weights=True) is None
    assert estimate_cycles(BOARD, 999, core, wide_weights=True) == estimate
