"""The nodes of a network in the making, and the moves that bring a value into the order that an operator needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain
from math import prod
from typing import Any, cast

import numpy as np

from millijoule.graph import Graph, Input, Node, Operator, Shape
from millijoule.load.channels_first.value import Factor, Value, common_split
from millijoule.load.names import unique
from millijoule.model import Quantization
from millijoule.ops import ChannelShuffle, Conv2d, ConvTranspose2d, Dense, Flatten, Reshape, Scale, Transpose
from millijoule.ops.rearrange import LARGEST_RANK

MAP = ((2,), (3,), (1,))
"""The axes of a map (batch, channels, height, width) in the order height, width, channels."""


class Layout:
    """Nodes, arrays and quantization, added one by one; names of nodes are made unique."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.inputs: list[Input] = []
        self.nodes: list[Node] = []
        self.shapes: dict[str, Shape] = {}
        self.weights: dict[str, np.ndarray] = {}
        self.quantization: dict[str, Quantization] = {}
        self.used: set[str] = set()
        self._reshaped: dict[str, str] = {}
        self._moved: dict[tuple[str, Shape, tuple[int, ...]], str] = {}

    def input(self, name: str, shape: Sequence[int], *, channels_last: bool = False) -> Value:
        """A value that is given, of the framework's `shape`, batch of 1 included.

        The graph's input has the shape (height, width, channels) for a map (1, channels, height, width); for one that
        comes as (1, height, width, channels), which `channels_last` says, and for every other, `shape` less the batch.
        """
        if any(size < 1 for size in shape):
            raise ValueError(f"input '{name}' has shape {tuple(shape)}; every size must be 1 or more")
        if len(shape) > 1 and shape[0] != 1:
            raise ValueError(f"input '{name}' has shape {tuple(shape)}; the batch must be 1")
        order: list[int] = list(range(len(shape))) if len(shape) < 2 else list(range(1, len(shape)))
        if len(shape) == 4 and not channels_last:
            order = [2, 3, 1]
        name = unique(name, self.used)
        stored = tuple(shape[axis] for axis in order) or (1,)
        self.inputs.append(Input(name, stored))
        self.shapes[name] = stored
        return Value.of(name, stored, [order.index(axis) if axis in order else None for axis in range(len(shape))])

    def node(
        self,
        name: str,
        op: Operator,
        *inputs: str,
        weights: Mapping[str, np.ndarray] | None = None,
        scales: Quantization | None = None,
    ) -> str:
        """Add a node; its name. scales: the quantization of integer weights. ValueError if shapes do not suit."""
        shape = op.shape(*(self.shapes[value] for value in inputs))
        expected = op.params(*(self.shapes[value] for value in inputs))
        name = unique(name, self.used)
        for key, array in (weights or {}).items():
            if array.shape != expected[key].shape:
                raise ValueError(f"its {key} has shape {array.shape}; {expected[key].shape} is needed")
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                raise ValueError(f"its {key} holds NaN or infinity: train or export the model again")
            # Beside integer weights, a bias may have more digits than float32.
            single = array.dtype.kind == "f" and scales is None
            self.weights[f"{name}.{key}"] = np.array(array, np.float32 if single else None, order="C")
        if scales is not None:
            self.quantization[f"{name}.weight"] = scales
        self.nodes.append(Node(name, op, inputs))
        self.shapes[name] = shape
        return name

    # Orders

    def as_shape(self, name: str, shape: Sequence[int]) -> str:
        """The graph's value under another shape; moves nothing."""
        source = self._reshaped.get(name, name)
        shape = tuple(shape)
        for other in (name, source):
            if self.shapes[other] == shape:
                return other
        op = Flatten() if len(shape) == 1 else Reshape(target=shape)
        for node in self.nodes:
            if node.inputs == (source,) and node.op == op:
                return node.name
        reshaped = self.node(f"{source}_{'flat' if len(shape) == 1 else 'reshape'}", op, source)
        self._reshaped[reshaped] = source
        return reshaped

    def stored_as(self, value: Value, order: Sequence[Factor]) -> Value:
        """The value with its factors in `order`; a node that moves numbers is added only if they are in another."""
        order = tuple(order)
        if order == value.stored:
            return value
        positions = [value.stored.index(factor) for factor in order]
        runs: list[list[int]] = []
        for position in positions:
            if runs and runs[-1][-1] + 1 == position:
                runs[-1].append(position)
            else:
                runs.append([position])
        if len(runs) > LARGEST_RANK:
            # More than one move can do: the second run comes behind the first, then the rest.
            between = [position for position in range(len(positions)) if position not in runs[1]]
            at = between.index(runs[0][-1]) + 1
            between[at:at] = runs[1]
            return self.stored_as(self.stored_as(value, [value.stored[position] for position in between]), order)
        by_memory = sorted(runs)
        sizes = tuple(prod(value.stored[position].size for position in run) for run in by_memory)
        permutation = tuple(by_memory.index(run) for run in runs)
        source = self._reshaped.get(value.name, value.name)
        known = (source, sizes, permutation)
        if known not in self._moved:
            self._moved[known] = self._move(source, sizes, permutation)
        return Value(self._moved[known], order, value.axes)

    def _move(self, name: str, sizes: Shape, permutation: tuple[int, ...]) -> str:
        shape = self.shapes[name]
        swapped = (*range(len(sizes) - 2), len(sizes) - 1, len(sizes) - 2)
        if permutation == swapped and len(shape) == 3 and shape[2] == sizes[-2] * sizes[-1]:
            return self.node(f"{name}_shuffle", ChannelShuffle(groups=sizes[-2]), name)
        return self.node(f"{name}_transpose", Transpose(order=permutation), self.as_shape(name, sizes))

    def laid(self, value: Value, *groups: Sequence[int]) -> str:
        """The graph's value whose axes are the given groups of the framework's axes, which must hold all numbers."""
        order = [factor for group in groups for axis in group for factor in value.axes[axis]]
        shape = tuple(prod(value.shape[axis] for axis in group) for group in groups)
        if len(order) != len(value.stored):
            raise ValueError(f"a value has shape {value.shape}; only axes {groups} are expected to have more than 1")
        return self.as_shape(self.stored_as(value, order).name, shape)

    def canonical(self, value: Value) -> Value:
        """Stored as the graph's users expect it: a map as height, width, channels, all else as the framework counts."""
        order = value.factors
        if len(value.axes) == 4 and not value.axes[0]:
            order = tuple(factor for group in MAP for factor in value.axes[group[0]])
        moved = self.stored_as(value, order)
        whole = moved.reshaped(moved.shape)
        return moved if whole is None else whole

    def split_alike(self, values: Sequence[Value], kept: int | None = None) -> list[Value]:
        """The values with all axes but `kept` in the same factors; moved into the usual order where need be."""
        split = common_split(values, kept)
        return split if split is not None else common_split([self.canonical(value) for value in values], kept) or []

    def reshape(self, value: Value, shape: Sequence[int]) -> Value:
        """Any reshape, squeeze, unsqueeze or flatten: `shape` with the batch, without -1."""
        shape = tuple(shape)
        if any(size < 1 for size in shape) or prod(shape) != prod(value.shape):
            raise ValueError(f"{value.shape} has {prod(value.shape)} numbers; {shape} has {prod(shape)}")
        return value.reshaped(shape) or cast(Value, self.stored_as(value, value.factors).reshaped(shape))

    def transpose(self, value: Value, order: Sequence[int]) -> Value:
        """The axes in another order (permute, swapaxes, t); nothing moves until an operator needs it."""
        if sorted(order) != list(range(len(value.axes))):
            raise ValueError(f"order {tuple(order)} does not name each of {len(value.axes)} axes once")
        return value.transposed(order)

    # The finished network

    def finish(self, *outputs: Value) -> tuple[Graph, dict[str, np.ndarray]]:
        """The graph with its weights. Outputs: maps as (height, width, channels), others without the batch.

        An output of four axes that lies in memory as the framework counts stays so.
        Bias additions are folded into the layer before them; nodes that nothing reads are left out.
        """
        names = [self.output(value) for value in outputs]
        self.fold_bias(names)
        needed = set(names)
        kept: list[Node] = []
        for node in reversed(self.nodes):
            if node.name in needed:
                kept.append(node)
                needed.update(node.inputs)
        graph = Graph(self.name, tuple(self.inputs), tuple(reversed(kept)), tuple(names))
        return graph, {name: self.weights[name] for name in graph.params()}

    def output(self, value: Value) -> str:
        """The graph's value for an output of the network, in the order and shape that its users expect."""
        shape = value.shape
        if len(shape) == 4 and not value.axes[0] and value.stored != value.factors:
            return self.laid(value, *MAP)
        rest = range(1 if len(shape) > 1 and not value.axes[0] else 0, len(shape))
        return self.laid(value, *((axis,) for axis in rest)) if len(rest) else self.as_shape(value.name, (1,))

    def fold_bias(self, outputs: Sequence[str]) -> None:
        """Make a Scale that only adds the bias of the layer before it, where that has none and is read by no other."""
        by_name = {node.name: node for node in self.nodes}
        readers = list(chain(outputs, *(node.inputs for node in self.nodes)))
        for node in [node for node in self.nodes if isinstance(node.op, Scale)]:
            layer = by_name[node.name].inputs[0]
            maker = by_name.get(layer)
            while maker is not None and isinstance(maker.op, Reshape | Flatten) and readers.count(maker.name) == 1:
                maker = by_name.get(maker.inputs[0])
            if (
                maker is None
                or not isinstance(maker.op, Conv2d | ConvTranspose2d | Dense)
                or maker.op.bias
                or readers.count(maker.name) != 1
                or readers.count(layer) != 1
                or self.shapes[maker.name][-1] != self.shapes[layer][-1]
                or not np.all(self.weights[f"{node.name}.weight"] == 1)
                or f"{node.name}.bias" not in self.weights
            ):
                continue
            self.weights[f"{maker.name}.bias"] = self.weights[f"{node.name}.bias"]
            self._replace(maker.name, op=replace(maker.op, bias=True))
            # What read the Scale reads its input.
            self.nodes.remove(by_name[node.name])
            for other in self.nodes:
                if node.name in other.inputs:
                    self._replace(other.name, inputs=tuple(layer if x == node.name else x for x in other.inputs))
            if node.name in self.quantization:
                self.quantization[layer] = self.quantization.pop(node.name)
            by_name = {each.name: each for each in self.nodes}

    def _replace(self, name: str, **changes: Any) -> None:
        at = next(index for index, node in enumerate(self.nodes) if node.name == name)
        self.nodes[at] = replace(self.nodes[at], **changes)
