"""Which channels of a network can only go together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from math import gcd, prod

import numpy as np

from millijoule.graph import Graph, Node, Shape
from millijoule.ops import (
    AveragePool2d,
    BatchNorm,
    ChannelShuffle,
    Concat,
    Dense,
    Dropout,
    Flatten,
    GlobalAveragePool,
    GlobalMaxPool,
    LocalResponseNorm,
    MaxPool2d,
    Mean,
    Pad,
    PRelu,
    Reshape,
    Resize2d,
    Scale,
    Slice,
    Subsample2d,
)
from millijoule.ops.activation import Unary
from millijoule.ops.conv import Convolution
from millijoule.ops.elementwise import Add, Multiply, Subtract

CHANNEL_BY_CHANNEL = (
    *(Unary, PRelu, BatchNorm, Scale, Dropout, Resize2d, LocalResponseNorm),
    *(MaxPool2d, AveragePool2d, GlobalAveragePool, GlobalMaxPool, Subsample2d),
)
"""Operators whose output has the channels of the input, each made of its own (a local response norm's nearly so)."""


@dataclass(frozen=True, eq=False)
class Channels:
    """The channels of every value, as units that can only go together.

    units: by value, the unit of each channel (the last axis). fixed: (number of units,), those that must stay.
    """

    units: dict[str, np.ndarray]
    fixed: np.ndarray

    @cached_property
    def layers(self) -> list[Layer]:
        """The units that may go, those together that are channels of the same values."""
        places: list[list[int]] = [[] for _ in self.fixed]
        copies = np.zeros(len(self.fixed), int)
        for index, units in enumerate(self.units.values()):
            for unit, count in zip(*np.unique(units, return_counts=True), strict=True):
                places[unit].append(index)
                copies[unit] = gcd(int(copies[unit]), int(count))
        layers: dict[tuple[int, ...], list[int]] = {}
        for unit in np.flatnonzero(~self.fixed):
            layers.setdefault(tuple(places[unit]), []).append(int(unit))
        return [Layer(np.array(units), int(np.gcd.reduce(copies[units]))) for units in layers.values()]


@dataclass(frozen=True, eq=False)
class Layer:
    """A width of the network: units that are channels of the same values.

    units: (n,). copies: how many channels of a value a unit stands for, or a multiple of it.
    """

    units: np.ndarray
    copies: int


def find_channels(graph: Graph) -> Channels:
    """The units of a network's channels.

    One output channel of a convolution or dense layer is a unit; it is the same channel behind everything that works
    channel by channel. Channels that are added or multiplied are one unit. Of a grouped convolution, and of channels
    that are shuffled, those at the same place of each group are one unit, so that groups stay alike. Inputs, outputs
    and what an operator mixes in a way that leaves no channel by itself (softmax, attention, a table of connections)
    are fixed.
    """
    ties = _Ties()
    found: dict[str, np.ndarray] = {}
    for input in graph.inputs:
        found[input.name] = ties.new(input.shape[-1])
        ties.fix(found[input.name])
    shared = {node.shares for node in graph.nodes if node.shares}
    for node in graph.nodes:
        inputs = [found[name] for name in node.inputs]
        output = _output(node, inputs, graph, ties)
        if output is None or node.shares or node.name in shared:
            for channels in inputs:
                ties.fix(channels)
            output = ties.new(graph.shapes[node.name][-1]) if output is None else output
            ties.fix(output)
        found[node.name] = output
    for name in graph.outputs:
        ties.fix(found[name])
    return ties.channels(found)


def _output(node: Node, inputs: list[np.ndarray], graph: Graph, ties: _Ties) -> np.ndarray | None:
    """The channels of the node's output; None where they have nothing to do with those of the inputs."""
    op, shapes = node.op, graph.input_shapes(node)
    output = graph.shapes[node.name]
    first = inputs[0] if inputs else np.array([], int)
    if isinstance(op, CHANNEL_BY_CHANNEL):
        return first
    if isinstance(op, Mean) and len(shapes[0]) - 1 not in op.axes:
        return first
    if isinstance(op, Convolution):
        return _convolved(op, first, ties)
    if isinstance(op, Dense):
        return ties.new(op.features)
    if isinstance(op, Add | Subtract | Multiply):
        ties.tie(*inputs)
        return first
    if isinstance(op, Concat):
        return np.concatenate(inputs)
    if isinstance(op, Pad):
        return np.concatenate([ties.new(op.channels[0]), first, ties.new(op.channels[1])])
    if isinstance(op, Slice):
        step = op.step[-1] if op.step else 1
        return first[op.begin[-1] :: step][: op.size[-1]] if step == 1 else None
    if isinstance(op, ChannelShuffle):
        rows = first.reshape(op.groups, -1)
        ties.tie(*rows)
        return rows.T.reshape(-1)
    if isinstance(op, Flatten | Reshape):
        return _reshaped(first, shapes[0], output)
    return None


def _convolved(op: Convolution, first: np.ndarray, ties: _Ties) -> np.ndarray:
    if op.groups == 1:
        return ties.new(op.channels)
    if op.groups == len(first):  # depthwise
        return np.repeat(first, op.channels // op.groups)
    ties.tie(*first.reshape(op.groups, -1))
    return np.tile(ties.new(op.channels // op.groups), op.groups)


def _reshaped(first: np.ndarray, before: Shape, after: Shape) -> np.ndarray | None:
    if after[-1] == before[-1]:
        return first
    if len(after) == 1:
        return np.tile(first, prod(before[:-1]))
    rows = first.reshape(-1, after[-1]) if len(before) == 1 else first[:0]
    return rows[0] if len(rows) and np.all(rows == rows[0]) else None


class _Ties:
    """Elements, some of which are tied to each other, and some fixed (disjoint sets)."""

    def __init__(self) -> None:
        self.parent: list[int] = []
        self.kept: list[int] = []

    def new(self, count: int) -> np.ndarray:
        first = len(self.parent)
        self.parent.extend(range(first, first + count))
        return np.arange(first, first + count)

    def root(self, element: int) -> int:
        while self.parent[element] != element:
            self.parent[element] = self.parent[self.parent[element]]
            element = self.parent[element]
        return element

    def tie(self, first: np.ndarray, *others: np.ndarray) -> None:
        for other in others:
            for a, b in zip(first.tolist(), other.tolist(), strict=True):
                self.parent[self.root(b)] = self.root(a)

    def fix(self, elements: Iterable[int]) -> None:
        self.kept.extend(int(element) for element in elements)

    def channels(self, found: dict[str, np.ndarray]) -> Channels:
        roots = np.array([self.root(element) for element in range(len(self.parent))], int)
        names, unit_of = np.unique(roots, return_inverse=True)
        fixed = np.zeros(len(names), bool)
        fixed[unit_of[self.kept]] = True
        return Channels({value: unit_of[elements] for value, elements in found.items()}, fixed)
