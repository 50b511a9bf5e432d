"""What joins, cuts and combines values along any axis of the framework."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import prod

import numpy as np

from millijoule.graph import Operator
from millijoule.load.channels_first.layers import Layers
from millijoule.load.channels_first.value import Factor, Value, run_in
from millijoule.ops import Add, Concat, Multiply, Pad, Resize2d, Scale, Slice, Softmax, Subtract
from millijoule.ops.base import Pair

BINARY: dict[str, type[Operator]] = {"add": Add, "subtract": Subtract, "multiply": Multiply}


class ChannelsFirst(Layers):
    """Adds the operators of a framework with channels first to a graph with channels last; see the package."""

    def concat(self, name: str, values: Sequence[Value], axis: int) -> Value:
        """Along any axis: numbers that follow each other in memory are joined as one row."""
        rank = len(values[0].axes)
        axis %= rank
        first = values[0].shape
        for value in values[1:]:
            if len(value.axes) != rank or any(
                a != b for i, (a, b) in enumerate(zip(first, value.shape, strict=True)) if i != axis
            ):
                raise ValueError(f"its inputs have shapes {first} and {value.shape}; only axis {axis} may differ")
        if len(values) == 1:
            return values[0]
        split = self.split_alike(values, kept=axis)
        split = [
            value
            if len(value.axes[axis]) < 2 or run_in(value.axes[axis], value.stored) is not None
            else Value(moved.name, moved.stored, moved.axes)
            for value in split
            for moved in [self.stored_as(value, self._usual_order(value, axis))]
        ]
        pattern = next((value for value in split if value.axes[axis]), None)
        if pattern is None:
            before = [i for i in ((2, 3) if rank == 4 else range(axis)) if i != axis]
            after = [i for i in range(rank) if i not in before and i != axis]
            order = [(i, k) for i in before for k in range(len(split[0].axes[i]))]
            at = len(order)
            order += [(i, k) for i in after for k in range(len(split[0].axes[i]))]
        else:
            order, at = self._keys(pattern, axis)
        pieces = []
        for value in split:
            factors = [value.axes[i][k] for i, k in order]
            moved = self.stored_as(value, [*factors[:at], *value.axes[axis], *factors[at:]])
            rows, row = (prod(f.size for f in part) for part in (factors[:at], (*value.axes[axis], *factors[at:])))
            pieces.append((moved.name, rows, row))
        are_maps = len({self.shapes[name][:-1] for name, _, _ in pieces}) == 1
        made = self.node(name, Concat(), *(self._rows(*piece, stays=are_maps) for piece in pieces))
        total = sum(value.shape[axis] for value in values)
        joined = (Factor(total),)
        factors = [split[0].axes[i][k] for i, k in order]
        axes = tuple(joined if i == axis else split[0].axes[i] for i in range(rank))
        return Value(made, (*factors[:at], *joined, *factors[at:]), axes)

    def _usual_order(self, value: Value, axis: int) -> list[Factor]:
        order = (0, 2, 3, 1) if len(value.axes) == 4 else range(len(value.axes))
        if run_in(value.axes[axis], value.stored) is not None or len(value.axes[axis]) < 2:
            return list(value.stored)
        return [factor for i in order for factor in value.axes[i]]

    def _keys(self, value: Value, axis: int) -> tuple[list[tuple[int, int]], int]:
        """The value's stored factors but those of `axis`, as (axis, which), and where among them that axis lies."""
        places = {factor: (i, k) for i, factors in enumerate(value.axes) for k, factor in enumerate(factors)}
        keys = [places[factor] for factor in value.stored]
        at = next(index for index, (i, _) in enumerate(keys) if i == axis)
        return [key for key in keys if key[0] != axis], at

    def _rows(self, name: str, rows: int, row: int, stays: bool) -> str:
        """As rows, so that what is joined is the end of each; a map whose rows they are stays one if it may."""
        shape = self.shapes[name]
        if stays and len(shape) == 3 and shape[2] == row:
            return name
        return self.as_shape(name, (row,) if rows == 1 else (1, rows, row))

    def slice(self, name: str, x: Value, axis: int, start: int, stop: int, step: int = 1) -> Value:
        """From `start` to before `stop` along one axis, every `step`-th; 0 <= start < stop <= size, step > 0."""
        axis %= len(x.axes)
        size = x.shape[axis]
        if not 0 <= start < stop <= size or step < 1:
            raise ValueError(f"it takes {start} to {stop} by {step} of {size} along axis {axis}, which is nothing")
        if (start, stop, step) == (0, size, 1):
            return x
        if step == 1:
            return self._part(name, x, axis, start, stop - start)
        count = -(-(stop - start) // step)
        if count == 1:
            return self._part(name, x, axis, start, 1)
        # Every step-th is the first column of rows of `step`.
        end = start + count * step
        if start >= step or end < size:
            x = self._part(name, x, axis, start, min(end, size) - start)
            start, end, size = 0, end - start, x.shape[axis]
        if size % step:
            x = self.pad(name, x, [(0, -size % step) if i == axis else (0, 0) for i in range(len(x.axes))])
        rows = x.shape[axis] // step
        split = self.reshape(x, (*x.shape[:axis], rows, step, *x.shape[axis + 1 :]))
        part = self._part(name, self._part(name, split, axis + 1, start, 1), axis, 0, count)
        return self.reshape(part, (*x.shape[:axis], count, *x.shape[axis + 1 :]))

    def _part(self, name: str, x: Value, axis: int, start: int, size: int) -> Value:
        if size == x.shape[axis]:
            return x
        x, natural, place, shape = self._axis_apart(x, axis)
        begin = tuple(start if i == place else 0 for i in range(len(shape)))
        sizes = tuple(size if i == place else length for i, length in enumerate(shape))
        return self._with_axis(self.node(name, Slice(begin=begin, size=sizes), natural), x, axis, size)

    def _axis_apart(self, x: Value, axis: int) -> tuple[Value, str, int, tuple[int, ...]]:
        """(the value, the graph's value in which `axis` is an axis of its own, which one, that value's shape)."""
        x = self.stored_as(x, self._usual_order(x, axis))
        factors = x.axes[axis]
        at = run_in(factors, x.stored) if factors else len(x.stored)
        assert at is not None
        before = prod(factor.size for factor in x.stored[:at])
        after = prod(factor.size for factor in x.stored[at + len(factors) :])
        size = x.shape[axis]
        shape = self.shapes[x.name]
        for place in range(len(shape) if size > 1 and len(shape) == 3 else 0):
            if prod(shape[:place]) == before and shape[place] == size:
                return x, x.name, place, shape
        return x, self.as_shape(x.name, (before, size, after)), 1, (before, size, after)

    def _with_axis(self, made: str, x: Value, axis: int, size: int) -> Value:
        """The value `made`, which is `x` with `size` numbers along `axis`."""
        factors = x.axes[axis]
        new = (Factor(size),) if size > 1 else ()
        at = x.stored.index(factors[0]) if factors else len(x.stored)
        stored = (*x.stored[:at], *new, *x.stored[at + len(factors) :])
        return Value(made, stored, tuple(new if i == axis else each for i, each in enumerate(x.axes)))

    def split(self, name: str, x: Value, sizes: Sequence[int], axis: int) -> list[Value]:
        """Parts of `sizes` along one axis."""
        axis %= len(x.axes)
        if sum(sizes) != x.shape[axis]:
            raise ValueError(f"parts of {list(sizes)} do not add up to {x.shape[axis]} along axis {axis}")
        ends = np.cumsum([0, *sizes]).tolist()
        return [self.slice(f"{name}_{i}", x, axis, *part) for i, part in enumerate(pairwise(ends))]

    def pad(self, name: str, x: Value, padding: Sequence[Pair]) -> Value:
        """Zeros (before, after) along each axis."""
        if len(padding) != len(x.axes) or any(size < 0 for side in padding for size in side):
            raise ValueError(f"padding {list(padding)} does not suit an input of shape {x.shape}")
        padded = [axis for axis, side in enumerate(padding) if any(side)]
        if len(x.axes) == 4 and padded and set(padded) <= {2, 3}:
            return self.on_map(name, x, Pad(padding=(padding[2], padding[3])))
        for axis in padded:
            x, natural, place, shape = self._axis_apart(x, axis)
            if place > 1:
                place, natural = 1, self.as_shape(natural, (prod(shape[:2]), shape[2], 1))
            sides = ((0, 0), padding[axis]) if place == 1 else (padding[axis], (0, 0))
            made = self.node(name, Pad(padding=sides), natural)
            x = self._with_axis(made, x, axis, x.shape[axis] + sum(padding[axis]))
        return x

    def expand(self, name: str, x: Value, shape: Sequence[int]) -> Value:
        """Repeated along axes where it has one number (broadcast_to); axes are added in front."""
        shape = tuple(shape)
        x = Value(x.name, x.stored, ((),) * (len(shape) - len(x.axes)) + x.axes)
        for axis, size in enumerate(shape):
            if x.shape[axis] == size:
                continue
            if x.shape[axis] != 1:
                raise ValueError(f"an input of shape {x.shape} cannot be repeated to {shape}")
            # A map whose width of 1 becomes `size`.
            order = (0, 2, 3, 1) if len(shape) == 4 else tuple(range(len(shape)))
            earlier = [factor for i in order[: order.index(axis)] for factor in x.axes[i]]
            at = 0
            while at < len(x.stored) and x.stored[at] in earlier:
                at += 1
            before, after = (prod(f.size for f in part) for part in (x.stored[:at], x.stored[at:]))
            source = self.as_shape(x.name, (before, 1, after))
            op = Resize2d(size=(before, size), mode="nearest", align="asymmetric")
            new = (Factor(size),)
            axes = tuple(new if i == axis else each for i, each in enumerate(x.axes))
            x = Value(self.node(name, op, source), (*x.stored[:at], *new, *x.stored[at:]), axes)
        return x

    def binary(self, name: str, kind: str, a: Value, b: Value) -> Value:
        """`add`, `subtract` or `multiply` two computed values; either may have one number where the other has more."""
        rank = max(len(a.axes), len(b.axes))
        a, b = (Value(x.name, x.stored, ((),) * (rank - len(x.axes)) + x.axes) for x in (a, b))
        shape = tuple(max(sizes) for sizes in zip(a.shape, b.shape, strict=True))
        if any(size not in (1, full) for x in (a, b) for size, full in zip(x.shape, shape, strict=True)):
            raise ValueError(f"its inputs have shapes {a.shape} and {b.shape}; sizes must be equal or 1")
        large, small = (a, b) if prod(a.shape) >= prod(b.shape) else (b, a)
        if large.shape != shape:
            large = self.expand(name, large, shape)
        large, small = self.split_alike([large, small])
        wanted = [
            small.axes[i][k]
            for factor in large.stored
            for i, factors in enumerate(large.axes)
            if small.axes[i] and factor in factors
            for k in [factors.index(factor)]
        ]
        small = self.stored_as(small, wanted)
        last = prod(small.shape)
        suffix = large.stored[len(large.stored) - len(wanted) :]
        if large.shape == small.shape:
            left, right = large.name, self.as_shape(small.name, self.shapes[large.name])
        elif all(factor in large.axes[i] for factor, i in zip(suffix, self._axes_of(small, wanted), strict=True)):
            left, right = large.name, self.as_shape(small.name, (last,))
            if len(self.shapes[left]) != 3 or self.shapes[left][2] != last:
                left = self.as_shape(left, (1, prod(shape) // last, last))
        else:
            small = self.expand(name, small, shape)
            return self.binary(name, kind, large, small) if large is a else self.binary(name, kind, small, large)
        first_is_large = prod(a.shape) >= prod(b.shape)
        inputs = (left, right) if first_is_large else (right, left)
        return Value(self.node(name, BINARY[kind](), *inputs), large.stored, large.axes)

    def _axes_of(self, value: Value, factors: Sequence[Factor]) -> list[int]:
        return [i for factor in factors for i, axis in enumerate(value.axes) if factor in axis]

    def scale(
        self, name: str, x: Value, weight: np.ndarray | float = 1.0, bias: np.ndarray | float | None = None
    ) -> Value:
        """x * weight + bias with constants, which are repeated over x as the framework does."""
        weight = np.asarray(weight, np.float32)
        given = [weight] if bias is None else [weight, np.asarray(bias, np.float32)]
        shape = np.broadcast_shapes(x.shape, *(array.shape for array in given))
        x = self.expand(name, x, shape)
        memory = [self._in_memory_order(x, array) for array in given]
        varies = [axis for axis in range(len(x.stored)) for array in memory if array.shape[axis] > 1]
        first = min(varies, default=len(x.stored))
        n = prod(factor.size for factor in x.stored[first:])
        last = self.shapes[x.name][-1]
        source = x.name
        if n < last and last % n == 0:
            n = last
            first = next(i for i in range(len(x.stored) + 1) if prod(f.size for f in x.stored[i:]) <= last)
            if prod(factor.size for factor in x.stored[first:]) != last:
                first, n = 0, prod(x.shape)
        if self.shapes[source][-1] != n:
            rows = prod(x.shape) // n
            source = self.as_shape(source, (1, rows, n) if rows > 1 else (n,))
        sizes = [factor.size for factor in x.stored[first:]]
        vectors = [np.broadcast_to(array.reshape(array.shape[first:]), sizes).reshape(-1) for array in memory]
        arrays = dict(zip(("weight", "bias"), vectors, strict=False))
        return Value(self.node(name, Scale(bias=bias is not None), source, weights=arrays), x.stored, x.axes)

    def _in_memory_order(self, x: Value, array: np.ndarray) -> np.ndarray:
        """An array that is repeated over x, with one axis for each stored factor: of size 1 where it does not vary."""
        array = array.reshape((1,) * (len(x.axes) - array.ndim) + array.shape)
        sizes: list[int] = []
        for length, axis in zip(array.shape, x.axes, strict=True):
            sizes += [factor.size if length > 1 else 1 for factor in axis]
        return array.reshape(sizes).transpose([x.factors.index(factor) for factor in x.stored])

    def softmax(self, name: str, x: Value, axis: int) -> Value:
        """Along one axis."""
        axis %= len(x.axes)
        source, _ = self._last(x, axis)
        size = x.shape[axis]
        if self.shapes[source][-1] != size:
            rows = prod(x.shape) // size
            source = self.as_shape(source, (rows, size) if rows > 1 else (size,))
        return Value(self.node(name, Softmax(), source), self._stored_last(x, axis), x.axes)
