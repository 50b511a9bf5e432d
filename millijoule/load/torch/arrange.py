"""ATen's operators that combine, cut, move and resize values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np

from millijoule.load.channels_first import Value
from millijoule.load.torch.network import Known, TorchNetwork
from millijoule.ops.resize import Align

Sizes = Sequence[int]


def _numbers(network: TorchNetwork, x: Any) -> Any:
    """A number, or a known tensor without parameters, as numbers for constant scaling; None for all else."""
    if isinstance(x, (int, float)):
        return x
    if isinstance(x, Known) and not x.origins:
        return network.array(x)
    return None


def _add(network: TorchNetwork, a: Any, b: Any, alpha: float = 1) -> Value:
    """Of two values, repeated as torch does, or of a value and a constant."""
    for x, constant in ((a, _numbers(network, b)), (b, _numbers(network, a))):
        if constant is not None:
            return network.scaled(network.value(x), 1.0, np.multiply(constant, alpha if x is a else 1))
    if alpha != 1:
        b = network.scaled(network.value(b), alpha)
    return network.build.binary(network.name, "add", network.value(a), network.value(b))


def _subtract(network: TorchNetwork, a: Any, b: Any, alpha: float = 1) -> Value:
    """Of two values, repeated as torch does, or of a value and a constant."""
    if (constant := _numbers(network, b)) is not None:
        return network.scaled(network.value(a), 1.0, np.multiply(constant, -alpha))
    if (constant := _numbers(network, a)) is not None:
        return network.scaled(network.value(b), -alpha, constant)
    if alpha != 1:
        b = network.scaled(network.value(b), alpha)
    return network.build.binary(network.name, "subtract", network.value(a), network.value(b))


def _subtract_from(network: TorchNetwork, a: Any, b: Any, alpha: float = 1) -> Value:
    """A value from a number."""
    return _subtract(network, b, a, alpha)


def _multiply(network: TorchNetwork, a: Any, b: Any) -> Value:
    """Of two values, repeated as torch does, or of a value and a constant."""
    for x, other in ((a, b), (b, a)):
        if (constant := _numbers(network, other)) is not None:
            return network.scaled(network.value(x), constant)
        if isinstance(other, Known) and isinstance(x, Value) and _per_channel(x, other):
            return network.layer(network.build.scale(network.name, x, network.array(other)), other)
    return network.build.binary(network.name, "multiply", network.value(a), network.value(b))


def _per_channel(x: Value, other: Known) -> bool:
    """Whether a parameter has one number for each channel of x, along the axis in which channels lie."""
    shape = tuple(other.tensor.shape)
    shape = (1,) * (len(x.shape) - len(shape)) + shape
    axis = 1 if len(x.shape) == 4 else len(x.shape) - 1
    inner = bool(x.stored) and x.axes[axis][-1:] == x.stored[-1:]
    return inner and prod(shape) == shape[axis] == x.shape[axis]


def _divide(network: TorchNetwork, a: Any, b: Any, rounding: str | None = None) -> Value:
    """By a constant."""
    constant = _numbers(network, b)
    if constant is None or rounding is not None or not isinstance(a, Value):
        network.unknown("it divides by a computed value, or rounds")
    with np.errstate(divide="ignore"):
        return network.scaled(network.value(a), 1 / np.asarray(constant, np.float64))


def _negative(network: TorchNetwork, x: Any) -> Value:
    """-x."""
    return network.scaled(network.value(x), -1.0)


def _power(network: TorchNetwork, x: Any, exponent: Any) -> Value:
    """Of 1 and 2."""
    x = network.value(x)
    if exponent not in (1, 2):
        network.unknown(f"its exponent is {exponent}; 1 and 2 are known")
    return x if exponent == 1 else network.build.binary(network.name, "multiply", x, x)


def _einsum(network: TorchNetwork, equation: str, operands: Sequence[Any], *_: Any) -> Value:
    """Of two values, where it is a product of matrices: no letter twice in one operand."""
    inputs, _arrow, output = equation.replace(" ", "").partition("->")
    left, comma, right = inputs.partition(",")
    if not comma or "," in right or not output or any(len(set(text)) != len(text) for text in (left, right, output)):
        network.unknown(f"its equation is '{equation}'")
    batch = [x for x in left if x in right and x in output]
    inner = [x for x in left if x in right and x not in output]
    rows = [x for x in left if x not in right]
    columns = [x for x in right if x not in left]
    if any(x not in output for x in (*rows, *columns)):
        network.unknown(f"its equation is '{equation}'")
    size = dict(zip(left + right, (*_shape(operands[0]), *_shape(operands[1])), strict=True))
    sizes = [prod(size[x] for x in group) for group in (batch, rows, inner, columns)]

    def laid(operand: Any, text: str, order: Sequence[str], shape: Sizes) -> Any:
        if isinstance(operand, Known):
            tensor = operand.tensor.permute([text.index(x) for x in order])
            return Known(tensor.reshape(tuple(shape)), operand.origins)
        moved = network.build.transpose(network.value(operand), [text.index(x) for x in order])
        return network.build.reshape(moved, shape)

    a, b = operands
    if isinstance(b, Known) and not batch:
        one = laid(a, left, [*rows, *inner], (sizes[1], sizes[2]))
        weight = laid(b, right, [*columns, *inner], (sizes[3], sizes[2]))
        made = network.layer(network.build.dense(network.name, network.value(one), network.array(weight)), weight)
    else:
        one = laid(a, left, [*batch, *rows, *inner], (sizes[0], sizes[1], sizes[2]))
        other = laid(b, right, [*batch, *inner, *columns], (sizes[0], sizes[2], sizes[3]))
        made = network.build.matmul(network.name, network.value(one), network.value(other))
    found = [*batch, *rows, *columns]
    split = network.build.reshape(made, [size[x] for x in found])
    return network.build.transpose(split, [found.index(x) for x in output])


def _shape(operand: Any) -> Sequence[int]:
    return tuple(operand.tensor.shape) if isinstance(operand, Known) else operand.shape


def _same(network: TorchNetwork, x: Any, *_: Any) -> Value:
    """Left out: in inference, or as nothing else lies in this memory, it changes nothing."""
    return network.value(x)


def _dropout(network: TorchNetwork, x: Any, rate: float, training: bool, *_: Any) -> Value:
    """Left out, as in inference."""
    if training:
        network.unknown("it is in training mode: call module.eval()")
    return network.value(x)


def _as_stated(network: TorchNetwork, x: Any, *_: Any) -> Value:
    """Moves nothing."""
    return network.build.reshape(network.value(x), network.shape())


def _permute(network: TorchNetwork, x: Any, order: Sizes) -> Value:
    """Moves nothing until an operator needs another order."""
    x = network.value(x)
    return network.build.transpose(x, [axis % len(x.shape) for axis in order])


def _transpose(network: TorchNetwork, x: Any, a: int = 0, b: int = 1) -> Value:
    """Moves nothing until an operator needs another order."""
    x = network.value(x)
    order = list(range(len(x.shape)))
    order[a], order[b] = order[b], order[a]
    return network.build.transpose(x, order)


def _cat(network: TorchNetwork, tensors: Sequence[Any], axis: int = 0) -> Value:
    """Along any axis."""
    return network.build.concat(network.name, [network.value(x) for x in tensors], axis)


def _stack(network: TorchNetwork, tensors: Sequence[Any], axis: int = 0) -> Value:
    """Along a new axis."""
    parts = []
    for x in tensors:
        x = network.value(x)
        at = axis % (len(x.shape) + 1)
        parts.append(network.build.reshape(x, (*x.shape[:at], 1, *x.shape[at:])))
    return network.build.concat(network.name, parts, axis)


def _chunk(network: TorchNetwork, x: Any, count: int, axis: int = 0) -> list[Value]:
    """Parts of equal size, the last one smaller."""
    x = network.value(x)
    return _split(network, x, -(-x.shape[axis] // count), axis)


def _split(network: TorchNetwork, x: Any, size: int | Sizes, axis: int = 0) -> list[Value]:
    """Parts of one size, or of given ones."""
    x = network.value(x)
    total = x.shape[axis]
    sizes = [min(size, total - at) for at in range(0, total, size)] if isinstance(size, int) else list(size)
    return network.build.split(network.name, x, sizes, axis)


def _unbind(network: TorchNetwork, x: Any, axis: int = 0) -> list[Value]:
    """Each position along an axis."""
    x = network.value(x)
    return [_select(network, x, axis, index) for index in range(x.shape[axis])]


def _select(network: TorchNetwork, x: Any, axis: int, index: int) -> Value:
    """One position along an axis."""
    x = network.value(x)
    axis, index = axis % len(x.shape), index % x.shape[axis]
    part = network.build.slice(network.name, x, axis, index, index + 1)
    return network.build.reshape(part, (*x.shape[:axis], *x.shape[axis + 1 :]))


def _slice(network: TorchNetwork, x: Any, axis: int, start: int | None, end: int | None, step: int) -> Value:
    """Any start, end and step along an axis."""
    x = network.value(x)
    start, end, step = slice(start, end, step).indices(x.shape[axis])
    return network.build.slice(network.name, x, axis, start, end, step)


def _pad(network: TorchNetwork, x: Any, sides: Sizes, mode: str = "constant", number: float | None = None) -> Value:
    """Zeros along any axes; negative sizes cut."""
    if not isinstance(mode, str):
        mode, number = "constant", mode
    x = network.value(x)
    if mode != "constant" or number not in (None, 0):
        network.unknown(f"it pads in mode '{mode}' with {number}; zeros are known")
    padding = [(0, 0)] * len(x.shape)
    for index in range(len(sides) // 2):
        axis = len(x.shape) - 1 - index
        before, after = sides[2 * index], sides[2 * index + 1]
        if before < 0 or after < 0:
            length = x.shape[axis]
            x = network.build.slice(network.name, x, axis, max(-before, 0), length - max(-after, 0))
        padding[axis] = (max(before, 0), max(after, 0))
    return network.build.pad(network.name, x, padding) if any(map(any, padding)) else x


def _expand(network: TorchNetwork, x: Any, *_: Any) -> Value:
    """Repeated where an axis has one number."""
    return network.build.expand(network.name, network.value(x), network.shape())


def _repeat(network: TorchNetwork, x: Any, counts: Sizes) -> Value:
    """Up to 64 times along each axis."""
    x = network.value(x)
    x = network.build.reshape(x, (1,) * (len(counts) - len(x.shape)) + x.shape)
    for axis, count in enumerate(counts):
        if not 1 <= count <= 64:
            network.unknown(f"it repeats {count} times")
        x = network.build.concat(network.name, [x] * count, axis)
    return x


def _roll(network: TorchNetwork, x: Any, shifts: Sizes, axes: Sizes) -> Value:
    """Along given axes: two slices, changed over."""
    x = network.value(x)
    if not axes:
        network.unknown("it rolls over all axes at once")
    for shift, axis in zip(shifts, axes, strict=True):
        size = x.shape[axis]
        at = -shift % size
        if at:
            parts = [network.build.slice(f"{network.name}.part", x, axis, *ends) for ends in ((at, size), (0, at))]
            x = network.build.concat(network.name, parts, axis)
    return x


def _reduce(network: TorchNetwork, x: Any, axes: Any, keep: bool, kind: Any) -> Value:
    x = network.value(x)
    axes = list(range(len(x.shape))) if axes is None or axes == [] else [axes] if isinstance(axes, int) else list(axes)
    return network.build.reduce(network.name, x, axes, kind, keep=keep)


def _mean(network: TorchNetwork, x: Any, axes: Any = None, keep: bool = False, *_: Any) -> Value:
    """Over any axes."""
    return _reduce(network, x, axes if not _is_type(axes) else None, keep is True, "mean")


def _sum(network: TorchNetwork, x: Any, axes: Any = None, keep: bool = False, *_: Any) -> Value:
    """Over any axes."""
    return _reduce(network, x, axes if not _is_type(axes) else None, keep is True, "sum")


def _largest(network: TorchNetwork, x: Any, axes: Any = None, keep: bool = False) -> Value:
    """Over any axes."""
    return _reduce(network, x, axes, keep, "max")


def _max(network: TorchNetwork, x: Any, axis: Any = None, keep: bool = False) -> Any:
    """Over all axes, or over one; the indices are not known."""
    if isinstance(axis, (Value, Known)):
        network.unknown("it compares two values")
    found = _reduce(network, x, axis, keep, "max")
    return found if axis is None else [found, None]


def _is_type(x: Any) -> bool:
    """Whether an argument is a torch.dtype: `mean(x, dtype=…)` has it where `mean.dim` has the axes."""
    return type(x).__name__ == "dtype"


def _softmax(network: TorchNetwork, x: Any, axis: int, *_: Any) -> Value:
    """Along one axis."""
    return network.build.softmax(network.name, network.value(x), axis)


def _nearest(network: TorchNetwork, x: Any, *_: Any) -> Value:
    """To any size."""
    x = network.value(x)
    return network.build.resize(network.name, x, network.shape()[2:], "nearest", "asymmetric")


def _nearest_exact(network: TorchNetwork, x: Any, *_: Any) -> Value:
    """To any size."""
    x = network.value(x)
    return network.build.resize(network.name, x, network.shape()[2:], "nearest", "half_pixel")


def _bilinear(network: TorchNetwork, x: Any, size: Any, corners: bool, *_: Any) -> Value:
    """To any size, corners aligned or not."""
    x = network.value(x)
    align: Align = "corners" if corners else "half_pixel"
    return network.build.resize(network.name, x, network.shape()[2:], "bilinear", align)


def _pixel_shuffle(network: TorchNetwork, x: Any, block: int) -> Value:
    """Channels into squares of positions."""
    return network.build.depth_to_space(network.name, network.value(x), block, "channel")


def _pixel_unshuffle(network: TorchNetwork, x: Any, block: int) -> Value:
    """Squares of positions into channels."""
    return network.build.space_to_depth(network.name, network.value(x), block, "channel")


def _channel_shuffle(network: TorchNetwork, x: Any, groups: int) -> Value:
    """Groups of channels dealt out in turn."""
    x = network.value(x)
    _, channels, *rest = x.shape
    split = network.build.reshape(x, (1, groups, channels // groups, *rest))
    order = (0, 2, 1, *range(3, 3 + len(rest)))
    return network.build.reshape(network.build.transpose(split, order), x.shape)


ARRANGEMENTS: dict[str, Callable[..., Any]] = {
    "_softmax": _softmax,
    "_to_copy": _same,
    "_unsafe_view": _as_stated,
    "add": _add,
    "alias": _same,
    "amax": _largest,
    "cat": _cat,
    "channel_shuffle": _channel_shuffle,
    "chunk": _chunk,
    "clone": _same,
    "contiguous": _same,
    "detach": _same,
    "div": _divide,
    "dropout": _dropout,
    "einsum": _einsum,
    "expand": _expand,
    "expand_as": _expand,
    "feature_dropout": _dropout,
    "flatten": _as_stated,
    "lift_fresh_copy": _same,
    "max": _max,
    "mean": _mean,
    "mul": _multiply,
    "native_channel_shuffle": _channel_shuffle,
    "neg": _negative,
    "pad": _pad,
    "constant_pad_nd": _pad,
    "permute": _permute,
    "pixel_shuffle": _pixel_shuffle,
    "pixel_unshuffle": _pixel_unshuffle,
    "pow": _power,
    "repeat": _repeat,
    "reshape": _as_stated,
    "roll": _roll,
    "rsub": _subtract_from,
    "select": _select,
    "slice": _slice,
    "softmax": _softmax,
    "split": _split,
    "split_with_sizes": _split,
    "squeeze": _as_stated,
    "stack": _stack,
    "sub": _subtract,
    "sum": _sum,
    "swapaxes": _transpose,
    "t": _transpose,
    "to": _same,
    "transpose": _transpose,
    "unbind": _unbind,
    "unflatten": _as_stated,
    "unsqueeze": _as_stated,
    "upsample_bilinear2d": _bilinear,
    "upsample_nearest2d": _nearest,
    "_upsample_nearest_exact2d": _nearest_exact,
    "view": _as_stated,
}
