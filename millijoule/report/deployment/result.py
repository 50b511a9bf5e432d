"""Everything that is known of a deployment, and the files that tell it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Any

from millijoule.cost import Cost
from millijoule.cost.core_cycles import CoreCycles, core_cycles
from millijoule.cost.cycles import CyclesEstimate, estimate_cycles
from millijoule.cost.device import Device
from millijoule.energy.predict import predict_energy
from millijoule.energy.prediction import Prediction
from millijoule.model import Model
from millijoule.plan import Plan
from millijoule.plan.streaming import StreamPlan
from millijoule.report.detection.findings import ShippedDetector
from millijoule.run.fit import fast_bytes
from millijoule.run.measurement import Build, Measurement
from millijoule.whole_file import write_text

NO_BOARD = "never compared with a board"
"""What is said of an estimate by kind of instruction where there are no published latencies."""


@dataclass(frozen=True, eq=False)
class Deployment:
    """A model that was turned into a C project for a device, and what was seen when it ran.

    model: int8. plan, cost: computed from it. build: None for the host. measurement: None for the host, or if nothing
    was run. accuracy: `float`, `int8_host` (the integer reference), `int8_device` (the C that was built), each a
    fraction of 1 or None if unknown. outputs_compared: output bytes of the C beside the reference's; outputs_equal: how
    many of them agree. folder: the C project. notes: what the reader must know. detector: of a model that finds boxes.
    """

    model: Model
    plan: Plan | StreamPlan
    cost: Cost
    device: Device
    build: Build | None
    measurement: Measurement | None
    accuracy: dict[str, float | None]
    outputs_compared: int
    outputs_equal: int
    folder: Path
    notes: tuple[str, ...] = ()
    detector: ShippedDetector | None = None

    @property
    def bit_exact(self) -> bool | None:
        """Every output equals the reference's; None if nothing was run."""
        return self.outputs_equal == self.outputs_compared if self.outputs_compared else None

    @property
    def samples(self) -> int:
        """Inferences whose outputs were compared."""
        graph = self.model.graph
        return self.outputs_compared // sum(prod(graph.shapes[name]) for name in graph.outputs)

    @property
    def mean_instructions(self) -> int | None:
        """Executed instructions of one inference, the mean over all samples; None if not measured."""
        if self.measurement is None or not self.measurement.instructions:
            return None
        return round(sum(self.measurement.instructions) / len(self.measurement.instructions))

    @property
    def cycles_estimate(self) -> CyclesEstimate | None:
        """Of one inference; None if instructions were not measured, or nothing is known of the core."""
        instructions = self.mean_instructions
        if instructions is None:
            return None
        return estimate_cycles(self.device, instructions, self.core_cycles, self.flash_for_speed)

    @property
    def core_cycles(self) -> CoreCycles | None:
        """Of the first sample, without wait states; None if instructions were not counted by kind, or no table is
        known of the core."""
        mix = self.measurement.mix if self.measurement else None
        return core_cycles(self.device, mix) if mix else None

    @property
    def flash_for_speed(self) -> bool:
        """Whether weights were kept as int16."""
        targets = self.plan.targets.values() if isinstance(self.plan, StreamPlan) else (self.plan.target,)
        return any(target.wide_weights for target in targets)

    @cached_property
    def prediction(self) -> Prediction | None:
        """Latency and energy of one inference on the device; None if instructions were not measured."""
        instructions, core = self.mean_instructions, self.core_cycles
        if instructions is None:
            return None
        cycles = core.cycles if core else None
        return predict_energy(self.model, self.device, instructions=instructions, core_cycles=cycles)

    @cached_property
    def live_bytes(self) -> dict[str, int]:
        """Node → bytes that are live in the arena while it is executed, at most; a reshape of a plan that streams has
        no entry."""
        if isinstance(self.plan, StreamPlan):
            return self.plan.live_bytes
        return dict(zip(self.plan.steps, self.plan.live_bytes, strict=True))

    def layers(self) -> tuple[dict[str, Any], ...]:
        """One dict for each node, in execution order; the keys are a stable interface.

        ram_bytes: what is live in the arena while the layer runs. instructions: of the first sample; None if not
        measured, 0 for a reshape, which executes nothing.
        """
        measured = self.measurement.layer_instructions if self.measurement else None
        return tuple(
            {
                "name": layer.name,
                "operator": layer.operator,
                "output_shape": list(layer.output_shape),
                "params": layer.params,
                "macs": layer.macs,
                "size_bytes": layer.size_bytes,
                "ram_bytes": self.live_bytes.get(layer.name, 0),
                "instructions": None if measured is None else measured.get(layer.name, 0),
            }
            for layer in self.cost.layers
        )

    def to_json(self) -> dict[str, Any]:
        """One object of plain values; the keys are a stable interface. What was not measured is None.

        arena_planned_bytes is predicted, arena_bytes was seen; where two memories were planned for, of the fast one.
        slow_arena_…: of the slow one. slow_traffic_planned_bytes: what kernels read and write there in one inference, a
        row each time that it is read; slow_traffic_bytes: what loads and stores moved, in the first sample.
        streamed_steps: layers that are executed row by row. flash_for_speed: weights are int16. instructions: mean of
        one inference. instruction_mix: by kind, of the first sample (millijoule.run.thumb). core_cycles_estimate,
        cycles_estimate: made of them, without and with what boards add (millijoule.cost.core_cycles and cycles).
        prediction: latency and energy, with ranges and what they rest on (millijoule.energy.prediction). ram_bytes: all
        static data, the arena included, the stack not. accesses: of the first sample, by memory. detector: of a model
        that finds boxes (millijoule.report.detection.findings).
        """
        build, measurement, estimate = self.build, self.measurement, self.cycles_estimate
        core = self.core_cycles
        return {
            "model": self.model.graph.name,
            "device": self.device.name,
            "accuracy": {key: self.accuracy.get(key) for key in ("float", "int8_host", "int8_device")},
            "detector": self.detector.to_json() if self.detector else None,
            "bit_exact": self.bit_exact,
            "outputs_compared": self.outputs_compared,
            "flash_bytes": build.flash_bytes if build else None,
            "ram_bytes": build.ram_bytes if build else None,
            "arena_bytes": measurement.arena_bytes if measurement else None,
            "arena_planned_bytes": fast_bytes(self.plan),
            **self._slow(),
            "streamed_steps": self.plan.streamed_steps if isinstance(self.plan, StreamPlan) else 0,
            "stack_bytes": measurement.stack_bytes if measurement else None,
            "instructions": self.mean_instructions,
            "instructions_min": min(measurement.instructions, default=None) if measurement else None,
            "instructions_max": max(measurement.instructions, default=None) if measurement else None,
            "instruction_mix": measurement.mix if measurement else None,
            "core_cycles_estimate": asdict(core) if core else None,
            "cycles_estimate": asdict(estimate) if estimate else None,
            "flash_for_speed": self.flash_for_speed,
            "prediction": self.prediction.to_json() if self.prediction else None,
            "macs": self.cost.macs,
            "params": self.cost.params,
            "emulator": measurement.emulator if measurement else None,
            "compiler": build.compiler if build else None,
            "layers": list(self.layers()),
            "accesses": measurement.accesses if measurement else None,
            "notes": list(self.notes),
        }

    def _slow(self) -> dict[str, int | None]:
        memories = self.plan.memories if isinstance(self.plan, StreamPlan) else None
        if memories is None:
            return {}
        return {
            "slow_arena_bytes": self.measurement.slow_arena_bytes if self.measurement else None,
            "slow_arena_planned_bytes": memories.slow_bytes,
            "slow_traffic_bytes": self.slow_traffic_bytes,
            "slow_traffic_planned_bytes": memories.traffic_bytes,
        }

    @property
    def slow_traffic_bytes(self) -> int | None:
        """What loads and stores moved to and from the slow arena in the first sample; None if nothing was measured."""
        if self.measurement is None:
            return None
        slow = self.measurement.accesses.get("slow", {})
        return slow.get("read_bytes", 0) + slow.get("written_bytes", 0)


def write_reports(deployment: Deployment, folder: Path) -> None:
    """Write report.json and report.html into `folder`."""
    from millijoule.report.deployment.page import write_page

    write_text(folder / "report.json", json.dumps(deployment.to_json(), indent=2) + "\n")
    write_page(deployment, folder / "report.html")
