"""How much memory every segment of a network needs.

Where a run of steps is cut changes nothing in the order in which its steps fire: what a cut leaves out only leaves out
its own firings. So one order of each longest run tells, event by event, what every segment of it needs.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from typing import Literal, NamedTuple

import numpy as np

from millijoule.plan.streaming.network.rows import Grain
from millijoule.plan.streaming.search.schedule import Event, Network, Policy

Measure = Literal["moments", "kinds", "pixels"]
"""How the bytes of a segment are counted. moments: the most in use at one time. kinds: the most of each ring, of fresh
rows and of stored values, as where no ring may lie over another. pixels: kinds at pixel grain, estimated from rows:
the rows at rest, and pixels as the widest window has columns."""


@dataclass(frozen=True)
class Segment:
    """Steps `first` to `stop` - 1, streamed: between them, no value is stored whole.

    bytes: what it needs by the measure it was chosen by, everything that passes by included. moments: the most in use
    at one time, which no placement is below, but for copies of lines that no ring turns out to divide. resting: value
    → rows of its ring: those that stay while nothing reads them; a row that is just being read may be outside of it. At
    pixel grain, all its pixels.
    run: the steps in whose order these fire. policy, grain: how ties are broken in it, and what a firing computes.
    """

    first: int
    stop: int
    bytes: int
    moments: int
    resting: dict[str, int]
    run: tuple[int, int]
    policy: Policy
    grain: Grain


def fired(network: Network, segment: Segment) -> list[Event]:
    """What happens in a segment of a network of its grain, in order."""
    arrivals = -len(network.pushed(segment.first))
    events = network.order(*segment.run, segment.policy).events
    return [e for e in events if segment.first <= e[0] < segment.stop or arrivals <= e[0] < 0]


class Needed(NamedTuple):
    """Bytes by each measure."""

    moments: int
    kinds: int
    pixels: int


class Needs:
    """What the segments of a network need."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self._runs: dict[tuple[int, int], list[_Run]] = {}
        self._needed: dict[tuple[int, int], Needed] = {}
        self._pixels: dict[tuple[int, int], Segment | None] = {}

    def bytes(self, first: int, stop: int, measure: Measure) -> int | None:
        """What steps `first` to `stop` - 1 need by the policy that needs least; None if they cannot be streamed
        together."""
        if self.network.runs[first] != self.network.runs[stop - 1]:
            return None
        if (first, stop) not in self._needed:
            found = [run.needed(first, stop) for run in self._run(*self.network.runs[first])]
            self._needed[first, stop] = Needed(*map(min, zip(*found, strict=True)))
        return getattr(self._needed[first, stop], measure)

    def segment(self, first: int, stop: int, measure: Measure) -> Segment:
        """Steps `first` to `stop` - 1, which can be streamed together, by the policy that needs least."""
        runs = self._run(*self.network.runs[first])
        return min((run.segment(first, stop, measure) for run in runs), key=lambda each: each.bytes)

    def pixels(self, first: int, stop: int) -> Segment | None:
        """The same steps pixel by pixel; None if they cannot be streamed so."""
        network = self.network.pixels
        if (first, stop) not in self._pixels:
            whole = any(step.whole for step in network.rows.steps[first:stop])
            self._pixels[first, stop] = None if whole else alone(network, first, stop)
        return self._pixels[first, stop]

    def _run(self, first: int, stop: int) -> list[_Run]:
        if (first, stop) not in self._runs:
            self._runs[first, stop] = runs_of(self.network, first, stop)
        return self._runs[first, stop]


def alone(network: Network, first: int, stop: int) -> Segment:
    """Steps `first` to `stop` - 1 in an order of their own, by the policy that needs least, in kinds."""
    segments = (run.segment(first, stop, "kinds") for run in runs_of(network, first, stop))
    return min(segments, key=lambda each: each.bytes)


def runs_of(network: Network, first: int, stop: int) -> list[_Run]:
    """One for each order: policies may come to the same."""
    runs = [_Run(network, first, stop, policy) for policy in network.policies(first, stop)]
    return [run for index, run in enumerate(runs) if all(run.order != other.order for other in runs[:index])]


