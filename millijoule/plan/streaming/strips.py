"""Plans in which the beginning of a network is computed in strips of its width, overlapping columns more than once.

Rings hold whole lines, and lines are longest at the beginning: in strips they are as much shorter. The input is read
once for each strip, so it cannot be pushed; where it lies outside of the arena, it takes none of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from millijoule.cost import cost
from millijoule.errors import OptionError
from millijoule.graph import Graph
from millijoule.model import Model
from millijoule.passes.strips import in_strips, strip_ends
from millijoule.plan.streaming.layout.addresses import NO_LIMIT
from millijoule.plan.streaming.layout.faster import with_faster_kernels
from millijoule.plan.streaming.plan import StreamPlan
from millijoule.plan.streaming.planner import network_of, smallest
from millijoule.plan.streaming.search.needs import Measure, Needs, Segment, alone
from millijoule.plan.streaming.search.schedule import Network
from millijoule.target import SCALAR, Target

ENDS = 2
"""Ends of the strips that are planned in full: those that need least by an estimate."""


def strip_plan(
    network: Model | Graph, count: int, input: str = "read", *, target: Target = SCALAR
) -> tuple[Model | Graph, StreamPlan]:
    """The network with its beginning in `count` strips, and the plan that needs least RAM for it.

    Each strip is one streamed run by rows, which writes its columns of the map that comes of all strips; what follows
    is cut into runs as without strips. Where the strips end is chosen so that neither they nor what follows needs much.
    Parameters as of `stream_plan`. Raises OptionError if the input is pushed, or if no beginning of the network can be
    computed in so many strips.
    """
    if input == "push":
        raise OptionError("strips read the input several times, and pushed rows are gone: choose --input read or keep")
    graph = network.graph if isinstance(network, Model) else network
    ends = [end for end in strip_ends(graph) if graph.shapes[end][1] >= count]
    if not ends or count < 2:
        raise OptionError(
            f"'{graph.name}' cannot be computed in {count} strips: strips are 2 or more, of a network that begins with "
            "maps of so many columns, made by convolutions, pools and what works pixel by pixel"
        )
    found = []
    for end in _best_ends(graph, ends, count, input):
        split = in_strips(network, end, count)
        found.append((split, end, _planned(split, end, count, input, target)))
    split, end, planned = min(found, key=lambda each: (each[2].arena_bytes, each[2].streamed_firings))
    macs = cost(network).macs
    more = cost(split).macs - macs
    note = f"up to '{end}' the network is computed in {count} strips of its width: {more / max(macs, 1):.1%} more MACs"
    return split, replace(planned, strips=count, more_macs=more, notes=(note,))


def strip_frontier(
    network: Model | Graph, most: int, input: str = "read", *, target: Target = SCALAR
) -> tuple[tuple[Model | Graph, StreamPlan], ...]:
    """From `most` strips down to 2, the plans that need more RAM than the one before, with their networks."""
    found: list[tuple[Model | Graph, StreamPlan]] = []
    for count in range(most, 1, -1):
        split, planned = strip_plan(network, count, input, target=target)
        if not found or planned.arena_bytes > found[-1][1].arena_bytes:
            found.append((split, planned))
    return tuple(found)


def _best_ends(graph: Graph, ends: Sequence[str], count: int, input: str) -> list[str]:
    """The ends with which the strips and what follows need least, working memory of kernels left out."""
    network = network_of(graph, input, SCALAR)
    follows = _follows(Needs(network))
    after = {step.name: index + 1 for index, step in enumerate(network.rows.steps)}
    found: dict[str, int] = {}
    for end in sorted(ends, key=lambda end: follows[after[end]]):
        if len(found) >= ENDS and follows[after[end]] >= sorted(found.values())[ENDS - 1]:
            break
        split = network_of(in_strips(graph, end, count), input, SCALAR)
        strips = (alone(split, *run).moments for run in _runs(split, end, count))
        found[end] = max(follows[after[end]], *strips)
    return sorted(found, key=found.__getitem__)[:ENDS]


def _follows(needs: Needs) -> list[int]:
    """What the steps from each one on need when the values before are stored, and they are cut into runs."""
    count = len(needs.network.rows.steps)
    least = [NO_LIMIT] * count + [0]
    for first in reversed(range(count)):
        for stop in range(first + 1, count + 1):
            needed = needs.bytes(first, stop, "moments")
            if needed is None:
                break
            least[first] = min(least[first], max(needed, least[stop]))
    return least


def _runs(network: Network, end: str, count: int) -> list[tuple[int, int]]:
    """The first step of each strip, and the step behind its last."""
    index = {step.name: at for at, step in enumerate(network.rows.steps)}
    stops = [index[f"{end}.strip{number}"] + 1 for number in range(count)]
    return list(zip([0, *stops], stops, strict=False))


class _Needs(Needs):
    """Of a network in strips: each is one segment, in an order of its own."""

    def __init__(self, network: Network, strips: Sequence[tuple[int, int]]) -> None:
        super().__init__(network)
        self.strips, self.behind = {strip: alone(network, *strip) for strip in strips}, strips[-1][1]

    def bytes(self, first: int, stop: int, measure: Measure) -> int | None:
        if (first, stop) in self.strips:
            strip = self.strips[first, stop]
            return strip.moments if measure == "moments" else strip.bytes
        if first >= self.behind:
            return super().bytes(first, stop, measure)
        return NO_LIMIT if stop <= self.behind else None

    def pixels(self, first: int, stop: int) -> Segment | None:
        return None if first < self.behind else super().pixels(first, stop)

    def segment(self, first: int, stop: int, measure: Measure) -> Segment:
        return self.strips.get((first, stop)) or super().segment(first, stop, measure)


def _planned(network: Model | Graph, end: str, count: int, input: str, target: Target) -> StreamPlan:
    split = network_of(network, input, target)
    planned = smallest(network, _Needs(split, _runs(split, end, count)), 1, "pixel")
    return with_faster_kernels(network, split.rows, planned)
