"""A prediction: values with the range in which 90 % of such predictions fell, and what they rest on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import exp, hypot, inf, log
from typing import Any


@dataclass(frozen=True)
class Estimate:
    """A value and its range. low, high: None where nothing bounds it on that side.

    value: None where only a bound is known.
    """

    value: float | None
    low: float | None
    high: float | None

    @property
    def percent(self) -> str:
        """`+22/-18 %`: how far the range goes."""
        if self.value is None or self.low is None or self.high is None:
            return ""
        return f"+{100 * (self.high / self.value - 1):.0f}/-{100 * (1 - self.low / self.value):.0f} %"

    def scaled(self, factor: float) -> Estimate:
        return Estimate(*(None if each is None else each * factor for each in (self.value, self.low, self.high)))


@dataclass(frozen=True)
class Accesses:
    """Bytes that one inference reads from and writes to a level of memory.

    energy_mj: what that takes; None where it is not known.
    """

    level: str
    what: str
    reads_bytes: int
    writes_bytes: int
    energy_mj: Estimate | None = None


@dataclass(frozen=True)
class Prediction:
    """Latency and energy of one inference of a network on a device.

    Either is None if it is refused; `refused` then says why and what would help. instructions: of a microcontroller's
    firmware, counted or estimated. rests_on: what was measured, and how far off predictions from it were. assumptions:
    what no measurement has shown. tested: whether the range held 90 % of the predictions whose truth is published; if
    not, it is what was seen, or a bound. accesses: of an accelerator, what is moved at each level of memory.
    """

    network: str
    device: str
    latency_ms: Estimate | None
    energy_mj: Estimate | None
    instructions: int | None = None
    rests_on: tuple[str, ...] = ()
    assumptions: tuple[str, ...] = ()
    refused: tuple[tuple[str, str], ...] = ()
    tested: bool = True
    accesses: tuple[Accesses, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain values by name; `refused` is {quantity: reason}."""
        return asdict(self) | {
            "rests_on": list(self.rests_on),
            "assumptions": list(self.assumptions),
            "refused": dict(self.refused),
            "accesses": [asdict(each) for each in self.accesses],
        }


def within(value: float, factor: float) -> Estimate:
    """A value that is right within a factor, either way."""
    return Estimate(value, value / factor, value * factor)


def together(*factors: float) -> float:
    """The factor within which a product is whose parts, independent of each other, are within these."""
    return exp(hypot(*map(log, factors))) if all(factor < inf for factor in factors) else inf


def sentence(names: Sequence[str]) -> str:
    """`a, b and c`."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
