"""Readings of one's own board: from a CSV file into a device file, which predictions then follow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from pathlib import Path

from millijoule.cost import cost
from millijoule.cost.device import Device, Reading
from millijoule.csv_file import read_csv
from millijoule.energy import mcu, roofline
from millijoule.energy.fitted.instructions import layers_of, windowed_share
from millijoule.energy.prediction import Prediction
from millijoule.errors import DataError, DeviceError
from millijoule.graph import Graph
from millijoule.model import Model
from millijoule.passes import deployed

LATENCY = {"latency_us": 1e-3, "latency_ms": 1.0, "latency_s": 1e3}
ENERGY = {"energy_nj": 1e-6, "energy_uj": 1e-3, "energy_mj": 1.0, "energy_j": 1e3}
POWER = {"power_uw": 1e-3, "power_mw": 1.0, "power_w": 1e3}
"""Columns that name their unit → ms, mJ, mW."""
WITHOUT_UNIT = {"latency": LATENCY, "energy": ENERGY, "power": POWER}

NetworkOf = Callable[[str], Graph | Model | None]
"""A network's name → the network; None if none of this name is known."""


@dataclass(frozen=True)
class Checked:
    """A reading beside what the other readings predict of it; predicted: None if there are no others."""

    reading: Reading
    predicted: Prediction | None


def read_runs(path: Path, device: Device, network_of: NetworkOf) -> tuple[Reading, ...]:
    """The readings of a CSV file: columns network, a latency, perhaps an energy or a power, each with its unit.

    For a microcontroller a column `instructions` says what the firmware executes (`deploy` prints it); on other devices
    `network` must be one whose cost is known. Raises DataError that names file, line and column of a cell that is
    empty or no number above 0, and of a column without a unit.
    """
    columns = (*LATENCY, *ENERGY, *POWER, *WITHOUT_UNIT, "instructions", "dense_weights")
    rows = read_csv(path, ("network",), columns)
    readings = [_reading(f"{path}, line {line}", row, device, network_of) for line, row in rows]
    first = [each.energy_mj is None for each in readings]
    if any(first) and not all(first):
        line, _ = rows[first.index(True)]
        raise DataError(f"{path}, line {line}: no energy or power, as other lines have; fill it in or leave all out")
    return tuple(readings)


def _reading(where: str, row: dict[str, str], device: Device, network_of: NetworkOf) -> Reading:
    for name, columns in WITHOUT_UNIT.items():
        if row[name]:
            raise DataError(f"{where}: column '{name}' has no unit; call it {' or '.join(columns)}")
    if not row["network"]:
        raise DataError(f"{where}: column 'network' is empty")
    latency = _one_of(where, row, LATENCY)
    if latency is None:
        raise DataError(f"{where}: no latency; fill in {', '.join(LATENCY)}")
    energy, power = _one_of(where, row, ENERGY), _one_of(where, row, POWER)
    if energy is not None and power is not None:
        raise DataError(f"{where}: an energy and a power; give one of them")
    if power is not None:
        energy = power * latency / 1000
    network = network_of(row["network"])
    found = cost(network) if network else None
    reading = Reading(network=row["network"], latency_ms=latency, energy_mj=energy)
    if device.kind == "mcu":
        instructions = _number(where, "instructions", row["instructions"])
        dense = _number(where, "dense_weights", row["dense_weights"]) if row["dense_weights"] else 0
        if found and not row["dense_weights"]:
            dense = found.macs_by_family["dense"]
        reading = replace(reading, instructions=round(instructions), dense_weights=round(dense))
        if network and found:
            windowed = found.macs * windowed_share(layers_of(deployed(network)))
            reading = replace(reading, macs=found.macs, windowed_macs=round(windowed))
        return reading
    if found is None:
        raise DataError(f"{where}: network '{row['network']}' is not known; name one of the zoo or a model file")
    terms = roofline.terms_of(found)
    return replace(
        reading,
        macs=round(terms.macs),
        outputs=round(terms.outputs),
        params=round(terms.params),
        layers=round(terms.layers),
    )


def _one_of(where: str, row: dict[str, str], columns: dict[str, float]) -> float | None:
    filled = [name for name in columns if row[name]]
    if len(filled) > 1:
        raise DataError(f"{where}: {' and '.join(filled)} are both filled in; give one of them")
    return _number(where, filled[0], row[filled[0]]) * columns[filled[0]] if filled else None


def _number(where: str, column: str, text: str) -> float:
    if not text:
        raise DataError(f"{where}: column '{column}' is empty")
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not (value > 0 and isfinite(value)):
        raise DataError(f"{where}: column '{column}' is '{text}'; it must be a number above 0")
    return value


def calibrated(device: Device, name: str, readings: Sequence[Reading], source: str) -> Device:
    """The device with readings of its own. Raises DeviceError for one of which nothing is predicted by readings."""
    if device.kind not in ("mcu", "roofline"):
        raise DeviceError(f"device '{device.name}' takes no readings: it is of kind {device.kind}")
    return replace(device, name=name, system="", readings=tuple(readings), sources=device.sources | {"reading": source})


def check(device: Device, precision: str = "fp32") -> tuple[Checked, ...]:
    """Each reading of a device, and what is predicted of it by all the others."""
    found = []
    for index, reading in enumerate(device.readings):
        others = device.readings[:index] + device.readings[index + 1 :]
        rest = replace(device, readings=others)
        predicted: Prediction | None = None
        if others and device.kind == "mcu":
            work = mcu.Work(reading.instructions, dense_weights=reading.dense_weights, mix=mcu.mix_of(reading))
            predicted = mcu.predict(reading.network, rest, work)
        elif others:
            network = roofline.terms_of_reading(reading)
            predicted = roofline.by_readings(reading.network, rest, precision, network)
        found.append(Checked(reading, predicted))
    return tuple(found)
