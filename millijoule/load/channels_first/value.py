"""How the numbers of a value lie in memory, and as which axes another framework sees them.

Both are written in factors: a map of 2 x 3 positions and 8 channels is stored as the factors (h=2, w=3, c=8); a
framework with channels first sees the axes ((), (c,), (h,), (w,)), the batch of 1 having no factor. Flattened, it sees
((), (c, h, w)); with the channels in 2 groups, ((), (g, c/g), (h,), (w,)). Transposing and reshaping so change the
axes and move nothing; only an operator that needs the factors in another order than they are stored in does.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain, pairwise
from math import prod

Axis = tuple["Factor", ...]


@dataclass(frozen=True, eq=False)
class Factor:
    """A part of an axis, of 2 or more numbers; one of its kind, even if others have its size."""

    size: int


@dataclass(frozen=True)
class Value:
    """A value of the graph as another framework sees it.

    name: the graph's value. stored: its factors as they lie in memory, outermost first. axes: the framework's axes,
    the batch among them, each the factors that it runs over, outermost first.
    """

    name: str
    stored: tuple[Factor, ...]
    axes: tuple[Axis, ...]

    @classmethod
    def of(cls, name: str, stored: Sequence[int], axes: Sequence[int | None]) -> Value:
        """The value stored with the sizes `stored`; each axis is one of them, or has one number (None)."""
        factors = [Factor(size) if size > 1 else None for size in stored]
        found = tuple(((factor,) if (factor := factors[axis]) else ()) if axis is not None else () for axis in axes)
        return cls(name, tuple(factor for factor in factors if factor), found)

    @property
    def shape(self) -> tuple[int, ...]:
        """As the framework sees it, batch included."""
        return tuple(prod(factor.size for factor in axis) for axis in self.axes)

    @property
    def factors(self) -> tuple[Factor, ...]:
        """In the order in which the framework counts them."""
        return tuple(chain.from_iterable(self.axes))

    def transposed(self, order: Sequence[int]) -> Value:
        return replace(self, axes=tuple(self.axes[axis] for axis in order))

    def reshaped(self, shape: Sequence[int]) -> Value | None:
        """Under another shape of as many numbers; None if that splits a factor that cannot be split."""
        joined = self._joined()
        ends = _ends(factor.size for factor in joined.factors)
        cuts = sorted({*ends, *_ends(shape)})
        if any(large % small for small, large in pairwise(cuts)):
            return None
        pieces = {
            factor: _pieces(begin, end, cuts)
            for factor, (begin, end) in zip(joined.factors, pairwise([1, *ends]), strict=True)
        }
        stored = tuple(chain.from_iterable(pieces[factor] for factor in joined.stored))
        flat = list(chain.from_iterable(pieces[factor] for factor in joined.factors))
        axes = []
        for size in shape:
            axis: list[Factor] = []
            while prod(factor.size for factor in axis) < size:
                axis.append(flat.pop(0))
            axes.append(tuple(axis))
        return Value(self.name, stored, tuple(axes))

    def _joined(self) -> Value:
        """As one axis, with factors joined that follow each other both in memory and as the framework counts."""
        runs: list[list[Factor]] = []
        following = dict(pairwise(self.factors))
        for factor in self.stored:
            if runs and following.get(runs[-1][-1]) is factor:
                runs[-1].append(factor)
            else:
                runs.append([factor])
        joined = {run[0]: Factor(prod(factor.size for factor in run)) for run in runs}
        return Value(
            self.name, tuple(joined.values()), (tuple(joined[factor] for factor in self.factors if factor in joined),)
        )


def _ends(sizes: Iterable[int]) -> list[int]:
    """Products of the first sizes: [2, 6, 48] of (2, 3, 8)."""
    ends, total = [], 1
    for size in sizes:
        total *= size
        ends.append(total)
    return ends


def _pieces(begin: int, end: int, cuts: Sequence[int]) -> list[Factor]:
    inside = [begin, *(cut for cut in cuts if begin < cut < end), end]
    return [Factor(large // small) for small, large in pairwise(inside) if large > small]


def common_split(values: Sequence[Value], kept: int | None = None) -> list[Value] | None:
    """The values, all of the same shape but along the axis `kept`, with every other axis in the same factors.

    Where the axis of one value has one number, it need not have the factors of the others. None if factors overlap.
    """
    split = []
    rank = len(values[0].axes)
    cuts: list[list[int]] = []
    for axis in range(rank):
        found = {end for value in values for end in _ends(factor.size for factor in value.axes[axis])}
        cuts.append(sorted(found - {1}))
        if axis != kept and any(large % small for small, large in pairwise(cuts[axis])):
            return None
    for value in values:
        replaced: dict[Factor, list[Factor]] = {}
        for axis, factors in enumerate(value.axes):
            if axis != kept:
                ends = _ends(factor.size for factor in factors)
                for factor, (begin, end) in zip(factors, pairwise([1, *ends]), strict=True):
                    replaced[factor] = _pieces(begin, end, cuts[axis])
        split.append(_with(value, replaced))
    return split


def _with(value: Value, replaced: dict[Factor, list[Factor]]) -> Value:
    def parts(factors: Iterable[Factor]) -> tuple[Factor, ...]:
        return tuple(chain.from_iterable(replaced.get(factor, [factor]) for factor in factors))

    return Value(value.name, parts(value.stored), tuple(parts(axis) for axis in value.axes))


def run_in(factors: Sequence[Factor], stored: Sequence[Factor], *, ordered: bool = True) -> int | None:
    """Where in `stored` the factors stand side by side (in this order, if `ordered`); None if they do not."""
    if not factors:
        return None
    positions = [stored.index(factor) for factor in factors]
    begin = min(positions)
    wanted = list(range(begin, begin + len(factors)))
    return begin if (positions if ordered else sorted(positions)) == wanted else None
