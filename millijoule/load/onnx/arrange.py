"""ONNX's operators that combine, cut, move and resize values, and those that only say how."""

from __future__ import annotations

from math import prod
from typing import Literal

import numpy as np

from millijoule.graph import Operator
from millijoule.load.onnx.network import OnnxNetwork, pads
from millijoule.load.onnx.patterns import distances, normalised, product, quotient, shortest
from millijoule.load.onnx.resize import resize
from millijoule.ops import AddNumber, Factor, MultiplyNumber


def _elementwise(network: OnnxNetwork, kind: Literal["add", "multiply"]) -> None:
    build, name = network.build, network.name
    for constant, slot in ((0, 1), (1, 0)):
        if network.is_constant(constant):
            array = network.constant(constant)
            x = network.value(slot)
            if network.is_int8 and array.size == 1:
                network.give(build.activation(name, _with_number(network, kind, constant), x))
                return
            network.give(build.scale(name, x, 1.0, array) if kind == "add" else build.scale(name, x, array))
            return
    network.give(build.binary(name, kind, network.value(0), network.value(1)))


def _with_number(network: OnnxNetwork, kind: Literal["add", "multiply"], slot: int) -> Operator:
    """A sum or product of integers and one number: its steps, or, if it has none, the number itself."""
    integers = network.integers.get(network.input_name(slot))
    if integers is not None:
        steps = int(integers.array.reshape(-1)[0]) - integers.quantization.zero_point
        return (AddNumber if kind == "add" else MultiplyNumber)(scale=float(integers.quantization.scale), steps=steps)
    number = shortest(network.constant(slot))
    return (
        Factor(factor=number) if kind == "multiply" else AddNumber(scale=abs(number) or 1.0, steps=int(np.sign(number)))
    )


def _add(network: OnnxNetwork) -> None:
    """Of two values, or of a value and a constant, repeated as numpy does."""
    _elementwise(network, "add")


def _mul(network: OnnxNetwork) -> None:
    """Of two values, or of a value and a constant, repeated as numpy does."""
    pattern = product(network, network.input_name(0), network.input_name(1))
    if pattern is not None and pattern[1] in network.values:
        network.give(network.build.activation(network.name, pattern[0], network.values[pattern[1]]))
    else:
        _elementwise(network, "multiply")


def _sub(network: OnnxNetwork) -> None:
    """Of two values, or of a value and a constant, repeated as numpy does."""
    build, name = network.build, network.name
    if network.is_constant(1):
        network.give(build.scale(name, network.value(0), 1.0, -network.constant(1)))
    elif network.is_constant(0):
        network.give(build.scale(name, network.value(1), -1.0, network.constant(0)))
    else:
        network.give(build.binary(name, "subtract", network.value(0), network.value(1)))


def _div(network: OnnxNetwork) -> None:
    """By a constant."""
    a, b = network.input_name(0), network.input_name(1)
    pattern = quotient(network, a, b)
    if pattern is not None and pattern[1] in network.values:
        network.give(network.build.activation(network.name, pattern[0], network.values[pattern[1]]))
        return
    if (value := normalised(network, a, b)) is not None:
        network.give(value)
        return
    divisor = network.constant(1)
    if divisor.dtype.kind != "f" or not divisor.all():
        network.unknown("it divides by whole numbers or by 0")
    network.give(network.build.scale(network.name, network.value(0), 1 / divisor.astype(np.float64)))


def _neg(network: OnnxNetwork) -> None:
    """-x."""
    network.give(network.build.scale(network.name, network.value(), -1.0))


def _pow(network: OnnxNetwork) -> None:
    """To the power of 1 or 2."""
    power, x = network.constant(1).reshape(-1), network.value()
    if power.size != 1 or power[0] not in (1, 2):
        network.unknown(f"it raises to the power of {power[:3].tolist()}; 1 and 2 are known")
    network.give(x if power[0] == 1 else network.build.binary(network.name, "multiply", x, x))


def _sum(network: OnnxNetwork) -> None:
    """Of any number of values."""
    values = [network.value(slot) for slot in range(len(network.node.input))]
    total = values[0]
    for value in values[1:]:
        total = network.build.binary(network.name, "add", total, value)
    network.give(total)


def _identity(network: OnnxNetwork) -> None:
    """Left out: identity, dropout, casts between floats."""
    if network.node.op_type == "Cast" and network.attribute("to") not in (1, 10, 11, 16):
        network.unknown("it turns floats into whole numbers")
    network.give(network.value())


def _flatten(network: OnnxNetwork) -> None:
    """Moves nothing."""
    x = network.value()
    axis = network.attribute("axis", 1)
    axis = axis + len(x.axes) if axis < 0 else axis
    network.give(network.build.reshape(x, (prod(x.shape[:axis]), prod(x.shape[axis:]))))


