"""Meters that computers have: RAPL, NVML, Jetson and Apple silicon, through Zeus (PyPI `zeus`)."""

from __future__ import annotations

import logging
import warnings
from time import perf_counter
from typing import Any

from millijoule.errors import ToolError
from millijoule.measure.meters import Meter, Reading

WINDOW = "millijoule"
COUNTER_PERIOD = 0.001
"""Seconds between two updates of RAPL's counter (Intel SDM, volume 3B, section 15.10): what a stretch's ends leave
open. NVML updates every 20 to 100 ms on most cards (Yang et al. 2024, "Part-time power measurements"); 100 is taken."""
GPU_PERIOD = 0.1


class ZeusMeter(Meter):
    """Processor, memory, graphics cards and system chips together: whatever Zeus finds."""

    live = True

    def __init__(self) -> None:
        try:
            from zeus.monitor import ZeusMonitor
        except ImportError:
            raise ToolError("meter 'zeus' is not installed: pip install zeus") from None
        logging.getLogger("zeus").setLevel(logging.CRITICAL)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self.monitor: Any = ZeusMonitor()
        except Exception as error:  # Zeus raises what its drivers raise
            reason = " ".join(str(error).split()) or type(error).__name__
            raise ToolError(f"meter 'zeus' cannot read this computer's energy: {reason}") from None
        self.start()
        found = self.monitor.end_window(WINDOW, sync_execution=False)
        parts = {name: bool(value) for name, value in _parts(found).items()}
        if not any(parts.values()):
            raise ToolError(
                "meter 'zeus' finds no RAPL, NVML, Jetson or Apple meter that it may read on this computer "
                "(RAPL: /sys/class/powercap, often for root only)"
            )
        self.gpu = parts["gpu"]
        self.name = f"Zeus: {', '.join(name for name, there in parts.items() if there)}"

    def start(self) -> None:
        self.monitor.begin_window(WINDOW, sync_execution=False)
        self.began = perf_counter()

    def stop(self, begin: float, end: float) -> Reading:
        found = self.monitor.end_window(WINDOW, sync_execution=False)
        seconds = perf_counter() - self.began
        joules = sum(sum(values.values()) for values in _parts(found).values())
        period = GPU_PERIOD if self.gpu else COUNTER_PERIOD
        return Reading(joules, seconds, 2 * period * joules / seconds, 1 / period)


def _parts(found: Any) -> dict[str, dict[Any, float]]:
    """Joules by kind of meter."""
    chip = {}
    if found.soc_energy is not None:
        chip = {name: mj / 1000 for name, mj in vars(found.soc_energy).items() if name.endswith("_mj") and mj}
    return {
        "gpu": found.gpu_energy or {},
        "processor": found.cpu_energy or {},
        "memory": found.dram_energy or {},
        "chip": chip,
    }
