"""A network with its numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from millijoule.boxes import BoxCoding
from millijoule.errors import ModelError
from millijoule.graph import Graph, Node, Param


@dataclass(frozen=True, eq=False)
class Quantization:
    """How integers stand for reals: real = scale * (integer - zero_point).

    scales: float32, one for the tensor or one per slice along axis 0 (per channel).
    """

    scales: np.ndarray
    zero_point: int = 0

    @classmethod
    def of(cls, scale: float, zero_point: int = 0) -> Quantization:
        return cls(np.array([scale], np.float32), zero_point)

    @property
    def scale(self) -> np.float32:
        """The scale of a per-tensor quantization."""
        if self.scales.size != 1:
            raise ValueError(f"one scale is needed, {self.scales.size} are given (per-channel)")
        return np.float32(self.scales[0])

    def quantize(self, real: np.ndarray) -> np.ndarray:
        """Nearest int8, ties away from zero as TFLite's QUANTIZE does, saturated; not-a-number becomes the lowest."""
        with np.errstate(over="ignore"):
            scaled = np.nan_to_num(np.asarray(real, np.float32) / self.scale, nan=-np.inf)
        rounded = np.trunc(scaled + np.copysign(np.float32(0.5), scaled)) + self.zero_point
        return np.clip(rounded, -128, 127).astype(np.int8)

    def dequantize(self, integers: np.ndarray) -> np.ndarray:
        return (np.asarray(integers, np.float32) - np.float32(self.zero_point)) * self.scale

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Quantization)
            and self.zero_point == other.zero_point
            and np.array_equal(self.scales, other.scales)
        )


@dataclass(frozen=True, eq=False)
class OperatorQuantization:
    """The quantization of one operator's inputs, numbers and output."""

    inputs: tuple[Quantization, ...]
    weights: Mapping[str, Quantization]
    output: Quantization


@dataclass(frozen=True, eq=False)
class Model:
    """A graph with its numbers.

    weights: `node.array` → array, in the layout of the operator's `params`: float32, or int8 with int32 biases once
    quantized.
    quantization: None for a float model; else the quantization of every value and of every int8 array, by name.
    labels: class names in the order of the output, if known.
    preprocess: how an image becomes the input: {"mean": […], "std": […]} per channel, of pixels in 0…1;
    "order": […], where channels are taken in another order than red, green, blue.
    notes: what the reader must know of how the model was made.
    boxes: how the outputs become boxes, of a detector.
    """

    graph: Graph
    weights: Mapping[str, np.ndarray]
    quantization: Mapping[str, Quantization] | None = None
    labels: tuple[str, ...] = ()
    preprocess: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    boxes: BoxCoding | None = None

    def __post_init__(self) -> None:
        params = self.graph.params()
        for name, param in params.items():
            if name not in self.weights:
                raise ModelError(f"model '{self.graph.name}' has no array '{name}'; shape {param.shape} is needed")
            if self.weights[name].shape != param.shape:
                raise ModelError(f"array '{name}' has shape {self.weights[name].shape}; the graph needs {param.shape}")
        for name in self.weights:
            if name not in params:
                raise ModelError(f"array '{name}' belongs to no node of graph '{self.graph.name}'")
        if self.quantization is not None:
            self._check_quantization(self.quantization, params)
        if self.boxes is not None:
            try:
                self.boxes.check({name: self.graph.shapes[name] for name in self.graph.outputs})
            except ValueError as error:
                raise ModelError(f"model '{self.graph.name}': {error}") from None
            if len(self.labels) not in (0, self.boxes.classes):
                classes = self.boxes.classes
                raise ModelError(
                    f"model '{self.graph.name}' finds {classes} classes of boxes; {len(self.labels)} are named"
                )

    def _check_quantization(self, quantization: Mapping[str, Quantization], params: Mapping[str, Param]) -> None:
        needed = {f"value '{value}'": (value, 1) for value in self.graph.shapes}
        for name, param in params.items():
            dtype = np.int32 if param.kind == "bias" else np.int8
            if self.weights[name].dtype != dtype:
                raise ModelError(f"array '{name}' is {self.weights[name].dtype}; {np.dtype(dtype)} is needed")
            if param.kind != "bias":
                needed[f"array '{name}'"] = name, param.shape[0]
        for what, (name, most) in needed.items():
            if name not in quantization:
                raise ModelError(f"{what} has no quantization")
            scales, zero_point = quantization[name].scales, quantization[name].zero_point
            if scales.size not in (1, most):
                choice = "1 is" if most == 1 else f"1 or {most} are"
                raise ModelError(f"{what} has {scales.size} scales; {choice} needed")
            if not np.all((scales > 0) & (scales < np.inf)):
                raise ModelError(f"{what} has scale {scales.min():g}; positive numbers are needed")
            if not -128 <= zero_point <= 127:
                raise ModelError(f"{what} has zero point {zero_point}; -128…127 is needed")

    def with_graph(self, graph: Graph, **changes: Any) -> Model:
        """The model with another graph, whose outputs are the same ones in the same order, and other `changes`."""
        boxes = self.boxes and self.boxes.renamed(dict(zip(self.graph.outputs, graph.outputs, strict=True)))
        return replace(self, graph=graph, boxes=boxes, **changes)

    @property
    def is_int8(self) -> bool:
        return self.quantization is not None

    def node_weights(self, node: Node) -> dict[str, np.ndarray]:
        names = node.op.params(*self.graph.input_shapes(node))
        return {name: self.weights[f"{node.name}.{name}"] for name in names}

    def node_quantization(self, node: Node) -> OperatorQuantization:
        if self.quantization is None:
            raise ModelError(f"model '{self.graph.name}' is float; quantize it first (give --data to calibrate on)")
        names = node.op.params(*self.graph.input_shapes(node))
        return OperatorQuantization(
            inputs=tuple(self.quantization[name] for name in node.inputs),
            weights={
                name: self.quantization[f"{node.name}.{name}"]
                for name in names
                if f"{node.name}.{name}" in self.quantization
            },
            output=self.quantization[node.name],
        )

    def run(self, *inputs: np.ndarray) -> dict[str, np.ndarray]:
        """Every value of an int8 model for a batch of inputs: the reference that the firmware must equal.

        inputs: int8, (batch, …) in the order of the graph's inputs.
        """
        values: dict[str, np.ndarray] = {}
        if len(inputs) != (count := len(self.graph.inputs)):
            raise ModelError(f"model '{self.graph.name}' takes {count} inputs; {len(inputs)} are given")
        for input, array in zip(self.graph.inputs, inputs, strict=True):
            if array.dtype != np.int8 or array.shape[1:] != input.shape:
                raise ModelError(
                    f"input '{input.name}' is {array.dtype} of shape {array.shape[1:]}; int8 of shape {input.shape} "
                    "is needed, with the batch in front"
                )
            values[input.name] = array
        for node in self.graph.nodes:
            values[node.name] = node.op.int8(
                *(values[name] for name in node.inputs),
                weights=self.node_weights(node),
                quantization=self.node_quantization(node),
            )
        return values
