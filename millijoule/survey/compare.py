"""Networks beside each other: what they cost, and the accuracy that is published for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from typing import Any

from millijoule import zoo
from millijoule.cost import cost
from millijoule.csv_file import package_csv
from millijoule.errors import OptionError
from millijoule.graph import Graph
from millijoule.model import Model

LECTURE = (
    "alexnet",
    "nin",
    "vgg19",
    "googlenet",
    "resnet152",
    "inception_resnet_v2",
    "densenet201",
    "xception",
    "mobilenet_v2",
    "shufflenet_v1",
)
"""The networks that the lecture compares, in its order."""


@dataclass(frozen=True)
class Accuracy:
    """top1, top5: in % of the ImageNet validation set; None where none is published. weights: whose reached it."""

    top1: float
    top5: float | None
    weights: str
    source: str


@dataclass(frozen=True)
class Compared:
    """One network. year: of publication, None for a file. size_bytes: float32. top1_per_million: top-1 in % for each
    million of parameters, the information density of Canziani et al. 2016."""

    name: str
    title: str
    year: int | None
    params: int
    macs: int
    size_bytes: int
    eager_peak_bytes: int
    top1: float | None
    top5: float | None
    top1_per_million: float | None
    weights: str
    source: str
    not_counted: dict[str, str]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


COLUMNS = (
    "name",
    "year",
    "params",
    "macs",
    "size_bytes",
    "eager_peak_bytes",
    "top1",
    "top5",
    "top1_per_million",
    "weights",
)
"""What a comparison can be sorted by."""


def compare(
    networks: Sequence[Graph | Model], sort: str | None = None, descending: bool = False
) -> tuple[Compared, ...]:
    """Count each network and put the published accuracy beside it.

    sort: one of COLUMNS; networks without that figure come last. Default: the order given.
    Raises OptionError for another column.
    """
    if sort is not None and sort not in COLUMNS:
        near = get_close_matches(sort, COLUMNS, n=1, cutoff=0.4)
        hint = f"did you mean {near[0]}? " if near else ""
        raise OptionError(f"there is no column '{sort}'; {hint}known are {', '.join(COLUMNS)}")
    known = {entry.name: entry for entry in zoo.entries()}
    accuracies = published()
    rows = [_compared(network, known, accuracies) for network in networks]
    if sort is None:
        return tuple(rows)
    figure = [row for row in rows if getattr(row, sort) is not None]
    without = [row for row in rows if getattr(row, sort) is None]
    return (*sorted(figure, key=lambda row: getattr(row, sort), reverse=descending), *without)


def published() -> dict[str, Accuracy]:
    """Network of the zoo → the accuracy published for it, with weights and source."""
    return {
        row["network"]: Accuracy(
            top1=float(row["top1"]),
            top5=float(row["top5"]) if row["top5"] else None,
            weights=row["weights"],
            source=row["source"],
        )
        for row in package_csv("survey", "published.csv", ("network", "top1", "top5", "weights", "source"))
    }


def _compared(network: Graph | Model, known: dict[str, zoo.Entry], accuracies: dict[str, Accuracy]) -> Compared:
    graph = network.graph if isinstance(network, Model) else network
    counted = cost(network)
    of_the_zoo = isinstance(network, Graph) and graph.name in known
    entry = known[graph.name] if of_the_zoo else None
    accuracy = accuracies.get(graph.name) if of_the_zoo else None
    return Compared(
        name=graph.name,
        title=entry.title if entry else graph.name,
        year=entry.year if entry else None,
        params=counted.params,
        macs=counted.macs,
        size_bytes=counted.size_bytes,
        eager_peak_bytes=counted.eager_peak_bytes,
        top1=accuracy.top1 if accuracy else None,
        top5=accuracy.top5 if accuracy else None,
        top1_per_million=accuracy.top1 / counted.params * 1e6 if accuracy else None,
        weights=accuracy.weights if accuracy else "",
        source=accuracy.source if accuracy else "",
        not_counted=counted.not_counted,
    )
