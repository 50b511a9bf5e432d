"""Where to cut a network into segments, so that the largest needs least."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

from millijoule.plan.streaming.layout.addresses import NO_LIMIT
from millijoule.plan.streaming.search.needs import Measure, Needs, Segment

Cost = Callable[[int], tuple[int, int]]
"""What a segment of so many steps costs; what is first weighs most."""


def streamed_steps(steps: int) -> tuple[int, int]:
    """Cost: as few steps as possible are streamed; then, as few segments."""
    return (steps if steps > 1 else 0, 1)


def segments_used(steps: int) -> tuple[int, int]:
    """Cost: as few segments as possible; then, as few streamed steps."""
    return (1, steps if steps > 1 else 0)


def refined(needs: Needs, segments: Sequence[Segment], measure: Measure) -> list[Segment]:
    """The segments that need most at pixel grain, where they need less so; the others by rows, which are faster.

    measure: of what they need by rows.
    """
    chosen, most = [needs.segment(each.first, each.stop, measure) for each in segments], 0
    for index in sorted(range(len(chosen)), key=lambda index: -chosen[index].bytes):
        segment = chosen[index]
        if segment.bytes <= most:
            break
        found = needs.pixels(segment.first, segment.stop)
        if found and found.bytes < segment.bytes:
            chosen[index] = found
        most = max(most, chosen[index].bytes)
    return chosen


class Cutter:
    """Cuts a network; measure: how the bytes of a segment are counted."""

    def __init__(self, needs: Needs, measure: Measure) -> None:
        self.needs, self.measure = needs, measure
        self.count = len(needs.network.rows.steps)
        self._found: dict[int, list[tuple[int, int, int]]] = {}

    @cached_property
    def stored(self) -> tuple[Segment, ...]:
        """Every step by itself."""
        return tuple(self.needs.segment(index, index + 1, self.measure) for index in range(self.count))

    @cached_property
    def least(self) -> int:
        """The least limit for which there are cuts: exact for the order in which segments fire."""
        network = self.needs.network
        # Runs end where they must, with what is stored there; the longest segments tell where else it may be worth it.
        limit = max((network.crossing[cut] for run in network.runs for cut in run), default=0)
        while (found := self._least(limit)) > limit:
            limit = found
        return found

    def _least(self, limit: int) -> int:
        least = [0] + [NO_LIMIT] * self.count
        for first, stop, needed in self._segments(limit):
            least[stop] = min(least[stop], max(least[first], needed))
        return least[-1]

    def _segments(self, limit: int) -> list[tuple[int, int, int]]:
        """(first, stop, bytes) of the segments between cuts at which no more than `limit` bytes are stored, which every
        segment that begins or ends there needs."""
        if limit not in self._found:
            crossing, found = self.needs.network.crossing, []
            cuts = sorted({0, *(cut for cut in range(1, self.count) if crossing[cut] <= limit), self.count})
            for index, stop in enumerate(cuts):
                for first in reversed(cuts[:index]):
                    needed = self.needs.bytes(first, stop, self.measure)
                    if needed is None:
                        break
                    found.append((first, stop, needed))
            self._found[limit] = found
        return self._found[limit]

    def within(self, limit: int, cost: Cost) -> list[Segment]:
        """The cuts whose segments need `limit` bytes at most, for which the costs of all add up to the least."""
        work: list[tuple[int, int] | None] = [(0, 0), *([None] * self.count)]
        back = [0] * (self.count + 1)
        costs = [cost(steps) for steps in range(self.count + 1)]
        for first, stop, needed in self._segments(limit):
            before, now = work[first], work[stop]
            if before is None or needed > limit:
                continue
            total = before[0] + costs[stop - first][0], before[1] + costs[stop - first][1]
            if now is None or total < now:
                work[stop], back[stop] = total, first
        segments, stop = [], self.count
        while stop:
            segments.append(self.needs.segment(back[stop], stop, self.measure))
            stop = back[stop]
        return segments[::-1]
