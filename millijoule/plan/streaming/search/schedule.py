"""The order in which a run of steps fires, row by row or pixel by pixel.

Nothing is computed twice: each step fires once for each row, or pixel. Of the steps that can fire, the deepest does, so
rows are consumed as soon as they are there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from millijoule.plan.streaming.network.rows import Read, Rows
from millijoule.target import Contract


@dataclass(frozen=True)
class Policy:
    """How ties between ready steps are broken.

    late: of steps of one depth the later one fires first. wait: a window that shares its input with another waits until
    the other can fire too, so that a short branch does not run ahead.
    """

    late: bool = False
    wait: bool = False


Event = tuple[int, int]
"""(step, firing); step -1 - n is the arrival of a row of input n."""


@dataclass(frozen=True)
class Order:
    """events: what happens while some steps are streamed, in order.

    At row grain, fresh: value → for each row that lies apart from its ring: the event that writes it, and the last one
    before it comes to rest or is gone. replaced: (step, value) → for each firing of the step, whether it is the last to
    read a fresh row of the value, which it may overwrite.
    """

    events: list[Event] = field(default_factory=list)
    fresh: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    replaced: dict[tuple[int, str], list[bool]] = field(default_factory=dict)


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
        # What is computed all at once lies there whole, though nothing may read it.
        self.last |= {
            step.value: i + 1 for i, step in enumerate(rows.steps) if step.whole and not self.readers[step.value]
        }
        self.last |= dict.fromkeys(rows.outputs, end)
        if contract == "keep":
            self.last |= dict.fromkeys(rows.inputs, end)
        self._orders: dict[tuple[int, int, Policy], Order] = {}

    def order(self, first: int, stop: int, policy: Policy) -> Order:
        """The order in which steps `first` to `stop` - 1 fire."""
        key = first, stop, policy
        if key not in self._orders:
            self._orders[key] = (_Run if self.rows.grain == "row" else _PixelRun)(self, first, stop, policy).run()
        return self._orders[key]

    def policies(self, first: int, stop: int) -> list[Policy]:
        """Those that can make a difference for steps `first` to `stop` - 1."""
        depths = self.depth[first:stop]
        late = (True, False) if len(set(depths)) < len(depths) else (False,)
        waits = (True, False) if any(self.waits[first:stop]) else (False,)
        return [Policy(later, wait) for wait in waits for later in late]

    def pushed(self, first: int) -> tuple[str, ...]:
        """The inputs whose rows arrive while the segment that begins with step `first` is streamed."""
        return self.rows.inputs if self.contract == "push" and first == 0 else ()

    @cached_property
    def runs(self) -> list[tuple[int, int]]:
        """For each step: first step, and step after the last, of the longest run that can be streamed with it."""
        steps, found, first = self.rows.steps, [], 0
        for index, step in enumerate(steps):
            stop = index + 1
            if step.whole or step.joins or stop == len(steps) or steps[stop].whole or steps[stop].joins:
                found += [(first, stop)] * (stop - first)
                first = stop
        return found

    @cached_property
    def crossing(self) -> list[int]:
        """Bytes of the values that are stored before each step, and at the end: no plan that cuts there needs less."""
        rows, found = self.rows, []
        for cut in range(len(rows.steps) + 1):
            values = (v for v in rows.count if self.maker.get(v, -1) < cut <= self.last[v])
            found.append(sum(rows.size(v) for v in values if v not in self.pushed(cut)))
        return found

    @cached_property
    def overwriting(self) -> dict[str, list[int]]:
        """Value → the steps that may write over it."""
        return {v: [i for i in readers if v in self.rows.steps[i].in_place] for v, readers in self.readers.items()}

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
                if other.value == mine.value and len(other.last) == len(mine.last) and other.last != mine.last:
                    last = tuple(max(a, b) for a, b in zip(mine.last, other.last, strict=True))
                    reads[i][at] = Read(mine.value, last, mine.kept)


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
        self.pushed = list(network.pushed(first))
        self.given = [value for value in outside if value not in made and value not in self.pushed]
        self.stored = {value for value in (*made, *self.pushed) if last[value] >= stop}
        self.kept = {value for value in self.given if last[value] >= stop}
        self.rings = [value for value in (*self.pushed, *made) if value not in self.stored]
        known = {*self.pushed, *self.given, *made}
        self.readers = {v: [i for i in network.readers[v] if first <= i < stop] for v in known}
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
            kept = self._kept_by[value]
            kept[index] = read.kept[at]
            if value not in self.kept and value not in self.stored:
                low = kept[index] if len(kept) == 1 else min(kept.values())
                before, low = self.low[value], min(low, self.arrived[value])
                if low > before:
                    self.low[value] = low
                    changed.append((value, before, low))
        return changed


class _PixelRun:
    """One run being streamed under one policy. Inputs arrive by lines; the newest pixel lies in its ring like all
    others."""

    def __init__(self, network: Network, first: int, stop: int, policy: Policy) -> None:
        self.network, self.first, self.late = network, first, policy.late
        self.steps = network.rows.steps
        self.life = Life(network, first, stop)
        self.reads = network.waiting if policy.wait else [step.reads for step in self.steps]
        self.fired = dict.fromkeys(range(first, stop), 0)
        self.ready: set[int] = set()
        self.order = Order()

    def run(self) -> Order:
        rows, life = self.network.rows, self.life
        number = {value: -1 - n for n, value in enumerate(rows.inputs)}
        across = {value: rows.across[value] for value in life.pushed}
        arrivals = sorted(
            ((row + 1) / rows.count[value], order, value)
            for order, value in enumerate((*life.given, *life.pushed))
            for row in range(0, rows.count[value], across.get(value, 1))
        )
        for _, _, value in arrivals:
            if value in across:
                self.order.events.append((number[value], life.arrived[value] // across[value]))
                for _ in range(across[value]):
                    self._write(value)
            else:
                self._arrive(value)
            self._settle()
            while self.ready:
                self._fire(next(iter(self.ready)) if len(self.ready) == 1 else max(self.ready, key=self._rank))
        return self.order

    def _rank(self, step: int) -> tuple[int, int]:
        return self.network.depth[step], step if self.late else -step

    def _arrive(self, value: str) -> None:
        self.life.arrived[value] += 1
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

    def _fire(self, index: int) -> None:
        step, at = self.steps[index], self.fired[index]
        self.order.events.append((index, at))
        self.fired[index] += 1
        self._check(index)
        if not step.accumulator_bytes or at + 1 == step.firings:
            self._write(step.value)
        self._settle()

    def _write(self, value: str) -> None:
        self._arrive(value)

    def _settle(self) -> None:
        """What becomes of the newest pixels: they lie in their rings already."""


class _Run(_PixelRun):
    """At row grain: the newest row lies apart, and goes to its ring when nothing ready reads it."""

    def __init__(self, network: Network, first: int, stop: int, policy: Policy) -> None:
        super().__init__(network, first, stop, policy)
        self.rings = set(self.life.rings)
        # Value → its fresh row, and the event that wrote it.
        self.fresh: dict[str, tuple[int, int]] = {}
        self.order.fresh.update({value: [] for value in self.life.rings})
        for index in range(first, stop):
            for value in self.steps[index].in_place:
                self.order.replaced[index, value] = []

    def _fire(self, index: int) -> None:
        at = self.fired[index]
        changed = {value: low for value, _, low in self.life.read(index, at)}
        for value in self.steps[index].in_place:
            row = self.fresh[value][0] if value in self.fresh else -1
            self.order.replaced[index, value].append(0 <= row < changed.get(value, 0))
        super()._fire(index)

    def _write(self, value: str) -> None:
        if value in self.rings:
            self.fresh[value] = self.life.arrived[value], len(self.order.events) - 1
        self._arrive(value)
        if not self.life.readers[value]:
            self.life.low[value] = self.life.arrived[value]

    def _settle(self) -> None:
        """Fresh rows that nothing ready reads go to rest in their rings, or are gone."""
        life, now = self.life, len(self.order.events) - 1
        for value, (row, written) in list(self.fresh.items()):
            if life.low[value] > row or not any(reader in self.ready for reader in life.readers[value]):
                self.order.fresh[value].append((written, now))
                del self.fresh[value]
