"""Claims about networks, put to the test: `audit`.

A claim is a row of a CSV file:

    network    a network of the zoo, or empty for a fact of another kind
    quantity   what is claimed: one of QUANTITIES, or words of your own
    claimed    a number
    unit       one of UNITS: bytes, MB, MiB … for sizes; 1, K, M, G for counts; %, year
    source     who claims it; may be left out, as may all that follow
    arguments  of the network, `width=2;groups=3`
    fact       what a source states, in the same unit, where nothing can be counted
    fact_source    that source
    note       what to know; for a wrong claim, the likely slip

Lines that start with # are comments.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from functools import cache
from math import floor, isfinite
from pathlib import Path
from typing import Any, Literal

from millijoule import zoo
from millijoule.cost import Cost, cost
from millijoule.csv_file import package_csv, parse_csv, read_csv
from millijoule.errors import DataError, ModelError
from millijoule.graph import Graph
from millijoule.ops import Conv2d

REQUIRED = ("network", "quantity", "claimed", "unit")
OPTIONAL = ("source", "arguments", "fact", "fact_source", "note")

SIZES = {"bytes": 1, "KB": 10**3, "KiB": 2**10, "MB": 10**6, "MiB": 2**20, "GB": 10**9, "GiB": 2**30}
COUNTS = {"1": 1, "K": 10**3, "M": 10**6, "G": 10**9}
PLAIN = ("%", "year")
UNITS = (*SIZES, *COUNTS, *PLAIN)
BINARY = {"KB": "KiB", "MB": "MiB", "GB": "GiB"}

TOLERANCE = 0.02
"""A claim within it is right: people say 60 million for 60,965,224."""

Verdict = Literal["right", "right in MiB", "wrong", "cannot be checked here"]


@dataclass(frozen=True)
class Quantity:
    """What can be counted of a network. sizes: whether it is in bytes."""

    count: Callable[[Graph, Cost], float]
    sizes: bool = False


def _weighted_layers(graph: Graph) -> int:
    """Convolutions and dense layers, as depths are counted."""
    return sum(type(node.op).__module__.endswith((".conv", ".dense")) for node in graph.nodes)


QUANTITIES = {
    "size": Quantity(lambda graph, costs: 4 * costs.params, sizes=True),
    "size_float16": Quantity(lambda graph, costs: 2 * costs.params, sizes=True),
    "size_int8": Quantity(lambda graph, costs: costs.size_bytes_by_precision["int8"], sizes=True),
    "peak_ram": Quantity(lambda graph, costs: costs.peak_ram_bytes, sizes=True),
    "eager_peak": Quantity(lambda graph, costs: costs.eager_peak_bytes, sizes=True),
    "params": Quantity(lambda graph, costs: costs.params),
    "macs": Quantity(lambda graph, costs: costs.macs),
    "flops": Quantity(lambda graph, costs: costs.flops),
    "connections": Quantity(lambda graph, costs: costs.connections),
    "neurons": Quantity(lambda graph, costs: costs.neurons),
    "activations": Quantity(lambda graph, costs: costs.activations),
    "layers": Quantity(lambda graph, costs: _weighted_layers(graph)),
    "hidden_layers": Quantity(lambda graph, costs: _weighted_layers(graph) - 1),
}
"""What is counted of a network. layers: those with weights; hidden: without the last. params and float sizes: of the
numbers that are trained, without the running statistics that a file also holds (0.3 % in ResNet-152)."""


@dataclass(frozen=True)
class Finding:
    """A claim and what came of it. found: the true number in the claim's unit, None if it cannot be checked here.

    origin: who says so, `counted here` or a source. ratio: claimed / found. slip: for a wrong claim, where the number
    may come from; else what to know.
    """

    network: str
    quantity: str
    claimed: float
    unit: str
    source: str
    verdict: Verdict
    found: float | None
    origin: str
    ratio: float | None
    slip: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def audit(claims: str | Path = "lecture") -> tuple[Finding, ...]:
    """Check every claim of a CSV file, or those of `lecture`, which come with the package.

    Raises DataError, in one line that names file and line, for a claim without a unit, a number that is none, a
    network that is not known and the like.
    """
    if str(claims) == "lecture":
        rows = list(enumerate(package_csv("survey", "lecture.csv", REQUIRED, OPTIONAL), start=1))
        name = "lecture.csv"
    else:
        rows, name = read_csv(Path(claims), REQUIRED, OPTIONAL), str(claims)
    return tuple(_check(row, f"{name}, line {line}") for line, row in rows)


def audit_text(text: str, name: str = "claims") -> tuple[Finding, ...]:
    """As audit, from the text of a CSV file."""
    return tuple(_check(row, f"{name}, line {line}") for line, row in parse_csv(text, name, REQUIRED, OPTIONAL))


def _check(row: dict[str, str], where: str) -> Finding:
    claimed = _number(row["claimed"], "claimed", where)
    if not row["unit"]:
        raise DataError(f"{where}: '{row['quantity']} {row['claimed']}' has no unit; give one of {', '.join(UNITS)}")
    if row["unit"] not in UNITS:
        near = [unit for unit in UNITS if unit.lower() == row["unit"].lower()]
        near = near or get_close_matches(row["unit"], UNITS, n=1, cutoff=0.4)
        hint = f"did you mean {near[0]}? " if near else ""
        raise DataError(f"{where}: unit '{row['unit']}' is not known; {hint}known are {', '.join(UNITS)}")
    found, origin = _found(row, where)
    verdict, ratio, slip = _verdict(row, claimed, found)
    return Finding(
        network=row["network"],
        quantity=row["quantity"],
        claimed=claimed,
        unit=row["unit"],
        source=row["source"],
        verdict=verdict,
        found=found,
        origin=origin,
        ratio=ratio,
        slip=slip,
    )


def _number(text: str, column: str, where: str) -> float:
    try:
        number = float(text.replace("_", ""))
        if isfinite(number):
            return number
    except ValueError:
        pass
    raise DataError(f"{where}: {column} is '{text}'; it must be a plain number, its unit in a column of its own")


def _found(row: dict[str, str], where: str) -> tuple[float | None, str]:
    """The true number in the claim's unit, and who says so."""
    quantity = QUANTITIES.get(row["quantity"])
    if row["network"]:
        graph = _graph(row["network"], row["arguments"], where)
        if quantity is not None:
            units = SIZES if quantity.sizes else COUNTS
            if row["unit"] not in units:
                raise DataError(
                    f"{where}: {row['quantity']} is in {row['unit']}; it must be in one of {', '.join(units)}"
                )
            return quantity.count(graph, cost(graph)) / units[row["unit"]], "counted here"
    elif row["quantity"].startswith("same_padding_"):
        return _same_padding(row["quantity"], where), "counted here"
    if row["fact"]:
        return _number(row["fact"], "fact", where), row["fact_source"]
    return None, ""


