"""What int8 does to each layer, on real images."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf, log10

import numpy as np

from millijoule.model import Model, Quantization
from millijoule.train.network import activations

BATCH = 32


@dataclass(frozen=True)
class LayerError:
    """One layer's output as int8 beside its output in float.

    alone_db: ratio of signal to noise, in decibels, if only this layer is int8 and its inputs are rounded; whole_db: if
    all layers before it are int8 too. saturated: the share of the float network's numbers that lie outside what int8
    reaches. steps_used: the share of the 256 int8 numbers between the least and the largest that occur. dead_channels:
    those that vary in float and are one number in int8. loudest: the range of the channel with the largest, divided by
    the median channel's.
    """

    layer: str
    operator: str
    alone_db: float
    whole_db: float
    saturated: float
    steps_used: float
    dead_channels: int
    channels: int
    loudest: float


@dataclass
class _Sums:
    """What is collected of one value, batch by batch. real, integers: least and largest of each channel."""

    signal: float = 0.0
    noise_alone: float = 0.0
    noise_whole: float = 0.0
    outside: int = 0
    count: int = 0
    real: list[np.ndarray] = field(default_factory=list)
    integers: list[np.ndarray] = field(default_factory=list)

    def add(self, quantization: Quantization, real: np.ndarray, alone: np.ndarray, whole: np.ndarray) -> None:
        """A batch: in float, and as int8 by this layer alone and by all of them."""
        y, step, zero = real.astype(np.float64), float(quantization.scale), quantization.zero_point
        self.signal += float(np.sum(y**2))
        self.noise_alone += float(np.sum((y - step * (alone.astype(np.float64) - zero)) ** 2))
        self.noise_whole += float(np.sum((y - step * (whole.astype(np.float64) - zero)) ** 2))
        self.outside += int(np.sum((y < step * (-128.5 - zero)) | (y > step * (127.5 - zero))))
        self.count += y.size
        for ends, values in ((self.real, y), (self.integers, whole)):
            flat = values.reshape(-1, values.shape[-1])
            ends += [flat.min(axis=0), flat.max(axis=0)]

    def error(self, layer: str, operator: str) -> LayerError:
        lows, highs = np.min(self.real, axis=0), np.max(self.real, axis=0)
        least, largest = np.min(self.integers, axis=0), np.max(self.integers, axis=0)
        ranges = np.maximum(np.abs(lows), np.abs(highs))
        median = float(np.median(ranges[ranges > 0])) if np.any(ranges > 0) else 1.0
        return LayerError(
            layer=layer,
            operator=operator,
            alone_db=_decibels(self.signal, self.noise_alone),
            whole_db=_decibels(self.signal, self.noise_whole),
            saturated=self.outside / self.count,
            steps_used=(int(largest.max()) - int(least.min()) + 1) / 256,
            dead_channels=int(np.sum((least == largest) & (lows < highs))),
            channels=len(lows),
            loudest=float(ranges.max()) / median,
        )


def layer_errors(model: Model, int8: Model, inputs: np.ndarray) -> tuple[LayerError, ...]:
    """Of the network's input and of every layer that computes, in their order.

    model: the float model that is ready for int8; int8: its int8 form; inputs: float32 (n, *input shape), prepared.
    """
    assert int8.quantization is not None
    (entry,) = int8.graph.inputs
    nodes = [node for node in int8.graph.nodes if not node.op.alias]
    sums = {name: _Sums() for name in (entry.name, *(node.name for node in nodes))}
    for start, real in zip(range(0, len(inputs), BATCH), activations(model, inputs, BATCH), strict=True):
        given = int8.quantization[entry.name].quantize(inputs[start : start + BATCH])
        whole = int8.run(given)
        sums[entry.name].add(int8.quantization[entry.name], inputs[start : start + BATCH], given, given)
        for node in nodes:
            rounded = (int8.quantization[name].quantize(real[name]) for name in node.inputs)
            known = int8.node_quantization(node)
            alone = node.op.int8(*rounded, weights=int8.node_weights(node), quantization=known)
            sums[node.name].add(known.output, real[node.name], alone, whole[node.name])
    operators = {entry.name: "input"} | {node.name: type(node.op).__name__ for node in nodes}
    return tuple(each.error(name, operators[name]) for name, each in sums.items())


def _decibels(signal: float, noise: float) -> float:
    if noise == 0:
        return inf
    return 10 * log10(signal / noise) if signal > 0 else -inf
