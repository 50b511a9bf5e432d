"""A log of power as CSV: of an INA219 or INA226, a Joulescope, a wall meter, whatever writes times and watts."""

from __future__ import annotations

import csv
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import TextIO

from millijoule.errors import DataError
from millijoule.measure.meters import Meter, Reading

TIMES = {"time_s": 1.0, "time_ms": 1e-3, "time_us": 1e-6}
POWERS = {"power_w": 1.0, "power_mw": 1e-3, "power_uw": 1e-6}
CURRENTS = {"current_a": 1.0, "current_ma": 1e-3, "current_ua": 1e-6}
VOLTAGES = {"voltage_v": 1.0, "voltage_mv": 1e-3}
LARGEST_GAP = 5
"""Times the usual distance between two samples: with a longer one inside, energy would be a guess."""


class LogMeter(Meter):
    """Columns: time_s, time_ms or time_us since 1970, or `time` as ISO 8601; power_w, power_mw or power_uw, or a
    current (current_a, current_ma, current_ua) and a voltage (voltage_v, voltage_mv). Energy by trapezia.

    The file may grow while networks run: it is read when the first energy is asked for.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.name = path, f"log {path.name}"
        self.times: list[float] = []
        self.watts: list[float] = []
        with _opened(path) as file:
            _columns(path, next(csv.reader(file), []))

    def start(self) -> None: ...

    def stop(self, begin: float, end: float) -> Reading:
        if not self.times or self.times[-1] < end:
            self.times, self.watts = read_log(self.path)
        return energy(self.path, self.times, self.watts, begin, end)


def energy(path: Path, times: Sequence[float], watts: Sequence[float], begin: float, end: float) -> Reading:
    """Of a log's stretch. Raises DataError if the log does not cover it or has a gap in it."""
    if not times or times[0] > begin or times[-1] < end:
        covers = f"{times[0]:.3f} to {times[-1]:.3f}" if times else "no time"
        raise DataError(f"'{path}' covers {covers} s, the run was at {begin:.3f} to {end:.3f} s: log it whole")
    first, last = bisect_right(times, begin) - 1, bisect_left(times, end)
    steps = [later - sooner for sooner, later in pairwise(times[first : last + 1])]
    usual = median([later - sooner for sooner, later in pairwise(times)])
    if max(steps) > LARGEST_GAP * usual:
        at = first + steps.index(max(steps))
        raise DataError(
            f"'{path}', line {at + 3}: {max(steps):.3g} s without a sample, where {usual:.3g} s is usual: "
            "log without gaps"
        )
    points = [
        (begin, _between(times, watts, begin)),
        *zip(times[first + 1 : last], watts[first + 1 : last], strict=True),
    ]
    points.append((end, _between(times, watts, end)))
    joules = sum((b - a) * (u + v) / 2 for (a, u), (b, v) in pairwise(points))
    spread = max(watts[first : last + 1]) - min(watts[first : last + 1])
    # Power may have changed anywhere between the two samples around each end.
    return Reading(joules, end - begin, spread * usual, 1 / usual)


def _between(times: Sequence[float], watts: Sequence[float], at: float) -> float:
    after = min(max(bisect_left(times, at), 1), len(times) - 1)
    before = after - 1
    share = (at - times[before]) / (times[after] - times[before])
    return watts[before] + share * (watts[after] - watts[before])


def read_log(path: Path) -> tuple[list[float], list[float]]:
    """(seconds since 1970, watts). Raises DataError, naming line and column, for a log that cannot be right."""
    times, watts = list[float](), list[float]()
    with _opened(path) as file:
        reader = csv.reader(file)
        time, *power = _columns(path, next(reader, []))
        for number, row in enumerate(reader, start=2):
            if not row:
                continue
            when = _number(path, number, row, time)
            product = 1.0
            for column in power:
                product *= _number(path, number, row, column)
            if times and when <= times[-1]:
                raise DataError(f"'{path}', line {number}: time {when:.6f} s is not after {times[-1]:.6f} s")
            times.append(when)
            watts.append(product)
    if len(times) < 2:
        raise DataError(f"'{path}' has {len(times)} samples; energy needs 2 or more")
    return times, watts


Place = tuple[int, str, float]
"""(number of the column, its name, factor to seconds, watts, amperes or volts)"""


def _columns(path: Path, header: Sequence[str]) -> list[Place]:
    """Time, then power, or current and voltage."""
    names = [name.strip().lower() for name in header]

    def find(known: dict[str, float]) -> Place | None:
        return next(((names.index(name), name, factor) for name, factor in known.items() if name in names), None)

    time = find(TIMES | {"time": 1.0})
    power, current, voltage = find(POWERS), find(CURRENTS), find(VOLTAGES)
    if time and power:
        return [time, power]
    if time and current and voltage:
        return [time, current, voltage]
    missing = "a time (time_s, time_ms, time_us or time)" if not time else "power_w, or current_ma and voltage_v"
    raise DataError(
        f"'{path}', line 1: columns are {', '.join(names) or 'none'}; there must be {missing}, the unit in the name"
    )


def _number(path: Path, line: int, row: Sequence[str], place: Place) -> float:
    index, name, factor = place
    text = row[index].strip() if index < len(row) else ""
    try:
        if name == "time":
            when = datetime.fromisoformat(text)
            return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
        number = float(text)
        if number != number or abs(number) == float("inf"):
            raise ValueError
    except ValueError:
        raise DataError(f"'{path}', line {line}, column {name}: '{text}' is no number") from None
    return number * factor


def _opened(path: Path) -> TextIO:
    try:
        return path.open(newline="", encoding="utf-8-sig")
    except OSError as error:
        raise DataError(f"meter 'csv:{path}' cannot be read: {error.strerror}") from None