def _graph(network: str, arguments: str, where: str) -> Graph:
    try:
        return zoo.get(network, **_arguments(arguments, where))
    except ModelError as error:
        raise DataError(f"{where}: {error}") from None


def _arguments(text: str, where: str) -> dict[str, Any]:
    arguments = {}
    for part in filter(None, text.split(";")):
        name, equals, value = part.partition("=")
        try:
            arguments[name.strip()] = ast.literal_eval(value.strip())
        except (ValueError, SyntaxError):
            raise DataError(f"{where}: argument '{part}' is not of the form name=value") from None
        if not equals:
            raise DataError(f"{where}: argument '{part}' is not of the form name=value")
    return arguments


def _same_padding(quantity: str, where: str) -> float:
    """Of a kernel moved by 1: the rows on each side that keep the map's size. `same_padding_3`: a 3x3 kernel."""
    size = quantity.removeprefix("same_padding_")
    if not size.isdecimal() or int(size) % 2 == 0:
        raise DataError(f"{where}: '{quantity}' needs an odd kernel size, as in same_padding_3")
    window = Conv2d(channels=1, kernel=int(size), padding="same").window((32, 32, 1))
    return window.padding[0][0]


def _verdict(row: dict[str, str], claimed: float, found: float | None) -> tuple[Verdict, float | None, str]:
    """(verdict, claimed / found, what to know)."""
    if found is None:
        return "cannot be checked here", None, row["note"]
    ratio = claimed / found if found else None
    if _agrees(claimed, row["claimed"], found, row["unit"]):
        return "right", ratio, row["note"]
    binary = BINARY.get(row["unit"])
    if binary:
        in_binary = found * SIZES[row["unit"]] / SIZES[binary]
        if _agrees(claimed, row["claimed"], in_binary, binary):
            return "right in MiB", ratio, row["note"]
    return "wrong", ratio, row["note"] or _slip(row, claimed)


def _agrees(claimed: float, text: str, found: float, unit: str) -> bool:
    """Within TOLERANCE, or equal to the digits that are claimed. Years and whole counts must be equal."""
    if unit in ("year", "1") and claimed < 10_000:
        return claimed == found
    digits = len(text.partition(".")[2])
    return abs(claimed - found) <= max(TOLERANCE * abs(found), 0.5 * 10.0**-digits)


def _slip(row: dict[str, str], claimed: float) -> str:
    """Where a wrong size may come from: parameters read as bytes, or another network's row."""
    if row["unit"] not in ("MB", "MiB"):
        return ""
    own = _sizes().get(row["network"])
    if own and claimed in (floor(own[0] / 1e6), round(own[0] / 1e6)):
        return f"{claimed:g} is its parameters in millions ({own[0]:,}), read as {row['unit']}"
    nearest = min(
        (
            (abs(size / unit - claimed) / claimed, network, size / unit, name)
            for network, (_, size) in _sizes().items()
            for name, unit in (("MB", 10**6), ("MiB", 2**20))
            if network != row["network"]
        ),
        default=None,
    )
    if nearest and nearest[0] <= TOLERANCE / 2:
        _, network, size, name = nearest
        return f"near the size of {network}, {size:.4g} {name}: the row above or below?"
    return ""


@cache
def _sizes() -> dict[str, tuple[int, int]]:
    """Network of the zoo → (trained parameters, bytes as float32)."""
    counted = {entry.name: cost(entry.function()) for entry in zoo.entries()}
    return {name: (each.params, each.size_bytes) for name, each in counted.items()}


def tally(findings: Sequence[Finding]) -> dict[Verdict, int]:
    """How many claims got each verdict."""
    verdicts: dict[Verdict, int] = {}
    for finding in findings:
        verdicts[finding.verdict] = verdicts.get(finding.verdict, 0) + 1
    return verdicts
