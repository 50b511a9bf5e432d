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
"""Items that are placed in those orders at most."""


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


def lay_out(items: Sequence[Item], tries: int = TRIES) -> Layout:
    """Offsets for items, such that no two pieces overlap in time and address.

    One item after the other goes where the arena grows least, below the others as well as above; greedy orders first,
    then changes of the best order at random (always the same ones), until the bound is met or `tries` are over.
    """
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
    if not items:
        return Layout((), 0, 0)
    best = min((placer.place(order) for order in orders), key=lambda found: found.total)
    generator = random.Random(0)
    for _ in range(min(tries, PLACED // max(len(items), 1))):
        if best.total <= bound:
            break
        # What reaches an end of the arena, and anything else, goes to another place in the order.
        order = list(best.order)
        for item in (generator.choice(best.ends), generator.choice(order)):
            order.remove(item)
            order.insert(generator.randrange(len(order) + 1), item)
        found = placer.place(order)
        if found.total <= best.total:
            best = found
    return Layout(tuple(best.offsets[i] for i in indices), best.total, bound)


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
    """offsets: from 0. ends: items that reach the first or the last byte."""

    order: Sequence[int]
    offsets: dict[int, int]
    total: int
    ends: Sequence[int]


class _Placer:
    def __init__(self, items: Sequence[Item]) -> None:
        self.items = items
        self.pieces = [np.array(item.pieces, np.int64).reshape(-1, 4) for item in items]
        self.spans = [(int(p[:, 0].min()), int(p[:, 1].max())) for p in self.pieces]
        self.sizes = [item.bytes for item in items]
        self.alignment = max((item.alignment for item in items), default=1)
        # Item → (other, intervals): the offset of the item less that of the other must not lie in any of them.
        self.forbidden: list[list[tuple[int, list[tuple[int, int]]]]] = [[] for _ in items]
        for one in range(len(items)):
            for two in range(one):
                intervals = self._compare(two, one)
                if intervals:
                    self.forbidden[one].append((two, intervals))
                    self.forbidden[two].append((one, [(-high, -low) for low, high in reversed(intervals)]))

    def place(self, order: Sequence[int]) -> _Placed:
        """Each item, in `order`, where the arena grows least beside those before it."""
        offsets: dict[int, int] = {}
        bottom = top = 0
        for item in order:
            offsets[item] = at = self._best(item, offsets, bottom, top) if offsets else 0
            bottom, top = min(bottom, at), max(top, at + self.sizes[item])
        # Offsets stay multiples of their alignments.
        bottom -= bottom % self.alignment
        ends = [i for i, at in offsets.items() if at == bottom or at + self.sizes[i] == top]
        return _Placed(order, {i: at - bottom for i, at in offsets.items()}, top - bottom, ends)

    def _best(self, item: int, offsets: dict[int, int], bottom: int, top: int) -> int:
        taken = []
        for other, intervals in self.forbidden[item]:
            base = offsets.get(other)
            if base is not None:
                taken += [(base + low, base + high) for low, high in intervals]
        taken.sort()
        size, alignment = self.sizes[item], self.items[item].alignment
        best, growth = 0, -1
        end = None
        for low, high in (*taken, (1 << 62, 1 << 62)):
            if end is None or end <= low:
                # Free from the end of the intervals before to the beginning of this one.
                candidates = [low - low % alignment] if end is None else [end + -end % alignment, low - low % alignment]
                for at in candidates:
                    if (end is None or at >= end) and at <= low and at < 1 << 61:
                        grows = max(top, at + size) - min(bottom, at)
                        if growth < 0 or grows < growth:
                            best, growth = at, grows
                end = high
            else:
                end = max(end, high)
        return best if taken else bottom + -bottom % alignment

    def _compare(self, one: int, two: int) -> list[tuple[int, int]]:
        """Open intervals in which the offset of `two` less that of `one` must not lie."""
        (first, last), (other_first, other_last) = self.spans[one], self.spans[two]
        if last < other_first or other_last < first:
            return []
        a, b = self.pieces[one], self.pieces[two]
        together = (a[:, None, 0] <= b[None, :, 1]) & (b[None, :, 0] <= a[:, None, 1])
        i, j = np.nonzero(together)
        low = a[i, 2] - b[j, 2] - b[j, 3]
        high = a[i, 2] + a[i, 3] - b[j, 2]
        merged: list[tuple[int, int]] = []
        for start, stop in sorted(set(zip(low.tolist(), high.tolist(), strict=True))):
            if merged and start < merged[-1][1]:
                merged[-1] = (merged[-1][0], max(merged[-1][1], stop))
            else:
                merged.append((start, stop))
        return merged
