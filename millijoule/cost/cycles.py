"""Cycles and time of an inference from executed instructions: an estimate, with the range that was seen.

Cycles divided by instructions are close to constant for convolutional networks on one board, and differ between boards
of one core by the wait states and caches of their flash. Dense networks, which read each weight once, need up to 40 %
more than the range says. Sources: latencies of MLPerf Tiny v0.7 to v1.2 (mlcommons/tiny_results), over instructions of
CMSIS-NN on the same models, counted in an emulator.
"""

from __future__ import annotations

from dataclasses import dataclass

from millijoule.cost.device import Device


@dataclass(frozen=True)
class CyclesPerInstruction:
    """mean, and the lowest and highest that was seen; source: on which boards."""

    mean: float
    low: float
    high: float
    source: str


_M4_SOURCE = (
    "STM32L4R5 1.50 to 1.57, nRF5340 1.24 to 1.36, RA6M4 1.31 to 1.65, M467 1.20 to 1.28, all with CMSIS-NN; the mean "
    "predicts a board that was left out with a mean error of 9.6 %"
)
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


def estimate_cycles(device: Device, instructions: int) -> CyclesEstimate | None:
    """What an inference of so many executed instructions takes on a device; None where nothing is known of its core."""
    known = CYCLES_PER_INSTRUCTION.get(device.core)
    if known is None or device.clock_hz is None:
        return None
    mean, low, high = (round(instructions * factor) for factor in (known.mean, known.low, known.high))
    cycles_per_ms = device.clock_hz / 1000
    return CyclesEstimate(
        mean, low, high, mean / cycles_per_ms, low / cycles_per_ms, high / cycles_per_ms, known.source
    )
