"""Cross-layer equalization: the same float network with channels of like ranges, which int8 keeps better."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from millijoule.graph import Graph, Node
from millijoule.model import Model
from millijoule.ops import (
    AveragePool2d,
    Conv2d,
    ConvTranspose2d,
    Dense,
    Flatten,
    GlobalAveragePool,
    MaxPool2d,
    Pad,
    Relu,
)

ROUNDS = 20
CLOSE = 1e-3
CHANNELWISE = (MaxPool2d, AveragePool2d, GlobalAveragePool, Pad, Relu, Flatten)
"""Operators that scale with each of their channels: f(s * x) = s * f(x) for s > 0."""


@dataclass(frozen=True)
class _Pair:
    """A layer and the next one with weights, which alone reads it, through channelwise operators or none."""

    first: Node
    second: Node


def equalize_layers(model: Model) -> Model:
    """A float model with the same outputs, in which the weights of layers that follow each other have like ranges.

    Channel i of a layer is divided by s_i, and what reads it in the next layer multiplied by s_i, so that both weights
    have the range sqrt(r1_i * r2_i); over and over, until nothing changes, as chains of layers need. Where an
    activation saturates (ReLU6), a value is read twice, or the operators between do not scale with their channels, the
    layers stay as they are.

    Source: Nagel et al. 2019, "Data-free quantization through weight equalization and bias correction", section 4.1.
    """
    graph = model.graph
    pairs = [pair for node in graph.nodes if (pair := _pair(graph, node)) is not None]
    weights = {name: np.array(array, np.float64, order="C") for name, array in model.weights.items()}
    for _ in range(ROUNDS):
        changes = [_equalize(graph, pair, weights) for pair in pairs]
        if max(changes, default=0.0) < CLOSE:
            break
    return replace(model, weights={name: array.astype(np.float32) for name, array in weights.items()})


def _pair(graph: Graph, node: Node) -> _Pair | None:
    if not isinstance(node.op, Conv2d | ConvTranspose2d | Dense) or node.op.activation not in ("none", "relu"):
        return None
    last = node
    while True:
        readers = [reader for reader in graph.nodes for name in reader.inputs if name == last.name]
        if len(readers) != 1 or last.name in graph.outputs:
            return None
        last = readers[0]
        if isinstance(last.op, Conv2d | Dense):
            return _Pair(node, last) if _columns(graph, node, last) else None
        if not isinstance(last.op, CHANNELWISE) or getattr(last.op, "activation", "none") not in ("none", "relu"):
            return None


def _columns(graph: Graph, first: Node, second: Node) -> Callable[[np.ndarray], np.ndarray] | None:
    """A view of the second layer's weight as (…, channels of the first); None where that is not possible."""
    channels = graph.shapes[first.name][-1]
    (x,) = graph.input_shapes(second)
    op = second.op
    if isinstance(op, Conv2d) and x[-1] == channels:
        if op.groups == 1:
            return lambda weight: weight.reshape(-1, channels)
        if op.is_depthwise(x):
            multiplier = op.channels // channels
            return lambda weight: weight.reshape(channels, multiplier, -1).transpose(1, 2, 0)
    if isinstance(op, Dense):
        return lambda weight: weight.reshape(-1, channels)
    return None


def _equalize(graph: Graph, pair: _Pair, weights: dict[str, np.ndarray]) -> float:
    """Bring one pair to like ranges; the largest relative change."""
    columns = _columns(graph, pair.first, pair.second)
    assert columns is not None
    first, second = weights[f"{pair.first.name}.weight"], columns(weights[f"{pair.second.name}.weight"])
    ranges = np.abs(first.reshape(len(first), -1)).max(axis=1), np.abs(second).max(axis=tuple(range(second.ndim - 1)))
    alive = (ranges[0] > 0) & (ranges[1] > 0)
    scale = np.where(alive, np.sqrt(ranges[0] / np.where(alive, ranges[1], 1.0)), 1.0)
    first /= scale.reshape(-1, *(1 for _ in first.shape[1:]))
    if f"{pair.first.name}.bias" in weights:
        weights[f"{pair.first.name}.bias"] /= scale
    second *= scale
    return float(np.abs(scale - 1).max())
