"""Where to cut a network into segments, so that the largest needs least."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

from millijoule.plan.streaming.schedule import NO_LIMIT, Measure, Network, Segment, stream

Cost = Callable[[int], tuple[int, int]]
"""What a segment of so many steps costs; what is first weighs most."""


def streamed_steps(steps: int) -> tuple[int, int]:
    """Cost: as few steps as possible are streamed; then, as few segments."""
    return (steps if steps > 1 else 0, 1)


def segments_used(steps: int) -> tuple[int, int]:
    """Cost: as few segments as possible; then, as few streamed steps."""
    return (1, steps if steps > 1 else 0)


def refined(network: Network, segments: Sequence[Segment], measure: Measure) -> list[Segment]:
    """The segments that need most at pixel grain, where they need less so; the others by rows, which are faster.

    measure: of what they need by rows.
    """
    by_rows = [stream(network, each.first, each.stop, NO_LIMIT, measure) or each for each in segments]
    chosen, most = list(by_rows), 0
    for index in sorted(range(len(chosen)), key=lambda index: -chosen[index].bytes):
        segment = chosen[index]
        if segment.bytes <= most:
            break
        if not any(step.whole for step in network.pixels.rows.steps[segment.first : segment.stop]):
            found = stream(network.pixels, segment.first, segment.stop, segment.bytes - 1)
            if found is not None:
                chosen[index] = found
        most = max(most, chosen[index].bytes)
    return chosen


class Cutter:
    """Segments of a network; those that were seen to be above a limit are not computed again.

    Nor are longer ones, where the rings alone of a shorter one that ends with the same step are above it.
    """

    def __init__(self, network: Network, measure: Measure) -> None:
        self.network, self.measure = network, measure
        self.steps = network.rows.steps
        self.above: dict[tuple[int, int], int] = {}
        self.crossing = [self._crossing(cut) for cut in range(len(self.steps) + 1)]

    @cached_property
    def stored(self) -> tuple[Segment, ...]:
        """Every step by itself."""
        alone = (self.segment(index, index + 1, NO_LIMIT) for index in range(len(self.steps)))
        return tuple(segment for segment in alone if segment is not None)

    @cached_property
    def least(self) -> int:
        """The least limit for which there are cuts: exact for the order in which segments fire."""
        most = max((segment.bytes for segment in self.stored), default=0)
        whole = self.segment(0, len(self.steps), most)
        most = whole.bytes if whole else most
        count = len(self.steps)
        least: list[int | None] = [0, *([None] * count)]
        for stop in range(1, count + 1):
            if self.crossing[stop] > most:
                continue
            for first in reversed(range(stop)):
                before, now = least[first], least[stop]
                if before is None or (now is not None and before >= now):
                    continue
                limit = most if now is None else now - 1
                found = self.segment(first, stop, limit)
                if found is not None:
                    least[stop] = max(before, found.bytes)
                elif self.is_final(first, stop, limit):
                    break
        result = least[count]
        assert result is not None
        return result

    def within(self, limit: int, cost: Cost) -> list[Segment]:
        """The cuts whose segments need `limit` bytes at most, for which the costs of all add up to the least."""
        count = len(self.steps)
        work: list[tuple[int, ...] | None] = [(0, 0), *([None] * count)]
        back: list[Segment | None] = [None] * (count + 1)
        for stop in range(1, count + 1):
            if self.crossing[stop] > limit:
                continue
            for first in reversed(range(stop)):
                before, now = work[first], work[stop]
                if before is None:
                    continue
                total = tuple(a + b for a, b in zip(before, cost(stop - first), strict=True))
                if now is None or total < now:
                    found = self.segment(first, stop, limit)
                    if found is not None:
                        work[stop], back[stop] = total, found
                    elif self.is_final(first, stop, limit):
                        break
        segments: list[Segment] = []
        stop = count
        while stop:
            segment = back[stop]
            assert segment is not None
            segments.append(segment)
            stop = segment.first
        return segments[::-1]

    def segment(self, first: int, stop: int, limit: int) -> Segment | None:
        """Steps `first` to `stop` - 1; None if they need more than `limit` bytes, or cannot be streamed together."""
        if self.above.get((first, stop), -1) >= limit:
            return None
        if stop - first > 1 and any(step.whole for step in self.steps[first:stop]):
            return None
        found = stream(self.network, first, stop, limit, self.measure)
        if found is None:
            self.above[first, stop] = limit
        return found

    def is_final(self, first: int, stop: int, limit: int) -> bool:
        """Whether no segment that begins earlier and ends there needs `limit` bytes at most.

        Beginning earlier adds rings and leaves those there are as they are: rows come one at a time as before.
        """
        if stop - first > 1 and self.steps[first].whole:
            return True
        return self.network.ringed.get((first, stop, self.measure), -1) >= limit

    def _crossing(self, cut: int) -> int:
        """Bytes stored at a cut: no plan that cuts there needs less."""
        rows, maker, last = self.network.rows, self.network.maker, self.network.last
        absent = rows.inputs if self.network.contract == "push" and cut == 0 else ()
        values = (value for value in rows.count if maker.get(value, -1) < cut <= last[value] and value not in absent)
        return sum(rows.size(value) for value in values)
