"""Meters of energy. `meter("none" | "zeus" | "csv:FILE")` gives one.

A meter is asked for the energy between two times; what it cannot know it says, and nothing is filled in.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

from millijoule.errors import OptionError


@dataclass(frozen=True)
class Reading:
    """Energy of a stretch of time. error_joules: what sampling alone leaves open; the meter's own accuracy is not in
    it. rate_hz: samples a second, or how often a counter of energy is brought up to date."""

    joules: float
    seconds: float
    error_joules: float
    rate_hz: float

    @property
    def watts(self) -> float:
        return self.joules / self.seconds


class Meter(ABC):
    """name: for the reader. live: whether it must be asked while the network runs."""

    name: str
    live: bool = False

    @abstractmethod
    def start(self) -> None:
        """The stretch begins now."""

    @abstractmethod
    def stop(self, begin: float, end: float) -> Reading:
        """Energy from `begin` to `end`, seconds since 1970; live meters measure from start() to now.

        Raises DataError if the meter has nothing, or not enough, of that time."""


def meter(name: str) -> Meter | None:
    """None for `none`. Raises OptionError for an unknown name, ToolError if the meter is not there or not readable,
    DataError for a log that cannot be right."""
    kind, _, rest = name.partition(":")
    if name == "none":
        return None
    if kind == "csv" and rest:
        from millijoule.measure.meters.log import LogMeter

        return LogMeter(Path(rest))
    if name == "zeus":
        from millijoule.measure.meters.with_zeus import ZeusMeter

        return ZeusMeter()
    raise OptionError(f"meter '{name}' is not known; it must be none, zeus or csv:FILE")