class _Run:
    """One order of a run of steps as arrays over its moments: moment t is before event t, the last one after all.

    times: step, or arriving input → its events.
    """

    def __init__(self, network: Network, first: int, stop: int, policy: Policy) -> None:
        self.network, self.first, self.stop, self.policy = network, first, stop, policy
        self.order = network.order(first, stop, policy)
        steps = np.array([step for step, _ in self.order.events], np.int64)
        self.moments = np.arange(len(steps) + 1)
        self.times = {step: np.flatnonzero(steps == step) for step in range(-len(network.pushed(first)), stop)}
        self.arrived, self.kept, self.low = cache(self._arrived), cache(self._kept), cache(self._low)
        self.fresh = cache(self._fresh)
        self._endings: dict[int, _Ending] = {}

    def needed(self, first: int, stop: int) -> Needed:
        """What the segment of steps `first` to `stop` - 1 needs."""
        if stop not in self._endings:
            self._endings[stop] = _Ending(self, stop)
        found = self._endings[stop].needed(first)
        if found is None:
            self._endings[stop] = _Ending(self, stop)
            found = self._endings[stop].needed(first)
        assert found is not None
        return found

    def segment(self, first: int, stop: int, measure: Measure) -> Segment:
        network = self.network
        made = (*network.pushed(first), *(step.value for step in network.rows.steps[first:stop]))
        resting = {value: self.resting[value] for value in made if network.last[value] < stop}
        needed, run = self.needed(first, stop), (self.first, self.stop)
        size = getattr(needed, measure)
        return Segment(first, stop, size, needed.moments, resting, run, self.policy, network.rows.grain)

    @cached_property
    def resting(self) -> dict[str, int]:
        """Value → the most rows that lie in its ring at one time, where it has one."""
        rows, found = self.network.rows, {}
        made = (*self.network.pushed(self.first), *(step.value for step in rows.steps[self.first : self.stop]))
        for value in made:
            if self.network.last[value] >= self.stop:
                continue
            if rows.grain == "pixel":
                # The newest pixel is in the ring while it is being read; inputs arrive by whole lines.
                most, across = int((self.arrived(value)[1:] - self.low(value)[:-1]).max()), rows.across[value]
                found[value] = -(-most // across) * across if value in rows.inputs else most
            else:
                rests = self.arrived(value) - self.low(value)
                for written, settled in self.order.fresh[value]:
                    rests[written + 1 : settled + 1] -= 1
                found[value] = int(rests.max())
        return found

    def before(self, times: np.ndarray) -> np.ndarray:
        """How many of these events there are before each moment."""
        return np.searchsorted(times, self.moments)

    def _arrived(self, value: str) -> np.ndarray:
        """Rows of a value of the run that are there at each moment."""
        rows, maker = self.network.rows, self.network.maker.get(value)
        if maker is None:
            return rows.across[value] * self.before(self.times[-1 - rows.inputs.index(value)])
        summed = bool(rows.steps[maker].accumulator_bytes)
        return self.before(self.times[maker][-1:] if summed else self.times[maker])

    def _kept(self, value: str, first: int) -> np.ndarray:
        """The first row of a value that steps from `first` on still read."""
        found = None
        for reader in self.network.readers[value]:
            if first <= reader < self.stop:
                (read,) = (read for read in self.network.rows.steps[reader].reads if read.value == value)
                kept = np.array((0, *read.kept))[self.before(self.times[reader])]
                found = kept if found is None else np.minimum(found, kept)
        assert found is not None
        return found

    def _low(self, value: str) -> np.ndarray:
        """The first row of a value of the run that is still there, if nothing after the run reads it."""
        arrived, readers = self.arrived(value), self.network.readers[value]
        if not readers:
            return arrived
        reads = np.sort(np.concatenate([self.times[reader] for reader in readers]))
        last = self.before(reads)
        seen = np.concatenate([[0], arrived[reads]])[last]
        return np.minimum(self.kept(value, self.first), seen)

    def _fresh(self, value: str) -> np.ndarray:
        """Whether the newest row of a value's ring lies apart, at each event, while that writes."""
        spans = np.array(self.order.fresh.get(value, ()), np.int64).reshape(-1, 2)
        events = len(self.moments)
        changes = np.bincount(spans[:, 0], minlength=events) - np.bincount(spans[:, 1] + 1, minlength=events)[:events]
        return np.cumsum(changes)[:-1]


class _Ending:
    """The segments of a run that end before step `stop`, from the shortest on.

    Bytes at each event, while it writes. held: of stored values, beside what is there when the segment begins. alive:
    of rings and working memory. fresh: of the newest rows of rings, which are alive too.
    """

    def __init__(self, run: _Run, stop: int) -> None:
        self.run, self.network, self.stop, self.first = run, run.network, stop, stop
        events = len(run.moments) - 1
        self.held, self.alive, self.fresh = (np.zeros(events, np.int64) for _ in range(3))
        self.rings = self.fringe = self.sums = self.scratch = 0
        # Bytes that die of values that are stored before the segment; and those that are written over others.
        self.given: dict[str, np.ndarray] = {}
        self.saved: dict[int, np.ndarray] = {}
        self.found: dict[int, Needed] = {}

    def needed(self, first: int) -> Needed | None:
        """None if that segment is shorter than one that was asked for before, and was not asked for itself."""
        if self.first > first:
            while self.first > first:
                self._extend()
            self.found[first] = self._sum()
        return self.found.get(first)

    def _sum(self) -> Needed:
        always = self.network.rows.state_bytes + self.network.crossing[self.first] + self.sums
        most = always + int(self.held.max()) + self.rings + self.scratch
        moments = always + int((self.held + self.alive).max())
        return Needed(moments, most + int(self.fresh.max()), most + self.fringe)

    def _extend(self) -> None:
        """The segment begins one step earlier."""
        self.first -= 1
        step, size = self.network.rows.steps[self.first], self.network.rows.bytes
        self.sums += step.accumulator_bytes
        self.scratch = max(self.scratch, step.scratch_bytes)
        self.alive[self.run.times[self.first]] += step.scratch_bytes
        for value in (read.value for read in step.reads):
            if self.network.last[value] < self.stop:
                self.held += self.given.get(value, 0)
                self.given[value] = self.run.kept(value, self.first)[:-1] * size[value]
                self.held -= self.given[value]
        overwriting = [self.first] if step.in_place else []
        for value in (step.value, *self.network.pushed(self.first)):
            self._make(value)
            overwriting += [index for index in self.network.overwriting[value] if index < self.stop]
        for index in overwriting:
            self._save(index)

    def _make(self, value: str) -> None:
        """A value is made in the segment, not given."""
        size, arrived = self.network.rows.bytes[value], self.run.arrived(value)[1:]
        self.held += self.given.pop(value, 0)
        if self.network.last[value] >= self.stop:
            self.held += arrived * size
            return
        self.alive += (arrived - self.run.low(value)[:-1]) * size
        self.fresh += self.run.fresh(value) * size
        self.rings += self.run.resting[value] * size
        self.fringe += self.network.fringe[value]

    def _save(self, index: int) -> None:
        """What a step writes over a row that it is the last to read takes nothing more."""
        rows, run, times = self.network.rows, self.run, self.run.times[index]
        step = rows.steps[index]
        stored = self.network.last[step.value] >= self.stop
        over = np.zeros(step.firings, bool)
        for value in step.in_place:
            if rows.bytes[value] != rows.bytes[step.value]:
                continue
            inside = self.network.maker.get(value, -1) >= self.first or value in self.network.pushed(self.first)
            if not stored and inside:
                over |= run.order.replaced.get((index, value), False)
            elif stored and value in self.given and rows.count[value] == step.firings:
                over |= run.kept(value, self.first)[times + 1] > np.arange(step.firings)
        saved = over * rows.bytes[step.value]
        change = self.saved.get(index, 0) - saved
        self.saved[index] = saved
        for curve in (self.held,) if stored else (self.alive, self.fresh):
            curve[times] += change
