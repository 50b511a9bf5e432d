"""Accelerators: energy for each multiplication and addition, and for each access to a level of memory."""

from __future__ import annotations

from math import sqrt

from millijoule.cost import Cost
from millijoule.cost.device import Device
from millijoule.energy.prediction import Estimate, Prediction
from millijoule.errors import DeviceError

PICO = 1e-9
"""Millijoules of a picojoule."""
LEVELS = (("sram_8kb_pj_per_byte", 8_000), ("sram_32kb_pj_per_byte", 32_000), ("sram_1mb_pj_per_byte", 1_000_000))
"""Memories on the chip and their bytes, the smallest first."""
DRAM = ("dram_low_pj_per_byte", "dram_high_pj_per_byte")
MEASURED = ("mac_low_pj", "mac_high_pj")


def predict(cost: Cost, device: Device, precision: str) -> Prediction:
    """Energy of one image; time is not modelled. precision: `int8` or `fp32`.

    A device with energies for each level: every layer reads its input and weights once and writes its output once.
    Activations lie in the smallest memory on the chip that holds the peak of memory layer by layer, weights in the
    smallest that holds them all; what fits in none lies in DRAM, whose range is the range of the answer. A device with
    a measured range of energy for each MAC: that range.
    """
    refused = (("latency", f"device '{device.name}' has energies, no times"),)
    if all(key in device.figures for key in MEASURED):
        ends = [device.figures[key] for key in MEASURED]
        text = f"{ends[0]:g} to {ends[1]:g} pJ for each MAC, as measured on two networks"
        energy = _between(cost.macs * ends[0], cost.macs * ends[1])
        return Prediction(
            cost.name,
            device.name,
            None,
            energy,
            rests_on=(text,),
            assumptions=device.notes,
            refused=refused,
            tested=False,
        )
    needed = (f"{precision}_mac_pj", *(key for key, _ in LEVELS), *DRAM)
    missing = [key for key in needed if key not in device.figures]
    if missing:
        raise DeviceError(f"device '{device.name}' states no {missing[0]}; add it under [figures], with its source")
    arithmetic = cost.macs * device.figures[needed[0]]
    weights = sum(layer.size_bytes for layer in cost.layers)
    values = cost.moved_bytes - weights
    low, high = arithmetic, arithmetic
    for moved, held in ((values, cost.peak_ram_bytes), (weights, weights)):
        level = next((key for key, size in LEVELS if held <= size), None)
        keys = (level, level) if level else DRAM
        low, high = (total + moved * device.figures[key] for total, key in zip((low, high), keys, strict=True))
    text = f"{cost.macs:,} MACs, {values:,} bytes of activations and {weights:,} of weights moved once, in {precision}"
    return Prediction(
        cost.name,
        device.name,
        None,
        _between(low, high),
        rests_on=(text,),
        assumptions=("no chip was measured against this account; its range is that of DRAM alone", *device.notes),
        refused=refused,
        tested=False,
    )


def _between(low: float, high: float) -> Estimate:
    """From picojoules to millijoules, the value in the (geometric) middle."""
    return Estimate(sqrt(low * high) * PICO, low * PICO, high * PICO)