def _reshape(network: OnnxNetwork) -> None:
    """To any shape that is known; moves nothing."""
    x = network.value()
    shape = network.ints("shape", 1)
    if shape is None:
        network.fail("has no shape")
    if not network.attribute("allowzero", 0):
        if any(size == 0 and axis >= len(x.axes) for axis, size in enumerate(shape)):
            network.fail(f"shape {shape} keeps an axis that the input, {x.shape}, does not have")
        shape = [x.shape[axis] if size == 0 else size for axis, size in enumerate(shape)]
    if shape.count(-1) == 1:
        known = prod(size for size in shape if size != -1)
        if known < 1 or prod(x.shape) % known:
            network.fail(f"an input of shape {x.shape} cannot have the shape {shape}")
        shape = [prod(x.shape) // known if size == -1 else size for size in shape]
    network.give(network.build.reshape(x, shape))


def _squeeze(network: OnnxNetwork) -> None:
    """Moves nothing."""
    x = network.value()
    axes = network.ints("axes", 1)
    gone = {network.axis(axis, len(x.axes)) for axis in axes} if axes is not None else set(range(len(x.axes)))
    if axes is not None and any(x.shape[axis] != 1 for axis in gone):
        network.fail(f"axes {axes} of an input of shape {x.shape} do not all have size 1")
    shape = [size for axis, size in enumerate(x.shape) if axis not in gone or size != 1]
    network.give(network.build.reshape(x, shape))


def _unsqueeze(network: OnnxNetwork) -> None:
    """Moves nothing."""
    x = network.value()
    axes = network.ints("axes", 1) or []
    rank = len(x.axes) + len(axes)
    new = {network.axis(axis, rank) for axis in axes}
    sizes = iter(x.shape)
    network.give(network.build.reshape(x, [1 if axis in new else next(sizes) for axis in range(rank)]))


def _transpose(network: OnnxNetwork) -> None:
    """Moves nothing until an operator needs it."""
    x = network.value()
    network.give(network.build.transpose(x, network.ints("perm") or list(reversed(range(len(x.axes))))))


def _concat(network: OnnxNetwork) -> None:
    """Of computed values along any axis."""
    values = [network.value(slot) for slot in range(len(network.node.input))]
    axis = network.axis(network.attribute("axis", 1), len(values[0].axes))
    network.give(network.build.concat(network.name, values, axis))


def _split(network: OnnxNetwork) -> None:
    """Along any axis into parts of equal or given sizes."""
    x = network.value()
    axis = network.axis(network.attribute("axis", 0), len(x.axes))
    sizes = network.ints("split", 1)
    if sizes is None:
        count = network.attribute("num_outputs", len(network.node.output))
        part = -(-x.shape[axis] // max(count, 1))
        sizes = [min(part, x.shape[axis] - i * part) for i in range(count)]
    if min(sizes, default=0) < 1 or len(sizes) != len(network.node.output):
        network.fail(f"cannot split {x.shape[axis]} along axis {axis} into {len(network.node.output)} parts of {sizes}")
    network.give(*network.build.split(network.name, x, sizes, axis))


def _slice(network: OnnxNetwork) -> None:
    """Along any axes, with steps forwards."""
    x = network.value()
    starts, ends = network.ints("starts", 1), network.ints("ends", 2)
    if starts is None or ends is None or len(starts) != len(ends):
        network.fail("names no starts and ends, or not as many of them")
    axes = network.ints("axes", 3) or list(range(len(starts)))
    steps = network.ints("steps", 4) or [1] * len(starts)
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        axis = network.axis(axis, len(x.axes))
        if step < 1:
            network.unknown(f"it steps by {step}")
        begin, stop, _ = slice(start, end, step).indices(x.shape[axis])
        x = network.build.slice(network.name, x, axis, begin, stop, step)
    network.give(x)


def _gather(network: OnnxNetwork) -> None:
    """Of constant positions along one axis: slices."""
    x = network.value()
    axis = network.axis(network.attribute("axis", 0), len(x.axes))
    indices = network.constant(1)
    size = x.shape[axis]
    if indices.ndim > 1 or indices.size > 64 or not indices.size:
        network.unknown(f"it picks {indices.size} numbers in {indices.ndim} axes; up to 64 in a row are known")
    positions = [int(index) + size if index < 0 else int(index) for index in indices.reshape(-1)]
    if min(positions) < 0 or max(positions) >= size:
        network.fail(f"picks {positions} of {size} along axis {axis}")
    first = positions[0]
    if positions == list(range(first, first + len(positions))):
        y = network.build.slice(network.name, x, axis, first, first + len(positions))
    else:
        parts = [network.build.slice(network.name, x, axis, at, at + 1) for at in positions]
        y = network.build.concat(network.name, parts, axis)
    network.give(y if indices.ndim else network.build.reshape(y, (*x.shape[:axis], *x.shape[axis + 1 :])))


def _pad(network: OnnxNetwork) -> None:
    """With zeros along any axes; a negative size cuts."""
    x = network.value()
    sizes = network.ints("pads" if network.opset >= 2 else "paddings", 1)
    mode = network.attribute("mode", "constant")
    number = network.attribute("value", 0.0) if network.opset < 11 else network.optional(2)
    if mode != "constant" or (number is not None and np.any(np.asarray(number) != 0)):
        network.unknown(f"it pads in mode '{mode}' or with another number than 0")
    axes = network.ints("axes", 3) or list(range(len(x.axes)))
    if sizes is None or len(sizes) != 2 * len(axes):
        network.fail(f"pads are {sizes}; two for each of {len(axes)} axes are needed")
    padding = [(0, 0)] * len(x.axes)
    for axis, (before, after) in zip(axes, pads(sizes), strict=True):
        axis = network.axis(axis, len(x.axes))
        if min(before, after) < 0:
            length = x.shape[axis]
            x = network.build.slice(network.name, x, axis, max(-before, 0), length - max(-after, 0))
        padding[axis] = (max(before, 0), max(after, 0))
    network.give(network.build.pad(network.name, x, padding) if any(map(any, padding)) else x)


def _expand(network: OnnxNetwork) -> None:
    """Repeated as numpy does, to a shape that is known."""
    x = network.value()
    shape = network.ints("shape", 1) or []
    network.give(network.build.expand(network.name, x, np.broadcast_shapes(x.shape, tuple(shape))))


def _tile(network: OnnxNetwork) -> None:
    """Up to 64 times along each axis."""
    x = network.value()
    for axis, count in enumerate(network.ints("repeats", 1) or []):
        if not 1 <= count <= 64:
            network.unknown(f"it repeats {count} times")
        if count > 1:
            x = network.build.concat(network.name, [x] * count, network.axis(axis, len(x.axes)))
    network.give(x)


def _depth_to_space(network: OnnxNetwork) -> None:
    """Modes DCR and CRD."""
    mode = network.attribute("mode", "DCR")
    order: Literal["depth", "channel"] = "channel" if mode == "CRD" else "depth"
    block = network.attribute("blocksize", 1)
    network.give(network.build.depth_to_space(network.name, network.value(), block, order))


def _space_to_depth(network: OnnxNetwork) -> None:
    """The block's position counts slowest in the channel."""
    block = network.attribute("blocksize", 1)
    network.give(network.build.space_to_depth(network.name, network.value(), block, "depth"))


def _reduce(network: OnnxNetwork, kind: Literal["mean", "max", "sum"]) -> None:
    x = network.value()
    axes = network.ints("axes", 1)
    if not axes:
        if network.attribute("noop_with_empty_axes", 0):
            network.give(x)
            return
        axes = list(range(len(x.axes)))
    axes = [network.axis(axis, len(x.axes)) for axis in axes]
    keep = bool(network.attribute("keepdims", 1))
    network.give(network.build.reduce(network.name, x, axes, kind, keep=keep))


def _reduce_mean(network: OnnxNetwork) -> None:
    """Over any axes."""
    _reduce(network, "mean")


def _reduce_max(network: OnnxNetwork) -> None:
    """Over any axes."""
    _reduce(network, "max")


def _reduce_sum_square(network: OnnxNetwork) -> None:
    """Of a row less each of several constant ones: a radial basis layer."""
    found = distances(network, network.input_name(0))
    axes = network.ints("axes", 1)
    if found is None or axes not in ([2], [-1]) or network.attribute("keepdims", 1):
        network.unknown("it is no distance between a row of numbers and constant ones")
    x, codes = found
    network.give(network.build.radial_basis(network.name, network.values[x], codes))


def _reduce_sum(network: OnnxNetwork) -> None:
    """Over any axes."""
    _reduce(network, "sum")


def _softmax(network: OnnxNetwork) -> None:
    """Along one axis; up to opset 12, over all axes from it on."""
    x = network.value()
    axis = network.axis(network.attribute("axis", 1 if network.opset < 13 else -1), len(x.axes))
    if network.opset < 13 and prod(x.shape[axis + 1 :]) > 1:
        flat = network.build.reshape(x, (prod(x.shape[:axis]), prod(x.shape[axis:])))
        network.give(network.build.reshape(network.build.softmax(network.name, flat, 1), x.shape))
    else:
        network.give(network.build.softmax(network.name, x, axis))


ARRANGEMENTS = {
    "Add": _add,
    "Cast": _identity,
    "Concat": _concat,
    "DepthToSpace": _depth_to_space,
    "Div": _div,
    "Dropout": _identity,
    "Expand": _expand,
    "Flatten": _flatten,
    "Gather": _gather,
    "Identity": _identity,
    "Mul": _mul,
    "Neg": _neg,
    "Pad": _pad,
    "Pow": _pow,
    "ReduceMax": _reduce_max,
    "ReduceMean": _reduce_mean,
    "ReduceSum": _reduce_sum,
    "ReduceSumSquare": _reduce_sum_square,
    "Reshape": _reshape,
    "Resize": resize,
    "Slice": _slice,
    "Softmax": _softmax,
    "SpaceToDepth": _space_to_depth,
    "Split": _split,
    "Squeeze": _squeeze,
    "Sub": _sub,
    "Sum": _sum,
    "Tile": _tile,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
    "Upsample": resize,
}
