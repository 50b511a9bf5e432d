"""Addresses for memory whose parts come and go at different times, so that the arena is smallest.

A stored map whose rows die one by one is free from its beginning on; a ring may lie there. What conflicts is therefore
asked of pieces, each a rectangle of time and addresses, and answered for pairs of items once: the distances that are
forbidden between them.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

TRIES = 1000
"""Orders that are tried, beyond the greedy ones, while the arena is above the bound."""
PLACED = 50_000
"""Items that are placed in so many orders at most."""
NO_LIMIT = 1 << 62


class Piece(NamedTuple):
    """`bytes` at `offset` of an item, taken from time `first` to time `last`, both included."""

    first: int
    last: int
    offset: int
    bytes: int


@dataclass(frozen=True)
class Item:
    """Memory with one base address, a multiple of `alignment`."""

    pieces: tuple[Piece, ...]
    alignment: int = 1

    @property
    def bytes(self) -> int:
        return max(piece.offset + piece.bytes for piece in self.pieces)


@dataclass(frozen=True)
class Layout:
    """offsets: in the order of the items. lower_bound: the most bytes that are taken at one time."""

    offsets: tuple[int, ...]
    total: int
    lower_bound: int


def lay_out(items: Sequence[Item], tries: int = TRIES, limit: int = NO_LIMIT) -> Layout:
    """Offsets for items, such that no two pieces overlap in time and address.

    One item after the other goes where the arena grows least, below the others as well as above; greedy orders first,
    then changes of the best order at random (always the same ones), until the bound is met or `tries` are over. An
    arena of more than `limit` bytes is of no use: where the bound is above it, greedy orders must do.
    """
    if not items:
        return Layout((), 0, 0)
    bound = most_taken(items)
    placer = _Placer(items)
    indices = range(len(items))
    born = [min(piece.first for piece in item.pieces) for item in items]
    spans = [max(piece.last for piece in item.pieces) - born[i] for i, item in enumerate(items)]
    sizes = [item.bytes for item in items]
    orders = [
        sorted(indices, key=lambda i: (-sizes[i], -spans[i])),
        sorted(indices, key=lambda i: (-sizes[i] * (spans[i] + 1), -sizes[i])),
        sorted(indices, key=lambda i: (-spans[i], -sizes[i])),
        sorted(indices, key=lambda i: (born[i], -sizes[i])),
    ]
    best = placer.place(orders[0])
    assert best is not None
    for order in orders[1:]:
        best = placer.place(order, best.total - 1) or best
    generator = random.Random(0)
    ends = best.ends(sizes)
    placed = PLACED * max(tries // TRIES, 1)
    for _ in range(min(tries, placed // len(items)) if bound <= limit else 0):
        if best.total <= bound:
            break
        # What reaches an end of the arena, and anything else, goes to another place in the order.
        order, start, moved = list(best.order), len(items), []
        for item in (generator.choice(ends), generator.choice(order)):
            at = order.index(item)
            order.pop(at)
            to = generator.randrange(len(order) + 1)
            order.insert(to, item)
            start = min(start, at, to)
            moved.append((item, order[min(at, to) : max(at, to) + 1]))
        found = placer.place(order, best.total, best, start, moved)
        if found:
            best, ends = found, found.ends(sizes)
    return Layout(best.from_bottom(), best.total, bound)


def most_taken(items: Sequence[Item]) -> int:
    """The most bytes that are taken at one time."""
    changes: dict[int, int] = {}
    for item in items:
        for first, last, size in _taken(item):
            changes[first] = changes.get(first, 0) + size
            changes[last + 1] = changes.get(last + 1, 0) - size
    most = taken = 0
    for time in sorted(changes):
        taken += changes[time]
        most = max(most, taken)
    return most


def _taken(item: Item) -> list[tuple[int, int, int]]:
    """(first, last, bytes): pieces at one offset that touch in time, one after the other, count once."""
    spans: list[tuple[int, int, int, int]] = []
    for piece in sorted(item.pieces, key=lambda p: (p.offset, p.bytes, p.first)):
        if spans and spans[-1][2:] == (piece.offset, piece.bytes) and piece.first <= spans[-1][1]:
            first, last, offset, size = spans[-1]
            spans[-1] = (first, max(last, piece.last), offset, size)
        else:
            spans.append((piece.first, piece.last, piece.offset, piece.bytes))
    return [(first, last, size) for first, last, _, size in spans]


@dataclass(frozen=True)
class _Placed:
    """offsets: of each item. found: the lowest and the highest address of all items before each. bottom, total: of
    all; offsets from `bottom` stay multiples of their alignments."""

    order: Sequence[int]
    offsets: Sequence[int]
    found: Sequence[tuple[int, int]]
    bottom: int
    total: int

    def from_bottom(self) -> tuple[int, ...]:
        return tuple(offset - self.bottom for offset in self.offsets)

    def ends(self, sizes: Sequence[int]) -> list[int]:
        """Items that reach the first or the last byte."""
        bottom, top = self.bottom, self.bottom + self.total
        return [i for i in self.order if self.offsets[i] == bottom or self.offsets[i] + sizes[i] == top]


class _Shape:
    """The pieces of an item; and, for each place that some of them take, when it is taken: from when to when."""

    def __init__(self, item: Item) -> None:
        self.pieces = np.array(item.pieces, np.int64)
        self.first, self.last = int(self.pieces[:, 0].min()), int(self.pieces[:, 1].max())
        spans: dict[tuple[int, int], list[tuple[int, int]]] = {}
        for first, last, offset, size in sorted(item.pieces):
            taken = spans.setdefault((offset, size), [])
            if taken and first <= taken[-1][1] + 1:
                taken[-1] = taken[-1][0], max(taken[-1][1], last)
            else:
                taken.append((first, last))
        self.taken = {place: np.array(times).T for place, times in spans.items()}


class _Placer:
    def __init__(self, items: Sequence[Item]) -> None:
        self.shapes = [_Shape(item) for item in items]
        self.sizes = [item.bytes for item in items]
        self.alignments = [item.alignment for item in items]
        self.alignment = max(self.alignments)
        # Item → (other, low, high): its offset less that of the other must not lie between the two.
        self.forbidden: list[list[tuple[int, int, int]]] = [[] for _ in items]
        for one, shape in enumerate(self.shapes):
            for two, other in enumerate(self.shapes[:one]):
                if shape.first <= other.last and other.first <= shape.last:
                    for low, high in _forbidden(other, shape):
                        self.forbidden[one].append((two, low, high))
                        self.forbidden[two].append((one, -high, -low))
        self.beside = [{other for other, _, _ in each} for each in self.forbidden]

    def place(
        self,
        order: Sequence[int],
        limit: int = NO_LIMIT,
        before: _Placed | None = None,
        start: int = 0,
        moved: Sequence[tuple[int, Sequence[int]]] = (),
    ) -> _Placed | None:
        """Each item, in `order`, where the arena grows least beside those before it; None if it grows above `limit`.

        before: this order but for the items that `moved`, each with all that it passed, itself included; the first
        `start` items are the same. What finds the same beside it as before, lies as it did before.
        """
        offsets: list[int | None] = [None] * len(order)
        found: list[tuple[int, int]] = [(0, 0)] * len(order)
        doubtful = {item for item, _ in moved}
        for item, passed in moved:
            doubtful |= self.beside[item].intersection(passed)
        bottom = top = 0
        if before and start:
            for item in order[:start]:
                offsets[item], found[item] = before.offsets[item], before.found[item]
            bottom, top = before.found[before.order[start]]
        for item in order[start:]:
            found[item] = bottom, top
            if before and item not in doubtful and before.found[item] == (bottom, top):
                at = before.offsets[item]
            else:
                at = self._best(item, offsets, bottom, top)
                if before and at != before.offsets[item]:
                    doubtful |= self.beside[item]
            offsets[item] = at
            bottom, top = min(bottom, at), max(top, at + self.sizes[item])
            if top - bottom > limit:
                return None
        bottom -= bottom % self.alignment
        placed = _Placed(order, [at for at in offsets if at is not None], found, bottom, top - bottom)
        return placed if placed.total <= limit else None

    def _best(self, item: int, offsets: Sequence[int | None], bottom: int, top: int) -> int:
        taken = [
            (base + low, base + high)
            for other, low, high in self.forbidden[item]
            if (base := offsets[other]) is not None
        ]
        taken.sort()
        size, alignment = self.sizes[item], self.alignments[item]
        if not taken:
            return bottom + -bottom % alignment
        best = taken[0][0] - taken[0][0] % alignment
        growth, end = max(top, best + size) - min(bottom, best), taken[0][1]
        for low, high in taken:
            if end <= low:
                # Free from the end of the intervals before to the beginning of this one.
                for at in (end + -end % alignment, low - low % alignment):
                    grows = max(top, at + size) - min(bottom, at)
                    if end <= at <= low and grows < growth:
                        best, growth = at, grows
                if growth == top - bottom:
                    return best
            if high > end:
                end = high
        at = end + -end % alignment
        return at if max(top, at + size) - min(bottom, at) < growth else best


def _forbidden(one: _Shape, two: _Shape) -> list[tuple[int, int]]:
    """Open intervals in which the offset of `two` less that of `one` must not lie."""
    if len(one.taken) < len(two.taken):
        return [(-high, -low) for low, high in reversed(_forbidden(two, one))]
    first, last, begin, size = one.pieces.T
    found: set[tuple[int, int]] = set()
    for (offset, length), (firsts, lasts) in two.taken.items():
        # Some of these times begin before a piece ends and do not end before it begins.
        hit = np.searchsorted(firsts, last, "right") > np.searchsorted(lasts, first)
        low, high = begin[hit] - offset - length, begin[hit] + size[hit] - offset
        found.update(zip(low.tolist(), high.tolist(), strict=True))
    merged: list[tuple[int, int]] = []
    for start, stop in sorted(found):
        if merged and start < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], stop))
        else:
            merged.append((start, stop))
    return merged
