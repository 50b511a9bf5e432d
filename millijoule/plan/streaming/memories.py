"""Two memories, a fast one and a slow one: what does not fit into the fast one lies in the slow one.

Maps and rings can lie in either; fresh rows, sums and the working memory of kernels are always in the fast one. The
slow memory's addresses follow the fast one's, so a plan is verified and executed as one with a single arena.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from millijoule.errors import OptionError
from millijoule.graph import Graph
from millijoule.model import Model
from millijoule.plan.streaming.check.verify import SPILLED, Replay
from millijoule.plan.streaming.layout.addresses import Item, lay_out
from millijoule.plan.streaming.layout.faster import with_faster_kernels
from millijoule.plan.streaming.layout.timeline import Key, timeline
from millijoule.plan.streaming.plan import StreamPlan
from millijoule.plan.streaming.planner import build, network_of
from millijoule.plan.streaming.search.needs import Needs, Segment
from millijoule.plan.streaming.search.schedule import Network
from millijoule.plan.streaming.search.segments import Cutter, refined, segments_used, streamed_steps
from millijoule.target import SCALAR, Target

POINTS = 4
TRIES = 50
"""Orders of placing that are tried while it is looked for what to spill."""


def two_memories(
    model: Model | Graph, fast_bytes: int, slow_bytes: int, input: str = "overwrite", *, target: Target = SCALAR
) -> StreamPlan:
    """The plan with least traffic to the slow memory; of equals, the one with the fewest calls of kernels.

    Traffic: bytes that kernels read and write there; a row counts each time that a firing reads it. Tried are plans
    that stream much and plans that stream little. Raises OptionError if `input` is unknown or no plan fits.
    """
    network = network_of(model, input, target)
    plans = (_fitted(model, network, segments, fast_bytes) for segments in _cuts(network))
    found = [(each.memories, each) for each in plans if each is not None and each.memories is not None]
    fitting = [
        (memories.traffic_bytes, len(each.actions), each)
        for memories, each in found
        if memories.slow_bytes <= slow_bytes
    ]
    if not fitting:
        least = min((memories.slow_bytes for memories, _ in found), default=None)
        why = "rows and working memory need more" if least is None else f"{least:,} bytes would lie in the slow one"
        raise OptionError(f"no plan fits a fast memory of {fast_bytes:,} bytes and a slow one of {slow_bytes:,}: {why}")
    best = with_faster_kernels(model, network.rows, min(fitting, key=lambda each: each[:2])[2])
    spilled = [f"'{buffer.value}' ({buffer.kind})" for buffer in best.buffers if buffer.offset >= best.fast_bytes]
    note = f"in the slow memory lie {', '.join(spilled)}" if spilled else "nothing lies in the slow memory"
    return replace(best, notes=(note,))


def _cuts(network: Network) -> list[Sequence[Segment]]:
    needs = Needs(network)
    cutter, fine = Cutter(needs, "moments"), Cutter(needs, "pixels")
    least, most = cutter.least, max(segment.bytes for segment in cutter.stored)
    limits = sorted({round(least * (most / least) ** (point / POINTS)) for point in range(POINTS + 1)})
    cuts: list[Sequence[Segment]] = [cutter.within(limit, streamed_steps) for limit in limits]
    return [*cuts, refined(needs, fine.within(fine.least, segments_used), "kinds")]


def _fitted(model: Model | Graph, network: Network, segments: Sequence[Segment], fast_bytes: int) -> StreamPlan | None:
    """The plan of these segments with what must lie in the slow memory there; None if that does not help."""
    happens = timeline(network, segments, 1)
    # Where all that may is in the slow memory, nothing else lies between its addresses.
    movable = frozenset(key for key in happens.items if key[0] in SPILLED)
    counted = Traffic(model, build(model, network, segments, happens, movable))
    counted.run()
    traffic = dict.fromkeys(happens.items, 0)
    for key, size in counted.by_place.items():
        traffic[happens.shared.get(key, key)] += size
    spilled = _spilled(happens.items, traffic, fast_bytes)
    if spilled is None:
        return None
    planned = build(model, network, segments, happens, spilled)
    assert planned.memories is not None
    size = sum(traffic[key] for key in spilled)
    return replace(planned, memories=replace(planned.memories, traffic_bytes=size))


def _spilled(items: dict[Key, Item], traffic: dict[Key, int], fast_bytes: int) -> frozenset[Key] | None:
    """What to take out of the fast memory until the rest fits: of what is there when it is fullest, the least read and
    written for its size."""
    rest = dict(items)
    while lay_out(list(rest.values()), TRIES).total > fast_bytes:
        movable = [key for key in _fullest(rest) if key[0] in SPILLED]
        if not movable:
            return None
        del rest[min(movable, key=lambda key: traffic[key] / items[key].bytes)]
    return frozenset(items.keys() - rest.keys())


def _fullest(items: dict[Key, Item]) -> list[Key]:
    """What lies in the memory when most of it is taken."""
    changes: dict[int, int] = {}
    for item in items.values():
        for piece in item.pieces:
            changes[piece.first] = changes.get(piece.first, 0) + piece.bytes
            changes[piece.last + 1] = changes.get(piece.last + 1, 0) - piece.bytes
    taken = most = when = 0
    for time in sorted(changes):
        taken += changes[time]
        if taken > most:
            most, when = taken, time
    return [key for key, item in items.items() if any(p.first <= when <= p.last for p in item.pieces)]


class Traffic(Replay):
    """Counts the bytes that kernels read and write at each place in the slow memory while a plan is replayed."""

    def __init__(self, model: Model | Graph, plan: StreamPlan) -> None:
        super().__init__(model, plan)
        self.by_place: dict[Key, int] = {}

    def moved(self, value: str, addresses: np.ndarray, is_written: bool) -> None:
        for kind in SPILLED:
            if (kind, value) in self.plan.places:
                self.by_place[kind, value] = self.by_place.get((kind, value), 0) + self.slow_bytes(addresses)

    def check_memories(self) -> None:
        """There is no traffic to compare with yet."""
