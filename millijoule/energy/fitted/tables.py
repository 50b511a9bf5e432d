"""Published measurements, read from the tables of energy/data, each of which names its source."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any, TypeVar

from millijoule.csv_file import package_csv

BENCHMARKS = ("ad", "ic", "kws", "vww")
"""Of MLPerf Tiny: anomaly detection (an autoencoder of dense layers), image classification (ResNet-8), keyword spotting
(DS-CNN), visual wake words (MobileNetV1-0.25)."""
CONVOLUTIONAL = ("ic", "kws", "vww")


@dataclass(frozen=True)
class Submission:
    """One result of MLPerf Tiny on a Cortex-M: one network on one system. The table says where each figure was read.

    regulator: `ldo`, `smps` or unknown. folded: the network was run without the channels that are constant.
    """

    round: str
    submitter: str
    board: str
    core: str
    clock_mhz: float
    regulator: str
    supply_v: float | None
    stack: str
    os: str
    benchmark: str
    latency_ms: float
    energy_uj: float | None
    power_mw: float | None
    folded: bool
    source: str

    @property
    def cycles(self) -> float:
        return self.latency_ms * self.clock_mhz * 1000


@dataclass(frozen=True)
class BoardRun:
    """One network on a Linux board: `system` is the board, its cooling, the runtime and the runtime's version.

    outputs: elements that convolutions write. layers: those with MACs. watts: at the wall.
    """

    round: str
    system: str
    network: str
    precision: str
    macs: float
    params: float
    outputs: float
    layers: float
    latency_ms: float
    watts: float
    energy_mj: float


@dataclass(frozen=True)
class ChipRun:
    """A convolution of a batch of images on Eyeriss. zeros_percent: of its input. buffer_mb, dram_mb: read and written,
    in units of 1,000,000 bytes."""

    network: str
    layer: str
    batch: float
    latency_ms: float
    power_mw: float
    zeros_percent: float
    buffer_mb: float
    dram_mb: float

    @property
    def energy_mj(self) -> float:
        return self.latency_ms * self.power_mw / 1000


@dataclass(frozen=True)
class Counted:
    """Instructions of CMSIS-NN for one benchmark, and weights that dense layers read."""

    instructions: int
    macs: int
    dense_weights: int


@lru_cache
def submissions() -> tuple[Submission, ...]:
    """Of MLPerf Tiny v0.5 to v1.3."""
    return _rows("mlperf_tiny.csv", Submission)


@lru_cache
def board_runs() -> tuple[BoardRun, ...]:
    """Of MLPerf Inference v1.0 and v2.0, edge, with power."""
    return _rows("linux_boards.csv", BoardRun)


@lru_cache
def chip_runs() -> tuple[ChipRun, ...]:
    """Of AlexNet and VGG-16 on Eyeriss."""
    return _rows("eyeriss.csv", ChipRun)


@lru_cache
def counts() -> dict[tuple[str, str, bool], Counted]:
    """(core, benchmark, folded) → what CMSIS-NN executes. Cortex-M33 runs the code of M4, and M85 that of M55."""
    columns = ("core", "benchmark", "folded", "instructions", "macs", "dense_weights")
    found = {
        (row["core"], row["benchmark"], row["folded"] == "yes"): Counted(
            int(row["instructions"]), int(row["macs"]), int(row["dense_weights"])
        )
        for row in package_csv("energy", "cmsis_nn.csv", columns)
    }
    for core, same in (("cortex-m33", "cortex-m4"), ("cortex-m85", "cortex-m55")):
        found |= {(core, name, folded): each for (of, name, folded), each in found.items() if of == same}
    return found


def counted(row: Submission) -> Counted:
    """CMSIS-NN's instructions for the network that the submission ran."""
    return counts()[row.core, row.benchmark, row.folded]


Row = TypeVar("Row")


def _rows(name: str, of: type[Row]) -> tuple[Row, ...]:
    """A table whose columns are the fields of a dataclass: text, numbers (None if empty), and yes or nothing."""
    kinds = {field.name: field.type for field in fields(of)}  # type: ignore[arg-type]
    made = []
    for row in package_csv("energy", name, tuple(kinds)):
        values: dict[str, Any] = dict(row)
        for column, kind in kinds.items():
            if kind == "bool":
                values[column] = row[column] == "yes"
            elif kind != "str":
                values[column] = float(row[column]) if row[column] else None
        made.append(of(**values))
    return tuple(made)
