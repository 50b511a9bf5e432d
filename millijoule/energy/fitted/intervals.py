"""Errors of predictions, and the intervals that follow from them.

An error is the logarithm of predicted / true. An interval of a prediction is as wide as the errors of predictions of
its kind, each made without the group that it is of: of 90 % of them at least, counted as split-conformal prediction
counts (Lei et al., JASA 2018, section 2.2: the ceil((n + 1) level)-th smallest of n).
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from math import ceil, exp, inf, log
from statistics import mean, median

LEVEL = 0.9
"""How often an interval should hold what is measured."""


@dataclass(frozen=True)
class Error:
    """Of one prediction: log(predicted / true), and the group that was left out when it was made."""

    log: float
    group: Hashable

    @property
    def relative(self) -> float:
        """|predicted / true - 1|."""
        return abs(exp(self.log) - 1)


@dataclass(frozen=True)
class Summary:
    """Relative errors of `count` predictions, and the share of them whose interval held the truth."""

    count: int
    groups: int
    mean: float
    median: float
    p90: float
    worst: float
    coverage: float | None


def of(predicted: float, true: float, group: Hashable) -> Error:
    return Error(log(predicted / true), group)


def spread(errors: Sequence[Error], level: float = LEVEL) -> float:
    """The factor s such that predicted / s to predicted x s held the truth in `level` of the predictions.

    Infinite if there are too few to say.
    """
    logs = sorted(abs(error.log) for error in errors)
    rank = ceil((len(logs) + 1) * level)
    return exp(logs[rank - 1]) if 0 < rank <= len(logs) else inf


def summarise(errors: Sequence[Error]) -> Summary:
    """coverage: of the interval that the errors of all other groups give; None where those are too few."""
    relative = sorted(error.relative for error in errors)
    groups = {error.group for error in errors}
    held = []
    for group in groups:
        width = spread([error for error in errors if error.group != group])
        if width < inf:
            held += [exp(abs(error.log)) <= width for error in errors if error.group == group]
    return Summary(
        count=len(relative),
        groups=len(groups),
        mean=mean(relative),
        median=median(relative),
        p90=_quantile(relative, 0.9),
        worst=relative[-1],
        coverage=mean(held) if len(held) == len(relative) else None,
    )


def _quantile(ordered: Sequence[float], level: float) -> float:
    """Linear between the two nearest, as numpy's."""
    place = (len(ordered) - 1) * level
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])
