"""The result of `check`: each budget beside what is needed, and each layer beside what it was before."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from millijoule.energy.prediction import Prediction
from millijoule.errors import DataError

QUANTITIES = {"ram": "bytes", "flash": "bytes", "energy": "mJ", "latency": "ms"}
"""What may have a budget, and its unit."""
COMPARED = ("macs", "params", "size_bytes", "instructions")
"""Figures of a layer that a baseline may hold."""


@dataclass(frozen=True)
class Budget:
    """At most `limit` of a quantity of QUANTITIES, in its unit."""

    quantity: str
    limit: float


@dataclass(frozen=True)
class Verdict:
    """A budget and what is needed.

    used: what is held against the budget; None if it is not known, for the reason in `note`. nominal: the most likely
    value, where `used` is the upper end of a range. A budget of which nothing is known is not met.
    """

    quantity: str
    limit: float
    used: float | None
    nominal: float | None = None
    note: str = ""

    @property
    def unit(self) -> str:
        return QUANTITIES[self.quantity]

    @property
    def is_met(self) -> bool:
        return self.used is not None and self.used <= self.limit


@dataclass(frozen=True)
class Difference:
    """One figure of one layer, before and now; None where the layer is not there."""

    layer: str
    figure: str
    before: int | None
    now: int | None


@dataclass(frozen=True)
class Check:
    """Whether a model keeps to its budgets on a device. layers: name → figure → value, a baseline for later checks."""

    model: str
    device: str
    verdicts: tuple[Verdict, ...]
    prediction: Prediction | None
    layers: Mapping[str, Mapping[str, int]]
    differences: tuple[Difference, ...] | None = None

    @property
    def is_met(self) -> bool:
        return all(verdict.is_met for verdict in self.verdicts)

    def to_json(self) -> dict[str, Any]:
        """Plain values; `layers` is what `--baseline` reads."""
        return {
            "model": self.model,
            "device": self.device,
            "is_met": self.is_met,
            "verdicts": [asdict(each) | {"unit": each.unit, "is_met": each.is_met} for each in self.verdicts],
            "prediction": self.prediction.to_json() if self.prediction else None,
            "layers": [{"name": name, **figures} for name, figures in self.layers.items()],
            "differences": None if self.differences is None else [asdict(each) for each in self.differences],
        }


def read_baseline(path: Path) -> dict[str, dict[str, int]]:
    """Layers of an earlier `check --json`, `cost --json` or report.json. Raises DataError that says what is wrong."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"baseline '{path}' cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        raise DataError(f"baseline '{path}' is not JSON: {error}") from None
    layers = values.get("layers") if isinstance(values, dict) else None
    if not isinstance(layers, list) or not all(isinstance(each, dict) and "name" in each for each in layers):
        raise DataError(f"baseline '{path}' has no layers: it must be what `check --json` or `cost --json` printed")
    return {each["name"]: figures_of(each) for each in layers}


def figures_of(layer: Mapping[str, Any]) -> dict[str, int]:
    """The figures of COMPARED that a layer has."""
    return {name: layer[name] for name in COMPARED if isinstance(layer.get(name), int)}


def compare(before: Mapping[str, Mapping[str, int]], now: Mapping[str, Mapping[str, int]]) -> tuple[Difference, ...]:
    """Every figure that both know and that differs, in the order of the layers; layers that came or went."""
    known = _figures(before) & _figures(now)
    names = [*now, *(name for name in before if name not in now)]
    return tuple(
        Difference(name, figure, old, new)
        for name in names
        for figure in COMPARED
        if figure in known and (old := before.get(name, {}).get(figure)) != (new := now.get(name, {}).get(figure))
    )


def _figures(layers: Mapping[str, Mapping[str, int]]) -> set[str]:
    return {figure for figures in layers.values() for figure in figures}


def total(differences: Sequence[Difference], figure: str) -> int:
    """By how much a figure grew, over all layers."""
    return sum((each.now or 0) - (each.before or 0) for each in differences if each.figure == figure)
