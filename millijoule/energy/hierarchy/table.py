"""The account of a table of energies: arithmetic, and each access to a memory on the chip or to DRAM."""

from __future__ import annotations

from math import sqrt

from millijoule.cost import Cost
from millijoule.cost.device import Device
from millijoule.energy.hierarchy.accesses import count, total
from millijoule.energy.prediction import Accesses, Estimate, Prediction
from millijoule.errors import DeviceError
from millijoule.graph import Graph
from millijoule.plan import Plan
from millijoule.plan.streaming import StreamPlan

PICO = 1e-9
"""Millijoules of a picojoule."""
LEVELS = (
    ("sram_8kb_pj_per_byte", 8_000, "SRAM 8 KB"),
    ("sram_32kb_pj_per_byte", 32_000, "SRAM 32 KB"),
    ("sram_1mb_pj_per_byte", 1_000_000, "SRAM 1 MB"),
)
"""Memories on the chip and their bytes, the smallest first."""
DRAM = ("dram_low_pj_per_byte", "dram_high_pj_per_byte")
NUMBERS = {"int8": 1, "fp32": 4}
"""Precision → bytes of a number."""


def predict(graph: Graph, plan: Plan | StreamPlan, counted: Cost, device: Device, precision: str) -> Prediction:
    """Energy of one image; time is not modelled. precision: `int8` or `fp32`.

    The arena lies in the smallest memory on the chip that holds it; of one that none holds, the addresses that the
    largest does not reach lie in DRAM (of a plan for two memories, the slow one). Weights lie in the smallest memory
    that holds them all, or in DRAM, and are read once. DRAM's range is the range of the answer.
    """
    needed = (f"{precision}_mac_pj", *(key for key, _, _ in LEVELS), *DRAM)
    missing = [key for key in needed if key not in device.figures]
    if missing:
        raise DeviceError(f"device '{device.name}' states no {missing[0]}; add it under [figures], with its source")
    size = NUMBERS[precision]
    on_chip = (plan.fast_bytes if isinstance(plan, StreamPlan) else plan.arena_bytes) * size
    key, holds, name = next((each for each in LEVELS if on_chip <= each[1]), LEVELS[-1])
    moved = total(count(graph, plan, holds, size).values())
    weights = sum(layer.size_bytes for layer in counted.layers)
    weights_key, _, weights_level = next((each for each in LEVELS if weights <= each[1]), ("", 0, "DRAM"))

    def taken(level: str, what: str, key: str, reads: int, writes: int) -> Accesses:
        low, high = (device.figures[each] * (reads + writes) for each in ((key, key) if key else DRAM))
        return Accesses(level, what, reads, writes, _between(low, high))

    accesses = (
        taken(name, "activations", key, moved.chip_reads, moved.chip_writes),
        taken("DRAM", "activations", "", moved.dram_reads, moved.dram_writes),
        taken(weights_level, "weights", weights_key, weights, 0),
    )
    arithmetic = counted.macs * device.figures[needed[0]] * PICO
    ends = [(each.energy_mj.low or 0.0, each.energy_mj.high or 0.0) for each in accesses if each.energy_mj]
    low, high = (arithmetic + sum(column) for column in zip(*ends, strict=True))
    way = "streamed" if isinstance(plan, StreamPlan) else "layer by layer"
    return Prediction(
        counted.name,
        device.name,
        None,
        _between(low / PICO, high / PICO),
        rests_on=(
            f"{counted.macs:,} MACs of {device.figures[needed[0]]:g} pJ in {precision}: {arithmetic:.3g} mJ",
            f"the accesses of a plan whose arena takes {plan.arena_bytes * size:,} bytes, {way}; weights are read once",
        ),
        assumptions=("no chip was measured against this account; its range is that of DRAM alone", *device.notes),
        refused=(("latency", f"device '{device.name}' has energies, no times"),),
        tested=False,
        accesses=tuple(each for each in accesses if each.reads_bytes or each.writes_bytes),
    )


def _between(low: float, high: float) -> Estimate:
    """From picojoules to millijoules, the value in the (geometric) middle."""
    return Estimate(sqrt(low * high) * PICO, low * PICO, high * PICO)
