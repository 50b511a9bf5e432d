"""Cycles and time of an inference as boards take them: an estimate, with the range that was seen.

Where instructions were counted by kind, it is the cycles of the core alone (millijoule.cost.core_cycles) times what
boards take for each of them: wait states and caches of the flash. Otherwise it is made of instructions alone: cycles
divided by instructions are close to constant for convolutional networks on one board, and differ between boards of one
core. Dense networks, which read each weight once, need up to 40 % more than the range says. Sources: latencies of
MLPerf Tiny v0.7 to v1.2 (mlcommons/tiny_results), over counts of CMSIS-NN on the same models in an emulator.
"""

from __future__ import annotations

from dataclasses import dataclass

from millijoule.cost.core_cycles import CoreCycles
from millijoule.cost.device import Device


@dataclass(frozen=True)
class CyclesPerInstruction:
    """Or per cycle of the core. mean, and the lowest and highest that was seen; source: on which boards."""

    mean: float
    low: float
    high: float
    source: str


_M4_SOURCE = (
    "STM32L4R5 1.50 to 1.57, nRF5340 1.24 to 1.36, RA6M4 1.31 to 1.65, M467 1.20 to 1.28, all with CMSIS-NN; the mean "
    "predicts a board that was left out with a mean error of 9.6 %"
)
_CORE_SOURCE = (
    "cycles of the core, by Arm's table, times 1.03 to 1.44: STM32L4R5 1.07 to 1.44, nRF5340 1.06 to 1.22, M467 1.03 "
    "to 1.11, all with CMSIS-NN; 1.17 is 9 % off these 12 measurements, and 10 % off boards that were left out"
)
CYCLES_PER_CORE_CYCLE = {
    core: CyclesPerInstruction(1.17, 1.03, 1.44, _CORE_SOURCE) for core in ("cortex-m4", "cortex-m33")
}
"""By core, where CMSIS-NN was counted by kind of instruction: benchmarks/cycles.py."""
CYCLES_PER_INSTRUCTION = {
    "cortex-m4": CyclesPerInstruction(1.34, 1.20, 1.65, _M4_SOURCE),
    "cortex-m33": CyclesPerInstruction(1.34, 1.20, 1.65, _M4_SOURCE),
    "cortex-m7": CyclesPerInstruction(
        0.83,
        0.65,
        1.05,
        "no instructions are published: cycles of STM32F746 and H7A3 are 0.49 to 0.71 of STM32L4R5's with the same "
        "version of X-CUBE-AI, Plumerai and Bosch's engine (image classification), and those of a Cortex-M4 are known",
    ),
    "cortex-m85": CyclesPerInstruction(0.90, 0.83, 0.98, "RA8D1, over CMSIS-NN's instructions on Cortex-M55"),
    "cortex-m0plus": CyclesPerInstruction(
        1.9,
        1.5,
        2.3,
        "STM32G0B1's cycles per instruction are 1.02 to 1.44 of STM32L4R5's (Bosch's engine, over CMSIS-NN's "
        "instructions on each core)",
    ),
}
"""By core. Nothing published lets Cortex-M3 and M55 be estimated."""


@dataclass(frozen=True)
class CyclesEstimate:
    """Cycles of one inference, and milliseconds at the device's highest clock; low, high: the range that was seen."""

    cycles: int
    cycles_low: int
    cycles_high: int
    latency_ms: float
    latency_low_ms: float
    latency_high_ms: float
    source: str


def estimate_cycles(
    device: Device, instructions: int, core: CoreCycles | None = None, wide_weights: bool = False
) -> CyclesEstimate | None:
    """What an inference of so many executed instructions takes on a device; None where nothing is known of its core.

    core: the same inference's cycles of the core alone, where it was counted by kind of instruction. wide_weights: of
    kernels with int16 weights, whose instructions move twice the words: None where only instructions can be told from.
    """
    counted, known = instructions, CYCLES_PER_INSTRUCTION.get(device.core)
    if core is not None and device.core in CYCLES_PER_CORE_CYCLE:
        counted, known = core.cycles, CYCLES_PER_CORE_CYCLE[device.core]
    elif wide_weights:
        return None
    if known is None or device.clock_hz is None:
        return None
    mean, low, high = (round(counted * factor) for factor in (known.mean, known.low, known.high))
    cycles_per_ms = device.clock_hz / 1000
    return CyclesEstimate(
        mean, low, high, mean / cycles_per_ms, low / cycles_per_ms, high / cycles_per_ms, known.source
    )
