"""Cycles of a core alone, from the kinds of instructions that it executed, by Arm's tables: memories answer at once.

Tables give ranges for what depends on the moment: a taken branch takes two cycles more of one to three, a division the
least that it may. What wait states and caches add is not in it (millijoule.cost.cycles has what boards needed).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from millijoule.cost.device import Device

KINDS = (
    "other",  # arithmetic, moves, DSP instructions without a product
    "multiply",  # 32-bit results, DSP products among them
    "long_multiply",  # 64-bit results
    "divide",
    "load",
    "store",
    "multiple",  # LDM, STM, PUSH, POP, LDRD, STRD, and their like for vectors' registers
    "branch",
    "loop",  # the ends and beginnings of low-overhead loops
    "vector_memory",
    "vector_compute",
)
"""What run/thumb.py tells apart. Each takes a cycle unless it is said otherwise below."""


@dataclass(frozen=True)
class CoreTable:
    """more: cycles beyond one for each instruction of a kind; also for `words` of multiple transfers, `taken` branches,
    loads that come after a load, overlapping vectors and second instructions of a pair. source: the document."""

    more: Mapping[str, float]
    source: str


_M4 = {"load": 1, "load_after_load": -1, "words": 1, "taken": 2, "divide": 1}
_M4_DOCUMENT = "Arm 100166, Cortex-M4 Technical Reference Manual, table 3-1 and load/store timings"
CORE_TABLES = {
    "cortex-m0plus": CoreTable(
        {"load": 1, "store": 1, "words": 1, "taken": 1},
        "Arm DDI 0484, Cortex-M0+ Technical Reference Manual, table of cycles (multiplier of one cycle)",
    ),
    "cortex-m3": CoreTable(
        {**_M4, "long_multiply": 2},
        "Arm DDI 0337, Cortex-M3 Technical Reference Manual, table of cycles and load/store timings",
    ),
    "cortex-m4": CoreTable(_M4, _M4_DOCUMENT),
    "cortex-m33": CoreTable(_M4, f"no table of Cortex-M33 is published; {_M4_DOCUMENT}"),
    "cortex-m7": CoreTable(
        {"second": -1, "words": 0.5, "multiple": -1, "divide": 1},
        "Arm DDI 0489, Cortex-M7 Technical Reference Manual, has no table: two instructions at once, of them one "
        "store, multiplication and branch, two words in a multiple transfer, branches foreseen, no waiting for results",
    ),
    "cortex-m55": CoreTable(
        {"words": 1, "multiple": -1, "taken": 2, "vector_memory": 1, "vector_compute": 1, "vector_overlap": -1},
        "Arm 101051, Cortex-M55 Technical Reference Manual: a vector instruction is two cycles of two beats, and one "
        "that moves data overlaps with one that computes; gathers are taken for plain loads",
    ),
}
"""By core. Cortex-M85 issues vectors in ways that are not published."""


@dataclass(frozen=True)
class CoreCycles:
    """Of one inference: cycles of the core alone, and milliseconds at the device's highest clock."""

    cycles: int
    latency_ms: float
    source: str


def core_cycles(device: Device, mix: Mapping[str, int]) -> CoreCycles | None:
    """From a mix of executed instructions (Measurement.mix); None where nothing is known of the core."""
    table = CORE_TABLES.get(device.core)
    if table is None or device.clock_hz is None:
        return None
    instructions = sum(mix.get(kind, 0) for kind in KINDS)
    cycles = round(instructions + sum(each * mix.get(kind, 0) for kind, each in table.more.items()))
    return CoreCycles(cycles, cycles / (device.clock_hz / 1000), table.source)
