"""Money and carbon: of a million inferences, or of a training run, from a file of prices that anyone can change."""

from __future__ import annotations

import tomllib
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from millijoule.cost.device import Device
from millijoule.energy.prediction import Estimate, Prediction
from millijoule.errors import DataError, OptionError

KEYS = {"electricity": "usd_per_kwh", "grid": "gco2e_per_kwh", "machine": "years"}
MILLION = 1_000_000
KWH_PER_MJ = 1 / 3.6e9
"""Kilowatt-hours of a millijoule."""
HOURS_PER_YEAR = 8766.0


@dataclass(frozen=True)
class Prices:
    """usd_per_kwh, gco2e_per_kwh: of electricity where the device runs. years: over which a machine's price is spread.

    sources: of each, under its name.
    """

    usd_per_kwh: float
    gco2e_per_kwh: float
    years: float
    sources: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Bill:
    """What something takes. Each figure is a range; None where nothing is known of it, which `missing` explains.

    what: of what. hours: how long a device works. machine_usd: the share of its price that falls on those hours.
    """

    what: str
    device: str
    hours: Estimate | None
    energy_kwh: Estimate | None
    electricity_usd: Estimate | None
    carbon_kg: Estimate | None
    machine_usd: Estimate | None
    missing: tuple[str, ...] = ()
    sources: tuple[tuple[str, str], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain values by name."""
        return asdict(self) | {"missing": list(self.missing), "sources": dict(self.sources)}


def prices_text() -> str:
    """The file of prices that comes with the package."""
    return (files("millijoule") / "energy" / "data" / "prices.toml").read_text(encoding="utf-8")


def read_prices(path: Path | None = None) -> Prices:
    """The prices of a file, or those of the package. Raises DataError that names what is missing or wrong."""
    name = str(path) if path else "prices.toml"
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8") if path else prices_text())
    except OSError as error:
        raise DataError(f"prices '{name}' cannot be read: {error.strerror or error}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"prices '{name}': {error}") from None
    for section, key in KEYS.items():
        found = values.get(section)
        if not isinstance(found, dict) or key not in found:
            raise DataError(f"prices '{name}': [{section}] has no '{key}'")
        if isinstance(found[key], bool) or not isinstance(found[key], int | float) or not found[key] > 0:
            raise DataError(f"prices '{name}': {key} is {found[key]!r}; it must be a number above 0")
        if not isinstance(found.get("source"), str) or not found["source"]:
            raise DataError(f"prices '{name}': [{section}] has no source; say where {key} is from")
    usd_per_kwh, gco2e_per_kwh, years = (float(values[section][key]) for section, key in KEYS.items())
    sources = tuple((key, values[section]["source"]) for section, key in KEYS.items())
    return Prices(usd_per_kwh, gco2e_per_kwh, years, sources)


def inferences(prediction: Prediction, device: Device, prices: Prices, count: int = MILLION) -> Bill:
    """So many inferences, one after the other on one device."""
    latency, energy = prediction.latency_ms, prediction.energy_mj
    missing = tuple(f"no {quantity}: {reason}" for quantity, reason in prediction.refused)
    hours = latency.scaled(count / 3.6e6) if latency else None
    kwh = energy.scaled(count * KWH_PER_MJ) if energy else None
    return _bill(f"{count:,} inferences of {prediction.network}", device, hours, kwh, prices, missing)


def training(device: Device, hours: float, prices: Prices, power_w: float | None = None) -> Bill:
    """A run of so many hours on a machine.

    power_w: what it draws, measured. Without it the device's own `power_w` is taken, which is the most that its
    processors draw: energy, money and carbon are then at most what stands there, for those alone. Raises OptionError if
    neither is known.
    """
    constant = Estimate(hours, hours, hours)
    if power_w is not None:
        kwh = constant.scaled(power_w / 1000)
        missing: tuple[str, ...] = ()
    elif "power_w" in device.figures:
        most = hours * device.figures["power_w"] * device.figures.get("chips", 1) / 1000
        kwh = Estimate(None, None, most)
        most_drawn = f"power was not measured; the most that its processors draw: {device.sources['power_w']}"
        missing = (most_drawn, *device.notes)
    else:
        raise OptionError(f"device '{device.name}' states no power: give --power, as 350W, which a meter shows")
    return _bill(f"{hours:g} hours", device, constant, kwh, prices, missing)


def _bill(
    what: str, device: Device, hours: Estimate | None, kwh: Estimate | None, prices: Prices, missing: tuple[str, ...]
) -> Bill:
    price = device.figures.get("price_usd")
    machine = None
    if price is not None and hours is not None:
        machine = hours.scaled(price / (prices.years * HOURS_PER_YEAR))
    return Bill(
        what=what,
        device=device.name,
        hours=hours,
        energy_kwh=kwh,
        electricity_usd=kwh.scaled(prices.usd_per_kwh) if kwh else None,
        carbon_kg=kwh.scaled(prices.gco2e_per_kwh / 1000) if kwh else None,
        machine_usd=machine,
        missing=missing,
        sources=(*prices.sources, *((("price_usd", device.sources["price_usd"]),) if price is not None else ())),
    )
