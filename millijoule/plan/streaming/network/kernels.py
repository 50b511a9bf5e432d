"""The kernel calls with which a step fires, and the working memory that they need."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from millijoule import ops
from millijoule.errors import ModelError
from millijoule.graph import Node, Shape
from millijoule.model import Model, OperatorQuantization
from millijoule.ops.base import Call, Window
from millijoule.plan.streaming.network.rows import (
    ROW_BY_ROW,
    WINDOWS,
    WORD_BYTES,
    Grain,
    Rows,
    Step,
    columns_under,
    window_of_slice,
    working_memory,
)
from millijoule.plan.streaming.network.rows import rows as rows_of
from millijoule.target import Target

LEVELS = 4
"""How deep loops of actions may be nested in emitted C."""


@dataclass(frozen=True)
class Firing:
    """What a step calls when it fires.

    kind: `window`: each call computes one row of the output from the rows under the kernel, NULL outside the map;
    `row`: from one row of each input; `pixel`: the same for one pixel, a window being a map as wide as it is, or
    narrower by what lies outside of the map; a line of it that the end of a ring divides is copied into the first
    `copied_bytes` of the working memory; `taps`: one pixel from each pixel under the kernel, NULL outside the map;
    `sums`: the call adds one row of the input to sums, and the last one writes the output; `whole`: the first firing
    computes all rows from stored inputs. window: over the whole map, of a kernel that has one.
    """

    kind: Literal["window", "row", "pixel", "taps", "sums", "whole"]
    calls: tuple[Call, ...]
    copied_bytes: int = 0
    window: Window | None = None

    @property
    def scratch_offset(self) -> int:
        """Where the calls' own working memory begins, in whole words."""
        return -(-self.copied_bytes // WORD_BYTES) * WORD_BYTES

    @property
    def own_bytes(self) -> int:
        """The calls' own working memory."""
        return max((call.scratch_bytes for call in self.calls), default=0)

    @property
    def scratch_bytes(self) -> int:
        return working_memory(self.copied_bytes, self.own_bytes)

    @property
    def written_bytes(self) -> int:
        """Of the working memory, up to the last byte that is not only read."""
        own = max((call.scratch_bytes - call.only_read_bytes for call in self.calls), default=0)
        return working_memory(self.copied_bytes, own)


def firing(model: Model, rows: Rows, step: Step, target: Target, rings: Mapping[str, int] | None = None) -> Firing:
    """The calls of a step of an int8 model. Raises ModelError if it has no int8 kernel.

    rings: value → pixels of its ring, where it has one; without them, there is room to copy the longest line.
    """
    node = model.graph.by_name[step.name]
    try:
        found = _firing(model, rows, step, node, target)
    except (ValueError, ModelError) as error:
        raise ModelError(f"node '{node.name}' ({type(node.op).__name__}): {error}") from None
    if rings is None or not found.copied_bytes or found.window is None:
        return found
    value = step.reads[0].value
    return replace(found, copied_bytes=divided_bytes(found.window, rings.get(value, 0), rows.bytes[value]))


def divided_bytes(window: Window, slots: int, pixel_bytes: int) -> int:
    """The longest line under a window that the end of a ring of so many pixels divides; 0 slots: of a stored map."""
    if not slots:
        return 0
    (top, left), (height, width) = (sides[0] for sides in window.padding), window.input
    y = np.arange(window.output[0])[:, None] * window.stride[0] + np.arange(window.kernel[0]) * window.dilation[0] - top
    x = np.arange(window.output[1]) * window.stride[1] - left
    lines, begin = np.unique(y[(y >= 0) & (y < height)]), np.maximum(x, 0)
    seen = np.minimum(x + columns_under(window), width) - begin
    divided = (lines[:, None] * width + begin) % slots + seen > slots
    return int(np.max(np.broadcast_to(seen, divided.shape)[divided], initial=0)) * pixel_bytes


def _firing(model: Model, rows: Rows, step: Step, node: Node, target: Target) -> Firing:
    op, x = node.op, model.graph.input_shapes(node)
    weights, quantization = model.node_weights(node), model.node_quantization(node)
    if step.accumulator_bytes:
        assert isinstance(op, ops.Dense | ops.GlobalAveragePool | ops.AveragePool2d)
        count = rows.count[rows.source[node.inputs[0]]]
        call = op.call_summed(x[0], count, weights=weights, quantization=quantization)
        if rows.grain == "pixel" and "width" in call.parameters:
            call = replace(call, parameters={**call.parameters, "width": 1})
        return Firing("sums", (call,))
    window = None
    if step.whole:
        target = replace(target, by_row=False)
    if not step.whole and rows.grain == "pixel":
        return _pixel(node, x, weights, quantization, target)
    if not step.whole and isinstance(op, WINDOWS):
        window = op.window(x[0])
    elif not step.whole and isinstance(op, ops.Pad):
        window = window_of_pad(op, x[0])
        op, x = replace(op, padding=((0, 0), op.padding[1])), ((1, *x[0][1:]),)
    elif not step.whole and isinstance(op, ops.Slice):
        op, x = replace(op, size=(1, *op.size[1:])), ((1, *x[0][1:]),)
    elif not step.whole and isinstance(op, ROW_BY_ROW):
        x = tuple((1, *shape[1:]) if len(shape) == 3 else shape for shape in x)
    calls = op.call(*x, weights=weights, quantization=quantization, target=target)
    if window is not None:
        return Firing("window", _named(calls, "_row"), window=window)
    return Firing("whole" if step.whole else "row", calls)


def _pixel(
    node: Node,
    x: tuple[Shape, ...],
    weights: Mapping[str, np.ndarray],
    quantization: OperatorQuantization,
    target: Target,
) -> Firing:
    op, copied, suffix, window = node.op, 0, "", None
    target = replace(target, by_pixel=True)
    if isinstance(op, WINDOWS):
        window, (height, width, channels) = op.window(x[0]), x[0]
        calls = op.call(x[0], weights=weights, quantization=quantization, target=target)
        if all(call.by_pixel for call in calls):
            return Firing("taps", _named(calls, "_pixel"), window=window)
        columns, suffix = columns_under(window), "_row"
        seen = min(columns, width)
        # Where windows reach beyond the sides of the map, the kernel must be one that pads.
        padded = int(any(window.padding[1]))
        op = replace(op, padding=(window.padding[0], (padded, 0)))
        x = ((height, max(columns - padded, 1), channels),)
        copied = seen * channels if seen > 1 else 0
    elif isinstance(op, ops.Pad):
        window, suffix = window_of_pad(op, x[0]), "_row"
        op, x = replace(op, padding=((0, 0), (0, 0))), ((1, 1, x[0][2]),)
    elif isinstance(op, ops.Slice):
        window, suffix = window_of_slice(op, x[0]), "_row"
        op, x = ops.Pad(), ((1, 1, x[0][2]),)
    else:
        x = tuple((1, 1, shape[2]) if len(shape) == 3 else shape for shape in x)
    calls = op.call(*x, weights=weights, quantization=quantization, target=target)
    return Firing("pixel", _named(calls, suffix), copied, window)


def _named(calls: tuple[Call, ...], suffix: str) -> tuple[Call, ...]:
    return tuple(replace(call, function=call.function + suffix) for call in calls)


def window_of_pad(op: ops.Pad, x: Shape) -> Window:
    return Window.over(x, (1, 1), (1, 1), (1, 1), op.padding)


def scratch_bytes(
    model: Model, targets: Mapping[str, Target], grains: Mapping[str, Grain], rings: Mapping[str, int]
) -> dict[str, int]:
    """Step → bytes of its kernel's working memory, for the steps of an int8 model that need any.

    rings: as in `firing`.
    """
    needed = {}
    for grain in set(grains.values()):
        found = rows_of(model.graph, grain)
        for step in found.steps:
            if grains[step.name] == grain:
                needed[step.name] = firing(model, found, step, targets[step.name], rings).scratch_bytes
    return {name: size for name, size in needed.items() if size}


def counted(rows: Rows, contract: str) -> dict[str, int]:
    """What is counted while the network is executed, inputs that arrive and steps: name → how far."""
    arriving = {value: rows.count[value] // rows.across[value] for value in rows.inputs if contract == "push"}
    return arriving | {step.name: step.firings for step in rows.steps}


def count_bytes(counts: Iterable[int]) -> int:
    """Bytes of a number that holds each of these."""
    most = max(counts, default=0)
    return 1 if most < 1 << 8 else 2 if most < 1 << 16 else 4


def state_bytes(rows: Rows, contract: str) -> int:
    """What emitted C remembers between two rows that arrive: the next action, loops, and counts; a C struct's bytes."""
    if contract != "push":
        return 0
    counts = counted(rows, contract).values()
    alignment = max(2, count_bytes(counts))
    size = 2 * (2 + LEVELS) + len(counts) * count_bytes(counts)
    return -(-size // alignment) * alignment


def with_kernels(model: Model, rows: Rows, targets: Mapping[str, Target], contract: str) -> Rows:
    """The rows with the state and each step's working memory; targets: step → what its kernel is chosen for."""
    steps = []
    for step in rows.steps:
        target = targets[step.name]
        fires = firing(model, rows, step, target)
        copied, size, own = fires.window if fires.copied_bytes else None, fires.scratch_bytes, fires.own_bytes
        steps.append(replace(step, target=target, scratch_bytes=size, own_bytes=own, copied=copied))
    return replace(rows, steps=tuple(steps), state_bytes=state_bytes(rows, contract))
