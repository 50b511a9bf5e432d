"""The zoo as a list: each network with what it costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from millijoule.cost import cost
from millijoule.zoo import Entry, Published


@dataclass(frozen=True)
class NetworkSummary:
    """A network of the zoo at its default arguments, counted as it is trained.

    published: what others count.
    """

    name: str
    title: str
    year: int
    paper: str
    input_shape: tuple[int, ...]
    params: int
    macs: int
    published: Published | None

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"input_shape": list(self.input_shape)}


def summarise(entries: Sequence[Entry]) -> tuple[NetworkSummary, ...]:
    """Build and count every network; no weight is allocated."""
    return tuple(_summary(entry) for entry in entries)


def _summary(entry: Entry) -> NetworkSummary:
    graph = entry.function()
    counted = cost(graph)
    return NetworkSummary(
        name=entry.name,
        title=entry.title,
        year=entry.year,
        paper=entry.paper,
        input_shape=graph.inputs[0].shape,
        params=counted.params,
        macs=counted.macs,
        published=entry.published,
    )
