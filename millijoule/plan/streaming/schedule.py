"""The order in which a run of steps fires, row by row or pixel by pixel, and how much memory that takes.

Nothing is computed twice: each step fires once for each row, or pixel. Of the steps that can fire, the deepest does, so
rows are consumed as soon as they are there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

from millijoule.plan.streaming.rows import Grain, Read, Rows
from millijoule.target import Contract

Measure = Literal["moments", "kinds", "pixels"]
"""How the bytes of a segment are counted. moments: the most in use at one time. kinds: the most of each ring, of fresh
rows and of stored values, as where no ring may lie over another. pixels: kinds at pixel grain, estimated from rows:
the rows at rest, and pixels as the widest window has columns."""


@dataclass(frozen=True)
class Policy:
    """How ties between ready steps are broken.

    late: of steps of one depth the later one fires first. wait: a window that shares its input with another waits until
    the other can fire too, so that a short branch does not run ahead.
    """

    late: bool = False
    wait: bool = False


NO_LIMIT = 1 << 62
Event = tuple[int, int]
"""(step, firing); step -1 - n is the arrival of a row of input n."""


@dataclass(frozen=True)
class Segment:
    """Steps `first` to `stop` - 1, streamed: between them, no value is stored whole.

    bytes: what it needs at most, everything that passes by included. resting: value → rows of its ring: those that stay
    while nothing reads them; a row that is just being read may be outside of it. At pixel grain, all its pixels.
    policy, grain: with which `fired` tells the order of firing.
    """

    first: int
    stop: int
    bytes: int
    resting: dict[str, int]
    policy: Policy
    grain: Grain


class Network:
    """Rows with the tables that scheduling needs; pixels: the same network at pixel grain."""

    def __init__(self, rows: Rows, contract: Contract, pixels: Rows | None = None) -> None:
        self.rows, self.contract = rows, contract
        self.pixels = Network(pixels, contract) if pixels else self
        self.readers: dict[str, list[int]] = {value: [] for value in rows.count}
        self.depth: list[int] = []
        made: dict[str, int] = {}
        for index, step in enumerate(rows.steps):
            for read in step.reads:
                self.readers[read.value].append(index)
            self.depth.append(1 + max((self.depth[made[r.value]] for r in step.reads if r.value in made), default=0))
            made[step.value] = index
        self.maker = made
        end = len(rows.steps)
        # The last step that reads a value; outputs are read after the end.
        self.last = {value: max(readers, default=-1) for value, readers in self.readers.items()}
        self.last |= dict.fromkeys(rows.outputs, end)
        if contract == "keep":
            self.last |= dict.fromkeys(rows.inputs, end)
        # (first step, step after the last, policy) → what that needs by each measure, and its rings.
        self.known: dict[tuple[int, int, Policy], tuple[dict[Measure, int], dict[str, int]]] = {}
        # (first step, step after the last, measure) → the limit that its rings alone exceed.
        self.ringed: dict[tuple[int, int, Measure], int] = {}

    def policies(self, first: int, stop: int) -> list[Policy]:
        """Those that can make a difference for steps `first` to `stop` - 1."""
        depths = self.depth[first:stop]
        late = (True, False) if len(set(depths)) < len(depths) else (False,)
        waits = (True, False) if any(self.waits[first:stop]) else (False,)
        return [Policy(later, wait) for wait in waits for later in late]

    @cached_property
    def waits(self) -> list[bool]:
        """Which steps read otherwise where windows wait for each other."""
        return [reads != step.reads for reads, step in zip(self.waiting, self.rows.steps, strict=True)]

    @cached_property
    def fringe(self) -> dict[str, int]:
        """Value → bytes of the pixels under one line of the widest window that reads it."""
        return {value: columns * self.pixels.rows.bytes[value] for value, columns in self.rows.widest.items()}

    @cached_property
    def waiting(self) -> list[tuple[Read, ...]]:
        """The reads of each step, where windows that share an input wait for each other."""
        steps = self.rows.steps
        reads = [list(step.reads) for step in steps]
        for readers in self.readers.values():
            windows = [i for i in readers if not steps[i].in_place and not steps[i].accumulator_bytes]
            for i in windows:
                for j in windows:
                    if i != j and steps[i].firings == steps[j].firings:
                        self._wait(reads, i, j)
        return [tuple(each) for each in reads]

    def _wait(self, reads: list[list[Read]], i: int, j: int) -> None:
        steps = self.rows.steps
        for at, mine in enumerate(reads[i]):
            for other in steps[j].reads:
                if other.value == mine.value and len(other.last) == len(mine.last):
                    last = tuple(max(a, b) for a, b in zip(mine.last, other.last, strict=True))
                    reads[i][at] = Read(mine.value, last, mine.kept)


def stream(network: Network, first: int, stop: int, limit: int, measure: Measure = "kinds") -> Segment | None:
    """Steps `first` to `stop` - 1 by the policy that needs least; None if each needs more than `limit` bytes."""
    best, ringed = None, True
    for policy in network.policies(first, stop):
        key = first, stop, policy
        if key not in network.known:
            run = _run(network, first, stop, policy)
            found = run.run(measure, limit)
            ringed = ringed and (run.resting_bytes if measure == "moments" else run.ring_bytes) > limit
            if found is None:
                continue
            network.known[key] = found
        needed, resting = network.known[key]
        ringed = False
        if needed[measure] <= limit:
            best = Segment(first, stop, needed[measure], resting, policy, network.rows.grain)
            limit = best.bytes - 1
    if ringed:
        network.ringed[first, stop, measure] = limit
    return best


def fired(network: Network, segment: Segment) -> list[Event]:
    """What happens in a segment of a network of its grain, in order."""
    run = _run(network, segment.first, segment.stop, segment.policy)
    run.run("kinds", NO_LIMIT)
    return run.events


def _run(network: Network, first: int, stop: int, policy: Policy) -> _Run:
    return (_Run if network.rows.grain == "row" else _PixelRun)(network, first, stop, policy)


class Life:
    """Which rows of which values are alive while steps `first` to `stop` - 1 are streamed.

    given: values that are stored before; pushed: inputs whose rows arrive; stored: values that later steps read, or
    that are outputs; kept: given values that are; rings: what is left. readers: the segment's readers of each value.
    arrived: rows that are there; low: the first row that is still read.
    """

    def __init__(self, network: Network, first: int, stop: int) -> None:
        rows, last = network.rows, network.last
        self.network, self.first = network, first
        made = dict.fromkeys(step.value for step in rows.steps[first:stop])
        outside = dict.fromkeys(read.value for step in rows.steps[first:stop] for read in step.reads)
        arriving = rows.inputs if network.contract == "push" and first == 0 else ()
        self.pushed = list(arriving)
        self.given = [value for value in outside if value not in made and value not in self.pushed]
        self.stored = {value for value in (*made, *self.pushed) if last[value] >= stop}
        self.kept = {value for value in self.given if last[value] >= stop}
        self.rings = [value for value in (*self.pushed, *made) if value not in self.stored]
        known = {*self.pushed, *self.given, *made}
        self.readers = {v: [i for i in network.readers[v] if first <= i < stop] for v in known}
        self.passing = [
            value for value in rows.count if value not in known and network.maker.get(value, -1) < first <= last[value]
        ]
        self.arrived = dict.fromkeys(known, 0)
        self.low = dict.fromkeys(known, 0)
        self._kept_by = {value: dict.fromkeys(readers, 0) for value, readers in self.readers.items()}

    def write(self, value: str) -> int:
        """One more row of `value` is there; which. A row that nothing reads is gone at once."""
        row = self.arrived[value]
        self.arrived[value] += 1
        if not self.readers[value] and value not in self.stored:
            self.low[value] = self.arrived[value]
        return row

    def read(self, index: int, at: int) -> list[tuple[str, int, int]]:
        """Step `index` fires for the `at`-th time: (value, old low, new low) of the values some rows of which die."""
        changed = []
        for read in self.network.rows.steps[index].reads:
            value = read.value
            self._kept_by[value][index] = read.kept[at]
            if value not in self.kept and value not in self.stored:
                before = self.low[value]
                self.low[value] = min(min(self._kept_by[value].values()), self.arrived[value])
                if self.low[value] > before:
                    changed.append((value, before, self.low[value]))
        return changed


class _Run:
    """One segment being streamed under one policy."""

    def __init__(self, network: Network, first: int, stop: int, policy: Policy) -> None:
        rows = network.rows
        self.resting_bytes = 0
        self.network, self.first, self.stop, self.late = network, first, stop, policy.late
        self.count, self.size, self.steps = rows.count, rows.bytes, rows.steps
        self.life = Life(network, first, stop)
        self.reads = network.waiting if policy.wait else [step.reads for step in rows.steps]
        self.fired = dict.fromkeys(range(first, stop), 0)
        self.fresh: dict[str, int] = {}
        self.resting = dict.fromkeys(self.life.rings, 0)
        self.rests = dict(self.resting)
        self.ring_bytes = 0
        self.ready: set[int] = set()
        self.most_scratch = max((step.scratch_bytes for step in rows.steps[first:stop]), default=0)
        self.held = self.most_held = sum(rows.size(value) for value in self.life.given)
        self.most_fresh = 0
        self.most = self.held
        self.fringe = sum(network.fringe[value] for value in self.life.rings)
        sums = sum(step.accumulator_bytes for step in rows.steps[first:stop])
        self.always = rows.state_bytes + sum(rows.size(value) for value in self.life.passing) + sums
        self.events: list[Event] = []

    def run(self, measure: Measure, limit: int) -> tuple[dict[Measure, int], dict[str, int]] | None:
        """What it needs by each measure, and the rows of each ring; None if more than `limit` by `measure`."""
        number = {value: -1 - n for n, value in enumerate(self.network.rows.inputs)}
        across = {value: self.network.rows.across[value] for value in self.life.pushed}
        arrivals = sorted(
            ((row + 1) / self.count[value], order, value)
            for order, value in enumerate((*self.life.given, *self.life.pushed))
            for row in range(0, self.count[value], across.get(value, 1))
        )
        for _, _, value in arrivals:
            if value in across:
                self.events.append((number[value], self.life.arrived[value] // across[value]))
                for _ in range(across[value]):
                    self._write(value)
            else:
                self._arrive(value)
            while self.ready:
                self._fire(next(iter(self.ready)) if len(self.ready) == 1 else max(self.ready, key=self._rank))
                if self._bytes(measure) > limit:
                    return None
        needed = {each: self._bytes(each) for each in get_args(Measure)}
        return (needed, self.resting) if needed[measure] <= limit else None

    def _bytes(self, measure: Measure) -> int:
        if measure == "moments":
            return self.always + self.most
        last = self.fringe if measure == "pixels" else self.most_fresh
        return self.always + self.most_held + self.ring_bytes + last + self.most_scratch

    def _rank(self, step: int) -> tuple[int, int]:
        return self.network.depth[step], step if self.late else -step

    def _arrive(self, value: str) -> None:
        self.life.write(value)
        for reader in self.life.readers[value]:
            self._check(reader)

    def _check(self, step: int) -> None:
        at, arrived = self.fired[step], self.life.arrived
        if at < self.steps[step].firings:
            for read in self.reads[step]:
                if arrived[read.value] <= read.last[at]:
                    break
            else:
                self.ready.add(step)
                return
        self.ready.discard(step)

    def _write(
        self, value: str, dying: Sequence[str] = (), touched: Sequence[str] = (), scratch_bytes: int = 0
    ) -> None:
        """A row of `value` appears; in the place of a fresh row that dies with it, if there is one of its size."""
        fresh = sum(self.size[other] for other in self.fresh)
        if value in self.life.stored:
            self.held += self.size[value]
            self.most_held = max(self.most_held, self.held)
        else:
            if not any(self.size[other] == self.size[value] for other in dying):
                fresh += self.size[value]
            self.most_fresh = max(self.most_fresh, fresh)
            self.fresh[value] = self.life.arrived[value]
        self.most = max(self.most, self.held + self.resting_bytes + fresh + scratch_bytes)
        self._arrive(value)
        self._settle((value, *touched))

    def _fire(self, index: int) -> None:
        step, at, life = self.steps[index], self.fired[index], self.life
        self.events.append((index, at))
        self.fired[index] += 1
        dying, released = [], 0
        changed = life.read(index, at)
        touched = [value for value, _, _ in changed]
        for value, before, after in changed:
            if value in self.fresh:
                if self.fresh[value] < after and value in step.in_place:
                    dying.append(value)
            elif value in life.given:
                released += (after - before) * self.size[value]
        in_place = bool(step.in_place) and step.value in life.stored and released == self.size[step.value]
        if in_place:
            self.held -= released
        self._check(index)
        if not step.accumulator_bytes or at + 1 == step.firings:
            self._write(step.value, dying, touched, step.scratch_bytes)
        else:
            self._settle(touched)
        if not in_place:
            self.held -= released

    def _settle(self, touched: Sequence[str]) -> None:
        """Fresh rows that nothing ready reads go to rest in their rings, or are gone; touched: whose rows changed."""
        life, changed = self.life, set(touched)
        for value in list(self.fresh):
            gone = life.low[value] > self.fresh[value]
            if gone or not any(reader in self.ready for reader in life.readers[value]):
                del self.fresh[value]
                changed.add(value)
        for value in changed & self.resting.keys():
            resting = life.arrived[value] - life.low[value] - (value in self.fresh)
            self.resting_bytes += (resting - self.rests[value]) * self.size[value]
            self.rests[value] = resting
            if resting > self.resting[value]:
                self.ring_bytes += (resting - self.resting[value]) * self.size[value]
                self.resting[value] = resting


class _PixelRun(_Run):
    """One segment being streamed pixel by pixel: the newest pixel lies in its ring like all others.

    Inputs arrive by lines, and their rings hold whole lines, so that a line lies in one piece.
    """

    def _write(
        self, value: str, dying: Sequence[str] = (), touched: Sequence[str] = (), scratch_bytes: int = 0
    ) -> None:
        if value in self.life.stored:
            self.held += self.size[value]
            self.most_held = max(self.most_held, self.held)
        else:
            alive = self.life.arrived[value] + 1 - self.life.low[value]
            if alive > self.resting[value]:
                more = self.network.rows.across[value] if value in self.life.pushed else 1
                self.resting[value] += more
                self.ring_bytes += more * self.size[value]
        self._arrive(value)

    def _settle(self, touched: Sequence[str]) -> None:
        """There are no fresh pixels that would come to rest."""
