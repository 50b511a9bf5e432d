"""What runs of several networks say together (after Canziani et al. 2016, "An analysis of deep neural network models
for practical applications")."""

from __future__ import annotations

from dataclasses import dataclass

from millijoule.measure.runs import Measured, Run

LEAST_NETWORKS = 4

CANZIANI = (
    "alexnet",
    "nin",
    "vgg16",
    "vgg19",
    "googlenet",
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "resnet152",
    "inception_v3",
    "squeezenet1_0",
    "mobilenet_v1",
    "mobilenet_v2",
    "shufflenet_v2",
)
"""The networks of that study that the zoo has, and three that came after it; BN-NIN, BN-AlexNet, ENet and Inception-v4
are not there."""


@dataclass(frozen=True)
class Fit:
    """Latency of one image = constant_ms + ms_per_gmac · MACs / 10⁹ (figure 8 there), over `networks`."""

    engine: str
    batch: int
    networks: int
    constant_ms: float
    ms_per_gmac: float
    r_squared: float


@dataclass(frozen=True)
class SpeedUp:
    """How many times as fast as on the processor, the same engine and batch."""

    network: str
    engine: str
    device: str
    batch: int
    times: float


def fits(measured: Measured) -> list[Fit]:
    """For every engine on the processor and every batch with LEAST_NETWORKS networks."""
    import numpy as np

    groups: dict[tuple[str, int], list[Run]] = {}
    for run in measured.runs:
        if run.latency_ms is not None and run.device == "cpu":
            groups.setdefault((run.engine, run.batch), []).append(run)
    found = []
    for (engine, batch), runs in groups.items():
        x = np.array([run.macs / 1e9 for run in runs])
        if len(set(x)) < LEAST_NETWORKS:
            continue
        y = np.array([(run.latency_ms or 0.0) / run.batch for run in runs])
        slope, constant = np.polyfit(x, y, 1)
        left = ((y - constant - slope * x) ** 2).sum() / ((y - y.mean()) ** 2).sum()
        found.append(Fit(engine, batch, len(runs), float(constant), float(slope), float(1 - left)))
    return found


def speed_ups(measured: Measured) -> list[SpeedUp]:
    """Of every run on another device that has its like on the processor."""
    known = {(run.network, run.engine, run.batch): run.latency_ms for run in measured.runs if run.device == "cpu"}
    found = []
    for run in measured.runs:
        processor = known.get((run.network, run.engine, run.batch))
        if run.device != "cpu" and run.latency_ms and processor:
            found.append(SpeedUp(run.network, run.engine, run.device, run.batch, processor / run.latency_ms))
    return found
