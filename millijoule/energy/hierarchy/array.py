"""Accelerators like Eyeriss: energy of the chip for each MAC on inputs that are not 0, and each byte of its buffer.

Both energies are fitted on the convolutions of AlexNet and VGG-16 that were measured on Eyeriss, layer by layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import mean

from millijoule.cost import Cost, cost
from millijoule.cost.device import Device, load_device
from millijoule.energy.fitted import least_squares
from millijoule.energy.fitted.intervals import Error, of, spread
from millijoule.energy.fitted.tables import ChipRun, chip_runs
from millijoule.energy.hierarchy.row_stationary import (
    FIGURES,
    Array,
    Layer,
    buffer_accesses,
    dram_accesses,
    layer_of,
)
from millijoule.energy.prediction import Accesses, Prediction, within
from millijoule.errors import DeviceError
from millijoule.graph import Graph
from millijoule.passes import simplify

BATCH = 4
"""Images at once, as AlexNet was measured; a strip reads its weights once for all of them."""
KERNELS = (3, 5, 11)
"""Sides of the kernels that were measured."""
PICO = 1e-9
"""Millijoules of a picojoule."""
MEGA = 1e6
FAR = 0.5
"""Share of the MACs in layers of kinds that were not measured, above which energy is refused."""


@dataclass(frozen=True)
class Measured:
    """A layer that was measured on Eyeriss. macs: of the whole batch."""

    run: ChipRun
    layer: Layer
    macs: int
    is_first: bool

    @property
    def nonzero(self) -> float:
        return 1 - self.run.zeros_percent / 100


@dataclass(frozen=True)
class Energies:
    """pJ of a MAC whose input is not 0, and of a byte to or from the buffer; the share of inputs that are not 0."""

    mac_pj: float
    buffer_pj_per_byte: float
    nonzero: float

    def layer_mj(self, macs: float, buffer_bytes: float, is_first: bool) -> float:
        """is_first: the input is the image, which has no zeros to speak of."""
        share = 1.0 if is_first else self.nonzero
        return (macs * share * self.mac_pj + buffer_bytes * self.buffer_pj_per_byte) * PICO


@lru_cache
def measured() -> tuple[Measured, ...]:
    """The convolutions of AlexNet and VGG-16."""
    from millijoule import zoo

    found = []
    for name in dict.fromkeys(run.network for run in chip_runs()):
        graph = simplify(zoo.get(name))
        layers, macs = _layers(graph), {each.name: each.macs for each in cost(graph).layers}
        for run in chip_runs():
            if run.network == name:
                is_first = graph.by_name[run.layer].inputs[0] == graph.inputs[0].name
                found.append(Measured(run, layers[run.layer], round(run.batch) * macs[run.layer], is_first))
    return tuple(found)


def _layers(graph: Graph) -> dict[str, Layer]:
    pairs = ((node.name, layer_of(graph, node)) for node in graph.nodes)
    return {name: layer for name, layer in pairs if layer}


def fit(rows: Sequence[Measured]) -> Energies:
    """By least squares of relative errors; zeros and bytes of the buffer as they were published."""
    terms = [(each.macs * each.nonzero * PICO, each.run.buffer_mb * MEGA * PICO) for each in rows]
    mac, buffer = least_squares.fit(terms, [each.run.energy_mj for each in rows])
    return Energies(mac, buffer, mean(each.nonzero for each in rows if not each.is_first))


def array(device: Device) -> Array:
    """What the device states of its array. Raises DeviceError that names what it does not."""
    missing = [name for name in FIGURES if name not in device.figures]
    if missing:
        raise DeviceError(f"device '{device.name}' states no {missing[0]}; add it under [figures], with its source")
    return Array(*(int(device.figures[name]) for name in FIGURES))


@dataclass(frozen=True)
class Predicted:
    """Of a measured layer, its whole batch."""

    energy_mj: float
    buffer_bytes: float
    dram_bytes: float


@lru_cache
def predicted() -> tuple[Predicted, ...]:
    """Each measured layer by the energies, and the usual share of zeros, of the other network.

    Bytes to and from DRAM are compressed, and so counted with the zeros of the layer's own input.
    """
    chip = array(load_device("eyeriss"))
    found = []
    for each in measured():
        energies = fit([other for other in measured() if other.run.network != each.run.network])
        batch = round(each.run.batch)
        moved = sum(buffer_accesses(each.layer, chip, batch))
        dram = sum(dram_accesses(each.layer, chip, batch, (each.nonzero, energies.nonzero)))
        found.append(Predicted(energies.layer_mj(each.macs, moved, each.is_first), moved, dram))
    return tuple(found)


def errors() -> list[Error]:
    """Of the energy of each measured layer."""
    return [of(each.energy_mj, row.run.energy_mj, row.run.network) for row, each in _both()]


def buffer_errors() -> list[Error]:
    """Of the bytes to and from the buffer."""
    return [of(each.buffer_bytes, row.run.buffer_mb * MEGA, row.run.network) for row, each in _both()]


def dram_errors() -> list[Error]:
    """Of the bytes to and from DRAM."""
    return [of(each.dram_bytes, row.run.dram_mb * MEGA, row.run.network) for row, each in _both()]


def _both() -> list[tuple[Measured, Predicted]]:
    return list(zip(measured(), predicted(), strict=True))


def predict(graph: Graph, counted: Cost, device: Device) -> Prediction:
    """Energy of the chip for one image of a batch of four; time is not modelled, DRAM's energy is not known.

    Every layer's maps lie in DRAM: the buffer holds what a pass needs. Energy is refused if most MACs are in layers
    unlike the measured ones: with other kernels, or of one channel for each filter.
    """
    chip, energies = array(device), fit(measured())
    first = {input.name for input in graph.inputs}
    total = near = 0.0
    moved = [(0, 0, 0, 0)]
    macs = {each.name: each.macs for each in counted.layers}
    for name, layer in _layers(graph).items():
        is_first = graph.by_name[name].inputs[0] in first
        share = 1.0 if is_first else energies.nonzero
        buffer = buffer_accesses(layer, chip, BATCH)
        moved.append((*buffer, *dram_accesses(layer, chip, BATCH, (share, energies.nonzero))))
        total += energies.layer_mj(macs[name], sum(buffer) / BATCH, is_first)
        if layer.kernel[0] in KERNELS and layer.channels > 1:
            near += macs[name]
    reads, writes, dram_reads, dram_writes = (round(sum(column) / BATCH) for column in zip(*moved, strict=True))
    far = 1 - near / counted.macs if counted.macs else 1.0
    factor = spread(errors())
    refused = [("latency", f"device '{device.name}' has energies, no times")]
    if far > FAR:
        kinds = "kernels of 3x3, 5x5 and 11x11 over several channels"
        refused.append(("energy", f"{100 * far:.0f} % of the MACs are in layers unlike those measured: {kinds}"))
    buffer_mj = None if far > FAR else within((reads + writes) * energies.buffer_pj_per_byte * PICO, factor)
    return Prediction(
        counted.name,
        device.name,
        None,
        None if far > FAR else within(total, factor),
        rests_on=(
            f"{energies.mac_pj:.1f} pJ for each MAC whose input is not 0 ({100 * energies.nonzero:.0f} % behind the "
            f"first layer) and {energies.buffer_pj_per_byte:.0f} pJ for each byte of the buffer: 18 convolutions of "
            "AlexNet and VGG-16 (JSSC 2017); the range is that of single layers, the other network known",
        ),
        assumptions=(
            *((f"{100 * far:.0f} % of the MACs are in layers unlike those measured",) if 0 < far <= FAR else ()),
            *device.notes,
        ),
        refused=tuple(refused),
        tested=False,
        accesses=(
            Accesses("buffer", "inputs and sums", reads, writes, buffer_mj),
            Accesses("DRAM", "maps and weights", dram_reads, dram_writes),
        ),
    )
