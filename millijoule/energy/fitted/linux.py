"""Linux boards: time and energy of an image as a sum of terms, each with a coefficient of 0 or more.

A constant, MACs, output elements of convolutions, parameters, and layers (each starts threads): fitted for each board,
runtime and precision on the MobileNets that were measured there, by least squares of relative errors.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import exp, log
from typing import Literal

from millijoule.energy.fitted import least_squares
from millijoule.energy.fitted.tables import BoardRun, board_runs

Quantity = Literal["energy_mj", "latency_ms"]
ENERGY: Quantity = "energy_mj"
LATENCY: Quantity = "latency_ms"
TERMS = ("constant", "GMACs", "million outputs", "million parameters", "ten layers")


SLACK = 1.25
"""How far beyond the measured networks a network may be."""


@dataclass(frozen=True)
class Terms:
    """What a prediction needs to know of a network."""

    macs: float
    outputs: float
    params: float
    layers: float

    def row(self) -> list[float]:
        """In the units of TERMS."""
        return [1.0, self.macs / 1e9, self.outputs / 1e6, self.params / 1e6, self.layers / 10]


def terms(run: BoardRun) -> Terms:
    return Terms(run.macs, run.outputs, run.params, run.layers)


def fit(runs: Sequence[BoardRun], quantity: Quantity) -> list[float]:
    """A coefficient for each of TERMS, in mJ or ms."""
    return least_squares.fit([terms(run).row() for run in runs], [getattr(run, quantity) for run in runs])


def evaluate(coefficients: Sequence[float], network: Terms) -> float:
    return least_squares.evaluate(coefficients, network.row())


def groups() -> dict[tuple[str, str, str], list[BoardRun]]:
    """(round, system, precision) → the MobileNets that were measured on it."""
    found = defaultdict(list)
    for run in board_runs():
        if run.network.startswith("mobilenet"):
            found[run.round, run.system, run.precision].append(run)
    return dict(found)


def outside(known: Sequence[Terms], network: Terms) -> str:
    """Why a network is far from the measured ones; empty if it is not.

    Each term may be a quarter beyond the measured ones, and so may each ratio of terms: networks of another family have
    more MACs for each output, say, than any of them.
    """
    measures: dict[str, Callable[[Terms], float]] = {
        "MACs": lambda each: each.macs,
        "output elements": lambda each: each.outputs,
        "parameters": lambda each: each.params,
        "layers": lambda each: each.layers,
        "MACs for each output element": lambda each: each.macs / max(each.outputs, 1),
    }
    for name, measure in measures.items():
        values = [measure(each) for each in known]
        low, high, value = min(values) / SLACK, max(values) * SLACK, measure(network)
        if not low <= value <= high:
            return f"its {value:,.4g} {name} are outside of the {low:,.4g} to {high:,.4g} that fitted networks allow"
    return ""


def board(system: str) -> str:
    """`rpi4`, `odroid`, `xavier`: the part of a system's name that is the board."""
    return system.split("-")[0].removesuffix("coral")


def width(run: BoardRun) -> str:
    """`mobilenet-v1-0.25`: the network without its input size."""
    return run.network.rsplit("-", 1)[0]


NEAR = 0.1
"""Boards whose ratios differ from the readings by this much (logarithm) weigh a quarter of one that agrees."""


def tilted(known: Sequence[Sequence[float]], readings: Sequence[tuple[Terms, float]], network: Terms) -> float:
    """A network on a new board, of which few readings exist: what other boards take, scaled by the readings.

    known: coefficients of other boards; those whose networks compare as the readings do weigh more. readings: (network,
    value). If they are of networks with different MACs, the scale is a power of the MACs, by least squares.
    """
    usual = _usual(known, readings)
    points = [(log(each.macs), log(value) - usual(each)) for each, value in readings]
    middle, level = (sum(values) / len(points) for values in zip(*points, strict=True))
    across = sum((x - middle) ** 2 for x, _ in points)
    slope = sum((x - middle) * (y - level) for x, y in points) / across if across else 0.0
    return exp(usual(network) + level + slope * (log(network.macs) - middle))


def _usual(known: Sequence[Sequence[float]], readings: Sequence[tuple[Terms, float]]) -> Callable[[Terms], float]:
    """A network → the weighted mean over the known boards of the logarithm of what it takes."""
    weights = []
    for coefficients in known:
        apart = [log(value / evaluate(coefficients, each)) for each, value in readings]
        weights.append((NEAR + max(apart) - min(apart)) ** -2)

    def usual(network: Terms) -> float:
        logs = [log(evaluate(coefficients, network)) for coefficients in known]
        return sum(weight * each for weight, each in zip(weights, logs, strict=True)) / sum(weights)

    return usual
