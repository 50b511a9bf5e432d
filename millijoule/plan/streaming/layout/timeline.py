"""What happens when, and which memory is taken from when to when, once it is known what is streamed how."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from millijoule.plan.streaming.layout.addresses import Item, Piece
from millijoule.plan.streaming.network.kernels import divided_bytes
from millijoule.plan.streaming.network.rows import WORD_BYTES, Step, working_memory
from millijoule.plan.streaming.search.needs import Segment, fired
from millijoule.plan.streaming.search.schedule import Life, Network

Kind = Literal["stored", "ring", "fresh", "sums", "scratch", "state"]
Key = tuple[Kind, str]
"""What a value, or the step that computes it, has memory for."""


class Action(NamedTuple):
    """One thing that happens.

    do: `arrive`, a line of input `name` is written; `fire`, step `name` fires for the `row`-th time, which computes a
    pixel at pixel grain; `rest`, the fresh row of value `name` is copied into its ring. fresh: the row that is written
    goes to the value's place for a fresh row, not into its ring.
    """

    do: Literal["arrive", "fire", "rest"]
    name: str
    row: int
    fresh: bool = False


@dataclass
class Timeline:
    """actions: in order; the time of an action is its index. items: memory with its lifetimes, by (kind, value).

    shared: (kind, value) → the item in whose place it lies. pieces: of each by itself. sizes: how many rows, or pixels,
    of how many bytes each has. inside: (kind, value) → where in that place its first row lies, how far the next one is,
    and the value that they are a part of.
    """

    actions: list[Action] = field(default_factory=list)
    items: dict[Key, Item] = field(default_factory=dict)
    shared: dict[Key, Key] = field(default_factory=dict)
    pieces: dict[Key, tuple[Piece, ...]] = field(default_factory=dict)
    sizes: dict[Key, tuple[int, int]] = field(default_factory=dict)
    inside: dict[Key, tuple[int, int, str]] = field(default_factory=dict)


def timeline(network: Network, segments: Sequence[Segment], alignment: int) -> Timeline:
    """The actions of all segments one after the other, and the memory that they need."""
    return _Recorder(network, alignment).record(segments)


class PixelRing:
    """A ring of pixels of one segment: from when to when each of its slots is used."""

    def __init__(self, slots: int, pixel_bytes: int, across: int) -> None:
        self.slots, self.pixel_bytes, self.across = slots, pixel_bytes, across
        self.first = [-1] * slots
        self.last = [-1] * slots

    def write(self, pixel: int, now: int) -> None:
        slot = pixel % self.slots
        if self.first[slot] < 0:
            self.first[slot] = now
        self.last[slot] = now

    def die(self, before: int, after: int, now: int) -> None:
        for pixel in range(before, after):
            self.last[pixel % self.slots] = now

    def pieces(self) -> tuple[Piece, ...]:
        """One for each line of the map, from the birth of its first pixel to the death of the last that lies there."""
        found = []
        for begin in range(0, self.slots, self.across):
            end = min(begin + self.across, self.slots)
            life = self.first[begin], max(self.last[begin:end])
            found.append(Piece(*life, begin * self.pixel_bytes, (end - begin) * self.pixel_bytes))
        return _merged(found)


class _Recorder:
    def __init__(self, network: Network, alignment: int) -> None:
        self.network, self.rows, self.alignment = network, network.rows, alignment
        self.result = Timeline()
        self.born: dict[tuple[str, int], int] = {}
        self.died: dict[tuple[str, int], int] = {}
        self.slots: dict[str, int] = {}
        self.rested: dict[str, dict[int, int]] = {}
        self.fresh: dict[str, list[tuple[int, int]]] = {}
        self.sums: dict[str, Piece] = {}
        self.scratch: dict[str, list[Piece]] = {}
        self.stored: list[str] = []
        self.in_place: dict[str, list[set[str]]] = {}
        self.pixel_rings: dict[str, PixelRing] = {}
        self.by_pixel: set[str] = set()
        self.state_bytes = self.rows.state_bytes

    @property
    def now(self) -> int:
        return len(self.result.actions) - 1

    def record(self, segments: Sequence[Segment]) -> Timeline:
        if self.network.contract in ("overwrite", "keep"):
            for value in self.rows.inputs:
                self.stored.append(value)
                self.born |= {(value, row): 0 for row in range(self.rows.count[value])}
        for segment in segments:
            if segment.grain == "pixel":
                self.state_bytes = self.network.pixels.rows.state_bytes
                self._pixels(segment)
            else:
                self._segment(segment)
        self._items()
        return self.result

    def _segment(self, segment: Segment) -> None:
        life = Life(self.network, segment.first, segment.stop)
        for value in life.given:
            life.arrived[value] = self.rows.count[value]
        self.stored += sorted(life.stored, key=list(self.rows.count).index)
        waiting: dict[str, tuple[int, int]] = {}
        for index, at in fired(self.network, segment):
            if index < 0:
                value = self.rows.inputs[-1 - index]
                self._write(life, segment, waiting, Action("arrive", value, at), value)
            else:
                self._fire(life, segment, waiting, index, at)
            self._rest(life, segment, waiting)

    def _pixels(self, segment: Segment) -> None:
        """A segment at pixel grain: every pixel goes into its ring, or to where its value is stored, at once."""
        rows = self.network.pixels.rows
        life = Life(self.network.pixels, segment.first, segment.stop)
        for value in life.given:
            life.arrived[value] = rows.count[value]
        self.stored += sorted(life.stored, key=list(rows.count).index)
        self.by_pixel.update(life.stored)
        for value, slots in segment.resting.items():
            self.pixel_rings[value] = PixelRing(slots, rows.bytes[value], rows.across[value])
        scratch = {step.value: self._scratch(step) for step in rows.steps[segment.first : segment.stop]}
        rings, across, actions = self.pixel_rings, rows.across, self.result.actions
        for index, at in fired(self.network.pixels, segment):
            now = len(actions)
            if index < 0:
                value = rows.inputs[-1 - index]
                actions.append(Action("arrive", value, at))
                written = across[value]
            else:
                step = rows.steps[index]
                actions.append(Action("fire", step.name, at))
                for read, before, after in life.read(index, at):
                    if read in rings:
                        rings[read].die(before, after, now)
                    else:
                        for row in range(before // across[read], -(-after // across[read])):
                            self.died[read, row] = now
                self._use_sums(step)
                if scratch[step.value]:
                    self._use_scratch(step, scratch[step.value])
                value, written = step.value, int(not step.accumulator_bytes or at + 1 == step.firings)
            for _ in range(written):
                pixel = life.write(value)
                if value in rings:
                    rings[value].write(pixel, now)
                elif not pixel % across[value]:
                    self.born.setdefault((value, pixel // across[value]), now)

    def _fire(self, life: Life, segment: Segment, waiting: dict[str, tuple[int, int]], index: int, at: int) -> None:
        step = self.rows.steps[index]
        self.result.actions.append(Action("fire", step.name, at))
        candidates = set()
        for value, before, after in life.read(index, at):
            for row in range(before, after):
                self.died[value, row] = self.now
            if value in waiting and waiting[value][0] < after:
                self.fresh[value].append((waiting.pop(value)[1], self.now))
                candidates.add(value)
        self._use_sums(step)
        if not step.accumulator_bytes or at + 1 == step.firings:
            action = self.result.actions.pop()
            self._write(life, segment, waiting, action, step.value)
            if self.result.actions[-1].fresh:
                self.in_place.setdefault(step.value, []).append(candidates.intersection(step.in_place))
        if step.scratch_bytes:
            self._use_scratch(step, step.scratch_bytes)

    def _scratch(self, step: Step) -> int:
        """Working memory at pixel grain: a line is only copied where the end of the ring divides one."""
        if step.copied is None:
            return step.scratch_bytes
        value = step.reads[0].value
        slots = self.pixel_rings[value].slots if value in self.pixel_rings else 0
        copied = divided_bytes(step.copied, slots, self.network.pixels.rows.bytes[value])
        return working_memory(copied, step.own_bytes)

    def _use_sums(self, step: Step) -> None:
        if step.accumulator_bytes:
            # At pixel grain there may be sums where one row is all there is.
            first = self.sums[step.value].first if step.value in self.sums else self.now
            self.sums[step.value] = Piece(first, self.now, 0, step.accumulator_bytes)

    def _use_scratch(self, step: Step, size: int) -> None:
        pieces = self.scratch.setdefault(step.value, [])
        if pieces and pieces[-1].last + 1 == self.now:
            pieces[-1] = pieces[-1]._replace(last=self.now)
        else:
            pieces.append(Piece(self.now, self.now, 0, size))

    def _write(
        self, life: Life, segment: Segment, waiting: dict[str, tuple[int, int]], action: Action, value: str
    ) -> None:
        row = life.write(value)
        if value in life.stored:
            self.result.actions.append(action)
            self.born[value, row] = self.now
            return
        slots = self._slots(life, segment, value)
        if slots and row - slots < life.low[value] and life.readers[value]:
            self.result.actions.append(action)
            self._rested(value, slots, row)
        else:
            self.result.actions.append(action._replace(fresh=True))
            self.fresh.setdefault(value, [])
            if life.readers[value]:
                waiting[value] = (row, self.now)
            else:
                self.fresh[value].append((self.now, self.now))

    def _rest(self, life: Life, segment: Segment, waiting: dict[str, tuple[int, int]]) -> None:
        """Copy fresh rows into their rings as soon as there is room."""
        for value, (row, since) in list(waiting.items()):
            slots = self._slots(life, segment, value)
            if slots and row - slots < life.low[value]:
                self.result.actions.append(Action("rest", value, row))
                self._rested(value, slots, row)
                self.fresh[value].append((since, self.now))
                del waiting[value]

    def _slots(self, life: Life, segment: Segment, value: str) -> int:
        """Rows of the value's ring; a step that needs all rows at once finds them side by side."""
        whole = any(self.rows.steps[reader].whole for reader in life.readers[value])
        return self.rows.count[value] if whole else segment.resting[value]

    def _rested(self, value: str, slots: int, row: int) -> None:
        self.slots[value] = slots
        self.rested.setdefault(value, {})[row] = self.now

    def _items(self) -> None:
        end, rows = len(self.result.actions), self.rows
        for value in self.stored:
            size = rows.bytes[value]
            born = [self.born[value, row] for row in range(rows.count[value])]
            # What is made and nothing reads is gone once all of it is there.
            last = end if self.network.readers[value] or value in (*rows.inputs, *rows.outputs) else born[-1]
            lives = [(at, self.died.get((value, row), last)) for row, at in enumerate(born)]
            if value in self.network.maker and rows.steps[self.network.maker[value]].whole:
                # The first firing computes all rows.
                lives = [(lives[0][0], died) for _, died in lives]
            pieces = _merged([Piece(born, died, row * size, size) for row, (born, died) in enumerate(lives)])
            self._add("stored", value, pieces, (rows.count[value], size))
        for value, times in self.rested.items():
            size, slots = rows.bytes[value], self.slots[value]
            # A slot is free between one row and the next: something else may lie there.
            slices = (
                Piece(since, self.died.get((value, row), end), row % slots * size, size) for row, since in times.items()
            )
            self._add("ring", value, tuple(slices), (slots, size))
        for value, ring in self.pixel_rings.items():
            self._add("ring", value, ring.pieces(), (ring.slots, ring.pixel_bytes))
        for value, spans in self.fresh.items():
            pieces = tuple(Piece(begin, stop, 0, rows.bytes[value]) for begin, stop in spans)
            self._add("fresh", value, pieces, (1, rows.bytes[value]))
        for value, piece in self.sums.items():
            self._add("sums", value, (piece,), (1, piece.bytes), WORD_BYTES)
        for value, used in self.scratch.items():
            self._add("scratch", value, tuple(used), (1, used[0].bytes), WORD_BYTES)
        if self.state_bytes:
            pieces = (Piece(0, max(end - 1, 0), 0, self.state_bytes),)
            self._add("state", rows.inputs[0], pieces, (1, self.state_bytes), WORD_BYTES)
        self._share_fresh()
        self._join()
        self._share_stored()

    def _add(
        self, kind: Kind, value: str, pieces: tuple[Piece, ...], size: tuple[int, int], alignment: int = 1
    ) -> None:
        key = (kind, value)
        self.result.items[key] = Item(pieces, max(alignment, self.alignment))
        self.result.pieces[key], self.result.sizes[key] = pieces, size

    def _share_fresh(self) -> None:
        """A fresh row that replaces, every time, a fresh row of another value of its size lies in its place."""
        for value, candidates in self.in_place.items():
            for other in sorted(set.intersection(*candidates)):
                if self.rows.bytes[other] == self.rows.bytes[value]:
                    self._share(("fresh", value), ("fresh", other))
                    break

    def _join(self) -> None:
        """Stored values whose lines side by side are those of another stored value lie in that one."""
        rows, result = self.rows, self.result
        for index, step in enumerate(rows.steps):
            key: Key = ("stored", step.value)
            parts: list[Key] = [("stored", read.value) for read in step.reads]
            if not step.joins or any(each not in result.items for each in (key, *parts)):
                continue
            if any(self.network.readers[part] != [index] or part in self.by_pixel for _, part in parts):
                continue
            pitch, offset, end, pieces = rows.bytes[step.value], 0, len(result.actions), []
            for part in parts:
                size = rows.bytes[part[1]]
                result.pieces[part] = tuple(
                    Piece(self.born[part[1], row], self.died.get((part[1], row), end), row * pitch, size)
                    for row in range(step.firings)
                )
                pieces += [
                    piece._replace(last=self.died.get((step.value, row), end), offset=piece.offset + offset)
                    for row, piece in enumerate(result.pieces[part])
                ]
                del result.items[part]
                result.shared[part], result.inside[part] = key, (offset, pitch, step.value)
                offset += size
            result.items[key] = Item(tuple(pieces), self.alignment)

    def _share_stored(self) -> None:
        """A stored value each row of which is written when, or after, the same row of another dies with it."""
        for step in self.rows.steps:
            value = step.value
            for other in step.in_place:
                if ("stored", value) not in self.result.items or ("stored", other) not in self.result.items:
                    continue
                same = self.rows.bytes[other] == self.rows.bytes[value] and self.rows.count[other] == step.firings
                if same and all(
                    self.died.get((other, row), self.born[value, row] + 1) <= self.born[value, row]
                    for row in range(step.firings)
                ):
                    self._share(("stored", value), ("stored", other))
                    break

    def _share(self, key: tuple[Kind, str], place: tuple[Kind, str]) -> None:
        while place in self.result.shared:
            place = self.result.shared[place]
        items = self.result.items
        mine = items.pop(key)
        self.result.shared[key] = place
        items[place] = Item((*items[place].pieces, *mine.pieces), max(items[place].alignment, mine.alignment))


def _merged(pieces: Sequence[Piece]) -> tuple[Piece, ...]:
    """Neighbours with the same lifetime as one."""
    merged = list(pieces[:1])
    for piece in pieces[1:]:
        last = merged[-1]
        if (last.first, last.last) == (piece.first, piece.last):
            merged[-1] = last._replace(bytes=last.bytes + piece.bytes)
        else:
            merged.append(piece)
    return tuple(merged)
